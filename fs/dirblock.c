/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirblock.c - one directory block: dirents, checksums, reading, appending.
 *
 * All blocks of a directory have one cache type.  Whether a block is a leaf
 * or part of the index cannot always be known before it is read (a linear
 * scan meets both), but it shows: parts of the index look like dirents that
 * span the block, which leaves no place for a leaf's checksum.  So the
 * checksum rule follows from the content, and structure inside the index is
 * checked by htree.c, when it is walked.
 *
 * Needs the volume lock.
 */
#include "dir_internal.h"

#include <assert.h>
#include <string.h>

#include "alloc.h"
#include "../journal/txn.h"

#define SCAN_AHEAD	64		/* blocks */

/* Blocks of 64k and more do not fit 16 bits: rec_len is a multiple of 4, its
 * two low bits hold bits 16 and 17; the block itself is 65535 or 0. */
unsigned de_rec_len(unsigned raw, unsigned blocksize)
{
	if (blocksize < 65536)
		return raw;
	if (raw == 65535 || raw == 0)
		return blocksize;
	return (raw & 65532) | (raw & 3) << 16;
}

unsigned de_raw_len(unsigned rec_len, unsigned blocksize)
{
	if (rec_len < 65536)
		return rec_len;
	if (rec_len == blocksize)
		return blocksize == 65536 ? 65535 : 0;
	return (rec_len & 65532) | ((rec_len >> 16) & 3);
}

static struct ext2_dir_entry_2 *de_at(const struct dirents *l, unsigned off)
{
	return (struct ext2_dir_entry_2 *)(l->p + off);
}

static unsigned de_len_at(const uint8_t *data, unsigned off, unsigned blocksize)
{
	const struct ext2_dir_entry_2 *de = (const void *)(data + off);

	return de_rec_len(le16toh(de->rec_len), blocksize);
}

int dirents_next(const struct dirents *l, unsigned *off, struct dirent_ref *e)
{
	const struct ext2_dir_entry_2 *de;
	unsigned left = l->len - *off;

	if (!left)
		return 0;
	if (left < DE_MIN)
		return -EFSCORRUPTED;
	de = de_at(l, *off);
	e->off = *off;
	e->rec_len = de_rec_len(le16toh(de->rec_len), l->blocksize);
	e->ino = le32toh(de->inode);
	e->name_len = de->name_len;
	e->type = de->file_type;
	e->name = (const char *)de + DE_HEADER;
	if (e->rec_len < DE_MIN || (e->rec_len & 3) || e->rec_len > left ||
	    e->rec_len < DE_HEADER + e->name_len)
		return -EFSCORRUPTED;
	*off += e->rec_len;
	return 1;
}

/* Do the dirents fill the list exactly?  Else *BAD is the byte where not. */
int dirents_check(const struct dirents *l, unsigned *bad)
{
	struct dirent_ref e;
	int ret;

	*bad = 0;
	while ((ret = dirents_next(l, bad, &e)) > 0)
		;
	return ret;
}

int dirents_find(struct inode *dir, const struct dirents *l, const char *name,
		 size_t len, struct dir_found *f)
{
	bool fold = dir->i.flags & EXT4_CASEFOLD_FL;
	unsigned off = 0, prev = 0;
	struct dirent_ref e;
	int ret;

	while ((ret = dirents_next(l, &off, &e)) > 0) {
		if (e.ino && (e.name_len == len || fold) &&
		    dir_name_equal(dir, e.name, e.name_len, name, len)) {
			f->off = e.off;
			f->prev = prev;
			f->ino = e.ino;
			f->type = e.type;
			return 1;
		}
		prev = e.off;
	}
	return ret;
}

int dirents_room(const struct dirents *l, unsigned need, unsigned *off)
{
	struct dirent_ref e;
	unsigned next = 0;
	int ret;

	while ((ret = dirents_next(l, &next, &e)) > 0) {
		unsigned used = e.ino ? de_size(e.name_len) : 0;

		if (e.rec_len >= used + need) {
			*off = e.off;
			return 1;
		}
	}
	return ret;
}

