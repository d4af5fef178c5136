/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapped.h - is what a recovered image holds of mapped files legal?
 *
 * Files in the root that the iomap client (tests/iomap/client -l) writes; its
 * lines are marks in the log:
 *
 *	fsync NAME SIZE HASH	it is there and is that, durably, until
 *	dirty NAME ..		it is about to change, or
 *	gone NAME ..		the name is about to go
 *	data NAME SIZE HASH	it is that, if it is there
 */
#ifndef TESTS_CRASH_MAPPED_H
#define TESTS_CRASH_MAPPED_H

#include <stdint.h>
#include <stdio.h>

#include "log.h"

struct mapped;

struct mapped *mapped_load(struct log_head *log);
/* To the time NOW; times only grow. */
void mapped_advance(struct mapped *m, uint64_t now);
/* How many promises there are. */
unsigned mapped_promises(const struct mapped *m);
/* The number of findings, told to OUT.  MEM is the image. */
int mapped_check(void *mem, uint64_t size, struct mapped *m, FILE *out);

#endif
