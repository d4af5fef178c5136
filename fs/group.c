/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * group.c - block groups: their summaries, their descriptors, and the map of
 * the blocks that hold fixed metadata.
 *
 * Knows the descriptor's layout and checksum; what a bitmap says is bitmap.c's.
 * The summaries are made once, at the mount, from what libext2fs has read;
 * from then on the descriptors in the cache count, and both are changed
 * together.
 *
 * Needs the volume lock, takes none.
 */
#include <endian.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/alloc.h"
#include "fs/group.h"
#include "io/cache.h"
#include "journal/txn.h"

/* --- descriptors --- */

static uint32_t desc_block_index(const struct groups *gs, uint32_t g)
{
	return g / gs->desc_per_block;
}

struct ext4_group_desc *group_desc_at(struct fs *fs, uint32_t g,
				      struct buf *desc)
{
	struct groups *gs = fs->groups;

	return (struct ext4_group_desc *)
		(desc->data + g % gs->desc_per_block * gs->desc_size);
}

/* The reflected polynomial 0x8005, four bits at a time. */
static uint16_t crc16(uint16_t crc, const void *buf, size_t len)
{
	static const uint16_t table[16] = {
		0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401,
		0xa001, 0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01, 0x8801, 0x4400,
	};
	const uint8_t *p = buf;

	for (; len--; p++) {
		crc = crc >> 4 ^ table[(crc ^ *p) & 15];
		crc = crc >> 4 ^ table[(crc ^ *p >> 4) & 15];
	}
	return crc;
}

static uint16_t desc_csum(struct fs *fs, uint32_t g, const uint8_t *d)
{
	static const uint8_t zeros[2];
	struct groups *gs = fs->groups;
	unsigned off = offsetof(struct ext4_group_desc, bg_checksum);
	uint32_t le = htole32(g);
	uint32_t crc;

	if (gs->crc16) {
		crc = crc16(~0, fs->e2->super->s_uuid, 16);
		crc = crc16(crc, &le, sizeof(le));
		crc = crc16(crc, d, off);
		if (gs->desc_size > off + 2)
			crc = crc16(crc, d + off + 2,
					   gs->desc_size - off - 2);
		return crc;
	}
	crc = ext2fs_crc32c_le(fs->csum_seed, (uint8_t *)&le, sizeof(le));
	crc = ext2fs_crc32c_le(crc, d, off);
	crc = ext2fs_crc32c_le(crc, zeros, 2);
	if (gs->desc_size > off + 2)
		crc = ext2fs_crc32c_le(crc, d + off + 2,
				       gs->desc_size - off - 2);
	return crc;
}

/* The groups whose descriptors are in B: FIRST and how many. */
static uint32_t desc_range(struct fs *fs, const struct buf *b, uint32_t *first)
{
	struct groups *gs = fs->groups;
	uint32_t n;

	*first = b->ino * gs->desc_per_block;
	n = gs->count - *first;
	return n < gs->desc_per_block ? n : gs->desc_per_block;
}

static int desc_verify(struct fs *fs, struct buf *b)
{
	struct groups *gs = fs->groups;
	uint32_t first, n, i;

	if (!gs->desc_csum)
		return 0;
	n = desc_range(fs, b, &first);
	for (i = 0; i < n; i++) {
		struct ext4_group_desc *d = group_desc_at(fs, first + i, b);

		if (le16toh(d->bg_checksum) !=
		    desc_csum(fs, first + i, (uint8_t *)d))
			return fs_fail(fs, -EFSBADCRC, 0, b->blk,
				       "wrong checksum of group descriptor %u",
				       first + i);
	}
	return 0;
}

static void desc_seal(struct fs *fs, struct buf *b)
{
	struct groups *gs = fs->groups;
	uint32_t first, n, i;

	if (!gs->desc_csum)
		return;
	n = desc_range(fs, b, &first);
	for (i = 0; i < n; i++) {
		struct ext4_group_desc *d = group_desc_at(fs, first + i, b);

		d->bg_checksum = htole16(desc_csum(fs, first + i,
						   (uint8_t *)d));
	}
}

