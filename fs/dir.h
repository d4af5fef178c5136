/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dir.h - directories: linear, hashed (htree.c) and inline.
 *
 * All of the knowledge of the directory layout is in the files that
 * dir_internal.h lists.  Names are LEN bytes, not terminated, 1..255.  All
 * need the volume lock.  The name cache is not touched here: path.c and
 * namei.c do.
 */
#ifndef FS_DIR_H
#define FS_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inode;
struct txn;

/* -ENOENT, -EFSCORRUPTED, -EIO.  TYPE (EXT2_FT_*, may be NULL). */
int dir_lookup(struct inode *dir, const char *name, size_t len,
	       uint32_t *ino, uint8_t *type);

/*
 * Adds an entry; MODE is the target's.  The caller knows that the name is
 * not there.  -EFSCORRUPTED if the index is damaged (lookups fall back to a
 * scan then), -ENOKEY in encrypted directories.  Grows the directory: a dir_index directory that outgrows its
 * first block becomes hashed; hashed ones split and grow levels.  -ENOSPC,
 * -EFBIG...  Sets i_size and i_blocks, not the times.
 */
int dir_add(struct txn *t, struct inode *dir, const char *name, size_t len,
	    uint32_t ino, uint16_t mode);
/* -ENOENT if it is not there. */
int dir_remove(struct txn *t, struct inode *dir, const char *name, size_t len);
/* Points an existing entry at another inode (rename over, exchange). */
int dir_set(struct txn *t, struct inode *dir, const char *name, size_t len,
	    uint32_t ino, uint16_t mode);

/* Contents of a new directory: "." and "..".  DIR is new and dirty in T. */
int dir_init(struct txn *t, struct inode *dir, uint32_t parent);
/* 1: only "." and ".."; 0: more; -errno. */
int dir_is_empty(struct inode *dir);
int dir_get_parent(struct inode *dir, uint32_t *parent);
int dir_set_parent(struct txn *t, struct inode *dir, uint32_t parent);

/*
 * Lists entries from COOKIE on (0: start), "." and ".." included.  Cookies
 * stay valid while entries come and go: hash order for directories with
 * dir_index that are hashed or one block long, byte positions for others;
 * always positive as int64_t.  NEXT is the cookie after this entry.  EMIT
 * returns non-zero to stop (that entry is then not consumed); dir_iterate()
 * returns that value, 0 at the end, or -errno.  Damaged blocks and entries
 * are reported and passed over; if nothing stops the listing before its end,
 * the error is returned after all others have been emitted.
 */
typedef int (*dir_emit_fn)(void *ctx, const char *name, size_t len,
			   uint32_t ino, uint8_t type, uint64_t next);
int dir_iterate(struct inode *dir, uint64_t cookie, dir_emit_fn emit, void *ctx);

/* Turns EXT2_FT_* and mode into each other. */
uint8_t dir_type_of_mode(uint16_t mode);

#endif
