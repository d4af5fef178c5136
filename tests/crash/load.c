/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.c - a seeded workload that says in the log what it does.
 *
 * usage: load SEED PROFILE STEPS DIR LOG
 *
 * Every operation N has two marks in the log, before and after the call:
 *
 *	S N create ID PATH	S N mkdir ID PATH	S N symlink ID PATH TARGET
 *	S N link OLD NEW	S N rename OLD NEW	S N unlink PATH
 *	S N rmdir PATH		S N chmod PATH MODE	S N xattr PATH NAME LEN
 *	S N rmxattr PATH NAME	S N write ID OFF LEN	S N trunc ID SIZE
 *	S N zero ID OFF LEN	S N falloc ID OFF LEN	S N fsync ID
 *	S N fdatasync ID	S N taint ID
 *	E N RET			(bytes of a write, 0, or -errno)
 *
 * No E: the server died or gave up, and nobody knows.  A file's ID is its owner
 * too, so that it can be told from another one of the same name; N is the
 * generation that a write has in its sectors, and what a value of an xattr is
 * made from.  Paths are below DIR, without blanks; the root's ID is 0.
 *
 * One thread: operations are in the order of their numbers.  With an odd SEED a
 * second process fsyncs the root all the time.  The status is 0, or 3 if it
 * stopped early because the server did.
 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define HELD	8	/* unlinked, and open */

static struct { unsigned id; int fd; long size; } held[HELD];

/* --- what people do --- */

static long blocks(unsigned max)
{
	return (1 + rnd(max)) * 4096L;
}

static long place(struct file *f)
{
	return f ? rnd(f->size / SECTOR + 1) * (long)SECTOR : 0;
}

static void append(struct file *f, long len)
{
	if (f)
		do_write(f, f->size, len);
}

/* Write-temp, fsync, rename. */
static void replace(void)
{
	struct file *old = pick('f'), *f = do_create(pick_dir(), 0);

	if (!f)
		return;
	append(f, blocks(6) - rnd(8) * SECTOR);
	do_fsync(f);
	do_rename(f, 0, old);
	if (f->id && rnd(2))
		do_fsync(f);
}

/* A file of many extents, or with indirect blocks. */
static void fragments(void)
{
	struct file *f = do_create(pick_dir(), 0);
	int i, n = 6 + rnd(8), fd = f ? open_file(f) : -1;

	if (fd < 0)
		return;
	for (i = 0; i < n; i++)
		write_fd(f->id, fd, &f->size, i * 16384L * (1 + rnd(2)), 4096);
	close_file(f, fd);
	if (rnd(2))
		do_fsync(f);
}

static void fill_dir(int dir, int n, unsigned pad)
{
	struct file *f = do_create(dir, pad);
	int i;

	for (i = 1; i < n && f; i++)
		if (rnd(8))
			do_link(f, dir, pad + rnd(20));
		else
			do_symlink(dir, 70 + rnd(200));
}

static void empty_dir(int dir, unsigned percent)
{
	int i;

	for (i = 0; i < FILES; i++)
		if (files[i].id && below(files[i].path, dirs[dir].path) &&
		    rnd(100) < percent)
			do_unlink(&files[i]);
}

/* Directories that split and shrink. */
static void big_dir(void)
{
	int dir = do_mkdir(0);

	if (!dir)
		return;
	fill_dir(dir, 30 + rnd(50), 60 + rnd(40));
	if (rnd(2))
		do_fsync_dir(dir);
	empty_dir(dir, 30 + rnd(71));
	do_rmdir(dir);
}

/*
 * Metadata blocks go to the journal, are freed and become data, which survives:
 * directories, extent and indirect blocks, xattr blocks, long links.
 */
static void reuse(void)
{
	struct file *f, *g;
	int dir = do_mkdir(0), i;

	if (dir) {
		fill_dir(dir, 15 + rnd(30), 90);
		do_fsync_dir(dir);
	}
	fragments();
	f = do_create(0, 0);
	do_xattr(f, 500 + rnd(300));
	do_fsync(f);
	if (dir) {
		empty_dir(dir, 100);
		do_rmdir(dir);
	}
	if (f)
		do_unlink(f);
	g = pick('f');
	if (g && g->size > 16384)
		do_truncate(g, 0);
	if (rnd(2))
		do_fsync_dir(0);
	for (i = 0; i < 3; i++) {
		f = do_create(0, 0);
		append(f, blocks(24));
		if (f)
			do_sync(f->id, f->path, false);
	}
}

