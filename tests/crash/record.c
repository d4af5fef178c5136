/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c - preloaded into a server: writes down every write and barrier of an
 * image, in order, with data, into the log of log.h; and makes one of them fail.
 *
 *	CRASH_LOG	the log
 *	CRASH_IMAGE	the image; several, separated by ':', are devices 0, 1, ..
 *			A loop device over an image is that image.
 *	CRASH_MARKS	a file; each write(2) to it is a mark in the log as well
 *	CRASH_FAULT	"write:N:EIO", "write:N:ENOSPC", "write:N:short",
 *			"barrier:N:EIO": the Nth (from 1) fails, once;
 *			"write:N:kill": SIGKILL instead of it
 *
 * A descriptor is known by the file that it is of, looked up at each call, so
 * nothing that happens to descriptors can hide a write.  System calls are made
 * directly: it does not matter who else interposes, sanitizers for example.
 * What cannot be recorded (a shared writable mapping, splice) makes the log void.
 *
 * Knows system calls; nothing of file systems.  No locks.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>

#include "log.h"

#define IMAGES 4

static struct log_head *the_log;
static struct { dev_t dev, rdev; ino_t ino; } images[IMAGES];
static unsigned image_count;
static struct stat marks;	/* st_ino 0: none */
static struct { int kind, err, shortened, kills; uint64_t at; } fault;

static void fault_init(const char *s)
{
	const char *name = strrchr(s, ':');

	fault.kind = !strncmp(s, "write:", 6) ? LOG_WRITE : LOG_BARRIER;
	fault.at = strtoull(strchr(s, ':') + 1, NULL, 10);
	fault.shortened = !strcmp(name, ":short");
	fault.kills = !strcmp(name, ":kill");
	fault.err = !strcmp(name, ":ENOSPC") ? ENOSPC : EIO;
}

static void __attribute__((constructor)) record_init(void)
{
	const char *path = getenv("CRASH_LOG"), *p = getenv("CRASH_IMAGE");
	char name[PATH_MAX];
	struct stat st;

	if (!path || !p)
		return;
	if (getenv("CRASH_FAULT"))
		fault_init(getenv("CRASH_FAULT"));
	while (*p && image_count < IMAGES) {
		size_t n = strcspn(p, ":");

		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		if (stat(name, &st)) {
			perror(name);
			_exit(99);
		}
		images[image_count].dev = st.st_dev;
		images[image_count].ino = st.st_ino;
		images[image_count++].rdev =
			S_ISBLK(st.st_mode) ? st.st_rdev : 0;
		p += n + (p[n] == ':');
	}
	p = getenv("CRASH_MARKS");
	if (p && stat(p, &marks)) {
		perror(p);
		_exit(99);
	}
	the_log = log_open(path, 0);
	if (!the_log) {
		perror(path);
		_exit(99);
	}
}

static int by_file(dev_t dev, ino_t ino)
{
	unsigned i;

	for (i = 0; i < image_count; i++)
		if (!images[i].rdev && images[i].dev == dev &&
		    images[i].ino == ino)
			return i;
	return -1;
}

/* A loop device that somebody made of an image later on. */
static int by_loop(int fd, dev_t rdev)
{
	struct loop_info64 info;

	if (major(rdev) != LOOP_MAJOR ||
	    syscall(SYS_ioctl, fd, LOOP_GET_STATUS64, &info) || info.lo_offset)
		return -1;
	return by_file(info.lo_device, info.lo_inode);
}

/* The image that FD is of, or -1. */
static int which(int fd)
{
	struct stat st;
	int saved = errno, found = -1;
	unsigned i;

	if (the_log && fd >= 0 && !fstat(fd, &st)) {
		if (!S_ISBLK(st.st_mode))
			found = by_file(st.st_dev, st.st_ino);
		for (i = 0; i < image_count && S_ISBLK(st.st_mode); i++)
			if (images[i].rdev && st.st_rdev == images[i].rdev)
				found = i;
		if (found < 0 && S_ISBLK(st.st_mode))
			found = by_loop(fd, st.st_rdev);
	}
	errno = saved;
	return found;
}

static int is_marks(int fd)
{
	int saved = errno, is;
	struct stat st;

	is = the_log && marks.st_ino && !fstat(fd, &st) &&
	     st.st_ino == marks.st_ino && st.st_dev == marks.st_dev;
	errno = saved;
	return is;
}

