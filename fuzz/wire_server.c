/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_server.c - the server in this process, and the device it talks to.
 *
 * main() is the program's own: options, volume, session, threads.  What a
 * process does only once (its log, its folder) is left out.  With the
 * linker's --wrap, ioctl() and writev() come here, so that /dev/fuse's ioctls
 * have an answer and replies may find that nobody waits for them; and
 * device_is_block(), as iomap is for block devices only.
 */
#include <pthread.h>
#include <unistd.h>

#include "sys/daemon.h"
#include "ops/nodes.h"

static size_t nodes_at_end;

static void count_and_free(struct nodes *ns)
{
	nodes_at_end = nodes_left(ns);
	nodes_free(ns);
}

#define main program_main
#define chdir(path) 0
#define daemon_open_log() 0
#define daemon_oom_score(value) ((void)(value))
#define daemon_reserve_fds() ((void)0)
#define nodes_free count_and_free
#include "fuse2fs.c"
#include "serve.c"
#undef main
#undef nodes_free

#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "fuzz/wire.h"
#include "ops/iomap_proto.h"

struct server_dev server_dev;

static pthread_t thread;
static uint64_t refuse_unique;
static unsigned upserts;

static void *run_main(void *arg)
{
	char **argv = arg;
	int argc = 0;

	while (argv[argc])
		argc++;
	return (void *)(intptr_t)program_main(argc, argv);
}

void server_start(char **argv)
{
	refuse_unique = 0;
	upserts = 0;
	server_dev.opened = 0;
	if (pthread_create(&thread, NULL, run_main, argv))
		wire_fail("no thread for the server");
}

int server_join(void)
{
	void *ret;

	pthread_join(thread, &ret);
	return (intptr_t)ret;
}

size_t server_nodes_left(void)
{
	return nodes_at_end;
}

void server_refuse(uint64_t unique)
{
	__atomic_store_n(&refuse_unique, unique, __ATOMIC_RELEASE);
}

/* ---- /dev/fuse ---- */

int __real_ioctl(int fd, unsigned long nr, void *arg);
int __wrap_ioctl(int fd, unsigned long nr, ...);
bool __real_device_is_block(const struct device *dev);
bool __wrap_device_is_block(const struct device *dev);
ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);

static int result(int err, int value)
{
	errno = err;
	return err ? -1 : value;
}

/* The volume, which is memory here, where it is to be a block device. */
bool __wrap_device_is_block(const struct device *dev)
{
	return server_dev.support || __real_device_is_block(dev);
}

int __wrap_ioctl(int fd, unsigned long nr, ...)
{
	struct iom_support support = { .flags = IOM_SUPPORT_FILEIO };
	va_list ap;
	void *arg;

	va_start(ap, nr);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch ((uint32_t)nr) {
	case IOM_IOC_SUPPORT:
		if (!server_dev.support)
			return result(ENOTTY, 0);
		memcpy(arg, &support, sizeof(support));
		return 0;
	case IOM_IOC_BACKING_OPEN:
		return result(server_dev.open_err, ++server_dev.opened);
	case IOM_IOC_SET_BLOCKSIZE:
		return result(server_dev.blocksize_err, 0);
	case BLKBSZSET: case BLKBSZGET: case BLKSSZGET:
		if (!server_dev.support)
			break;
		if ((uint32_t)nr != BLKBSZSET)
			*(int *)arg = 512;
		return 0;
	case IOM_IOC_SET_NOFS:
		return result(server_dev.support ? 0 : EPERM, 0);
	}
	return __real_ioctl(fd, nr, arg);
}

static bool is_entry(const struct fuse_out_header *h)
{
	return !h->error && h->len >= sizeof(*h) + sizeof(struct fuse_entry_out);
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	struct fuse_out_header *h = iov[0].iov_base;
	uint64_t unique;

	if (n < 1 || iov[0].iov_len != sizeof(*h))
		return __real_writev(fd, iov, n);
	if (!h->unique && h->error == IOM_NOTIFY_UPSERT &&
	    server_dev.upsert_err &&
	    __atomic_fetch_add(&upserts, 1, __ATOMIC_RELAXED) % 2)
		return result(server_dev.upsert_err, 0);
	unique = __atomic_load_n(&refuse_unique, __ATOMIC_ACQUIRE);
	if (!h->unique || h->unique != unique || !is_entry(h))
		return __real_writev(fd, iov, n);
	h->len |= WIRE_REFUSED;
	__real_writev(fd, iov, n);
	h->len &= ~WIRE_REFUSED;
	return result(ENOENT, 0);
}