/* The buffer's owner is its index among the descriptor blocks. */
static const struct buf_type desc_type = {
	"group descriptors", RANK_DESC, desc_verify, desc_seal
};

int group_get_desc(struct fs *fs, uint32_t g, struct buf **desc)
{
	uint32_t i = desc_block_index(fs->groups, g);
	uint64_t blk = ext2fs_descriptor_block_loc2(fs->e2,
						    fs->first_data_block, i);

	return cache_get(fs->cache, blk, &desc_type, i, 0, desc);
}

static int save_group(struct txn *t, struct groups *gs, uint32_t g)
{
	uint64_t id = txn_handle_id(t);
	int err;

	if (gs->touched_id != id) {
		err = txn_save(t, &gs->dirs_total, sizeof(gs->dirs_total));
		if (err)
			return err;
		gs->touched_id = id;
	}
	if (gs->g[g].handle_id == id)
		return 0;
	err = txn_save(t, &gs->g[g], sizeof(gs->g[g]));
	if (!err)
		gs->g[g].handle_id = id;
	return err;
}

int group_write(struct txn *t, uint32_t g, struct buf **desc)
{
	struct fs *fs = txn_fs(t);
	int err;

	err = group_get_desc(fs, g, desc);
	if (err)
		return err;
	err = save_group(t, fs->groups, g);
	if (!err)
		err = txn_write(t, *desc);
	if (err)
		cache_put(*desc);
	return err;
}

void group_store(struct fs *fs, uint32_t g, struct buf *desc)
{
	struct groups *gs = fs->groups;
	const struct group *grp = &gs->g[g];
	struct ext4_group_desc *d = group_desc_at(fs, g, desc);

	d->bg_free_blocks_count = htole16(grp->free_clusters & 0xffff);
	d->bg_free_inodes_count = htole16(grp->free_inodes & 0xffff);
	d->bg_used_dirs_count = htole16(grp->used_dirs & 0xffff);
	if (gs->desc_size >= EXT2_MIN_DESC_SIZE_64BIT) {
		d->bg_free_blocks_count_hi = htole16(grp->free_clusters >> 16);
		d->bg_free_inodes_count_hi = htole16(grp->free_inodes >> 16);
		d->bg_used_dirs_count_hi = htole16(grp->used_dirs >> 16);
	}
	if (gs->desc_csum) {
		d->bg_flags = htole16(grp->flags);
		d->bg_itable_unused = htole16(grp->itable_unused & 0xffff);
		if (gs->desc_size >= EXT2_MIN_DESC_SIZE_64BIT)
			d->bg_itable_unused_hi =
				htole16(grp->itable_unused >> 16);
	}
	cache_put(desc);
}

/* --- the superblock's counts --- */

int super_count_blocks(struct txn *t, int64_t delta)
{
	struct ext2_super_block *sb = fs_super_write(t);
	bool wide = ext2fs_has_feature_64bit(txn_fs(t)->e2->super);
	uint64_t n;

	if (!sb)
		return -ENOMEM;
	n = le32toh(sb->s_free_blocks_count);
	if (wide)
		n |= (uint64_t)le32toh(sb->s_free_blocks_hi) << 32;
	if (delta < 0 && n < (uint64_t)-delta)
		n = 0;			/* the disk's count was wrong */
	else
		n += delta;
	sb->s_free_blocks_count = htole32((uint32_t)n);
	if (wide)
		sb->s_free_blocks_hi = htole32(n >> 32);
	return 0;
}

