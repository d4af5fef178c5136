/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faultload.h - a workload in this process and what should be there after it:
 * what faults.c and iofault.c share.  Random by random_state: files that are
 * made, written, truncated, punched, moved and removed, and syncs; cur[] is
 * what there is, durable[] what there was at the last good sync.
 */
#ifndef TESTS_UNIT_FAULTLOAD_H
#define TESTS_UNIT_FAULTLOAD_H

#include <linux/falloc.h>
#include <sys/syscall.h>

#include "casetest.h"
#include "fs/attr.h"
#include "fs/data.h"
#include "fs/dir.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/namei.h"
#include "fs/path.h"
#include "fs/xattr.h"
#include "journal/txn.h"

#define FILES		14
#define FILE_MAX	(48 * 1024)

static bool verbose;

struct file {
	bool exists;
	char name[8], dir[4];		/* dir: "" or a name */
	unsigned size;
	char value[300];		/* of user.v; "": none */
	uint8_t data[FILE_MAX];
};

static struct file cur[FILES], durable[FILES];
static bool changed[FILES];		/* since the last sync */
static bool unknown[FILES];		/* an operation on it failed halfway */

static struct fs *vol;
static struct caller who = { .reserve = true, .umask = 022 };
static uint64_t random_state;

#define need(cond) do { \
	if (!(cond)) { \
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
		exit(3); \
	} \
} while (0)

static unsigned rnd(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % n;
}

/* Is RET an error that the fault of this moment may cause?  By the test. */
static bool may_fail(int64_t ret);

/* Returns whether it went well. */
static bool well(int64_t ret, const char *what)
{
	if (verbose)
		fprintf(stderr, "[%s: %lld]\n", what, (long long)ret);
	if (ret >= 0)
		return true;
	if (!may_fail(ret)) {
		fprintf(stderr, "%s: %s\n", what, strerror(-ret));
		exit(3);
	}
	return false;
}

static struct inode *get_dir(const char *name)
{
	struct inode *inode = NULL;
	char path[16];
	int err;

	snprintf(path, sizeof(path), "/%s", name);
	fs_lock(vol);
	err = path_walk(vol, path, &inode);
	fs_unlock(vol);
	return well(err, "directory") ? inode : NULL;
}

static struct inode *get_file(const struct file *f)
{
	struct inode *dir = get_dir(f->dir), *inode = NULL;
	int err;

	if (!dir)
		return NULL;
	err = namei_lookup(dir, f->name, strlen(f->name), &inode);
	inode_put_unlocked(dir);
	return well(err, "lookup") ? inode : NULL;
}

static void put(struct inode *inode)
{
	if (inode)
		inode_put_unlocked(inode);
}

static void do_create(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *dir, *inode = NULL;
	int err;

	snprintf(f->dir, sizeof(f->dir), "%s", i % 3 ? i % 3 == 1 ? "d1" : "d2" : "");
	snprintf(f->name, sizeof(f->name), "f%u", i);
	dir = get_dir(f->dir);
	if (!dir)
		return;
	err = namei_create(dir, f->name, strlen(f->name), S_IFREG | 0644, 0,
			   NULL, &who, &inode);
	put(dir);
	put(inode);
	changed[i] = true;
	if (!well(err, "create"))
		return;
	f->exists = true;
	f->size = 0;
	f->value[0] = 0;
	memset(f->data, 0, FILE_MAX);
}

static void do_write(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	unsigned off = rnd(f->size + 3000), len = 1 + rnd(9000), k;
	unsigned char seed = rnd(256);
	ssize_t ret;

	if (!inode)
		return;
	if (off > FILE_MAX - 9001)
		off = rnd(1000);
	for (k = 0; k < len; k++)
		f->data[off + k] = seed + k / 3;
	changed[i] = true;
	ret = data_write(inode, f->data + off, len, off, DATA_RESERVE);
	put(inode);
	if (!well(ret, "write") || ret != (ssize_t)len)
		unknown[i] = true;
	if (off + len > f->size)
		f->size = off + len;
}

static void do_truncate(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	unsigned size = rnd(f->size + 2000);

	if (!inode)
		return;
	if (size > FILE_MAX)
		size = 10;
	changed[i] = true;
	if (!well(data_truncate(inode, size, DATA_RESERVE), "truncate"))
		unknown[i] = true;
	put(inode);
	if (size < f->size)
		memset(f->data + size, 0, FILE_MAX - size);
	f->size = size;
}

static void do_punch(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	unsigned off = rnd(f->size + 1), len = 1 + rnd(8000);
	int err;

	if (!inode)
		return;
	changed[i] = true;
	err = data_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     off, len, DATA_RESERVE);
	put(inode);
	if (!well(err, "punch"))
		unknown[i] = true;
	if (off < f->size)
		memset(f->data + off, 0,
		       len < f->size - off ? len : f->size - off);
}

static void do_unlink(unsigned i, bool open)
{
	struct file *f = &cur[i];
	struct inode *dir, *inode = open ? get_file(f) : NULL;
	int err;

	dir = get_dir(f->dir);
	if (!dir || (open && !inode))
		goto out;
	if (open) {
		fs_lock(vol);
		inode_open(inode);
		fs_unlock(vol);
	}
	changed[i] = true;
	err = namei_unlink(dir, f->name, strlen(f->name));
	if (well(err, "unlink"))
		f->exists = false;
	if (open)
		well(inode_close(inode), "close");
out:
	put(dir);
	put(inode);
}

