/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * source.c - opening and locking the volume's device or image.
 *
 * Two servers on one volume would destroy it.  A block device is opened with
 * O_EXCL, which the kernel's mounts respect as well; an image is locked by
 * flock(), exclusively for writing and shared for reading, never by fcntl(),
 * whose locks container runtimes hold.  A server that was unmounted a moment
 * ago may still be writing: so who finds the source in use waits.  The name
 * of the holder is holder.c's to find.  Knows nothing of what is on the
 * device; takes no locks of ours.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "fs/fs.h"
#include "fs/source.h"
#include "io/device.h"
#include "sys/log.h"

#define WAIT_ENV	"FUSE2FS_LOCK_WAIT"	/* seconds */
#define WAIT_DEFAULT	15
#define WAIT_MAX	3600
#define POLL_MS		100
#define TELL_MS		1500	/* the user wonders after so long */

/* Waiting for a source that somebody has. */
struct busy {
	int64_t start, limit;		/* ms */
	bool told;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int64_t wait_limit(void)
{
	const char *s = getenv(WAIT_ENV);
	char *end;
	long n;

	if (!s || !*s)
		return WAIT_DEFAULT * 1000;
	n = strtol(s, &end, 10);
	if (*end || n < 0 || n > WAIT_MAX) {
		msg_warn("%s: not a number of seconds: %s", WAIT_ENV, s);
		return WAIT_DEFAULT * 1000;
	}
	return n * 1000;
}

/* Sleeps a little; false when there was enough of that. */
static bool busy_wait(struct fs *fs, struct busy *busy)
{
	struct timespec ts = { .tv_nsec = POLL_MS * 1000000L };
	int64_t now = now_ms();
	char who[160];

	if (!busy->start) {
		busy->start = now;
		busy->limit = wait_limit();
	}
	if (now - busy->start >= busy->limit)
		return false;
	if (!busy->told && now - busy->start >= TELL_MS) {
		busy->told = true;
		if (!source_holder(fs->opt.source, who, sizeof(who)))
			snprintf(who, sizeof(who), "somebody");
		msg_warn("Waiting: the filesystem is in use by %s.", who);
	}
	nanosleep(&ts, NULL);
	return true;
}

static int refuse_busy(struct fs *fs, const char *what)
{
	char who[160];

	if (source_holder(fs->opt.source, who, sizeof(who)))
		msg_err("Could not lock filesystem %s: %s (in use by %s)",
			what, strerror(EBUSY), who);
	else
		msg_err("Could not lock filesystem %s: %s", what,
			strerror(EBUSY));
	return -EBUSY;
}

static int open_device(struct fs *fs, struct busy *busy)
{
	unsigned flags = DEVICE_EXCL;
	int err;

	if (fs->opt.ro)
		flags |= DEVICE_RDONLY;
	if (fs->opt.directio)
		flags |= DEVICE_DIRECT;
	for (;;) {
		err = device_open(fs->opt.source, flags, fs->opt.offset,
				  fs->opt.limit, &fs->dev);
		if (err == -EBUSY) {
			if (busy_wait(fs, busy))
				continue;
			return refuse_busy(fs, "block device");
		}
		if (!(flags & DEVICE_RDONLY) &&
		    (err == -EACCES || err == -EPERM || err == -EROFS)) {
			flags |= DEVICE_RDONLY;
			continue;
		}
		if (err)
			msg_err("%s: %s", fs->opt.source, strerror(-err));
		else if (device_is_readonly(fs->dev) && !fs->opt.ro)
			msg_warn("WARNING: source write-protected, mounted read-only.");
		if (!err)
			fs->rdonly = device_is_readonly(fs->dev);
		return err;
	}
}

/* Where flock() does not work we have to trust the user. */
static int lock_image(struct fs *fs, struct busy *busy)
{
	int op = (fs->rdonly ? LOCK_SH : LOCK_EX) | LOCK_NB;

	while (flock(device_fd(fs->dev), op)) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return 0;
		if (!busy_wait(fs, busy))
			return refuse_busy(fs, "image");
	}
	return 0;
}

int source_open(struct fs *fs)
{
	struct busy busy = { 0, 0, false };
	int err;

	err = open_device(fs, &busy);
	if (err || device_is_block(fs->dev))
		return err;
	return lock_image(fs, &busy);
}

void source_share(struct fs *fs)
{
	if (!device_is_block(fs->dev))
		flock(device_fd(fs->dev), LOCK_SH | LOCK_NB);
}
