/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symlink.c - targets of symbolic links: in i_block if shorter than 60 bytes,
 * else in one block; links made by others may also be inline (i_block and
 * system.data).
 *
 * The block is metadata here: it goes through the cache and the journal, and
 * is part of the transaction that makes the link.  Needs the volume lock,
 * which data_readlink() takes itself.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "dataio.h"
#include "io/cache.h"

/* The length is the inode's business, so there is nothing to verify. */
static int symlink_verify(struct fs *fs, struct buf *b)
{
	(void)fs;
	(void)b;
	return 0;
}

static const struct buf_type symlink_type = {
	.name = "symlink",
	.rank = RANK_XATTR,
	.verify = symlink_verify,
};

/* The target is charged to who owns the new link. */
static unsigned symlink_alloc_flags(struct inode *inode)
{
	const struct ext2_super_block *s = fs_super(inode->fs);

	return !inode->i.uid || inode->i.uid == le16toh(s->s_def_resuid) ?
		ALLOC_RESERVE : 0;
}

static int symlink_block(struct txn *t, struct inode *inode, const char *target,
			 size_t len)
{
	struct fs *fs = inode->fs;
	uint64_t blk, got;
	struct buf *b;
	int err;

	if (ext2fs_has_feature_extents(fs->e2->super))
		inode->i.flags |= EXT4_EXTENTS_FL;
	map_init(inode);
	err = block_alloc(t, inode, 0, fs->cluster_ratio,
			  symlink_alloc_flags(inode), &blk, &got);
	if (err)
		return err;
	err = cache_get_new(fs->cache, blk, &symlink_type, 0, 0, &b);
	if (err)
		return err;
	err = txn_write(t, b);
	if (!err)
		memcpy(b->data, target, len);
	cache_put(b);
	return err ? err : map_insert(t, inode, 0, blk, 1, false);
}

int data_symlink(struct txn *t, struct inode *inode, const char *target,
		 size_t len)
{
	int err = 0;

	if (!len)
		return -ENOENT;
	if (len >= inode->fs->blocksize)
		return -ENAMETOOLONG;
	if (len < INLINE_BLOCK) {
		inode->i.flags &= ~EXT4_EXTENTS_FL;
		memset(inode->i.block, 0, INLINE_BLOCK);
		memcpy(inode->i.block, target, len);
	} else {
		err = symlink_block(t, inode, target, len);
	}
	if (!err)
		data_set_size(t, inode, len);
	return err;
}

/* The target in a block; lock held. */
static int readlink_block(struct inode *inode, char *buf, size_t len)
{
	struct fs *fs = inode->fs;
	struct map m;
	struct buf *b;
	int err;

	if (len >= fs->blocksize)
		return fs_corrupt(fs, inode->ino, 0, "symlink of %zu bytes",
				  len);
	err = map_lookup(inode, 0, 1, &m);
	if (err)
		return err;
	if (m.state != MAP_WRITTEN)
		return fs_corrupt(fs, inode->ino, 0, "symlink without target");
	err = cache_get(fs->cache, m.pblk, &symlink_type, 0, 0, &b);
	if (err)
		return err;
	memcpy(buf, b->data, len);
	cache_put(b);
	return 0;
}

/* Lock held.  The length by i_size, or -errno. */
static ssize_t readlink_locked(struct inode *inode, char *buf, size_t size)
{
	struct fs *fs = inode->fs;
	uint64_t len = inode->i.size;
	ssize_t n;

	if (!S_ISLNK(inode->i.mode))
		return -EINVAL;
	if (inode_is_gone(inode))
		return -ESTALE;
	if (inode->i.flags & EXT4_ENCRYPT_FL)
		return -ENOKEY;
	if (!len)
		return fs_corrupt(fs, inode->ino, 0, "empty symlink");
	if (len >= size)
		return len >= fs->blocksize ?
			fs_corrupt(fs, inode->ino, 0, "symlink of %llu bytes",
				   (unsigned long long)len) : -ENAMETOOLONG;
	if (inode_has_inline(inode)) {
		n = inline_read(inode, buf, len, 0);
	} else if (inode_is_fast_symlink(inode)) {
		if (len >= INLINE_BLOCK)
			return fs_corrupt(fs, inode->ino, 0,
					  "symlink without target");
		memcpy(buf, inode->i.block, len);
		n = len;
	} else {
		n = readlink_block(inode, buf, len);
		if (!n)
			n = len;
	}
	return n;
}

ssize_t data_readlink(struct inode *inode, char *buf, size_t size)
{
	ssize_t n;

	fs_lock(inode->fs);
	n = readlink_locked(inode, buf, size);
	fs_unlock(inode->fs);
	if (n < 0)
		return n;
	/* nobody can follow it beyond a zero byte */
	buf[n] = '\0';
	return strlen(buf);
}
