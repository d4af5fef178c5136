/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.h - the workload's operations: each is one call, said in the log.
 *
 * The names in files[] and dirs[] are those that there are.  An operation that
 * cannot be, because its file is NULL for example, is not done.  A server that has
 * gone ends the process.
 */
#ifndef TESTS_CRASH_LOAD_H
#define TESTS_CRASH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"
#include "pattern.h"

#define FILES	700
#define DIRS	24
#define NAME	200

struct file {
	unsigned id;		/* 0: free */
	char path[NAME];
	long size;
	char type;		/* f, l (symbolic link), h (another's name) */
};

struct dir {
	unsigned id;		/* 0: free; dirs[0] is the root */
	char path[NAME];
};

extern struct file files[FILES];
extern struct dir dirs[DIRS];
extern struct log_head *the_log;
extern unsigned op_no;		/* of the operation that began last */
extern uint64_t rng;
extern const char *top;		/* the folder of it all */

/* A number below N. */
unsigned rnd(unsigned n);
__attribute__((format(printf, 1, 2))) void mark(const char *fmt, ...);
/* The end of an operation; true if it was done. */
bool ended(const char *what, long ret);
/* What the file holds now is anybody's guess. */
void taint(unsigned id);

struct file *pick(char type);	/* 0: any */
int pick_dir(void);
/* Is PATH below the folder DIR? */
bool below(const char *path, const char *dir);

/* PAD makes names longer. */
struct file *do_create(int dir, unsigned pad);
struct file *do_symlink(int dir, unsigned len);
int do_mkdir(int parent);	/* its index, 0: none */
struct file *do_link(struct file *f, int dir, unsigned pad);
void do_unlink(struct file *f);
void do_rmdir(int dir);
void do_rename(struct file *f, int dir, struct file *over);
void do_rename_dir(int dir, int to);
void do_chmod(struct file *f);
void do_xattr(struct file *f, unsigned len);
void do_rmxattr(struct file *f);

/* Opened for reading and writing, or -1. */
int open_file(struct file *f);
void close_file(struct file *f, int fd);
void write_fd(unsigned id, int fd, long *size, long off, long len);
void do_write(struct file *f, long off, long len);
void do_sync(unsigned id, const char *path, bool data_only);
void do_fsync(struct file *f);
void do_fsync_dir(int dir);
void do_truncate(struct file *f, long size);
void do_punch(struct file *f, long off, long len);
void do_falloc(struct file *f, long off, long len);

#endif
