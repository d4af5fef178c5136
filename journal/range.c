/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * range.c - sets of block numbers.
 *
 * A treap of disjoint ranges that never touch: the search tree is kept
 * balanced by priorities drawn at random, so that a delete of a fragmented
 * file with any pattern costs the logarithm per range.  Knows nothing of what
 * the numbers mean; the caller's lock protects a set.
 */
#include <errno.h>
#include <stdlib.h>

#include "journal/range.h"

struct range {
	uint64_t start, count;
	uint64_t prio;
	struct range *left, *right;
};

static uint64_t next_prio(struct range_set *set)
{
	uint64_t x = set->seed + 0x9e3779b97f4a7c15ULL;

	set->seed = x;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* All of A before all of B. */
static struct range *join(struct range *a, struct range *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (a->prio > b->prio) {
		a->right = join(a->right, b);
		return a;
	}
	b->left = join(a, b->left);
	return b;
}

/* Ranges that start before KEY go to *A, the others to *B. */
static void split(struct range *r, uint64_t key, struct range **a,
		  struct range **b)
{
	if (!r) {
		*a = *b = NULL;
	} else if (r->start < key) {
		split(r->right, key, &r->right, b);
		*a = r;
	} else {
		split(r->left, key, a, &r->left);
		*b = r;
	}
}

static void insert(struct range_set *set, struct range *r)
{
	struct range *a, *b;

	r->left = r->right = NULL;
	split(set->root, r->start, &a, &b);
	set->root = join(join(a, r), b);
	set->total += r->count;
}

static void take_out(struct range_set *set, struct range *r)
{
	struct range **p = &set->root;

	while (*p != r)
		p = r->start < (*p)->start ? &(*p)->left : &(*p)->right;
	*p = join(r->left, r->right);
	set->total -= r->count;
}

/* The first range that ends after BLK. */
static struct range *find(const struct range_set *set, uint64_t blk)
{
	struct range *r = set->root, *best = NULL;

	while (r) {
		if (r->start + r->count > blk) {
			best = r;
			r = r->left;
		} else {
			r = r->right;
		}
	}
	return best;
}

int range_add(struct range_set *set, uint64_t start, uint64_t count)
{
	uint64_t end = start + count;
	struct range *r, *keep = NULL;

	if (!count)
		return 0;
	/* swallow all that overlap or touch */
	while ((r = find(set, start ? start - 1 : 0)) && r->start <= end) {
		take_out(set, r);
		if (r->start < start)
			start = r->start;
		if (r->start + r->count > end)
			end = r->start + r->count;
		free(keep);
		keep = r;
	}
	if (!keep) {
		keep = malloc(sizeof(*keep));
		if (!keep)
			return -ENOMEM;
		keep->prio = next_prio(set);
	}
	keep->start = start;
	keep->count = end - start;
	insert(set, keep);
	return 0;
}

int range_remove(struct range_set *set, uint64_t start, uint64_t count)
{
	uint64_t end = start + count;
	struct range *r;

	while ((r = find(set, start)) && r->start < end) {
		uint64_t rend = r->start + r->count;
		struct range *tail = NULL;

		if (r->start < start && rend > end) {
			tail = malloc(sizeof(*tail));
			if (!tail)
				return -ENOMEM;
			tail->prio = next_prio(set);
			tail->start = end;
			tail->count = rend - end;
		}
		take_out(set, r);
		if (r->start < start) {
			r->count = start - r->start;
			insert(set, r);
		} else if (rend > end) {
			r->start = end;
			r->count = rend - end;
			insert(set, r);
		} else {
			free(r);
		}
		if (tail)
			insert(set, tail);
	}
	return 0;
}

bool range_next(const struct range_set *set, uint64_t blk, uint64_t *start,
		uint64_t *count)
{
	struct range *r = find(set, blk);

	if (!r)
		return false;
	*start = r->start;
	*count = r->count;
	return true;
}

static void free_all(struct range *r)
{
	if (!r)
		return;
	free_all(r->left);
	free_all(r->right);
	free(r);
}

void range_clear(struct range_set *set)
{
	free_all(set->root);
	set->root = NULL;
	set->total = 0;
}
