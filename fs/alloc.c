/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alloc.c - which blocks to take, and taking and freeing them.
 *
 * Knows the search (exactly at the goal, then the first run that is long
 * enough, then the longest seen), the reserve, and what keeps free blocks
 * from being used: freed in a transaction that is not durable (J4), reserved.
 * Bits are clusters; block numbers outside are blocks.
 *
 * Needs the volume lock, takes none.
 */
#include <endian.h>
#include <string.h>

#include "fs/alloc.h"
#include "fs/group.h"
#include "fs/inode.h"
#include "io/cache.h"
#include "journal/txn.h"

#define SHORT_RUN	8	/* taken at the goal, even if more is wanted */
#define MAX_SCANS	20	/* bitmaps, until anything is good enough */

struct run {
	uint32_t g, start, len;		/* clusters in the group */
};

/* --- how much there is --- */

static uint64_t super_free(struct fs *fs)
{
	struct ext2_super_block *sb = fs_super(fs);
	uint64_t n = le32toh(sb->s_free_blocks_count);

	if (ext2fs_has_feature_64bit(fs->e2->super))
		n |= (uint64_t)le32toh(sb->s_free_blocks_hi) << 32;
	return n;
}

static uint64_t super_reserve(struct fs *fs)
{
	struct ext2_super_block *sb = fs_super(fs);
	uint64_t n = le32toh(sb->s_r_blocks_count);

	if (ext2fs_has_feature_64bit(fs->e2->super))
		n |= (uint64_t)le32toh(sb->s_r_blocks_count_hi) << 32;
	return n;
}

uint64_t block_available(struct fs *fs, unsigned flags)
{
	uint64_t n = super_free(fs);
	uint64_t gone = fs->groups->resv_total + txn_frozen_total(fs);

	if (!(flags & (ALLOC_RESERVE | ALLOC_META)) && !fs->opt.alloc_all)
		gone += super_reserve(fs);
	return n > gone ? n - gone : 0;
}

uint64_t blocks_usable(struct fs *fs, uint64_t blk, uint64_t count,
		       uint64_t *skip)
{
	uint64_t n = txn_frozen(fs, blk, count, skip);

	return n ? resv_clear(fs->groups, blk, n, skip) : 0;
}

/* --- the search --- */

static uint64_t cluster_block(struct fs *fs, uint32_t g, uint32_t c)
{
	return group_first_block(fs, g) + ((uint64_t)c << fs->clusterbits);
}

static uint32_t block_cluster(struct fs *fs, uint32_t g, uint64_t blk)
{
	return (blk - group_first_block(fs, g)) >> fs->clusterbits;
}

/* As blocks_usable(), in clusters of a group. */
static uint32_t usable(struct fs *fs, uint32_t g, uint32_t c, uint32_t count,
		       uint32_t *skip)
{
	uint64_t n, s = 0;

	n = blocks_usable(fs, cluster_block(fs, g, c),
			  (uint64_t)count << fs->clusterbits, &s);
	n >>= fs->clusterbits;
	if (!n) {
		s = (s + fs->cluster_ratio - 1) >> fs->clusterbits;
		*skip = s && s < count ? s : s ? count : 1;
	}
	return n;
}

/* The best part of the free bits FROM..END-1; true if it is WANT long. */
static bool take_best(struct fs *fs, uint32_t g, uint32_t from, uint32_t end,
		      uint32_t want, struct run *best)
{
	uint32_t n, skip = 0;

	while (from < end && end - from > best->len) {
		n = usable(fs, g, from, end - from, &skip);
		if (n > best->len) {
			best->g = g;
			best->start = from;
			best->len = n < want ? n : want;
			if (n >= want)
				return true;
		}
		from += n ? n : skip;
	}
	return false;
}

/* Looks in FROM..END-1 of the group; *LONGEST: of all free runs there. */
static bool scan_bits(struct fs *fs, uint32_t g, const uint8_t *bits,
		      uint32_t from, uint32_t end, uint32_t want,
		      struct run *best, uint32_t *longest)
{
	uint32_t s, e;

	while ((s = bit_next_zero(bits, from, end)) < end) {
		e = bit_next_set(bits, s, end);
		if (e - s > *longest)
			*longest = e - s;
		if (e - s > best->len &&
		    take_best(fs, g, s, e, want, best))
			return true;
		from = e;
	}
	return false;
}

/* 1: a run of WANT was found; 0: BEST may have become better; -errno. */
static int scan_group(struct fs *fs, uint32_t g, uint32_t from, uint32_t want,
		      struct run *best)
{
	uint32_t end = group_clusters(fs, g), longest = 0;
	const uint8_t *bits;
	struct buf *b;
	bool found;
	int err;

