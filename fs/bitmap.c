/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.c - block and inode bitmaps: read on demand, made up where a group
 * was never used (the UNINIT flags), checked when they enter memory.
 *
 * Knows what must be set in a bitmap and where its checksum is (in the group
 * descriptor, written there when the bitmap is sealed); not who wants a block.
 *
 * Needs the volume lock, takes none.
 */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "fs/group.h"
#include "io/cache.h"
#include "journal/txn.h"

/* --- bits --- */

static uint64_t load_word(const uint8_t *map, uint32_t word)
{
	uint64_t w;

	memcpy(&w, map + word * 8, sizeof(w));
	return le64toh(w);
}

/* The first bit set in the map xor FLIP; the map is whole words. */
static uint32_t next_bit(const uint8_t *map, uint32_t from, uint32_t end,
			 uint64_t flip)
{
	uint32_t word = from / 64, last;
	uint64_t w;

	if (from >= end)
		return end;
	last = (end - 1) / 64;
	w = (load_word(map, word) ^ flip) & ~0ULL << (from & 63);
	while (!w) {
		if (word == last)
			return end;
		w = load_word(map, ++word) ^ flip;
	}
	from = word * 64 + __builtin_ctzll(w);
	return from < end ? from : end;
}

uint32_t bit_next_zero(const uint8_t *map, uint32_t from, uint32_t end)
{
	return next_bit(map, from, end, ~0ULL);
}

uint32_t bit_next_set(const uint8_t *map, uint32_t from, uint32_t end)
{
	return next_bit(map, from, end, 0);
}

static void fill_range(uint8_t *map, uint32_t from, uint32_t count, bool set)
{
	uint32_t end = from + count;

	for (; from < end && from & 7; from++) {
		if (set)
			map[from >> 3] |= 1 << (from & 7);
		else
			map[from >> 3] &= ~(1 << (from & 7));
	}
	if (end - from >= 8) {
		memset(map + (from >> 3), set ? 0xff : 0, (end - from) >> 3);
		from += (end - from) & ~7U;
	}
	for (; from < end; from++) {
		if (set)
			map[from >> 3] |= 1 << (from & 7);
		else
			map[from >> 3] &= ~(1 << (from & 7));
	}
}

void bit_set_range(uint8_t *map, uint32_t from, uint32_t count)
{
	fill_range(map, from, count, true);
}

void bit_clear_range(uint8_t *map, uint32_t from, uint32_t count)
{
	fill_range(map, from, count, false);
}

uint32_t bit_count_zero(const uint8_t *map, uint32_t nbits)
{
	uint32_t n = 0, i;

	for (i = 0; i < nbits / 64; i++)
		n += __builtin_popcountll(~load_word(map, i));
	for (i *= 64; i < nbits; i++)
		n += !bit_test(map, i);
	return n;
}

/* --- what a bitmap must look like --- */

static uint32_t bitmap_bits(struct fs *fs, uint32_t g, enum bitmap_kind kind)
{
	return kind == BITMAP_BLOCKS ? group_clusters(fs, g) :
				       fs->groups->inodes_per_group;
}

/*
 * Calls FN with the bits of each stretch of fixed metadata in the group,
 * until it returns false.
 */
static bool each_zone(struct fs *fs, uint32_t g,
		      bool (*fn)(uint8_t *bits, uint32_t from, uint32_t count),
		      uint8_t *bits)
{
	struct groups *gs = fs->groups;
	uint64_t first = group_first_block(fs, g);
	uint64_t end = first + gs->blocks_per_group, from, to;
	uint32_t clusters = group_clusters(fs, g), a, b;
	const struct zone *z = zone_find(gs, first, gs->blocks_per_group);

	for (; z && z < gs->zones + gs->zone_count && z->start < end; z++) {
		from = z->start > first ? z->start : first;
		to = z->end < end ? z->end : end;
		a = (from - first) >> fs->clusterbits;
		b = (to - first - 1) >> fs->clusterbits;
		if (b >= clusters)
			b = clusters - 1;
		if (a <= b && !fn(bits, a, b - a + 1))
			return false;
	}
	return true;
}