int super_count_inodes(struct txn *t, int delta)
{
	struct ext2_super_block *sb = fs_super_write(t);
	uint32_t n;

	if (!sb)
		return -ENOMEM;
	n = le32toh(sb->s_free_inodes_count);
	if (delta < 0 && n < (uint32_t)-delta)
		n = 0;
	else
		n += delta;
	sb->s_free_inodes_count = htole32(n);
	return 0;
}

void groups_totals(struct fs *fs, uint64_t *blocks, uint32_t *inodes)
{
	struct groups *gs = fs->groups;
	uint32_t g;

	*blocks = 0;
	*inodes = 0;
	for (g = 0; g < gs->count; g++) {
		*blocks += (uint64_t)gs->g[g].free_clusters << fs->clusterbits;
		*inodes += gs->g[g].free_inodes;
	}
}

/* --- geometry --- */

uint32_t group_of_block(const struct fs *fs, uint64_t blk)
{
	return (blk - fs->first_data_block) / fs->groups->blocks_per_group;
}

uint64_t group_first_block(const struct fs *fs, uint32_t g)
{
	return fs->first_data_block + g * fs->groups->blocks_per_group;
}

/* A cluster that is not wholly on the volume does not count. */
uint32_t group_clusters(const struct fs *fs, uint32_t g)
{
	const struct groups *gs = fs->groups;

	if (g < gs->count - 1)
		return gs->clusters_per_group;
	return (fs->blocks_count - group_first_block(fs, g)) >> fs->clusterbits;
}

/* --- fixed metadata --- */

