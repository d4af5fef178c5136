/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orphan.c - inodes to be finished after a crash, and the deletion of inodes.
 *
 * Knows the list through s_last_orphan and i_dtime; the orphan file is
 * orphan_file.c's, and is used first where there is one.  The list is doubly
 * linked in memory: an inode on it is never dropped from there (inode.c).  An
 * inode that a crash left on the list is found when it comes to its head, so
 * only its successor has to be known.
 *
 * Needs the volume lock, except inode_reap(), orphan_recover() and
 * orphan_finish(), which take inode->io, then the lock.
 */
#include <endian.h>
#include <stddef.h>
#include <sys/stat.h>

#include "fs/alloc.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/map.h"
#include "fs/orphan.h"
#include "fs/orphan_internal.h"
#include "fs/xattr.h"
#include "journal/txn.h"
#include "sys/log.h"

#define REST_CREDITS	64	/* for what follows the blocks' removal */
#define MAX_PIECES	16	/* of a map that was said to be small */

int orphan_save(struct txn *t, struct inode *inode)
{
	return txn_save(t, &inode->next_orphan,
			offsetof(struct inode, dir_hint) -
			offsetof(struct inode, next_orphan));
}

/* --- the list --- */

static int list_add(struct txn *t, struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct ext2_super_block *sb = fs_super_write(t);
	struct inode *head;
	int err;

	if (!sb)
		return -ENOMEM;
	inode->next_orphan = le32toh(sb->s_last_orphan);
	inode->prev_orphan = 0;
	inode->orphan_slot = 0;
	head = inode->next_orphan ? inode_peek(fs, inode->next_orphan) : NULL;
	if (head && head->orphan) {
		err = orphan_save(t, head);
		if (err)
			return err;
		head->prev_orphan = inode->ino;
	}
	inode->i.dtime = inode->next_orphan;
	sb->s_last_orphan = htole32(inode->ino);
	return 0;
}

static int list_unlink_head(struct txn *t, struct inode *inode)
{
	struct ext2_super_block *sb = fs_super_write(t);

	if (!sb)
		return -ENOMEM;
	if (le32toh(sb->s_last_orphan) != inode->ino)
		return fs_corrupt(inode->fs, inode->ino, 0,
				  "the orphan list has lost an inode");
	sb->s_last_orphan = htole32(inode->next_orphan);
	return 0;
}

static int list_unlink(struct txn *t, struct inode *inode)
{
	struct inode *prev = inode_peek(inode->fs, inode->prev_orphan);
	int err;

	if (!prev || !prev->orphan)
		return fs_corrupt(inode->fs, inode->ino, 0,
				  "the orphan list has lost an inode");
	err = orphan_save(t, prev);
	if (!err)
		err = inode_dirty_attr(t, prev);
	if (err)
		return err;
	prev->next_orphan = inode->next_orphan;
	prev->i.dtime = inode->next_orphan;
	return 0;
}

static int list_del(struct txn *t, struct inode *inode)
{
	struct inode *next;
	int err;

	if (inode->prev_orphan)
		err = list_unlink(t, inode);
	else
		err = list_unlink_head(t, inode);
	if (err)
		return err;
	next = inode->next_orphan ? inode_peek(inode->fs, inode->next_orphan) :
				    NULL;
	if (next && next->orphan && !next->orphan_slot) {
		err = orphan_save(t, next);
		if (err)
			return err;
		next->prev_orphan = inode->prev_orphan;
	}
	inode->next_orphan = inode->prev_orphan = 0;
	return 0;
}

/* --- both --- */

int orphan_add(struct txn *t, struct inode *inode)
{
	int err;

	if (inode->orphan)
		return 0;
	err = orphan_save(t, inode);
	if (!err)
		err = inode_dirty_attr(t, inode);
	if (!err)
		err = orphan_file_add(t, inode);
	if (err == 1)
		err = list_add(t, inode);
	if (!err)
		inode->orphan = 1;
	return err;
}

