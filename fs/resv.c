/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resv.c - reserved block ranges: promised to data that is being written,
 * before a transaction makes them allocated (J3).
 *
 * A sorted array of ranges, as there are only as many as writes in flight.
 * Ranges claimed by the open handle are kept aside until it ends: an abort
 * makes them reservations again.
 *
 * Needs the volume lock, takes none.
 */
#include <stdlib.h>
#include <string.h>

#include "fs/alloc.h"
#include "fs/group.h"
#include "journal/txn.h"

/* The first range that ends after BLK. */
static size_t find(const struct groups *gs, uint64_t blk)
{
	size_t lo = 0, hi = gs->resv_count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (gs->resv[mid].start + gs->resv[mid].count <= blk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t resv_clear(const struct groups *gs, uint64_t blk, uint64_t count,
		    uint64_t *skip)
{
	const struct resv *r;
	size_t i;

	if (!gs->resv_count)
		return count;
	i = find(gs, blk);
	if (i == gs->resv_count)
		return count;
	r = &gs->resv[i];
	if (r->start <= blk) {
		*skip = r->start + r->count - blk;
		return 0;
	}
	return r->start - blk < count ? r->start - blk : count;
}

static int grow(struct resv **v, size_t *size, size_t want)
{
	struct resv *p;

	if (want <= *size)
		return 0;
	want = want * 2 + 14;
	p = realloc(*v, want * sizeof(*p));
	if (!p)
		return -ENOMEM;
	*v = p;
	*size = want;
	return 0;
}

static void insert_at(struct groups *gs, size_t i, uint64_t start,
		      uint64_t count)
{
	memmove(&gs->resv[i + 1], &gs->resv[i],
		(gs->resv_count - i) * sizeof(*gs->resv));
	gs->resv[i].start = start;
	gs->resv[i].count = count;
	gs->resv_count++;
}

static void remove_at(struct groups *gs, size_t i)
{
	gs->resv_count--;
	memmove(&gs->resv[i], &gs->resv[i + 1],
		(gs->resv_count - i) * sizeof(*gs->resv));
}

/* One slot is always left for resv_del() to split a range, and one for each
 * claim to come back. */
int resv_add(struct groups *gs, uint64_t blk, uint64_t count)
{
	if (grow(&gs->resv, &gs->resv_size,
		 gs->resv_count + gs->claim_count + 2))
		return -ENOMEM;
	insert_at(gs, find(gs, blk), blk, count);
	gs->resv_total += count;
	return 0;
}

/* Takes range I apart where it overlaps START..END-1. */
static uint64_t cut(struct groups *gs, size_t i, uint64_t start, uint64_t end)
{
	struct resv *r = &gs->resv[i];
	uint64_t r_end = r->start + r->count;
	uint64_t from = start > r->start ? start : r->start;
	uint64_t to = end < r_end ? end : r_end;

	if (from > r->start && to < r_end) {
		r->count = from - r->start;
		insert_at(gs, i + 1, to, r_end - to);
	} else if (from > r->start) {
		r->count = from - r->start;
	} else if (to < r_end) {
		r->start = to;
		r->count = r_end - to;
	} else {
		remove_at(gs, i);
	}
	gs->resv_total -= to - from;
	return to - from;
}

void resv_del(struct groups *gs, uint64_t blk, uint64_t count)
{
	uint64_t end = blk + count;
	size_t i;

	if (!gs->resv_count ||
	    grow(&gs->resv, &gs->resv_size,
		 gs->resv_count + gs->claim_count + 1))
		return;		/* cannot be: there is a slot left */
	for (i = find(gs, blk);
	     i < gs->resv_count && gs->resv[i].start < end; i = find(gs, blk))
		cut(gs, i, blk, end);
}

int resv_claim(struct txn *t, uint64_t blk, uint64_t count)
{
	struct groups *gs = txn_fs(t)->groups;
	uint64_t end = blk + count, start;
	size_t i;

	if (gs->claim_id != txn_handle_id(t)) {
		gs->claim_id = txn_handle_id(t);
		gs->claim_count = 0;
	}
	for (i = find(gs, blk);
	     i < gs->resv_count && gs->resv[i].start < end; i = find(gs, blk)) {
		if (grow(&gs->claims, &gs->claim_size, gs->claim_count + 1) ||
		    grow(&gs->resv, &gs->resv_size,
			 gs->resv_count + gs->claim_count + 4))
			return -ENOMEM;
		start = gs->resv[i].start > blk ? gs->resv[i].start : blk;
		gs->claims[gs->claim_count].start = start;
		gs->claims[gs->claim_count].count = cut(gs, i, blk, end);
		gs->claim_count++;
	}
	return 0;
}

void resv_end(struct txn *t, bool aborted)
{
	struct groups *gs = txn_fs(t)->groups;
	size_t i;

	if (gs->claim_id != txn_handle_id(t))
		return;
	for (i = 0; aborted && i < gs->claim_count; i++) {
		insert_at(gs, find(gs, gs->claims[i].start),
			  gs->claims[i].start, gs->claims[i].count);
		gs->resv_total += gs->claims[i].count;
	}
	gs->claim_count = 0;
	gs->claim_id = 0;
}

void block_unreserve(struct fs *fs, uint64_t blk, uint64_t count)
{
	resv_del(fs->groups, blk, count);
}
