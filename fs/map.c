/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map.c - where a file's blocks are: chooses between extent trees and
 * indirect blocks, and knows clusters.
 *
 * With bigalloc a logical cluster of a file is in one physical cluster, at
 * the same place in it: one block mapped implies where its neighbours are,
 * the first one mapped takes the cluster and the last one frees it.  i_blocks
 * counts clusters, in blocks.  Tree blocks take a cluster each.
 *
 * Must not know how the two kinds of map are laid out.  Does no I/O except
 * through the cache, and zeroing what map_alloc() maps without extents.  All
 * needs the volume lock; inode->io is the caller's.
 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include "fs/alloc.h"
#include "fs/map_internal.h"
#include "io/device.h"
#include "journal/txn.h"

#define SMALL_COST	48		/* credits: see map_is_small() */
/* Credits: a path of new tree blocks, and a run over nine groups. */
#define ALLOC_COST	(3 * (EXT_DEPTH_MAX + 1) + 4 + 2 * 9)
#define ZERO_MOST	(16u << 20)	/* bytes, under the volume lock */

enum map_kind { KIND_NONE, KIND_EXTENTS, KIND_INDIRECT };

/* KIND_NONE: i_block holds something else than a map. */
static enum map_kind map_kind(const struct inode *inode)
{
	if (inode_has_inline(inode))
		return KIND_NONE;
	if (!S_ISREG(inode->i.mode) && !S_ISDIR(inode->i.mode) &&
	    (!S_ISLNK(inode->i.mode) || inode_is_fast_symlink(inode)))
		return KIND_NONE;
	return inode_has_extents(inode) ? KIND_EXTENTS : KIND_INDIRECT;
}

static uint64_t map_limit(const struct inode *inode)
{
	return inode_has_extents(inode) ? MAP_MAX_BLOCKS : ind_limit(inode->fs);
}

/* ---- looking ---- */

int map_lookup(struct inode *inode, uint64_t lblk, uint64_t max, struct map *m)
{
	assert(max);
	switch (map_kind(inode)) {
	case KIND_EXTENTS:
		return ext_lookup(inode, lblk, max, m);
	case KIND_INDIRECT:
		return ind_lookup(inode, lblk, max, m);
	default:
		*m = (struct map){ .lblk = lblk, .len = max };
		return 0;
	}
}

int map_around(struct inode *inode, uint64_t lblk, struct map *m)
{
	return map_kind(inode) == KIND_EXTENTS ? ext_around(inode, lblk, m) :
						 -EINVAL;
}

int map_next(struct inode *inode, uint64_t lblk, struct map *m)
{
	switch (map_kind(inode)) {
	case KIND_EXTENTS:
		return ext_next(inode, lblk, m);
	case KIND_INDIRECT:
		return ind_next(inode, lblk, m);
	default:
		return -ENXIO;
	}
}

static uint64_t ind_goal(struct inode *inode, uint64_t lblk)
{
	struct map m;

	if (!lblk || ind_lookup(inode, lblk - 1, 1, &m) || !m.pblk)
		return 0;
	return m.pblk + 1;
}

uint64_t map_goal(struct inode *inode, uint64_t lblk)
{
	struct fs *fs = inode->fs;
	uint64_t goal = 0;

	if (map_kind(inode) == KIND_EXTENTS)
		goal = ext_goal(inode, lblk);
	else if (map_kind(inode) == KIND_INDIRECT)
		goal = ind_goal(inode, lblk);
	if (goal < fs->first_data_block || goal >= fs->blocks_count || !goal)
		goal = inode_goal(inode);
	return goal;
}

/* ---- clusters ---- */

/* First block of LBLK's cluster. */
static uint64_t cluster_start(const struct fs *fs, uint64_t lblk)
{
	return lblk & ~(uint64_t)(fs->cluster_ratio - 1);
}

static unsigned cluster_offset(const struct fs *fs, uint64_t blk)
{
	return (unsigned)(blk & (fs->cluster_ratio - 1));
}

/* What is mapped first in LBLK's cluster: 1, 0 if nothing is, -errno. */
static int cluster_first(struct inode *inode, uint64_t lblk, struct map *m)
{
	uint64_t start = cluster_start(inode->fs, lblk);
	int err = map_next(inode, start, m);

	if (err)
		return err == -ENXIO ? 0 : err;
	return m->lblk < start + inode->fs->cluster_ratio;
}

