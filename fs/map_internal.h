/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_internal.h - what map.c, extent*.c and indirect.c share; nobody else
 * includes it.  All functions need the volume lock.
 *
 * extent.c reads extent trees, extent_tree.c keeps their shape (splitting,
 * growing, shrinking), extent_edit.c changes mappings with the help of both.
 */
#ifndef FS_MAP_INTERNAL_H
#define FS_MAP_INTERNAL_H

#include <endian.h>
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/map.h"
#include "io/cache.h"

/* Logical blocks are numbered 0 .. 2^32-2; this is one past any extent. */
#define MAP_END		(1ULL << 32)
#define MAP_MAX_BLOCKS	((1ULL << 32) - 1)

/* ---- extent trees ---- */

#define EXT_MAGIC	0xf30a
#define EXT_DEPTH_MAX	5
#define EXT_ROOT_MAX	4		/* entries in the inode */
#define EXT_LEN_MAX	32768u		/* of a written extent */
#define EXT_LEN_MAX_UNWRITTEN 32767u

/*
 * The disk's structures.  They overlay inode_core.block[], which others see
 * as words: hence may_alias.
 */
struct ext_head {
	uint16_t magic, entries, max, depth;
	uint32_t generation;
} __attribute__((may_alias));

struct ext_leaf {
	uint32_t lblk;
	uint16_t len, start_hi;
	uint32_t start_lo;
} __attribute__((may_alias));

struct ext_idx {
	uint32_t lblk;
	uint32_t leaf_lo;
	uint16_t leaf_hi, unused;
} __attribute__((may_alias));

_Static_assert(sizeof(struct ext_head) == 12, "extent header");
_Static_assert(sizeof(struct ext_leaf) == 12, "extent");
_Static_assert(sizeof(struct ext_idx) == 12, "extent index");

/* An extent in host form. */
struct ext {
	uint64_t lblk, pblk;
	uint32_t len;
	bool unwritten;
};

/*
 * The way from the root (at[0], buf NULL) to a leaf (at[depth]).  pos is the
 * entry taken: in an index node the child's, in the leaf the last extent
 * that starts at or before lblk, -1 if there is none.
 */
struct ext_path {
	struct inode *inode;
	uint64_t lblk;			/* what was looked for */
	/* What the indexes say the leaf covers; valid until it is changed. */
	uint64_t low, high;
	unsigned depth;
	struct {
		struct buf *buf;
		int pos;
	} at[EXT_DEPTH_MAX + 1];
};

extern const struct buf_type ext_buf_type;

static inline struct ext_head *ext_root(const struct inode *inode)
{
	return (struct ext_head *)(void *)inode->i.block;
}

/* The node at LEVEL; to be called again after each txn_write(). */
static inline struct ext_head *ext_node(const struct ext_path *p,
					unsigned level)
{
	return level ? (struct ext_head *)(void *)p->at[level].buf->data :
		       ext_root(p->inode);
}

static inline struct ext_leaf *ext_leaves(struct ext_head *h)
{
	return (struct ext_leaf *)(h + 1);
}

static inline struct ext_idx *ext_idxs(struct ext_head *h)
{
	return (struct ext_idx *)(h + 1);
}

static inline unsigned ext_count(const struct ext_head *h)
{
	return le16toh(h->entries);
}

static inline uint64_t ext_idx_blk(const struct ext_idx *x)
{
	return (uint64_t)le16toh(x->leaf_hi) << 32 | le32toh(x->leaf_lo);
}

static inline uint64_t ext_end(const struct ext *e)
{
	return e->lblk + e->len;
}

/* extent.c */
void ext_decode(const struct ext_leaf *l, struct ext *e);
void ext_encode(const struct ext *e, struct ext_leaf *l);
unsigned ext_capacity(const struct fs *fs);	/* entries in a block */
int ext_check_root(struct inode *inode);
int ext_get_node(struct inode *inode, uint64_t blk, unsigned depth,
		 bool from_root, struct buf **out);
/* Fills P, to be released by ext_put() unless an error is returned. */
int ext_walk(struct inode *inode, uint64_t lblk, struct ext_path *p);
void ext_put(struct ext_path *p);
int ext_lookup(struct inode *inode, uint64_t lblk, uint64_t max, struct map *m);
int ext_next(struct inode *inode, uint64_t lblk, struct map *m);
int ext_around(struct inode *inode, uint64_t lblk, struct map *m);
uint64_t ext_goal(struct inode *inode, uint64_t lblk);

/* extent_tree.c: the leaf entry at P's pos (or after it), and the tree. */
void ext_init_root(struct inode *inode);
int ext_write(struct txn *t, struct ext_path *p, unsigned level);
int ext_set(struct txn *t, struct ext_path *p, int pos, const struct ext *e);
int ext_add(struct txn *t, struct ext_path *p, const struct ext *e);
int ext_cut(struct txn *t, struct ext_path *p, int pos);
int ext_fix_keys(struct txn *t, struct ext_path *p);
int ext_drop_leaf(struct txn *t, struct ext_path *p);
int ext_shrink(struct txn *t, struct inode *inode);

/* extent_edit.c */
int ext_insert(struct txn *t, struct inode *inode, uint64_t lblk,
	       uint64_t pblk, uint64_t len, bool unwritten);
int ext_convert(struct txn *t, struct inode *inode, uint64_t lblk,
		uint64_t len);
int ext_remove(struct txn *t, struct inode *inode, uint64_t lblk,
	       uint64_t end);
int ext_shift(struct txn *t, struct inode *inode, uint64_t lblk,
	      int64_t delta, uint64_t *pos);

/* ---- indirect.c ---- */

uint64_t ind_limit(const struct fs *fs);	/* blocks a file can have */
int ind_lookup(struct inode *inode, uint64_t lblk, uint64_t max, struct map *m);
int ind_next(struct inode *inode, uint64_t lblk, struct map *m);
int ind_insert(struct txn *t, struct inode *inode, uint64_t lblk,
	       uint64_t pblk, uint64_t len);
int ind_remove(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t end);

/* ---- map.c: blocks in and out of a file ---- */

/* A block (cluster) for the tree itself, counted in i_blocks. */
int map_new_block(struct txn *t, struct inode *inode, uint64_t goal,
		  uint64_t *blk);
int map_free_block(struct txn *t, struct inode *inode, uint64_t blk);

/* Adds to i_blocks; -EFBIG if they cannot be counted. */
int map_charge(struct txn *t, struct inode *inode, int64_t blocks);

/*
 * Frees data that has just been unmapped, LEN blocks at LBLK; with bigalloc
 * only the clusters that nothing else of the file is in.
 */
int map_free_data(struct txn *t, struct inode *inode, uint64_t lblk,
		  uint64_t pblk, uint64_t len);

/* Credits that freeing LEN blocks at PBLK takes at most. */
unsigned map_free_cost(const struct fs *fs, uint64_t pblk, uint64_t len);
/* The largest run to be freed at once, in blocks. */
uint64_t map_free_max(const struct fs *fs);

#endif
