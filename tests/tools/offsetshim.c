/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * offsetshim.c - a library to be preloaded, as a container runtime does.
 *
 * Shifts what is read and written through the last descriptor that was opened
 * under the name in OFFSETPRELOAD_FILE by OFFSETPRELOAD_OFFSET bytes.  Sees
 * open64, __open64_2, pread64 and pwrite64 and nothing else: a server that
 * reaches the image in any other way finds the wrong bytes.
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
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef int (*open_fn)(const char *, int, ...);
typedef ssize_t (*pread_fn)(int, void *, size_t, off64_t);
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off64_t);

static int shifted = -1;

static int opened(const char *path, int fd)
{
	const char *want = getenv("OFFSETPRELOAD_FILE");

	if (fd >= 0 && want && !strcmp(path, want))
		shifted = fd;
	return fd;
}

static off64_t shift(int fd, off64_t pos)
{
	const char *text = getenv("OFFSETPRELOAD_OFFSET");

	return fd == shifted && text ? pos + atoll(text) : pos;
}

int open64(const char *path, int flags, ...)
{
	open_fn real = (open_fn)dlsym(RTLD_NEXT, "open64");
	mode_t mode = 0;
	va_list ap;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return opened(path, real(path, flags, mode));
}

int __open64_2(const char *path, int flags)
{
	open_fn real = (open_fn)dlsym(RTLD_NEXT, "open64");

	return opened(path, real(path, flags));
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t pos)
{
	return ((pread_fn)dlsym(RTLD_NEXT, "pread64"))(fd, buf, len,
						      shift(fd, pos));
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t pos)
{
	return ((pwrite_fn)dlsym(RTLD_NEXT, "pwrite64"))(fd, buf, len,
							shift(fd, pos));
}
