/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * indirect.c - the mapping of ext2 and ext3: twelve direct pointers, then a
 * single, a double and a triple indirect block.
 *
 * An indirect block's pointers are checked when it enters the cache, the
 * inode's where they are followed.  All depths are bounded by three.  Blocks
 * are always written ones here: who maps them has filled them before.  Must
 * not know about extents or clusters: bigalloc volumes have extents.  After
 * an error the caller aborts its transaction.  All needs the volume lock.
 */
#include <assert.h>
#include <string.h>
#include "fs/map_internal.h"
#include "journal/txn.h"

#define IND_DIRECT	12
#define IND_PTR_MAX	0xffffffffULL	/* pointers have 32 bits */

typedef uint32_t __attribute__((may_alias)) ind_ptr;

/* Where a logical block's pointer is: off[0] in the inode, then one each. */
struct ind_place {
	unsigned depth;			/* indirect blocks on the way */
	unsigned off[4];
};

/* A row of pointers: in the inode (buf NULL) or in an indirect block. */
struct ind_row {
	struct buf *buf;
	unsigned idx, count;
};

static unsigned ind_bits(const struct fs *fs)
{
	return fs->blockbits - 2;
}

uint64_t ind_limit(const struct fs *fs)
{
	unsigned bits = ind_bits(fs);
	uint64_t n = IND_DIRECT + (1ULL << bits) + (1ULL << 2 * bits) +
		     (1ULL << 3 * bits);

	return n < MAP_MAX_BLOCKS ? n : MAP_MAX_BLOCKS;
}

/* False past the end of what can be mapped. */
static bool find_place(const struct fs *fs, uint64_t lblk, struct ind_place *w)
{
	unsigned bits = ind_bits(fs), i;

	w->depth = 0;
	if (lblk < IND_DIRECT) {
		w->off[0] = (unsigned)lblk;
		return true;
	}
	if (lblk >= ind_limit(fs))
		return false;
	lblk -= IND_DIRECT;
	for (w->depth = 1; w->depth < 3; w->depth++) {
		if (lblk < 1ULL << w->depth * bits)
			break;
		lblk -= 1ULL << w->depth * bits;
	}
	w->off[0] = IND_DIRECT + w->depth - 1;
	for (i = w->depth; i > 0; i--) {
		w->off[i] = (unsigned)(lblk & ((1U << bits) - 1));
		lblk >>= bits;
	}
	return true;
}

/* Are COUNT pointers from P (zeros aside) possible data or tree blocks? */
static bool pointers_valid(struct fs *fs, const ind_ptr *p, unsigned count)
{
	unsigned i, run;

	for (i = 0; i < count; i += run) {
		uint64_t blk = le32toh(p[i]);

		for (run = 1; blk && i + run < count; run++)
			if (le32toh(p[i + run]) != blk + run)
				break;
		if (blk && !fs_block_valid(fs, blk, run))
			return false;
	}
	return true;
}

static int ind_verify(struct fs *fs, struct buf *b)
{
	if (pointers_valid(fs, (ind_ptr *)(void *)b->data, fs->blocksize / 4))
		return 0;
	return fs_corrupt(fs, b->ino, b->blk,
			  "indirect block points outside of the volume's data area");
}

static const struct buf_type ind_buf_type = {
	.name = "indirect block",
	.rank = RANK_MAP,
	.verify = ind_verify,
};

static int get_ind(struct inode *inode, uint64_t blk, struct buf **out)
{
	if (!fs_block_valid(inode->fs, blk, 1))
		return fs_corrupt(inode->fs, inode->ino, blk,
				  "block pointer outside of the volume's data area");
	return cache_get(inode->fs->cache, blk, &ind_buf_type, 0, 0, out);
}

static ind_ptr *row_ptrs(struct inode *inode, const struct ind_row *r)
{
	return r->buf ? (ind_ptr *)(void *)r->buf->data : inode->i.block;
}

static int row_write(struct txn *t, struct inode *inode, struct ind_row *r)
{
	return r->buf ? txn_write(t, r->buf) : inode_dirty(t, inode);
}

/*
 * Goes down to the row that LBLK's pointer is in.  1: found; 0: a pointer on
 * the way is zero, and *SPAN blocks from LBLK on are a hole; -errno.
 */
static int find_row(struct inode *inode, uint64_t lblk, struct ind_row *r,
		    uint64_t *span)
{
	unsigned bits = ind_bits(inode->fs), level, i;
	struct buf *b, *up = NULL;
	struct ind_place w;
	uint64_t blk, in;
	int err;

	if (!find_place(inode->fs, lblk, &w)) {
		*span = UINT64_MAX - lblk;
		return 0;
	}
	for (level = 0; level < w.depth; level++) {
		blk = le32toh(up ? ((ind_ptr *)(void *)up->data)[w.off[level]] :
				   inode->i.block[w.off[0]]);
		if (!blk) {
			for (in = 0, i = level + 1; i <= w.depth; i++)
				in = in << bits | w.off[i];
			*span = (1ULL << (w.depth - level) * bits) - in;
			cache_put(up);
			return 0;
		}
		err = get_ind(inode, blk, &b);
		cache_put(up);
		if (err)
			return err;
		up = b;
	}
	r->buf = up;
	r->idx = w.off[w.depth];
	r->count = w.depth ? 1U << bits : IND_DIRECT;
	return 1;
}

