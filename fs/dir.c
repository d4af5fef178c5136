/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dir.c - directories: the interface, and linear directories.
 *
 * Decides between the three layouts: inline (dirinline.c), hashed (htree.c,
 * htree_add.c) and linear (here).  A hashed directory is also a valid linear
 * one, so whatever cannot use the index falls back to scanning; only adding
 * entries does not, since that would break the index for good.
 *
 * Knows nothing of the name cache, link counts and times.  Needs the volume
 * lock.
 */
#include "dir_internal.h"

#include <assert.h>
#include <string.h>

#include "../journal/txn.h"

bool dir_is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

bool dir_name_valid(const char *name, size_t len)
{
	return len && !memchr(name, '/', len) && !memchr(name, 0, len);
}

uint8_t dir_type_of_mode(uint16_t mode)
{
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		return EXT2_FT_REG_FILE;
	case LINUX_S_IFDIR:
		return EXT2_FT_DIR;
	case LINUX_S_IFCHR:
		return EXT2_FT_CHRDEV;
	case LINUX_S_IFBLK:
		return EXT2_FT_BLKDEV;
	case LINUX_S_IFIFO:
		return EXT2_FT_FIFO;
	case LINUX_S_IFSOCK:
		return EXT2_FT_SOCK;
	case LINUX_S_IFLNK:
		return EXT2_FT_SYMLINK;
	default:
		return EXT2_FT_UNKNOWN;
	}
}

uint8_t dir_disk_type(const struct fs *fs, uint16_t mode)
{
	if (!ext2fs_has_feature_filetype(fs->e2->super))
		return 0;
	return dir_type_of_mode(mode);
}

static bool dir_ino_valid(const struct fs *fs, uint32_t ino)
{
	return ino == EXT2_ROOT_INO ||
	       (ino >= EXT2_FIRST_INODE(fs->e2->super) &&
		ino <= fs->e2->super->s_inodes_count);
}

int dir_check_entry(struct inode *dir, const struct buf *b,
		    const struct dirent_ref *e)
{
	uint64_t blk = b ? b->blk : 0;

	if (!dir_name_valid(e->name, e->name_len))
		return fs_corrupt(dir->fs, dir->ino, blk,
				  "directory entry at byte %u has a bad name",
				  e->off);
	if (!dir_ino_valid(dir->fs, e->ino))
		return fs_corrupt(dir->fs, dir->ino, blk,
				  "directory entry at byte %u has a bad inode number %u",
				  e->off, e->ino);
	return 0;
}

/*
 * Looks through all blocks (or, for "." and "..", the first one).  A bad
 * block does not end the search, but makes "not found" unsure: its error is
 * returned then.
 */
static int linear_find(struct inode *dir, const char *name, size_t len,
		       struct dir_found *f)
{
	struct dir_scan s;
	struct dirents l;
	int ret, err = 0;

	dir_scan_start(&s, dir, 0);
	if (dir_is_dots(name, len) && s.end > 1)
		s.end = 1;
	while ((ret = dir_scan_next(&s, &f->b)) != 0) {
		if (ret > 0) {
			l = dir_block_list(dir->fs, f->b);
			ret = dirents_find(dir, &l, name, len, f);
			if (ret > 0) {
				f->lblk = s.lblk;
				return 0;
			}
			cache_put(f->b);
		}
		if (ret == -ENOMEM)
			return ret;
		if (ret)
			err = ret;
	}
	return err ? err : -ENOENT;
}

/* F->b has a reference if 0 is returned. */
static int dir_find(struct inode *dir, const char *name, size_t len,
		    struct dir_found *f)
{
	int ret;

	assert(len >= 1 && len <= EXT2_NAME_LEN);
	if (dir_is_dx(dir) && !dir_is_dots(name, len)) {
		ret = dx_find(dir, name, len, f);
		if (!ret || ret == -ENOENT || ret == -ENOMEM)
			return ret;
	}
	return linear_find(dir, name, len, f);
}

int dir_lookup(struct inode *dir, const char *name, size_t len,
	       uint32_t *ino, uint8_t *type)
{
	struct dir_found f;
	int err;

	if (inode_has_inline(dir)) {
		err = dir_inline_find(dir, name, len, &f.ino, &f.type);
	} else {
		err = dir_find(dir, name, len, &f);
		if (!err)
			cache_put(f.b);
	}
	if (err)
		return err;
	if (!dir_ino_valid(dir->fs, f.ino))
		return fs_corrupt(dir->fs, dir->ino, 0,
				  "directory entry has a bad inode number %u",
				  f.ino);
	*ino = f.ino;
	if (type)
		*type = ext2fs_has_feature_filetype(dir->fs->e2->super) ?
			f.type : EXT2_FT_UNKNOWN;
	return 0;
}

