/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orphan_internal.h - what orphan.c and orphan_file.c share.
 */
#ifndef FS_ORPHAN_INTERNAL_H
#define FS_ORPHAN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

struct fs;
struct inode;
struct txn;

/* Saves the orphan fields of INODE (and ->deleted) for an abort.  -ENOMEM. */
int orphan_save(struct txn *t, struct inode *inode);

/*
 * orphan_file.c.  _add: 1 if there is no file or no room.  _del: by
 * inode->orphan_slot.  _next: the number in the first slot in use from *SLOT
 * on, whose slot number is put there; 0 at the end; -errno.  Slots start at
 * 1; 0 means the list.
 */
int orphan_file_add(struct txn *t, struct inode *inode);
int orphan_file_del(struct txn *t, uint32_t slot);
int64_t orphan_file_next(struct fs *fs, uint32_t *slot);

#endif
