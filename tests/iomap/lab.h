/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab.h - what tests with the model need: images, loop devices, files with a
 * shadow copy, and the judges (e2fsck, debugfs, the kernel's ext4).
 */
#ifndef TESTS_IOMAP_LAB_H
#define TESTS_IOMAP_LAB_H

#include "model.h"

/* TAP. */
__attribute__((format(printf, 2, 3))) bool lab_ok(bool good, const char *fmt, ...);
bool lab_is(long long got, long long want, const char *what);
void lab_bail(const char *why);
int lab_done(void);

/* A file with a shadow of what it must contain. */
struct tfile {
	char name[64];
	struct inode *dir, *inode;
	struct file f;
	bool open;
	uint8_t *data;
	uint64_t size, room;
	/* the blocks that it had at the end */
	struct iom_map *maps;
	unsigned map_count;
};

enum way { BUFFERED, DIRECT, MMAP };

struct lab {
	char image[300], dev[100], dir[300], log[300];
	const char *mount_opts;
	bool loop;			/* a loop device of ours */
	struct model_opt opt;
};

extern struct lab L;

struct lab_test {
	const char *name;
	void (*run)(void);
};

/* main() of a program of N tests: all, or the one that is named. */
int lab_main(const struct lab_test *tests, unsigned n, int argc, char **argv);

/* Needs root and loop devices: else ends with "skipped". */
void lab_need(void);
/* SIZE and the rest as mke2fs takes them.  In the current folder. */
void lab_image(const char *size, const char *mkfs);
/* Starts the server on a loop device of the image (or on the image itself,
 * FILE), and is strict. */
int lab_start(const char *mount_opts, bool file);
/* Both, and iomap has to be on. */
void lab_begin(const char *size, const char *mkfs, const char *mount_opts);
uint64_t lab_free_blocks(void);
/* Unmounts and lets all judges speak. */
void lab_finish(struct tfile **files, unsigned count, const char *what);
/* After model_kill() or a failed start. */
void lab_drop(void);
bool lab_fsck(void);
int lab_system(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct tfile *t_create(const char *name);
/* Any mistake is a violation; returns 0 or -errno of the operation. */
int t_write(struct tfile *t, enum way way, uint64_t pos, size_t len);
int t_read(struct tfile *t, enum way way, uint64_t pos, size_t len);
int t_truncate(struct tfile *t, uint64_t size);
int t_fallocate(struct tfile *t, int mode, uint64_t pos, uint64_t len);
/* All of it, and the size that the server knows. */
int t_check(struct tfile *t);
int t_open(struct tfile *t);
int t_close(struct tfile *t);
/* Out of the kernel's memory, and looked up again. */
int t_again(struct tfile *t);
int t_unlink(struct tfile *t);
void t_free(struct tfile *t);
/* Notes the blocks that the server reports, for lab_finish(), and holds the
 * mapping cache against them.  No other thread is at work. */
void t_note_maps(struct tfile *t);

#endif
