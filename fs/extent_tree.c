/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * extent_tree.c - the shape of extent trees: entries come and go, nodes are
 * split, the tree grows from its root in the inode and shrinks back into it.
 *
 * Every function leaves a valid tree, except that a leaf just split off may
 * be empty until its first entry is added.  An index key is the first
 * logical block of what is below it, at every level.  Must not know what an
 * extent means: merging, states and freeing data are extent_edit.c's.  After
 * an error the caller aborts its transaction.  All needs the volume lock.
 */
#include <assert.h>
#include <string.h>
#include "fs/map_internal.h"
#include "journal/txn.h"

void ext_init_root(struct inode *inode)
{
	struct ext_head *h = ext_root(inode);

	memset(inode->i.block, 0, sizeof(inode->i.block));
	h->magic = htole16(EXT_MAGIC);
	h->max = htole16(EXT_ROOT_MAX);
}

/* Makes the node at LEVEL writable; pointers into it are stale then. */
int ext_write(struct txn *t, struct ext_path *p, unsigned level)
{
	return level ? txn_write(t, p->at[level].buf) :
		       inode_dirty(t, p->inode);
}

static void set_count(struct ext_head *h, unsigned n)
{
	h->entries = htole16((uint16_t)n);
}

static void set_idx(struct ext_idx *x, uint64_t lblk, uint64_t blk)
{
	x->lblk = htole32((uint32_t)lblk);
	x->leaf_lo = htole32((uint32_t)blk);
	x->leaf_hi = htole16((uint16_t)(blk >> 32));
	x->unused = 0;
}

/* Opens or closes a gap of one entry at POS.  All entries are of one size. */
static void shift_entries(struct ext_head *h, int pos, int by)
{
	struct ext_idx *x = ext_idxs(h);
	unsigned n = ext_count(h);

	assert(pos >= 0 && (unsigned)pos + (by < 0) <= n);
	if (by > 0)
		memmove(&x[pos + 1], &x[pos], (n - (unsigned)pos) * sizeof(*x));
	else
		memmove(&x[pos], &x[pos + 1],
			(n - (unsigned)pos - 1) * sizeof(*x));
	set_count(h, n + (unsigned)by);
}

/*
 * Carries the first key of the node at LEVEL into the indexes above it, as
 * far up as the node is the first child.
 */
static int fix_keys_from(struct txn *t, struct ext_path *p, unsigned level)
{
	uint32_t key;
	int err;

	if (!ext_count(ext_node(p, level)))
		return 0;
	key = ext_idxs(ext_node(p, level))[0].lblk;
	while (level-- > 0) {
		int pos = p->at[level].pos;

		if (ext_idxs(ext_node(p, level))[pos].lblk != key) {
			err = ext_write(t, p, level);
			if (err)
				return err;
			ext_idxs(ext_node(p, level))[pos].lblk = key;
		}
		if (pos > 0)
			break;
	}
	return 0;
}

int ext_fix_keys(struct txn *t, struct ext_path *p)
{
	return fix_keys_from(t, p, p->depth);
}

/* Overwrites the leaf's entry POS. */
int ext_set(struct txn *t, struct ext_path *p, int pos, const struct ext *e)
{
	int err = ext_write(t, p, p->depth);

	if (err)
		return err;
	ext_encode(e, &ext_leaves(ext_node(p, p->depth))[pos]);
	return pos ? 0 : ext_fix_keys(t, p);
}

/* A new tree block in the cache, empty, writable, with its header set. */
static int new_node(struct txn *t, struct inode *inode, uint64_t near,
		    uint16_t depth_le, struct buf **out)
{
	struct ext_head *h;
	struct buf *b;
	uint64_t blk;
	int err = map_new_block(t, inode, near, &blk);

	if (err)
		return err;
	err = cache_get_new(inode->fs->cache, blk, &ext_buf_type, inode->ino,
			    inode->i.generation, &b);
	if (err)
		return err;
	err = txn_write(t, b);
	if (err) {
		cache_put(b);
		return err;
	}
	memset(b->data, 0, inode->fs->blocksize);
	h = (struct ext_head *)(void *)b->data;
	h->magic = htole16(EXT_MAGIC);
	h->max = htole16((uint16_t)ext_capacity(inode->fs));
	h->depth = depth_le;
	*out = b;
	return 0;
}