int orphan_del(struct txn *t, struct inode *inode)
{
	int err;

	if (!inode->orphan)
		return 0;
	err = orphan_save(t, inode);
	if (!err)
		err = inode_dirty_attr(t, inode);
	if (err)
		return err;
	if (inode->orphan_slot) {
		err = orphan_file_del(t, inode->orphan_slot);
		inode->orphan_slot = 0;
	} else {
		err = list_del(t, inode);
		inode->i.dtime = 0;
	}
	inode->orphan = 0;
	return err;
}

/* --- deletion --- */

static bool has_map(const struct inode *inode)
{
	if (inode_has_inline(inode))
		return false;
	if (S_ISLNK(inode->i.mode))
		return !inode_is_fast_symlink(inode);
	return S_ISREG(inode->i.mode) || S_ISDIR(inode->i.mode);
}

/* Values in inodes of their own may be many, and large. */
bool inode_delete_fits(const struct inode *inode)
{
	if (ext2fs_has_feature_ea_inode(inode->fs->e2->super) &&
	    !(inode->i.flags & EXT4_EA_INODE_FL))
		return false;
	return !has_map(inode) || map_is_small(inode);
}

/* What is left when the blocks are gone. */
static int delete_rest(struct txn *t, struct inode *inode)
{
	int err;

	err = xattr_drop_all(t, inode);
	if (!err)
		err = orphan_del(t, inode);
	if (!err)
		err = orphan_save(t, inode);
	if (!err)
		err = inode_free(t, inode->ino, S_ISDIR(inode->i.mode));
	if (err)
		return err;
	inode->i.links = 0;
	inode->i.size = 0;
	inode->i.dtime = fs_now(inode->fs).tv_sec;
	inode->deleted = 1;
	return 0;
}

int inode_delete(struct txn *t, struct inode *inode)
{
	int err, pieces = 0;

	err = inode_dirty(t, inode);
	if (!err && has_map(inode)) {
		do {
			err = map_remove(t, inode, 0, UINT64_MAX);
		} while (err == 1 && ++pieces < MAX_PIECES);
		if (err == 1)
			err = fs_corrupt(inode->fs, inode->ino, 0,
					 "a small map does not end");
	}
	return err ? err : delete_rest(t, inode);
}

/* One transaction of a deletion: 1 if there is more to do.  Lock held. */
static int reap_piece(struct inode *inode)
{
	struct txn *t;
	int err;

	err = txn_begin(inode->fs, TXN_TRUNCATE, &t);
	if (err)
		return err;
	err = inode_dirty(t, inode);
	if (!err && has_map(inode))
		err = map_remove(t, inode, 0, UINT64_MAX);
	if (!err && txn_room(t) < REST_CREDITS)
		err = 1;
	if (!err)
		err = delete_rest(t, inode);
	txn_stop(t, err < 0 ? err : 0);
	return err;
}

int inode_reap(struct inode *inode)
{
	struct fs *fs = inode->fs;
	int err;

	pthread_rwlock_wrlock(&inode->io);
	do {
		fs_lock(fs);
		if (inode->deleted || inode->i.links || inode->opens)
			err = 0;
		else
			err = reap_piece(inode);
		fs_unlock(fs);
	} while (err == 1);
	pthread_rwlock_unlock(&inode->io);
	return err;
}

/* --- after a crash --- */

static bool number_valid(struct fs *fs, uint32_t ino)
{
	return ino >= EXT2_FIRST_INO(fs->e2->super) &&
	       ino <= fs->e2->super->s_inodes_count;
}

/* The inode that the list or file (SLOT) names, marked as an orphan. */
static int orphan_load(struct fs *fs, uint32_t ino, uint32_t slot,
		       struct inode **out)
{
	struct inode *inode;
	int err;

	if (!number_valid(fs, ino))
		return fs_corrupt(fs, 0, 0, "bad orphan inode %u", ino);
	err = inode_in_use(fs, ino);
	if (err < 0)
		return err;
	if (!err)
		return fs_corrupt(fs, ino, 0, "an orphan inode is free");
	err = inode_get_any(fs, ino, &inode);
	if (err)
		return err;
	*out = inode;
	if (inode->orphan)
		return 0;
	inode->orphan_slot = slot;
	inode->prev_orphan = inode->next_orphan = 0;
	if (!slot) {
		inode->next_orphan = inode->i.dtime;
		if (inode->next_orphan &&
		    !number_valid(fs, inode->next_orphan)) {
			fs_corrupt(fs, ino, 0, "bad next orphan inode %u",
				   inode->next_orphan);
			inode->next_orphan = 0;
		}
	}
	inode->orphan = 1;
	return 0;
}

