/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * path.h - the name cache: (directory, name) to inode number, with negative
 * entries.  Kept true by namei.c, which tells it of every change after the
 * transaction has ended well.  Needs the volume lock.
 */
#ifndef FS_PATH_H
#define FS_PATH_H

#include <stddef.h>
#include <stdint.h>

struct fs;
struct inode;
struct name_cache;

struct name_cache *name_cache_new(struct fs *fs, size_t max_entries);
void name_cache_free(struct name_cache *nc);

/* Inode number of NAME in DIR: from memory, else dir_lookup().  -ENOENT;
 * -ENAMETOOLONG over 255 bytes; -ENOTDIR. */
int name_lookup(struct inode *dir, const char *name, size_t len, uint32_t *ino);

/* INO 0: known not to exist. */
void name_enter(struct fs *fs, uint32_t dir, const char *name, size_t len,
		uint32_t ino);
void name_drop(struct fs *fs, uint32_t dir, const char *name, size_t len);
void name_drop_dir(struct fs *fs, uint32_t dir);	/* DIR was removed */

/* The inode at an absolute path, symlinks not followed; with a reference. */
int path_walk(struct fs *fs, const char *path, struct inode **out);

#endif
