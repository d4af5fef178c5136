/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dataio.h - what data.c, write.c, truncate.c, falloc.c and inline.c share.
 * Private to them; the interface for everybody else is data.h.
 *
 * "io" is inode->io, "lock" the volume lock.
 */
#ifndef FS_DATAIO_H
#define FS_DATAIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "alloc.h"
#include "data.h"
#include "fs.h"
#include "inode.h"
#include "journal/txn.h"
#include "map.h"

/* Blocks allocated beyond the end, by old kernels. */
#define EOFBLOCKS_FL	0x00400000

/* Bytes of contents in i_block of an inline file. */
#define INLINE_BLOCK	60

/* Physically contiguous stretches looked up under one hold of the lock. */
#define DATA_RUNS	64

/* A stretch of a file as read and write use it: bytes. */
struct data_run {
	uint64_t len;
	uint64_t dev;			/* device offset; 0: reads as zeros */
};

/*
 * Where the bytes OFF..OFF+LEN-1 are: up to DATA_RUNS runs, of *COVERED bytes
 * together; WRITTEN_ONLY: up to the first block that is not written.  Lock
 * held.  The number of runs or -errno.
 */
int data_runs(struct inode *inode, uint64_t off, uint64_t len,
	      bool written_only, struct data_run *run, uint64_t *covered);

/*
 * May the contents be changed?  -EROFS, -EPERM (immutable, verity), -ENOKEY
 * (encrypted), -ETXTBSY (swap), -EINVAL (not a regular file), -EISDIR.  Lock
 * held.
 */
int data_may_change(const struct inode *inode, unsigned flags);

/* Opens a handle with the inode dirty in it.  Lock held. */
int data_begin(struct inode *inode, enum txn_kind kind, struct txn **out);
/* The same for changes that fdatasync need not wait for: times, mode. */
int data_begin_attr(struct inode *inode, enum txn_kind kind, struct txn **out);

/*
 * What every change of contents does to the inode, dirty in T: mtime and
 * ctime unless DATA_WB, privileges with DATA_KILL_SUID.
 */
int data_stamp(struct txn *t, struct inode *inode, unsigned flags);

/* Sets i_size in T and what goes with it.  Lock held, io exclusive. */
void data_set_size(struct txn *t, struct inode *inode, uint64_t size);

/* Is what leads to the data (fdatasync's part) durable?  Lock held. */
bool data_is_durable(struct inode *inode);

/* Does the kernel move the data, so that nobody here may?  Lock not held. */
bool data_is_mapped(struct inode *inode);

/*
 * Writes zeros to the parts of the bytes FROM..TO-1 that are in written
 * blocks.  Does nothing if the kernel moves the file's data: it zeroes the
 * edges of what it cuts off or punches by itself.  io exclusive, without the
 * lock.
 */
int data_zero(struct inode *inode, uint64_t from, uint64_t to);

/*
 * truncate.c: frees blocks from FIRST (at or beyond i_size) on, in one
 * transaction, and takes the inode off the orphan list when all are gone (if
 * it has links).  1 if there is more to do.  io exclusive, lock held.
 */
int data_cut_piece(struct inode *inode, uint64_t first);

/* truncate.c: i_size becomes at least SIZE.  Neither lock nor io held. */
int data_grow(struct inode *inode, uint64_t size, unsigned flags);

/* Durable now, if FLAGS ask for it.  Neither lock nor io held.  Returns ERR
 * if that is negative, else an error of the commit. */
int data_finish(struct inode *inode, unsigned flags, int err);

static inline unsigned data_alloc_flags(unsigned flags)
{
	return flags & DATA_RESERVE ? ALLOC_RESERVE : 0;
}

/* Largest size; of an inline file, of what it would become.  Lock held. */
uint64_t data_max_size(const struct inode *inode);

/* i_size, for callers that hold io (so that it stays) but not the lock. */
uint64_t data_size(struct inode *inode);

/*
 * inline.c.  _read: bytes, lock held, INODE is inline.  _write: io exclusive,
 * without the lock: bytes, or 0 if the file is not inline (any more).
 * _truncate: the same for a change of size: 1 done, 0 not inline (any more).
 */
ssize_t inline_read(struct inode *inode, void *buf, size_t len, uint64_t off);
ssize_t inline_write(struct inode *inode, const void *buf, size_t len,
		     uint64_t off, unsigned flags);
int inline_truncate(struct inode *inode, uint64_t size, unsigned flags);

#endif