/* Frees what is beyond i_size.  1: more to do.  Lock held. */
static int cut_piece(struct inode *inode)
{
	struct fs *fs = inode->fs;
	uint64_t first = (inode->i.size + fs->blocksize - 1) >> fs->blockbits;
	struct txn *t;
	int err;

	err = txn_begin(fs, TXN_TRUNCATE, &t);
	if (err)
		return err;
	err = inode_dirty(t, inode);
	if (!err && S_ISREG(inode->i.mode) && has_map(inode))
		err = map_remove(t, inode, first, UINT64_MAX);
	if (!err)
		err = orphan_del(t, inode);
	txn_stop(t, err < 0 ? err : 0);
	return err;
}

/* Off the list whatever it is: a damaged inode must not block the others. */
static int drop_orphan(struct inode *inode)
{
	struct txn *t;
	int err;

	fs_lock(inode->fs);
	err = txn_begin(inode->fs, TXN_ORPHAN, &t);
	if (!err)
		err = txn_stop(t, orphan_del(t, inode));
	fs_unlock(inode->fs);
	return err;
}

static int finish_one(struct inode *inode)
{
	struct fs *fs = inode->fs;
	int err;

	if (!inode->i.links) {
		err = inode_reap(inode);
	} else {
		do {
			fs_lock(fs);
			err = cut_piece(inode);
			fs_unlock(fs);
		} while (err == 1);
	}
	/* what could not be read now may be readable at the next mount */
	if (inode->orphan && !inode->deleted && !fs->aborted && err != -EIO)
		err = drop_orphan(inode);
	return err;
}

/* Entry SLOT of the file, or the head of the list, leads nowhere. */
static int drop_entry(struct fs *fs, uint32_t slot)
{
	struct ext2_super_block *sb;
	struct txn *t;
	int err;

	err = txn_begin(fs, TXN_ORPHAN, &t);
	if (err)
		return err;
	if (slot) {
		err = orphan_file_del(t, slot);
	} else {
		sb = fs_super_write(t);
		if (sb)
			sb->s_last_orphan = 0;
		else
			err = -ENOMEM;
	}
	return txn_stop(t, err);
}

/* What is to be done next: 1, *INODE (with a reference) or NULL if the entry
 * was bad and is gone; 0 at the end; -errno. */
static int next_orphan(struct fs *fs, uint32_t *slot, bool closing,
		       struct inode **inode)
{
	int64_t ino = le32toh(fs_super(fs)->s_last_orphan);
	uint32_t at = 0;
	int err;

	*inode = NULL;
	if (!ino) {
		ino = orphan_file_next(fs, slot);
		if (ino <= 0)
			return ino;
		at = *slot;
	}
	err = orphan_load(fs, ino, at, inode);
	if (err == -ENOMEM || err == -EIO)
		return err;
	if (err) {
		*inode = NULL;
		err = drop_entry(fs, at);
		return err ? err : 1;
	}
	if (closing)
		(*inode)->opens = 0;
	return 1;
}

static int finish_all(struct fs *fs, bool closing)
{
	uint32_t left = fs->e2->super->s_inodes_count, slot = 1, n = 0;
	struct inode *inode;
	int err = 0;

	while (left--) {
		fs_lock(fs);
		err = next_orphan(fs, &slot, closing, &inode);
		fs_unlock(fs);
		if (err <= 0)
			break;
		if (!inode)
			continue;
		err = finish_one(inode);
		inode_put_unlocked(inode);
		if (err)
			break;
		n++;
	}
	if (n)
		msg_info("%u orphan inodes finished", n);
	return err;
}

int orphan_recover(struct fs *fs)
{
	int err = finish_all(fs, false);

	return err == -EROFS || err == -EIO ? 0 : err;
}

void orphan_finish(struct fs *fs)
{
	finish_all(fs, true);
}
