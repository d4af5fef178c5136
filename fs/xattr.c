/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr.c - extended attributes by their full names: get, set, list, remove.
 *
 * Knows the namespaces and what is allowed in them; ACLs pass through acl.c,
 * which translates them.  Where an attribute is stored is xattr_set.c's
 * business.  Who may see or set it is the caller's.
 *
 * Takes the volume lock; a change is one transaction.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <linux/limits.h>		/* XATTR_NAME_MAX */

#include "fs.h"
#include "inode.h"
#include "xattr_internal.h"
#include "io/cache.h"
#include "journal/txn.h"

/* system.data and others with index 7 are not for users. */
static const struct namespace {
	int index;
	const char *prefix;
	bool whole;			/* the prefix is all of the name */
} namespaces[] = {
	{ XATTR_USER, "user.", false },
	{ XATTR_ACL_ACCESS, "system.posix_acl_access", true },
	{ XATTR_ACL_DEFAULT, "system.posix_acl_default", true },
	{ XATTR_TRUSTED, "trusted.", false },
	{ XATTR_SECURITY, "security.", false },
	{ XATTR_GNU, "gnu.", false },
};

#define NAMESPACES	(sizeof(namespaces) / sizeof(namespaces[0]))

static bool is_acl(int index)
{
	return index == XATTR_ACL_ACCESS || index == XATTR_ACL_DEFAULT;
}

bool xattr_supported(const struct fs *fs)
{
	return ext2fs_has_feature_xattr(fs->e2->super);
}

/* Splits NAME.  -EOPNOTSUPP, -EINVAL for a prefix alone, -ERANGE if longer
 * than 255 bytes. */
static int parse(struct fs *fs, const char *name, struct ea_key *k)
{
	size_t n, len = strlen(name);
	const struct namespace *s;

	if (!xattr_supported(fs))
		return -EOPNOTSUPP;
	if (len > XATTR_NAME_MAX)
		return -ERANGE;
	for (s = namespaces; s < namespaces + NAMESPACES; s++) {
		n = strlen(s->prefix);
		if (strncmp(name, s->prefix, n) || (s->whole && name[n]))
			continue;
		if (fs->opt.noacl && is_acl(s->index))
			return -EOPNOTSUPP;
		if (!s->whole && !name[n])
			return -EINVAL;
		*k = (struct ea_key){ s->index, name + n, len - n };
		return 0;
	}
	return -EOPNOTSUPP;
}

/* ---- get ---- */

/* Length and, if it fits SIZE, bytes of an ACL in the kernel's form. */
static ssize_t get_acl(struct inode *inode, const struct ea_key *k, void *buf,
		       size_t size)
{
	ssize_t len = xattr_get_in(inode, k->index, k->name, NULL, 0);
	void *disk;

	if (len < 0)
		return len;
	disk = malloc(len + 1);
	if (!disk)
		return -ENOMEM;
	len = xattr_get_in(inode, k->index, k->name, disk, len);
	if (len >= 0)
		len = acl_to_xattr(inode, disk, len, buf, size);
	free(disk);
	return len;
}

ssize_t xattr_get(struct inode *inode, const char *name, void *buf, size_t size)
{
	struct ea_key k;
	ssize_t len = parse(inode->fs, name, &k);

	if (len)
		return len;
	fs_lock(inode->fs);
	if (inode_is_gone(inode))
		len = -ESTALE;
	else if (k.index == XATTR_USER && !S_ISREG(inode->i.mode) &&
	    !S_ISDIR(inode->i.mode))
		len = -ENODATA;
	else if (is_acl(k.index))
		len = get_acl(inode, &k, buf, size);
	else
		len = xattr_get_in(inode, k.index, k.name, buf, size);
	fs_unlock(inode->fs);
	if (size && len > (ssize_t)size)
		return -ERANGE;
	return len;
}

/* ---- set, remove ---- */

static int check_set(struct inode *inode, const struct ea_key *k, bool remove)
{
	mode_t mode = inode->i.mode;

	if (inode->i.flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL))
		return -EPERM;
	if (k->index == XATTR_USER && !S_ISREG(mode) && !S_ISDIR(mode))
		return -EPERM;
	if (is_acl(k->index) && S_ISLNK(mode))
		return -EOPNOTSUPP;
	if (k->index == XATTR_ACL_DEFAULT && !S_ISDIR(mode))
		return remove ? -ENODATA : -EACCES;
	return 0;
}

