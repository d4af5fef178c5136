/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr_block.c - the attribute block, which several inodes may share.
 *
 * Knows its header, checksum and reference count.  A block that others use
 * too is copied before it is changed; a new one is never shared.  The values
 * in inodes that a block refers to are counted once per block, however many
 * inodes share it.
 *
 * Needs the volume lock; takes none.
 */
#include <string.h>

#include "alloc.h"
#include "fs.h"
#include "inode.h"
#include "xattr_internal.h"
#include "io/cache.h"
#include "journal/txn.h"

typedef struct ext2_ext_attr_header ea_header;

static ea_header *header(struct buf *b)
{
	return (ea_header *)b->data;
}

static void area_of(struct fs *fs, struct buf *b, struct ea_area *a)
{
	*a = (struct ea_area){
		.base = b->data,
		.first = b->data + sizeof(ea_header),
		.end = b->data + fs->blocksize,
		.sorted = true,
		.hashed = true,
	};
}

/* Of the block's number and its contents, the checksum taken as zero. */
static uint32_t checksum(struct fs *fs, struct buf *b)
{
	size_t at = offsetof(ea_header, h_checksum), after = at + sizeof(uint32_t);
	uint64_t blk = htole64(b->blk);
	const uint8_t zero[4] = { 0 };
	uint32_t crc;

	crc = ext2fs_crc32c_le(fs->csum_seed, (uint8_t *)&blk, sizeof(blk));
	crc = ext2fs_crc32c_le(crc, b->data, at);
	crc = ext2fs_crc32c_le(crc, zero, sizeof(zero));
	return ext2fs_crc32c_le(crc, b->data + after, fs->blocksize - after);
}

static int verify(struct fs *fs, struct buf *b)
{
	const ea_header *h = header(b);
	struct ea_area a;

	if (le32toh(h->h_magic) != EXT2_EXT_ATTR_MAGIC ||
	    le32toh(h->h_blocks) != 1 || !h->h_refcount)
		return fs_corrupt(fs, 0, b->blk, "bad attribute block");
	if (fs->csum && le32toh(h->h_checksum) != checksum(fs, b))
		return fs_fail(fs, -EFSBADCRC, 0, b->blk,
			       "bad checksum of attribute block");
	area_of(fs, b, &a);
	if (ea_check(&a))
		return fs_corrupt(fs, 0, b->blk,
				  "bad attributes in attribute block");
	return 0;
}

/* The hash of all entries: 0, "do not share", if one of them has none. */
static uint32_t hash_all(struct fs *fs, struct buf *b)
{
	struct ea_area a;
	uint32_t hash = 0;
	ea_entry *e;

	area_of(fs, b, &a);
	for (e = (ea_entry *)a.first; !ea_last(&a, e); e = ea_next(e)) {
		if (!e->e_hash)
			return 0;
		hash = (hash << 16 | hash >> 16) ^ le32toh(e->e_hash);
	}
	return hash;
}

static void seal(struct fs *fs, struct buf *b)
{
	header(b)->h_hash = htole32(hash_all(fs, b));
	if (fs->csum)
		header(b)->h_checksum = htole32(checksum(fs, b));
}

static const struct buf_type eablock_type = {
	.name = "attribute block",
	.rank = RANK_XATTR,
	.verify = verify,
	.seal = seal,
};

int eablock_get(struct inode *inode, struct buf **b)
{
	struct fs *fs = inode->fs;
	uint64_t blk = inode->i.file_acl;

	*b = NULL;
	if (!blk)
		return 0;
	if (!fs_block_valid(fs, blk, 1))
		return fs_corrupt(fs, inode->ino, blk,
				  "attribute block outside the volume");
	return cache_get(fs->cache, blk, &eablock_type, 0, 0, b);
}

void eablock_area(struct inode *inode, struct buf *b, struct ea_area *a)
{
	area_of(inode->fs, b, a);
}

