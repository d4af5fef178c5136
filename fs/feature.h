/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * feature.h - may a volume with these features and this state be mounted?
 */
#ifndef FS_FEATURE_H
#define FS_FEATURE_H

#include <stdbool.h>

struct ext2_super_block;
struct fs_options;

/*
 * SB is in disk byte order.  Sets *RDONLY if there must be no writing, never
 * clears it.  -EOPNOTSUPP or -EUCLEAN, with a message, if there must be no
 * mount at all.
 */
int feature_check(const struct ext2_super_block *sb,
		  const struct fs_options *opt, bool *rdonly);

#endif