	err = bitmap_peek(fs, g, BITMAP_BLOCKS, &b, &bits);
	if (err)
		return err;
	if (from >= end)
		from = 0;
	found = scan_bits(fs, g, bits, from, end, want, best, &longest);
	if (!found && from) {
		/* a run may lie across FROM: this sees it whole */
		longest = 0;
		found = scan_bits(fs, g, bits, 0, end, want, best, &longest);
	}
	cache_put(b);
	if (!found)
		fs->groups->g[g].max_run = longest;
	return found;
}

/* Exactly at the goal, if there is enough to be worth it. */
static int scan_goal(struct fs *fs, uint64_t goal, uint32_t want,
		     struct run *best)
{
	uint32_t g = group_of_block(fs, goal), c = block_cluster(fs, g, goal);
	uint32_t end = group_clusters(fs, g), n, skip;
	const uint8_t *bits;
	struct buf *b;
	int err;

	if (c >= end || fs->groups->g[g].bad_blocks ||
	    !fs->groups->g[g].free_clusters)
		return 0;
	err = bitmap_peek(fs, g, BITMAP_BLOCKS, &b, &bits);
	if (err)
		return err == -ENOMEM ? err : 0;
	n = bit_next_set(bits, c, end) - c;
	if (n > want)
		n = want;
	if (n)
		n = usable(fs, g, c, n, &skip);
	cache_put(b);
	if (n < (want < SHORT_RUN ? want : SHORT_RUN))
		return 0;
	*best = (struct run) { .g = g, .start = c, .len = n };
	return 1;
}

/* The next group from G on (not wrapping) that may have free blocks. */
static uint32_t next_space(struct groups *gs, uint32_t g)
{
	g = bit_next_set((uint8_t *)gs->space, g, gs->count);
	while (g < gs->count && !gs->g[g].free_clusters) {
		gs->space[g / 64] &= ~htole64(1ULL << (g & 63));
		g = bit_next_set((uint8_t *)gs->space, g + 1, gs->count);
	}
	return g;
}

/* May the group have a run of WANT? */
static bool promising(const struct groups *gs, uint32_t g, uint32_t want)
{
	const struct group *grp = &gs->g[g];

	return !grp->bad_blocks && grp->free_clusters >= want &&
	       grp->max_run >= want;
}

/*
 * Through all groups, from FIRST, those that may have AT_LEAST; from bit FROM
 * in the first.  What is good enough halves with each bitmap looked at.  0
 * also if nothing is found.
 */
static int scan_groups(struct fs *fs, uint32_t first, uint32_t from,
		       uint32_t want, uint32_t at_least, struct run *best)
{
	struct groups *gs = fs->groups;
	uint32_t g = first, scans = 0;
	bool wrapped = false;
	int err, ret = 0;

	for (;;) {
		g = next_space(gs, g);
		if (g >= gs->count && !wrapped) {
			wrapped = true;
			g = 0;
			continue;
		}
		if (g >= gs->count || (wrapped && g >= first))
			return best->len ? 0 : ret;
		if (promising(gs, g, at_least)) {
			err = scan_group(fs, g, g == first ? from : 0, want,
					 best);
			if (err > 0 || err == -ENOMEM)
				return err < 0 ? err : 0;
			if (err < 0)
				ret = err;
			scans++;
			if (best->len && (scans >= MAX_SCANS ||
					  best->len >= want >> scans))
				return 0;
		}
		g++;
	}
}

/* Finds 1..WANT blocks near GOAL; *RUN.  -ENOSPC and others. */
static int pick(struct fs *fs, const struct inode *inode, uint64_t goal,
		uint64_t want, unsigned flags, struct run *run)
{
	struct groups *gs = fs->groups;
	uint64_t avail = block_available(fs, flags) >> fs->clusterbits;
	uint64_t clusters = (want + fs->cluster_ratio - 1) >> fs->clusterbits;
	uint32_t g, n;
	int err;

	if (!avail)
		return -ENOSPC;
	if (clusters > gs->clusters_per_group)
		clusters = gs->clusters_per_group;
	n = clusters < avail ? clusters : avail;
	run->len = 0;
	if (goal >= fs->first_data_block && goal < fs->blocks_count) {
		err = scan_goal(fs, goal, n, run);
		if (err)
			return err < 0 ? err : 0;
	} else {
		goal = inode ? inode_goal(inode) : fs->first_data_block;
	}
	g = group_of_block(fs, goal);
	err = scan_groups(fs, g, block_cluster(fs, g, goal), n, n, run);
	if (!run->len && err != -ENOMEM)
		err = scan_groups(fs, g, block_cluster(fs, g, goal), n, 1, run);
	if (!run->len)
		return err ? err : -ENOSPC;
	return 0;
}

/* --- taking and freeing --- */

static void note_space(struct groups *gs, uint32_t g)
{
	gs->space[g / 64] |= htole64(1ULL << (g & 63));
	gs->g[g].max_run = UINT32_MAX;
}

static bool bits_are(const uint8_t *bits, uint32_t start, uint32_t count,
		     bool set)
{
	if (set)
		return bit_next_zero(bits, start, start + count) ==
		       start + count;
	return bit_next_set(bits, start, start + count) == start + count;
}

