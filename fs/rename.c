/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rename.c - rename, exchange and whiteout, each one transaction.
 *
 * A name that is replaced is pointed elsewhere, never removed first: with the
 * transaction this makes the change atomic, and it needs no room.  Entries are
 * named again for each step, because adding one may split the block in which
 * the other lies.
 *
 * Takes the volume lock.  Knows nothing of directory layout.
 */
#include <errno.h>
#include <stdio.h>		/* RENAME_* */
#include <string.h>

#include "dir.h"
#include "fs.h"
#include "namei_internal.h"
#include "path.h"
#include "journal/txn.h"

struct side {
	struct inode *dir;
	const char *name;
	size_t len;
	struct inode *inode;	/* what the name meant; NULL: nothing */
};

struct rename {
	struct side from, to;
	unsigned flags;
	const struct caller *who;
	struct inode *whiteout;
	struct namei_done done;
};

static bool is_dir(const struct inode *inode)
{
	return inode && S_ISDIR(inode->i.mode);
}

static int parent_of(struct fs *fs, uint32_t ino, uint32_t *parent)
{
	struct inode *dir;
	int err = inode_get(fs, ino, &dir);

	if (err)
		return err;
	if (S_ISDIR(dir->i.mode))
		err = dir_get_parent(dir, parent);
	else
		err = fs_corrupt(fs, ino, 0, "\"..\" leads to a non-directory");
	inode_put(dir);
	return err;
}

/*
 * Is INODE the directory DIR, or above it?  1, 0 or -errno.  A loop of ".."
 * entries is noticed by comparing with a mark that moves at each power of two.
 */
static int is_above(struct inode *inode, struct inode *dir)
{
	uint64_t steps = 0, next_mark = 1;
	uint32_t ino = dir->ino, mark = 0;
	int err;

	for (;;) {
		if (ino == inode->ino)
			return 1;
		if (ino == EXT2_ROOT_INO)
			return 0;
		if (ino == mark)
			return fs_corrupt(dir->fs, ino, 0,
					  "\"..\" entries form a loop");
		if (++steps == next_mark) {
			mark = ino;
			next_mark *= 2;
		}
		err = parent_of(dir->fs, ino, &ino);
		if (err)
			return err;
	}
}

/* May SIDE's inode, which exists, move to the directory INTO? */
static int check_move(const struct side *side, struct inode *into)
{
	int err = namei_may_remove(side->inode);

	if (!err)
		err = namei_project_ok(into, side->inode);
	if (err || side->dir == into || !is_dir(side->inode))
		return err;
	err = is_above(side->inode, into);
	return err > 0 ? -EINVAL : err;
}

/* May the name TO be taken over by FROM? */
static int check_replace(const struct rename *r)
{
	struct inode *victim = r->to.inode;
	int err = namei_may_remove(victim);

	if (err)
		return err;
	if (is_dir(r->from.inode) && !is_dir(victim))
		return -ENOTDIR;
	if (!is_dir(r->from.inode) && is_dir(victim))
		return -EISDIR;
	if (!is_dir(victim))
		return 0;
	err = dir_is_empty(victim);
	return err < 0 ? err : err ? 0 : -ENOTEMPTY;
}

/* Will a directory find room in the link counts of both sides? */
static int check_links(const struct rename *r)
{
	bool from = is_dir(r->from.inode), to = is_dir(r->to.inode);

	if (r->from.dir == r->to.dir || from == to)
		return 0;
	if (from)
		return namei_subdir_room(r->to.dir);
	return r->flags & RENAME_EXCHANGE ? namei_subdir_room(r->from.dir) : 0;
}

/* Finds both inodes.  -ENOENT, -EEXIST, or damage. */
static int find_both(struct rename *r)
{
	int err = namei_may_change(r->from.dir, false);

	if (!err)
		err = namei_may_change(r->to.dir, true);
	if (!err)
		err = namei_child(r->from.dir, r->from.name, r->from.len,
				  &r->from.inode);
	if (err)
		return err;
	err = namei_child(r->to.dir, r->to.name, r->to.len, &r->to.inode);
	if (err == -ENOENT)
		return r->flags & RENAME_EXCHANGE ? -ENOENT : 0;
	if (!err && (r->flags & RENAME_NOREPLACE))
		return -EEXIST;
	return err ? err : namei_may_change(r->to.dir, false);
}

/* 0: go on; 1: nothing to do; -errno. */
static int check(struct rename *r)
{
	int err = find_both(r);

	if (err)
		return err;
	if (r->from.inode == r->to.inode)
		return 1;
	err = check_move(&r->from, r->to.dir);
	if (!err && (r->flags & RENAME_EXCHANGE))
		err = check_move(&r->to, r->from.dir);
	else if (!err && r->to.inode)
		err = check_replace(r);
	return err ? err : check_links(r);
}

/* Points the name of SIDE, which exists, to INODE. */
static int point(struct txn *t, const struct side *side, struct inode *inode)
{
	return dir_set(t, side->dir, side->name, side->len, inode->ino,
		       inode->i.mode);
}

/* INODE came from the directory FROM and is in TO now: its "..", its ctime. */
static int moved(struct txn *t, struct inode *inode, struct inode *from,
		 struct inode *to)
{
	int err = 0;

	if (from != to && is_dir(inode))
		err = dir_set_parent(t, inode, to->ino);
	if (!err)
		err = inode_dirty_attr(t, inode);
	if (!err)
		inode_touch(inode, INODE_CTIME);
	return err;
}

