/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inode_disk.h - an inode between disk and memory.  For inode.c, and fcreplay.c.
 */
#ifndef FS_INODE_DISK_H
#define FS_INODE_DISK_H

#include "fs/inode.h"

/*
 * Fills inode->i from inode->body after checking it.  -EFSCORRUPTED or
 * -EFSBADCRC (reported), -ESTALE if nothing was ever stored there.
 */
int inode_decode(struct inode *inode);
/* The same without looking at the checksum. */
int inode_decode_body(struct inode *inode);
/* The other way, with the checksum. */
void inode_encode(struct inode *inode);

#endif