/* A line, with its end. */
static void add_mark(const char *buf, size_t len)
{
	char line[1024];

	if (len >= sizeof(line))
		len = sizeof(line) - 1;
	memcpy(line, buf, len);
	line[len] = 0;
	log_add(the_log, LOG_MARK, 0, 0, len + 1, line);
}

static ssize_t result(long ret)
{
	return ret;	/* syscall() has set errno */
}

/* Is it this one's turn to fail? */
static int fails(int kind)
{
	uint64_t n = 1 + (kind == LOG_WRITE ?
			  atomic_fetch_add(&the_log->writes, 1) :
			  atomic_fetch_add(&the_log->barriers, 1));

	if (fault.kind != kind || fault.at != n)
		return 0;
	atomic_fetch_add(&the_log->faults, 1);
	if (fault.kills)
		kill(getpid(), SIGKILL);
	return 1;
}

/* O_SYNC, O_DSYNC and RWF_DSYNC: durable when it returns. */
static void barrier_after(int image, int fd, int flags, struct log_rec *rec)
{
	int fl = syscall(SYS_fcntl, fd, F_GETFL);
	struct log_rec *b;

	if (!((fl & (O_SYNC | O_DSYNC)) || (flags & (RWF_SYNC | RWF_DSYNC))) ||
	    !rec)
		return;
	b = log_add(the_log, LOG_BARRIER, image, rec->off, rec->len, NULL);
	log_end(the_log, b, 0);
}

static ssize_t put(int image, int fd, const void *buf, size_t len, off_t off,
		   int flags)
{
	int turn = fails(LOG_WRITE);
	struct log_rec *rec;
	ssize_t ret;

	if (turn && !fault.shortened) {
		rec = log_add(the_log, LOG_WRITE, image, off, len, buf);
		log_end(the_log, rec, -fault.err);
		errno = fault.err;
		return -1;
	}
	if (turn && len > 1)
		len = len > 512 ? (len / 2) & ~511UL : len / 2;
	if (turn && !len)
		len = 1;
	rec = log_add(the_log, LOG_WRITE, image, off, len, buf);
	ret = syscall(SYS_pwrite64, fd, buf, len, off);
	log_end(the_log, rec, ret < 0 ? -errno : ret);
	barrier_after(image, fd, flags, rec);
	return ret;
}