bool eablock_shared(const struct buf *b)
{
	return le32toh(((const ea_header *)b->data)->h_refcount) > 1;
}

/* Allocates a block for INODE's attributes; a whole cluster, where those are
 * larger. */
static int alloc_block(struct txn *t, struct inode *inode, uint64_t *blk)
{
	unsigned ratio = inode->fs->cluster_ratio;
	uint64_t got;
	int err = inode_dirty(t, inode);

	if (!err)
		err = block_alloc(t, inode, 0, ratio, ALLOC_META, blk, &got);
	if (err)
		return err;
	inode->i.file_acl = *blk;
	inode_add_blocks(inode, ratio);
	return 0;
}

/* Takes INODE's block from it; FREE: nobody else has it. */
static int detach(struct txn *t, struct inode *inode, bool free)
{
	unsigned ratio = inode->fs->cluster_ratio;
	uint64_t blk = inode->i.file_acl;
	int err = inode_dirty(t, inode);

	if (err)
		return err;
	inode->i.file_acl = 0;
	inode_add_blocks(inode, -(int64_t)ratio);
	if (!free)
		return 0;
	blk &= ~(uint64_t)(ratio - 1);
	return block_free(t, inode, blk, ratio, true);
}

int eablock_new(struct txn *t, struct inode *inode, struct buf **b)
{
	struct fs *fs = inode->fs;
	uint64_t blk;
	int err = alloc_block(t, inode, &blk);

	if (err)
		return err;
	err = cache_get_new(fs->cache, blk, &eablock_type, 0, 0, b);
	if (err)
		return err;
	err = txn_write(t, *b);
	if (err) {
		cache_put(*b);
		*b = NULL;
		return err;
	}
	memset((*b)->data, 0, fs->blocksize);
	header(*b)->h_magic = htole32(EXT2_EXT_ATTR_MAGIC);
	header(*b)->h_refcount = htole32(1);
	header(*b)->h_blocks = htole32(1);
	return 0;
}

/* One user less of B, which has others. */
static int drop_share(struct txn *t, struct buf *b)
{
	int err = txn_write(t, b);

	if (!err)
		header(b)->h_refcount =
			htole32(le32toh(header(b)->h_refcount) - 1);
	return err;
}

/* The copy refers to the same inodes as its original. */
static int ref_all(struct txn *t, const struct ea_area *a, uint32_t skip)
{
	ea_entry *e;
	int err;

	for (e = (ea_entry *)a->first; !ea_last(a, e); e = ea_next(e)) {
		uint32_t ino = le32toh(e->e_value_inum);

		if (!ino || ino == skip)
			continue;
		err = eainode_ref(t, ino);
		if (err)
			return err;
	}
	return 0;
}

static int copy_block(struct txn *t, struct inode *inode, struct buf **b,
		      uint32_t skip)
{
	struct buf *old = *b, *copy;
	size_t head = sizeof(ea_header);
	struct ea_area a;
	int err = drop_share(t, old);

	if (!err)
		err = detach(t, inode, false);
	if (!err)
		err = eablock_new(t, inode, &copy);
	if (err)
		return err;
	memcpy(copy->data + head, old->data + head,
	       inode->fs->blocksize - head);
	*b = copy;
	cache_put(old);
	area_of(inode->fs, copy, &a);
	return ref_all(t, &a, skip);
}

int eablock_write(struct txn *t, struct inode *inode, struct buf **b,
		  uint32_t skip)
{
	if (eablock_shared(*b))
		return copy_block(t, inode, b, skip);
	return txn_write(t, *b);
}

int eablock_drop(struct txn *t, struct inode *inode, struct buf *b)
{
	bool shared = eablock_shared(b);
	struct ea_area a;
	int err = inode_dirty(t, inode);

	area_of(inode->fs, b, &a);
	if (!err)
		err = eainode_leave_all(t, inode, &a, shared);
	if (!err && shared)
		err = drop_share(t, b);
	cache_put(b);
	return err ? err : detach(t, inode, !shared);
}
