/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ordered.c - a commit on a volume without a log: blocks go home in an order
 * that leaves something repairable at any point.
 *
 * A crash in the middle leaves a part.  The order makes that part repairable
 * at the price of one flush, and of that only where directories changed:
 * everything a name can lead to (inodes, maps, bitmaps and the descriptors
 * with their checksums, which must not be far apart) is durable before
 * directory blocks are written; so a crash costs an inode without a name at
 * most.  New directory blocks come before the inodes that make them part of a
 * directory: names that moved there in a split are never in neither block.
 * The superblock comes last.
 *
 * Called by who holds the journal, without the volume lock; takes none.
 */
#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/txn_internal.h"

enum stage { STAGE_NEW, STAGE_NAMED, STAGE_NAMES, STAGE_SUPER };

/* New blocks, what names lead to, then names, then the superblock. */
static enum stage stage_of(const struct commit_block *cb)
{
	if (cb->newborn)
		return STAGE_NEW;
	if (cb->rank == RANK_SUPER)
		return STAGE_SUPER;
	return cb->rank == RANK_DIR ? STAGE_NAMES : STAGE_NAMED;
}

/*
 * The order of writing, and of sealing: the stages keep bitmaps before
 * descriptors and these before the superblock, as sealing needs it.
 */
int by_stage(const void *va, const void *vb)
{
	const struct commit_block *a = va, *b = vb;

	if (stage_of(a) != stage_of(b))
		return stage_of(a) < stage_of(b) ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->blk < b->blk ? -1 : a->blk > b->blk;
}

/* Writes the blocks from I to at most END-1 that one write takes; how many,
 * or -errno. */
static int write_some(struct journal *j, struct txn_group *g, size_t i,
		      size_t end)
{
	struct commit_block *v[GATHER_BYTES / EXT2_MIN_BLOCK_SIZE];
	size_t n = 0, max = sizeof(v) / sizeof(v[0]);
	int err;

	while (n < max && i + n < end && g->blocks[i + n].rank ==
	       g->blocks[i].rank) {
		v[n] = &g->blocks[i + n];
		n++;
	}
	n = home_run(j, v, n);
	err = home_write(j, v, n);
	return err ? err : (int)n;
}

/*
 * Blocks that the group's metadata will point to: file data, which is written
 * already, and new metadata.  *NEXT is the first of the others.
 */
static int write_new(struct journal *j, struct txn_group *g, size_t *next)
{
	size_t i = 0, end = 0;
	int n;

	while (end < g->count && g->blocks[end].newborn)
		end++;
	while (i < end) {
		n = write_some(j, g, i, end);
		if (n < 0)
			return n;
		i += n;
	}
	*next = i;
	return device_sync(j->fs->dev);
}

static int write_rest(struct journal *j, struct txn_group *g, size_t first)
{
	size_t i = first;
	int n, err;

	while (i < g->count) {
		const struct commit_block *cb = &g->blocks[i];

		if (i > first && stage_of(cb) == STAGE_NAMES &&
		    stage_of(&cb[-1]) == STAGE_NAMED) {
			err = device_sync(j->fs->dev);
			if (err)
				return err;
		}
		n = write_some(j, g, i, g->count);
		if (n < 0)
			return n;
		i += n;
	}
	return device_sync(j->fs->dev);
}

int ordered_commit(struct journal *j, struct txn_group *g)
{
	size_t next;
	int err = write_new(j, g, &next);

	return err ? err : write_rest(j, g, next);
}