void dirent_write(const struct dirents *l, unsigned off, unsigned rec_len,
		  const struct dir_new *n)
{
	struct ext2_dir_entry_2 *de = de_at(l, off);

	assert(rec_len >= de_size(n->len) && off + rec_len <= l->len);
	de->inode = htole32(n->ino);
	de->rec_len = htole16(de_raw_len(rec_len, l->blocksize));
	de->name_len = n->len;
	de->file_type = n->type;
	memset((uint8_t *)de + DE_HEADER, 0, de_size(n->len) - DE_HEADER);
	memcpy((uint8_t *)de + DE_HEADER, n->name, n->len);
}

void dirents_put(const struct dirents *l, unsigned off, const struct dir_new *n)
{
	struct ext2_dir_entry_2 *de = de_at(l, off);
	unsigned len = de_rec_len(le16toh(de->rec_len), l->blocksize);

	if (de->inode) {
		unsigned used = de_size(de->name_len);

		de->rec_len = htole16(de_raw_len(used, l->blocksize));
		off += used;
		len -= used;
	}
	dirent_write(l, off, len, n);
}

void dirents_remove(const struct dirents *l, unsigned off, unsigned prev)
{
	struct ext2_dir_entry_2 *de = de_at(l, off);
	unsigned len = de_rec_len(le16toh(de->rec_len), l->blocksize);
	unsigned used = de_size(de->name_len);

	assert(prev <= off && off + len <= l->len && used <= len);
	if (prev == off) {
		de->inode = 0;
		de->name_len = 0;
		de->file_type = 0;
		memset((uint8_t *)de + DE_HEADER, 0, used - DE_HEADER);
		return;
	}
	memset(de, 0, used);
	de_at(l, prev)->rec_len =
		htole16(de_raw_len(off + len - prev, l->blocksize));
}

void dirents_set(const struct dirents *l, unsigned off, uint32_t ino, uint8_t type)
{
	struct ext2_dir_entry_2 *de = de_at(l, off);

	de->inode = htole32(ino);
	de->file_type = type;
}

void dirents_clear(const struct dirents *l)
{
	memset(l->p, 0, l->len);
	de_at(l, 0)->rec_len = htole16(de_raw_len(l->len, l->blocksize));
}

int dirents_stretch(const struct dirents *l, unsigned old)
{
	struct dirents part = { l->p, old, l->blocksize };
	struct dirent_ref e = { .off = 0 };
	unsigned off = 0;
	int ret;

	while ((ret = dirents_next(&part, &off, &e)) > 0)
		;
	if (ret)
		return ret;
	de_at(l, e.off)->rec_len =
		htole16(de_raw_len(l->len - e.off, l->blocksize));
	return 0;
}

/*
 * Where the count, limit and entries of a part of the index would be in this
 * block: DX_ROOT_ENTRIES, DX_NODE_ENTRIES, or 0 if it has not that shape.
 */
static unsigned dx_shape(const struct fs *fs, const uint8_t *data)
{
	const struct ext2_dx_root_info *info = (const void *)(data + DX_ROOT_INFO);
	unsigned first = de_len_at(data, 0, fs->blocksize);

	if (first == fs->blocksize)
		return DX_NODE_ENTRIES;
	if (first != 12 ||
	    de_len_at(data, 12, fs->blocksize) != fs->blocksize - 12 ||
	    info->reserved_zero || info->info_length != 8)
		return 0;
	return DX_ROOT_ENTRIES;
}

static struct ext2_dir_entry_tail *leaf_tail(const struct fs *fs, uint8_t *data)
{
	struct ext2_dir_entry_tail *tail =
		(void *)(data + fs->blocksize - DE_TAIL);

	if (dx_shape(fs, data) || tail->det_reserved_zero1 ||
	    le16toh(tail->det_rec_len) != DE_TAIL ||
	    le16toh(tail->det_reserved_name_len) != EXT2_DIR_NAME_LEN_CSUM)
		return NULL;
	return tail;
}

unsigned dir_leaf_bytes(const struct fs *fs)
{
	return fs->blocksize - (fs->csum ? DE_TAIL : 0);
}

bool dir_block_is_leaf(const struct fs *fs, const struct buf *b)
{
	return !fs->csum || leaf_tail(fs, b->data);
}

