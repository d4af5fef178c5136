/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse2fs.h - one running server: its options, volume and session.
 */
#ifndef FUSE2FS_H
#define FUSE2FS_H

#include <pthread.h>
#include <stdint.h>

#include "opts/opts.h"
#include "sys/loop.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "2.0.0"
#endif
#define RELEASE_DATE "20-Nov-2026"

struct fs;
struct fuse;
struct fuse_session;
struct handle;
struct iomap;
struct nodes;
struct wire;

/* As mount(8) has them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_USAGE = 1,		/* options, or how it was called */
	EXIT_SYSTEM = 2,	/* log file */
	EXIT_MOUNT = 32,	/* the volume or the mount */
};

struct server {
	struct options opt;
	struct fs *fs;
	struct fuse *fuse;
	struct fuse_session *se;
	struct nodes *nodes;
	struct wire *wire;
	struct iomap *iomap;	/* NULL: there can be none */
	int iomap_support;	/* iomap_dev_support() before the mount */
	struct handle *handles;	/* all open ones; volume lock */
	unsigned open_files;	/* of them the kernel's own; atomic */
	bool premounted;	/* the mount was made by whoever runs us */
	int mount_id;		/* of ours; -1: not known */
	bool writeback;		/* the kernel keeps dirty pages, and times */
	double negative_timeout;	/* seconds, of entries that do not exist */
	void (*on_live)(struct server *srv);	/* INIT has been answered */
	int ready_fd;		/* tells the parent; -1: nobody waits */
	bool live;		/* that was said */
	bool no_iomap;		/* the end, as it was asked for */
	char *mountpoint;	/* absolute, or /dev/fd/N */
	pthread_t unmounter;
	bool unmounting;	/* it runs */
	bool unmounted;		/* and is done; atomic */
	struct loop loop;	/* in front of the image */
	uint8_t uuid[16];
};

/* ---- serve.c ---- */

/* lazytime or strictatime is asked for. */
bool wants_times(const struct options *o);
/* Says that iomap was asked for, and there is none. */
void refuse_iomap(const struct options *o);
/*
 * Forks.  The child goes on, with srv->ready_fd set; the parent waits for a
 * byte from it and ends with 0, or with the child's exit code.  -errno.
 */
int go_background(struct server *srv);
/* A line as the kernel says it, with -o kernel. */
void log_mount(const struct server *srv, const char *what);
/* The mount can be used: lets the parent go, and its terminal. */
void on_live(struct server *srv);
/* The whole life of the mounted session.  -errno if that did not begin. */
int serve(struct server *srv);

#endif
