/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping.h - files whose data is moved by somebody else.
 *
 * With iomap the kernel reads and writes a file's blocks by itself, and asks
 * here where they are (iomap.c speaks the protocol).  Such an inode has
 * ->mapped set: nothing in fs/ may read or write its data blocks then, not to
 * zero the tail of a block either, as the kernel has that in its pages.  For
 * others, changes here are -EINVAL.
 *
 * Called without any lock; takes inode->io and the volume lock.  Offsets and
 * lengths are bytes.
 */
#ifndef FS_MAPPING_H
#define FS_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/map.h"

struct inode;

/* Where a stretch of a file is: whole blocks. */
struct mapping {
	uint64_t off, len;
	uint64_t dev;			/* device offset; 0 for a hole */
	enum map_state state;
	bool dirty;			/* data written there is not to be found
					 * after a crash without an fdatasync */
};

/*
 * May the kernel map INODE?  One table of reasons why not.  Volume lock held.
 */
bool mapping_allowed(const struct inode *inode);

/*
 * The mapping that POS is in, as large as it is on disk: it may begin before
 * POS, and end after POS+COUNT or i_size.  Of what was allocated ahead only as
 * much as was asked for (see mapping_trim()).  A hole after the last block
 * reaches to max(POS+COUNT, i_size) at least.  Allocates nothing.  -EINVAL if
 * the file has no extents.
 */
int mapping_find(struct inode *inode, uint64_t pos, uint64_t count,
		 struct mapping *m);

/*
 * The same for writing: a hole at POS is allocated first, unwritten, for
 * POS..POS+COUNT-1 (or a first part of it) and some more where the file is
 * being streamed to: that is given back by mapping_trim(), and stands on the
 * orphan list until then.  i_size and times stay.  FLAGS: DATA_RESERVE.
 * -ENOSPC, -EFBIG, -EROFS, -ETXTBSY (a swap file)...
 */
int mapping_alloc(struct inode *inode, uint64_t pos, uint64_t count,
		  unsigned flags, struct mapping *m);

/*
 * LEN bytes at POS are on the device: CONVERT makes what is unwritten there
 * written, in whole blocks; i_size becomes POS+LEN if that is more.  Holes in
 * the range are no error (a truncate may have come between).  *SIZE is i_size
 * afterwards, also after an error.  -ENOSPC if splitting needs a block that
 * is not there.
 */
int mapping_written(struct inode *inode, uint64_t pos, uint64_t len,
		    bool convert, uint64_t *size);

/*
 * Gives back what was allocated ahead, once the last writer is gone; nothing
 * while inode->writers says that there is one (again).  The kernel may still
 * know mappings of these blocks: DROP is called before they are freed, to
 * make it forget what is at FROM and after (INVAL_MAPPINGS of FROM to EOF).
 * inode->io is held then, exclusively.  To be called after the handle has
 * left inode->writers, and before the reply to RELEASE.
 */
typedef void (*mapping_drop_fn)(void *ctx, struct inode *inode, uint64_t from);
int mapping_trim(struct inode *inode, mapping_drop_fn drop, void *ctx);

/*
 * What was allocated ahead stays for good: the user wants blocks beyond
 * i_size (fallocate).  io held exclusively, without the volume lock.
 */
int mapping_keep(struct inode *inode);

/*
 * No change of the layout until the file is no swap file any more: -ETXTBSY
 * for those who try.  -EINVAL if it has holes.  Volume lock not held.
 */
int mapping_swap_on(struct inode *inode);
void mapping_swap_off(struct inode *inode);

#endif
