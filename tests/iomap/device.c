/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c - the block device that the server registers, and what else the
 * preloaded library asks: ioctls, notifications, forbidden accesses.
 *
 * One thread answers, with model.lock; it waits for nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "model.h"

#define FIRST_DEV	1

void model_image_io(bool write, uint64_t addr, void *buf, size_t len)
{
	ssize_t n;

	if (addr > M.dev_size || len > M.dev_size - addr) {
		violation("I/O at %llu is past the device",
			  (unsigned long long)addr);
		return;
	}
	addr += M.image_offset;
	n = write ? pwrite64(M.image, buf, len, addr) :
		    pread64(M.image, buf, len, addr);
	if (n != (ssize_t)len)
		violation("image: %zd of %zu bytes: %s", n, len, strerror(errno));
}

static int sys_number(uint64_t rdev, const char *what, uint64_t *out)
{
	char path[100], text[40];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(rdev),
		 minor(rdev), what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	text[n] = 0;
	*out = strtoull(text, NULL, 10);
	return 0;
}

/* The device is registered: where are its bytes? */
static int dev_register(const struct ctl_msg *msg)
{
	struct stat st;
	uint64_t sectors;

	if (!M.iomap)
		return -EPERM;
	if (msg->c != IOM_BACKING_IOMAP) {
		violation("BACKING_OPEN with flags %llx", (unsigned long long)msg->c);
		return -EINVAL;
	}
	if (!msg->b) {
		violation("BACKING_OPEN of what is no block device");
		return -ENODEV;
	}
	if (M.dev)
		violation("a second BACKING_OPEN");
	if (sys_number(msg->a, "size", &sectors) ||
	    sys_number(msg->a, "loop/offset", &M.image_offset))
		return -ENODEV;
	fstat(M.image, &st);
	M.rdev = msg->a;
	M.dev_size = sectors * 512;
	M.table->rdev = msg->a;
	M.table->file_dev = st.st_dev;
	M.table->file_ino = st.st_ino;
	M.table->offset = M.image_offset;
	M.dev = FIRST_DEV;
	return M.dev;
}

uint32_t device_block_size(void)
{
	char path[100];
	int fd, size = 0;

	snprintf(path, sizeof(path), "/dev/block/%u:%u", major(M.rdev),
		 minor(M.rdev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path), "/dev/loop%u", minor(M.rdev));
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return 0;
	if (ioctl(fd, BLKBSZGET, &size))
		size = 0;
	close(fd);
	return size;
}

bool device_in_use(void)
{
	char path[100];
	struct stat st;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", M.server, fd);
		if (!stat(path, &st) && S_ISBLK(st.st_mode) &&
		    st.st_rdev == M.rdev)
			return true;
	}
	return false;
}

static const char *access_name(uint64_t kind)
{
	return kind == ACCESS_READ ? "reads" :
	       kind == ACCESS_WRITE ? "writes" : "discards";
}

static int answer(struct ctl_msg *msg)
{
	uint64_t fd_flags = IOM_SUPPORT_FILEIO | IOM_SUPPORT_ATOMIC;

	switch (msg->kind) {
	case CTL_SUPPORT:
		if (M.opt.plain && !M.opt.support_errno)
			return -ENOTTY;
		msg->a = fd_flags;
		return -M.opt.support_errno;
	case CTL_OPEN:
		if (M.opt.open_errno)
			return -M.opt.open_errno;
		return dev_register(msg);
	case CTL_BLOCKSIZE:
		if (M.opt.blocksize_errno)
			return -M.opt.blocksize_errno;
		if (msg->a != M.dev)
			return -ENOENT;
		M.dev_block_size = msg->b;
		return 0;
	case CTL_NOFS:
		if (msg->b > 1)
			return -EINVAL;
		if (M.opt.nofs_errno)
			return -M.opt.nofs_errno;
		M.marked++;
		return 0;
	case CTL_NOTIFY:
		return map_notify(msg->data, msg->len);
	case CTL_ACCESS:
		violation("the server %s block %llu, which is data of inode %llu",
			  access_name(msg->c), (unsigned long long)msg->a,
			  (unsigned long long)msg->b);
		return 0;
	case CTL_UNMARKED:
		if (!M.opt.nofs_errno)
			violation("thread %llu answers without SET_NOFS",
				  (unsigned long long)msg->a);
		return 0;
	case CTL_CLOSE:
		return -EBUSY;
	default:
		return -ENOTTY;
	}
}

void *device_control(void *arg)
{
	struct ctl_msg msg;

	while (recv(M.ctl, &msg, sizeof(msg), 0) == sizeof(msg)) {
		pthread_mutex_lock(&M.lock);
		msg.result = answer(&msg);
		pthread_mutex_unlock(&M.lock);
		if (send(M.ctl, &msg, sizeof(msg), MSG_NOSIGNAL) < 0)
			break;
	}
	return arg;
}