static bool zone_set(uint8_t *bits, uint32_t from, uint32_t count)
{
	bit_set_range(bits, from, count);
	return true;
}

static bool zone_is_set(uint8_t *bits, uint32_t from, uint32_t count)
{
	return bit_next_zero(bits, from, from + count) == from + count;
}

/* The bitmap of a group that was never used. */
static void make_up(struct fs *fs, uint32_t g, enum bitmap_kind kind,
		    uint8_t *bits)
{
	uint32_t n = bitmap_bits(fs, g, kind);

	memset(bits, 0, fs->blocksize);
	bit_set_range(bits, n, fs->blocksize * 8 - n);
	if (kind == BITMAP_BLOCKS)
		each_zone(fs, g, zone_set, bits);
}

/* --- checksums --- */

static uint32_t bitmap_csum(struct fs *fs, enum bitmap_kind kind,
			    const uint8_t *bits)
{
	struct groups *gs = fs->groups;
	uint32_t n = kind == BITMAP_BLOCKS ? gs->clusters_per_group :
					     gs->inodes_per_group;

	return ext2fs_crc32c_le(fs->csum_seed, bits, n / 8);
}

static bool csum_is_wide(struct fs *fs, enum bitmap_kind kind)
{
	return fs->groups->desc_size >=
	       (kind == BITMAP_BLOCKS ? EXT4_BG_BLOCK_BITMAP_CSUM_HI_LOCATION :
					EXT4_BG_INODE_BITMAP_CSUM_HI_END);
}

static uint32_t get_csum(struct fs *fs, enum bitmap_kind kind,
			 const struct ext4_group_desc *d)
{
	uint32_t lo = le16toh(kind == BITMAP_BLOCKS ?
			      d->bg_block_bitmap_csum_lo :
			      d->bg_inode_bitmap_csum_lo);

	if (!csum_is_wide(fs, kind))
		return lo;
	return lo | (uint32_t)le16toh(kind == BITMAP_BLOCKS ?
				      d->bg_block_bitmap_csum_hi :
				      d->bg_inode_bitmap_csum_hi) << 16;
}

static void put_csum(struct fs *fs, enum bitmap_kind kind,
		     struct ext4_group_desc *d, uint32_t crc)
{
	bool wide = csum_is_wide(fs, kind);

	if (kind == BITMAP_BLOCKS) {
		d->bg_block_bitmap_csum_lo = htole16(crc & 0xffff);
		if (wide)
			d->bg_block_bitmap_csum_hi = htole16(crc >> 16);
	} else {
		d->bg_inode_bitmap_csum_lo = htole16(crc & 0xffff);
		if (wide)
			d->bg_inode_bitmap_csum_hi = htole16(crc >> 16);
	}
}

/* --- the block types; the owner is the group --- */

static int check_csum(struct fs *fs, struct buf *b, enum bitmap_kind kind)
{
	uint32_t want, crc;
	struct buf *desc;
	int err;

	if (!fs->csum)
		return 0;
	err = group_get_desc(fs, b->ino, &desc);
	if (err)
		return err;
	want = get_csum(fs, kind, group_desc_at(fs, b->ino, desc));
	cache_put(desc);
	crc = bitmap_csum(fs, kind, b->data);
	if (!csum_is_wide(fs, kind))
		crc &= 0xffff;
	if (crc != want)
		return fs_fail(fs, -EFSBADCRC, 0, b->blk,
			       "wrong checksum of group %u's %s", b->ino,
			       b->type->name);
	return 0;
}

static int blocks_verify(struct fs *fs, struct buf *b)
{
	uint32_t g = b->ino;
	int err = check_csum(fs, b, BITMAP_BLOCKS);

	if (err)
		return err;
	if (!each_zone(fs, g, zone_is_set, b->data))
		return fs_corrupt(fs, 0, b->blk,
				  "group %u's metadata is marked free", g);
	if (bit_count_zero(b->data, group_clusters(fs, g)) !=
	    fs->groups->g[g].free_clusters)
		return fs_corrupt(fs, 0, b->blk,
				  "group %u: bitmap and descriptor disagree about free blocks",
				  g);
	return 0;
}

