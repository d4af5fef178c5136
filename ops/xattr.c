/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr.c - extended attributes.
 *
 * Unpacks and calls fs/xattr.h.  Knows which names are hidden from whom, and
 * SETXATTR's longer form, which not every libfuse reads.
 *
 * Locks: none here.
 */
#include "ops/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/attr.h"
#include "fs/xattr.h"

#define ACL_ACCESS	"system.posix_acl_access"
#define ACL_PREFIX	"system.posix_acl_"
#define TRUSTED_PREFIX	"trusted."

/* Cuts the longer form to the one that libfuse expects. */
void xattr_wire_setxattr(struct request *rq)
{
	struct fuse_setxattr_in *in = rq->body;
	size_t cut = sizeof(*in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
	struct fuse_in_header *h = (void *)rq->in;
	char *p = rq->body;

	if (wire_offered(rq->srv) & FUSE_SETXATTR_EXT) {
		if (rq->body_len < sizeof(*in)) {
			wire_reply(rq, -EINVAL, NULL, 0);
			return;
		}
		rq->setxattr_flags = in->setxattr_flags;
		memmove(p + FUSE_COMPAT_SETXATTR_IN_SIZE, p + sizeof(*in),
			rq->body_len - sizeof(*in));
		rq->body_len -= cut;
		h->len -= cut;
	}
	p += FUSE_COMPAT_SETXATTR_IN_SIZE;
	cut = rq->body_len - FUSE_COMPAT_SETXATTR_IN_SIZE;
	/* name, terminated, then value */
	if (strnlen(p, cut) == cut || cut - strlen(p) - 1 < in->size)
		wire_reply(rq, -EINVAL, NULL, 0);
	else
		wire_pass(rq);
}

static bool has_prefix(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static bool acl_refused(const char *name)
{
	const struct server *srv = op_server();

	return has_prefix(name, ACL_PREFIX) &&
	       (srv->opt.fs.noacl || !xattr_supported(srv->fs));
}

/* The kernel asks for it where a caller outside the group sets an ACL. */
static int strip_setgid(struct inode *inode)
{
	struct attr_change c = { .valid = ATTR_MODE };
	struct stat st;

	attr_stat(inode, &st);
	if (!(st.st_mode & S_ISGID))
		return 0;
	c.mode = st.st_mode & 07777 & ~S_ISGID;
	return attr_set(inode, &c);
}

int op_setxattr(const char *path, const char *name, const char *value,
		size_t size, int flags)
{
	struct inode *inode;
	int err;

	(void)path;
	if (acl_refused(name))
		return -EOPNOTSUPP;
	err = op_inode(NULL, &inode);
	if (!err)
		err = xattr_set(inode, name, value, size, flags);
	if (!err && !strcmp(name, ACL_ACCESS) &&
	    (request_now()->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID))
		err = strip_setgid(inode);
	return err;
}

int op_getxattr(const char *path, const char *name, char *value, size_t size)
{
	struct inode *inode;
	int err;

	(void)path;
	/* A kernel that was told to ask wants to hear that there is none. */
	if (acl_refused(name))
		return op_server()->premounted ? -ENODATA : -EOPNOTSUPP;
	err = op_inode(NULL, &inode);
	if (err)
		return err;
	return xattr_get(inode, name, value, size);
}

/* Drops the names of trusted attributes from a list of LEN bytes. */
static size_t drop_trusted(char *list, size_t len)
{
	size_t pos, n, kept = 0;

	for (pos = 0; pos < len; pos += n) {
		n = strlen(list + pos) + 1;
		if (has_prefix(list + pos, TRUSTED_PREFIX))
			continue;
		memmove(list + kept, list + pos, n);
		kept += n;
	}
	return kept;
}

int op_listxattr(const char *path, char *list, size_t size)
{
	struct inode *inode;
	struct caller who;
	ssize_t len;
	char *all;
	int err;

	(void)path;
	err = op_inode(NULL, &inode);
	if (err)
		return err;
	caller_get(&who);
	if (caller_is_root(&who))
		return xattr_list(inode, list, size);

	len = xattr_list(inode, NULL, 0);
	if (len <= 0)
		return len;
	all = malloc(len);
	if (!all)
		return -ENOMEM;
	len = xattr_list(inode, all, len);
	if (len > 0) {
		len = drop_trusted(all, len);
		if (size && (size_t)len > size)
			len = -ERANGE;
		else if (size)
			memcpy(list, all, len);
	}
	free(all);
	return len;
}

int op_removexattr(const char *path, const char *name)
{
	struct inode *inode;
	int err;

	(void)path;
	if (acl_refused(name))
		return -EOPNOTSUPP;
	err = op_inode(NULL, &inode);
	if (!err)
		err = xattr_remove(inode, name);
	return err;
}
