/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr_inode.c - values that have an inode of their own (feature ea_inode).
 *
 * Knows the fields that such an inode uses otherwise: a 64-bit reference
 * count in ctime (high) and version (low), the hash of the value in atime.
 * Its blocks are metadata: they pass through the cache and are part of the
 * transaction.  An older format, by Lustre, has one owner, whose number and
 * generation are in mtime and generation, and neither count nor hash.  Who
 * refers to a value is charged for it in i_blocks, in whole clusters, as if
 * it were its own.
 *
 * Needs the volume lock; takes none.
 */
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "fs.h"
#include "inode.h"
#include "map.h"
#include "orphan.h"
#include "xattr_internal.h"
#include "io/cache.h"
#include "journal/txn.h"

/* Any bytes are a value; their hash is checked when all are read. */
static int verify(struct fs *fs, struct buf *b)
{
	(void)fs;
	(void)b;
	return 0;
}

static const struct buf_type eavalue_type = {
	.name = "attribute value",
	.rank = RANK_DATA,
	.verify = verify,
};

/* ---- the fields ---- */

static bool is_lustre(const struct inode *ea, const struct inode *owner)
{
	return owner && (uint32_t)ea->i.mtime.tv_sec == owner->ino &&
	       ea->i.generation == owner->i.generation;
}

static uint64_t get_refs(const struct inode *ea)
{
	return (uint64_t)(uint32_t)ea->i.ctime.tv_sec << 32 |
	       (uint32_t)ea->i.version;
}

static void set_refs(struct inode *ea, uint64_t refs)
{
	ea->i.ctime = (struct timespec){ .tv_sec = (int32_t)(refs >> 32) };
	ea->i.version = (uint32_t)refs;
}

static uint32_t get_hash(const struct inode *ea)
{
	return ea->i.atime.tv_sec;
}

static uint32_t hash_value(struct fs *fs, const void *data, size_t size)
{
	return ext2fs_crc32c_le(fs->csum_seed, data, size);
}

/* What a value of SIZE bytes is charged, in blocks. */
static int64_t charge(struct fs *fs, size_t size)
{
	size_t cluster = (size_t)fs->blocksize << fs->clusterbits;

	return (int64_t)((size + cluster - 1) / cluster) << fs->clusterbits;
}

/* The inode INO, as OWNER (0: unknown) refers to it, with a reference. */
static int get(struct fs *fs, uint32_t owner, uint32_t ino, struct inode **out)
{
	int err = -EINVAL;

	if (ext2fs_has_feature_ea_inode(fs->e2->super))
		err = inode_get_any(fs, ino, out);
	if (err == -ESTALE || err == -EINVAL)
		return fs_corrupt(fs, owner, 0,
				  "attribute in inode %u, which is not in use",
				  ino);
	if (err)
		return err;
	if (S_ISREG((*out)->i.mode) && (*out)->i.links &&
	    ((*out)->i.flags & EXT4_EA_INODE_FL))
		return 0;
	inode_put(*out);
	return fs_corrupt(fs, owner, 0,
			  "inode %u does not hold an attribute", ino);
}

/* ---- reading ---- */

/* Copies SIZE bytes from the start of EA. */
static int read_blocks(struct inode *ea, uint8_t *to, size_t size)
{
	struct fs *fs = ea->fs;
	uint64_t lblk;

	for (lblk = 0; size; lblk++) {
		size_t n = size < fs->blocksize ? size : fs->blocksize;
		struct buf *b;
		struct map m;
		int err = map_lookup(ea, lblk, 1, &m);

		if (err)
			return err;
		if (m.state != MAP_WRITTEN)
			return fs_corrupt(fs, ea->ino, 0,
					  "hole in an attribute");
		err = cache_get(fs->cache, m.pblk, &eavalue_type, 0, 0, &b);
		if (err)
			return err;
		memcpy(to, b->data, n);
		cache_put(b);
		to += n;
		size -= n;
	}
	return 0;
}

ssize_t eainode_read(struct inode *owner, const ea_entry *e, void *buf,
		     size_t size)
{
	uint32_t ino = le32toh(e->e_value_inum), hash;
	size_t len = le32toh(e->e_value_size);
	struct fs *fs = owner->fs;
	struct inode *ea;
	int err = get(fs, owner->ino, ino, &ea);

	if (err)
		return err;
	if (ea->i.size != len) {
		err = fs_corrupt(fs, ino, 0, "attribute of wrong size");
		goto out;
	}
	err = read_blocks(ea, buf, size < len ? size : len);
	if (err || size < len || is_lustre(ea, owner))
		goto out;
	hash = hash_value(fs, buf, len);
	if (hash != get_hash(ea) || !ea_inode_hash_ok(e, hash))
		err = fs_corrupt(fs, ino, 0, "attribute with a wrong hash");
out:
	inode_put(ea);
	return err ? err : (ssize_t)len;
}

/* ---- making ---- */

