/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inline.c - regular files whose contents are in the inode: the first 60
 * bytes in i_block, the rest in the xattr system.data of the inode body.
 *
 * Knows that split, and when a file may become inline (at its first write,
 * as the kernel does it) or must stop being so.  How xattrs are stored is
 * xattr.c's.  An inline file has no mapping.
 *
 * Callers hold inode->io; the volume lock where the comments say so.  A file
 * is or is not inline for as long as io is held.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "dataio.h"
#include "io/device.h"
#include "xattr.h"

/* More than any inline file of this volume can hold. */
static size_t inline_limit(const struct fs *fs)
{
	return INLINE_BLOCK + fs->inode_size;
}

/*
 * All of the contents into BUF of inline_limit() bytes, zero beyond i_size.
 * Lock held.  i_size or -errno.
 */
static ssize_t inline_load(struct inode *inode, uint8_t *buf)
{
	struct fs *fs = inode->fs;
	size_t limit = inline_limit(fs), size = inode->i.size;
	ssize_t n = 0;

	if (inode->i.size > limit)
		return fs_corrupt(fs, inode->ino, 0,
				  "size %llu of an inline file",
				  (unsigned long long)inode->i.size);
	memcpy(buf, inode->i.block, INLINE_BLOCK);
	if (size > INLINE_BLOCK) {
		n = xattr_inline_get(inode, buf + INLINE_BLOCK,
				     limit - INLINE_BLOCK);
		if (n == -ENODATA)
			n = 0;
		if (n < 0)
			return n;
		if ((size_t)n < size - INLINE_BLOCK)
			return fs_corrupt(fs, inode->ino, 0,
					  "inline data shorter than the size");
	}
	memset(buf + size, 0, limit - size);
	return size;
}

ssize_t inline_read(struct inode *inode, void *buf, size_t len, uint64_t off)
{
	uint8_t *tmp;
	ssize_t n;

	tmp = malloc(inline_limit(inode->fs));
	if (!tmp)
		return -ENOMEM;
	n = inline_load(inode, tmp);
	if (n >= 0) {
		n = off < (uint64_t)n ? n - (ssize_t)off : 0;
		if ((size_t)n > len)
			n = len;
		if (n)
			memcpy(buf, tmp + off, n);
	}
	free(tmp);
	return n;
}

/*
 * May the file, which is not inline, become so?  It must be empty, and own
 * no blocks but that of its xattrs.  Lock held.
 */
static bool inline_may_start(struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct map m;

	if (!ext2fs_has_feature_inline_data(fs->e2->super) ||
	    fs->inode_size <= EXT2_GOOD_OLD_INODE_SIZE ||
	    !inode->i.extra_isize || !S_ISREG(inode->i.mode))
		return false;
	if (inode->i.size ||
	    inode->i.blocks > (inode->i.file_acl ? fs->cluster_ratio : 0))
		return false;
	return map_next(inode, 0, &m) == -ENXIO;
}

/*
 * Makes SIZE bytes the contents, in T with the inode dirty; it becomes inline
 * if it was not.  -ENOSPC if they do not fit.
 */
static int inline_store(struct txn *t, struct inode *inode, const uint8_t *data,
			size_t size)
{
	size_t rest = size > INLINE_BLOCK ? size - INLINE_BLOCK : 0;
	ssize_t have = xattr_inline_get(inode, NULL, 0);
	int err;

	if (have < 0 && have != -ENODATA)
		return have;
	if (rest > xattr_inline_max(inode))
		return -ENOSPC;
	inode->i.flags &= ~EXT4_EXTENTS_FL;
	inode->i.flags |= EXT4_INLINE_DATA_FL;
	memset(inode->i.block, 0, INLINE_BLOCK);
	memcpy(inode->i.block, data, size - rest);
	if (have != 0 || rest) {
		err = xattr_inline_set(t, inode, data + INLINE_BLOCK, rest);
		if (err)
			return err;
	}
	data_set_size(t, inode, size);
	inode->datasync_tid = txn_id(t);
	return 0;
}

/* inline_store() in a transaction of its own.  Lock held. */
static int inline_commit(struct inode *inode, const uint8_t *data, size_t size,
			 unsigned flags)
{
	struct txn *t;
	int err;

	err = data_begin(inode, TXN_XATTR, &t);
	if (err)
		return err;
	err = inline_store(t, inode, data, size);
	if (!err)
		err = data_stamp(t, inode, flags);
	return txn_stop(t, err);
}

/*
 * Stores LEN bytes at OFF (BUF NULL: only sets the size, to OFF), if that
 * fits and if the file is, or may be made, inline.  Lock held.  0, -ENOSPC if
 * it does not fit, -EXDEV if the file has blocks.
 */
