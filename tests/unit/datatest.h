/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * datatest.h - what data.c and inline.c share: a private folder with an
 * image, its volume opened without FUSE, files in it by name, and judges
 * that are not ours (e2fsck, debugfs, the kernel).
 */
#ifndef TESTS_UNIT_DATATEST_H
#define TESTS_UNIT_DATATEST_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fs/data.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/namei.h"
#include "io/device.h"
#include "journal/txn.h"
#include "sys/log.h"
#include "tests/tap.h"

#define UNUSED __attribute__((unused))

static char work[256], image[300];
static struct fs *vol;

UNUSED __attribute__((format(printf, 1, 2))) static int run(const char *fmt, ...)
{
	char cmd[2000];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	fflush(stdout);
	r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

UNUSED static void work_begin(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(work, sizeof(work), "%s/fuse2fs-data.XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(work))
		bail("mkdtemp");
	snprintf(image, sizeof(image), "%s/image", work);
	log_init(image, false);
}

UNUSED static void work_end(void)
{
	if (!getenv("KEEP"))
		run("rm -rf '%s'", work);
}

UNUSED static void vol_make(const char *mke2fs, const char *size)
{
	run("rm -f '%s'", image);
	if (run("mke2fs -q -F %s '%s' %s >'%s/mke2fs.log' 2>&1", mke2fs, image,
		size, work))
		bail("mke2fs");
}

UNUSED static void vol_open(void)
{
	struct fs_options opt = { .source = image, .commit_interval = 5 };
	int err = fs_open(&opt, &vol);

	if (err) {
		printf("# fs_open: %s\n", strerror(-err));
		bail("fs_open");
	}
}

UNUSED static int vol_close(void)
{
	int err = fs_close(vol);

	vol = NULL;
	return err;
}

/* Nothing to find for e2fsck?  Says what it found. */
UNUSED static bool vol_clean(void)
{
	int r = run("e2fsck -fn '%s' >'%s/fsck.log' 2>&1", image, work);

	if (r)
		run("sed 's/^/# /' '%s/fsck.log'", work);
	return r == 0;
}

/* The file NAME in the root, made if MAKE; with a reference and a handle. */
UNUSED static struct inode *file_open(const char *name, bool make)
{
	static const struct caller who = { .reserve = true };
	struct inode *root, *inode = NULL;
	int err;

	err = inode_get_unlocked(vol, EXT2_ROOT_INO, &root);
	if (err)
		bail("root inode");
	if (make)
		err = namei_create(root, name, strlen(name), S_IFREG | 0644, 0,
				   NULL, &who, &inode);
	else
		err = namei_lookup(root, name, strlen(name), &inode);
	inode_put_unlocked(root);
	if (err) {
		printf("# %s: %s\n", name, strerror(-err));
		bail("file_open");
	}
	fs_lock(vol);
	inode_open(inode);
	fs_unlock(vol);
	return inode;
}

UNUSED static void file_close(struct inode *inode)
{
	inode_close(inode);
	inode_put_unlocked(inode);
}

UNUSED static int file_remove(const char *name)
{
	struct inode *root;
	int err;

	err = inode_get_unlocked(vol, EXT2_ROOT_INO, &root);
	if (err)
		return err;
	err = namei_unlink(root, name, strlen(name));
	inode_put_unlocked(root);
	return err;
}

/* Is the file in FILE byte by byte what is in MEM? */
UNUSED static bool same_file(const char *file, const uint8_t *mem, uint64_t len)
{
	int fd = open(file, O_RDONLY);
	uint8_t *buf = malloc(len + 1);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, len + 1, 0);
	bool same = n == (ssize_t)len && !memcmp(buf, mem, len);

	if (!same)
		printf("# %s: %zd bytes, want %llu\n", file, n,
		       (unsigned long long)len);
	free(buf);
	if (fd >= 0)
		close(fd);
	return same;
}

/* Does debugfs, which knows nothing of us, see the same contents? */
UNUSED static bool debugfs_same(const char *name, const uint8_t *mem,
				uint64_t len)
{
	char out[400];

	snprintf(out, sizeof(out), "%s/dump", work);
	run("rm -f '%s'; debugfs -R 'dump /%s %s' '%s' >/dev/null 2>&1", out,
	    name, out, image);
	return same_file(out, mem, len);
}

/* And the kernel?  True where there are no loop mounts. */
UNUSED static bool kernel_same(const char *name, const uint8_t *mem,
			       uint64_t len)
{
	char file[400];
	bool same;

	if (getuid() || run("mkdir -p '%s/k' && mount -o loop,ro '%s' "
			    "'%s/k' 2>/dev/null", work, image, work)) {
		printf("# no loop mount: %s not compared\n", name);
		return true;
	}
	snprintf(file, sizeof(file), "%s/k/%s", work, name);
	same = same_file(file, mem, len);
	run("umount '%s/k'", work);
	return same;
}

static uint64_t rnd_state = 88172645463325252ULL;

UNUSED static uint64_t rnd(uint64_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return below ? (rnd_state >> 11) % below : 0;
}

UNUSED static void rnd_fill(uint8_t *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = 1 + rnd(255);
}

#endif
