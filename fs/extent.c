/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * extent.c - extent trees: what a block of them must look like, and the way
 * from the inode to the extent of a logical block.
 *
 * A block is checked when it enters the cache (order, ranges, targets,
 * checksum); what two levels say of each other is checked on the way down,
 * and so is the root, which lives in the inode.  Nothing is changed here.
 * Must not know how trees are balanced (extent_tree.c) or what the mappings
 * are used for.  All needs the volume lock.
 */
#include <assert.h>
#include "fs/map_internal.h"

unsigned ext_capacity(const struct fs *fs)
{
	return (fs->blocksize - sizeof(struct ext_head)) /
	       sizeof(struct ext_leaf);
}

void ext_decode(const struct ext_leaf *l, struct ext *e)
{
	uint32_t len = le16toh(l->len);

	e->lblk = le32toh(l->lblk);
	e->pblk = (uint64_t)le16toh(l->start_hi) << 32 | le32toh(l->start_lo);
	e->unwritten = len > EXT_LEN_MAX;
	e->len = e->unwritten ? len - EXT_LEN_MAX : len;
}

void ext_encode(const struct ext *e, struct ext_leaf *l)
{
	assert(e->len && e->lblk + e->len <= MAP_END);
	assert(e->len <= (e->unwritten ? EXT_LEN_MAX_UNWRITTEN : EXT_LEN_MAX));
	l->lblk = htole32((uint32_t)e->lblk);
	l->len = htole16((uint16_t)(e->unwritten ? e->len + EXT_LEN_MAX :
						   e->len));
	l->start_hi = htole16((uint16_t)(e->pblk >> 32));
	l->start_lo = htole32((uint32_t)e->pblk);
}

/* The checksum's place: behind the last entry that fits. */
static uint32_t *ext_tail(struct ext_head *h)
{
	return (uint32_t *)(void *)(ext_leaves(h) + le16toh(h->max));
}

static uint32_t ext_csum(struct fs *fs, struct buf *b)
{
	struct ext_head *h = (struct ext_head *)(void *)b->data;
	uint32_t seed = inode_csum_seed(fs, b->ino, b->gen);

	return ext2fs_crc32c_le(seed, b->data, (size_t)((uint8_t *)ext_tail(h) -
							b->data));
}

/* Leaf entries in order and without overlap.  Returns what is wrong. */
static const char *check_leaves(struct fs *fs, struct ext_head *h, bool targets)
{
	struct ext_leaf *l = ext_leaves(h);
	unsigned i, n = ext_count(h);
	uint64_t end = 0;
	struct ext e;

	for (i = 0; i < n; i++) {
		ext_decode(&l[i], &e);
		if (!e.len)
			return "an extent of no length";
		if (e.lblk < end)
			return "extents out of order";
		end = ext_end(&e);
		if (end > MAP_END)
			return "an extent past the largest file";
		if (targets && !fs_block_valid(fs, e.pblk, e.len))
			return "an extent outside of the volume's data area";
	}
	return NULL;
}

static const char *check_idxs(struct fs *fs, struct ext_head *h, bool targets)
{
	struct ext_idx *x = ext_idxs(h);
	unsigned i, n = ext_count(h);

	if (!n)
		return "an index without entries";
	for (i = 0; i < n; i++) {
		if (i && le32toh(x[i].lblk) <= le32toh(x[i - 1].lblk))
			return "index entries out of order";
		if (targets && !fs_block_valid(fs, ext_idx_blk(&x[i]), 1))
			return "an index entry outside of the volume's data area";
	}
	return NULL;
}

static int ext_verify(struct fs *fs, struct buf *b)
{
	struct ext_head *h = (struct ext_head *)(void *)b->data;
	unsigned max = le16toh(h->max);
	const char *bad;

	if (le16toh(h->magic) != EXT_MAGIC)
		return fs_corrupt(fs, b->ino, b->blk,
				  "not an extent tree block");
	if (!max || max > ext_capacity(fs) || ext_count(h) > max ||
	    le16toh(h->depth) >= EXT_DEPTH_MAX)
		return fs_corrupt(fs, b->ino, b->blk,
				  "extent block header: %u entries of %u, depth %u",
				  ext_count(h), max, le16toh(h->depth));
	if (fs->csum && le32toh(*ext_tail(h)) != ext_csum(fs, b))
		return fs_fail(fs, -EFSBADCRC, b->ino, b->blk,
			       "extent block checksum is wrong");
	bad = h->depth ? check_idxs(fs, h, true) : check_leaves(fs, h, true);
	if (bad)
		return fs_corrupt(fs, b->ino, b->blk, "extent block: %s", bad);
	return 0;
}

