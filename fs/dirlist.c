/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirlist.c - listing a directory with cookies that stay valid.
 *
 * Cookies 1 and 2 stand behind "." and "..", which come first.  Then, where
 * the directory is or may become hashed, entries come in hash order:
 *
 *	bit 62..32	major hash, halved	| group: 53 bits, from the name
 *	bit 31..10	minor hash		|
 *	bit  9..0	ordinal among names of one group, by name
 *
 * so a cookie depends on nothing but the name, wherever entries move when
 * leaves are split.  Other directories give byte positions; entries never
 * move there.  An inline directory counts as the block that it would be.
 *
 * A hashed directory is listed leaf by leaf, sorting each with those that
 * continue its last hash.  One-block and inline ones, and those with a
 * damaged index, are sorted as a whole, at most LIST_MAX entries at a time.
 *
 * Needs the volume lock, also while EMIT runs.
 */
#include "dir_internal.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX	65536u
#define GROUP_SHIFT	10
#define GROUP_MAX	(1u << GROUP_SHIFT)

enum { COOKIE_START, COOKIE_DOT, COOKIE_DOTDOT, COOKIE_FIRST };

struct list_item {
	uint64_t group;
	uint32_t ino;
	uint32_t name;			/* offset in names */
	uint8_t len, type;
};

struct list {
	struct inode *dir;
	unsigned version;		/* of the hash */
	dir_emit_fn emit;
	void *ctx;
	uint64_t cookie;		/* entries before it are not wanted */
	int err;			/* first block that could not be read */
	struct list_item *v;
	unsigned n, cap;
	char *names;
	uint32_t names_len, names_cap;
	bool cut;			/* there is more, above this: */
	struct list_item limit;
	char limit_name[EXT2_NAME_LEN];
};

static uint8_t list_type(const struct inode *dir, uint8_t type)
{
	if (!ext2fs_has_feature_filetype(dir->fs->e2->super) ||
	    type >= EXT2_FT_MAX)
		return EXT2_FT_UNKNOWN;
	return type;
}

static int name_cmp(const char *a, unsigned alen, const char *b, unsigned blen)
{
	int ret = memcmp(a, b, alen < blen ? alen : blen);

	return ret ? ret : (int)alen - (int)blen;
}

static int list_cmp(const void *a, const void *b, void *ctx)
{
	const struct list_item *x = a, *y = b;
	const struct list *list = ctx;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return name_cmp(list->names + x->name, x->len,
			list->names + y->name, y->len);
}

static void list_sort(struct list *list)
{
	if (list->n > 1)
		qsort_r(list->v, list->n, sizeof(*list->v), list_cmp, list);
}

static void list_reset(struct list *list)
{
	list->n = 0;
	list->names_len = 0;
	list->cut = false;
}

