/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.h - which mount is at a path.
 */
#ifndef SYS_MOUNT_H
#define SYS_MOUNT_H

/*
 * The id of the mount that PATH is on, or -1.  Asks the file system itself
 * nothing, so that a server may call it for its own mount.
 */
int mount_id(const char *path);

#endif
