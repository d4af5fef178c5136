/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * super.h - the superblock as open.c uses it; what others need is in fs.h.
 */
#ifndef FS_SUPER_H
#define FS_SUPER_H

struct buf_type;
struct ext2_super_block;
struct fs;

extern const struct buf_type super_type;

/* SB is complete, but for its checksum. */
void super_checksum(const struct fs *fs, struct ext2_super_block *sb);
/* At mount, what somebody should know of the volume's state.  Volume lock. */
void super_warn(struct fs *fs);
/* Free blocks and inodes in SB, from the descriptors.  Volume lock. */
void super_set_counts(struct fs *fs, struct ext2_super_block *sb);

/* Durably in use, with its log begun; no longer in use.  Without the lock. */
int super_mount(struct fs *fs);
int super_unmount(struct fs *fs);

#endif
