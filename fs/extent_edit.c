/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * extent_edit.c - changes to what an extent tree maps: insert, convert,
 * remove, shift.
 *
 * Neighbours in a leaf are merged where length and state allow it.  Removal
 * goes from the end of the range to its start, so that a handle that runs
 * out of credits leaves the file as a truncate to that point would.  Must
 * not know how nodes are split and freed (extent_tree.c).  After an error the
 * caller aborts its transaction.  All needs the volume lock.
 */
#include <assert.h>
#include "fs/map_internal.h"
#include "journal/txn.h"

static uint32_t len_max(bool unwritten)
{
	return unwritten ? EXT_LEN_MAX_UNWRITTEN : EXT_LEN_MAX;
}

/* Can B be added to the end of A? */
static bool joins(const struct ext *a, const struct ext *b)
{
	return a->unwritten == b->unwritten && ext_end(a) == b->lblk &&
	       a->pblk + a->len == b->pblk &&
	       a->len + b->len <= len_max(a->unwritten);
}

static unsigned leaf_count(const struct ext_path *p)
{
	return ext_count(ext_node(p, p->depth));
}

static void leaf_get(const struct ext_path *p, int pos, struct ext *e)
{
	ext_decode(&ext_leaves(ext_node(p, p->depth))[pos], e);
}

/* The part of E that starts at LBLK. */
static struct ext tail_of(const struct ext *e, uint64_t lblk)
{
	struct ext r = *e;

	r.lblk = lblk;
	r.pblk += lblk - e->lblk;
	r.len -= (uint32_t)(lblk - e->lblk);
	return r;
}

/* Merges the leaf's entry POS with the one behind it if they fit. */
static int join_next(struct txn *t, struct ext_path *p, int pos)
{
	struct ext a, b;
	int err;

	if (pos < 0 || pos + 1 >= (int)leaf_count(p))
		return 0;
	leaf_get(p, pos, &a);
	leaf_get(p, pos + 1, &b);
	if (!joins(&a, &b))
		return 0;
	err = ext_cut(t, p, pos + 1);
	a.len += b.len;
	return err ? err : ext_set(t, p, pos, &a);
}

/* Credits for splitting, or emptying, one path of DEPTH. */
static unsigned path_cost(unsigned depth)
{
	return 3 * (depth + 1) + 4;
}

static int insert_at(struct txn *t, struct ext_path *p, const struct ext *e)
{
	int pos = p->at[p->depth].pos, err;
	bool have_next = pos + 1 < (int)leaf_count(p);
	struct ext l, r;

	if (have_next)
		leaf_get(p, pos + 1, &r);
	if (ext_end(e) > (have_next ? r.lblk : p->high))
		return -EEXIST;
	if (pos >= 0) {
		leaf_get(p, pos, &l);
		if (ext_end(&l) > e->lblk)
			return -EEXIST;
		if (joins(&l, e)) {
			l.len += e->len;
			err = ext_set(t, p, pos, &l);
			return err ? err : join_next(t, p, pos);
		}
	}
	if (have_next && joins(e, &r)) {
		l = *e;
		l.len += r.len;
		return ext_set(t, p, pos + 1, &l);
	}
	return ext_add(t, p, e);
}

static int insert_one(struct txn *t, struct inode *inode, const struct ext *e)
{
	struct ext_path p;
	int err = ext_walk(inode, e->lblk, &p);

	if (err)
		return err;
	err = insert_at(t, &p, e);
	ext_put(&p);
	return err;
}

/* -EEXIST if something is mapped there already. */
int ext_insert(struct txn *t, struct inode *inode, uint64_t lblk,
	       uint64_t pblk, uint64_t len, bool unwritten)
{
	struct ext e = { .unwritten = unwritten };
	int err = 0;

	while (len && !err) {
		e.lblk = lblk;
		e.pblk = pblk;
		e.len = len > len_max(unwritten) ? len_max(unwritten) :
						   (uint32_t)len;
		err = insert_one(t, inode, &e);
		lblk += e.len;
		pblk += e.len;
		len -= e.len;
	}
	return err ? err : ext_shrink(t, inode);
}

/*
 * Makes A..B-1, inside of the unwritten extent E at the leaf's POS, written.
 * On return *MORE pieces, to be inserted by the caller, are in PIECE.
 */
