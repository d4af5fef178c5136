/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.c - inodes as replies make them, names, handles.
 *
 * Flags count when the kernel makes its inode, and must be the same in every
 * later reply; an inode has one nodeid.  Forgetting an inode is what makes
 * its blocks nobody's.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model.h"

#define LIST_BYTES	65536

struct inode *inode_by_nodeid(uint64_t nodeid)
{
	unsigned i;

	for (i = M.inode_count; i--; ) {
		if (!M.inodes[i]->evicted && M.inodes[i]->nodeid == nodeid)
			return M.inodes[i];
	}
	return NULL;
}

static void take_times(struct inode *inode, const struct fuse_attr *a)
{
	inode->atime = a->atime;
	inode->mtime = a->mtime;
	inode->ctime = a->ctime;
	inode->atimensec = a->atimensec;
	inode->mtimensec = a->mtimensec;
	inode->ctimensec = a->ctimensec;
}

static struct inode *instantiate(uint64_t nodeid, const struct fuse_attr *a)
{
	struct inode *inode = calloc(1, sizeof(*inode));
	unsigned i;

	inode->nodeid = nodeid;
	inode->ino = a->ino;
	inode->flags = a->flags;
	inode->mode = a->mode;
	inode->nlink = a->nlink;
	inode->size = inode->disk_size = a->size;
	inode->cookie = 1;
	pthread_rwlock_init(&inode->io, NULL);
	take_times(inode, a);
	inode->mapped = S_ISREG(a->mode) && a->flags & IOM_ATTR_IOMAP &&
			a->flags & IOM_ATTR_EXCLUSIVE;
	if (!M.iomap && a->flags & (IOM_ATTR_IOMAP | IOM_ATTR_EXCLUSIVE))
		violation("inode %" PRIu64 " has flags %x, and no iomap",
			  inode->ino, a->flags);
	if (a->flags & IOM_ATTR_IOMAP && !(a->flags & IOM_ATTR_EXCLUSIVE))
		violation("inode %" PRIu64 ": IOMAP without EXCLUSIVE", inode->ino);
	if (a->flags & 0x03 || a->flags & ~0xffu)
		violation("inode %" PRIu64 ": flags %x", inode->ino, a->flags);
	if (inode->mapped && a->nlink != 1)
		violation("inode %" PRIu64 " is mapped with %u links",
			  inode->ino, a->nlink);
	for (i = 0; i < M.inode_count; i++) {
		if (!M.inodes[i]->evicted && M.inodes[i]->ino == inode->ino)
			violation("inode %" PRIu64 " has nodeids %" PRIu64 " and %" PRIu64,
				  inode->ino, M.inodes[i]->nodeid, nodeid);
	}
	M.inodes = realloc(M.inodes, (M.inode_count + 1) * sizeof(inode));
	M.inodes[M.inode_count++] = inode;
	return inode;
}

/* A reply that gives an inode: NULL for a negative one. */
static struct inode *entry_seen(const struct fuse_entry_out *e, size_t len,
				size_t want)
{
	struct inode *inode;

	if (len < want) {
		violation("an entry of %zu bytes", len);
		return NULL;
	}
	if (!e->nodeid)
		return NULL;
	pthread_mutex_lock(&M.lock);
	inode = inode_by_nodeid(e->nodeid);
	if (!inode) {
		inode = instantiate(e->nodeid, &e->attr);
		inode->generation = e->generation;
	} else {
		if (inode->ino != e->attr.ino)
			violation("nodeid %" PRIu64 " is inode %" PRIu64 ", then %" PRIu64,
				  e->nodeid, inode->ino, (uint64_t)e->attr.ino);
		if ((inode->flags ^ e->attr.flags) &
		    (IOM_ATTR_EXCLUSIVE | IOM_ATTR_IOMAP))
			violation("inode %" PRIu64 " has flags %x, then %x",
				  inode->ino, inode->flags, e->attr.flags);
		if (inode->mapped && M.strict && e->attr.size != inode->disk_size)
			violation("inode %" PRIu64 " has size %" PRIu64 " on disk, an entry says %" PRIu64,
				  inode->ino, inode->disk_size,
				  (uint64_t)e->attr.size);
		inode->nlink = e->attr.nlink;
	}
	inode->lookups++;
	pthread_mutex_unlock(&M.lock);
	return inode;
}

int inode_getattr(struct inode *inode, struct fuse_attr *attr)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;
	size_t len;
	int err;

	err = call(FUSE_GETATTR, inode->nodeid, &in, sizeof(in), NULL, 0, &out,
		   sizeof(out), &len);
	if (err)
		return err;
	if (len != sizeof(out))
		violation("GETATTR answered with %zu bytes", len);
	pthread_mutex_lock(&M.lock);
	if (inode->mapped && M.strict && out.attr.size != inode->disk_size)
		violation("inode %" PRIu64 ": GETATTR says %" PRIu64 ", on disk are %" PRIu64,
			  inode->ino, (uint64_t)out.attr.size, inode->disk_size);
	if (inode->mapped && M.strict)
		inode->disk_size = out.attr.size;
	pthread_mutex_unlock(&M.lock);
	*attr = out.attr;
	return 0;
}

