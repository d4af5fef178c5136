/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * operations.c - the workload's operations, see load.h; the marks are load.c's.
 *
 * One thread.
 */
#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/xattr.h>
#include <linux/falloc.h>

struct file files[FILES];
struct dir dirs[DIRS];
struct log_head *the_log;
unsigned op_no;
uint64_t rng;
const char *top;
static unsigned next_id = 1;

unsigned rnd(unsigned n)
{
	rng += 0x9e3779b97f4a7c15ULL;
	return n ? pattern_mix(rng) % n : 0;
}

static void stop(const char *what)
{
	printf("stopped at operation %u: %s: %s\n", op_no, what,
	       strerror(errno));
	exit(3);
}

void mark(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (!log_add(the_log, LOG_MARK, 0, 0, n + 1, line)) {
		fprintf(stderr, "the log is full\n");
		exit(1);
	}
}

bool ended(const char *what, long ret)
{
	int err = ret < 0 ? errno : 0;

	switch (err) {
	case ENOTCONN: case ECONNABORTED: case ENODEV: case EIO: case EROFS:
	case ESHUTDOWN: case EUCLEAN:
		stop(what);
	}
	mark("E %u %ld", op_no, ret < 0 ? -(long)err : ret);
	return ret >= 0;
}

static const char *full(const char *path)
{
	static char buf[4][512];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(buf[turn], sizeof(buf[turn]), "%s/%s", top, path);
	return buf[turn];
}

static struct file *free_slot(void)
{
	int i;

	for (i = 0; i < FILES; i++)
		if (!files[i].id)
			return &files[i];
	return NULL;
}

struct file *pick(char type)
{
	int i, at = rnd(FILES);

	for (i = 0; i < FILES; i++, at = (at + 1) % FILES)
		if (files[at].id && (!type || files[at].type == type))
			return &files[at];
	return NULL;
}

int pick_dir(void)
{
	int at;

	do {
		at = rnd(DIRS);
	} while (at && !dirs[at].id);
	return at;
}

static void new_name(char *out, int dir, unsigned pad)
{
	static const char x[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst"
		"uvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";

	if (pad > 100)
		pad = 100;
	snprintf(out, NAME, "%s%sn%u%.*s", dirs[dir].path, dir ? "/" : "",
		 op_no, (int)pad, x);
}

static struct file *add_file(const char *path, unsigned id, char type)
{
	struct file *f = free_slot();

	if (!f)
		return NULL;
	*f = (struct file){ .id = id, .type = type };
	snprintf(f->path, NAME, "%s", path);
	return f;
}

/* --- names --- */

struct file *do_create(int dir, unsigned pad)
{
	char path[NAME];
	unsigned id = next_id;
	int fd;

	if (!free_slot())
		return NULL;
	op_no++;
	new_name(path, dir, pad);
	mark("S %u create %u %s", op_no, id, path);
	setfsuid(id);
	fd = open(full(path), O_CREAT | O_EXCL | O_RDWR, 0644);
	setfsuid(0);
	if (!ended("create", fd < 0 ? -1 : 0))
		return NULL;
	next_id++;
	close(fd);
	return add_file(path, id, 'f');
}

struct file *do_symlink(int dir, unsigned len)
{
	char path[NAME], target[400];
	unsigned id = next_id;
	int err;

	if (!free_slot())
		return NULL;
	if (len > sizeof(target) - 1)
		len = sizeof(target) - 1;
	memset(target, 'a' + rnd(26), len);
	target[len] = 0;
	op_no++;
	new_name(path, dir, rnd(20));
	mark("S %u symlink %u %s %s", op_no, id, path, target);
	setfsuid(id);
	err = symlink(target, full(path));
	setfsuid(0);
	if (!ended("symlink", err))
		return NULL;
	next_id++;
	return add_file(path, id, 'l');
}

int do_mkdir(int parent)
{
	unsigned id = next_id;
	char path[NAME];
	int at, err;

	for (at = 1; at < DIRS && dirs[at].id; at++)
		;
	if (at == DIRS || strlen(dirs[parent].path) > NAME / 4)
		return 0;
	op_no++;
	new_name(path, parent, 0);
	mark("S %u mkdir %u %s", op_no, id, path);
	umask(0);
	setfsuid(id);
	err = mkdir(full(path), 0777);
	setfsuid(0);
	umask(022);
	if (!ended("mkdir", err))
		return 0;
	next_id++;
	dirs[at].id = id;
	snprintf(dirs[at].path, NAME, "%s", path);
	return at;
}

struct file *do_link(struct file *f, int dir, unsigned pad)
{
	char path[NAME];

	if (!f || !free_slot())
		return NULL;
	op_no++;
	new_name(path, dir, pad);
	mark("S %u link %s %s", op_no, f->path, path);
	if (!ended("link", link(full(f->path), full(path))))
		return NULL;
	return add_file(path, f->id, 'h');
}

void do_unlink(struct file *f)
{
	if (!f)
		return;
	op_no++;
	mark("S %u unlink %s", op_no, f->path);
	if (ended("unlink", unlink(full(f->path))))
		f->id = 0;
}

bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && path[n] == '/';
}

