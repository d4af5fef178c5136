/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * source.h - the volume's device or image: opened once, for one writer.
 */
#ifndef FS_SOURCE_H
#define FS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

struct fs;

/*
 * Opens fs->opt.source as fs->dev and locks it: O_EXCL on a block device,
 * flock() on an image.  Waits a while for somebody who has it.  Sets
 * fs->rdonly if the source is write-protected.  -errno, after a message.
 */
int source_open(struct fs *fs);

/* It will not be written: other readers are welcome. */
void source_share(struct fs *fs);

/*
 * Who has PATH in use, as a phrase for a message ("process 12 (cat)");
 * false if that cannot be found out.  Only one of several.
 */
bool source_holder(const char *path, char *text, size_t len);

#endif
