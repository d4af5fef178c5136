/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * range.h - sets of block numbers, kept as disjoint ranges.  No lock of its
 * own; blocks.
 */
#ifndef JOURNAL_RANGE_H
#define JOURNAL_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct range;

struct range_set {
	struct range *root;
	uint64_t total;			/* blocks in the set */
	uint64_t seed;
};

/* Adds COUNT blocks from START; some may be there already.  -ENOMEM. */
int range_add(struct range_set *set, uint64_t start, uint64_t count);

/* Takes out those of the COUNT blocks that are there.  -ENOMEM: some stay. */
int range_remove(struct range_set *set, uint64_t start, uint64_t count);

/* The first range that ends after BLK; false if there is none. */
bool range_next(const struct range_set *set, uint64_t blk, uint64_t *start,
		uint64_t *count);

void range_clear(struct range_set *set);

#endif
