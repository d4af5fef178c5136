/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.h - seeded operations on mapped files, by several threads, beside
 * write-back in any order.
 */
#ifndef TESTS_IOMAP_RANDOM_H
#define TESTS_IOMAP_RANDOM_H

#include "lab.h"

struct random_opt {
	uint64_t seed;
	unsigned threads, files;	/* files of each thread */
	unsigned ops;			/* of each thread in a phase */
	unsigned phases;		/* all is checked after each */
	uint64_t max_size;
	bool calm;			/* no upsert is refused */
	uint64_t stop_after;		/* operations of all, then kill -9 */
	const char *log;		/* what was fsynced */
};

/*
 * Runs on the mounted model; a phase's end freezes the volume for the judges.
 * *FILES are the files that are left; returns how many, or -1: stopped.
 */
int random_run(const struct random_opt *opt, struct tfile ***files);
/* The fsynced files of LOG are below DIR as they were: how many are not. */
int random_check_log(const char *log, const char *dir);

#endif
