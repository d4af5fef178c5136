/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * feature.c - the feature policy: one table, a row per feature bit.
 *
 * Decides from the superblock alone whether a volume is written, only read,
 * or refused; a bit without a row is unknown: refused if incompatible,
 * read-only if ro_compat, ignored if compat.  Takes no lock.
 */
#include <endian.h>
#include <stdio.h>

#include "fs/feature.h"
#include "fs/fs.h"
#include "sys/log.h"

#define COMPAT		FEATURE_COMPAT
#define INCOMPAT	FEATURE_INCOMPAT
#define RO_COMPAT	FEATURE_RO_COMPAT
#define RW		FEATURE_RW
#define RO		FEATURE_RO
#define RECOVER		FEATURE_RECOVER
#define REFUSE		FEATURE_REFUSE

const struct feature feature_rows[] = {
	{ COMPAT, EXT2_FEATURE_COMPAT_DIR_PREALLOC, RW, "dir_prealloc", NULL },
	{ COMPAT, EXT2_FEATURE_COMPAT_IMAGIC_INODES, RW, "imagic_inodes", NULL },
	{ COMPAT, EXT3_FEATURE_COMPAT_HAS_JOURNAL, RW, "has_journal", NULL },
	{ COMPAT, EXT2_FEATURE_COMPAT_EXT_ATTR, RW, "ext_attr", NULL },
	{ COMPAT, EXT2_FEATURE_COMPAT_RESIZE_INODE, RW, "resize_inode", NULL },
	{ COMPAT, EXT2_FEATURE_COMPAT_DIR_INDEX, RW, "dir_index", NULL },
	{ COMPAT, EXT2_FEATURE_COMPAT_LAZY_BG, RW, "lazy_bg", NULL },
	{ COMPAT, EXT2_FEATURE_COMPAT_EXCLUDE_BITMAP, RW, "snapshot_bitmap", NULL },
	{ COMPAT, EXT4_FEATURE_COMPAT_SPARSE_SUPER2, RW, "sparse_super2", NULL },
	{ COMPAT, EXT4_FEATURE_COMPAT_FAST_COMMIT, RW, "fast_commit", NULL },
	{ COMPAT, EXT4_FEATURE_COMPAT_STABLE_INODES, RW, "stable_inodes", NULL },
	{ COMPAT, EXT4_FEATURE_COMPAT_ORPHAN_FILE, RW, "orphan_file", NULL },

	{ INCOMPAT, EXT2_FEATURE_INCOMPAT_COMPRESSION, REFUSE, "compression", NULL },
	{ INCOMPAT, EXT2_FEATURE_INCOMPAT_FILETYPE, RW, "filetype", NULL },
	{ INCOMPAT, EXT3_FEATURE_INCOMPAT_RECOVER, RECOVER, "needs_recovery", NULL },
	{ INCOMPAT, EXT3_FEATURE_INCOMPAT_JOURNAL_DEV, REFUSE, "journal_dev", NULL },
	{ INCOMPAT, EXT2_FEATURE_INCOMPAT_META_BG, RW, "meta_bg", NULL },
	{ INCOMPAT, EXT3_FEATURE_INCOMPAT_EXTENTS, RW, "extent", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_64BIT, RW, "64bit", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_MMP, RW, "mmp", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_FLEX_BG, RW, "flex_bg", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_EA_INODE, RW, "ea_inode", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_DIRDATA, REFUSE, "dirdata", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_CSUM_SEED, RW, "metadata_csum_seed", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_LARGEDIR, RW, "large_dir", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_INLINE_DATA, RW, "inline_data", NULL },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_ENCRYPT, RO, "encrypt",
	  "encryption not supported" },
	{ INCOMPAT, EXT4_FEATURE_INCOMPAT_CASEFOLD, RW, "casefold", NULL },

	{ RO_COMPAT, EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER, RW, "sparse_super", NULL },
	{ RO_COMPAT, EXT2_FEATURE_RO_COMPAT_LARGE_FILE, RW, "large_file", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_HUGE_FILE, RW, "huge_file", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_GDT_CSUM, RW, "uninit_bg", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_DIR_NLINK, RW, "dir_nlink", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE, RW, "extra_isize", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT, RO, "snapshot",
	  "snapshots not supported" },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_QUOTA, RO, "quota",
	  "quotas not supported" },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_BIGALLOC, RW, "bigalloc", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM, RW, "metadata_csum", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_REPLICA, RO, "replica",
	  "replicas not supported" },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_READONLY, RO, "read-only",
	  "the filesystem is marked so" },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_PROJECT, RW, "project", NULL },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS, RO, "shared_blocks",
	  "files share blocks" },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_VERITY, RO, "verity",
	  "verity not supported" },
	{ RO_COMPAT, EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, RW, "orphan_present", NULL },
};