static int inline_change(struct inode *inode, const void *buf, size_t len,
			 uint64_t off, unsigned flags)
{
	size_t limit = inline_limit(inode->fs), size;
	bool is = inode_has_inline(inode);
	uint8_t *tmp;
	ssize_t n;
	int err;

	if (off > limit || len > limit - off)
		return is ? -ENOSPC : -EXDEV;
	if (!is && (!buf || !inline_may_start(inode)))
		return -EXDEV;
	tmp = calloc(1, limit);
	if (!tmp)
		return -ENOMEM;
	n = is ? inline_load(inode, tmp) : 0;
	if (n >= 0) {
		size = off + len;
		if (buf) {
			memcpy(tmp + off, buf, len);
			if (size < (size_t)n)
				size = n;
		}
		n = inline_commit(inode, tmp, size, flags);
	}
	free(tmp);
	err = n < 0 ? (int)n : 0;
	return err == -ENOSPC && !is ? -EXDEV : err;
}

/* inline_change() and what follows: 1 done, 0 the file has blocks. */
static int inline_try(struct inode *inode, const void *buf, size_t len,
		      uint64_t off, unsigned flags)
{
	int err;

	fs_lock(inode->fs);
	err = inline_change(inode, buf, len, off, flags);
	fs_unlock(inode->fs);
	if (err == -EXDEV)
		return 0;
	if (err == -ENOSPC)
		return inline_to_blocks(inode, flags);
	return err ? err : 1;
}

ssize_t inline_write(struct inode *inode, const void *buf, size_t len,
		     uint64_t off, unsigned flags)
{
	int r = inline_try(inode, buf, len, off, flags);

	return r == 1 ? (ssize_t)len : r;
}

int inline_truncate(struct inode *inode, uint64_t size, unsigned flags)
{
	return inline_try(inode, NULL, 0, size, flags);
}

/*
 * Turns the file into one with a mapping, in T with the inode dirty: empty,
 * or with its contents in BLK, reserved as GOT blocks.
 */
static int inline_convert(struct txn *t, struct inode *inode, uint64_t blk,
			  uint64_t got)
{
	int err;

	err = xattr_inline_remove(t, inode);
	if (err && err != -ENODATA)
		return err;
	inode->i.flags &= ~EXT4_INLINE_DATA_FL;
	if (ext2fs_has_feature_extents(inode->fs->e2->super))
		inode->i.flags |= EXT4_EXTENTS_FL;
	map_init(inode);
	inode->datasync_tid = txn_id(t);
	if (!got)
		return 0;
	err = block_claim(t, inode, blk, got);
	if (err)
		return err;
	return map_insert(t, inode, 0, blk, 1, false);
}

/* The contents and a place for them.  Lock held.  *GOT 0: empty. */
static int convert_prepare(struct inode *inode, unsigned flags, uint8_t *buf,
			   uint64_t *blk, uint64_t *got)
{
	struct fs *fs = inode->fs;
	ssize_t n;

	*got = 0;
	if (!fs_writable(fs))
		return -EROFS;
	n = inline_load(inode, buf);
	if (n <= 0)
		return n;
	if (n > (ssize_t)fs->blocksize)
		return fs_corrupt(fs, inode->ino, 0,
				  "inline data larger than a block");
	return block_reserve(inode, 0, fs->cluster_ratio,
			     data_alloc_flags(flags), blk, got);
}

static int convert_once(struct inode *inode, unsigned flags, uint8_t *buf)
{
	struct fs *fs = inode->fs;
	uint64_t blk = 0, got = 0;
	struct txn *t;
	int err;

	fs_lock(fs);
	err = convert_prepare(inode, flags, buf, &blk, &got);
	fs_unlock(fs);
	if (err)
		return err;
	if (got)
		err = device_write(fs->dev, buf, fs->blocksize,
				   blk << fs->blockbits);
	fs_lock(fs);
	if (!err)
		err = data_begin(inode, TXN_WRITE, &t);
	if (!err)
		err = txn_stop(t, inline_convert(t, inode, blk, got));
	if (err && got)
		block_unreserve(fs, blk, got);
	fs_unlock(fs);
	return err;
}

int inline_to_blocks(struct inode *inode, unsigned flags)
{
	struct fs *fs = inode->fs;
	unsigned tries = 0;
	uint8_t *buf;
	int err;

	buf = calloc(1, inline_limit(fs) + fs->blocksize);
	if (!buf)
		return -ENOMEM;
	do {
		err = convert_once(inode, flags, buf);
	} while (fs_retry_nospc(fs, err, &tries));
	free(buf);
	return err;
}
