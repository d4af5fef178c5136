/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmp.h - multiple mount protection: a block in which the host that writes
 * the volume counts, so that others see that it is in use.
 */
#ifndef FS_MMP_H
#define FS_MMP_H

struct ext2_super_block;
struct fs;

/*
 * Makes sure that nobody else has the volume, which takes eleven seconds or
 * more, and starts counting in a thread.  SB is the raw superblock, not yet
 * checked by anybody.  0 also without the feature; -EBUSY or another error
 * after a message.  To be called before anything that is kept is read.
 */
int mmp_open(struct fs *fs, const struct ext2_super_block *sb);

/* The thread, which does not survive a fork.  Without the volume lock. */
int mmp_start(struct fs *fs);
/* The same after mmp_stop() and some time: -EBUSY, and the volume is aborted,
 * if it is not ours any more. */
int mmp_resume(struct fs *fs);
void mmp_stop(struct fs *fs);

/*
 * After the last write: says that nobody has the volume, unless somebody
 * else has taken it.  Without the volume lock.
 */
void mmp_close(struct fs *fs);

/* Milliseconds in a second of the protocol; for tests only. */
extern unsigned mmp_second_ms;

#endif