static bool is_empty(int dir)
{
	int i;

	for (i = 0; i < FILES; i++)
		if (files[i].id && below(files[i].path, dirs[dir].path))
			return false;
	for (i = 1; i < DIRS; i++)
		if (dirs[i].id && below(dirs[i].path, dirs[dir].path))
			return false;
	return true;
}

void do_rmdir(int dir)
{
	if (!dir || !is_empty(dir))
		return;
	op_no++;
	mark("S %u rmdir %s", op_no, dirs[dir].path);
	if (ended("rmdir", rmdir(full(dirs[dir].path))))
		dirs[dir].id = 0;
}

void do_rename(struct file *f, int dir, struct file *over)
{
	char path[NAME];

	if (!f || f == over || (over && over->id == f->id))
		return;
	op_no++;
	new_name(path, dir, rnd(40));
	if (over)
		memcpy(path, over->path, NAME);
	mark("S %u rename %s %s", op_no, f->path, path);
	if (!ended("rename", rename(full(f->path), full(path))))
		return;
	if (over)
		over->id = 0;
	memcpy(f->path, path, NAME);
}

static void moved(char *path, const char *old, const char *new)
{
	char buf[2 * NAME];

	if (!below(path, old))
		return;
	snprintf(buf, sizeof(buf), "%s%s", new, path + strlen(old));
	snprintf(path, NAME, "%.*s", NAME - 1, buf);
}

void do_rename_dir(int dir, int to)
{
	char path[NAME], old[NAME];
	int i;

	if (!dir || dir == to || below(dirs[to].path, dirs[dir].path) ||
	    strlen(dirs[to].path) > 40)
		return;
	for (i = 1; i < DIRS; i++)	/* not too deep */
		if (dirs[i].id && below(dirs[i].path, dirs[dir].path))
			return;
	op_no++;
	new_name(path, to, 0);
	memcpy(old, dirs[dir].path, NAME);
	mark("S %u rename %s %s", op_no, old, path);
	if (!ended("rename", rename(full(old), full(path))))
		return;
	memcpy(dirs[dir].path, path, NAME);
	for (i = 0; i < FILES; i++)
		if (files[i].id)
			moved(files[i].path, old, path);
}

void do_chmod(struct file *f)
{
	unsigned mode = 0600 | rnd(0100);

	if (!f || f->type == 'l')
		return;
	op_no++;
	mark("S %u chmod %s %u", op_no, f->path, mode);
	ended("chmod", chmod(full(f->path), mode));
}

void do_xattr(struct file *f, unsigned len)
{
	unsigned char value[4096];
	unsigned i, nr = rnd(4);
	char name[16];

	if (!f || f->type == 'l')
		return;
	if (len > sizeof(value))
		len = sizeof(value);
	op_no++;
	snprintf(name, sizeof(name), "user.x%u", nr);
	for (i = 0; i < len; i++)
		value[i] = pattern_mix(op_no * 4096ULL + i);
	mark("S %u xattr %s %s %u", op_no, f->path, name, len);
	ended("setxattr", setxattr(full(f->path), name, value, len, 0));
}

