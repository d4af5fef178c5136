/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * truncate.c - changing i_size: data_truncate(), and growth for others.
 *
 * Holds inode->io exclusively throughout, the volume lock per transaction.
 * What is cut off may take several transactions; the first one sets the size
 * and puts the inode on the orphan list, so that a crash in between ends
 * with the rest freed at the next mount (J1).
 *
 * The bytes between i_size and the end of its block are zeroed on disk when
 * the size shrinks, and once more when it grows: a writer that maps blocks
 * itself may have left something there.  Not so when the kernel moves the
 * file's data: it zeroes by itself (data_zero() knows).
 */
#include <sys/stat.h>
#include "dataio.h"
#include "orphan.h"

/* Grows to SIZE; io exclusive, no lock, not inline. */
static int grow_locked(struct inode *inode, uint64_t size, unsigned flags)
{
	struct fs *fs = inode->fs;
	struct txn *t;
	int err;

	err = data_zero(inode, data_size(inode), size);
	if (err)
		return err;
	fs_lock(fs);
	err = data_begin(inode, TXN_XATTR, &t);
	if (!err) {
		data_set_size(t, inode, size);
		err = txn_stop(t, data_stamp(t, inode, flags));
	}
	fs_unlock(fs);
	return err;
}

/*
 * Frees what can be freed in T: 1 if more is left, which the orphan list
 * then covers.  An inode that is on it because it has no links stays there.
 */
static int shrink_piece(struct txn *t, struct inode *inode, uint64_t first)
{
	int more;

	more = map_remove(t, inode, first, UINT64_MAX);
	if (more < 0)
		return more;
	inode->datasync_tid = txn_id(t);
	if (!more && inode->orphan && inode->i.links)
		return orphan_del(t, inode);
	return more;
}

/*
 * First transaction of a cut: size, times and what can be freed at once.  1
 * if there is more to do.  Lock held.
 */
static int shrink_begin(struct inode *inode, uint64_t size, unsigned flags,
			uint64_t first)
{
	struct txn *t;
	struct map m;
	int err;

	err = data_begin(inode, TXN_TRUNCATE, &t);
	if (err)
		return err;
	data_set_size(t, inode, size);
	inode->i.flags &= ~EOFBLOCKS_FL;
	err = data_stamp(t, inode, flags);
	if (!err)
		err = map_next(inode, first, &m);
	if (err == -ENXIO)
		return txn_stop(t, inode->i.links ? orphan_del(t, inode) : 0);
	/* listed first, while there are credits for it */
	if (!err && !map_is_small(inode))
		err = orphan_add(t, inode);
	if (!err)
		err = shrink_piece(t, inode, first);
	if (err == 1) {		/* no change if it is listed */
		int r = orphan_add(t, inode);

		if (r)
			err = r;
	}
	txn_stop(t, err < 0 ? err : 0);
	return err;
}

int data_cut_piece(struct inode *inode, uint64_t first)
{
	struct txn *t;
	int err;

	err = data_begin(inode, TXN_TRUNCATE, &t);
	if (err)
		return err;
	err = shrink_piece(t, inode, first);
	txn_stop(t, err < 0 ? err : 0);
	return err;
}

/* Cuts to SIZE, at most what it is; io exclusive, no lock, not inline. */
static int shrink_locked(struct inode *inode, uint64_t size, unsigned flags)
{
	struct fs *fs = inode->fs;
	uint64_t first = (size + fs->blocksize - 1) >> fs->blockbits;
	int err;

	if (size < data_size(inode)) {
		err = data_zero(inode, size, first << fs->blockbits);
		if (err)
			return err;
	}
	fs_lock(fs);
	err = shrink_begin(inode, size, flags, first);
	while (err == 1) {
		/* others get a turn between the pieces */
		fs_unlock(fs);
		fs_lock(fs);
		err = data_cut_piece(inode, first);
	}
	if (!err)
		inode->ahead = 0;
	fs_unlock(fs);
	return err;
}

static int truncate_locked(struct inode *inode, uint64_t size, unsigned flags)
{
	struct fs *fs = inode->fs;
	int err;

	fs_lock(fs);
	err = data_may_change(inode, flags);
	if (!err && size > data_max_size(inode))
		err = -EFBIG;
	fs_unlock(fs);
	if (err)
		return err;
	err = inline_truncate(inode, size, flags);
	if (err)
		return err < 0 ? err : 0;
	if (size > data_size(inode))
		return grow_locked(inode, size, flags);
	return shrink_locked(inode, size, flags);
}

int data_truncate(struct inode *inode, uint64_t size, unsigned flags)
{
	int err;

	pthread_rwlock_wrlock(&inode->io);
	err = truncate_locked(inode, size, flags);
	pthread_rwlock_unlock(&inode->io);
	return data_finish(inode, flags, err);
}

int data_grow(struct inode *inode, uint64_t size, unsigned flags)
{
	int err = 0;

	pthread_rwlock_wrlock(&inode->io);
	if (size > data_size(inode))
		err = truncate_locked(inode, size, flags);
	pthread_rwlock_unlock(&inode->io);
	return err;
}
