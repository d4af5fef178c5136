/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse2fs.h - one running server: its options, volume and session.
 */
#ifndef FUSE2FS_H
#define FUSE2FS_H

#include <stdint.h>

#include "opts/opts.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "2.0.0"
#endif
#define RELEASE_DATE "20-Nov-2026"

struct fs;
struct fuse;
struct fuse_session;
struct handle;
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
	struct handle *handles;	/* all open ones; volume lock */
	bool premounted;	/* the mount was made by whoever runs us */
	int mount_id;		/* of ours; -1: not known */
	bool writeback;		/* the kernel keeps dirty pages, and times */
	double negative_timeout;	/* seconds, of entries that do not exist */
	void (*on_live)(struct server *srv);	/* INIT has been answered */
	int ready_fd;		/* tells the parent; -1: nobody waits */
	bool live;		/* that was said */
	uint8_t uuid[16];
};

#endif
