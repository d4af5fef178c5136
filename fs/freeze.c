/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * freeze.c - a volume that is as good as unmounted, for a while.
 *
 * What a snapshot of the device then shows needs no recovery.  Knows the
 * superblock's state and which threads of a volume write; not who asks.
 *
 * Files that are closed meanwhile may still change something: that stays in
 * memory, as nobody commits until the thaw.  Takes the volume lock.
 */
#include "freeze.h"

#include <stdlib.h>

#include "fs.h"
#include "mmp.h"
#include "orphan.h"
#include "super.h"
#include "io/device.h"
#include "journal/txn.h"

#define SUPER_OFFSET	1024		/* bytes */

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

/*
 * The superblock on the device says that the volume is clean, if it is; what
 * it said before is kept for the thaw.  In memory it stays as it was.
 */
static int say_clean(struct fs *fs, bool orphans)
{
	struct ext2_super_block sb, *old = malloc(sizeof(*old));
	int err;

	if (!old)
		return -ENOMEM;
	err = device_read(fs->dev, old, sizeof(*old), SUPER_OFFSET);
	fs_lock(fs);
	if (err || orphans || has_orphans(fs)) {
		fs_unlock(fs);
		free(old);
		return err;
	}
	sb = *old;
	orphan_clear_present(fs, &sb);
	fs_unlock(fs);
	sb.s_feature_incompat &= htole32(~EXT3_FEATURE_INCOMPAT_RECOVER);
	if (fs->was_valid)
		sb.s_state |= htole16(EXT2_VALID_FS);
	super_checksum(fs, &sb);
	fs->thaw_super = old;
	err = device_write(fs->dev, &sb, sizeof(sb), SUPER_OFFSET);
	return err ? err : device_sync(fs->dev);
}

/* Takes that back. */
static int say_used(struct fs *fs)
{
	int err;

	if (!fs->thaw_super)
		return 0;
	err = device_write(fs->dev, fs->thaw_super, sizeof(*fs->thaw_super),
			   SUPER_OFFSET);
	if (!err)
		err = device_sync(fs->dev);
	free(fs->thaw_super);
	fs->thaw_super = NULL;
	return err;
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
		err = journal_freeze(fs);
	if (!err)
		err = say_clean(fs, orphans);
	return err;
}

/*
 * In use again before anything else is written (J8).  A volume that cannot be
 * marked so is not written any more.
 */
int fs_thaw(struct fs *fs)
{
	int err, r;

	fs_lock(fs);
	fs->frozen = false;
	fs_unlock(fs);
	if (fs->rdonly)
		return 0;
	err = mmp_resume(fs);
	if (!err)
		err = say_used(fs);
	if (err) {
		fs_lock(fs);
		txn_abort_volume(fs, err);
		fs_unlock(fs);
	}
	r = journal_thaw(fs);
	err = err ? err : r;
	r = journal_start(fs);
	return err ? err : r;
}
