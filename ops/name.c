/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * name.c - requests that name something: look up, make, link, remove, rename.
 *
 * The wire half takes the real names out of the request and puts the token
 * of the inode concerned in their place; the operation half, called by
 * libfuse, does what was asked with the real names, which it finds in the
 * request.  The paths that libfuse passes are tokens, and are not read.
 *
 * Locks: the volume lock, to get and put inodes.
 */
#include "ops/ops.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/dir.h"
#include "iomap.h"

/* ---- wire ---- */

/* "There is no such name", which the kernel may remember. */
static void reply_negative(struct request *rq)
{
	double timeout = rq->srv->negative_timeout;
	struct fuse_entry_out out = { .nodeid = 0 };

	if (timeout <= 0) {
		wire_reply(rq, -ENOENT, NULL, 0);
		return;
	}
	if (timeout > UINT32_MAX)
		timeout = UINT32_MAX;
	out.entry_valid = (uint64_t)timeout;
	out.entry_valid_nsec = (timeout - (double)out.entry_valid) * 1e9;
	wire_reply(rq, 0, &out, sizeof(out));
}

/* "." and "..", as an NFS server asks for them. */
static int lookup_dots(struct inode *dir, size_t len, struct inode **out)
{
	struct fs *fs = dir->fs;
	uint32_t parent;
	int err = 0;

	fs_lock(fs);
	if (len == 1) {
		*out = inode_hold(dir);
	} else {
		err = dir_get_parent(dir, &parent);
		if (!err)
			err = inode_get(fs, parent, out);
	}
	fs_unlock(fs);
	return err;
}

void name_wire_lookup(struct request *rq)
{
	struct inode *dir;
	size_t pos = 0, len;
	int err;
	bool dots;

	rq->name = request_name(rq, &pos);
	if (!rq->name) {
		wire_reply(rq, -EINVAL, NULL, 0);
		return;
	}
	len = strlen(rq->name);
	dots = !strcmp(rq->name, ".") || !strcmp(rq->name, "..");
	err = request_inode(rq, &dir);
	if (!err && dots)
		err = lookup_dots(dir, len, &rq->inode);
	else if (!err)
		err = namei_lookup(dir, rq->name, len, &rq->inode);
	if (err == -ENOENT) {
		reply_negative(rq);
		return;
	}
	if (!err && rq->inode->ino == NODE_ROOT_INO) {
		if (dots) {
			wire_pass_root(rq);
			return;
		}
		err = -EFSCORRUPTED;	/* the root has no name */
	}
	if (!err)
		err = request_pin(rq);
	if (err)
		wire_reply(rq, err, NULL, 0);
	else
		wire_pass_entry(rq, FUSE_LOOKUP, NODE_ROOT_ID, NULL, 0, NULL);
}

/* Length of what stands before the name, by opcode; notes the umask. */
static size_t make_head(struct request *rq)
{
	switch (rq->opcode) {
	case FUSE_MKNOD:
		rq->umask = ((struct fuse_mknod_in *)rq->body)->umask;
		return sizeof(struct fuse_mknod_in);
	case FUSE_MKDIR:
		rq->umask = ((struct fuse_mkdir_in *)rq->body)->umask;
		return sizeof(struct fuse_mkdir_in);
	case FUSE_CREATE:
		rq->umask = ((struct fuse_create_in *)rq->body)->umask;
		rq->open_flags = ((struct fuse_create_in *)rq->body)->open_flags;
		return sizeof(struct fuse_create_in);
	}
	return 0;	/* SYMLINK */
}

void name_wire_make(struct request *rq)
{
	size_t head = make_head(rq), pos = head;
	const char *tail = NULL;
	int err;

	rq->name = request_name(rq, &pos);
	if (rq->opcode == FUSE_SYMLINK && rq->name) {
		/* The target ends where the request does. */
		tail = (const char *)rq->body + pos;
		if (pos >= rq->body_len ||
		    strnlen(tail, rq->body_len - pos) == rq->body_len - pos)
			rq->name = NULL;
	}
	err = rq->name ? 0 : -EINVAL;
	if (!err)
		err = nodes_pin_fresh(rq->srv->nodes, &rq->entry);
	if (err)
		wire_reply(rq, err, NULL, 0);
	else
		wire_pass_entry(rq, rq->opcode, NODE_ROOT_ID, rq->body, head,
				tail);
}

/* The header's node is the new directory; the body begins with the file's. */
void name_wire_link(struct request *rq)
{
	const struct fuse_link_in *in = rq->body;
	size_t pos = sizeof(*in);
	struct node_ref old;
	int err;

	rq->name = request_name(rq, &pos);
	err = rq->name ? 0 : -EINVAL;
	if (!err && !nodes_find(rq->srv->nodes, in->oldnodeid, &old))
		err = -ESTALE;
	if (!err)
		err = request_inode_of(rq, &old, &rq->inode);
	if (!err && rq->inode->ino == NODE_ROOT_INO)
		err = -EPERM;
	if (!err)
		err = request_pin(rq);
	if (err)
		wire_reply(rq, err, NULL, 0);
	else
		wire_pass_entry(rq, FUSE_LINK, NODE_ROOT_ID, in, sizeof(*in),
				NULL);
}

