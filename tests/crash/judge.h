/* SPDX-License-Identifier: GPL-2.0-or-later */
/* judge.h - recovers a crash state and says whether that was a recovery only. */
#ifndef TESTS_CRASH_JUDGE_H
#define TESTS_CRASH_JUDGE_H

#include <stdbool.h>
#include <stdio.h>

struct volume {
	const char *path;
	const char *journal;	/* its device, or NULL */
};

/*
 * Each returns the number of complaints, told to OUT; the volume is changed in
 * place.
 * judge_fsck: e2fsck may replay the journal and deal with orphans.  With
 * REPAIRS it may repair, too (volumes without a journal).
 */
int judge_fsck(const struct volume *v, bool repairs, FILE *out);
/* e2fsck -fn has nothing to say. */
int judge_clean(const struct volume *v, FILE *out);
/* A mount by the kernel, on DIR, recovers; then a clean unmount. */
int judge_kernel(const struct volume *v, const char *dir, FILE *out);
/*
 * A mount by PROGRAM, on DIR, below the recorder (PRELOAD, LOG), killed as soon
 * as it serves.
 */
int judge_ours(const struct volume *v, const char *dir, const char *program,
	       const char *preload, const char *log, FILE *out);

#endif