/* Moves entries FROM.. of node A to the empty node B. */
static void move_entries(struct ext_head *a, struct ext_head *b, unsigned from)
{
	unsigned n = ext_count(a) - from;

	assert(n <= le16toh(b->max) && !ext_count(b));
	memcpy(ext_idxs(b), ext_idxs(a) + from, n * sizeof(struct ext_idx));
	memset(ext_idxs(a) + from, 0, n * sizeof(struct ext_idx));
	set_count(b, n);
	set_count(a, from);
}

/* One level more: the root's entries move to a block below it. */
static int grow(struct txn *t, struct ext_path *p)
{
	struct ext_head *root = ext_root(p->inode);
	struct buf *b;
	uint32_t key;
	int err;

	if (p->depth >= EXT_DEPTH_MAX)
		return -EFBIG;
	err = inode_dirty(t, p->inode);
	if (!err)
		err = new_node(t, p->inode, 0, root->depth, &b);
	if (err)
		return err;
	key = le32toh(ext_idxs(root)[0].lblk);
	move_entries(root, (struct ext_head *)(void *)b->data, 0);
	set_idx(&ext_idxs(root)[0], key, b->blk);
	set_count(root, 1);
	root->max = htole16(EXT_ROOT_MAX);
	root->depth = htole16((uint16_t)(p->depth + 1));

	memmove(&p->at[1], &p->at[0], (p->depth + 1) * sizeof(p->at[0]));
	p->at[1].buf = b;
	p->at[0].buf = NULL;
	p->at[0].pos = 0;
	p->depth++;
	return 0;
}

/*
 * Where to split the full node at LEVEL.  In the middle; but what grows at
 * its end leaves full nodes behind.  An index node keeps a child on both
 * sides; a leaf's right half may be empty, for the entry to come.
 */
static unsigned split_point(const struct ext_path *p, unsigned level)
{
	unsigned n = ext_count(ext_node(p, level));
	int pos = p->at[level].pos;

	if (pos + 1 < (int)n)
		return n / 2;
	return level == p->depth ? n : n - 1;
}

/*
 * Splits the node at LEVEL, whose parent has room.  The path follows: to
 * the child in an index node, to where pos + 1 will be in a leaf.
 */
static int split(struct txn *t, struct ext_path *p, unsigned level)
{
	unsigned m = split_point(p, level);
	int pos = p->at[level].pos, up, err;
	struct buf *b;
	uint64_t key;
	bool right;

	if (!m && level < p->depth)
		return fs_corrupt(p->inode->fs, p->inode->ino,
				  p->at[level].buf->blk,
				  "extent index block for one entry only");
	err = ext_write(t, p, level);
	if (!err)
		err = ext_write(t, p, level - 1);
	if (!err)
		err = new_node(t, p->inode, p->at[level].buf->blk,
			       ext_node(p, level)->depth, &b);
	if (err)
		return err;
	key = m < ext_count(ext_node(p, level)) ?
	      le32toh(ext_idxs(ext_node(p, level))[m].lblk) : p->lblk;
	move_entries(ext_node(p, level), (struct ext_head *)(void *)b->data, m);

	up = p->at[level - 1].pos + 1;
	shift_entries(ext_node(p, level - 1), up, 1);
	set_idx(&ext_idxs(ext_node(p, level - 1))[up], key, b->blk);

	right = pos >= (int)m || !ext_count((struct ext_head *)(void *)b->data);
	if (!right) {
		cache_put(b);
		return 0;
	}
	cache_put(p->at[level].buf);
	p->at[level].buf = b;
	p->at[level].pos = pos - (int)m;
	p->at[level - 1].pos = up;
	return 0;
}

