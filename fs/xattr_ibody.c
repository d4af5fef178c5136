/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr_ibody.c - the attributes that fit into the inode, behind its fixed
 * fields; and system.data among them, which holds what inline data has no
 * room for in i_block.
 *
 * The area is checked each time it is used: inode.c knows nothing of it.
 * Needs the volume lock; takes none.
 */
#include <string.h>

#include "fs.h"
#include "inode.h"
#include "xattr_internal.h"

#define WORD	EXT2_EXT_ATTR_PAD

static const struct ea_key inline_key = { XATTR_SYSTEM, "data", 4 };

static uint8_t *header(struct inode *inode)
{
	return inode->body + EXT2_GOOD_OLD_INODE_SIZE + inode->i.extra_isize;
}

int ibody_area(struct inode *inode, struct ea_area *a)
{
	unsigned size = inode->fs->inode_size;
	unsigned fixed = EXT2_GOOD_OLD_INODE_SIZE + inode->i.extra_isize;
	uint32_t magic;

	*a = (struct ea_area){ 0 };
	/* Without the extra fields the room behind them is unused. */
	if (size <= EXT2_GOOD_OLD_INODE_SIZE || !inode->i.extra_isize)
		return 0;
	if (fixed > size || fixed % WORD)
		return fs_corrupt(inode->fs, inode->ino, 0,
				  "bad extra size %u", inode->i.extra_isize);
	if (fixed + 2 * WORD > size)
		return 0;
	a->base = a->first = header(inode) + WORD;
	a->end = inode->body + size;
	memcpy(&magic, header(inode), sizeof(magic));
	if (le32toh(magic) != EXT2_EXT_ATTR_MAGIC)
		return 0;
	if (ea_check(a))
		return fs_corrupt(inode->fs, inode->ino, 0,
				  "bad attributes in the inode");
	return 1;
}

size_t ibody_room(const struct ea_area *a, int present)
{
	if (!a->base)
		return 0;
	return present ? ea_room(a) : (size_t)(a->end - a->first) - WORD;
}

void ibody_init(struct inode *inode, struct ea_area *a)
{
	uint32_t magic = htole32(EXT2_EXT_ATTR_MAGIC);

	memset(a->first, 0, a->end - a->first);
	memcpy(header(inode), &magic, sizeof(magic));
}

/* ---- system.data ---- */

/* Its entry, or NULL; *RET is ibody_area()'s. */
static ea_entry *find_inline(struct inode *inode, struct ea_area *a, int *ret)
{
	ea_entry *e;

	*ret = ibody_area(inode, a);
	if (*ret <= 0)
		return NULL;
	e = ea_find(a, &inline_key);
	if (e && e->e_value_inum) {
		*ret = fs_corrupt(inode->fs, inode->ino, 0,
				  "inline data in another inode");
		return NULL;
	}
	return e;
}

ssize_t xattr_inline_get(struct inode *inode, void *buf, size_t size)
{
	struct ea_area a;
	int ret;
	ea_entry *e = find_inline(inode, &a, &ret);
	size_t len;

	if (!e)
		return ret < 0 ? ret : -ENODATA;
	len = le32toh(e->e_value_size);
	if (len && size)
		memcpy(buf, ea_data(&a, e), len < size ? len : size);
	return len;
}

size_t xattr_inline_max(struct inode *inode)
{
	struct ea_area a;
	int ret;
	ea_entry *e = find_inline(inode, &a, &ret);
	size_t room, head = ea_need(inline_key.len, 0);

	if (ret < 0)
		return 0;
	room = ibody_room(&a, ret) + (e ? ea_entry_need(e) : 0);
	return room > head ? (room - head) & ~(size_t)EXT2_EXT_ATTR_ROUND : 0;
}

int xattr_inline_set(struct txn *t, struct inode *inode, const void *data,
		     size_t size)
{
	struct ea_value v = { .data = data, .size = size };
	struct ea_area a;
	int ret, err;
	ea_entry *e = find_inline(inode, &a, &ret);
	size_t room;

	if (ret < 0)
		return ret;
	room = ibody_room(&a, ret) + (e ? ea_entry_need(e) : 0);
	if (room < ea_need(inline_key.len, size))
		return -ENOSPC;
	err = inode_dirty(t, inode);
	if (err)
		return err;
	if (!ret)
		ibody_init(inode, &a);
	if (e)
		ea_remove(&a, e);
	ea_insert(&a, &inline_key, &v);
	return 0;
}

int xattr_inline_remove(struct txn *t, struct inode *inode)
{
	struct ea_area a;
	int ret, err;
	ea_entry *e = find_inline(inode, &a, &ret);

	if (!e)
		return ret < 0 ? ret : -ENODATA;
	err = inode_dirty(t, inode);
	if (!err)
		ea_remove(&a, e);
	return err;
}
