/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recover.h - making a volume what its journal says.
 *
 * fs/open.c has the order: begin, then (for fast commits, or where nothing may
 * be written) show, and work on what is shown; then write, or leave it shown.
 * Nothing is written before everything was read and checked.  All of it needs
 * the volume lock.
 */
#ifndef JOURNAL_RECOVER_H
#define JOURNAL_RECOVER_H

#include <stdbool.h>

struct fastcommit;
struct fs;
struct recovery;

/*
 * Reads the journal of FS.  -errno after a message that says what to do:
 * there must be no mount then.
 */
int recover_begin(struct fs *fs, struct recovery **out);

/*
 * From here on every read of the volume sees what the log holds, and what is
 * written stays in memory: on -errno, too, until recover_free().
 */
int recover_show(struct recovery *r);

/* What is to be done on top of it, by fastcommit_replay(); NULL: nothing. */
struct fastcommit *recover_fast(const struct recovery *r);

/*
 * Ends what recover_show() began, if it was called, and writes all of it and
 * what was written since.  A crash in between, at any write, leaves a volume
 * that is to be recovered, to the same end.
 */
int recover_write(struct recovery *r);

/* The other end: what is shown stays, and is the volume from now on. */
int recover_keep(struct recovery *r);

void recover_free(struct recovery *r);		/* NULL is allowed */

#endif