void do_rmxattr(struct file *f)
{
	char name[16];

	if (!f || f->type == 'l')
		return;
	op_no++;
	snprintf(name, sizeof(name), "user.x%u", rnd(4));
	mark("S %u rmxattr %s %s", op_no, f->path, name);
	ended("removexattr", removexattr(full(f->path), name));
}

/* --- contents --- */

void taint(unsigned id)
{
	op_no++;
	mark("S %u taint %u", op_no, id);
	mark("E %u 0", op_no);
}

void write_fd(unsigned id, int fd, long *size, long off, long len)
{
	static char buf[1 << 20];
	long i, ret;

	if (len > (long)sizeof(buf))
		len = sizeof(buf);
	op_no++;
	for (i = 0; i < len; i += SECTOR)
		pattern_fill(buf + i, id, (off + i) / SECTOR, op_no);
	mark("S %u write %u %ld %ld", op_no, id, off, len);
	ret = pwrite(fd, buf, len, off);
	if (!ended("write", ret))
		ret = 0;
	if (ret > 0 && off + ret > *size)
		*size = off + ret;
	if (ret % SECTOR)
		taint(id);
}

int open_file(struct file *f)
{
	int fd;

	if (!f || f->type != 'f')
		return -1;
	fd = open(full(f->path), O_RDWR);
	if (fd < 0 && errno != ENOSPC)
		stop("open");
	return fd;
}

void close_file(struct file *f, int fd)
{
	if (!close(fd))
		return;
	if (errno == EIO || errno == ENOTCONN)
		stop("close");
	taint(f->id);
}

void do_write(struct file *f, long off, long len)
{
	int fd = open_file(f);

	if (fd < 0)
		return;
	write_fd(f->id, fd, &f->size, off, len);
	close_file(f, fd);
}

void do_sync(unsigned id, const char *path, bool data_only)
{
	int fd, ret;

	fd = open(full(path), O_RDONLY);
	if (fd < 0)
		stop("open");
	op_no++;
	mark("S %u %s %u", op_no, data_only ? "fdatasync" : "fsync", id);
	ret = data_only ? fdatasync(fd) : fsync(fd);
	if (!ended("fsync", ret))
		taint(id);
	close(fd);
}

void do_fsync(struct file *f)
{
	if (f && f->type != 'l')
		do_sync(f->id, f->path, f->type == 'f' && !rnd(4));
}

void do_fsync_dir(int dir)
{
	do_sync(dirs[dir].id, dirs[dir].path, false);
}

void do_truncate(struct file *f, long size)
{
	int fd = open_file(f);

	if (fd < 0)
		return;
	op_no++;
	mark("S %u trunc %u %ld", op_no, f->id, size);
	if (ended("ftruncate", ftruncate(fd, size)))
		f->size = size;
	else
		taint(f->id);
	close_file(f, fd);
}

void do_punch(struct file *f, long off, long len)
{
	int fd = open_file(f);

	if (fd < 0)
		return;
	op_no++;
	mark("S %u zero %u %ld %ld", op_no, f->id, off, len);
	if (!ended("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				      FALLOC_FL_KEEP_SIZE, off, len)) &&
	    errno != EOPNOTSUPP)
		taint(f->id);
	close_file(f, fd);
}

void do_falloc(struct file *f, long off, long len)
{
	int fd = open_file(f);

	if (fd < 0)
		return;
	op_no++;
	mark("S %u falloc %u %ld %ld", op_no, f->id, off, len);
	if (ended("fallocate", fallocate(fd, 0, off, len))) {
		if (off + len > f->size)
			f->size = off + len;
	} else if (errno != EOPNOTSUPP) {
		taint(f->id);
	}
	close_file(f, fd);
}
