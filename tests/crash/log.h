/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - the crash tester's log: what reached an image, and what was promised.
 *
 * A file that several processes map at once and append to without a lock; what
 * is in it survives the death of any of them.  It is
 *
 *	struct log_head		one page: the clock and how much is used
 *	struct log_rec [room]	from LOG_RECS, one per event
 *	bytes			from heap_start: data of writes, text of marks
 *
 * Time is a counter.  An event has the time at which it began and the one at
 * which it ended (0: it never did), so "A had returned before B started" is
 * A.end < B.begin.  A record is valid once its kind is not 0; a process that
 * dies in between leaves a hole, and did not make its system call yet.
 *
 * All numbers are of this machine's byte order; bytes of a record's data are
 * at data (from the beginning of the file), len long:
 *
 *	LOG_WRITE	len bytes to off; ret as pwrite(2), -errno for errors:
 *			only the first ret bytes count
 *	LOG_ZERO	the same with zeros, and no data (punch, zero range,
 *			discard)
 *	LOG_SIZE	the file is off long now
 *	LOG_BARRIER	what had returned before it is durable, if ret is 0
 *	LOG_HINT	sync_file_range: no barrier for a cache in the disk
 *	LOG_BYPASS	something that this log cannot tell: the run is void
 *	LOG_MARK	a line of text from the workload (see load.c)
 *
 * Whoever wants its own writes to the image in the log either runs below
 * record.so, or maps the file with log_open() and calls log_add().
 *
 * Knows nothing of file systems.  No locks.
 */
#ifndef TESTS_CRASH_LOG_H
#define TESTS_CRASH_LOG_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MAGIC	0x31474f4c48535243ULL	/* "CRSHLOG1" */
#define LOG_RECS	4096ULL
#define LOG_ROOM	(1U << 18)		/* records */
#define LOG_HEAP	(LOG_RECS + LOG_ROOM * sizeof(struct log_rec))
#define LOG_SIZE_MAX	(1ULL << 30)		/* sparse */

enum log_kind {
	LOG_NONE, LOG_WRITE, LOG_ZERO, LOG_SIZE, LOG_BARRIER, LOG_HINT,
	LOG_BYPASS, LOG_MARK,
};

struct log_head {
	uint64_t magic;
	_Atomic uint64_t clock;		/* the next time */
	_Atomic uint64_t used;		/* records */
	_Atomic uint64_t heap;		/* the next free byte */
	/* what record.so counts, and breaks on purpose (record.c) */
	_Atomic uint64_t writes, barriers, faults;
};

struct log_rec {
	_Atomic uint32_t kind;
	uint32_t dev;		/* which of the images, from 0 */
	uint64_t begin;
	_Atomic uint64_t end;
	uint64_t off, len;
	uint64_t data;
	int64_t ret;
	uint64_t pid;
};

_Static_assert(sizeof(struct log_rec) == 64, "a record is 64 bytes");

static inline struct log_rec *log_recs(struct log_head *log)
{
	return (struct log_rec *)((char *)log + LOG_RECS);
}

static inline uint64_t log_tick(struct log_head *log)
{
	return atomic_fetch_add(&log->clock, 1);
}

/* An existing log, or with CREATE a new and empty one; NULL on errors. */
static inline struct log_head *log_open(const char *path, int create)
{
	struct log_head *log;
	int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0),
		      0600);

	if (fd < 0)
		return NULL;
	if (create && ftruncate(fd, LOG_SIZE_MAX)) {
		close(fd);
		return NULL;
	}
	log = mmap(NULL, LOG_SIZE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	close(fd);
	if (log == MAP_FAILED)
		return NULL;
	if (create) {
		log->clock = 1;
		log->heap = LOG_HEAP;
		log->magic = LOG_MAGIC;
	}
	if (log->magic != LOG_MAGIC) {
		munmap(log, LOG_SIZE_MAX);
		return NULL;
	}
	return log;
}

/*
 * Appends an event that begins now and has not ended; DATA may be NULL.
 * Returns NULL when the log is full: the run is void then.
 */
static inline struct log_rec *log_add(struct log_head *log, enum log_kind kind,
				      uint32_t dev, uint64_t off, uint64_t len,
				      const void *data)
{
	uint64_t n = atomic_fetch_add(&log->used, 1);
	struct log_rec *rec = &log_recs(log)[n];
	uint64_t at = 0;

	if (n >= LOG_ROOM)
		return NULL;
	if (data) {
		at = atomic_fetch_add(&log->heap, (len + 7) & ~7ULL);
		if (at + len > LOG_SIZE_MAX)
			return NULL;
		memcpy((char *)log + at, data, len);
	}
	rec->dev = dev;
	rec->off = off;
	rec->len = len;
	rec->data = at;
	rec->pid = getpid();
	rec->begin = log_tick(log);
	atomic_store(&rec->kind, kind);
	return rec;
}

static inline void log_end(struct log_head *log, struct log_rec *rec,
			   int64_t ret)
{
	if (!rec)
		return;
	rec->ret = ret;
	atomic_store(&rec->end, log_tick(log));
}

#endif
