/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c - a block device in front of an image file.
 *
 * The kernel takes block devices only.  Knows loop devices and sysfs, nothing
 * of what is in the image.  The image stays open and locked by flock() while
 * the device is in use, as if it were used without one.  A file that came as
 * a descriptor gets none: what is behind it may not be the file that it seems
 * to be.  Takes no locks of ours.
 */
#include "sys/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/log.h"
#include "sys/mount.h"

#define SECTOR		512
#define TRIES		8	/* somebody else may take the free one */

static bool has_capability(unsigned cap)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return !syscall(SYS_capget, &head, data) &&
	       (data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap));
}

static bool named_by_fd(const char *path)
{
	return !strncmp(path, "/dev/fd/", 8) || !strcmp(path, "/dev/stdin") ||
	       (!strncmp(path, "/proc/", 6) && strstr(path, "/fd/"));
}

bool loop_possible(const char *path)
{
	struct stat st;

	return !named_by_fd(path) && has_capability(CAP_SYS_ADMIN) &&
	       has_capability(CAP_SYS_RAWIO) && !stat(path, &st) &&
	       S_ISREG(st.st_mode) && st.st_size >= SECTOR;
}

/*
 * Is the file behind loop device NAME the open IMAGE?  Other file systems are
 * not asked: one that does not answer would keep us here.  (Nor may the loop
 * device be: LOOP_GET_STATUS64 asks them.)
 */
static bool is_behind(const char *name, int image, const struct stat *st)
{
	char path[PATH_MAX], file[PATH_MAX];
	struct stat other;
	FILE *f;
	bool found;

	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	f = fopen(path, "re");
	if (!f)
		return false;
	found = fgets(file, sizeof(file), f);
	fclose(f);
	if (!found)
		return false;
	file[strcspn(file, "\n")] = 0;
	return mount_same(image, file) &&
	       !stat(file, &other) && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino;
}

static bool has_loop(int image)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *d;
	struct stat st;
	bool found = false;

	if (!dir || fstat(image, &st)) {
		if (dir)
			closedir(dir);
		return false;
	}
	while (!found && (d = readdir(dir)))
		found = !strncmp(d->d_name, "loop", 4) &&
			is_behind(d->d_name, image, &st);
	closedir(dir);
	return found;
}

static int open_image(const char *path, bool *rdonly)
{
	int fd = -1;

	if (!*rdonly)
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (*rdonly || errno == EACCES || errno == EPERM ||
		       errno == EROFS)) {
		*rdonly = true;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/* Where flock() does not work we have to trust the user, as fs/source.c. */
static int lock_image(int fd, bool rdonly)
{
	int op = (rdonly ? LOCK_SH : LOCK_EX) | LOCK_NB;

	while (flock(fd, op)) {
		if (errno == EWOULDBLOCK)
			return -EAGAIN;
		if (errno != EINTR)
			return 0;
	}
	return 0;
}

/* Binds the image to the free device N: 0, -EBUSY if that is not free. */
static int configure(struct loop *l, int n, bool rdonly, uint64_t offset,
		     uint64_t limit)
{
	struct loop_config config = {
		.fd = l->image,
		.info = {
			.lo_offset = offset, .lo_sizelimit = limit,
			.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR |
				    (rdonly ? LO_FLAGS_READ_ONLY : 0),
		},
	};
	int err;

	snprintf(l->path, sizeof(l->path), "/dev/loop%d", n);
	l->fd = open(l->path, (rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (l->fd < 0)
		return -errno;
	if (!ioctl(l->fd, LOOP_CONFIGURE, &config))
		return 0;
	if (errno != EBUSY) {
		config.info.lo_flags &= ~LO_FLAGS_DIRECT_IO;
		if (!ioctl(l->fd, LOOP_CONFIGURE, &config))
			return 0;
	}
	err = -errno;
	close(l->fd);
	l->fd = -1;
	return err;
}

static int bind_free(struct loop *l, bool rdonly, uint64_t offset,
		     uint64_t limit)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int err = -EBUSY, tries, n;

	if (control < 0)
		return -errno;
	for (tries = 0; tries < TRIES && err == -EBUSY; tries++) {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		err = n < 0 ? -errno : configure(l, n, rdonly, offset, limit);
	}
	close(control);
	return err == -EBUSY ? -ENODEV : err;
}

int loop_attach(struct loop *l, const char *path, bool rdonly, uint64_t offset,
		uint64_t limit)
{
	int err;

	l->fd = -1;
	l->image = open_image(path, &rdonly);
	if (l->image < 0) {
		err = l->image;
		l->image = -1;
		return err;
	}
	err = lock_image(l->image, rdonly);
	if (!err && has_loop(l->image))
		err = -EBUSY;
	if (!err)
		err = bind_free(l, rdonly, offset, limit);
	if (err)
		loop_detach(l);
	else
		msg_debug("%s is behind %s", path, l->path);
	return err;
}

void loop_opened(struct loop *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void loop_detach(struct loop *l)
{
	loop_opened(l);
	if (l->image >= 0)
		close(l->image);
	l->image = -1;
}