static int check_exists(struct inode *inode, const struct ea_key *k, int flags)
{
	ssize_t len;

	if (!flags)
		return 0;
	len = xattr_get_in(inode, k->index, k->name, NULL, 0);
	if (len < 0 && len != -ENODATA)
		return len;
	if (len >= 0 && (flags & XATTR_CREATE))
		return -EEXIST;
	if (len < 0 && (flags & XATTR_REPLACE))
		return -ENODATA;
	return 0;
}

/* VALUE NULL removes. */
static int set_in(struct txn *t, struct inode *inode, const struct ea_key *k,
		  const void *value, size_t size, int flags)
{
	int err = check_set(inode, k, !value);

	if (!err)
		err = check_exists(inode, k, flags);
	if (!err)
		err = inode_dirty(t, inode);
	if (err)
		return err;
	if (value && is_acl(k->index))
		err = acl_set_xattr(t, inode, k->index, value, size);
	else
		err = xattr_set_in(t, inode, k->index, k->name, value, size);
	if (!err)
		inode_touch(inode, INODE_CTIME);
	return err;
}

static int set_locked(struct inode *inode, const struct ea_key *k,
		      const void *value, size_t size, int flags, uint64_t *sync)
{
	struct fs *fs = inode->fs;
	struct txn *t;
	int err = txn_begin(fs, TXN_XATTR, &t);

	if (err)
		return err;
	err = set_in(t, inode, k, value, size, flags);
	if (fs->opt.sync || (inode->i.flags & EXT2_SYNC_FL))
		*sync = txn_id(t);
	return txn_stop(t, err);
}

static int set(struct inode *inode, const char *name, const void *value,
	       size_t size, int flags)
{
	struct fs *fs = inode->fs;
	uint64_t sync = 0;
	unsigned tries = 0;
	struct ea_key k;
	int err = parse(fs, name, &k);

	if (err)
		return err;
	do {
		fs_lock(fs);
		err = set_locked(inode, &k, value, size, flags, &sync);
		fs_unlock(fs);
	} while (fs_retry_nospc(fs, err, &tries));
	if (!err && sync)
		err = txn_sync(fs, sync);
	return err;
}

int xattr_set(struct inode *inode, const char *name, const void *value,
	      size_t size, int flags)
{
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EOPNOTSUPP;
	if (size > XATTR_VALUE_MAX)
		return -E2BIG;
	return set(inode, name, size ? value : "", size, flags);
}

int xattr_remove(struct inode *inode, const char *name)
{
	return set(inode, name, NULL, 0, 0);
}

/* ---- list ---- */

struct list {
	char *buf;
	size_t size, len;
};

static void list_bytes(struct list *l, const char *p, size_t n)
{
	if (l->len + n <= l->size)
		memcpy(l->buf + l->len, p, n);
	l->len += n;
}

static void list_entry(struct fs *fs, const ea_entry *e, struct list *l)
{
	const char *name = EXT2_EXT_ATTR_NAME(e);
	const struct namespace *s;

	for (s = namespaces; s < namespaces + NAMESPACES; s++) {
		if (s->index != e->e_name_index ||
		    s->whole != !e->e_name_len ||
		    (fs->opt.noacl && is_acl(s->index)) ||
		    memchr(name, '\0', e->e_name_len))
			continue;
		list_bytes(l, s->prefix, strlen(s->prefix));
		list_bytes(l, name, e->e_name_len);
		list_bytes(l, "", 1);
	}
}

static void list_area(struct fs *fs, const struct ea_area *a, struct list *l)
{
	ea_entry *e;

	for (e = (ea_entry *)a->first; !ea_last(a, e); e = ea_next(e))
		list_entry(fs, e, l);
}

static int list_locked(struct inode *inode, struct list *l)
{
	struct ea_area a;
	struct buf *b;
	int ret;

	if (inode_is_gone(inode))
		return -ESTALE;
	ret = ibody_area(inode, &a);
	if (ret < 0)
		return ret;
	if (ret)
		list_area(inode->fs, &a, l);
	ret = eablock_get(inode, &b);
	if (ret || !b)
		return ret;
	eablock_area(inode, b, &a);
	list_area(inode->fs, &a, l);
	cache_put(b);
	return 0;
}

ssize_t xattr_list(struct inode *inode, char *buf, size_t size)
{
	struct list l = { .buf = buf, .size = size };
	int err;

	if (!xattr_supported(inode->fs))
		return -EOPNOTSUPP;
	fs_lock(inode->fs);
	err = list_locked(inode, &l);
	fs_unlock(inode->fs);
	if (err)
		return err;
	return size && l.len > size ? -ERANGE : (ssize_t)l.len;
}