static int inodes_verify(struct fs *fs, struct buf *b)
{
	uint32_t g = b->ino;
	int err = check_csum(fs, b, BITMAP_INODES);

	if (err)
		return err;
	if (bit_count_zero(b->data, fs->groups->inodes_per_group) !=
	    fs->groups->g[g].free_inodes)
		return fs_corrupt(fs, 0, b->blk,
				  "group %u: bitmap and descriptor disagree about free inodes",
				  g);
	return 0;
}

/* The descriptor is dirty in the same transaction: see bitmap_write(). */
static void seal(struct fs *fs, struct buf *b, enum bitmap_kind kind)
{
	struct buf *desc;

	if (!fs->csum || group_get_desc(fs, b->ino, &desc))
		return;
	put_csum(fs, kind, group_desc_at(fs, b->ino, desc),
		 bitmap_csum(fs, kind, b->data));
	cache_put(desc);
}

static void blocks_seal(struct fs *fs, struct buf *b)
{
	seal(fs, b, BITMAP_BLOCKS);
}

static void inodes_seal(struct fs *fs, struct buf *b)
{
	seal(fs, b, BITMAP_INODES);
}

static const struct buf_type types[] = {
	[BITMAP_BLOCKS] = { "block bitmap", RANK_BITMAP,
			    blocks_verify, blocks_seal },
	[BITMAP_INODES] = { "inode bitmap", RANK_BITMAP,
			    inodes_verify, inodes_seal },
};

/* --- getting at one --- */

static uint64_t bitmap_block(struct fs *fs, uint32_t g, enum bitmap_kind kind)
{
	return kind == BITMAP_BLOCKS ? ext2fs_block_bitmap_loc(fs->e2, g) :
				       ext2fs_inode_bitmap_loc(fs->e2, g);
}

static uint16_t uninit_flag(enum bitmap_kind kind)
{
	return kind == BITMAP_BLOCKS ? EXT2_BG_BLOCK_UNINIT :
				       EXT2_BG_INODE_UNINIT;
}

/* Reads it; one that is damaged puts its group out of use. */
static int bitmap_get(struct fs *fs, uint32_t g, enum bitmap_kind kind,
		      struct buf **b)
{
	struct group *grp = &fs->groups->g[g];
	int err;

	err = cache_get(fs->cache, bitmap_block(fs, g, kind), &types[kind],
			g, 0, b);
	if (err && err != -ENOMEM) {
		if (kind == BITMAP_BLOCKS)
			grp->bad_blocks = 1;
		else
			grp->bad_inodes = 1;
	}
	return err;
}

int bitmap_peek(struct fs *fs, uint32_t g, enum bitmap_kind kind,
		struct buf **b, const uint8_t **bits)
{
	struct groups *gs = fs->groups;
	int err;

	*b = NULL;
	if (gs->g[g].flags & uninit_flag(kind)) {
		make_up(fs, g, kind, gs->scratch);
		*bits = gs->scratch;
		return 0;
	}
	err = bitmap_get(fs, g, kind, b);
	if (!err)
		*bits = (*b)->data;
	return err;
}

int bitmap_write(struct txn *t, uint32_t g, enum bitmap_kind kind,
		 struct buf **b)
{
	struct fs *fs = txn_fs(t);
	struct group *grp = &fs->groups->g[g];
	bool uninit = grp->flags & uninit_flag(kind);
	int err;

	if (uninit)
		err = cache_get_new(fs->cache, bitmap_block(fs, g, kind),
				    &types[kind], g, 0, b);
	else
		err = bitmap_get(fs, g, kind, b);
	if (err)
		return err;
	err = txn_write(t, *b);
	if (err) {
		cache_put(*b);
		return err;
	}
	if (uninit) {
		make_up(fs, g, kind, (*b)->data);
		grp->flags &= ~uninit_flag(kind);
	}
	return 0;
}