int map_cluster(struct inode *inode, uint64_t lblk, uint64_t *pblk)
{
	struct map m;
	int err;

	*pblk = 0;
	if (inode->fs->cluster_ratio == 1)
		return 0;
	err = cluster_first(inode, lblk, &m);
	if (err <= 0)
		return err;
	if (cluster_offset(inode->fs, m.pblk) !=
	    cluster_offset(inode->fs, m.lblk))
		return fs_corrupt(inode->fs, inode->ino, m.pblk,
				  "block %llu is misplaced in its cluster",
				  (unsigned long long)m.lblk);
	*pblk = cluster_start(inode->fs, m.pblk) +
		cluster_offset(inode->fs, lblk);
	return 0;
}

/*
 * The clusters of LBLK..LBLK+LEN-1 that nothing of the file is mapped in
 * (the range itself is not): *FIRST and *COUNT, as logical clusters.
 */
static int clusters_alone(struct inode *inode, uint64_t lblk, uint64_t len,
			  uint64_t *first, uint64_t *count)
{
	unsigned bits = inode->fs->clusterbits;
	uint64_t a = lblk >> bits, z = (lblk + len - 1) >> bits;
	struct map m;
	int err;

	*first = a;
	*count = z - a + 1;
	if (!bits)
		return 0;
	err = cluster_first(inode, lblk, &m);
	if (err < 0)
		return err;
	if (err) {
		++*first;
		--*count;
	}
	if (z == a)
		return 0;
	err = cluster_first(inode, lblk + len - 1, &m);
	if (err > 0)
		--*count;
	return err < 0 ? err : 0;
}

/* ---- blocks in and out of the file ---- */

int map_charge(struct txn *t, struct inode *inode, int64_t blocks)
{
	struct fs *fs = inode->fs;
	int err = inode_dirty(t, inode);

	if (err)
		return err;
	/* A count that was too small must not keep a file from going. */
	if (blocks < 0 && (uint64_t)-blocks > inode->i.blocks)
		blocks = -(int64_t)inode->i.blocks;
	if (blocks > 0 && !ext2fs_has_feature_huge_file(fs->e2->super) &&
	    (inode->i.blocks + (uint64_t)blocks) << (fs->blockbits - 9) >
	    UINT32_MAX)
		return -EFBIG;
	inode_add_blocks(inode, blocks);
	return 0;
}

int map_new_block(struct txn *t, struct inode *inode, uint64_t goal,
		  uint64_t *blk)
{
	unsigned ratio = inode->fs->cluster_ratio;
	uint64_t got;
	int err = block_alloc(t, inode, goal, ratio, ALLOC_META, blk, &got);

	if (err)
		return err;
	assert(got == ratio);
	return map_charge(t, inode, ratio);
}

int map_free_block(struct txn *t, struct inode *inode, uint64_t blk)
{
	unsigned ratio = inode->fs->cluster_ratio;
	int err = map_charge(t, inode, -(int64_t)ratio);

	return err ? err : block_free(t, inode, cluster_start(inode->fs, blk),
				      ratio, true);
}

int map_free_data(struct txn *t, struct inode *inode, uint64_t lblk,
		  uint64_t pblk, uint64_t len)
{
	/* what the cache, and so the journal, may have held */
	bool meta = !S_ISREG(inode->i.mode) ||
		    (inode->i.flags & EXT4_EA_INODE_FL);
	struct fs *fs = inode->fs;
	uint64_t first, count;
	int err;

	if (!fs_block_valid(fs, pblk, len))
		return fs_corrupt(fs, inode->ino, pblk,
				  "blocks outside of the volume's data area");
	if (cluster_offset(fs, lblk) != cluster_offset(fs, pblk))
		return fs_corrupt(fs, inode->ino, pblk,
				  "block %llu is misplaced in its cluster",
				  (unsigned long long)lblk);
	err = clusters_alone(inode, lblk, len, &first, &count);
	if (err || !count)
		return err;
	pblk = cluster_start(fs, pblk) +
	       ((first - (lblk >> fs->clusterbits)) << fs->clusterbits);
	count <<= fs->clusterbits;
	err = map_charge(t, inode, -(int64_t)count);
	return err ? err : block_free(t, inode, pblk, count, meta);
}

