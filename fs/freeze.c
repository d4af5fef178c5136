/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * freeze.c - a volume that is as good as unmounted, for a while.
 *
 * What a snapshot of the device then shows needs no recovery.  Knows the
 * superblock's state and which threads of a volume write; not who asks.
 *
 * Takes the volume lock for the superblock's handle.
 */
#include "freeze.h"

#include "fs.h"
#include "mmp.h"
#include "orphan.h"
#include "journal/txn.h"

/* Is there anything on the orphan list, or in the orphan file?  Lock held. */
static bool has_orphans(struct fs *fs)
{
	struct ext2_super_block sb = *fs_super(fs);

	if (sb.s_last_orphan)
		return true;
	orphan_clear_present(fs, &sb);
	return le32toh(sb.s_feature_ro_compat) &
	       EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT;
}

/* Says that the volume is clean, or that it is not. */
static int set_valid(struct fs *fs, bool valid, bool orphans)
{
	struct ext2_super_block *sb;
	struct txn *t;
	int err;

	fs_lock(fs);
	if (valid && (!fs->was_valid || orphans || has_orphans(fs))) {
		fs_unlock(fs);
		return 0;
	}
	err = txn_begin(fs, TXN_SUPER, &t);
	if (!err) {
		sb = fs_super_write(t);
		if (sb && valid)
			sb->s_state |= htole16(EXT2_VALID_FS);
		else if (sb)
			sb->s_state &= htole16(~EXT2_VALID_FS);
		err = txn_stop(t, sb ? 0 : -ENOMEM);
	}
	fs_unlock(fs);
	return err ? err : txn_sync(fs, 0);
}

bool fs_is_frozen(struct fs *fs)
{
	bool ret;

	fs_lock(fs);
	ret = fs->frozen;
	fs_unlock(fs);
	return ret;
}

int fs_freeze_begin(struct fs *fs)
{
	int err;

	fs_lock(fs);
	err = fs->frozen ? -EBUSY : 0;
	fs->frozen = true;
	fs_unlock(fs);
	return err;
}

int fs_freeze(struct fs *fs, bool orphans)
{
	int err;

	if (!fs_writable(fs))
		return fs->rdonly ? 0 : -EROFS;
	journal_stop(fs);
	mmp_stop(fs);
	err = fs_error_flush(fs);
	if (!err)
		err = txn_sync(fs, 0);
	if (!err)
		err = set_valid(fs, true, orphans);
	return err;
}

int fs_thaw(struct fs *fs)
{
	int err, r;

	fs_lock(fs);
	fs->frozen = false;
	fs_unlock(fs);
	if (!fs_writable(fs))
		return fs->rdonly ? 0 : -EROFS;
	err = mmp_resume(fs);
	if (!err)
		err = set_valid(fs, false, false);
	/* whatever went wrong: what is changed from now on is committed */
	r = journal_start(fs);
	return err ? err : r;
}