/*
 * First fit, from the block on where an entry fitted last; removals move
 * this hint back.  1: no block has room.  *LAST is the last block of a
 * directory that has one block only, with a reference (else NULL).
 */
static int linear_fit(struct txn *t, struct inode *dir, const struct dir_new *n,
		      struct buf **last)
{
	unsigned need = de_size(n->len), off;
	struct dir_scan s;
	struct dirents l;
	struct buf *b;
	int ret;

	*last = NULL;
	if (dir->dir_hint >= dir_blocks(dir))
		dir->dir_hint = 0;
	dir_scan_start(&s, dir, dir->dir_hint);
	while ((ret = dir_scan_next(&s, &b)) > 0) {
		l = dir_block_list(dir->fs, b);
		ret = dir_block_is_leaf(dir->fs, b) ?
			dirents_room(&l, need, &off) : 0;
		if (ret > 0) {
			ret = txn_write(t, b);
			if (!ret) {
				l = dir_block_list(dir->fs, b);
				dirents_put(&l, off, n);
				dir->dir_hint = s.lblk;
			}
		} else if (!ret) {
			ret = 1;
		}
		if (ret == 1 && s.end == 1)
			*last = cache_hold(b);
		cache_put(b);
		if (ret <= 0)
			return ret;
	}
	return ret ? ret : 1;
}

static int linear_append(struct txn *t, struct inode *dir,
			 const struct dir_new *n)
{
	struct dirents l;
	struct buf *b;
	uint32_t lblk;
	int err;

	err = dir_block_append(t, dir, &lblk, &b);
	if (err)
		return err;
	dir_leaf_init(dir->fs, b->data);
	l = dir_block_list(dir->fs, b);
	dirents_put(&l, 0, n);
	dir->dir_hint = lblk;
	cache_put(b);
	return 0;
}

/*
 * Without the dir_index feature an index is not kept up to date, so the flag
 * must go; with checksums such a directory cannot be trusted at all.
 */
static int linear_drop_index(struct txn *t, struct inode *dir)
{
	int err;

	if (!(dir->i.flags & EXT2_INDEX_FL))
		return 0;
	if (dir->fs->csum)
		return fs_corrupt(dir->fs, dir->ino, 0,
				  "directory has an index without dir_index");
	err = inode_dirty(t, dir);
	if (!err)
		dir->i.flags &= ~EXT2_INDEX_FL;
	return err;
}

static int linear_add(struct txn *t, struct inode *dir, const struct dir_new *n)
{
	struct buf *last;
	int ret;

	ret = linear_drop_index(t, dir);
	if (ret)
		return ret;
	ret = linear_fit(t, dir, n, &last);
	if (ret == 1) {
		if (last && dx_can_make(dir, last))
			ret = dx_make(t, dir, last, n);
		else
			ret = linear_append(t, dir, n);
	}
	cache_put(last);
	return ret;
}

int dir_add(struct txn *t, struct inode *dir, const char *name, size_t len,
	    uint32_t ino, uint16_t mode)
{
	struct dir_new n = { name, len, ino, dir_disk_type(dir->fs, mode) };
	int ret;

	assert(len >= 1 && len <= EXT2_NAME_LEN && ino);
	if (dir->i.flags & EXT4_ENCRYPT_FL)
		return -ENOKEY;
	if (inode_has_inline(dir)) {
		ret = dir_inline_add(t, dir, &n);
		if (ret <= 0)
			return ret;
	}
	if (dir_is_dx(dir))
		return dx_add(t, dir, &n);
	return linear_add(t, dir, &n);
}

int dir_remove(struct txn *t, struct inode *dir, const char *name, size_t len)
{
	struct dir_found f;
	struct dirents l;
	int err;

	if (dir_is_dots(name, len))
		return -EINVAL;
	if (inode_has_inline(dir))
		return dir_inline_remove(t, dir, name, len);
	err = dir_find(dir, name, len, &f);
	if (err)
		return err;
	err = txn_write(t, f.b);
	if (!err) {
		l = dir_block_list(dir->fs, f.b);
		dirents_remove(&l, f.off, f.prev);
		if (f.lblk < dir->dir_hint)
			dir->dir_hint = f.lblk;
	}
	cache_put(f.b);
	return err;
}