static int convert_at(struct txn *t, struct ext_path *p, int pos, struct ext e,
		      uint64_t a, uint64_t b, struct ext *piece, int *more)
{
	struct ext w = tail_of(&e, a), rest = tail_of(&e, b), l;
	int err;

	w.len = (uint32_t)(b - a);
	w.unwritten = false;
	*more = 0;
	if (a > e.lblk) {
		e.len = (uint32_t)(a - e.lblk);
		piece[(*more)++] = w;
		if (rest.len)
			piece[(*more)++] = rest;
		return ext_set(t, p, pos, &e);
	}
	if (!rest.len) {
		err = ext_set(t, p, pos, &w);
		if (!err)
			err = join_next(t, p, pos);
		return err ? err : join_next(t, p, pos - 1);
	}
	if (pos > 0) {
		leaf_get(p, pos - 1, &l);
		if (joins(&l, &w)) {
			l.len += w.len;
			err = ext_set(t, p, pos - 1, &l);
			return err ? err : ext_set(t, p, pos, &rest);
		}
	}
	piece[(*more)++] = rest;
	return ext_set(t, p, pos, &w);
}

/* Converts from LBLK to at most END inside of one extent; *NEXT goes on. */
static int convert_one(struct txn *t, struct inode *inode, uint64_t lblk,
		       uint64_t end, uint64_t *next)
{
	struct ext e = { 0 }, piece[2];
	struct ext_path p;
	int pos, i, more = 0, err = ext_walk(inode, lblk, &p);

	if (err)
		return err;
	pos = p.at[p.depth].pos;
	if (pos >= 0)
		leaf_get(&p, pos, &e);
	if (pos < 0 || ext_end(&e) <= lblk) {
		*next = p.high;
		if (pos + 1 < (int)leaf_count(&p)) {
			leaf_get(&p, pos + 1, &e);
			*next = e.lblk;
		}
	} else {
		*next = ext_end(&e);
		if (e.unwritten) {
			if (*next > end)
				*next = end;
			err = convert_at(t, &p, pos, e, lblk, *next, piece,
					 &more);
		}
	}
	ext_put(&p);
	for (i = 0; i < more && !err; i++)
		err = insert_one(t, inode, &piece[i]);
	return err;
}

int ext_convert(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t len)
{
	uint64_t end = len < MAP_END && lblk + len < MAP_END ? lblk + len :
							       MAP_END;
	int err = 0;

	while (lblk < end && !err)
		err = convert_one(t, inode, lblk, end, &lblk);
	return err ? err : ext_shrink(t, inode);
}

/*
 * The first key of the subtree whose leftmost leaf P is at; false if P is at
 * the leftmost leaf of the tree.
 */
static bool left_bound(const struct ext_path *p, uint64_t *key)
{
	unsigned level = p->depth;

	while (level-- > 0) {
		int pos = p->at[level].pos;

		if (pos > 0) {
			*key = le32toh(ext_idxs(ext_node(p, level))[pos].lblk);
			return true;
		}
	}
	return false;
}

/* Takes A..B-1 out of the extent E at the leaf's POS; a rest to *REST. */
static int trim(struct txn *t, struct ext_path *p, int pos, struct ext e,
		uint64_t a, uint64_t b, struct ext *rest)
{
	struct ext after = tail_of(&e, b);

	rest->len = 0;
	if (a == e.lblk)
		return after.len ? ext_set(t, p, pos, &after) :
				   ext_cut(t, p, pos);
	*rest = after;
	e.len = (uint32_t)(a - e.lblk);
	return ext_set(t, p, pos, &e);
}

/* The leaf P is at has nothing before *END: on to the one before it. */
static int step_left(struct txn *t, struct ext_path *p, uint64_t *end)
{
	int err;

	if (!leaf_count(p) && p->depth) {
		err = ext_drop_leaf(t, p);
		return err ? err : 1;
	}
	return left_bound(p, end);
}

/*
 * Removes the last run that is mapped in LBLK..*END-1 and lowers *END to it.
 * 1: go on, 0: there was none, -EAGAIN: no credits (never if FIRST).
 */
static int remove_last(struct txn *t, struct inode *inode, uint64_t lblk,
		       uint64_t *end, bool first)
{
	uint64_t a, b, max = map_free_max(inode->fs);
	struct ext e, rest = { 0 };
	struct ext_path p;
	int pos, err = ext_walk(inode, *end - 1, &p);

	if (err)
		return err;
	pos = p.at[p.depth].pos;
	err = 0;
	if (pos < 0) {
		err = step_left(t, &p, end);
		goto out;
	}
	leaf_get(&p, pos, &e);
	if (ext_end(&e) <= lblk)
		goto out;
	a = e.lblk > lblk ? e.lblk : lblk;
	b = ext_end(&e) < *end ? ext_end(&e) : *end;
	if (b - a > max)
		a = b - max;
	err = -EAGAIN;
	if (!first && txn_room(t) < path_cost(p.depth) +
	    map_free_cost(inode->fs, e.pblk + (a - e.lblk), b - a))
		goto out;
	err = trim(t, &p, pos, e, a, b, &rest);
	ext_put(&p);
	if (!err && rest.len)
		err = insert_one(t, inode, &rest);
	if (!err)
		err = map_free_data(t, inode, a, e.pblk + (a - e.lblk), b - a);
	*end = a;
	return err ? err : 1;
out:
	ext_put(&p);
	return err;
}