unsigned map_free_cost(const struct fs *fs, uint64_t pblk, uint64_t len)
{
	uint64_t group = EXT2_BLOCKS_PER_GROUP(fs->e2->super);

	/* a bitmap and a descriptor each */
	return 2 * (unsigned)((pblk + len - 1 - fs->first_data_block) / group -
			      (pblk - fs->first_data_block) / group + 1);
}

uint64_t map_free_max(const struct fs *fs)
{
	return 8ULL * EXT2_BLOCKS_PER_GROUP(fs->e2->super);
}

/* ---- changing ---- */

/* With a long symlink's size not set yet it may look like a fast one. */
static bool can_insert(const struct inode *inode)
{
	return !inode_has_inline(inode) &&
	       (S_ISREG(inode->i.mode) || S_ISDIR(inode->i.mode) ||
		S_ISLNK(inode->i.mode));
}

int map_insert(struct txn *t, struct inode *inode, uint64_t lblk,
	       uint64_t pblk, uint64_t len, bool unwritten)
{
	struct fs *fs = inode->fs;
	uint64_t first, count;
	int err;

	assert(len);
	if (!can_insert(inode) ||
	    cluster_offset(fs, lblk) != cluster_offset(fs, pblk))
		return -EINVAL;
	if (lblk >= map_limit(inode) || len > map_limit(inode) - lblk)
		return -EFBIG;
	if (!inode_has_extents(inode)) {
		if (unwritten || fs->cluster_ratio > 1)
			return -EOPNOTSUPP;
		err = map_charge(t, inode, (int64_t)len);
		return err ? err : ind_insert(t, inode, lblk, pblk, len);
	}
	err = clusters_alone(inode, lblk, len, &first, &count);
	if (!err)
		err = map_charge(t, inode,
				 (int64_t)(count << fs->clusterbits));
	return err ? err : ext_insert(t, inode, lblk, pblk, len, unwritten);
}

int map_convert(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t len)
{
	if (map_kind(inode) != KIND_EXTENTS)
		return 0;
	return ext_convert(t, inode, lblk, len);
}

int map_remove(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t len)
{
	uint64_t end = len < UINT64_MAX - lblk ? lblk + len : UINT64_MAX;

	switch (map_kind(inode)) {
	case KIND_EXTENTS:
		return ext_remove(t, inode, lblk, end);
	case KIND_INDIRECT:
		return ind_remove(t, inode, lblk, end);
	default:
		return 0;
	}
}

int map_shift(struct txn *t, struct inode *inode, uint64_t lblk, int64_t delta,
	      uint64_t *pos)
{
	struct fs *fs = inode->fs;

	if (map_kind(inode) != KIND_EXTENTS)
		return -EOPNOTSUPP;
	if (cluster_offset(fs, lblk) || cluster_offset(fs, (uint64_t)delta))
		return -EINVAL;
	return ext_shift(t, inode, lblk, delta, pos);
}

/* ---- map_alloc() ---- */

/*
 * Blocks for (a first part of) the hole M: the physical block of M->lblk and
 * how many it goes on for.  They may be there already, in the cluster of a
 * neighbour.
 */
static int alloc_run(struct txn *t, struct inode *inode, const struct map *hole,
		     unsigned flags, uint64_t *pblk, uint64_t *len)
{
	struct fs *fs = inode->fs;
	unsigned off = cluster_offset(fs, hole->lblk);
	uint64_t blk, got, end = hole->lblk + hole->len;
	struct map m;
	int err = map_cluster(inode, hole->lblk, pblk);

	*len = fs->cluster_ratio - off;
	if (*len > hole->len)
		*len = hole->len;
	if (err || *pblk)
		return err;
	if (cluster_offset(fs, end) && end - *len > hole->lblk) {
		/* its last cluster may be a neighbour's */
		err = cluster_first(inode, end, &m);
		if (err < 0)
			return err;
		if (err)
			end = cluster_start(fs, end);
	}
	got = (end - hole->lblk + off + fs->cluster_ratio - 1) &
	      ~(uint64_t)(fs->cluster_ratio - 1);
	err = block_alloc(t, inode, cluster_start(fs, map_goal(inode,
							       hole->lblk)),
			  got, flags, &blk, &got);
	if (err)
		return err;
	*pblk = blk + off;
	*len = got - off;
	if (*len > hole->len)
		*len = hole->len;
	return 0;
}

