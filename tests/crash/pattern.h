/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pattern.h - what the workload writes: each 512 bytes of a file say which
 * file, which place in it and which write they are of.
 */
#ifndef TESTS_CRASH_PATTERN_H
#define TESTS_CRASH_PATTERN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SECTOR		512
#define PATTERN_MAGIC	0x7a11f00dU
#define POISON_ID	0xdeadbeefU	/* free blocks before the workload */

struct pattern {
	uint32_t magic, id, sector, gen;
	uint64_t fill[62];
};

_Static_assert(sizeof(struct pattern) == SECTOR, "a pattern is a sector");

static inline uint64_t pattern_mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

static inline void pattern_fill(void *buf, uint32_t id, uint32_t sector,
				uint32_t gen)
{
	struct pattern *p = buf;
	uint64_t x = pattern_mix(((uint64_t)id << 32 | sector) ^
				 (uint64_t)gen << 17);
	int i;

	p->magic = PATTERN_MAGIC;
	p->id = id;
	p->sector = sector;
	p->gen = gen;
	for (i = 0; i < 62; i++)
		p->fill[i] = x + i;
}

/* Is it whole, whatever it says? */
static inline bool pattern_good(const void *buf)
{
	const struct pattern *p = buf;
	struct pattern want;

	if (p->magic != PATTERN_MAGIC)
		return false;
	pattern_fill(&want, p->id, p->sector, p->gen);
	return !memcmp(&want, p, SECTOR);
}

#endif