/* The run at LBLK inside of one row of pointers, or a hole's part. */
static int lookup_row(struct inode *inode, uint64_t lblk, uint64_t max,
		      struct map *m)
{
	struct ind_row r = { 0 };
	uint64_t span = 0;
	unsigned n = 1;
	ind_ptr *p;
	int err = find_row(inode, lblk, &r, &span);

	if (err < 0)
		return err;
	m->lblk = lblk;
	m->pblk = 0;
	m->state = MAP_HOLE;
	if (!err) {
		m->len = span < max ? span : max;
		return 0;
	}
	p = row_ptrs(inode, &r) + r.idx;
	m->pblk = le32toh(p[0]);
	while (n < max && r.idx + n < r.count &&
	       le32toh(p[n]) == (m->pblk ? m->pblk + n : 0))
		n++;
	m->len = n;
	if (m->pblk)
		m->state = MAP_WRITTEN;
	cache_put(r.buf);
	if (m->pblk && !r.buf && !fs_block_valid(inode->fs, m->pblk, n))
		return fs_corrupt(inode->fs, inode->ino, m->pblk,
				  "block pointer outside of the volume's data area");
	return 0;
}

int ind_lookup(struct inode *inode, uint64_t lblk, uint64_t max, struct map *m)
{
	struct map next;
	int err = lookup_row(inode, lblk, max, m);

	while (!err && m->state == MAP_HOLE && m->len < max) {
		err = lookup_row(inode, lblk + m->len, max - m->len, &next);
		if (err || next.state != MAP_HOLE)
			break;
		m->len += next.len;
	}
	return err;
}

int ind_next(struct inode *inode, uint64_t lblk, struct map *m)
{
	uint64_t limit = ind_limit(inode->fs);
	int err;

	for (; lblk < limit; lblk += m->len) {
		err = lookup_row(inode, lblk, limit - lblk, m);
		if (err || m->state != MAP_HOLE)
			return err;
	}
	return -ENXIO;
}

/* ---- insertion ---- */

/* A new indirect block, all zero, entered at the row's idx. */
static int new_ind(struct txn *t, struct inode *inode, struct ind_row *r,
		   struct buf **out)
{
	struct buf *b;
	uint64_t blk;
	int err = row_write(t, inode, r);

	if (!err)
		err = map_new_block(t, inode, r->buf ? r->buf->blk : 0, &blk);
	if (err)
		return err;
	if (blk > IND_PTR_MAX)
		return -ENOSPC;
	err = cache_get_new(inode->fs->cache, blk, &ind_buf_type, 0, 0, &b);
	if (err)
		return err;
	err = txn_write(t, b);
	if (err) {
		cache_put(b);
		return err;
	}
	memset(b->data, 0, inode->fs->blocksize);
	row_ptrs(inode, r)[r->idx] = htole32((uint32_t)blk);
	*out = b;
	return 0;
}

/* The row of LBLK's pointer; indirect blocks on the way are made. */
static int make_row(struct txn *t, struct inode *inode, uint64_t lblk,
		    struct ind_row *r)
{
	struct ind_place w;
	struct buf *b;
	unsigned level;
	uint64_t blk;
	int err;

	if (!find_place(inode->fs, lblk, &w))
		return -EFBIG;
	r->buf = NULL;
	for (level = 0; level < w.depth; level++) {
		r->idx = w.off[level];
		blk = le32toh(row_ptrs(inode, r)[r->idx]);
		err = blk ? get_ind(inode, blk, &b) : new_ind(t, inode, r, &b);
		cache_put(r->buf);
		if (err)
			return err;
		r->buf = b;
	}
	r->idx = w.off[w.depth];
	r->count = w.depth ? 1U << ind_bits(inode->fs) : IND_DIRECT;
	return 0;
}

static int fill_row(struct txn *t, struct inode *inode, struct ind_row *r,
		    uint64_t pblk, unsigned n)
{
	unsigned i;
	ind_ptr *p;
	int err = row_write(t, inode, r);

	if (err)
		return err;
	p = row_ptrs(inode, r) + r->idx;
	for (i = 0; i < n; i++) {
		if (p[i])
			return -EEXIST;
		p[i] = htole32((uint32_t)(pblk + i));
	}
	return 0;
}

int ind_insert(struct txn *t, struct inode *inode, uint64_t lblk,
	       uint64_t pblk, uint64_t len)
{
	struct ind_row r;
	unsigned n;
	int err;

	if (pblk + len - 1 > IND_PTR_MAX)
		return -ENOSPC;
	while (len) {
		err = make_row(t, inode, lblk, &r);
		if (err)
			return err;
		n = r.count - r.idx;
		if (n > len)
			n = (unsigned)len;
		err = fill_row(t, inode, &r, pblk, n);
		cache_put(r.buf);
		if (err)
			return err;
		lblk += n;
		pblk += n;
		len -= n;
	}
	return 0;
}

