/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirinline.c - small directories that live in their inode.
 *
 * The first four bytes of i_block are the parent ("." and ".." have no
 * dirents), the other 56 a list of dirents; the value of system.data (not
 * there, or empty, at first) is a second list.  i_size is the bytes of both.
 * An inline directory that outgrows the inode becomes a block, in which every
 * entry keeps the place that it had behind "." and "..".
 *
 * Knows nothing of how system.data is stored.  Needs the volume lock.
 */
#include "dir_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "xattr.h"
#include "../journal/txn.h"

#define INLINE_PARENT	EXT4_INLINE_DATA_DOTDOT_SIZE
#define INLINE_FIRST	EXT4_MIN_INLINE_DATA_SIZE	/* bytes of i_block */

/* Both lists, checked.  To be freed with dir_inline_free() if 0. */
int dir_inline_load(struct inode *dir, struct dir_inline *d)
{
	struct fs *fs = dir->fs;
	unsigned bad;
	ssize_t n;

	d->value = calloc(1, fs->inode_size + EXT2_NAME_LEN + DE_MIN);
	if (!d->value)
		return -ENOMEM;
	n = xattr_inline_get(dir, d->value, fs->inode_size);
	if (n == -ENODATA)
		n = 0;
	if (n < 0) {
		free(d->value);
		return (int)n;
	}
	d->size = (size_t)n;
	d->l[0] = (struct dirents){ (uint8_t *)dir->i.block + INLINE_PARENT,
				    INLINE_FIRST - INLINE_PARENT, fs->blocksize };
	d->l[1] = (struct dirents){ d->value, (unsigned)d->size, fs->blocksize };
	if (d->size > fs->inode_size || dirents_check(&d->l[0], &bad) ||
	    dirents_check(&d->l[1], &bad)) {
		free(d->value);
		return fs_corrupt(fs, dir->ino, 0, "bad inline directory");
	}
	return 0;
}

void dir_inline_free(struct dir_inline *d)
{
	free(d->value);
}

uint32_t dir_inline_parent(const struct inode *dir)
{
	return le32toh(dir->i.block[0]);
}

void dir_inline_set_parent(struct inode *dir, uint32_t parent)
{
	dir->i.block[0] = htole32(parent);
}

/* Which of the lists has NAME: 0 or 1 and F, or -ENOENT. */
static int inline_search(struct inode *dir, struct dir_inline *d,
			 const char *name, size_t len, struct dir_found *f)
{
	int i, ret;

	for (i = 0; i < 2; i++) {
		ret = dirents_find(dir, &d->l[i], name, len, f);
		if (ret)
			return ret > 0 ? i : ret;
	}
	return -ENOENT;
}

int dir_inline_find(struct inode *dir, const char *name, size_t len,
		    uint32_t *ino, uint8_t *type)
{
	struct dir_inline d;
	struct dir_found f;
	int ret;

	if (dir_is_dots(name, len)) {
		*ino = len == 1 ? dir->ino : dir_inline_parent(dir);
		*type = EXT2_FT_DIR;
		return 0;
	}
	ret = dir_inline_load(dir, &d);
	if (ret)
		return ret;
	ret = inline_search(dir, &d, name, len, &f);
	dir_inline_free(&d);
	if (ret < 0)
		return ret;
	*ino = f.ino;
	*type = f.type;
	return 0;
}

/* Stores what was changed in list I (the first is in place already). */
static int inline_store(struct txn *t, struct inode *dir, struct dir_inline *d,
			int i)
{
	return i ? xattr_inline_set(t, dir, d->value, d->size) : 0;
}

/* Makes system.data longer by N: 0, -ENOSPC if there is no room. */
static int inline_grow(struct txn *t, struct inode *dir, struct dir_inline *d,
		       const struct dir_new *n)
{
	unsigned need = de_size(n->len), old = (unsigned)d->size;
	int err;

	if (d->size + need > xattr_inline_max(dir) ||
	    d->size + need > dir->fs->inode_size)
		return -ENOSPC;
	d->l[1].len = old + need;
	dirent_write(&d->l[1], old, need, n);
	d->size += need;
	err = inline_store(t, dir, d, 1);
	if (!err)
		dir->i.size = INLINE_FIRST + d->size;
	else
		d->size = old;
	return err;
}