struct dirents dir_block_list(const struct fs *fs, const struct buf *b)
{
	struct dirents l = { b->data, fs->blocksize, fs->blocksize };

	if (fs->csum && leaf_tail(fs, b->data))
		l.len -= DE_TAIL;
	return l;
}

void dir_leaf_init(const struct fs *fs, uint8_t *data)
{
	struct dirents l = { data, dir_leaf_bytes(fs), fs->blocksize };
	struct ext2_dir_entry_tail *tail = (void *)(data + l.len);

	dirents_clear(&l);
	if (!fs->csum)
		return;
	memset(tail, 0, sizeof(*tail));
	tail->det_rec_len = htole16(DE_TAIL);
	tail->det_reserved_name_len = htole16(EXT2_DIR_NAME_LEN_CSUM);
}

/*
 * The place of the checksum in a directory block, and its right value (in
 * disk order).  NULL: the block has no place for one.
 */
static uint32_t *dir_block_csum(const struct fs *fs, struct buf *b, uint32_t *crc)
{
	uint32_t seed = inode_csum_seed(fs, b->ino, b->gen), zero = 0;
	struct ext2_dir_entry_tail *tail = leaf_tail(fs, b->data);
	unsigned entries = dx_shape(fs, b->data), limit, count;
	const struct ext2_dx_countlimit *cl;
	struct ext2_dx_tail *dx;

	if (tail) {
		*crc = htole32(ext2fs_crc32c_le(seed, b->data,
						fs->blocksize - DE_TAIL));
		return &tail->det_checksum;
	}
	if (!entries)
		return NULL;
	cl = (const void *)(b->data + entries);
	limit = le16toh(cl->limit);
	count = le16toh(cl->count);
	if (count > limit || entries + limit * 8 > fs->blocksize - DX_TAIL)
		return NULL;
	dx = (void *)(b->data + entries + limit * 8);
	seed = ext2fs_crc32c_le(seed, b->data, entries + count * 8);
	seed = ext2fs_crc32c_le(seed, (void *)&dx->dt_reserved, 4);
	*crc = htole32(ext2fs_crc32c_le(seed, (void *)&zero, 4));
	return &dx->dt_checksum;
}

static int dir_block_verify(struct fs *fs, struct buf *b)
{
	struct dirents l = dir_block_list(fs, b);
	uint32_t crc, *stored;
	unsigned bad;

	if (dirents_check(&l, &bad))
		return fs_corrupt(fs, b->ino, b->blk,
				  "bad directory entry at byte %u", bad);
	if (!fs->csum)
		return 0;
	stored = dir_block_csum(fs, b, &crc);
	if (!stored)
		return fs_fail(fs, -EFSBADCRC, b->ino, b->blk,
			       "directory block without a checksum");
	if (*stored != crc)
		return fs_fail(fs, -EFSBADCRC, b->ino, b->blk,
			       "directory block checksum is wrong");
	return 0;
}

static void dir_block_seal(struct fs *fs, struct buf *b)
{
	uint32_t crc, *stored;

	if (!fs->csum)
		return;
	stored = dir_block_csum(fs, b, &crc);
	if (stored)
		*stored = crc;
}

const struct buf_type dir_block_type = {
	.name = "directory",
	.rank = RANK_DIR,
	.verify = dir_block_verify,
	.seal = dir_block_seal,
};

uint64_t dir_blocks(const struct inode *dir)
{
	uint64_t n = dir->i.size >> dir->fs->blockbits;

	return n < UINT32_MAX ? n : UINT32_MAX;
}

int dir_block_get(struct inode *dir, uint32_t lblk, struct buf **out)
{
	struct fs *fs = dir->fs;
	struct map m;
	int err;

	err = map_lookup(dir, lblk, 1, &m);
	if (err)
		return err;
	if (m.state != MAP_WRITTEN)
		return fs_corrupt(fs, dir->ino, 0,
				  "directory block %u is a hole", lblk);
	return cache_get(fs->cache, m.pblk + (lblk - m.lblk), &dir_block_type,
			 dir->ino, dir->i.generation, out);
}

