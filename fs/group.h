/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * group.h - block groups: what group.c, bitmap.c, alloc.c and ialloc.c share
 * (and what open.c and super.c ask).  Everything needs the volume lock.
 *
 * struct group mirrors the descriptor's counts, so that a group is chosen
 * without reading a block; it is changed only by group_write(), together with
 * the descriptor, inside a handle.  Hints (max_run, the map of groups with
 * space) may be wrong in one direction only, also after an abort.
 */
#ifndef FS_GROUP_H
#define FS_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include "fs/fs.h"
#include "journal/range.h"

struct buf;
struct inode;
struct txn;

struct group {
	uint64_t handle_id;		/* that saved this */
	uint32_t free_clusters, free_inodes, used_dirs;
	uint32_t itable_unused;
	uint16_t flags;			/* EXT2_BG_* */
	uint8_t bad_blocks, bad_inodes;	/* damaged bitmap: not used any more */
	uint32_t max_run;		/* no free run in the block bitmap is
					 * longer (clusters) */
};

/* Blocks START..END-1. */
struct zone {
	uint64_t start, end;
};

/*
 * Numbers of inodes that transaction ID freed: not to be used again before it
 * is durable.
 */
struct recent {
	uint64_t id;			/* 0: none */
	struct range_set inodes;
};

struct resv {
	uint64_t start, count;		/* blocks */
};

struct groups {
	struct fs *fs;
	uint32_t count;
	uint32_t clusters_per_group, inodes_per_group;
	uint64_t blocks_per_group;
	uint32_t itable_blocks;		/* per group */
	unsigned desc_size, desc_per_block;
	bool desc_csum;			/* crc16 or crc32c */
	bool crc16;
	unsigned flex_bits;		/* log2 of groups in a flex group */

	struct group *g;
	struct zone *zones;		/* fixed metadata, sorted, disjoint */
	size_t zone_count;

	uint64_t dirs_total;		/* sum of used_dirs */
	uint64_t touched_id;		/* handle that changed any of this */
	uint32_t random;		/* where the next top directory goes */
	bool zones_overlap;
	uint64_t *space;		/* bit per group: may have free blocks */
	uint8_t *scratch;		/* a bitmap made up for looking at */
	struct recent recent[2];	/* the last two, newest first */
	uint64_t inodes_durable;	/* transaction, see inodes_thaw() */

	struct resv *resv;		/* reserved block ranges, sorted */
	size_t resv_count, resv_size;
	uint64_t resv_total;		/* blocks */
	struct resv *claims;		/* claimed in the handle claim_id */
	size_t claim_count, claim_size;
	uint64_t claim_id;
};

/* group.c */
int groups_check(struct fs *fs);	/* at mount; -EFSCORRUPTED */
/* Free blocks and inodes in all groups. */
void groups_totals(struct fs *fs, uint64_t *blocks, uint32_t *inodes);
uint64_t groups_overhead(struct fs *fs);	/* blocks, without the journal */

uint32_t group_of_block(const struct fs *fs, uint64_t blk);
uint64_t group_first_block(const struct fs *fs, uint32_t g);
uint32_t group_clusters(const struct fs *fs, uint32_t g);
/* The first zone that overlaps COUNT blocks from START, or NULL. */
const struct zone *zone_find(const struct groups *gs, uint64_t start,
			     uint64_t count);

/*
 * Opens the group's summary and descriptor for change in T; the caller
 * changes the summary, then calls group_store().  *DESC holds a reference
 * until then.
 */
int group_write(struct txn *t, uint32_t g, struct buf **desc);
void group_store(struct fs *fs, uint32_t g, struct buf *desc);	/* puts it */
int group_get_desc(struct fs *fs, uint32_t g, struct buf **desc);
struct ext4_group_desc *group_desc_at(struct fs *fs, uint32_t g,
				      struct buf *desc);
/* Adds to the superblock's counts, in T.  -ENOMEM. */
int super_count_blocks(struct txn *t, int64_t delta);	/* blocks */
int super_count_inodes(struct txn *t, int delta);

/* bitmap.c.  Bits are clusters, or inodes, of the group. */
enum bitmap_kind { BITMAP_BLOCKS, BITMAP_INODES };

/*
 * The bitmap for looking at: its bits, and a buffer to be put, or NULL if it
 * had to be made up (then valid until the next call).
 */
int bitmap_peek(struct fs *fs, uint32_t g, enum bitmap_kind kind,
		struct buf **b, const uint8_t **bits);
/* For change in T, between group_write() and group_store(). */
int bitmap_write(struct txn *t, uint32_t g, enum bitmap_kind kind,
		 struct buf **b);

static inline bool bit_test(const uint8_t *map, uint32_t n)
{
	return map[n >> 3] >> (n & 7) & 1;
}

/* First bit of that value in [FROM, END), or END. */
uint32_t bit_next_zero(const uint8_t *map, uint32_t from, uint32_t end);
uint32_t bit_next_set(const uint8_t *map, uint32_t from, uint32_t end);
void bit_set_range(uint8_t *map, uint32_t from, uint32_t count);
void bit_clear_range(uint8_t *map, uint32_t from, uint32_t count);
uint32_t bit_count_zero(const uint8_t *map, uint32_t nbits);

/*
 * resv.c: reserved ranges.  _clear is like txn_frozen(): how many blocks from
 * BLK are not reserved; _del ignores what is not reserved.  _add: -ENOMEM.
 */
uint64_t resv_clear(const struct groups *gs, uint64_t blk, uint64_t count,
		    uint64_t *skip);
int resv_add(struct groups *gs, uint64_t blk, uint64_t count);
void resv_del(struct groups *gs, uint64_t blk, uint64_t count);
/* Moves what is reserved in the range to the handle's claims.  -ENOMEM. */
int resv_claim(struct txn *t, uint64_t blk, uint64_t count);
void resv_end(struct txn *t, bool aborted);

/*
 * How many of COUNT blocks from BLK, free in the bitmap, can be taken now:
 * neither frozen nor reserved.  0: none for *SKIP blocks.
 */
uint64_t blocks_usable(struct fs *fs, uint64_t blk, uint64_t count,
		       uint64_t *skip);

/* ialloc.c: freed inode numbers and the transactions that freed them. */
bool inodes_frozen(struct fs *fs);
void inodes_thaw(struct fs *fs, uint64_t durable_id);

/* alloc.c: end of a handle, from inode_flush_handle(). */
void alloc_flush_handle(struct txn *t, bool aborted);

extern const struct buf_type itable_type;	/* inode.c: blocks of the table */

/* ialloc.c: may the inode's bytes in its table be garbage? */
bool inode_is_uninit(struct fs *fs, uint32_t ino);

#endif
