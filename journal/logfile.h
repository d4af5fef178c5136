/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logfile.h - the journal as a row of numbered blocks: where it is, its
 * superblock, reading and writing it.
 *
 * It is an inode of the volume (its blocks are looked up once, when it is
 * opened) or a device of its own.  Knows nothing of what is in the log.
 *
 * No lock of its own: the superblock is changed by one thread at a time (the
 * one that recovers, or commits, or closes).
 */
#ifndef JOURNAL_LOGFILE_H
#define JOURNAL_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/format.h"

struct device;
struct fs;

/* Log blocks that are neighbours on the device. */
struct log_run {
	uint32_t jblk, count;		/* log blocks */
	uint64_t pblk;			/* block of ->dev */
};

struct logfile {
	struct fs *fs;
	struct device *dev;		/* the volume's, or its own */
	bool external;			/* its own: closed with it */
	bool backup;			/* by the superblock's copy of the
					 * inode, which is damaged */
	unsigned blocksize;
	struct log_run *runs;		/* in the order of the log */
	struct log_run *owned;		/* in that of the volume; NULL if it is
					 * not on it */
	size_t run_count;
	uint64_t super_off;		/* bytes, on dev */
	struct jbd_super super;		/* as on disk */

	/* from the superblock, host order */
	uint32_t first;			/* first block of the log proper */
	uint32_t end;			/* one past its last; wraps to first */
	uint32_t fast_first, fast_count;	/* fast commit area; count 0: none */
	uint32_t incompat;
	bool csum23;			/* CSUM_V2 or V3 */
	uint32_t csum_seed;
	unsigned tag_bytes;		/* stride of tags, without a UUID */
};

/*
 * Finds the journal of FS and checks its superblock.  The parts of FS that
 * read inodes must be there (volume lock held) unless the journal is
 * external.  0 with *OUT NULL: the volume has none.  -errno after a message:
 * -EFSCORRUPTED, -EOPNOTSUPP (unknown features), -ENODEV (its device was not
 * found), -EIO.
 */
int logfile_open(struct fs *fs, bool writable, struct logfile **out);
void logfile_close(struct logfile *lf);		/* NULL is allowed */

/* Where JBLK is on ->dev, in bytes; *RUN (may be NULL) log blocks from there
 * on are neighbours: 0 if it is outside the journal. */
uint64_t logfile_offset(const struct logfile *lf, uint32_t jblk, uint32_t *run);

/* COUNT log blocks from JBLK, without wrapping.  -EIO... */
int logfile_read(struct logfile *lf, uint32_t jblk, uint32_t count, void *buf);
int logfile_write(struct logfile *lf, uint32_t jblk, uint32_t count,
		  const void *buf);
/* The superblock, with its checksum, in one write of 1024 bytes. */
int logfile_write_super(struct logfile *lf);
/* What was written is durable. */
int logfile_sync(struct logfile *lf);

/* Takes over what ->super says (features, lengths). */
void logfile_decode(struct logfile *lf);

/* Is any of COUNT blocks of the volume from BLK the journal's? */
bool logfile_owns(const struct logfile *lf, uint64_t blk, uint64_t count);

/* The block after JBLK. */
static inline uint32_t logfile_next(const struct logfile *lf, uint32_t jblk)
{
	return ++jblk >= lf->end ? lf->first : jblk;
}

#endif
