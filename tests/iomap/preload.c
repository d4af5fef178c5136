/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * preload.c - a library in the server that plays /dev/fuse's ioctls.
 *
 * Passes ioctls and notifications on the FUSE descriptor to the model, which
 * gives their results, and watches I/O: a block that the table gives to a
 * mapped file must not be read, written or discarded by the server.  It knows
 * the numbers of the ioctls by itself, as the kernel does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _LARGEFILE64_SOURCE
#define _LARGEFILE64_SOURCE
#endif
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload.h"

#define DEV_BACKING_OPEN	0x4010e501u
#define DEV_BACKING_CLOSE	0x4004e502u
#define DEV_SYNC_INIT		0xe503u
#define DEV_SUPPORT		0x8010e563u
#define DEV_SET_NOFS		0x4004e564u
#define DEV_ADD_IOMAP		0xe565u
#define DEV_SET_BLOCKSIZE	0x4008e566u

static int ctl_fd = -1;
static struct stat fuse_st;		/* of the socket, whatever its number */
static struct table *table;
static pthread_mutex_t ctl_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool marked, told;

static int env_fd(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : -1;
}

__attribute__((constructor)) static void setup(void)
{
	int fd = env_fd(ENV_TABLE);
	struct stat st;
	void *p;

	if (fstat(env_fd(ENV_FUSE), &fuse_st))
		return;
	ctl_fd = env_fd(ENV_CTL);
	if (fd < 0 || fstat(fd, &st))
		return;
	p = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		table = p;
}

static bool is_fuse(int fd)
{
	int saved = errno;
	struct stat st;
	bool same;

	same = ctl_fd >= 0 && !fstat(fd, &st) && st.st_ino == fuse_st.st_ino &&
	       st.st_dev == fuse_st.st_dev;
	errno = saved;
	return same;
}

/* Asks the model; the answer is in MSG.  As an ioctl: >= 0, or -1 and errno. */
static int ask(struct ctl_msg *msg)
{
	int n;

	pthread_mutex_lock(&ctl_lock);
	n = send(ctl_fd, msg, sizeof(*msg), MSG_NOSIGNAL);
	if (n == sizeof(*msg))
		n = recv(ctl_fd, msg, sizeof(*msg), 0);
	pthread_mutex_unlock(&ctl_lock);
	if (n != sizeof(*msg)) {
		errno = ENODEV;
		return -1;
	}
	if (msg->result < 0) {
		errno = -msg->result;
		return -1;
	}
	return msg->result;
}

static int dev_ioctl(unsigned long nr, void *arg)
{
	struct ctl_msg msg = { 0 };
	struct { int32_t fd; uint32_t flags; uint64_t padding; } map;
	struct { uint32_t id, blocksize; } info;
	struct { uint64_t flags, padding; } support = { 0 };
	struct stat st;
	uint32_t value;
	int n;

	switch (nr) {
	case DEV_SUPPORT:
		msg.kind = CTL_SUPPORT;
		n = ask(&msg);
		if (n < 0)
			return n;
		support.flags = msg.a;
		memcpy(arg, &support, sizeof(support));
		return 0;
	case DEV_BACKING_OPEN:
		memcpy(&map, arg, sizeof(map));
		if (fstat(map.fd, &st))
			return -1;
		msg.kind = CTL_OPEN;
		msg.a = st.st_rdev;
		msg.b = S_ISBLK(st.st_mode);
		msg.c = map.flags | (map.padding ? 1u << 31 : 0);
		return ask(&msg);
	case DEV_SET_BLOCKSIZE:
		memcpy(&info, arg, sizeof(info));
		msg.kind = CTL_BLOCKSIZE;
		msg.a = info.id;
		msg.b = info.blocksize;
		return ask(&msg);
	case DEV_SET_NOFS:
		memcpy(&value, arg, sizeof(value));
		msg.kind = CTL_NOFS;
		msg.a = syscall(SYS_gettid);
		msg.b = value;
		n = ask(&msg);
		if (!n)
			marked = value == 1;
		return n;
	case DEV_BACKING_CLOSE:
		msg.kind = CTL_CLOSE;
		return ask(&msg);
	default:
		errno = nr == DEV_SYNC_INIT || nr == DEV_ADD_IOMAP ? EINVAL : ENOTTY;
		return -1;
	}
}

/* ---- what the server does to the device ---- */

/* Where in the device POS of FD is; false if FD is something else. */
static bool on_device(int fd, uint64_t *pos)
{
	struct stat st;

	if (!table || !table->rdev || !table->block_size || fstat(fd, &st))
		return false;
	if (S_ISBLK(st.st_mode))
		return st.st_rdev == table->rdev;
	if (st.st_dev != table->file_dev || st.st_ino != table->file_ino ||
	    *pos < table->offset)
		return false;
	*pos -= table->offset;
	return true;
}