static void ext_seal(struct fs *fs, struct buf *b)
{
	struct ext_head *h = (struct ext_head *)(void *)b->data;

	if (fs->csum)
		*ext_tail(h) = htole32(ext_csum(fs, b));
}

const struct buf_type ext_buf_type = {
	.name = "extent block",
	.rank = RANK_MAP,
	.verify = ext_verify,
	.seal = ext_seal,
};

/* The root has no verifier of its own: at most four entries, each time. */
int ext_check_root(struct inode *inode)
{
	struct ext_head *h = ext_root(inode);
	const char *bad;

	if (le16toh(h->magic) != EXT_MAGIC)
		return fs_corrupt(inode->fs, inode->ino, 0,
				  "no extent header in the inode");
	if (le16toh(h->max) > EXT_ROOT_MAX || !h->max ||
	    ext_count(h) > le16toh(h->max) ||
	    le16toh(h->depth) > EXT_DEPTH_MAX)
		return fs_corrupt(inode->fs, inode->ino, 0,
				  "extent header: %u entries of %u, depth %u",
				  ext_count(h), le16toh(h->max),
				  le16toh(h->depth));
	bad = h->depth ? check_idxs(inode->fs, h, false) :
			 check_leaves(inode->fs, h, false);
	if (bad)
		return fs_corrupt(inode->fs, inode->ino, 0, "extent root: %s",
				  bad);
	return 0;
}

/*
 * The tree block BLK, which has to be DEPTH levels above the leaves.  BLK is
 * checked only if it comes FROM_ROOT: others were when they were read.
 */
int ext_get_node(struct inode *inode, uint64_t blk, unsigned depth,
		 bool from_root, struct buf **out)
{
	struct ext_head *h;
	int err;

	if (from_root && !fs_block_valid(inode->fs, blk, 1))
		return fs_corrupt(inode->fs, inode->ino, blk,
				  "extent index points to an impossible block");
	err = cache_get(inode->fs->cache, blk, &ext_buf_type, inode->ino,
			inode->i.generation, out);
	if (err)
		return err;
	h = (struct ext_head *)(void *)(*out)->data;
	if (le16toh(h->depth) != depth) {
		cache_put(*out);
		return fs_corrupt(inode->fs, inode->ino, blk,
				  "extent block of depth %u where %u was expected",
				  le16toh(h->depth), depth);
	}
	return 0;
}