static int dir_set_entry(struct txn *t, struct inode *dir, const char *name,
			 size_t len, uint32_t ino, uint8_t type)
{
	struct dir_found f;
	struct dirents l;
	int err;

	err = dir_find(dir, name, len, &f);
	if (err)
		return err;
	err = txn_write(t, f.b);
	if (!err) {
		l = dir_block_list(dir->fs, f.b);
		dirents_set(&l, f.off, ino, type);
	}
	cache_put(f.b);
	return err;
}

int dir_set(struct txn *t, struct inode *dir, const char *name, size_t len,
	    uint32_t ino, uint16_t mode)
{
	uint8_t type = dir_disk_type(dir->fs, mode);

	assert(ino);
	if (dir_is_dots(name, len))
		return -EINVAL;
	if (inode_has_inline(dir))
		return dir_inline_set(t, dir, name, len, ino, type);
	return dir_set_entry(t, dir, name, len, ino, type);
}

/* Writes "." and ".." into the first block, which is a fresh leaf. */
static void dir_put_dots(struct inode *dir, const struct dirents *l, uint32_t parent)
{
	uint8_t type = dir_disk_type(dir->fs, LINUX_S_IFDIR);
	struct dir_new dot = { ".", 1, dir->ino, type };
	struct dir_new dotdot = { "..", 2, parent, type };

	dirent_write(l, 0, DE_MIN, &dot);
	dirent_write(l, DE_MIN, l->len - DE_MIN, &dotdot);
}

int dir_init(struct txn *t, struct inode *dir, uint32_t parent)
{
	struct fs *fs = dir->fs;
	struct dirents l;
	struct buf *b;
	uint32_t lblk;
	int err;

	err = dir_inline_init(t, dir, parent);
	if (err != -ENOSPC)
		return err;
	err = inode_dirty(t, dir);
	if (err)
		return err;
	if (ext2fs_has_feature_extents(fs->e2->super))
		dir->i.flags |= EXT4_EXTENTS_FL;
	map_init(dir);
	dir->i.size = 0;
	err = dir_block_append(t, dir, &lblk, &b);
	if (err)
		return err;
	dir_leaf_init(fs, b->data);
	l = dir_block_list(fs, b);
	dir_put_dots(dir, &l, parent);
	cache_put(b);
	return 0;
}

int dir_is_empty(struct inode *dir)
{
	struct dir_scan s;
	int ret;

	if (inode_has_inline(dir))
		return dir_inline_is_empty(dir);
	dir_scan_start(&s, dir, 0);
	for (;;) {
		struct dirent_ref e;
		struct dirents l;
		unsigned off = 0;
		struct buf *b;

		ret = dir_scan_next(&s, &b);
		if (ret <= 0)
			return ret ? ret : 1;
		l = dir_block_list(dir->fs, b);
		while ((ret = dirents_next(&l, &off, &e)) > 0)
			if (e.ino && !dir_is_dots(e.name, e.name_len))
				break;
		cache_put(b);
		if (ret)
			return ret > 0 ? 0 : ret;
	}
}

int dir_get_parent(struct inode *dir, uint32_t *parent)
{
	int err;

	if (inode_has_inline(dir)) {
		*parent = dir_inline_parent(dir);
	} else {
		struct dir_found f;

		err = linear_find(dir, "..", 2, &f);
		if (err == -ENOENT)
			return fs_corrupt(dir->fs, dir->ino, 0,
					  "directory without \"..\"");
		if (err)
			return err;
		*parent = f.ino;
		cache_put(f.b);
	}
	if (!dir_ino_valid(dir->fs, *parent))
		return fs_corrupt(dir->fs, dir->ino, 0,
				  "\"..\" has a bad inode number %u", *parent);
	return 0;
}

int dir_set_parent(struct txn *t, struct inode *dir, uint32_t parent)
{
	int err;

	if (!inode_has_inline(dir))
		return dir_set_entry(t, dir, "..", 2, parent,
				     dir_disk_type(dir->fs, LINUX_S_IFDIR));
	err = inode_dirty(t, dir);
	if (!err)
		dir_inline_set_parent(dir, parent);
	return err;
}