/* Sets (or clears) bits that are all clear (or set) now, with the counts. */
static int change_bits(struct txn *t, const struct inode *inode, uint32_t g,
		       uint32_t start, uint32_t count, bool set)
{
	struct fs *fs = txn_fs(t);
	struct group *grp = &fs->groups->g[g];
	struct buf *desc, *b;
	int64_t blocks = (uint64_t)count << fs->clusterbits;
	int err;

	err = group_write(t, g, &desc);
	if (err)
		return err;
	err = bitmap_write(t, g, BITMAP_BLOCKS, &b);
	if (err) {
		cache_put(desc);
		return err;
	}
	if (!bits_are(b->data, start, count, !set) ||
	    (set && grp->free_clusters < count)) {
		err = fs_corrupt(fs, inode ? inode->ino : 0,
				 cluster_block(fs, g, start), set ?
				 "blocks to be allocated are in use" :
				 "blocks to be freed are free already");
	} else if (set) {
		bit_set_range(b->data, start, count);
		grp->free_clusters -= count;
		err = super_count_blocks(t, -blocks);
	} else {
		bit_clear_range(b->data, start, count);
		grp->free_clusters += count;
		note_space(fs->groups, g);
		err = super_count_blocks(t, blocks);
	}
	cache_put(b);
	group_store(fs, g, desc);
	return err;
}

int block_alloc(struct txn *t, struct inode *inode, uint64_t goal,
		uint64_t want, unsigned flags, uint64_t *blk, uint64_t *got)
{
	struct fs *fs = txn_fs(t);
	struct run run;
	int err;

	err = pick(fs, inode, goal, want, flags, &run);
	if (!err)
		err = change_bits(t, inode, run.g, run.start, run.len, true);
	if (err)
		return err;
	*blk = cluster_block(fs, run.g, run.start);
	*got = (uint64_t)run.len << fs->clusterbits;
	return 0;
}

int block_reserve(struct inode *inode, uint64_t goal, uint64_t want,
		  unsigned flags, uint64_t *blk, uint64_t *got)
{
	struct fs *fs = inode->fs;
	struct run run;
	int err;

	err = pick(fs, inode, goal, want, flags, &run);
	if (err)
		return err;
	*blk = cluster_block(fs, run.g, run.start);
	*got = (uint64_t)run.len << fs->clusterbits;
	return resv_add(fs->groups, *blk, *got);
}

/* COUNT blocks from BLK, group by group. */
static int change_blocks(struct txn *t, const struct inode *inode,
			 uint64_t blk, uint64_t count, bool set)
{
	struct fs *fs = txn_fs(t);
	uint64_t per_group = fs->groups->blocks_per_group, n;
	uint32_t g, c;
	int err = 0;

	if (!count || !fs_block_valid(fs, blk, count) ||
	    (blk - fs->first_data_block) & (fs->cluster_ratio - 1) ||
	    count & (fs->cluster_ratio - 1))
		return fs_corrupt(fs, inode ? inode->ino : 0, blk,
				  "bad range of %llu blocks to %s",
				  (unsigned long long)count,
				  set ? "allocate" : "free");
	for (; !err && count; blk += n, count -= n) {
		g = group_of_block(fs, blk);
		c = block_cluster(fs, g, blk);
		n = per_group - ((uint64_t)c << fs->clusterbits);
		if (n > count)
			n = count;
		err = change_bits(t, inode, g, c, n >> fs->clusterbits, set);
	}
	return err;
}

int block_claim(struct txn *t, struct inode *inode, uint64_t blk,
		uint64_t count)
{
	int err = resv_claim(t, blk, count);

	return err ? err : change_blocks(t, inode, blk, count, true);
}

int block_free(struct txn *t, struct inode *inode, uint64_t blk,
	       uint64_t count, bool meta)
{
	int err = change_blocks(t, inode, blk, count, false);

	return err ? err : txn_freed(t, blk, count, meta);
}

void alloc_flush_handle(struct txn *t, bool aborted)
{
	struct groups *gs = txn_fs(t)->groups;

	resv_end(t, aborted);
	if (!aborted || gs->touched_id != txn_handle_id(t))
		return;
	/* groups that were full inside the handle may have space again */
	memset(gs->space, 0xff, (gs->count / 64 + 1) * sizeof(*gs->space));
}

int block_in_use(struct fs *fs, uint64_t blk)
{
	const uint8_t *bits;
	struct buf *b;
	uint32_t g, c;
	int err;

	if (blk < fs->first_data_block || blk >= fs->blocks_count)
		return -EINVAL;
	g = group_of_block(fs, blk);
	c = block_cluster(fs, g, blk);
	err = bitmap_peek(fs, g, BITMAP_BLOCKS, &b, &bits);
	if (err)
		return err;
	err = bit_test(bits, c);
	cache_put(b);
	return err;
}