/* COUNT blocks from BLK, with what is left of the value. */
static int fill(struct txn *t, uint64_t blk, uint64_t count,
		const uint8_t **data, size_t *left)
{
	struct fs *fs = txn_fs(t);

	for (; count; count--, blk++) {
		size_t n = *left < fs->blocksize ? *left : fs->blocksize;
		struct buf *b;
		int err = cache_get_new(fs->cache, blk, &eavalue_type, 0, 0,
					&b);

		if (err)
			return err;
		err = txn_write(t, b);
		if (!err) {
			memcpy(b->data, *data, n);
			memset(b->data + n, 0, fs->blocksize - n);
		}
		cache_put(b);
		if (err)
			return err;
		*data += n;
		*left -= n;
	}
	return 0;
}

static int write_blocks(struct txn *t, struct inode *ea, const uint8_t *data,
			size_t size)
{
	struct fs *fs = ea->fs;
	uint64_t lblk = 0, end = (size + fs->blocksize - 1) >> fs->blockbits;
	uint64_t ratio = fs->cluster_ratio, goal = 0, blk, got;
	unsigned flags = ea->i.uid ? 0 : ALLOC_RESERVE;

	while (lblk < end) {
		uint64_t want = (end - lblk + ratio - 1) & ~(ratio - 1);
		int err = block_alloc(t, ea, goal, want, flags, &blk, &got);

		if (err)
			return err;
		goal = blk + got;
		if (got > end - lblk)
			got = end - lblk;
		err = map_insert(t, ea, lblk, blk, got, false);
		if (!err)
			err = fill(t, blk, got, &data, &size);
		if (err)
			return err;
		lblk += got;
	}
	return 0;
}

int eainode_new(struct txn *t, struct inode *owner, struct ea_value *v)
{
	struct fs *fs = owner->fs;
	struct inode *ea;
	uint32_t ino;
	int err = inode_alloc(t, owner, S_IFREG | 0600, &ino);

	if (!err)
		err = inode_new(t, ino, S_IFREG | 0600, &ea);
	if (err)
		return err;
	ea->i.uid = owner->i.uid;
	ea->i.gid = owner->i.gid;
	ea->i.links = 1;
	ea->i.flags = EXT4_EA_INODE_FL;
	if (ext2fs_has_feature_extents(fs->e2->super))
		ea->i.flags |= EXT4_EXTENTS_FL;
	map_init(ea);
	err = write_blocks(t, ea, v->data, v->size);
	ea->i.size = v->size;
	v->ino = ino;
	v->hash = hash_value(fs, v->data, v->size);
	ea->i.atime = (struct timespec){ .tv_sec = (int32_t)v->hash };
	ea->i.mtime = (struct timespec){ 0 };
	set_refs(ea, 1);
	inode_put(ea);
	inode_add_blocks(owner, charge(fs, v->size));
	return err;
}

/* ---- counting ---- */

int eainode_ref(struct txn *t, uint32_t ino)
{
	struct inode *ea;
	int err = get(txn_fs(t), 0, ino, &ea);

	if (err)
		return err;
	err = inode_dirty(t, ea);
	if (!err)
		set_refs(ea, get_refs(ea) + 1);
	inode_put(ea);
	return err;
}

/* Nothing refers to EA any more; what does not fit T is left to the end of
 * the mount, as an orphan. */
static int discard(struct txn *t, struct inode *ea)
{
	set_refs(ea, 0);
	ea->i.links = 0;
	if (!ea->opens && inode_delete_fits(ea))
		return inode_delete(t, ea);
	return orphan_add(t, ea);
}

/* One reference less. */
static int unref(struct txn *t, struct inode *ea, bool lustre)
{
	uint64_t refs = lustre ? 1 : get_refs(ea);
	int err;

	if (!refs)
		return fs_corrupt(ea->fs, ea->ino, 0,
				  "attribute without references");
	err = inode_dirty(t, ea);
	if (err)
		return err;
	if (refs == 1)
		return discard(t, ea);
	set_refs(ea, refs - 1);
	return 0;
}

int eainode_leave(struct txn *t, struct inode *owner, const ea_entry *e,
		  bool shared)
{
	uint32_t ino = le32toh(e->e_value_inum);
	struct fs *fs = owner->fs;
	struct inode *ea;
	bool lustre;
	int err;

	/* An inode that is a value has no values itself. */
	if (!ino || (owner->i.flags & EXT4_EA_INODE_FL))
		return 0;
	err = get(fs, owner->ino, ino, &ea);
	if (err)
		return err;
	lustre = is_lustre(ea, owner);
	if (!lustre)
		inode_add_blocks(owner, -charge(fs, le32toh(e->e_value_size)));
	if (!shared)
		err = unref(t, ea, lustre);
	inode_put(ea);
	return err;
}

int eainode_leave_all(struct txn *t, struct inode *owner,
		      const struct ea_area *a, bool shared)
{
	ea_entry *e;
	int err = 0;

	for (e = (ea_entry *)a->first; !err && !ea_last(a, e); e = ea_next(e))
		err = eainode_leave(t, owner, e, shared);
	return err;
}
