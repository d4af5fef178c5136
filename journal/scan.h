/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan.h - what a log has to be replayed: read and checked, nothing written.
 */
#ifndef JOURNAL_SCAN_H
#define JOURNAL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logfile;

/* A block of the volume, and its newest copy in the log. */
struct log_block {
	uint64_t blk;
	uint32_t jblk;
	uint32_t tid;
	uint32_t order;			/* of the copies in the log */
	uint32_t csum;			/* as the tag has it */
	bool escaped;			/* the copy has zeroes for the magic */
};

struct log_scan {
	uint32_t first_tid;
	uint32_t end_tid;		/* that of the transaction that would
					 * come next */
	uint32_t head;			/* and the log block where it would */
	struct log_block *blocks;	/* sorted, one for each block */
	size_t count;
};

/*
 * Reads the log of LF, whose ->super has a start, and checks everything that
 * is to be replayed, but for where the blocks belong.  0; -EFSCORRUPTED (not
 * to be replayed, after a message), -EIO, -ENOMEM.
 */
int log_scan(struct logfile *lf, struct log_scan *s);
void log_scan_free(struct log_scan *s);

/* Is the newest copy of BLK in the log?  Else NULL. */
const struct log_block *log_scan_find(const struct log_scan *s, uint64_t blk);

#endif
