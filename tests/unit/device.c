/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c - the device: names of the calls it makes, short and interrupted
 * transfers, bounds, when it flushes, O_DIRECT, discard.
 *
 * This program defines open64, pread64, pwrite64 and fdatasync itself, as a
 * container runtime's shim does: what does not come through here does not
 * come by these names.
 */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../tap.h"
#include "io/device.h"

#define SIZE	(1024 * 1024)

static char dir[256], image[300];
static uint8_t pattern[SIZE], buf[SIZE];

/* --- the shim --- */

static _Atomic unsigned opens, preads, pwrites, syncs;
static int trouble;		/* one in so many transfers is short or EINTR */
static int sync_errno;

int open64(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if (!strncmp(path, dir, strlen(dir)))
		opens++;
	return syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

static bool in_trouble(size_t *len)
{
	static unsigned n;

	if (!trouble || ++n % trouble)
		return false;
	if (n / trouble % 2) {
		errno = EINTR;
		return true;
	}
	if (*len > 1)
		*len /= 2;
	return false;
}

ssize_t pread64(int fd, void *p, size_t len, off64_t pos)
{
	preads++;
	if (in_trouble(&len))
		return -1;
	return syscall(SYS_pread64, fd, p, len, pos);
}

ssize_t pwrite64(int fd, const void *p, size_t len, off64_t pos)
{
	pwrites++;
	if (in_trouble(&len))
		return -1;
	return syscall(SYS_pwrite64, fd, p, len, pos);
}

int fdatasync(int fd)
{
	syncs++;
	if (sync_errno) {
		errno = sync_errno;
		return -1;
	}
	return syscall(SYS_fdatasync, fd);
}

/* --- tests --- */

static void make_image(void)
{
	int fd = creat(image, 0600);
	size_t i;

	for (i = 0; i < SIZE; i++)
		pattern[i] = i * 7 + i / 251;
	if (fd < 0 || write(fd, pattern, SIZE) != SIZE || close(fd))
		bail("cannot make an image");
}

static void test_open(void)
{
	struct device *dev;
	char name[300];

	is(device_open("/nonexistent/x", 0, 0, 0, &dev), -ENOENT, "no such file");
	is(device_open(dir, DEVICE_RDONLY, 0, 0, &dev), -EINVAL,
	   "a directory is no device");
	is(device_open(image, 0, SIZE + 1, 0, &dev), -EINVAL,
	   "an offset beyond the end");
	opens = 0;
	is(device_open(image, 0, 4096, 8192, &dev), 0, "open");
	is(opens, 1, "opened once, by open64");
	is(device_size(dev), 8192, "the limit is the size");
	ok(!device_is_block(dev) && !device_is_readonly(dev), "what it is");
	ok(device_fd(dev) > 2, "not a standard descriptor");
	is(device_read(dev, buf, 8192, 0), 0, "read all");
	ok(!memcmp(buf, pattern + 4096, 8192), "from the offset on");
	is(device_read(dev, buf, 2, 8191), -EIO, "no reading beyond the limit");
	is(device_write(dev, buf, 2, 8191), -EIO, "no writing beyond it");
	is(device_read(dev, buf, 1, UINT64_MAX), -EIO, "no overflow");
	device_close(dev);

	is(device_open(image, DEVICE_RDONLY, 0, 0, &dev), 0, "open read-only");
	ok(device_is_readonly(dev), "says so");
	pwrites = 0;
	is(device_write(dev, buf, 1, 0), -EROFS, "no writing");
	is(device_zero(dev, 0, 1), -EROFS, "no zeroing");
	is(device_discard(dev, 0, 4096), -EROFS, "no discarding");
	is(pwrites, 0, "nothing was tried");
	device_close(dev);

	snprintf(name, sizeof(name), "%s/image", dir);
	truncate(name, SIZE - 100);
	is(device_open(image, 0, 0, SIZE, &dev), 0, "shorter than the limit");
	is(device_size(dev), SIZE - 100, "the end is the size");
	device_close(dev);
	make_image();
}

/* Standard descriptors that are closed are filled, not used. */
static void test_descriptors(void)
{
	struct device *dev = NULL;
	int saved = dup(0), err, fd = -1;

	close(0);
	err = device_open(image, 0, 0, 0, &dev);
	if (!err)
		fd = device_fd(dev);
	device_close(dev);
	dup2(saved, 0);
	close(saved);
	ok(!err && fd > 2, "with stdin closed the device is not stdin");
}

static void test_transfers(void)
{
	struct device *dev;
	int i;

	device_open(image, 0, 0, 0, &dev);
	for (i = 1; i <= 3; i++) {
		trouble = i;
		memset(buf, 0, SIZE);
		is(device_read(dev, buf, SIZE - 3, 3), 0,
		   "read in spite of short and interrupted calls");
		ok(!memcmp(buf, pattern + 3, SIZE - 3), "all of it");
	}
	memset(buf, 0x5a, SIZE);
	is(device_write(dev, buf, 70000, 1234), 0, "write in spite of them");
	trouble = 0;
	device_read(dev, buf, SIZE, 0);
	memset(pattern + 1234, 0x5a, 70000);
	ok(!memcmp(buf, pattern, SIZE), "all of it, and nothing else");
	preads = pwrites = 0;
	is(device_zero(dev, 5000, 600000), 0, "zero");
	memset(pattern + 5000, 0, 600000);
	device_read(dev, buf, SIZE, 0);
	ok(!memcmp(buf, pattern, SIZE), "exactly that");
	ok(preads == 1 && pwrites > 0, "by pread64 and pwrite64");
	device_close(dev);
	make_image();
}

static void test_sync(void)
{
	struct device *dev;

	device_open(image, 0, 0, 0, &dev);
	syncs = 0;
	is(device_sync(dev), 0, "sync with nothing written");
	is(syncs, 0, "costs nothing");
	device_write(dev, pattern, 512, 0);
	is(device_sync(dev), 0, "sync");
	is(syncs, 1, "is an fdatasync");
	device_sync(dev);
	is(syncs, 1, "once");
	device_write(dev, pattern, 512, 0);
	sync_errno = EIO;
	is(device_sync(dev), -EIO, "a failing sync fails");
	sync_errno = 0;
	is(device_sync(dev), -EIO, "and fails ever after");
	device_write(dev, pattern, 512, 0);
	is(device_sync(dev), -EIO, "also when more was written");
	device_close(dev);
}

static int fault(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)len;
	return op == *(enum device_op *)ctx && off == 4096 ? -ENXIO : 0;
}

