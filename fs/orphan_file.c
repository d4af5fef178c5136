/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orphan_file.c - the orphan file: a table of inode numbers in the blocks of
 * an inode of its own.
 *
 * Knows the layout of its blocks (32-bit numbers, 0 for free, and a tail with
 * magic and checksum), which of them have room, and the ORPHAN_PRESENT bit
 * that says whether there is anything in it: while that is clear the blocks
 * are not read at all.
 *
 * Needs the volume lock, takes none.
 */
#include <endian.h>
#include <stdlib.h>

#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/map.h"
#include "fs/orphan.h"
#include "fs/orphan_internal.h"
#include "io/cache.h"
#include "journal/txn.h"

#define ORPHAN_MAGIC	0x0b10ca04
#define MAX_BLOCKS	8192		/* far more than mke2fs makes */

struct orphans {
	uint32_t ino, gen;
	uint32_t per_block;
	uint32_t count;			/* blocks */
	uint32_t first;			/* blocks before it are full */
	uint32_t total;			/* slots in use */
	struct {
		uint64_t blk;
		uint32_t used;
	} block[];
};

struct orphan_tail {
	uint32_t magic;
	uint32_t csum;
};

static uint32_t *slots_of(const struct buf *b)
{
	return (uint32_t *)b->data;
}

static struct orphan_tail *tail_of(struct fs *fs, const struct buf *b)
{
	return (struct orphan_tail *)
		(b->data + fs->blocksize - sizeof(struct orphan_tail));
}

static uint32_t block_csum(struct fs *fs, const struct buf *b)
{
	uint64_t blk = htole64(b->blk);
	uint32_t crc = inode_csum_seed(fs, b->ino, b->gen);

	crc = ext2fs_crc32c_le(crc, (uint8_t *)&blk, sizeof(blk));
	return ext2fs_crc32c_le(crc, b->data, (fs->blocksize -
				sizeof(struct orphan_tail)) / 4 * 4);
}

static int orphan_verify(struct fs *fs, struct buf *b)
{
	const struct orphan_tail *tail = tail_of(fs, b);

	if (le32toh(tail->magic) != ORPHAN_MAGIC)
		return fs_corrupt(fs, b->ino, b->blk,
				  "orphan file: bad block");
	if (fs->csum && le32toh(tail->csum) != block_csum(fs, b))
		return fs_fail(fs, -EFSBADCRC, b->ino, b->blk,
			       "orphan file: wrong checksum");
	return 0;
}

static void orphan_seal(struct fs *fs, struct buf *b)
{
	if (fs->csum)
		tail_of(fs, b)->csum = htole32(block_csum(fs, b));
}

static const struct buf_type orphan_type = {
	"orphan file", RANK_XATTR, orphan_verify, orphan_seal
};

static int get_block(struct fs *fs, uint32_t i, struct buf **b)
{
	struct orphans *o = fs->orphans;

	return cache_get(fs->cache, o->block[i].blk, &orphan_type, o->ino,
			 o->gen, b);
}

static bool is_present(struct fs *fs)
{
	return le32toh(fs_super(fs)->s_feature_ro_compat) &
	       EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT;
}

/* --- set-up --- */

static int map_file(struct inode *inode, struct orphans *o)
{
	struct map m;
	uint32_t i = 0;
	uint64_t n;
	int err;

	while (i < o->count) {
		err = map_lookup(inode, i, o->count - i, &m);
		if (err)
			return err;
		if (m.state != MAP_WRITTEN ||
		    !fs_block_valid(inode->fs, m.pblk, m.len))
			return fs_corrupt(inode->fs, inode->ino, m.pblk,
					  "orphan file: bad map");
		for (n = 0; n < m.len && i < o->count; n++)
			o->block[i++].blk = m.pblk + n;
	}
	return 0;
}

static int count_used(struct fs *fs, struct orphans *o)
{
	struct buf *b;
	uint32_t i, s;
	int err;

	for (i = 0; i < o->count; i++) {
		err = get_block(fs, i, &b);
		if (err)
			return err;
		for (s = 0; s < o->per_block; s++)
			o->block[i].used += slots_of(b)[s] != 0;
		o->total += o->block[i].used;
		cache_put(b);
	}
	return 0;
}

static int open_file(struct fs *fs, struct inode *inode)
{
	uint64_t count = inode->i.size >> fs->blockbits;
	struct orphans *o;
	int err;

	if (!S_ISREG(inode->i.mode) || inode_has_inline(inode) ||
	    count > MAX_BLOCKS)
		return fs_corrupt(fs, inode->ino, 0, "bad orphan file");
	o = calloc(1, sizeof(*o) + count * sizeof(o->block[0]));
	if (!o)
		return -ENOMEM;
	o->ino = inode->ino;
	o->gen = inode->i.generation;
	o->per_block = (fs->blocksize - sizeof(struct orphan_tail)) / 4;
	o->count = count;
	err = map_file(inode, o);
	fs->orphans = o;
	if (!err && is_present(fs))
		err = count_used(fs, o);
	return err;
}