static int root_inode(struct inode **out)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out a;
	int err;

	err = call(FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof(in), NULL, 0, &a,
		   sizeof(a), NULL);
	if (err)
		return err;
	a.attr.flags = 0;	/* the kernel makes it up */
	*out = instantiate(FUSE_ROOT_ID, &a.attr);
	return 0;
}

int name_lookup(struct inode *dir, const char *name, struct inode **out)
{
	struct fuse_entry_out e;
	size_t len;
	int err;

	if (!dir)
		return root_inode(out);
	err = call(FUSE_LOOKUP, dir->nodeid, name, strlen(name) + 1, NULL, 0,
		   &e, sizeof(e), &len);
	*out = err ? NULL : entry_seen(&e, len, sizeof(e));
	return err ? err : *out ? 0 : -ENOENT;
}

int name_create(struct inode *dir, const char *name, uint32_t mode,
		struct file *file)
{
	struct fuse_create_in in = {
		.flags = O_RDWR | O_CREAT | O_EXCL, .mode = S_IFREG | mode,
		.umask = 022,
	};
	struct {
		struct fuse_entry_out e;
		struct fuse_open_out o;
	} out;
	size_t len;
	int err;

	err = call(FUSE_CREATE, dir->nodeid, &in, sizeof(in), name,
		   strlen(name) + 1, &out, sizeof(out), &len);
	if (err)
		return err;
	file->inode = entry_seen(&out.e, len, sizeof(out));
	if (!file->inode)
		return -EIO;
	file->fh = out.o.fh;
	file->flags = O_RDWR;
	file->open_flags = out.o.open_flags;
	__atomic_add_fetch(&file->inode->opens, 1, __ATOMIC_RELAXED);
	return 0;
}

static int made(uint32_t opcode, struct inode *dir, const void *a, size_t a_len,
		const void *b, size_t b_len, struct inode **out)
{
	struct fuse_entry_out e;
	size_t len;
	int err;

	err = call(opcode, dir->nodeid, a, a_len, b, b_len, &e, sizeof(e), &len);
	if (err)
		return err;
	*out = entry_seen(&e, len, sizeof(e));
	return *out ? 0 : -EIO;
}

int name_mknod(struct inode *dir, const char *name, uint32_t mode,
	       struct inode **out)
{
	struct fuse_mknod_in in = { .mode = mode, .umask = 022 };

	return made(FUSE_MKNOD, dir, &in, sizeof(in), name, strlen(name) + 1, out);
}

int name_mkdir(struct inode *dir, const char *name, struct inode **out)
{
	struct fuse_mkdir_in in = { .mode = 0755, .umask = 022 };

	return made(FUSE_MKDIR, dir, &in, sizeof(in), name, strlen(name) + 1, out);
}

int name_symlink(struct inode *dir, const char *name, const char *target,
		 struct inode **out)
{
	return made(FUSE_SYMLINK, dir, name, strlen(name) + 1, target,
		    strlen(target) + 1, out);
}

int name_link(struct inode *inode, struct inode *dir, const char *name)
{
	struct fuse_link_in in = { .oldnodeid = inode->nodeid };
	struct inode *seen;
	int err;

	err = made(FUSE_LINK, dir, &in, sizeof(in), name, strlen(name) + 1, &seen);
	if (!err && seen != inode)
		violation("LINK of inode %" PRIu64 " gave %" PRIu64, inode->ino,
			  seen->ino);
	return err;
}

/* ---- forgetting ---- */

static void free_inode(struct inode *inode)
{
	uint64_t n;

	pthread_mutex_lock(&M.lock);
	while (inode->in_writeback)
		pthread_cond_wait(&M.cond, &M.lock);
	map_disown(inode, 0, UINT64_MAX);
	inode->evicted = true;
	n = inode->lookups;
	inode->lookups = 0;
	pthread_mutex_unlock(&M.lock);
	pages_drop(inode, 0, UINT64_MAX);
	call_forget(inode->nodeid, n);
	free(inode->own);
	free(inode->read.maps);
	inode->own = NULL;
	inode->own_room = 0;
	inode->read = (struct fork){ 0 };
}

int inode_evict(struct inode *inode)
{
	int err = 0;

	if (inode->opens || inode->evicted)
		return -EBUSY;
	if (inode->mapped && inode->nlink) {
		err = pages_writeback(inode, 0, UINT64_MAX);
		if (inode->times_dirty)
			file_push_times(inode);
	}
	free_inode(inode);
	return err;
}