/* Turns the directory into a block. */
static int inline_to_block(struct txn *t, struct inode *dir, struct dir_inline *d)
{
	struct fs *fs = dir->fs;
	uint8_t type = dir_disk_type(fs, LINUX_S_IFDIR), first[INLINE_FIRST];
	struct dir_new dot = { ".", 1, dir->ino, type };
	struct dir_new dotdot = { "..", 2, dir_inline_parent(dir), type };
	unsigned used = 2 * DE_MIN + d->l[0].len + (unsigned)d->size;
	struct dirents l;
	struct buf *b;
	uint32_t lblk;
	int err;

	if (used > dir_leaf_bytes(fs))
		return fs_corrupt(fs, dir->ino, 0, "inline directory too large");
	memcpy(first, d->l[0].p, d->l[0].len);
	err = xattr_inline_remove(t, dir);
	if (err && err != -ENODATA)
		return err;
	dir->i.flags &= ~EXT4_INLINE_DATA_FL;
	if (ext2fs_has_feature_extents(fs->e2->super))
		dir->i.flags |= EXT4_EXTENTS_FL;
	map_init(dir);
	dir->i.size = 0;
	err = dir_block_append(t, dir, &lblk, &b);
	if (err)
		return err;
	dir_leaf_init(fs, b->data);
	l = dir_block_list(fs, b);
	dirent_write(&l, 0, DE_MIN, &dot);
	dirent_write(&l, DE_MIN, DE_MIN, &dotdot);
	memcpy(l.p + 2 * DE_MIN, first, d->l[0].len);
	memcpy(l.p + 2 * DE_MIN + d->l[0].len, d->value, d->size);
	err = dirents_stretch(&l, used);
	cache_put(b);
	return err;
}

int dir_inline_add(struct txn *t, struct inode *dir, const struct dir_new *n)
{
	struct dir_inline d;
	unsigned off;
	int i, ret;

	ret = dir_inline_load(dir, &d);
	if (ret)
		return ret;
	ret = inode_dirty(t, dir);
	for (i = 0; i < 2 && !ret; i++) {
		ret = dirents_room(&d.l[i], de_size(n->len), &off);
		if (ret > 0) {
			dirents_put(&d.l[i], off, n);
			ret = inline_store(t, dir, &d, i);
			goto out;
		}
	}
	if (!ret)
		ret = inline_grow(t, dir, &d, n);
	if (ret == -ENOSPC) {
		ret = inline_to_block(t, dir, &d);
		if (!ret)
			ret = 1;
	}
out:
	dir_inline_free(&d);
	return ret;
}

int dir_inline_remove(struct txn *t, struct inode *dir, const char *name,
		      size_t len)
{
	struct dir_inline d;
	struct dir_found f;
	int i, err;

	err = dir_inline_load(dir, &d);
	if (err)
		return err;
	i = inline_search(dir, &d, name, len, &f);
	err = i < 0 ? i : inode_dirty(t, dir);
	if (!err) {
		dirents_remove(&d.l[i], f.off, f.prev);
		err = inline_store(t, dir, &d, i);
	}
	dir_inline_free(&d);
	return err;
}

int dir_inline_set(struct txn *t, struct inode *dir, const char *name,
		   size_t len, uint32_t ino, uint8_t type)
{
	struct dir_inline d;
	struct dir_found f;
	int i, err;

	err = dir_inline_load(dir, &d);
	if (err)
		return err;
	i = inline_search(dir, &d, name, len, &f);
	err = i < 0 ? i : inode_dirty(t, dir);
	if (!err) {
		dirents_set(&d.l[i], f.off, ino, type);
		err = inline_store(t, dir, &d, i);
	}
	dir_inline_free(&d);
	return err;
}

/* -ENOSPC: this directory cannot be inline. */
int dir_inline_init(struct txn *t, struct inode *dir, uint32_t parent)
{
	struct fs *fs = dir->fs;
	struct dirents l = { (uint8_t *)dir->i.block + INLINE_PARENT,
			     INLINE_FIRST - INLINE_PARENT, fs->blocksize };
	uint32_t flags = dir->i.flags;
	int err;

	if (!ext2fs_has_feature_inline_data(fs->e2->super) ||
	    fs->inode_size <= EXT2_GOOD_OLD_INODE_SIZE ||
	    (flags & EXT4_ENCRYPT_FL))
		return -ENOSPC;
	err = inode_dirty(t, dir);
	if (err)
		return err;
	/* An empty value: its presence is what makes the inode inline. */
	err = xattr_inline_set(t, dir, "", 0);
	if (err)
		return err;
	dir->i.flags = (flags & ~EXT4_EXTENTS_FL) | EXT4_INLINE_DATA_FL;
	dir->i.size = INLINE_FIRST;
	dirents_clear(&l);
	dir_inline_set_parent(dir, parent);
	return 0;
}

int dir_inline_is_empty(struct inode *dir)
{
	struct dir_inline d;
	struct dirent_ref e;
	int i, ret;

	ret = dir_inline_load(dir, &d);
	if (ret)
		return ret;
	for (i = 0; i < 2; i++) {
		unsigned off = 0;

		while ((ret = dirents_next(&d.l[i], &off, &e)) > 0 && !e.ino)
			;
		if (ret)
			break;
	}
	dir_inline_free(&d);
	return ret < 0 ? ret : !ret;
}
