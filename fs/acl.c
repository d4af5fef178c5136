/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acl.c - POSIX access control lists: their two forms, and how they and the
 * mode follow each other.
 *
 * Knows the compact form on disk (version 1), the kernel's extended attribute
 * (version 2), and the rules of POSIX 1003.1e: setting an access ACL sets the
 * mode, chmod changes the ACL, a default ACL is inherited.  Checks nobody's
 * permissions: the kernel does.
 *
 * Works inside a transaction with the volume lock held; takes no lock.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs.h"
#include "inode.h"
#include "xattr_internal.h"
#include "journal/txn.h"

#define DISK_VERSION	1
#define XATTR_VERSION	2

enum tag {
	USER_OBJ = 0x01,
	USER = 0x02,
	GROUP_OBJ = 0x04,
	GROUP = 0x08,
	MASK = 0x10,
	OTHER = 0x20,
};

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;			/* of USER and GROUP */
};

struct acl {
	size_t n;
	struct acl_entry e[];
};

#define NO_ID	UINT32_MAX

static struct acl *acl_new(size_t n)
{
	struct acl *acl = calloc(1, sizeof(*acl) + n * sizeof(acl->e[0]));

	if (acl)
		acl->n = n;
	return acl;
}

static bool has_id(unsigned tag)
{
	return tag == USER || tag == GROUP;
}

static bool known(unsigned tag)
{
	return tag && !(tag & (tag - 1)) && tag <= OTHER;
}

static uint16_t get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v;
	p[1] = v >> 8;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

/* ---- the form on disk ---- */

/* Bytes of an entry: those without an id are short. */
static size_t disk_len(unsigned tag)
{
	return has_id(tag) ? 8 : 4;
}

/* -EFSCORRUPTED (reported), -ENOMEM. */
static int from_disk(struct inode *inode, const uint8_t *p, size_t len,
		     struct acl **out)
{
	const uint8_t *end = p + len;
	struct acl *acl;

	if (len < 4 || get32(p) != DISK_VERSION)
		goto bad;
	acl = acl_new(len / 4);
	if (!acl)
		return -ENOMEM;
	acl->n = 0;
	for (p += 4; p < end; acl->n++) {
		struct acl_entry *e = &acl->e[acl->n];

		if (end - p < 4)
			goto bad_free;
		e->tag = get16(p);
		e->perm = get16(p + 2) & 7;
		e->id = NO_ID;
		if (!known(e->tag) || (size_t)(end - p) < disk_len(e->tag))
			goto bad_free;
		if (has_id(e->tag))
			e->id = get32(p + 4);
		p += disk_len(e->tag);
	}
	*out = acl;
	return 0;
bad_free:
	free(acl);
bad:
	return fs_corrupt(inode->fs, inode->ino, 0, "bad access control list");
}

/* Stores ACL as the attribute INDEX. */
static int store(struct txn *t, struct inode *inode, int index,
		 const struct acl *acl)
{
	uint8_t *disk = malloc(4 + 8 * acl->n), *p = disk;
	size_t k;
	int err;

	if (!disk)
		return -ENOMEM;
	put32(p, DISK_VERSION);
	p += 4;
	for (k = 0; k < acl->n; k++) {
		put16(p, acl->e[k].tag);
		put16(p + 2, acl->e[k].perm);
		if (has_id(acl->e[k].tag))
			put32(p + 4, acl->e[k].id);
		p += disk_len(acl->e[k].tag);
	}
	err = xattr_set_in(t, inode, index, "", disk, p - disk);
	free(disk);
	return err;
}

/* -ENODATA if there is none (or an empty one), or errors. */
static int load(struct inode *inode, int index, struct acl **out)
{
	ssize_t len = xattr_get_in(inode, index, "", NULL, 0);
	void *disk;
	int err;

	if (len < 0)
		return len;
	disk = malloc(len + 1);
	if (!disk)
		return -ENOMEM;
	len = xattr_get_in(inode, index, "", disk, len);
	err = len < 0 ? len : from_disk(inode, disk, len, out);
	free(disk);
	if (!err && !(*out)->n) {
		free(*out);
		err = -ENODATA;
	}
	return err;
}

static int erase(struct txn *t, struct inode *inode, int index)
{
	int err = xattr_set_in(t, inode, index, "", NULL, 0);

	return err == -ENODATA ? 0 : err;
}

/* ---- the kernel's form ---- */

ssize_t acl_to_xattr(struct inode *inode, const void *disk, size_t len,
		     void *buf, size_t size)
{
	struct acl *acl;
	uint8_t *p = buf;
	size_t k, need;
	int err = from_disk(inode, disk, len, &acl);

	if (err)
		return err;
	need = 4 + 8 * acl->n;
	if (need <= size) {
		put32(p, XATTR_VERSION);
		p += 4;
		for (k = 0; k < acl->n; k++, p += 8) {
			put16(p, acl->e[k].tag);
			put16(p + 2, acl->e[k].perm);
			put32(p + 4, acl->e[k].id);
		}
	}
	free(acl);
	return need;
}

static int from_xattr(const uint8_t *p, size_t size, struct acl **out)
{
	struct acl *acl;
	size_t k;

	if (size < 4)
		return -EINVAL;
	if (get32(p) != XATTR_VERSION)
		return -EOPNOTSUPP;
	if ((size - 4) % 8)
		return -EINVAL;
	acl = acl_new((size - 4) / 8);
	if (!acl)
		return -ENOMEM;
	for (k = 0, p += 4; k < acl->n; k++, p += 8) {
		acl->e[k].tag = get16(p);
		acl->e[k].perm = get16(p + 2);
		acl->e[k].id = has_id(get16(p)) ? get32(p + 4) : NO_ID;
	}
	*out = acl;
	return 0;
}

