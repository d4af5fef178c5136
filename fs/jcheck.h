/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jcheck.h - is the journal in a state that lets the volume be written?
 */
#ifndef FS_JCHECK_H
#define FS_JCHECK_H

struct fs;

/*
 * Reads the journal's superblock, in its inode or on its device.  NULL if
 * there is nothing to be replayed and no error on record (or no journal),
 * else the reason why the volume must not be written, for a message.  Volume
 * lock.
 */
const char *journal_check(struct fs *fs);

#endif
