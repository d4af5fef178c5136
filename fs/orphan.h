/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orphan.h - inodes to be finished after a crash: the list through
 * s_last_orphan and i_dtime, or the orphan file; and their deletion.
 */
#ifndef FS_ORPHAN_H
#define FS_ORPHAN_H

#include <stdbool.h>
#include <stdint.h>

struct ext2_super_block;
struct fs;
struct inode;
struct txn;

/* Put on, taken off.  Volume lock, inside T.  Idempotent. */
int orphan_add(struct txn *t, struct inode *inode);
int orphan_del(struct txn *t, struct inode *inode);

/*
 * Deletes an inode with links 0 and opens 0: blocks, xattrs, number.  One
 * transaction if it is small (inode_delete_fits()), else pieces covered by
 * the orphan list.
 *
 * inode_delete() works inside T with the volume lock, for small ones;
 * inode_reap() begins transactions itself and is called without the lock
 * (the inode is on the orphan list and has a reference).
 */
bool inode_delete_fits(const struct inode *inode);
int inode_delete(struct txn *t, struct inode *inode);
int inode_reap(struct inode *inode);

/* At mount: truncates or deletes everything on the list and in the file. */
int orphan_recover(struct fs *fs);

/*
 * open.c's and super.c's.  _open reads the orphan file, if there is one (volume lock).
 * _finish deletes what is still on the list at unmount, open or not (no
 * lock).  _clear_present takes ORPHAN_PRESENT out of SB if the file is empty.
 */
int orphan_open(struct fs *fs);
void orphan_close(struct fs *fs);
void orphan_finish(struct fs *fs);
void orphan_clear_present(struct fs *fs, struct ext2_super_block *sb);

#endif
