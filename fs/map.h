/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map.h - where a file's blocks are: the only producer of physical block
 * numbers for file (and directory) contents.
 *
 * map.c dispatches to extent.c (extent trees) and indirect.c (indirect
 * blocks), and knows clusters (bigalloc).  Inline data is data.c's and
 * dir.c's: an inline inode has no mapping.  All need the volume lock; logical
 * and physical numbers are in blocks.
 */
#ifndef FS_MAP_H
#define FS_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct inode;
struct txn;

enum map_state { MAP_HOLE, MAP_UNWRITTEN, MAP_WRITTEN };

struct map {
	uint64_t lblk;
	uint64_t pblk;			/* 0 for a hole */
	uint64_t len;			/* blocks; > 0 */
	enum map_state state;
};

/*
 * The mapping at LBLK, at most MAX blocks of one state, contiguous.  A hole
 * is reported up to the next mapped block (or MAX).  -EFSCORRUPTED, -EIO.
 */
int map_lookup(struct inode *inode, uint64_t lblk, uint64_t max, struct map *m);

/*
 * All of the mapping that LBLK is in: M may begin before LBLK.  What adjoins
 * it in the file and on the device, in the same state, is taken as one with
 * it where that costs no lookup.  A hole behind the last block ends at
 * UINT64_MAX.  -EINVAL if the file has no extents.
 */
int map_around(struct inode *inode, uint64_t lblk, struct map *m);

/* The first mapped block at or after LBLK: its map, or -ENXIO. */
int map_next(struct inode *inode, uint64_t lblk, struct map *m);

/* The physical block to aim for when LBLK is to be allocated. */
uint64_t map_goal(struct inode *inode, uint64_t lblk);

/*
 * Enters LEN blocks that are allocated already (block_alloc or block_claim)
 * into a hole; merges with neighbours.  Sets i_blocks for tree blocks and
 * for the LEN blocks (with bigalloc: for the clusters that are new).
 * -ENOSPC, -EFBIG, ...
 */
int map_insert(struct txn *t, struct inode *inode, uint64_t lblk,
	       uint64_t pblk, uint64_t len, bool unwritten);

/*
 * Allocates and maps what is a hole in LBLK..LBLK+LEN-1: unwritten, or for
 * files without extents zeroed on disk.  May stop early: *DONE blocks are
 * mapped from LBLK on.  -ENOSPC with *DONE 0 only.
 */
int map_alloc(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t len,
	      unsigned alloc_flags, uint64_t *done);

/* Marks what is unwritten in the range as written. */
int map_convert(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t len);

/*
 * Unmaps and frees LBLK..LBLK+LEN-1 (LEN UINT64_MAX: to the end).  Stops
 * when the handle runs out of credits: returns 1 if there is more to do (call
 * again in a new handle), 0 when done.
 */
int map_remove(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t len);

/*
 * Moves all mappings from LBLK on by DELTA blocks (collapse: negative, the
 * room is a hole; insert: positive).  Extent files only.  Same return
 * convention as map_remove(); *POS is kept between calls (starts at 0).
 */
int map_shift(struct txn *t, struct inode *inode, uint64_t lblk, int64_t delta,
	      uint64_t *pos);

/*
 * bigalloc: the physical block that LBLK must have because another block of
 * its cluster is mapped already; 0 if none.
 */
int map_cluster(struct inode *inode, uint64_t lblk, uint64_t *pblk);

/* Sets up an empty map (extent header or zeroed pointers) in a new inode. */
void map_init(struct inode *inode);

/* Largest file size in bytes for this inode's kind of mapping. */
uint64_t map_max_size(const struct inode *inode);

/* Is the whole tree so small that one handle can free it?  (orphan.c) */
bool map_is_small(const struct inode *inode);

#endif