static void lost_link(struct inode *inode)
{
	bool last;

	pthread_mutex_lock(&M.lock);
	inode->nlink--;
	last = !inode->nlink && !inode->opens;
	pthread_mutex_unlock(&M.lock);
	if (last)
		free_inode(inode);
}

int name_unlink(struct inode *dir, const char *name, struct inode *inode)
{
	int err = call(FUSE_UNLINK, dir->nodeid, name, strlen(name) + 1, NULL, 0,
		       NULL, 0, NULL);

	if (!err && inode)
		lost_link(inode);
	return err;
}

int name_rmdir(struct inode *dir, const char *name)
{
	return call(FUSE_RMDIR, dir->nodeid, name, strlen(name) + 1, NULL, 0,
		    NULL, 0, NULL);
}

int name_rename(struct inode *dir, const char *name, struct inode *to,
		const char *new_name, struct inode *replaced)
{
	struct fuse_rename_in in = { .newdir = to->nodeid };
	char names[600];
	size_t n = strlen(name) + 1, m = strlen(new_name) + 1;
	int err;

	memcpy(names, name, n);
	memcpy(names + n, new_name, m);
	err = call(FUSE_RENAME, dir->nodeid, &in, sizeof(in), names, n + m, NULL,
		   0, NULL);
	if (!err && replaced)
		lost_link(replaced);
	return err;
}

int name_list(struct inode *dir, char names[][256], unsigned max)
{
	struct fuse_open_in open_in = { .flags = O_RDONLY };
	struct fuse_release_in rel = { .flags = O_RDONLY };
	struct fuse_read_in in = { .size = LIST_BYTES };
	struct fuse_direntplus *d;
	struct fuse_open_out opened;
	char *buf = malloc(LIST_BYTES);
	size_t len, pos;
	unsigned n = 0;
	int err;

	err = call(FUSE_OPENDIR, dir->nodeid, &open_in, sizeof(open_in), NULL, 0,
		   &opened, sizeof(opened), NULL);
	if (err == -ENOSYS)
		opened.fh = 0;
	in.fh = rel.fh = opened.fh;
	for (;;) {
		err = call(FUSE_READDIRPLUS, dir->nodeid, &in, sizeof(in), NULL,
			   0, buf, LIST_BYTES, &len);
		if (err || !len)
			break;
		for (pos = 0; pos < len; pos += FUSE_DIRENTPLUS_SIZE(d)) {
			d = (void *)(buf + pos);
			in.offset = d->dirent.off;
			if (n < max && d->dirent.namelen < 256) {
				memcpy(names[n], d->dirent.name, d->dirent.namelen);
				names[n++][d->dirent.namelen] = 0;
			}
			entry_seen(&d->entry_out, sizeof(d->entry_out),
				   sizeof(d->entry_out));
		}
	}
	call(FUSE_RELEASEDIR, dir->nodeid, &rel, sizeof(rel), NULL, 0, NULL, 0,
	     NULL);
	free(buf);
	return err ? err : (int)n;
}

/* ---- handles ---- */

int file_open(struct inode *inode, uint32_t flags, struct file *file)
{
	struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out out = { 0 };
	int err;

	err = call(FUSE_OPEN, inode->nodeid, &in, sizeof(in), NULL, 0, &out,
		   sizeof(out), NULL);
	if (err)
		return err;
	if (inode->mapped) {
		if (!(out.open_flags & FOPEN_KEEP_CACHE))
			violation("OPEN of a mapped file without KEEP_CACHE");
		if (out.open_flags & (FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE |
				      FOPEN_STREAM))
			violation("OPEN of a mapped file with flags %x",
				  out.open_flags);
	}
	file->inode = inode;
	file->fh = out.fh;
	file->flags = flags;
	file->open_flags = out.open_flags;
	__atomic_add_fetch(&inode->opens, 1, __ATOMIC_RELAXED);
	return 0;
}

int file_close(struct file *file)
{
	struct fuse_release_in in = { .fh = file->fh, .flags = file->flags };
	struct fuse_flush_in fl = { .fh = file->fh };
	struct inode *inode = file->inode;
	bool gone;
	int err = 0;

	if (inode->mapped) {
		err = pages_writeback(inode, 0, UINT64_MAX);
		call(FUSE_FLUSH, inode->nodeid, &fl, sizeof(fl), NULL, 0, NULL, 0,
		     NULL);
	}
	pthread_mutex_lock(&M.lock);
	inode->opens--;
	gone = !inode->opens && !inode->nlink;
	while (gone && inode->in_writeback)
		pthread_cond_wait(&M.cond, &M.lock);
	if (gone)
		map_disown(inode, 0, UINT64_MAX);
	pthread_mutex_unlock(&M.lock);
	if (call(FUSE_RELEASE, inode->nodeid, &in, sizeof(in), NULL, 0, NULL, 0,
		 NULL))
		violation("RELEASE fails");
	if (gone)
		free_inode(inode);
	return err;
}