/* ---- removal, from the end backwards ---- */

struct ind_cut {
	struct txn *t;
	struct inode *inode;
	uint64_t lo, hi;		/* logical blocks to go */
	bool first;			/* nothing has been freed yet */
};

/* Credits for a run and the rows above it. */
static bool enough(struct ind_cut *c, uint64_t pblk, uint64_t len)
{
	struct fs *fs = c->inode->fs;

	return c->first || txn_room(c->t) >= 3 * 3 + 4 +
	       map_free_cost(fs, pblk, len);
}

/*
 * Frees the data run that ends at the row's pointer I (logical block LBLK)
 * and starts at the pointer FLOOR or later.  Returns its length, 0 if the
 * credits do not suffice, or -errno.
 */
static int cut_run(struct ind_cut *c, struct ind_row *r, unsigned i,
		   unsigned bottom, uint64_t lblk)
{
	ind_ptr *p = row_ptrs(c->inode, r);
	uint64_t blk = le32toh(p[i]);
	unsigned n = 1;
	int err;

	while (i - n + 1 > bottom && n < map_free_max(c->inode->fs) &&
	       le32toh(p[i - n]) && le32toh(p[i - n]) == blk - n)
		n++;
	if (!enough(c, blk - n + 1, n))
		return 0;
	c->first = false;
	err = row_write(c->t, c->inode, r);
	if (err)
		return err;
	p = row_ptrs(c->inode, r);
	memset(&p[i - n + 1], 0, n * sizeof(*p));
	err = map_free_data(c->t, c->inode, lblk - n + 1, blk - n + 1, n);
	return err ? err : (int)n;
}

static bool row_empty(struct inode *inode, const struct ind_row *r)
{
	const ind_ptr *p = row_ptrs(inode, r);
	unsigned i;

	for (i = 0; i < r->count; i++)
		if (p[i])
			return false;
	return true;
}

static int cut_row(struct ind_cut *c, struct ind_row *r, uint64_t base,
		   unsigned level);

/*
 * Removes what is below the row's pointer I, the root of a tree of LEVEL
 * (1..3) whose first block is BASE; the indirect block too if that empties
 * it.  1: out of credits.
 */
static int cut_child(struct ind_cut *c, struct ind_row *r, unsigned i,
		     uint64_t base, unsigned level)
{
	struct ind_row child = { .count = c->inode->fs->blocksize / 4 };
	uint64_t blk = le32toh(row_ptrs(c->inode, r)[i]);
	int err = get_ind(c->inode, blk, &child.buf), more;
	bool empty;

	if (err)
		return err;
	more = cut_row(c, &child, base, level - 1);
	empty = more == 0 && row_empty(c->inode, &child);
	cache_put(child.buf);
	if (more || !empty)
		return more;
	if (!enough(c, blk, 1))
		return 1;
	c->first = false;
	err = row_write(c->t, c->inode, r);
	if (err)
		return err;
	row_ptrs(c->inode, r)[i] = 0;
	return map_free_block(c->t, c->inode, blk);
}

/*
 * Removes what lies in the range from a whole row, whose first pointer maps
 * BASE and whose pointers are to trees of LEVEL (0: to data).
 */
static int cut_row(struct ind_cut *c, struct ind_row *r, uint64_t base,
		   unsigned level)
{
	unsigned shift = level * ind_bits(c->inode->fs), i, bottom = 0;
	int err;

	if (c->hi <= base)
		return 0;
	if (c->lo > base)
		bottom = (c->lo - base) >> shift < r->count ?
			 (unsigned)((c->lo - base) >> shift) : r->count;
	i = (c->hi - 1 - base) >> shift < r->count ?
	    (unsigned)((c->hi - 1 - base) >> shift) + 1 : r->count;
	while (i > bottom) {
		i--;
		if (!row_ptrs(c->inode, r)[i])
			continue;
		if (level) {
			err = cut_child(c, r, i, base + ((uint64_t)i << shift),
					level);
			if (err)
				return err;
			continue;
		}
		err = cut_run(c, r, i, bottom, base + i);
		if (err <= 0)
			return err ? err : 1;
		i -= (unsigned)err - 1;
	}
	return 0;
}

int ind_remove(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t end)
{
	struct ind_cut c = { t, inode, lblk, end, true };
	struct ind_row root = { .count = IND_DIRECT };
	unsigned bits = ind_bits(inode->fs), level;
	int err;

	for (level = 3; level > 0; level--) {
		uint64_t base = IND_DIRECT, span = 1ULL << level * bits;
		unsigned i;

		for (i = 1; i < level; i++)
			base += 1ULL << i * bits;
		if (!inode->i.block[IND_DIRECT + level - 1] || end <= base ||
		    lblk >= base + span)
			continue;
		err = cut_child(&c, &root, IND_DIRECT + level - 1, base, level);
		if (err)
			return err;
	}
	return cut_row(&c, &root, 0, 0);
}
