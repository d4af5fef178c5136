/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * freeze.h - a volume that is as good as unmounted, for a while.
 */
#ifndef FS_FREEZE_H
#define FS_FREEZE_H

#include <stdbool.h>

struct fs;

/*
 * From fs_freeze_begin() on the caller sees to it that nobody changes
 * anything; what he gives back himself goes in between.  After fs_freeze()
 * everything is on the device, marked clean if it is (ORPHANS: there are open
 * files without a name), and no thread of ours writes until fs_thaw(), which
 * is also for a freeze that failed.  Without the volume lock.  -EBUSY if it is
 * frozen already.
 */
int fs_freeze_begin(struct fs *fs);
int fs_freeze(struct fs *fs, bool orphans);
int fs_thaw(struct fs *fs);
bool fs_is_frozen(struct fs *fs);

#endif