static int touch_dirs(struct txn *t, struct rename *r)
{
	int err = inode_dirty(t, r->from.dir);

	if (!err)
		err = inode_dirty(t, r->to.dir);
	if (err)
		return err;
	inode_touch(r->from.dir, INODE_MTIME | INODE_CTIME);
	if (r->to.dir != r->from.dir)
		inode_touch(r->to.dir, INODE_MTIME | INODE_CTIME);
	return 0;
}

static int exchange(struct txn *t, struct rename *r)
{
	struct side *a = &r->from, *b = &r->to;
	int err = point(t, a, b->inode);

	if (!err)
		err = point(t, b, a->inode);
	if (!err)
		err = moved(t, a->inode, a->dir, b->dir);
	if (!err)
		err = moved(t, b->inode, b->dir, a->dir);
	if (!err)
		err = touch_dirs(t, r);
	if (err || a->dir == b->dir || is_dir(a->inode) == is_dir(b->inode))
		return err;
	namei_subdir_gone(is_dir(a->inode) ? a->dir : b->dir);
	namei_subdir_added(is_dir(a->inode) ? b->dir : a->dir);
	return 0;
}

/* The old name goes, or becomes a whiteout. */
static int clear_old_name(struct txn *t, struct rename *r)
{
	struct side *from = &r->from;

	if (r->whiteout)
		return point(t, from, r->whiteout);
	return dir_remove(t, from->dir, from->name, from->len);
}

static int replace(struct txn *t, struct rename *r)
{
	struct side *from = &r->from, *to = &r->to;
	struct namei_new wh = { .mode = S_IFCHR, .who = r->who };
	int err = 0;

	if (r->flags & RENAME_WHITEOUT)
		err = namei_make(t, from->dir, &wh, &r->whiteout);
	if (!err && to->inode)
		err = point(t, to, from->inode);
	else if (!err)
		err = dir_add(t, to->dir, to->name, to->len, from->inode->ino,
			      from->inode->i.mode);
	if (!err)
		err = clear_old_name(t, r);
	if (!err)
		err = moved(t, from->inode, from->dir, to->dir);
	if (!err)
		err = touch_dirs(t, r);
	if (err)
		return err;
	if (is_dir(from->inode) && is_dir(to->inode)) {
		namei_subdir_gone(from->dir);
	} else if (is_dir(from->inode) && from->dir != to->dir) {
		namei_subdir_gone(from->dir);
		namei_subdir_added(to->dir);
	}
	return to->inode ? namei_drop_link(t, to->inode, &r->done) : 0;
}

static void update_names(struct rename *r)
{
	struct side *from = &r->from, *to = &r->to;
	struct fs *fs = from->dir->fs;
	uint32_t left = 0;

	if (r->flags & RENAME_EXCHANGE)
		left = to->inode->ino;
	else if (r->whiteout)
		left = r->whiteout->ino;
	name_enter(fs, from->dir->ino, from->name, from->len, left);
	name_enter(fs, to->dir->ino, to->name, to->len, from->inode->ino);
	if (!(r->flags & RENAME_EXCHANGE) && is_dir(to->inode))
		name_drop_dir(fs, to->inode->ino);
}

static void put_all(struct rename *r)
{
	if (r->from.inode)
		inode_put(r->from.inode);
	if (r->to.inode)
		inode_put(r->to.inode);
	if (r->whiteout)
		inode_put(r->whiteout);
	r->from.inode = r->to.inode = r->whiteout = NULL;
}

static int rename_locked(struct rename *r)
{
	struct fs *fs = r->from.dir->fs;
	struct txn *t;
	int err = txn_begin(fs, TXN_RENAME, &t);

	if (err)
		return err;
	err = check(r);
	if (err > 0) {
		txn_abort(t);
		put_all(r);
		return 0;
	}
	if (!err && (r->flags & RENAME_EXCHANGE))
		err = exchange(t, r);
	else if (!err)
		err = replace(t, r);
	if (!err && (r->from.dir->i.flags & (EXT2_DIRSYNC_FL | EXT2_SYNC_FL)))
		r->done.sync = txn_id(t);
	err = namei_end(t, r->to.dir, &r->done, err);
	if (!err)
		update_names(r);
	put_all(r);
	return err;
}

static int check_args(const struct rename *r)
{
	int err = namei_name_ok(r->from.name, r->from.len);

	if (!err)
		err = namei_name_ok(r->to.name, r->to.len);
	if (err)
		return err;
	if (r->flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if ((r->flags & RENAME_EXCHANGE) && r->flags != RENAME_EXCHANGE)
		return -EINVAL;
	if (namei_is_dots(r->from.name, r->from.len))
		return -EBUSY;
	if (namei_is_dots(r->to.name, r->to.len))
		return r->flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	return 0;
}

int namei_rename(struct inode *odir, const char *oname, size_t olen,
		 struct inode *ndir, const char *nname, size_t nlen,
		 unsigned flags, const struct caller *who)
{
	struct rename r = {
		.from = { .dir = odir, .name = oname, .len = olen },
		.to = { .dir = ndir, .name = nname, .len = nlen },
		.flags = flags, .who = who,
	};
	struct fs *fs = odir->fs;
	unsigned tries = 0;
	int err = check_args(&r);

	if (err)
		return err;
	do {
		fs_lock(fs);
		err = rename_locked(&r);
		fs_unlock(fs);
	} while (fs_retry_nospc(fs, err, &tries));
	return namei_finish(fs, &r.done, err);
}
