/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iomgr.h - libext2fs's view of our device: an io_manager on the descriptor
 * that is already open.  Used for ext2fs_open2() only; it refuses to write.
 */
#ifndef IO_IOMGR_H
#define IO_IOMGR_H

#include <ext2fs/ext2fs.h>

struct device;

/*
 * The manager whose next open() (by this thread) yields a channel on DEV,
 * whatever name it is given.
 */
io_manager iomgr_for(struct device *dev);

#endif