static void test_faults(void)
{
	enum device_op op = DEVICE_READ;
	struct device_stats st;
	struct device *dev;

	device_open(image, 0, 0, 0, &dev);
	device_set_fault(dev, fault, &op);
	is(device_read(dev, buf, 512, 0), 0, "another place");
	is(device_read(dev, buf, 512, 4096), -ENXIO, "an injected fault");
	op = DEVICE_WRITE;
	is(device_write(dev, buf, 512, 4096), -ENXIO, "also of writes");
	device_set_fault(dev, NULL, NULL);
	is(device_write(dev, buf, 512, 4096), 0, "and no more");
	device_get_stats(dev, &st);
	ok(st.reads == 1 && st.writes == 1 && st.bytes_read == 512 &&
	   st.bytes_written == 512, "statistics");
	device_close(dev);
	make_image();
}

static void test_direct(void)
{
	struct device *dev;
	struct stat st;
	size_t pos, i;
	int err;

	err = device_open(image, DEVICE_DIRECT, 512, 0, &dev);
	if (err == -EINVAL) {
		ok(1, "# SKIP no O_DIRECT here");
		return;
	}
	is(err, 0, "open with O_DIRECT at an odd offset");
	is(device_read(dev, buf + 1, 100000, 77), 0, "unaligned read");
	ok(!memcmp(buf + 1, pattern + 512 + 77, 100000), "gives the bytes");
	for (i = 0; i < 20; i++) {
		pos = i * 40009;
		memset(buf, 0x30 + i, 30000);
		memset(pattern + 512 + pos, 0x30 + i, 1024 * i + i);
		err |= device_write(dev, buf, 1024 * i + i, pos);
	}
	memset(buf, 0x77, 5000);
	memset(pattern + 8192, 0x77, 5000);
	err |= device_write(dev, buf, 5000, 8192 - 512);
	is(device_read(dev, buf, SIZE - 512, 0), 0, "read the whole of it");
	ok(!err && !memcmp(buf, pattern + 512, SIZE - 512),
	   "unaligned writes changed their bytes only");
	device_close(dev);

	truncate(image, SIZE - 100);
	is(device_open(image, DEVICE_DIRECT, 0, 0, &dev), 0, "odd size");
	is(device_write(dev, pattern, 100, SIZE - 200), 0, "write to its end");
	device_close(dev);
	stat(image, &st);
	is(st.st_size, SIZE - 100, "the image did not grow");
	make_image();
}

