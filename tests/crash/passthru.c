/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * passthru.c - a file system with one file, "image", that is another file: what
 * a loop device on it writes and flushes can be recorded (record.so), and so the
 * kernel's own ext4 can be crashed.
 *
 * usage: passthru FILE MOUNTPOINT
 *
 * Knows FUSE; nothing of what is in the file.  No locks: each request is one
 * system call on the one descriptor.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int image = -1;

static int p_getattr(const char *path, struct stat *st,
		     struct fuse_file_info *fi)
{
	(void)fi;
	if (fstat(image, st))
		return -errno;
	if (!strcmp(path, "/"))
		st->st_mode = S_IFDIR | 0755;
	else if (strcmp(path, "/image"))
		return -ENOENT;
	return 0;
}

static int p_open(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	fi->direct_io = 1;
	return 0;
}

static int p_read(const char *path, char *buf, size_t size, off_t off,
		  struct fuse_file_info *fi)
{
	ssize_t n = pread(image, buf, size, off);

	(void)path;
	(void)fi;
	return n < 0 ? -errno : n;
}

static int p_write(const char *path, const char *buf, size_t size, off_t off,
		   struct fuse_file_info *fi)
{
	ssize_t n = pwrite(image, buf, size, off);

	(void)path;
	(void)fi;
	return n < 0 ? -errno : n;
}

static int p_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	(void)path;
	(void)data_only;
	(void)fi;
	return fdatasync(image) ? -errno : 0;
}

static int p_fallocate(const char *path, int mode, off_t off, off_t len,
		       struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	return fallocate(image, mode, off, len) ? -errno : 0;
}

static const struct fuse_operations ops = {
	.getattr = p_getattr, .open = p_open, .read = p_read,
	.write = p_write, .fsync = p_fsync, .fallocate = p_fallocate,
};

int main(int argc, char **argv)
{
	char *args[] = { argv[0], "-f", "-odefault_permissions", argv[2], NULL };

	if (argc != 3)
		return 2;
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	if (image < 0) {
		perror(argv[1]);
		return 1;
	}
	return fuse_main(4, args, &ops, NULL);
}