/*
 * In order: the owner, users, the owning group, groups, a mask, others.  The
 * mask may be missing only where there are neither users nor groups.
 */
static int check(const struct acl *acl)
{
	unsigned seen = 0;
	size_t k;

	for (k = 0; k < acl->n; k++) {
		const struct acl_entry *e = &acl->e[k];

		if (!known(e->tag) || e->perm > 7)
			return -EINVAL;
		if (has_id(e->tag) && e->id == NO_ID)
			return -EINVAL;
		/* Nothing twice but users and groups, nothing after a later
		 * kind; tags grow in this order. */
		if (seen >= (unsigned)e->tag << 1 ||
		    (!has_id(e->tag) && (seen & e->tag)))
			return -EINVAL;
		seen |= e->tag;
	}
	if ((seen & (USER_OBJ | GROUP_OBJ | OTHER)) !=
	    (USER_OBJ | GROUP_OBJ | OTHER))
		return -EINVAL;
	if ((seen & (USER | GROUP)) && !(seen & MASK))
		return -EINVAL;
	return 0;
}

/* ---- ACL and mode ---- */

/* The entry that the group bits of the mode stand for: the mask, else the
 * owning group.  NULL if neither is there. */
static struct acl_entry *group_class(struct acl *acl)
{
	struct acl_entry *found = NULL;
	size_t k;

	for (k = 0; k < acl->n; k++)
		if (acl->e[k].tag == MASK ||
		    (acl->e[k].tag == GROUP_OBJ && !found))
			found = &acl->e[k];
	return found;
}

/* The bits of the mode's class that E stands for: how far left they are;
 * -1: none. */
static int mode_shift(const struct acl *acl, const struct acl_entry *e)
{
	if (e->tag == USER_OBJ)
		return 6;
	if (e->tag == OTHER)
		return 0;
	return e == group_class((struct acl *)acl) ? 3 : -1;
}

/* Does the mode say all that ACL says? */
static bool is_minimal(const struct acl *acl)
{
	size_t k;

	for (k = 0; k < acl->n; k++)
		if (acl->e[k].tag & (USER | GROUP | MASK))
			return false;
	return true;
}

static uint16_t mode_of(const struct acl *acl)
{
	uint16_t mode = 0;
	size_t k;

	for (k = 0; k < acl->n; k++) {
		int shift = mode_shift(acl, &acl->e[k]);

		if (shift >= 0)
			mode |= acl->e[k].perm << shift;
	}
	return mode;
}

/* Takes MODE's permissions into ACL. */
static void apply_mode(struct acl *acl, uint16_t mode)
{
	size_t k;

	for (k = 0; k < acl->n; k++) {
		int shift = mode_shift(acl, &acl->e[k]);

		if (shift >= 0)
			acl->e[k].perm = mode >> shift & 7;
	}
}

int acl_set_xattr(struct txn *t, struct inode *inode, int index,
		  const void *value, size_t size)
{
	struct acl *acl;
	int err;

	if (!size)
		return erase(t, inode, index);
	err = from_xattr(value, size, &acl);
	if (err)
		return err;
	if (!acl->n) {
		err = erase(t, inode, index);
		goto out;
	}
	err = check(acl);
	if (err)
		goto out;
	if (index == XATTR_ACL_ACCESS)
		inode->i.mode = (inode->i.mode & ~0777) | mode_of(acl);
	if (index == XATTR_ACL_ACCESS && is_minimal(acl))
		err = erase(t, inode, index);
	else
		err = store(t, inode, index, acl);
out:
	free(acl);
	return err;
}

static bool in_use(const struct inode *inode)
{
	return !inode->fs->opt.noacl && !S_ISLNK(inode->i.mode) &&
	       ext2fs_has_feature_xattr(inode->fs->e2->super);
}

int acl_chmod(struct txn *t, struct inode *inode)
{
	struct acl *acl;
	int err;

	if (!in_use(inode))
		return 0;
	err = load(inode, XATTR_ACL_ACCESS, &acl);
	if (err)
		return err == -ENODATA ? 0 : err;
	apply_mode(acl, inode->i.mode);
	err = store(t, inode, XATTR_ACL_ACCESS, acl);
	free(acl);
	return err;
}

int acl_inherit(struct txn *t, struct inode *dir, struct inode *inode,
		uint16_t umask)
{
	uint16_t mode = inode->i.mode;
	struct acl *acl;
	int err;

	if (S_ISLNK(mode))
		return 0;
	err = in_use(inode) ? load(dir, XATTR_ACL_DEFAULT, &acl) : -ENODATA;
	if (err == -ENODATA) {
		inode->i.mode = mode & ~(umask & 0777);
		return 0;
	}
	if (err)
		return err;
	if (S_ISDIR(mode))
		err = store(t, inode, XATTR_ACL_DEFAULT, acl);
	/* What is asked for limits the ACL, and the ACL limits the mode. */
	apply_mode(acl, mode & mode_of(acl));
	inode->i.mode = (mode & ~0777) | mode_of(acl);
	if (!err && !is_minimal(acl))
		err = store(t, inode, XATTR_ACL_ACCESS, acl);
	free(acl);
	return err;
}