void name_wire_remove(struct request *rq)
{
	size_t pos = 0;

	rq->name = request_name(rq, &pos);
	if (rq->name)
		wire_pass(rq);
	else
		wire_reply(rq, -EINVAL, NULL, 0);
}

void name_wire_rename(struct request *rq)
{
	uint64_t newdir = ((struct fuse_rename_in *)rq->body)->newdir;
	size_t pos = rq->opcode == FUSE_RENAME ?
		     sizeof(struct fuse_rename_in) :
		     sizeof(struct fuse_rename2_in);

	rq->name = request_name(rq, &pos);
	rq->name2 = rq->name ? request_name(rq, &pos) : NULL;
	if (!rq->name2)
		wire_reply(rq, -EINVAL, NULL, 0);
	else if (!nodes_find(rq->srv->nodes, newdir, &rq->node2))
		wire_reply(rq, -ESTALE, NULL, 0);
	else
		wire_pass(rq);
}

/* ---- operations ---- */

/* Makes rq->name; the new inode stays with the request, for getattr. */
static int make(mode_t mode, dev_t rdev, const char *target)
{
	struct request *rq = request_now();
	struct caller who;
	struct inode *dir;
	int err;

	err = request_inode(rq, &dir);
	if (err)
		return err;
	caller_get(&who);
	err = namei_create(dir, rq->name, strlen(rq->name), mode, rdev, target,
			   &who, &rq->inode);
	if (err) {
		rq->inode = NULL;
		return err;
	}
	nodes_bind(rq->srv->nodes, rq->entry, rq->inode->ino,
		   rq->inode->i.generation);
	if (rq->srv->iomap) {
		fs_lock(dir->fs);
		nodes_offer(rq->srv->nodes, rq->entry,
			    iomap_eligible(rq->srv, rq->inode));
		fs_unlock(dir->fs);
	}
	return 0;
}

int op_mknod(const char *path, mode_t mode, dev_t rdev)
{
	(void)path;
	return make(mode, rdev, NULL);
}

int op_mkdir(const char *path, mode_t mode)
{
	(void)path;
	return make((mode & ~S_IFMT) | S_IFDIR, 0, NULL);
}

int op_symlink(const char *target, const char *path)
{
	(void)path;
	return make(S_IFLNK | 0777, 0, target);
}

/* Also what MKNOD of a regular file comes as. */
int op_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int err;

	(void)path;
	err = make((mode & ~S_IFMT) | S_IFREG, 0, NULL);
	if (err)
		return err;
	return handle_new(request_now()->inode, fi->flags, fi);
}

int op_link(const char *from, const char *to)
{
	struct request *rq = request_now();
	struct inode *dir;
	int err;

	(void)from;
	(void)to;
	err = request_inode(rq, &dir);
	if (err)
		return err;
	return namei_link(rq->inode, dir, rq->name, strlen(rq->name));
}

/*
 * The kernel asks about what has lost its last name: by a handle for files
 * and open directories, but without one for a current directory and for
 * special files.  Those are kept until it forgets them; mapped files as well,
 * whose blocks the kernel may be writing to until then.  Returns NULL if there
 * is nothing of that kind.
 */
static struct handle *victim_hold(struct inode *dir, const char *name)
{
	struct inode *inode;
	struct handle *h = NULL;
	uint16_t mode;

	if (namei_lookup(dir, name, strlen(name), &inode))
		return NULL;
	fs_lock(inode->fs);
	mode = inode->i.mode;
	fs_unlock(inode->fs);
	if ((!S_ISREG(mode) && !S_ISLNK(mode)) ||
	    nodes_mapped(op_server()->nodes, inode->ino))
		h = handle_hold(op_server(), inode);
	inode_put_unlocked(inode);
	return h;
}

static void victim_settle(struct handle *h)
{
	struct server *srv = op_server();
	bool gone;

	if (!h)
		return;
	fs_lock(srv->fs);
	gone = !h->inode->i.links;
	fs_unlock(srv->fs);
	if (!gone || !nodes_keep(srv->nodes, h->inode->ino, h))
		handle_drop(srv, h);
}

static int do_remove(int (*fn)(struct inode *dir, const char *name, size_t len))
{
	struct request *rq = request_now();
	struct handle *victim;
	struct inode *dir;
	int err;

	err = request_inode(rq, &dir);
	if (err)
		return err;
	victim = victim_hold(dir, rq->name);
	err = fn(dir, rq->name, strlen(rq->name));
	victim_settle(victim);
	return err;
}

int op_unlink(const char *path)
{
	(void)path;
	return do_remove(namei_unlink);
}

int op_rmdir(const char *path)
{
	(void)path;
	return do_remove(namei_rmdir);
}

int op_rename(const char *from, const char *to, unsigned flags)
{
	struct request *rq = request_now();
	struct inode *odir, *ndir;
	struct handle *victim;
	struct caller who;
	int err;

	(void)from;
	(void)to;
	err = request_inode(rq, &odir);
	if (!err)
		err = request_inode_of(rq, &rq->node2, &ndir);
	if (err)
		return err;
	caller_get(&who);
	victim = victim_hold(ndir, rq->name2);
	err = namei_rename(odir, rq->name, strlen(rq->name), ndir, rq->name2,
			   strlen(rq->name2), flags, &who);
	victim_settle(victim);
	inode_put_unlocked(ndir);
	return err;
}
