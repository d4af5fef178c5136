/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper.h - called by mount(8) as mount.fuse.extN.
 */
#ifndef OPTS_HELPER_H
#define OPTS_HELPER_H

struct fuse_args;

/*
 * Where the program's name is mount.SOMETHING: turns mount(8)'s arguments in
 * ARGS into fuse2fs's own.  -1: go on; else the exit status, after a message
 * or with nothing to do.
 */
int helper_args(struct fuse_args *args);

#endif