static void test_discard(void)
{
	char name[64];
	struct device *dev;
	int fd, err;

	device_open(image, 0, 8192, 0, &dev);
	err = device_discard(dev, 4096, 65536);
	if (err == -EOPNOTSUPP) {
		ok(1, "# SKIP no holes here");
	} else {
		is(err, 0, "discard on an image");
		memset(pattern + 8192 + 4096, 0, 65536);
		device_read(dev, buf, SIZE - 8192, 0);
		ok(!memcmp(buf, pattern + 8192, SIZE - 8192),
		   "punches its blocks, at the offset, and no others");
	}
	device_close(dev);

	fd = syscall(SYS_openat, AT_FDCWD, image, O_RDWR);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	is(device_open(name, 0, 0, 0, &dev), 0, "a source named by descriptor");
	is(device_discard(dev, 0, 4096), -EOPNOTSUPP, "is not discarded");
	device_close(dev);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	device_open(name, 0, 0, 0, &dev);
	is(device_discard(dev, 0, 4096), -EOPNOTSUPP, "nor by /dev/fd");
	device_close(dev);
	close(fd);
	make_image();
}

struct worker {
	struct device *dev;
	unsigned n;
	int err;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	uint8_t mine[4096], back[4096];
	unsigned i;

	for (i = 0; i < 200 && !w->err; i++) {
		memset(mine, w->n * 16 + i % 16, sizeof(mine));
		w->err = device_write(w->dev, mine, sizeof(mine), w->n * 4096);
		if (!w->err)
			w->err = device_read(w->dev, back, sizeof(back),
					     w->n * 4096);
		if (!w->err && memcmp(mine, back, sizeof(back)))
			w->err = 1;
		if (!w->err && i % 50 == 0)
			w->err = device_sync(w->dev);
	}
	return NULL;
}

static void test_threads(void)
{
	struct worker w[4] = { 0 };
	pthread_t t[4];
	struct device *dev;
	unsigned i;
	int err = 0;

	device_open(image, 0, 0, 0, &dev);
	for (i = 0; i < 4; i++) {
		w[i].dev = dev;
		w[i].n = i;
		pthread_create(&t[i], NULL, work, &w[i]);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		err |= w[i].err;
	}
	is(err, 0, "four threads beside each other");
	device_close(dev);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/device.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		bail("mkdtemp");
	snprintf(image, sizeof(image), "%s/image", dir);
	make_image();
	test_open();
	test_descriptors();
	test_transfers();
	test_sync();
	test_faults();
	test_direct();
	test_discard();
	test_threads();
	unlink(image);
	rmdir(dir);
	return done();
}