const size_t feature_row_count = sizeof(feature_rows) / sizeof(feature_rows[0]);

static const struct feature *find(enum feature_set set, uint32_t bit)
{
	size_t i;

	for (i = 0; i < feature_row_count; i++)
		if (feature_rows[i].set == set && feature_rows[i].bit == bit)
			return &feature_rows[i];
	return NULL;
}

/* Why is told once; who asked for ro is not told why it is a good idea. */
static void read_only(const char *why, bool *rdonly)
{
	if (!*rdonly)
		msg_warn("Mounting read-only: %s.", why);
	*rdonly = true;
}

static void recover(const struct fs_options *opt, bool *rdonly)
{
	if (!opt->norecovery)
		return;
	msg_warn("Mounting read-only without recovering journal.");
	*rdonly = true;
}

static int check_unknown(enum feature_set set, unsigned nr, bool *rdonly)
{
	char why[48];

	if (set == INCOMPAT) {
		msg_err("Unsupported feature FEATURE_I%u.", nr);
		return -EOPNOTSUPP;
	}
	if (set == RO_COMPAT) {
		snprintf(why, sizeof(why), "unsupported feature FEATURE_R%u",
			 nr);
		read_only(why, rdonly);
	}
	return 0;
}

static int check_bit(enum feature_set set, unsigned nr,
		     const struct fs_options *opt, bool *rdonly)
{
	const struct feature *f = find(set, 1u << nr);

	if (!f)
		return check_unknown(set, nr, rdonly);
	switch (f->policy) {
	case RW:
		return 0;
	case RO:
		read_only(f->why, rdonly);
		return 0;
	case RECOVER:
		recover(opt, rdonly);
		return 0;
	case REFUSE:
		break;
	}
	msg_err("Unsupported feature %s.", f->name);
	return -EOPNOTSUPP;
}

int feature_check(const struct ext2_super_block *sb,
		  const struct fs_options *opt, bool *rdonly)
{
	uint32_t words[FEATURE_SETS] = { 0, 0, 0 };
	uint16_t state = le16toh(sb->s_state);
	unsigned set, nr;
	int err;

	if (le32toh(sb->s_rev_level) != EXT2_GOOD_OLD_REV) {
		words[COMPAT] = le32toh(sb->s_feature_compat);
		words[INCOMPAT] = le32toh(sb->s_feature_incompat);
		words[RO_COMPAT] = le32toh(sb->s_feature_ro_compat);
	}
	for (set = 0; set < FEATURE_SETS; set++) {
		for (nr = 0; nr < 32; nr++) {
			if (!(words[set] & 1u << nr))
				continue;
			err = check_bit(set, nr, opt, rdonly);
			if (err)
				return err;
		}
	}
	if (state & (EXT2_ERROR_FS | EXT4_FC_REPLAY)) {
		msg_err("Errors detected; running e2fsck is required.");
		if (!*rdonly)
			return -EUCLEAN;
	}
	return 0;
}
