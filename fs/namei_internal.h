/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namei_internal.h - what namei.c and rename.c share.  Everything needs the
 * volume lock unless it says otherwise.
 */
#ifndef FS_NAMEI_INTERNAL_H
#define FS_NAMEI_INTERNAL_H

#include "namei.h"
#include "inode.h"

struct txn;

/* What an operation leaves to be done after the volume is unlocked. */
struct namei_done {
	uint64_t sync;		/* transaction to wait for; 0: none */
	struct inode *reap;	/* without a name or a handle, still to be
				 * deleted; referenced */
};

/* An inode to be made. */
struct namei_new {
	mode_t mode;
	dev_t rdev;
	const char *target;
	const struct caller *who;
};

/* May names come (ADD) or go in DIR?  -EPERM, -ENOENT, -ENOTDIR. */
int namei_may_change(const struct inode *dir, bool add);
/* May INODE be removed or moved?  -EPERM for immutable and append-only. */
int namei_may_remove(const struct inode *inode);
/* Would INODE break the project rule in DIR?  -EXDEV. */
int namei_project_ok(const struct inode *dir, const struct inode *inode);

/* A last component: 1..255 bytes, no slash, no NUL.  Any lock. */
int namei_name_ok(const char *name, size_t len);
bool namei_is_dots(const char *name, size_t len);

/* The child NAME with a reference; damage is reported.  -ENOENT. */
int namei_child(struct inode *dir, const char *name, size_t len,
		struct inode **out);

/* A new inode below DIR, without a name yet.  *OUT has a reference, also on
 * failure (NULL if there is none). */
int namei_make(struct txn *t, struct inode *dir, const struct namei_new *n,
	       struct inode **out);

/*
 * INODE lost a name: a directory all of its links, others one.  Deletes it in
 * T if it was the last and that fits, else leaves it in D.
 */
int namei_drop_link(struct txn *t, struct inode *inode, struct namei_done *d);

/* A subdirectory more or less; DIR is dirty.  _room(): -EMLINK. */
int namei_subdir_room(const struct inode *dir);
void namei_subdir_added(struct inode *dir);
void namei_subdir_gone(struct inode *dir);

/* Ends T after names in DIR changed; keeps for D what has to follow. */
int namei_end(struct txn *t, struct inode *dir, struct namei_done *d, int err);
/* Does it, without the volume lock.  Returns ERR, or that of syncing. */
int namei_finish(struct fs *fs, struct namei_done *d, int err);

#endif