/* As one buffer: it must be one record. */
static ssize_t put_vector(int image, int fd, const struct iovec *iov, int n,
			  off_t off, int flags)
{
	size_t len = 0, at = 0;
	ssize_t ret;
	char *all;
	int i;

	for (i = 0; i < n; i++)
		len += iov[i].iov_len;
	all = malloc(len ? len : 1);
	if (!all) {
		errno = ENOMEM;
		return -1;
	}
	for (i = 0; i < n; i++) {
		memcpy(all + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	ret = put(image, fd, all, len, off, flags);
	free(all);
	return ret;
}

static void bypass(int image, const char *what)
{
	struct log_rec *rec = log_add(the_log, LOG_BYPASS, image, 0,
				      strlen(what) + 1, what);

	log_end(the_log, rec, 0);
}

/* --- what is interposed --- */

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	int image = which(fd);

	if (image < 0)
		return result(syscall(SYS_pwrite64, fd, buf, len, off));
	return put(image, fd, buf, len, off, 0);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return pwrite64(fd, buf, len, off);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	int image = which(fd);
	ssize_t ret;
	off_t pos;

	if (image < 0) {
		if (is_marks(fd))
			add_mark(buf, len);
		return result(syscall(SYS_write, fd, buf, len));
	}
	pos = lseek(fd, 0, SEEK_CUR);
	ret = put(image, fd, buf, len, pos, 0);
	if (ret > 0)
		lseek(fd, pos + ret, SEEK_SET);
	return ret;
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	int image = which(fd);
	ssize_t ret;
	off_t pos;

	if (image < 0)
		return result(syscall(SYS_writev, fd, iov, n));
	pos = lseek(fd, 0, SEEK_CUR);
	ret = put_vector(image, fd, iov, n, pos, 0);
	if (ret > 0)
		lseek(fd, pos + ret, SEEK_SET);
	return ret;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	int image = which(fd);

	if (image < 0)
		return result(syscall(SYS_pwritev, fd, iov, n, off, 0L));
	return put_vector(image, fd, iov, n, off, 0);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return pwritev64(fd, iov, n, off);
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t off,
		    int flags)
{
	int image = which(fd);

	if (image < 0)
		return result(syscall(SYS_pwritev2, fd, iov, n, off, 0L,
				      flags));
	return put_vector(image, fd, iov, n, off, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return pwritev64v2(fd, iov, n, off, flags);
}

static int barrier(int nr, int fd)
{
	int image = which(fd), ret;
	struct log_rec *rec;

	if (image < 0)
		return result(syscall(nr, fd));
	rec = log_add(the_log, LOG_BARRIER, image, 0, 0, NULL);
	if (fails(LOG_BARRIER)) {
		errno = fault.err;
		ret = -1;
	} else {
		ret = syscall(nr, fd);
	}
	log_end(the_log, rec, ret ? -errno : 0);
	return ret;
}

int fsync(int fd)
{
	return barrier(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return barrier(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
	return barrier(SYS_syncfs, fd);
}

int sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
	int image = which(fd), ret;
	struct log_rec *rec;

	if (image < 0)
		return result(syscall(SYS_sync_file_range, fd, off, len,
				      flags));
	rec = log_add(the_log, LOG_HINT, image, off, len, NULL);
	ret = syscall(SYS_sync_file_range, fd, off, len, flags);
	log_end(the_log, rec, ret ? -errno : 0);
	return ret;
}

int fallocate64(int fd, int mode, off_t off, off_t len)
{
	int image = which(fd), ret;
	struct log_rec *rec;

	if (image < 0)
		return result(syscall(SYS_fallocate, fd, mode, off, len));
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
		     FALLOC_FL_ZERO_RANGE))
		bypass(image, "fallocate");
	rec = log_add(the_log, mode & (FALLOC_FL_PUNCH_HOLE |
				       FALLOC_FL_ZERO_RANGE) ?
		      LOG_ZERO : LOG_HINT, image, off, len, NULL);
	ret = syscall(SYS_fallocate, fd, mode, off, len);
	log_end(the_log, rec, ret ? -errno : len);
	return ret;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	return fallocate64(fd, mode, off, len);
}

int ftruncate64(int fd, off_t len)
{
	int image = which(fd), ret;
	struct log_rec *rec;

	if (image < 0)
		return result(syscall(SYS_ftruncate, fd, len));
	rec = log_add(the_log, LOG_SIZE, image, len, 0, NULL);
	ret = syscall(SYS_ftruncate, fd, len);
	log_end(the_log, rec, ret ? -errno : 0);
	return ret;
}

int ftruncate(int fd, off_t len)
{
	return ftruncate64(fd, len);
}

int ioctl(int fd, unsigned long cmd, ...)
{
	struct log_rec *rec;
	uint64_t *range;
	va_list ap;
	void *arg;
	int image, ret;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd != BLKDISCARD && cmd != BLKZEROOUT && cmd != BLKSECDISCARD)
		return result(syscall(SYS_ioctl, fd, cmd, arg));
	image = which(fd);
	if (image < 0)
		return result(syscall(SYS_ioctl, fd, cmd, arg));
	range = arg;
	/* What a discard leaves is anybody's guess; zeros, on a loop. */
	rec = log_add(the_log, LOG_ZERO, image, range[0], range[1], NULL);
	ret = syscall(SYS_ioctl, fd, cmd, arg);
	log_end(the_log, rec, ret ? -errno : (int64_t)range[1]);
	return ret;
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	int image = flags & MAP_ANONYMOUS ? -1 : which(fd);

	if (image >= 0 && (prot & PROT_WRITE) &&
	    (flags & MAP_TYPE) != MAP_PRIVATE)
		bypass(image, "mmap");
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return mmap64(addr, len, prot, flags, fd, off);
}

ssize_t copy_file_range(int in, off64_t *inoff, int out, off64_t *outoff,
			size_t len, unsigned flags)
{
	int image = which(out);

	if (image >= 0)
		bypass(image, "copy_file_range");
	return result(syscall(SYS_copy_file_range, in, inoff, out, outoff, len,
			      flags));
}

ssize_t splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t len,
	       unsigned flags)
{
	int image = which(out);

	if (image >= 0)
		bypass(image, "splice");
	return result(syscall(SYS_splice, in, inoff, out, outoff, len, flags));
}