const struct zone *zone_find(const struct groups *gs, uint64_t start,
			     uint64_t count)
{
	size_t lo = 0, hi = gs->zone_count;

	while (lo < hi) {		/* the first that ends after START */
		size_t mid = (lo + hi) / 2;

		if (gs->zones[mid].end <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == gs->zone_count || gs->zones[lo].start >= start + count)
		return NULL;
	return &gs->zones[lo];
}

bool fs_block_valid(struct fs *fs, uint64_t blk, uint64_t count)
{
	if (blk < fs->first_data_block || blk >= fs->blocks_count ||
	    count > fs->blocks_count - blk)
		return false;
	return !count || (!zone_find(fs->groups, blk, count) &&
			  !journal_owns(fs, blk, count));
}

/* One open run per kind of metadata: with flex_bg those of neighbouring
 * groups follow each other. */
enum { ZONE_SUPER, ZONE_BLOCKS, ZONE_INODES, ZONE_TABLE, ZONE_KINDS };

struct zone_maker {
	struct groups *gs;
	size_t size;
	struct zone run[ZONE_KINDS];
	bool failed;
};

static void zone_flush(struct zone_maker *m, int kind)
{
	struct groups *gs = m->gs;
	struct zone *p;

	if (m->run[kind].end <= m->run[kind].start)
		return;
	if (gs->zone_count == m->size) {
		m->size = m->size ? m->size * 2 : 256;
		p = realloc(gs->zones, m->size * sizeof(*p));
		if (!p) {
			m->failed = true;
			m->size = gs->zone_count;
			return;
		}
		gs->zones = p;
	}
	gs->zones[gs->zone_count++] = m->run[kind];
}

static void zone_add(struct zone_maker *m, int kind, uint64_t start,
		     uint64_t count)
{
	struct zone *run = &m->run[kind];

	if (start >= m->gs->fs->blocks_count || !count)
		return;			/* groups_check() complains */
	if (run->end == start && run->end > run->start) {
		run->end += count;
		return;
	}
	zone_flush(m, kind);
	run->start = start;
	run->end = start + count;
}

static int by_start(const void *va, const void *vb)
{
	const struct zone *a = va, *b = vb;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void zones_sort(struct groups *gs)
{
	struct zone *z = gs->zones;
	size_t i, n;

	for (i = 1; i < gs->zone_count; i++) {
		if (z[i].start < z[i - 1].start) {
			qsort(z, gs->zone_count, sizeof(*z), by_start);
			break;
		}
	}
	for (i = 1, n = 0; i < gs->zone_count; i++) {
		if (z[i].start > z[n].end) {
			z[++n] = z[i];
			continue;
		}
		if (z[i].start < z[n].end)
			gs->zones_overlap = true;
		if (z[i].end > z[n].end)
			z[n].end = z[i].end;
	}
	if (gs->zone_count)
		gs->zone_count = n + 1;
}

/* Blocks at the start of the group: superblock, descriptors, room for more
 * descriptors. */
static uint64_t super_blocks(struct fs *fs, uint32_t g)
{
	blk64_t super, old_desc, new_desc;
	blk_t used = 0;

	if (ext2fs_super_and_bgd_loc2(fs->e2, g, &super, &old_desc, &new_desc,
				      &used))
		return 0;
	/* before the superblock of 1 KiB clusters' volumes: the boot block */
	if (!g && fs->blocksize == 1024 && !fs->first_data_block)
		used++;
	return used;
}

static int make_zones(struct groups *gs)
{
	struct zone_maker m = { .gs = gs };
	struct fs *fs = gs->fs;
	uint32_t g;
	int kind;

	for (g = 0; g < gs->count; g++) {
		zone_add(&m, ZONE_SUPER, group_first_block(fs, g),
			 super_blocks(fs, g));
		zone_add(&m, ZONE_BLOCKS, ext2fs_block_bitmap_loc(fs->e2, g), 1);
		zone_add(&m, ZONE_INODES, ext2fs_inode_bitmap_loc(fs->e2, g), 1);
		zone_add(&m, ZONE_TABLE, ext2fs_inode_table_loc(fs->e2, g),
			 gs->itable_blocks);
	}
	for (kind = 0; kind < ZONE_KINDS; kind++)
		zone_flush(&m, kind);
	if (m.failed)
		return -ENOMEM;
	zones_sort(gs);
	return 0;
}

/* Whole clusters; zones are sorted, and two may share a cluster. */
uint64_t groups_overhead(struct fs *fs)
{
	struct groups *gs = fs->groups;
	uint64_t sum = 0, next = 0, from, to;
	size_t i;

	for (i = 0; i < gs->zone_count; i++) {
		from = gs->zones[i].start >> fs->clusterbits;
		to = ((gs->zones[i].end - 1) >> fs->clusterbits) + 1;
		if (from < next)
			from = next;
		if (to > from)
			sum += to - from;
		next = to > next ? to : next;
	}
	return fs->first_data_block + (sum << fs->clusterbits);
}

/* --- set-up --- */

static void set_geometry(struct groups *gs)
{
	struct fs *fs = gs->fs;
	struct ext2_super_block *sb = fs->e2->super;

	gs->count = fs->group_count;
	gs->blocks_per_group = sb->s_blocks_per_group;
	gs->clusters_per_group = sb->s_blocks_per_group >> fs->clusterbits;
	gs->inodes_per_group = sb->s_inodes_per_group;
	gs->itable_blocks = fs->e2->inode_blocks_per_group;
	gs->desc_size = EXT2_DESC_SIZE(sb);
	gs->desc_per_block = EXT2_DESC_PER_BLOCK(sb);
	gs->desc_csum = ext2fs_has_group_desc_csum(fs->e2);
	gs->crc16 = !fs->csum;
	if (ext2fs_has_feature_flex_bg(sb))
		gs->flex_bits = sb->s_log_groups_per_flex;
	while (gs->flex_bits && (gs->flex_bits > 16 ||
				 1U << gs->flex_bits > gs->count))
		gs->flex_bits--;
}

static void read_summaries(struct groups *gs)
{
	ext2_filsys e2 = gs->fs->e2;
	uint32_t g;

	for (g = 0; g < gs->count; g++) {
		struct group *grp = &gs->g[g];

		grp->max_run = UINT32_MAX;
		grp->free_clusters = ext2fs_bg_free_blocks_count(e2, g);
		grp->free_inodes = ext2fs_bg_free_inodes_count(e2, g);
		grp->used_dirs = ext2fs_bg_used_dirs_count(e2, g);
		gs->dirs_total += grp->used_dirs;
		if (gs->desc_csum) {
			grp->flags = ext2fs_bg_flags(e2, g);
			grp->itable_unused = ext2fs_bg_itable_unused(e2, g);
		} else {
			grp->flags = EXT2_BG_INODE_ZEROED;
		}
	}
}

struct groups *groups_new(struct fs *fs)
{
	struct groups *gs = calloc(1, sizeof(*gs));
	size_t words;

	if (!gs)
		return NULL;
	fs->groups = gs;		/* used by the helpers below */
	gs->fs = fs;
	set_geometry(gs);
	words = gs->count / 64 + 1;
	gs->g = calloc(gs->count, sizeof(*gs->g));
	gs->space = malloc(words * sizeof(*gs->space));
	gs->scratch = malloc(fs->blocksize);
	if (!gs->g || !gs->space || !gs->scratch || make_zones(gs)) {
		groups_free(gs);
		fs->groups = NULL;
		return NULL;
	}
	memset(gs->space, 0xff, words * sizeof(*gs->space));
	read_summaries(gs);
	return gs;
}

void groups_free(struct groups *gs)
{
	range_clear(&gs->recent[0].inodes);
	range_clear(&gs->recent[1].inodes);
	free(gs->g);
	free(gs->space);
	free(gs->scratch);
	free(gs->zones);
	free(gs->resv);
	free(gs->claims);
	free(gs);
}

/* Is the metadata where it can be?  Without flex_bg that is in its group. */
static bool place_valid(struct fs *fs, uint32_t g, uint64_t blk, uint64_t count)
{
	uint64_t first = fs->first_data_block, end = fs->blocks_count;

	if (!ext2fs_has_feature_flex_bg(fs->e2->super)) {
		first = group_first_block(fs, g);
		if (g < fs->groups->count - 1)
			end = first + fs->groups->blocks_per_group;
	}
	return blk >= first && blk < end && count <= end - blk;
}

static int check_group(struct fs *fs, uint32_t g)
{
	struct groups *gs = fs->groups;
	const struct group *grp = &gs->g[g];

	if (!place_valid(fs, g, ext2fs_block_bitmap_loc(fs->e2, g), 1) ||
	    !place_valid(fs, g, ext2fs_inode_bitmap_loc(fs->e2, g), 1) ||
	    !place_valid(fs, g, ext2fs_inode_table_loc(fs->e2, g),
			 gs->itable_blocks))
		return fs_corrupt(fs, 0, 0,
				  "group %u: metadata in an impossible place",
				  g);
	if (grp->free_clusters > group_clusters(fs, g) ||
	    grp->free_inodes > gs->inodes_per_group ||
	    grp->used_dirs > gs->inodes_per_group ||
	    grp->itable_unused > gs->inodes_per_group)
		return fs_corrupt(fs, 0, 0, "group %u: impossible counts", g);
	if (gs->desc_csum && !ext2fs_group_desc_csum_verify(fs->e2, g))
		return fs_fail(fs, -EFSBADCRC, 0, 0,
			       "wrong checksum of group descriptor %u", g);
	return 0;
}

int groups_check(struct fs *fs)
{
	struct groups *gs = fs->groups;
	uint32_t g;
	int err;

	if (gs->desc_per_block == 0 ||
	    gs->clusters_per_group << fs->clusterbits != gs->blocks_per_group)
		return fs_corrupt(fs, 0, 0, "impossible group geometry");
	for (g = 0; g < gs->count; g++) {
		err = check_group(fs, g);
		if (err)
			return err;
	}
	if (gs->zones_overlap)
		return fs_corrupt(fs, 0, 0, "groups' metadata overlaps");
	return 0;
}