/* Maps what alloc_run() gave; without extents it is zeroed before. */
static int fill_hole(struct txn *t, struct inode *inode, const struct map *m)
{
	struct fs *fs = inode->fs;
	bool extents = inode_has_extents(inode);
	int err = 0;

	if (!extents)
		err = device_zero(fs->dev, m->pblk << fs->blockbits,
				  m->len << fs->blockbits);
	return err ? err : map_insert(t, inode, m->lblk, m->pblk, m->len,
				      extents);
}

/* At most that much in one call: for the credits, and to zero it. */
static uint64_t alloc_most(const struct inode *inode)
{
	return inode_has_extents(inode) ? map_free_max(inode->fs) :
					  ZERO_MOST >> inode->fs->blockbits;
}

int map_alloc(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t len,
	      unsigned alloc_flags, uint64_t *done)
{
	struct map m, run;
	int err = 0;

	*done = 0;
	if (map_kind(inode) == KIND_NONE)
		return -EINVAL;
	if (lblk >= map_limit(inode) || len > map_limit(inode) - lblk)
		return -EFBIG;
	if (len > alloc_most(inode))
		len = alloc_most(inode);
	while (*done < len) {
		err = map_lookup(inode, lblk + *done, len - *done, &m);
		if (err)
			break;
		if (m.state == MAP_HOLE) {
			if (*done && txn_room(t) < ALLOC_COST)
				return 0;
			run.lblk = m.lblk;
			err = alloc_run(t, inode, &m, alloc_flags, &run.pblk,
					&run.len);
			/* nothing was changed for this one */
			if (err == -ENOSPC && *done)
				return 0;
			if (!err)
				err = fill_hole(t, inode, &run);
			if (err)
				break;
			m.len = run.len;
		}
		*done += m.len;
	}
	if (err)
		*done = 0;
	return err;
}

/* ---- setting up, limits ---- */

void map_init(struct inode *inode)
{
	if (ext2fs_has_feature_extents(inode->fs->e2->super)) {
		inode->i.flags |= EXT4_EXTENTS_FL;
		ext_init_root(inode);
	} else {
		inode->i.flags &= ~(uint32_t)EXT4_EXTENTS_FL;
		memset(inode->i.block, 0, sizeof(inode->i.block));
	}
}

/* Indirect blocks that mapping BLOCKS blocks takes at most. */
static uint64_t ind_overhead(const struct fs *fs, uint64_t blocks)
{
	unsigned bits = fs->blockbits - 2;

	return (blocks >> bits) + (blocks >> 2 * bits) + 5;
}

uint64_t map_max_size(const struct inode *inode)
{
	const struct fs *fs = inode->fs;
	uint64_t blocks = map_limit(inode), most;

	/* Without huge_file i_blocks is 32 bits of 512 bytes. */
	if (!ext2fs_has_feature_huge_file(fs->e2->super)) {
		most = UINT32_MAX >> (fs->blockbits - 9);
		if (!inode_has_extents(inode))
			most -= ind_overhead(fs, most);
		if (blocks > most)
			blocks = most;
	}
	return blocks << fs->blockbits;
}

/* Credits for freeing what i_block itself points to; more than
 * SMALL_COST if there are blocks behind those. */
static unsigned root_cost(const struct inode *inode)
{
	const struct ext_head *h = ext_root(inode);
	unsigned i, cost = 0;
	struct ext e;

	if (!inode_has_extents(inode)) {
		for (i = 0; i < 12; i++)
			if (inode->i.block[i])
				cost += 2;
		return inode->i.block[12] || inode->i.block[13] ||
		       inode->i.block[14] ? SMALL_COST + 1 : cost;
	}
	if (h->depth)
		return SMALL_COST + 1;
	for (i = 0; i < ext_count(h) && i < EXT_ROOT_MAX; i++) {
		ext_decode(&ext_leaves((struct ext_head *)(uintptr_t)h)[i], &e);
		if (e.pblk >= inode->fs->first_data_block && e.len)
			cost += map_free_cost(inode->fs, e.pblk, e.len);
	}
	return cost;
}

bool map_is_small(const struct inode *inode)
{
	return map_kind(inode) == KIND_NONE || root_cost(inode) <= SMALL_COST;
}