/* A damaged file is not used: the list will do. */
int orphan_open(struct fs *fs)
{
	struct inode *inode;
	int err;

	if (fs->rdonly || !ext2fs_has_feature_orphan_file(fs->e2->super))
		return 0;
	err = inode_get_any(fs, le32toh(fs_super(fs)->s_orphan_file_inum),
			    &inode);
	if (!err) {
		err = open_file(fs, inode);
		inode_put(inode);
	}
	if (err)
		orphan_close(fs);
	return err == -ENOMEM ? err : 0;
}

void orphan_close(struct fs *fs)
{
	free(fs->orphans);
	fs->orphans = NULL;
}

static int set_present(struct txn *t)
{
	struct fs *fs = txn_fs(t);
	struct ext2_super_block *sb;

	if (is_present(fs))
		return 0;
	sb = fs_super_write(t);
	if (!sb)
		return -ENOMEM;
	sb->s_feature_ro_compat |=
		htole32(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
	return 0;
}

void orphan_clear_present(struct fs *fs, struct ext2_super_block *sb)
{
	if (fs->orphans && !fs->orphans->total)
		sb->s_feature_ro_compat &=
			htole32(~EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
}

/* --- slots --- */

static int save_counts(struct txn *t, struct orphans *o, uint32_t i)
{
	int err = txn_save(t, &o->block[i], sizeof(o->block[i]));

	if (!err)
		err = txn_save(t, &o->total, sizeof(o->total));
	if (!err)
		err = txn_save(t, &o->first, sizeof(o->first));
	return err;
}

static int fill_slot(struct txn *t, struct inode *inode, uint32_t i)
{
	struct fs *fs = inode->fs;
	struct orphans *o = fs->orphans;
	struct buf *b;
	uint32_t s;
	int err;

	err = get_block(fs, i, &b);
	if (err)
		return err;
	for (s = 0; s < o->per_block && slots_of(b)[s]; s++)
		;
	if (s == o->per_block)
		err = fs_corrupt(fs, o->ino, b->blk,
				 "orphan file: in use without saying so");
	if (!err)
		err = save_counts(t, o, i);
	if (!err)
		err = txn_write(t, b);
	if (!err) {
		slots_of(b)[s] = htole32(inode->ino);
		o->block[i].used++;
		o->total++;
		inode->orphan_slot = i * o->per_block + s + 1;
	}
	cache_put(b);
	return err;
}

int orphan_file_add(struct txn *t, struct inode *inode)
{
	struct orphans *o = inode->fs->orphans;
	uint32_t i;
	int err;

	if (!o)
		return 1;
	for (i = o->first; i < o->count; i++)
		if (o->block[i].used < o->per_block)
			break;
	if (i == o->count)
		return 1;
	err = set_present(t);
	if (!err)
		err = fill_slot(t, inode, i);
	if (!err)
		o->first = i;
	return err;
}

int orphan_file_del(struct txn *t, uint32_t slot)
{
	struct fs *fs = txn_fs(t);
	struct orphans *o = fs->orphans;
	uint32_t i = (slot - 1) / o->per_block;
	struct buf *b;
	int err;

	err = get_block(fs, i, &b);
	if (err)
		return err;
	err = save_counts(t, o, i);
	if (!err)
		err = txn_write(t, b);
	if (!err) {
		slots_of(b)[(slot - 1) % o->per_block] = 0;
		o->block[i].used--;
		o->total--;
		if (i < o->first)
			o->first = i;
	}
	cache_put(b);
	return err;
}

int64_t orphan_file_next(struct fs *fs, uint32_t *slot)
{
	struct orphans *o = fs->orphans;
	uint32_t i, s, ino = 0;
	struct buf *b;
	int err;

	if (!o || !o->total)
		return 0;
	i = (*slot - 1) / o->per_block;
	s = (*slot - 1) % o->per_block;
	for (; i < o->count && !ino; i++, s = 0) {
		if (!o->block[i].used)
			continue;
		err = get_block(fs, i, &b);
		if (err)
			return err;
		for (; s < o->per_block && !ino; s++) {
			ino = le32toh(slots_of(b)[s]);
			*slot = i * o->per_block + s + 1;
		}
		cache_put(b);
	}
	return ino;
}