int ext_remove(struct txn *t, struct inode *inode, uint64_t lblk, uint64_t end)
{
	bool first = true;
	int err = 1, more;

	if (end > MAP_END)
		end = MAP_END;
	while (err == 1 && lblk < end) {
		err = remove_last(t, inode, lblk, &end, first);
		first = false;
	}
	more = err == -EAGAIN;
	if (err < 0 && !more)
		return err;
	err = ext_shrink(t, inode);
	return err ? err : more;
}

/*
 * Adds DELTA to the leaf's entries FROM.., which keep their order.  -EFBIG
 * if that is past the largest file (the first leaf of a shift tells).
 */
static int shift_leaf(struct txn *t, struct ext_path *p, int from,
		      int64_t delta)
{
	struct ext_leaf *l;
	struct ext e;
	int i, n = (int)leaf_count(p), err;

	if (from >= n)
		return 0;
	leaf_get(p, n - 1, &e);
	if (delta > (int64_t)(MAP_MAX_BLOCKS - ext_end(&e)))
		return -EFBIG;
	err = ext_write(t, p, p->depth);
	if (err)
		return err;
	l = ext_leaves(ext_node(p, p->depth));
	for (i = from; i < n; i++)
		l[i].lblk = htole32((uint32_t)(le32toh(l[i].lblk) + delta));
	return from ? 0 : ext_fix_keys(t, p);
}

/* One leaf of a shift to the left, ascending from *POS. */
static int shift_left(struct txn *t, struct inode *inode, uint64_t lblk,
		      int64_t delta, uint64_t *pos)
{
	struct ext_path p;
	struct ext e = { 0 };
	int i, err = ext_walk(inode, *pos, &p);

	if (err)
		return err;
	i = p.at[p.depth].pos;
	if (i >= 0)
		leaf_get(&p, i, &e);
	if (i < 0 || e.lblk < *pos)
		i++;
	err = shift_leaf(t, &p, i, delta);
	/* Only here can two extents come together. */
	if (!err && *pos == lblk)
		err = join_next(t, &p, i - 1);
	*pos = p.high;
	ext_put(&p);
	return err;
}

/* One leaf of a shift to the right, descending from below *POS. */
static int shift_right(struct txn *t, struct inode *inode, uint64_t lblk,
		       int64_t delta, uint64_t *pos)
{
	uint64_t bound = lblk;
	struct ext_path p;
	struct ext e;
	int i, err = ext_walk(inode, *pos - 1, &p);

	if (err)
		return err;
	if (!left_bound(&p, &bound))
		bound = lblk;
	for (i = p.at[p.depth].pos; i >= 0; i--) {
		leaf_get(&p, i, &e);
		if (e.lblk < lblk)
			break;
	}
	err = shift_leaf(t, &p, i + 1, delta);
	*pos = i >= 0 ? lblk : bound;
	ext_put(&p);
	return err;
}

/* Checks, and what has to be done once, before the first leaf moves. */
static int shift_start(struct txn *t, struct inode *inode, uint64_t lblk,
		       int64_t delta, uint64_t *pos)
{
	struct ext e, rest = { 0 };
	struct ext_path p;
	struct map m;
	int err;

	if (delta < 0) {
		if (lblk < (uint64_t)-delta)
			return -EINVAL;
		err = ext_next(inode, lblk - (uint64_t)-delta, &m);
		if (!err && m.lblk < lblk)
			return -EINVAL;
		*pos = lblk;
		return err == -ENXIO ? 0 : err;
	}
	*pos = MAP_END;
	err = ext_walk(inode, lblk, &p);
	if (err)
		return err;
	if (p.at[p.depth].pos >= 0) {
		leaf_get(&p, p.at[p.depth].pos, &e);
		if (e.lblk < lblk && ext_end(&e) > lblk)
			err = trim(t, &p, p.at[p.depth].pos, e, lblk, lblk,
				   &rest);
		/* not insert_one(), which would merge them again */
		if (!err && rest.len)
			err = ext_add(t, &p, &rest);
	}
	ext_put(&p);
	return err;
}

int ext_shift(struct txn *t, struct inode *inode, uint64_t lblk,
	      int64_t delta, uint64_t *pos)
{
	bool first = true;
	int err = 0;

	if (!delta || lblk >= MAP_END)
		return 0;
	if (!*pos) {
		err = shift_start(t, inode, lblk, delta, pos);
		first = false;
	}
	while (!err && (delta < 0 ? *pos < MAP_END : *pos > lblk)) {
		if (!first && txn_room(t) < 2 * path_cost(EXT_DEPTH_MAX) / 3)
			return 1;
		first = false;
		err = delta < 0 ? shift_left(t, inode, lblk, delta, pos) :
				  shift_right(t, inode, lblk, delta, pos);
	}
	return err ? err : ext_shrink(t, inode);
}
