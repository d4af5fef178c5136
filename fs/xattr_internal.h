/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr_internal.h - what the xattr_*.c files share.
 *
 *	xattr.c		names and namespaces; the calls from outside
 *	xattr_set.c	where an attribute is, and where it shall go
 *	xattr_area.c	the layout that the inode's area and the block share
 *	xattr_ibody.c	the area in the inode; system.data
 *	xattr_block.c	the block, shared between inodes by a reference count
 *	xattr_inode.c	values in inodes of their own (ea_inode)
 *
 * Everything needs the volume lock.
 */
#ifndef FS_XATTR_INTERNAL_H
#define FS_XATTR_INTERNAL_H

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2_ext_attr.h>

#include "xattr.h"

struct buf;
struct inode;
struct txn;

#define XATTR_VALUE_MAX	65536

enum xattr_index {
	XATTR_USER = 1,
	XATTR_ACL_ACCESS = 2,
	XATTR_ACL_DEFAULT = 3,
	XATTR_TRUSTED = 4,
	XATTR_SECURITY = 6,
	XATTR_SYSTEM = 7,
	XATTR_GNU = 10,
};

typedef struct ext2_ext_attr_entry ea_entry;

/*
 * Entries grow up from FIRST to a word of zeroes, values down from END;
 * offsets of values count from BASE.
 */
struct ea_area {
	uint8_t *base, *first, *end;
	bool sorted;			/* the block: entries in order */
	bool hashed;			/* and with hashes */
};

/* An attribute by name, and what it shall be. */
struct ea_key {
	int index;
	const char *name;
	size_t len;
};

struct ea_value {
	const void *data;		/* NULL if it is in an inode */
	uint32_t size;
	uint32_t ino;			/* that inode, */
	uint32_t hash;			/* and the hash of what is in it */
};

/* ---- xattr_area.c ---- */

/* Is the layout sound?  0 or -EFSCORRUPTED, not reported. */
int ea_check(const struct ea_area *a);
bool ea_last(const struct ea_area *a, const ea_entry *e);
ea_entry *ea_next(ea_entry *e);
ea_entry *ea_find(const struct ea_area *a, const struct ea_key *k);
bool ea_empty(const struct ea_area *a);
/* Bytes between entries and values, without the terminating word. */
size_t ea_room(const struct ea_area *a);
/* Bytes that an entry takes; SIZE 0 for a value in an inode. */
size_t ea_need(size_t name_len, size_t size);
size_t ea_entry_need(const ea_entry *e);
void ea_remove(struct ea_area *a, ea_entry *e);
/* The caller knows that there is room, and no entry of that name. */
void ea_insert(struct ea_area *a, const struct ea_key *k,
	       const struct ea_value *v);
const uint8_t *ea_data(const struct ea_area *a, const ea_entry *e);
/* Does the stored hash fit an entry whose value is in an inode? */
bool ea_inode_hash_ok(const ea_entry *e, uint32_t value_hash);

/* ---- xattr_ibody.c ---- */

/*
 * The area in the inode.  1; 0: there is none (and none can be made if A is
 * then shorter than a word, see ibody_capacity()); -EFSCORRUPTED, reported.
 */
int ibody_area(struct inode *inode, struct ea_area *a);
/* Room for new entries in the inode, whether it has an area already or not. */
size_t ibody_room(const struct ea_area *a, int present);
/* Makes an empty area; INODE is dirty. */
void ibody_init(struct inode *inode, struct ea_area *a);

/* ---- xattr_block.c ---- */

/* The inode's block with a reference; *B NULL if it has none. */
int eablock_get(struct inode *inode, struct buf **b);
void eablock_area(struct inode *inode, struct buf *b, struct ea_area *a);
/* A new, empty one for INODE, which has none. */
int eablock_new(struct txn *t, struct inode *inode, struct buf **b);
/*
 * Makes *B writable in T: a block that others use is copied, and *B replaced
 * by the copy.  Values in inodes other than SKIP get a reference more.
 */
int eablock_write(struct txn *t, struct inode *inode, struct buf **b,
		  uint32_t skip);
/*
 * Takes the inode's block away: drops its share, or frees it and what it
 * refers to.  Puts B.
 */
int eablock_drop(struct txn *t, struct inode *inode, struct buf *b);
bool eablock_shared(const struct buf *b);

/* ---- xattr_inode.c ---- */

/* Stores V->data in a new inode, for OWNER, which is dirty; sets V->ino and
 * V->hash. */
int eainode_new(struct txn *t, struct inode *owner, struct ea_value *v);
/* Copies the value of E, at most SIZE bytes; its length. */
ssize_t eainode_read(struct inode *owner, const ea_entry *e, void *buf,
		     size_t size);
int eainode_ref(struct txn *t, uint32_t ino);
/*
 * OWNER, which is dirty, stops using the value of E, if that is in an inode:
 * it is charged no more, and unless it SHARED the entry the reference goes.
 */
int eainode_leave(struct txn *t, struct inode *owner, const ea_entry *e,
		  bool shared);
int eainode_leave_all(struct txn *t, struct inode *owner,
		      const struct ea_area *a, bool shared);

/* ---- acl.c ---- */

/* The ACL in LEN bytes as on disk, in the kernel's form: its length, and the
 * bytes if SIZE is enough. */
ssize_t acl_to_xattr(struct inode *inode, const void *disk, size_t len,
		     void *buf, size_t size);
/*
 * Stores the ACL VALUE, in the kernel's form.  Without entries it is removed;
 * an access ACL sets the mode, and is not stored if the mode says it all.
 */
int acl_set_xattr(struct txn *t, struct inode *inode, int index,
		  const void *value, size_t size);

#endif
