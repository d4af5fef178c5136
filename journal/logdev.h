/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logdev.h - a journal on a device of its own: finding and opening it.
 */
#ifndef JOURNAL_LOGDEV_H
#define JOURNAL_LOGDEV_H

#include <stdbool.h>
#include <stdint.h>

struct device;
struct fs;

/*
 * Opens FS's journal device, locked as the volume's own source is: the one
 * that an option names, else by UUID, else by the number in the superblock.
 * *BLOCKS is its length.  -ENODEV, -EBUSY or -EFSCORRUPTED after a message.
 */
int logdev_open(struct fs *fs, bool writable, struct device **dev,
		uint64_t *blocks);

/* Where the journal's superblock is on such a device, in bytes. */
uint64_t logdev_super(unsigned blocksize);

#endif