static int list_reserve(struct list *list, unsigned len)
{
	if (list->n == list->cap) {
		unsigned cap = list->cap ? list->cap * 2 : 128;
		void *v = realloc(list->v, cap * sizeof(*list->v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	if (list->names_cap - list->names_len < len) {
		uint32_t cap = list->names_cap ? list->names_cap * 2 : 4096;
		void *names = realloc(list->names, cap);

		if (!names)
			return -ENOMEM;
		list->names = names;
		list->names_cap = cap;
	}
	return 0;
}

/* Drops the upper half of a full list; what lies above it is not taken any
 * more, and found when the list is filled again. */
static int list_halve(struct list *list)
{
	struct list_item *last;
	uint32_t i, used = 0;
	char *names;

	list_sort(list);
	names = malloc(list->names_cap);
	if (!names)
		return -ENOMEM;
	list->n /= 2;
	for (i = 0; i < list->n; i++) {
		memcpy(names + used, list->names + list->v[i].name,
		       list->v[i].len);
		list->v[i].name = used;
		used += list->v[i].len;
	}
	free(list->names);
	list->names = names;
	list->names_len = used;
	last = &list->v[list->n - 1];
	list->cut = true;
	list->limit = *last;
	memcpy(list->limit_name, names + last->name, last->len);
	return 0;
}

/* Does the entry lie beyond where the list was cut? */
static bool list_above(const struct list *list, uint64_t group,
		       const struct dirent_ref *e)
{
	if (!list->cut || group < list->limit.group)
		return false;
	return group > list->limit.group ||
	       name_cmp(e->name, e->name_len, list->limit_name,
			list->limit.len) > 0;
}

/*
 * Takes an entry into the list.  Groups are taken as a whole, since the
 * ordinals need all of one.  LO and HI bound the leaf: an entry that does not
 * belong there (damage) is listed at its edge rather than missed.
 */
static int list_take(struct list *list, const struct dirent_ref *e,
		     uint32_t lo, uint32_t hi)
{
	struct list_item *it;
	struct dir_hash h;
	uint64_t group;
	int err;

	err = dir_hash(list->dir, list->version, e->name, e->name_len, &h);
	if (err)
		return err;
	if (h.major < (lo & ~1u))
		h.major = lo & ~1u;
	if (h.major >= hi)
		h.major = (hi - 1) & ~1u;
	group = dir_hash_group(list->dir, &h, list->version, e->name,
			       e->name_len);
	if (group < list->cookie >> GROUP_SHIFT)
		return 0;
	if (list_above(list, group, e))
		return 0;
	if (list->n == LIST_MAX) {
		err = list_halve(list);
		if (err || list_above(list, group, e))
			return err;
	}
	err = list_reserve(list, e->name_len);
	if (err)
		return err;
	it = &list->v[list->n++];
	*it = (struct list_item){ group, e->ino, list->names_len,
				  (uint8_t)e->name_len, e->type };
	memcpy(list->names + it->name, e->name, e->name_len);
	list->names_len += e->name_len;
	return 0;
}

/* Takes all entries of a list of dirents; bad ones are reported and left
 * out. */
static int list_take_all(struct list *list, const struct buf *b,
			 const struct dirents *l, uint32_t lo, uint32_t hi)
{
	struct dirent_ref e;
	unsigned off = 0;
	int ret;

	while ((ret = dirents_next(l, &off, &e)) > 0) {
		if (!e.ino || dir_is_dots(e.name, e.name_len) ||
		    dir_check_entry(list->dir, b, &e))
			continue;
		ret = list_take(list, &e, lo, hi);
		if (ret)
			return ret;
	}
	return ret;
}

/*
 * Sorts what was taken and hands it out.  Non-zero: what EMIT returned.  The
 * cookie moves behind the last one.
 */
static int list_emit(struct list *list)
{
	uint64_t ordinal = 0, from = list->cookie;
	unsigned i;
	int ret;

	list_sort(list);
	for (i = 0; i < list->n; i++) {
		const struct list_item *it = &list->v[i];
		uint64_t pos;

		if (!i || it->group != it[-1].group)
			ordinal = it->group ? 0 : COOKIE_FIRST;
		if (ordinal == GROUP_MAX) {
			fs_corrupt(list->dir->fs, list->dir->ino, 0,
				   "too many names with one hash to list");
			ordinal++;
		}
		if (ordinal > GROUP_MAX)
			continue;
		pos = it->group << GROUP_SHIFT | ordinal++;
		if (pos < from)
			continue;
		ret = list->emit(list->ctx, list->names + it->name, it->len,
				 it->ino, list_type(list->dir, it->type), pos + 1);
		if (ret)
			return ret;
		list->cookie = pos + 1;
	}
	if (list->cut && list->cookie == from)	/* only names beyond ordinals */
		list->cookie = (list->limit.group + 1) << GROUP_SHIFT;
	return 0;
}

/* Everything in the directory, wherever it is. */
static int list_take_directory(struct list *list)
{
	struct inode *dir = list->dir;
	struct dir_scan s;
	struct dirents l;
	struct buf *b;
	int ret;

	dir_scan_start(&s, dir, 0);
	while ((ret = dir_scan_next(&s, &b)) != 0) {
		if (ret > 0) {
			l = dir_block_list(dir->fs, b);
			ret = list_take_all(list, b, &l, 0, UINT32_MAX);
			cache_put(b);
		}
		if (ret == -ENOMEM)
			return ret;
		if (ret && !list->err)
			list->err = ret;
	}
	return 0;
}

static int list_take_inline(struct list *list)
{
	struct dir_inline d;
	int i, err;

	err = dir_inline_load(list->dir, &d);
	if (err)
		return err;
	for (i = 0; i < 2 && !err; i++)
		err = list_take_all(list, NULL, &d.l[i], 0, UINT32_MAX);
	dir_inline_free(&d);
	return err;
}

/* Lists without the help of an index, sorting everything. */
static int list_whole(struct list *list)
{
	int ret;

	do {
		list_reset(list);
		ret = inode_has_inline(list->dir) ? list_take_inline(list) :
			list_take_directory(list);
		if (!ret)
			ret = list_emit(list);
	} while (!ret && list->cut);
	return ret;
}

/*
 * Takes the leaf of the path, and those that continue its last hash.  The
 * path moves to the leaf after them: 1, or 0 if there is none.  -EFSCORRUPTED
 * only if the index is damaged; bad leaves are passed over.
 */
static int list_take_leaves(struct list *list, struct dx_path *p)
{
	struct inode *dir = list->dir;
	uint64_t left = dir_blocks(dir);
	struct dirents l;
	uint32_t lo, hi;
	struct buf *b;
	int ret;

	do {
		dx_bounds(p, &lo, &hi);
		if (hi < lo || (hi == lo && !(hi & 1)) || !left--)
			return -EFSCORRUPTED;
		ret = dir_block_get(dir, p->leaf, &b);
		if (!ret) {
			l = dir_block_list(dir->fs, b);
			ret = list_take_all(list, b, &l, lo, hi);
			cache_put(b);
		}
		if (ret == -ENOMEM)
			return ret;
		if (ret && !list->err)
			list->err = ret;
		ret = dx_next_leaf(p);
	} while (ret > 0 && (hi & 1));
	return ret;
}

/* Lists from the cookie to the end, or as far as one filling of the list
 * goes if it was cut. */
static int list_leaves(struct list *list, bool *bad)
{
	bool more = true;
	struct dx_path p;
	int ret;

	list_reset(list);
	ret = dx_probe_hash(list->dir, (uint32_t)(list->cookie >> 32) << 1, &p);
	list->version = p.version;
	*bad = ret != 0;
	while (!ret && more && !list->cut) {
		list_reset(list);
		ret = list_take_leaves(list, &p);
		*bad = ret < 0;
		if (ret < 0)
			break;
		more = ret;
		ret = list_emit(list);
	}
	dx_release(&p);
	return ret;
}

/* *BAD: the index cannot be used from here on; the cookie says where. */
static int list_hashed(struct list *list, bool *bad)
{
	int ret;

	do {
		ret = list_leaves(list, bad);
	} while (!ret && list->cut);
	return ret;
}

static int list_by_hash(struct list *list)
{
	bool bad;
	int ret;

	if (inode_has_inline(list->dir) || !dir_is_dx(list->dir))
		return list_whole(list);
	ret = list_hashed(list, &bad);
	if (!bad || ret == -ENOMEM)
		return ret;
	return list_whole(list);
}

/*
 * Hands out L, which begins at byte BASE of the directory.  Starting from
 * the list's beginning finds the next dirent even if the one that the cookie
 * pointed at has been merged into the one before.
 */
static int list_positions(struct list *list, const struct buf *b,
			  const struct dirents *l, uint64_t base)
{
	struct dirent_ref e;
	unsigned off = 0;
	int ret;

	while ((ret = dirents_next(l, &off, &e)) > 0) {
		if (!e.ino || dir_is_dots(e.name, e.name_len) ||
		    (list->cookie >= COOKIE_FIRST && base + e.off < list->cookie) ||
		    dir_check_entry(list->dir, b, &e))
			continue;
		ret = list->emit(list->ctx, e.name, e.name_len, e.ino,
				 list_type(list->dir, e.type), base + off);
		if (ret)
			return ret;
	}
	if (ret && !list->err)
		list->err = ret;
	return 0;
}

static int list_linear(struct list *list)
{
	struct inode *dir = list->dir;
	unsigned bits = dir->fs->blockbits;
	struct dir_scan s;
	struct dirents l;
	struct buf *b;
	int ret;

	dir_scan_start(&s, dir, list->cookie >> bits);
	while ((ret = dir_scan_next(&s, &b)) != 0) {
		if (ret == -ENOMEM)
			return ret;
		if (ret < 0) {
			if (!list->err)
				list->err = ret;
			continue;
		}
		l = dir_block_list(dir->fs, b);
		ret = list_positions(list, b, &l, (uint64_t)s.lblk << bits);
		cache_put(b);
		if (ret)
			return ret;
	}
	return 0;
}

static int list_inline(struct list *list)
{
	uint64_t base = 2 * DE_MIN;	/* behind "." and ".." of a block */
	struct dir_inline d;
	int i, ret;

	ret = dir_inline_load(list->dir, &d);
	if (ret)
		return ret;
	for (i = 0; i < 2 && !ret; i++) {
		ret = list_positions(list, NULL, &d.l[i], base);
		base += d.l[i].len;
	}
	dir_inline_free(&d);
	return ret;
}

/* "." and ".."; a directory that has lost ".." is listed without. */
static int list_dots(struct list *list)
{
	struct inode *dir = list->dir;
	uint8_t type = list_type(dir, EXT2_FT_DIR);
	uint32_t parent;
	int ret;

	if (list->cookie == COOKIE_START) {
		ret = list->emit(list->ctx, ".", 1, dir->ino, type, COOKIE_DOT);
		if (ret)
			return ret;
		list->cookie = COOKIE_DOT;
	}
	if (list->cookie == COOKIE_DOT) {
		ret = dir_get_parent(dir, &parent);
		if (ret == -ENOMEM)
			return ret;
		if (!ret)
			ret = list->emit(list->ctx, "..", 2, parent, type,
					 COOKIE_DOTDOT);
		else
			ret = 0;
		if (ret)
			return ret;
		list->cookie = COOKIE_DOTDOT;
	}
	return 0;
}

/* Is the directory listed in hash order?  As long as it is small that holds
 * for what it is going to be when it grows. */
static bool list_wants_hash(const struct inode *dir)
{
	struct ext2_super_block *sb = dir->fs->e2->super;

	if (!ext2fs_has_feature_dir_index(sb) || dir_has_disk_hash(dir))
		return false;
	if (dir_is_dx(dir) && !inode_has_inline(dir))
		return true;
	return dir_hash_known(sb->s_def_hash_version) &&
	       (inode_has_inline(dir) || dir_blocks(dir) == 1);
}

int dir_iterate(struct inode *dir, uint64_t cookie, dir_emit_fn emit, void *ctx)
{
	struct list list = {
		.dir = dir, .emit = emit, .ctx = ctx, .cookie = cookie,
		.version = dir->fs->e2->super->s_def_hash_version,
	};
	int ret;

	if (cookie > INT64_MAX)
		return 0;
	ret = list_dots(&list);
	if (!ret) {
		if (list_wants_hash(dir))
			ret = list_by_hash(&list);
		else if (inode_has_inline(dir))
			ret = list_inline(&list);
		else
			ret = list_linear(&list);
	}
	free(list.v);
	free(list.names);
	return ret ? ret : list.err;
}