/* The largest directory: without large_dir the upper half of i_size is not
 * used, and the kernel counts in 31 bits. */
static bool dir_may_grow(struct inode *dir)
{
	uint64_t size = dir->i.size + dir->fs->blocksize;

	if (size > map_max_size(dir))
		return false;
	if (!ext2fs_has_feature_largedir(dir->fs->e2->super))
		return size < (uint64_t)1 << 31;
	return size >> dir->fs->blockbits <= EXT4_DX_BLOCK_MASK;
}

/* Allocates a block for LBLK; with bigalloc, the part of a cluster that the
 * block has to be. */
static int dir_block_alloc(struct txn *t, struct inode *dir, uint32_t lblk,
			   uint64_t *pblk)
{
	uint64_t got;
	int err;

	if (dir->fs->cluster_ratio > 1) {
		err = map_cluster(dir, lblk, pblk);
		if (err || *pblk)
			return err;
	}
	err = block_alloc(t, dir, map_goal(dir, lblk), dir->fs->cluster_ratio,
			  ALLOC_META, pblk, &got);
	if (!err)
		*pblk += lblk & (dir->fs->cluster_ratio - 1);
	return err;
}

int dir_block_append(struct txn *t, struct inode *dir, uint32_t *lblk,
		     struct buf **out)
{
	struct fs *fs = dir->fs;
	uint64_t pblk;
	int err;

	if (dir->i.size & (fs->blocksize - 1))
		return fs_corrupt(fs, dir->ino, 0,
				  "directory size is not a number of blocks");
	if (!dir_may_grow(dir))
		return -ENOSPC;
	err = inode_dirty(t, dir);
	if (err)
		return err;
	*lblk = dir->i.size >> fs->blockbits;
	err = dir_block_alloc(t, dir, *lblk, &pblk);
	if (!err)
		err = map_insert(t, dir, *lblk, pblk, 1, false);
	if (!err)
		err = cache_get_new(fs->cache, pblk, &dir_block_type, dir->ino,
				    dir->i.generation, out);
	if (err)
		return err;
	err = txn_write(t, *out);
	if (err) {
		cache_put(*out);
		return err;
	}
	dir->i.size += fs->blocksize;
	return 0;
}

void dir_scan_start(struct dir_scan *s, struct inode *dir, uint64_t from)
{
	memset(s, 0, sizeof(*s));
	s->dir = dir;
	s->next = from;
	s->end = dir_blocks(dir);
}

/* Finds the mapping of block S->next, stepping over holes. */
static int dir_scan_map(struct dir_scan *s)
{
	struct fs *fs = s->dir->fs;
	int err;

	while (s->next < s->end) {
		if (s->next >= s->m.lblk && s->next - s->m.lblk < s->m.len &&
		    s->m.state == MAP_WRITTEN)
			return 0;
		err = map_lookup(s->dir, s->next, s->end - s->next, &s->m);
		if (err) {
			s->next = s->end;
			return err;
		}
		s->ahead = s->next;
		if (s->m.state == MAP_WRITTEN)
			return 0;
		if (!s->hole)
			fs_corrupt(fs, s->dir->ino, 0,
				   "directory block %llu is a hole",
				   (unsigned long long)s->next);
		s->hole = true;
		s->next = s->m.lblk + s->m.len;
	}
	return 0;
}

int dir_scan_next(struct dir_scan *s, struct buf **out)
{
	struct fs *fs = s->dir->fs;
	uint64_t pblk, left;
	int err;

	err = dir_scan_map(s);
	if (err)
		return err;
	if (s->next >= s->end)
		return 0;
	pblk = s->m.pblk + (s->next - s->m.lblk);
	left = s->m.len - (s->next - s->m.lblk);
	if (s->next >= s->ahead) {
		left = left < SCAN_AHEAD ? left : SCAN_AHEAD;
		if (left > 1)
			cache_readahead(fs->cache, pblk, (unsigned)left);
		s->ahead = s->next + left;
	}
	s->lblk = s->next++;
	err = cache_get(fs->cache, pblk, &dir_block_type, s->dir->ino,
			s->dir->i.generation, out);
	return err ? err : 1;
}