static void watch(int fd, uint64_t pos, uint64_t len, enum ctl_access kind)
{
	int saved = errno;
	uint64_t b, end;
	uint32_t owner;

	if (len && on_device(fd, &pos)) {
		end = (pos + len - 1) / table->block_size;
		for (b = pos / table->block_size; b <= end && b < table->blocks; b++) {
			owner = __atomic_load_n(&table->owner[b], __ATOMIC_RELAXED);
			if (owner) {
				struct ctl_msg msg = {
					.kind = CTL_ACCESS, .a = b,
					.b = owner, .c = kind,
				};

				ask(&msg);
				break;
			}
		}
	}
	errno = saved;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pread64(int fd, void *buf, size_t len, off64_t pos)
{
	watch(fd, pos, len, ACCESS_READ);
	return REAL(pread64)(fd, buf, len, pos);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t pos)
{
	watch(fd, pos, len, ACCESS_WRITE);
	return REAL(pwrite64)(fd, buf, len, pos);
}

ssize_t pread(int fd, void *buf, size_t len, off_t pos)
{
	watch(fd, pos, len, ACCESS_READ);
	return REAL(pread)(fd, buf, len, pos);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t pos)
{
	watch(fd, pos, len, ACCESS_WRITE);
	return REAL(pwrite)(fd, buf, len, pos);
}

static size_t iov_size(const struct iovec *iov, int n)
{
	size_t sum = 0;

	while (n--)
		sum += iov[n].iov_len;
	return sum;
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t pos)
{
	watch(fd, pos, iov_size(iov, n), ACCESS_READ);
	return REAL(preadv)(fd, iov, n, pos);
}

ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t pos)
{
	watch(fd, pos, iov_size(iov, n), ACCESS_READ);
	return REAL(preadv64)(fd, iov, n, pos);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t pos)
{
	watch(fd, pos, iov_size(iov, n), ACCESS_WRITE);
	return REAL(pwritev)(fd, iov, n, pos);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t pos)
{
	watch(fd, pos, iov_size(iov, n), ACCESS_WRITE);
	return REAL(pwritev64)(fd, iov, n, pos);
}

int fallocate64(int fd, int mode, off64_t pos, off64_t len)
{
	watch(fd, pos, len, ACCESS_OTHER);
	return REAL(fallocate64)(fd, mode, pos, len);
}

int fallocate(int fd, int mode, off_t pos, off_t len)
{
	watch(fd, pos, len, ACCESS_OTHER);
	return REAL(fallocate)(fd, mode, pos, len);
}

int ioctl(int fd, unsigned long nr, ...)
{
	uint64_t range[2];
	va_list ap;
	void *arg;

	va_start(ap, nr);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (is_fuse(fd))
		return dev_ioctl(nr & 0xffffffff, arg);
	if (nr == BLKDISCARD || nr == BLKZEROOUT || nr == BLKSECDISCARD) {
		memcpy(range, arg, sizeof(range));
		watch(fd, range[0], range[1], ACCESS_OTHER);
	}
	return REAL(ioctl)(fd, nr, arg);
}

/* ---- replies and notifications ---- */

/* A notification's result; -2 if IOV is a reply. */
static ssize_t notify(const struct iovec *iov, int n)
{
	struct ctl_msg msg = { .kind = CTL_NOTIFY };
	const struct fuse_out_header *h = iov[0].iov_base;
	size_t len = iov_size(iov, n), pos = 0;
	int i;

	if (n < 1 || iov[0].iov_len < sizeof(*h) || h->unique ||
	    h->error < 99 || h->error > 101)
		return -2;
	if (len > sizeof(msg.data)) {
		errno = EINVAL;
		return -1;
	}
	for (i = 0; i < n; pos += iov[i++].iov_len)
		memcpy(msg.data + pos, iov[i].iov_base, iov[i].iov_len);
	msg.len = len;
	return ask(&msg) < 0 ? -1 : (ssize_t)len;
}

static void check_thread(void)
{
	struct ctl_msg msg = { .kind = CTL_UNMARKED };

	if (marked || told || !table ||
	    !__atomic_load_n(&table->configured, __ATOMIC_RELAXED))
		return;
	told = true;
	msg.a = syscall(SYS_gettid);
	ask(&msg);
}

/* As if the thread had to wait with what it got. */
ssize_t read(int fd, void *buf, size_t len)
{
	const struct fuse_in_header *h = buf;
	ssize_t n = REAL(read)(fd, buf, len);

	if (n >= (ssize_t)sizeof(*h) && table && table->slow_us && is_fuse(fd) &&
	    h->opcode == table->slow_opcode)
		usleep(table->slow_us);
	return n;
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	ssize_t done;

	if (is_fuse(fd)) {
		done = notify(iov, n);
		if (done != -2)
			return done;
		check_thread();
	}
	return REAL(writev)(fd, iov, n);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	struct iovec iov = { (void *)buf, len };
	ssize_t done;

	if (is_fuse(fd)) {
		done = notify(&iov, 1);
		if (done != -2)
			return done;
		check_thread();
	}
	return REAL(write)(fd, buf, len);
}