static void orphan(void)
{
	struct file *f = rnd(3) ? pick('f') : do_create(pick_dir(), 0);
	int i = rnd(HELD), fd;

	if (held[i].fd) {
		close(held[i].fd);
		held[i].fd = 0;
		return;
	}
	fd = open_file(f);
	if (fd < 0)
		return;
	held[i].fd = fd;
	held[i].id = f->id;
	held[i].size = f->size;
	do_unlink(f);
	write_fd(held[i].id, fd, &held[i].size, 0, blocks(4));
	if (rnd(2)) {
		op_no++;
		mark("S %u fsync %u", op_no, held[i].id);
		if (!ended("fsync", fsync(fd)))
			taint(held[i].id);
	}
}

/* Until nothing is left, and then some room again. */
static void fill_up(void)
{
	struct file *f = do_create(pick_dir(), 0);
	long before;

	if (!f)
		return;
	do {
		before = f->size;
		append(f, 1 << 19);
	} while (f->size > before && f->size < 4 << 20);
	do_fsync(f);
	fill_dir(pick_dir(), 5, 60);
	if (rnd(2))
		do_unlink(f);
	else
		do_truncate(f, rnd(4) * 65536);
}

/* Nearly all that is free, so that what is freed is used again at once. */
static void ballast(long leave)
{
	struct file *f = do_create(0, 0);
	char buf[256];
	long left;
	FILE *p;

	snprintf(buf, sizeof(buf), "stat -f -c '%%a %%S' '%s'", top);
	p = popen(buf, "r");
	if (f && p && fgets(buf, sizeof(buf), p)) {
		left = atol(buf) * atol(strchr(buf, ' '));
		while (left > leave) {
			append(f, left - leave > 1 << 20 ? 1 << 20 :
			       (left - leave) & ~4095L);
			left -= 1 << 20;
		}
		do_fsync(f);
		f->type = 'b';	/* not to be picked */
	}
	if (p)
		pclose(p);
}

/*
 * Somebody who commits all the time, so that operations and commits meet.  It
 * promises nothing.  Its pid.
 */
static pid_t start_committer(void)
{
	pid_t parent = getpid(), pid = fork();
	int fd;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(top, O_RDONLY | O_DIRECTORY);
	while (getppid() == parent && fd >= 0 && !fsync(fd))
		usleep(3000);
	_exit(0);
}

/* --- the steps --- */

enum { CREATE, SYMLINK, MKDIR, LINK, UNLINK, RMDIR, RENAME, RENOVER, RENDIR,
	CHMOD, XATTR, RMXATTR, WRITE, APPEND, TRUNC, PUNCH, FALLOC, FSYNC,
	FSYNCDIR, APPSYNC, REPLACE, FRAGMENTS, BIGDIR, REUSE, ORPHAN, FILLUP,
	KINDS };

static const struct profile {
	const char *name;
	long leave;	/* free space to begin with, 0: all */
	unsigned char weight[KINDS];
} profiles[] = {
	{ "names", 0, { [CREATE] = 12, [SYMLINK] = 4, [MKDIR] = 4, [LINK] = 8,
		[UNLINK] = 10, [RMDIR] = 3, [RENAME] = 8, [RENOVER] = 4,
		[RENDIR] = 3, [CHMOD] = 3, [XATTR] = 8, [RMXATTR] = 3,
		[FSYNC] = 6, [FSYNCDIR] = 4, [APPEND] = 4 } },
	{ "log", 0, { [CREATE] = 1, [APPSYNC] = 20, [UNLINK] = 1,
		[RENAME] = 1, [FSYNCDIR] = 1 } },
	{ "replace", 0, { [CREATE] = 2, [REPLACE] = 10, [UNLINK] = 1 } },
	{ "data", 3 << 20, { [CREATE] = 6, [WRITE] = 12, [APPEND] = 10,
		[TRUNC] = 6, [PUNCH] = 5, [FALLOC] = 3, [FSYNC] = 10,
		[UNLINK] = 4, [FRAGMENTS] = 2 } },
	{ "reuse", 1 << 20, { [REUSE] = 4, [FRAGMENTS] = 1, [UNLINK] = 3,
		[TRUNC] = 1, [FSYNC] = 1 } },
	{ "dirs", 0, { [BIGDIR] = 2, [CREATE] = 4, [MKDIR] = 4, [RMDIR] = 4,
		[RENDIR] = 3, [FSYNCDIR] = 4, [UNLINK] = 4 } },
	{ "orphans", 0, { [CREATE] = 6, [APPEND] = 6, [ORPHAN] = 10,
		[FSYNC] = 3, [FSYNCDIR] = 2, [TRUNC] = 3, [FRAGMENTS] = 1 } },
	{ "full", 1 << 20, { [FILLUP] = 1, [CREATE] = 4, [WRITE] = 4,
		[UNLINK] = 4, [FSYNC] = 2, [MKDIR] = 2, [RENAME] = 2,
		[XATTR] = 3 } },
	{ "mixed", 4 << 20, { [CREATE] = 8, [SYMLINK] = 2, [MKDIR] = 2,
		[LINK] = 3, [UNLINK] = 5, [RMDIR] = 2, [RENAME] = 3,
		[RENOVER] = 2, [RENDIR] = 1, [CHMOD] = 1, [XATTR] = 3,
		[RMXATTR] = 1, [WRITE] = 5, [APPEND] = 6, [TRUNC] = 3,
		[PUNCH] = 2, [FALLOC] = 1, [FSYNC] = 5, [FSYNCDIR] = 2,
		[APPSYNC] = 3, [REPLACE] = 2, [FRAGMENTS] = 1, [BIGDIR] = 1,
		[REUSE] = 1, [ORPHAN] = 2 } },
};

