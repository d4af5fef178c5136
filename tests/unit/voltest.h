/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * voltest.h - images for the tests of the volume itself: made by mke2fs, in
 * a private folder, judged by e2fsck and debugfs.
 */
#ifndef TESTS_VOLTEST_H
#define TESTS_VOLTEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tap.h"
#include "fs/alloc.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "journal/txn.h"
#include "sys/log.h"

static char vol_dir[256], vol_img[300];

__attribute__((unused)) static void vol_cleanup(void)
{
	char cmd[400];

	if (!vol_dir[0])
		return;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", vol_dir);
	if (system(cmd))
		perror("rm");
}

__attribute__((unused)) static void vol_init(const char *name)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(vol_dir, sizeof(vol_dir), "%s/%s.XXXXXX", tmp ? tmp : "/tmp",
		 name);
	if (!mkdtemp(vol_dir))
		bail("mkdtemp");
	snprintf(vol_img, sizeof(vol_img), "%s/img", vol_dir);
	atexit(vol_cleanup);
	log_init(vol_img, getenv("VOL_DEBUG") != NULL);
}

/* Runs a command, $IMG being the image; its exit status. */
__attribute__((format(printf, 1, 2), unused))
static int sh(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;
	int n, ret;

	n = snprintf(cmd, sizeof(cmd),
		     "exec 9>&1; PATH=$PATH:/sbin:/usr/sbin; IMG='%s'; ",
		     vol_img);
	va_start(ap, fmt);
	vsnprintf(cmd + n, sizeof(cmd) - n, fmt, ap);
	va_end(ap);
	fflush(stdout);
	ret = system(cmd);
	return WIFEXITED(ret) ? WEXITSTATUS(ret) : -1;
}

/* What a command prints, without the last newline. */
__attribute__((format(printf, 1, 2), unused))
static const char *shout(const char *fmt, ...)
{
	static char out[65536];
	char cmd[4096];
	va_list ap;
	size_t n;
	FILE *f;

	n = snprintf(cmd, sizeof(cmd),
		     "PATH=$PATH:/sbin:/usr/sbin; IMG='%s'; ", vol_img);
	va_start(ap, fmt);
	vsnprintf(cmd + n, sizeof(cmd) - n, fmt, ap);
	va_end(ap);
	f = popen(cmd, "r");
	if (!f)
		bail("popen");
	n = fread(out, 1, sizeof(out) - 1, f);
	pclose(f);
	while (n && out[n - 1] == '\n')
		n--;
	out[n] = 0;
	return out;
}

__attribute__((unused)) static void vol_make(const char *opts, const char *size)
{
	if (sh("rm -f $IMG; mke2fs -q -F %s $IMG %s >$IMG.log 2>&1", opts,
	       size)) {
		sh("cat $IMG.log");
		bail("mke2fs");
	}
}

__attribute__((unused)) static bool vol_clean(void)
{
	if (!sh("e2fsck -fn $IMG >$IMG.fsck 2>&1"))
		return true;
	sh("sed 's/^/# /' $IMG.fsck");
	return false;
}

__attribute__((unused)) static int vol_open(struct fs **fs)
{
	struct fs_options opt = { .source = vol_img };

	return fs_open(&opt, fs);
}

__attribute__((unused)) static struct fs *vol_must_open(void)
{
	struct fs *fs;

	if (vol_open(&fs))
		bail("fs_open");
	return fs;
}

__attribute__((unused)) static uint64_t vol_free_blocks(struct fs *fs)
{
	struct ext2_super_block *sb = fs_super(fs);
	uint64_t n = le32toh(sb->s_free_blocks_count);

	if (ext2fs_has_feature_64bit(fs->e2->super))
		n |= (uint64_t)le32toh(sb->s_free_blocks_hi) << 32;
	return n;
}

#endif