/* Last entry that starts at or before LBLK, -1 if none does. */
static int idx_search(struct ext_head *h, uint64_t lblk)
{
	/* Both kinds of entries start with their logical block. */
	const struct ext_idx *x = ext_idxs(h);
	int lo = 0, hi = (int)ext_count(h);

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (le32toh(x[mid].lblk) <= lblk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

/* Does the node at LEVEL stay within what its parent says of it? */
static int check_range(struct ext_path *p, unsigned level)
{
	struct ext_head *h = ext_node(p, level);
	unsigned n = ext_count(h);
	uint64_t first, end;
	struct ext e;

	if (!n)
		return 0;
	first = le32toh(ext_leaves(h)[0].lblk);
	if (level == p->depth) {
		ext_decode(&ext_leaves(h)[n - 1], &e);
		end = ext_end(&e);
	} else {
		end = le32toh(ext_idxs(h)[n - 1].lblk) + 1ULL;
	}
	if (first >= p->low && end <= p->high)
		return 0;
	return fs_corrupt(p->inode->fs, p->inode->ino, p->at[level].buf->blk,
			  "extent block leaves the range of its index entry");
}

int ext_walk(struct inode *inode, uint64_t lblk, struct ext_path *p)
{
	int err = ext_check_root(inode);
	unsigned level;

	if (err)
		return err;
	p->inode = inode;
	p->lblk = lblk;
	p->low = 0;
	p->high = MAP_END;
	p->depth = le16toh(ext_root(inode)->depth);
	p->at[0].buf = NULL;
	for (level = 0; level < p->depth; level++) {
		struct ext_head *h = ext_node(p, level);
		struct ext_idx *x = ext_idxs(h);
		int pos = idx_search(h, lblk);

		if (pos < 0)
			pos = 0;
		p->at[level].pos = pos;
		p->low = le32toh(x[pos].lblk);
		if (pos + 1 < (int)ext_count(h))
			p->high = le32toh(x[pos + 1].lblk);
		err = ext_get_node(inode, ext_idx_blk(&x[pos]),
				   p->depth - level - 1, !level,
				   &p->at[level + 1].buf);
		if (!err) {
			err = check_range(p, level + 1);
			if (err)
				cache_put(p->at[level + 1].buf);
		}
		if (err) {
			p->depth = level;
			ext_put(p);
			return err;
		}
	}
	p->at[level].pos = idx_search(ext_node(p, level), lblk);
	return 0;
}

void ext_put(struct ext_path *p)
{
	unsigned level;

	for (level = 1; level <= p->depth; level++)
		cache_put(p->at[level].buf);
	p->depth = 0;
}

/*
 * Turns the part of E from LBLK on, at most MAX blocks, into a map.  The
 * extents of a block were checked when it was read, the root's were not.
 */
static int ext_to_map(const struct ext_path *p, const struct ext *e,
		      uint64_t lblk, uint64_t max, struct map *m)
{
	struct inode *inode = p->inode;

	if (!p->depth && !fs_block_valid(inode->fs, e->pblk, e->len))
		return fs_corrupt(inode->fs, inode->ino, e->pblk,
				  "extent of %u blocks outside of the volume's data area",
				  e->len);
	m->lblk = lblk;
	m->pblk = e->pblk + (lblk - e->lblk);
	m->len = ext_end(e) - lblk;
	if (m->len > max)
		m->len = max;
	m->state = e->unwritten ? MAP_UNWRITTEN : MAP_WRITTEN;
	return 0;
}

static void hole(uint64_t lblk, uint64_t end, uint64_t max, struct map *m)
{
	m->lblk = lblk;
	m->pblk = 0;
	m->len = end < MAP_END && end - lblk < max ? end - lblk : max;
	m->state = MAP_HOLE;
}

int ext_lookup(struct inode *inode, uint64_t lblk, uint64_t max, struct map *m)
{
	struct ext_path p;
	struct ext_head *h;
	struct ext e;
	int err, pos;

	if (lblk >= MAP_END) {
		hole(lblk, MAP_END, max, m);
		return 0;
	}
	err = ext_walk(inode, lblk, &p);
	if (err)
		return err;
	h = ext_node(&p, p.depth);
	pos = p.at[p.depth].pos;
	if (pos >= 0) {
		ext_decode(&ext_leaves(h)[pos], &e);
		if (lblk < ext_end(&e)) {
			err = ext_to_map(&p, &e, lblk, max, m);
			goto out;
		}
	}
	if (pos + 1 < (int)ext_count(h))
		hole(lblk, le32toh(ext_leaves(h)[pos + 1].lblk), max, m);
	else
		hole(lblk, p.high, max, m);
out:
	ext_put(&p);
	return err;
}

int ext_next(struct inode *inode, uint64_t lblk, struct map *m)
{
	struct ext_path p;
	struct ext_head *h;
	struct ext e;
	uint64_t high;
	int err, pos;

	/* A leaf may be empty; each turn goes on to the next one. */
	for (; lblk < MAP_END; lblk = high) {
		err = ext_walk(inode, lblk, &p);
		if (err)
			return err;
		h = ext_node(&p, p.depth);
		pos = p.at[p.depth].pos;
		high = p.high;
		if (pos >= 0) {
			ext_decode(&ext_leaves(h)[pos], &e);
			if (lblk < ext_end(&e))
				goto found;
		}
		if (pos + 1 < (int)ext_count(h)) {
			ext_decode(&ext_leaves(h)[pos + 1], &e);
			lblk = e.lblk;
			goto found;
		}
		ext_put(&p);
	}
	return -ENXIO;
found:
	err = ext_to_map(&p, &e, lblk, UINT64_MAX, m);
	ext_put(&p);
	return err;
}

/* Does the entry at POS of P's leaf, in *N, go on at *E's END (or START)? */
static bool adjoins(const struct ext_path *p, int pos, const struct ext *e,
		    bool behind, struct ext *n)
{
	const struct ext *a = behind ? e : n, *b = behind ? n : e;

	ext_decode(&ext_leaves(ext_node(p, p->depth))[pos], n);
	return a->unwritten == b->unwritten && ext_end(a) == b->lblk &&
	       a->pblk + a->len == b->pblk &&
	       (p->depth || fs_block_valid(p->inode->fs, n->pblk, n->len));
}

/* The extent at P's pos, with its neighbours in the leaf. */
static int extent_around(const struct ext_path *p, struct map *m)
{
	int pos = p->at[p->depth].pos, i, err;
	int count = (int)ext_count(ext_node(p, p->depth));
	struct ext mid, e, n;

	ext_decode(&ext_leaves(ext_node(p, p->depth))[pos], &mid);
	err = ext_to_map(p, &mid, mid.lblk, UINT64_MAX, m);
	if (err)
		return err;
	for (e = mid, i = pos - 1; i >= 0 && adjoins(p, i, &e, false, &n);
	     e = n, i--) {
		m->lblk = n.lblk;
		m->pblk = n.pblk;
		m->len += n.len;
	}
	for (e = mid, i = pos + 1; i < count && adjoins(p, i, &e, true, &n);
	     e = n, i++)
		m->len += n.len;
	return 0;
}

/* Where the hole before LOW begins, below which nothing was looked at. */
static int hole_start(struct inode *inode, uint64_t low, uint64_t *start)
{
	struct ext_path p;
	struct ext e;
	int err, pos;

	/* A leaf may be empty, or begin later than its index entry says. */
	for (*start = 0; low; low = p.low) {
		err = ext_walk(inode, low - 1, &p);
		if (err)
			return err;
		pos = p.at[p.depth].pos;
		if (pos >= 0) {
			ext_decode(&ext_leaves(ext_node(&p, p.depth))[pos], &e);
			*start = ext_end(&e);
		}
		ext_put(&p);
		if (pos >= 0 || p.low >= low)
			break;
	}
	return 0;
}

int ext_around(struct inode *inode, uint64_t lblk, struct map *m)
{
	struct ext_path p;
	struct map next;
	uint64_t start;
	struct ext e;
	int err, pos;

	hole(lblk, MAP_END, UINT64_MAX - lblk, m);
	if (lblk >= MAP_END)
		return 0;
	err = ext_walk(inode, lblk, &p);
	if (err)
		return err;
	pos = p.at[p.depth].pos;
	if (pos >= 0) {
		ext_decode(&ext_leaves(ext_node(&p, p.depth))[pos], &e);
		if (lblk < ext_end(&e)) {
			err = extent_around(&p, m);
			ext_put(&p);
			return err;
		}
	}
	ext_put(&p);
	err = hole_start(inode, lblk + 1, &start);
	if (!err)
		err = ext_next(inode, lblk, &next);
	if (err && err != -ENXIO)
		return err;
	hole(start, err ? MAP_END : next.lblk, UINT64_MAX - start, m);
	return 0;
}

/* Next to the nearest extent, as far away as the blocks are in the file. */
uint64_t ext_goal(struct inode *inode, uint64_t lblk)
{
	struct ext_path p;
	struct ext_head *h;
	uint64_t goal = 0;
	struct ext e;
	int pos;

	if (lblk >= MAP_END || ext_walk(inode, lblk, &p))
		return 0;
	h = ext_node(&p, p.depth);
	pos = p.at[p.depth].pos;
	if (pos >= 0) {
		ext_decode(&ext_leaves(h)[pos], &e);
		goal = e.pblk + (lblk - e.lblk);
	} else if (ext_count(h)) {
		ext_decode(ext_leaves(h), &e);
		if (e.pblk > e.lblk - lblk)
			goal = e.pblk - (e.lblk - lblk);
	}
	ext_put(&p);
	return goal;
}
