/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr_set.c - where an attribute is, and where it shall go.
 *
 * An attribute is in the inode if it fits there, else in the block, else as
 * a reference to an inode of its own, where the volume has those.  There is
 * never more than one copy: setting takes the old one out wherever it was.
 * Nothing else is moved to make room.
 *
 * Works inside a transaction with the volume lock held; takes no lock.
 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "fs.h"
#include "inode.h"
#include "xattr_internal.h"
#include "io/cache.h"
#include "journal/txn.h"

#define DROP_CREDITS	64	/* blocks: the deletion of one value's inode */

/* The areas of an inode, and where in them a name was found. */
struct place {
	struct ea_area ibody, block;
	int has_ibody;
	struct buf *buf;		/* the block, or NULL */
	ea_entry *in_ibody, *in_block;
};

enum target { TO_IBODY, TO_BLOCK };

static int locate(struct inode *inode, const struct ea_key *k, struct place *p)
{
	int err;

	memset(p, 0, sizeof(*p));
	p->has_ibody = ibody_area(inode, &p->ibody);
	if (p->has_ibody < 0)
		return p->has_ibody;
	if (p->has_ibody)
		p->in_ibody = ea_find(&p->ibody, k);
	err = eablock_get(inode, &p->buf);
	if (err || !p->buf)
		return err;
	eablock_area(inode, p->buf, &p->block);
	p->in_block = ea_find(&p->block, k);
	return 0;
}

static ssize_t read_value(struct inode *inode, const struct ea_area *a,
			  const ea_entry *e, void *buf, size_t size)
{
	size_t len = le32toh(e->e_value_size);

	if (e->e_value_inum)
		return eainode_read(inode, e, buf, size);
	if (len && size)
		memcpy(buf, ea_data(a, e), len < size ? len : size);
	return len;
}

ssize_t xattr_get_in(struct inode *inode, int index, const char *name,
		     void *buf, size_t size)
{
	struct ea_key k = { index, name, strlen(name) };
	struct place p;
	ssize_t ret = locate(inode, &k, &p);

	if (ret)
		return ret;
	if (p.in_ibody)
		ret = read_value(inode, &p.ibody, p.in_ibody, buf, size);
	else if (p.in_block)
		ret = read_value(inode, &p.block, p.in_block, buf, size);
	else
		ret = -ENODATA;
	cache_put(p.buf);
	return ret;
}

/* ---- taking out ---- */

static int take_from_ibody(struct txn *t, struct inode *inode, struct place *p)
{
	int err = eainode_leave(t, inode, p->in_ibody, false);

	if (!err)
		ea_remove(&p->ibody, p->in_ibody);
	p->in_ibody = NULL;
	return err;
}

/* DROP: the block goes if nothing remains in it. */
static int take_from_block(struct txn *t, struct inode *inode,
			   const struct ea_key *k, struct place *p, bool drop)
{
	uint32_t ino = le32toh(p->in_block->e_value_inum);
	bool only = p->in_block == (ea_entry *)p->block.first &&
		    ea_last(&p->block, ea_next(p->in_block));
	bool shared = eablock_shared(p->buf);
	struct buf *b = p->buf;
	int err;

	if (only && drop) {
		p->buf = NULL;
		return eablock_drop(t, inode, b);
	}
	err = eablock_write(t, inode, &p->buf, ino);
	if (err)
		return err;
	eablock_area(inode, p->buf, &p->block);
	p->in_block = ea_find(&p->block, k);
	assert(p->in_block);
	/* A shared block keeps the value; its copy never referred to it. */
	err = eainode_leave(t, inode, p->in_block, shared);
	if (!err)
		ea_remove(&p->block, p->in_block);
	p->in_block = NULL;
	return err;
}

static int take_out(struct txn *t, struct inode *inode, const struct ea_key *k,
		    struct place *p, bool drop)
{
	int err = 0;

	if (p->in_ibody)
		err = take_from_ibody(t, inode, p);
	if (!err && p->in_block)
		err = take_from_block(t, inode, k, p, drop);
	return err;
}

/* ---- putting in ---- */

/*
 * Finds room for a value of SIZE bytes, when the old one is gone.  *OWN: in
 * an inode of its own.  -ENOSPC.
 */
static int choose(struct inode *inode, const struct ea_key *k, size_t size,
		  const struct place *p, enum target *to, bool *own)
{
	struct fs *fs = inode->fs;
	/* e2fsck would take the target of a symlink that is charged for such
	 * a value for block numbers. */
	bool can_own = size && ext2fs_has_feature_ea_inode(fs->e2->super) &&
		       !S_ISLNK(inode->i.mode);
	size_t most = fs->blocksize - sizeof(struct ext2_ext_attr_header) -
		      sizeof(uint32_t);
	size_t in_ibody = ibody_room(&p->ibody, p->has_ibody);
	size_t in_block = p->buf ? ea_room(&p->block) : most;
	size_t need = ea_need(k->len, size);
	int pass;

	if (p->in_ibody)
		in_ibody += ea_entry_need(p->in_ibody);
	if (p->in_block)
		in_block += ea_entry_need(p->in_block);
	/* The second pass is for a reference only. */
	for (pass = 0; pass < 1 + can_own; pass++) {
		*own = pass;
		*to = TO_IBODY;
		if (need <= in_ibody)
			return 0;
		*to = TO_BLOCK;
		if (need <= in_block)
			return 0;
		need = ea_need(k->len, 0);
	}
	return -ENOSPC;
}