static void step(int kind)
{
	struct file *f = pick('f');

	switch (kind) {
	case CREATE:	do_create(pick_dir(), rnd(30)); break;
	case SYMLINK:	do_symlink(pick_dir(), 1 + rnd(rnd(2) ? 59 : 300)); break;
	case MKDIR:	do_mkdir(pick_dir()); break;
	case LINK:	do_link(f, pick_dir(), rnd(60)); break;
	case UNLINK:	do_unlink(pick(rnd(4) ? "fhl"[rnd(3)] : 'f')); break;
	case RMDIR:	do_rmdir(pick_dir()); break;
	case RENAME:	do_rename(pick(rnd(2) ? 'f' : 'l'), pick_dir(), NULL); break;
	case RENOVER:	do_rename(f, 0, pick('f')); break;
	case RENDIR:	do_rename_dir(pick_dir(), pick_dir()); break;
	case CHMOD:	do_chmod(f); break;
	case XATTR:	do_xattr(f, rnd(2) ? rnd(40) : 100 + rnd(600)); break;
	case RMXATTR:	do_rmxattr(f); break;
	case WRITE:	do_write(f, place(f), SECTOR * (1 + rnd(64))); break;
	case APPEND:	append(f, SECTOR * (1 + rnd(64))); break;
	case TRUNC:	do_truncate(f, rnd(3) ? place(f) : (f ? f->size : 0) + blocks(8)); break;
	case PUNCH:	do_punch(f, place(f), SECTOR * (1 + rnd(100))); break;
	case FALLOC:	do_falloc(f, place(f), blocks(16)); break;
	case FSYNC:	do_fsync(f); break;
	case FSYNCDIR:	do_fsync_dir(pick_dir()); break;
	case APPSYNC:	append(f, SECTOR * (1 + rnd(10))); do_fsync(f); break;
	case REPLACE:	replace(); break;
	case FRAGMENTS:	fragments(); break;
	case BIGDIR:	big_dir(); break;
	case REUSE:	reuse(); break;
	case ORPHAN:	orphan(); break;
	case FILLUP:	fill_up(); break;
	}
}

int main(int argc, char **argv)
{
	const struct profile *p = profiles;
	unsigned sum = 0, i, at, n;
	pid_t committer = 0;

	if (argc != 6)
		return 2;
	for (i = 0; i < sizeof(profiles) / sizeof(*profiles); i++)
		if (!strcmp(profiles[i].name, argv[2]))
			p = &profiles[i];
	if (strcmp(p->name, argv[2]))
		return 2;
	rng = strtoull(argv[1], NULL, 10) * 1000003;
	top = argv[4];
	the_log = log_open(argv[5], 0);
	if (!the_log || chmod(top, 0777)) {
		perror("load");
		return 1;
	}
	for (i = 0; i < KINDS; i++)
		sum += p->weight[i];
	if (p->leave)
		ballast(p->leave);
	for (i = 0; i < 4; i++)
		append(do_create(0, 0), blocks(4));
	if (atoi(argv[1]) % 2)
		committer = start_committer();
	for (n = atoi(argv[3]); n; n--) {
		at = rnd(sum);
		for (i = 0; at >= p->weight[i]; i++)
			at -= p->weight[i];
		step(i);
	}
	if (committer > 0) {
		kill(committer, SIGKILL);
		waitpid(committer, NULL, 0);
	}
	printf("%u operations\n", op_no);
	return 0;
}