static void do_rename(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *from, *to;
	char dir[4], name[8];
	int err;

	snprintf(dir, sizeof(dir), "%s", rnd(2) ? "d1" : "d2");
	snprintf(name, sizeof(name), "g%u", i + 100 * rnd(5));
	from = get_dir(f->dir);
	to = get_dir(dir);
	if (!from || !to)
		goto out;
	changed[i] = true;
	err = namei_rename(from, f->name, strlen(f->name), to, name,
			   strlen(name), 0, &who);
	if (!well(err, "rename"))
		goto out;
	memcpy(f->dir, dir, sizeof(dir));
	memcpy(f->name, name, sizeof(name));
out:
	put(from);
	put(to);
}

static void do_xattr(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	char value[300] = "";
	unsigned len = 1 + rnd(280);

	if (!inode)
		return;
	memset(value, 'a' + rnd(26), len);
	changed[i] = true;
	if (well(xattr_set(inode, "user.v", value, len, 0), "setxattr"))
		memcpy(f->value, value, sizeof(value));
	put(inode);
}

/* Exactly as it should be, or it cannot be read. */
static void check_file(const struct file *f)
{
	static uint8_t buf[FILE_MAX];
	struct inode *inode = NULL, *dir = get_dir(f->dir);
	char value[300] = "";
	ssize_t ret;
	int err;

	if (!dir)
		return;
	err = namei_lookup(dir, f->name, strlen(f->name), &inode);
	put(dir);
	if (!f->exists) {
		need(err == -ENOENT || !well(err, "lookup"));
		return;
	}
	if (!well(err, f->name))
		return;
	need(inode->i.size == f->size);
	ret = data_read(inode, buf, sizeof(buf), 0);
	if (well(ret, "read")) {
		need(ret == f->size);
		need(!memcmp(buf, f->data, f->size));
	}
	ret = xattr_get(inode, "user.v", value, sizeof(value));
	if (ret == -ENODATA)
		need(!f->value[0]);
	else if (well(ret, "getxattr"))
		need(!strcmp(value, f->value));
	put(inode);
}

static void do_sync(void)
{
	if (!well(txn_sync(vol, 0), "sync"))
		return;
	memcpy(durable, cur, sizeof(cur));
	memset(changed, 0, sizeof(changed));
}

/* A directory that comes and goes. */
static void do_dir(void)
{
	struct inode *root = get_dir(""), *inode = NULL;
	int err;

	if (!root)
		return;
	err = namei_rmdir(root, "t", 1);
	if (err == -ENOENT) {
		err = namei_create(root, "t", 1, S_IFDIR | 0755, 0, NULL, &who,
				   &inode);
		put(inode);
	}
	well(err, "mkdir or rmdir");
	put(root);
}

static void do_symlink(void)
{
	struct inode *root = get_dir("d1"), *inode = NULL;
	char target[200];
	int err;

	if (!root)
		return;
	memset(target, 's', sizeof(target));
	target[rnd(2) ? 20 : 150] = 0;
	err = namei_unlink(root, "s", 1);
	if (err == -ENOENT) {
		err = namei_create(root, "s", 1, S_IFLNK | 0777, 0, target,
				   &who, &inode);
		put(inode);
	}
	well(err, "symlink or unlink");
	put(root);
}

static void step(void)
{
	unsigned i = rnd(FILES), what = rnd(16);

	if (what < 2)
		do_sync();
	else if (what == 2)
		do_dir();
	else if (what == 3)
		do_symlink();
	else if (unknown[i])
		return;
	else if (!cur[i].exists)
		do_create(i);
	else if (what < 8)
		do_write(i);
	else if (what == 8)
		do_truncate(i);
	else if (what == 9)
		do_punch(i);
	else if (what < 12)
		do_unlink(i, what & 1);
	else if (what == 12)
		do_rename(i);
	else if (what == 13)
		do_xattr(i);
	else
		check_file(&cur[i]);
}

static int open_image(int fd, bool errors_ro)
{
	struct fs_options o = {
		.cache_size = 24 * 1024,
		.errors = errors_ro ? FS_ERRORS_RO : FS_ERRORS_CONTINUE,
	};
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o.source = path;
	return fs_open(&o, &vol);
}

static int copy_image(int fd, size_t size)
{
	uint8_t *data = malloc(size);
	int copy;

	need(data && syscall(SYS_pread64, fd, data, size, 0) == (long)size);
	copy = memory_file(data, size);
	free(data);
	return copy;
}

static void make_dir(const char *name)
{
	struct inode *root = get_dir(""), *inode = NULL;

	well(namei_create(root, name, strlen(name), S_IFDIR | 0755, 0, NULL,
			  &who, &inode), "mkdir");
	put(inode);
	put(root);
}

/* The state after the first part: what prepare() did on the image. */
static void first_part(void)
{
	unsigned i;

	random_state = 12345;
	for (i = 0; i < 120; i++)
		step();
	do_sync();
}

#endif
