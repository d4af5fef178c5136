/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fastcommit.h - fast commits: small changes, noted as what was done and not
 * as blocks, in an area behind the log.
 */
#ifndef JOURNAL_FASTCOMMIT_H
#define JOURNAL_FASTCOMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct logfile;

enum fc_tag {
	FC_ADD_RANGE = 1,
	FC_DEL_RANGE = 2,
	FC_CREAT = 3,
	FC_LINK = 4,
	FC_UNLINK = 5,
	FC_INODE = 6,
	FC_PAD = 7,
	FC_TAIL = 8,
	FC_HEAD = 9,
};

/* One note; its length suits its tag. */
struct fc_note {
	enum fc_tag tag;
	uint32_t ino;			/* that it is about */
	uint32_t parent;		/* of names */
	const uint8_t *data;		/* a name, extent or inode */
	size_t len;
	uint32_t lblk, count;		/* FC_ADD_RANGE, FC_DEL_RANGE */
	uint64_t pblk;			/* FC_ADD_RANGE; else 0 */
	bool unwritten;
};

struct fastcommit {
	struct fc_note *notes;
	size_t count, room;
	uint8_t **blocks;		/* of the area, which ->data points to */
	size_t block_count;
};

/*
 * Reads those that follow the log, whose next transaction would be TID, and
 * checks them.  *OUT NULL: there are none.  -EFSCORRUPTED after a message.
 */
int fastcommit_load(struct logfile *lf, uint32_t tid, struct fastcommit **out);

/*
 * Does what they say (fcreplay.c), on a volume that shows what the log holds;
 * in ordinary transactions, which become durable only together (recover.c).
 * Called without the volume lock.  -errno after a message.
 */
int fastcommit_replay(struct fs *fs, const struct fastcommit *fc);

void fastcommit_free(struct fastcommit *fc);	/* NULL is allowed */

#endif