/* Room for one entry in the node HEIGHT levels above the leaf. */
static int make_room(struct txn *t, struct ext_path *p, unsigned height)
{
	struct ext_head *h = ext_node(p, p->depth - height);
	int err;

	if (ext_count(h) < le16toh(h->max))
		return 0;
	if (height == p->depth)
		return grow(t, p);
	err = make_room(t, p, height + 1);
	return err ? err : split(t, p, p->depth - height);
}

/*
 * Adds E behind the leaf's entry pos, which it then is itself.  P stays
 * usable, except for low and high.
 */
int ext_add(struct txn *t, struct ext_path *p, const struct ext *e)
{
	struct ext_head *h;
	int err, pos;

	p->lblk = e->lblk;
	err = make_room(t, p, 0);
	if (!err)
		err = ext_write(t, p, p->depth);
	if (err)
		return err;
	h = ext_node(p, p->depth);
	pos = ++p->at[p->depth].pos;
	shift_entries(h, pos, 1);
	ext_encode(e, &ext_leaves(h)[pos]);
	return pos ? 0 : ext_fix_keys(t, p);
}

/*
 * Removes the node at LEVEL with what may be in it from the tree, and what
 * becomes empty above it.  The root itself is made an empty leaf.
 */
static int drop_node(struct txn *t, struct ext_path *p, unsigned level)
{
	struct ext_head *h;
	uint64_t blk;
	int err;

	for (; level > 0; level--) {
		int pos = p->at[level - 1].pos;

		err = ext_write(t, p, level - 1);
		if (err)
			return err;
		blk = p->at[level].buf->blk;
		cache_put(p->at[level].buf);
		p->at[level].buf = NULL;
		err = map_free_block(t, p->inode, blk);
		if (err)
			return err;
		h = ext_node(p, level - 1);
		shift_entries(h, pos, -1);
		if (ext_count(h))
			return pos ? 0 : fix_keys_from(t, p, level - 1);
	}
	err = inode_dirty(t, p->inode);
	if (!err)
		ext_init_root(p->inode);
	return err;
}

/*
 * Removes the leaf's entry POS.  If that empties the leaf it goes too, and
 * P must not be used any more (but be put).
 */
int ext_cut(struct txn *t, struct ext_path *p, int pos)
{
	int err;

	if (ext_count(ext_node(p, p->depth)) == 1)
		return drop_node(t, p, p->depth);
	err = ext_write(t, p, p->depth);
	if (err)
		return err;
	shift_entries(ext_node(p, p->depth), pos, -1);
	return pos ? 0 : ext_fix_keys(t, p);
}

/* Removes an empty leaf (as another system may leave one). */
int ext_drop_leaf(struct txn *t, struct ext_path *p)
{
	return drop_node(t, p, p->depth);
}

/* Takes an only child into the root while it fits there. */
int ext_shrink(struct txn *t, struct inode *inode)
{
	struct ext_head *root = ext_root(inode), *h;
	struct buf *b;
	uint64_t blk;
	unsigned n;
	int err = ext_check_root(inode);

	while (!err && root->depth && ext_count(root) == 1) {
		blk = ext_idx_blk(ext_idxs(root));
		err = ext_get_node(inode, blk, le16toh(root->depth) - 1u, true,
				   &b);
		if (err)
			break;
		h = (struct ext_head *)(void *)b->data;
		n = ext_count(h);
		if (n > EXT_ROOT_MAX) {
			cache_put(b);
			break;
		}
		err = inode_dirty(t, inode);
		if (!err) {
			ext_init_root(inode);
			root->depth = h->depth;
			memcpy(ext_idxs(root), ext_idxs(h),
			       n * sizeof(struct ext_idx));
			set_count(root, n);
		}
		cache_put(b);
		if (!err)
			err = map_free_block(t, inode, blk);
	}
	return err;
}