static int put(struct txn *t, struct inode *inode, const struct ea_key *k,
	       const struct ea_value *v, struct place *p, enum target to)
{
	int err;

	if (to == TO_IBODY) {
		if (!p->has_ibody)
			ibody_init(inode, &p->ibody);
		ea_insert(&p->ibody, k, v);
		return 0;
	}
	if (p->buf)
		err = eablock_write(t, inode, &p->buf, 0);
	else
		err = eablock_new(t, inode, &p->buf);
	if (err)
		return err;
	eablock_area(inode, p->buf, &p->block);
	ea_insert(&p->block, k, v);
	return 0;
}

static int set(struct txn *t, struct inode *inode, const struct ea_key *k,
	       struct ea_value *v, struct place *p)
{
	enum target to;
	bool own;
	int err = choose(inode, k, v->size, p, &to, &own);

	if (!err)
		err = inode_dirty(t, inode);
	if (!err && own)
		err = eainode_new(t, inode, v);
	if (!err)
		err = take_out(t, inode, k, p, to != TO_BLOCK);
	return err ? err : put(t, inode, k, v, p, to);
}

static int unset(struct txn *t, struct inode *inode, const struct ea_key *k,
		 struct place *p)
{
	int err;

	if (!p->in_ibody && !p->in_block)
		return -ENODATA;
	err = inode_dirty(t, inode);
	return err ? err : take_out(t, inode, k, p, true);
}

int xattr_set_in(struct txn *t, struct inode *inode, int index,
		 const char *name, const void *value, size_t size)
{
	struct ea_key k = { index, name, strlen(name) };
	struct ea_value v = { .data = value, .size = size };
	struct place p;
	int err;

	if (size > XATTR_VALUE_MAX)
		return -E2BIG;
	err = locate(inode, &k, &p);
	if (!err)
		err = value ? set(t, inode, &k, &v, &p) :
			      unset(t, inode, &k, &p);
	cache_put(p.buf);
	return err;
}

/* ---- the end of an inode ---- */

/* The first entry whose value is in an inode, or NULL. */
static ea_entry *find_own(const struct ea_area *a)
{
	ea_entry *e;

	for (e = (ea_entry *)a->first; !ea_last(a, e); e = ea_next(e))
		if (e->e_value_inum)
			return e;
	return NULL;
}

/* Takes values in inodes out of A.  1: T has no room for more. */
static int drop_own(struct txn *t, struct inode *inode, struct ea_area *a)
{
	ea_entry *e;
	int err;

	while ((e = find_own(a))) {
		if (txn_room(t) < DROP_CREDITS)
			return 1;
		err = eainode_leave(t, inode, e, false);
		if (err)
			return err;
		ea_remove(a, e);
	}
	return 0;
}

/* What else there is in the inode goes with it. */
static int drop_ibody(struct txn *t, struct inode *inode)
{
	struct ea_area a;
	int err = ibody_area(inode, &a);

	if (err <= 0 || !find_own(&a))
		return err < 0 ? err : 0;
	err = inode_dirty(t, inode);
	return err ? err : drop_own(t, inode, &a);
}

static int drop_block(struct txn *t, struct inode *inode)
{
	struct ea_area a;
	struct buf *b;
	int err = eablock_get(inode, &b);

	if (err || !b)
		return err;
	eablock_area(inode, b, &a);
	if (!eablock_shared(b) && find_own(&a)) {
		err = inode_dirty(t, inode);
		if (!err)
			err = eablock_write(t, inode, &b, 0);
		eablock_area(inode, b, &a);
		if (!err)
			err = drop_own(t, inode, &a);
	}
	if (!err)
		return eablock_drop(t, inode, b);
	cache_put(b);
	return err;
}

int xattr_drop_all(struct txn *t, struct inode *inode)
{
	int err = drop_ibody(t, inode);

	return err ? err : drop_block(t, inode);
}

int inode_kill_privs(struct txn *t, struct inode *inode)
{
	uint16_t drop = S_ISUID;
	int err;

	if (S_ISDIR(inode->i.mode))
		return 0;
	/* Without group execution the bit means mandatory locking. */
	if (inode->i.mode & S_IXGRP)
		drop |= S_ISGID;
	inode->i.mode &= ~drop;
	if (!ext2fs_has_feature_xattr(inode->fs->e2->super))
		return 0;
	err = xattr_set_in(t, inode, XATTR_SECURITY, "capability", NULL, 0);
	return err == -ENODATA ? 0 : err;
}
