/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * append.h - one transaction, written to a log that has been replayed.
 */
#ifndef JOURNAL_APPEND_H
#define JOURNAL_APPEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logfile;

/* A block of the volume as it is to be. */
struct log_page {
	uint64_t blk;
	void *data;
};

/* Would COUNT blocks fit into the empty log? */
bool log_append_fits(const struct logfile *lf, size_t count);

/*
 * Begins the log anew at block HEAD, with the COUNT blocks of PAGES as
 * transaction TID.  All that the log had before must be durable at home.  When
 * it returns the transaction is durable, and the log has nothing else.
 */
int log_append(struct logfile *lf, uint32_t head, uint32_t tid,
	       const struct log_page *pages, size_t count);

#endif
