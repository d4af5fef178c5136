/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.h - which mount is at a path, and how it keeps times.
 */
#ifndef SYS_MOUNT_H
#define SYS_MOUNT_H

#include <stdbool.h>

/*
 * The id of the mount that PATH is on, or -1.  Asks the file system itself
 * nothing, so that a server may call it for its own mount.
 */
int mount_id(const char *path);

/*
 * Is PATH, going by its name, on the file system that FD's file is on?  Asks
 * none of them, so that one which does not answer cannot keep us.
 */
bool mount_same(int fd, const char *path);

/*
 * Has the mount at PATH keep times so, and its other options; DIRSYNC as it
 * was given, which nobody can ask for.  The file system must be answering.
 * 0 or -errno.
 */
int mount_set_times(const char *path, bool lazytime, bool strictatime,
		    bool dirsync);

#endif
