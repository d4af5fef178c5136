/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * htree_add.c - the index of a hashed directory: making and growing it.
 *
 * A full leaf is split where half of its bytes are, preferably between two
 * different hashes; the new half's first hash goes into the node above.  Full
 * nodes are split before that, and a full root moves its entries into a new
 * node below it.  Everything happens in the caller's transaction: if a step
 * fails, all of it is undone by aborting that.
 *
 * A directory whose index is damaged is not added to.  Needs the volume lock.
 */
#include "dir_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../journal/txn.h"

/* An entry on its way from one leaf to another. */
struct dx_item {
	uint32_t hash;
	unsigned size;			/* bytes that it needs */
	struct dir_new n;
};

struct dx_items {
	struct dx_item *v;
	unsigned n;
	unsigned bytes;
	uint8_t *copy;			/* the leaf that the names are in */
};

static int dx_damaged(struct inode *dir, const char *what)
{
	return fs_corrupt(dir->fs, dir->ino, 0, "directory index: %s", what);
}

static int dx_item_cmp(const void *a, const void *b)
{
	const struct dx_item *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static void items_free(struct dx_items *it)
{
	free(it->v);
	free(it->copy);
}

static int items_put(struct inode *dir, struct dx_items *it, unsigned version,
		     const struct dir_new *n)
{
	struct dx_item *x = &it->v[it->n];
	struct dir_hash h;
	int err;

	err = dir_hash(dir, version, n->name, n->len, &h);
	if (err)
		return err;
	x->hash = h.major;
	x->size = de_size(n->len);
	x->n = *n;
	it->bytes += x->size;
	it->n++;
	return 0;
}

/*
 * All entries of the leaf B (without "." and ".."), and N, by hash.  To be
 * freed with items_free() if 0.
 */
static int items_take(struct inode *dir, const struct buf *b, unsigned version,
		      const struct dir_new *n, struct dx_items *it)
{
	struct dirents l = dir_block_list(dir->fs, b);
	struct dirent_ref e;
	unsigned off = 0;
	int ret;

	memset(it, 0, sizeof(*it));
	it->v = malloc((l.len / DE_MIN + 1) * sizeof(*it->v));
	it->copy = malloc(l.len);
	ret = -ENOMEM;
	if (!it->v || !it->copy)
		goto fail;
	memcpy(it->copy, l.p, l.len);
	l.p = it->copy;
	while ((ret = dirents_next(&l, &off, &e)) > 0) {
		struct dir_new old = { e.name, e.name_len, e.ino, e.type };

		if (!e.ino || dir_is_dots(e.name, e.name_len))
			continue;
		ret = -EFSCORRUPTED;
		if (!e.name_len)
			goto fail;
		ret = items_put(dir, it, version, &old);
		if (ret)
			goto fail;
	}
	if (!ret)
		ret = items_put(dir, it, version, n);
	if (ret)
		goto fail;
	qsort(it->v, it->n, sizeof(*it->v), dx_item_cmp);
	return 0;
fail:
	items_free(it);
	return ret;
}

/* Writes items FIRST..END-1 into B, an emptied leaf, without gaps. */
static void items_write(struct fs *fs, struct buf *b, const struct dx_items *it,
			unsigned first, unsigned end)
{
	struct dirents l;
	unsigned i, off = 0;

	dir_leaf_init(fs, b->data);
	l = dir_block_list(fs, b);
	for (i = first; i < end; i++) {
		const struct dx_item *x = &it->v[i];

		dirent_write(&l, off, i + 1 < end ? x->size : l.len - off, &x->n);
		off += x->size;
	}
}

/*
 * Where to cut: as near to the middle as both halves allow; between equal
 * hashes only if there is no other place.  0 if there is none at all.
 */
static unsigned items_cut(const struct fs *fs, const struct dx_items *it)
{
	unsigned room = dir_leaf_bytes(fs), left = 0, best = 0, best_gap = 0, i;
	bool best_equal = true;

	for (i = 1; i < it->n; i++) {
		bool equal = it->v[i].hash == it->v[i - 1].hash;
		unsigned right, gap;

		left += it->v[i - 1].size;
		right = it->bytes - left;
		if (left > room || right > room)
			continue;
		gap = left > right ? left - right : right - left;
		if (best && (equal > best_equal ||
			     (equal == best_equal && gap >= best_gap)))
			continue;
		best = i;
		best_gap = gap;
		best_equal = equal;
	}
	return best;
}

/* Hash of the entry for the half that begins at item CUT. */
static uint32_t items_cut_hash(const struct dx_items *it, unsigned cut)
{
	return it->v[cut].hash | (it->v[cut].hash == it->v[cut - 1].hash);
}

static void dx_set_counts(struct dx_frame *f, unsigned limit, unsigned count)
{
	struct ext2_dx_countlimit *cl = (void *)dx_entries(f);

	cl->limit = htole16(limit);
	cl->count = htole16(count);
}

/* Room for one more?  Counts are checked anew: a damaged bitmap or map may
 * have given one block two roles in the meantime. */
static bool dx_has_room(const struct fs *fs, const struct dx_frame *f)
{
	return dx_count(f) < dx_limit(fs, f->entries);
}

/* Enters (HASH, LBLK) behind the entry taken in F, which has room. */
static int dx_insert(struct txn *t, struct inode *dir, struct dx_frame *f,
		     uint32_t hash, uint32_t lblk)
{
	struct ext2_dx_entry *e;
	unsigned count;
	int err;

	err = txn_write(t, f->b);
	if (err)
		return err;
	count = dx_count(f);
	if (f->at >= count || !dx_has_room(dir->fs, f))
		return dx_damaged(dir, "changed under an insert");
	e = dx_entries(f) + f->at + 1;
	memmove(e + 1, e, (count - f->at - 1) * sizeof(*e));
	e->hash = htole32(hash);
	e->block = htole32(lblk);
	dx_set_counts(f, dx_limit(dir->fs, f->entries), count + 1);
	return 0;
}

/* A new, empty node at the end of the directory; F holds it. */
static int dx_new_node(struct txn *t, struct inode *dir, struct dx_frame *f)
{
	struct fs *fs = dir->fs;
	struct dirents l;
	int err;

	err = dir_block_append(t, dir, &f->lblk, &f->b);
	if (err)
		return err;
	l = (struct dirents){ f->b->data, fs->blocksize, fs->blocksize };
	dirents_clear(&l);
	f->entries = DX_NODE_ENTRIES;
	f->at = 0;
	dx_set_counts(f, dx_limit(fs, f->entries), 0);
	return 0;
}

/* Moves COUNT entries from FROM on of F into the new node G. */
static void dx_move(struct fs *fs, struct dx_frame *f, unsigned from,
		    unsigned count, struct dx_frame *g)
{
	unsigned limit = dx_limit(fs, g->entries);

	assert(count <= limit);
	memcpy(dx_entries(g), dx_entries(f) + from, count * sizeof(struct ext2_dx_entry));
	dx_set_counts(g, limit, count);
	memset(dx_entries(f) + from + !from, 0,
	       (count - !from) * sizeof(struct ext2_dx_entry));
}

/* A level more: the root's entries move into a node of their own. */
static int dx_grow(struct txn *t, struct dx_path *p)
{
	struct inode *dir = p->dir;
	struct dx_frame node, *root = &p->f[0];
	struct ext2_dx_root_info *info;
	unsigned count;
	int err;

	if (p->levels >= dx_max_levels(dir->fs))
		return -ENOSPC;
	err = txn_write(t, root->b);
	if (!err)
		err = dx_new_node(t, dir, &node);
	if (err)
		return err;
	count = dx_count(root);
	if (!count || count > dx_limit(dir->fs, root->entries)) {
		cache_put(node.b);
		return dx_damaged(dir, "changed under a new level");
	}
	node.at = root->at;
	dx_move(dir->fs, root, 0, count, &node);
	root->at = 0;
	dx_entries(root)[0].block = htole32(node.lblk);
	dx_set_counts(root, dx_limit(dir->fs, root->entries), 1);
	info = (void *)(root->b->data + DX_ROOT_INFO);
	info->indirect_levels++;
	memmove(&p->f[2], &p->f[1], (p->levels - 1) * sizeof(p->f[0]));
	p->f[1] = node;
	p->levels++;
	return 0;
}

/* Splits the node in frame I, whose parent has room; the path follows the
 * half that has the entry taken. */
static int dx_split_node(struct txn *t, struct dx_path *p, unsigned i)
{
	struct inode *dir = p->dir;
	struct dx_frame *f = &p->f[i], *up = f - 1, node;
	unsigned count, keep;
	uint32_t hash;
	int err;

	err = txn_write(t, f->b);
	if (!err)
		err = dx_new_node(t, dir, &node);
	if (err)
		return err;
	count = dx_count(f);
	keep = count / 2;
	err = -EFSCORRUPTED;
	if (keep && count <= dx_limit(dir->fs, f->entries)) {
		hash = le32toh(dx_entries(f)[keep].hash);
		dx_move(dir->fs, f, keep, count - keep, &node);
		dx_set_counts(f, dx_limit(dir->fs, f->entries), keep);
		err = dx_insert(t, dir, up, hash, node.lblk);
	}
	if (err || f->at < keep) {
		cache_put(node.b);
		return err;
	}
	node.at = f->at - keep;
	up->at++;
	cache_put(f->b);
	*f = node;
	return 0;
}

/* Makes room for one entry in the lowest frame.  -ENOSPC: the tree is full. */
static int dx_make_room(struct txn *t, struct dx_path *p)
{
	const struct fs *fs = p->dir->fs;
	int tries, err;

	for (tries = 0; tries < 2 * DX_FRAMES; tries++) {
		unsigned i = p->levels;

		if (dx_has_room(fs, &p->f[i - 1]))
			return 0;
		while (i && !dx_has_room(fs, &p->f[i - 1]))
			i--;
		err = i ? dx_split_node(t, p, i) : dx_grow(t, p);
		if (err)
			return err;
	}
	return dx_damaged(p->dir, "no room after splitting");
}

/* The hashes in the leaf must be the ones that belong there, or a split would
 * put the parent out of order. */
static bool dx_in_bounds(const struct dx_path *p, const struct dx_items *it)
{
	uint32_t lo, hi;

	dx_bounds(p, &lo, &hi);
	return it->v[0].hash >= (lo & ~1u) && it->v[it->n - 1].hash < hi;
}

static int dx_split_leaf(struct txn *t, struct dx_path *p, struct buf *leaf,
			 const struct dx_items *it)
{
	struct inode *dir = p->dir;
	unsigned cut = items_cut(dir->fs, it);
	struct buf *b;
	uint32_t lblk;
	int err;

	if (!cut || !dx_in_bounds(p, it))
		return dx_damaged(dir, "entries in the wrong leaf");
	err = dx_make_room(t, p);
	if (!err)
		err = txn_write(t, leaf);
	if (!err)
		err = dir_block_append(t, dir, &lblk, &b);
	if (err)
		return err;
	items_write(dir->fs, leaf, it, 0, cut);
	items_write(dir->fs, b, it, cut, it->n);
	cache_put(b);
	return dx_insert(t, dir, &p->f[p->levels - 1], items_cut_hash(it, cut),
			 lblk);
}

/* There is no dirent in LEAF with enough room: closes its gaps, or splits. */
static int dx_add_full(struct txn *t, struct dx_path *p, struct buf *leaf,
		       const struct dir_new *n)
{
	struct fs *fs = p->dir->fs;
	struct dx_items it;
	int err;

	err = items_take(p->dir, leaf, p->version, n, &it);
	if (err)
		return err;
	if (it.bytes <= dir_leaf_bytes(fs)) {
		err = txn_write(t, leaf);
		if (!err)
			items_write(fs, leaf, &it, 0, it.n);
	} else {
		err = dx_split_leaf(t, p, leaf, &it);
	}
	items_free(&it);
	return err;
}

static int dx_add_to_leaf(struct txn *t, struct dx_path *p, struct buf *leaf,
			  const struct dir_new *n)
{
	struct dirents l = dir_block_list(p->dir->fs, leaf);
	unsigned off;
	int ret;

	if (!dir_block_is_leaf(p->dir->fs, leaf))
		return dx_damaged(p->dir, "a node in the place of a leaf");
	ret = dirents_room(&l, de_size(n->len), &off);
	if (ret < 0)
		return ret;
	if (!ret)
		return dx_add_full(t, p, leaf, n);
	ret = txn_write(t, leaf);
	if (ret)
		return ret;
	l = dir_block_list(p->dir->fs, leaf);
	dirents_put(&l, off, n);
	return 0;
}

int dx_add(struct txn *t, struct inode *dir, const struct dir_new *n)
{
	struct dir_hash h;
	struct dx_path p;
	struct buf *leaf;
	int err;

	if (dir_has_disk_hash(dir))
		return -EOPNOTSUPP;
	err = dx_probe_name(dir, n->name, n->len, &h, &p);
	if (err == DX_BAD)
		err = -EFSCORRUPTED;
	if (!err)
		err = dir_block_get(dir, p.leaf, &leaf);
	if (!err) {
		err = dx_add_to_leaf(t, &p, leaf, n);
		cache_put(leaf);
	}
	dx_release(&p);
	return err;
}

bool dx_can_make(struct inode *dir, const struct buf *b)
{
	struct ext2_super_block *sb = dir->fs->e2->super;
	struct dirents l = dir_block_list(dir->fs, b);
	struct dirent_ref dot, dotdot;
	unsigned off = 0;

	if (!ext2fs_has_feature_dir_index(sb) || dir_blocks(dir) != 1 ||
	    (dir->i.flags & EXT2_INDEX_FL) || dir_has_disk_hash(dir) ||
	    !dir_hash_known(sb->s_def_hash_version))
		return false;
	return dirents_next(&l, &off, &dot) > 0 && dot.rec_len == DE_MIN &&
	       dot.name_len == 1 && dot.name[0] == '.' &&
	       dirents_next(&l, &off, &dotdot) > 0 && dotdot.off == DE_MIN &&
	       dotdot.name_len == 2 && !memcmp(dotdot.name, "..", 2);
}

/* Turns B, block 0 with "." and "..", into a root that has one entry. */
static void dx_init_root(struct inode *dir, struct buf *b)
{
	struct fs *fs = dir->fs;
	struct ext2_dir_entry_2 *dotdot = (void *)(b->data + DE_MIN);
	struct ext2_dx_root_info *info = (void *)(b->data + DX_ROOT_INFO);
	struct dx_frame f = { .b = b, .entries = DX_ROOT_ENTRIES };

	memset(b->data + DX_ROOT_INFO, 0, fs->blocksize - DX_ROOT_INFO);
	dotdot->rec_len = htole16(de_raw_len(fs->blocksize - DE_MIN,
					     fs->blocksize));
	info->hash_version = fs->e2->super->s_def_hash_version;
	info->info_length = sizeof(*info);
	dx_entries(&f)[0].block = htole32(1);
	dx_set_counts(&f, dx_limit(fs, f.entries), 1);
}

static int dx_make_leaves(struct txn *t, struct inode *dir, struct buf *root,
			  const struct dx_items *it, unsigned cut)
{
	struct dx_frame f = { .b = root, .entries = DX_ROOT_ENTRIES };
	struct buf *b;
	uint32_t lblk;
	int i, err;

	for (i = 0; i < 2; i++) {
		err = dir_block_append(t, dir, &lblk, &b);
		if (err)
			return err;
		items_write(dir->fs, b, it, i ? cut : 0, i ? it->n : cut);
		cache_put(b);
	}
	return dx_insert(t, dir, &f, items_cut_hash(it, cut), lblk);
}

int dx_make(struct txn *t, struct inode *dir, struct buf *b,
	    const struct dir_new *n)
{
	struct dx_items it;
	unsigned cut;
	int err;

	err = items_take(dir, b, dir->fs->e2->super->s_def_hash_version, n, &it);
	if (err)
		return err;
	cut = items_cut(dir->fs, &it);
	err = inode_dirty(t, dir);
	if (!err)
		err = txn_write(t, b);
	if (!err && !cut)
		err = dx_damaged(dir, "cannot divide the first block");
	if (!err) {
		dir->i.flags |= EXT2_INDEX_FL;
		dx_init_root(dir, b);
		err = dx_make_leaves(t, dir, b, &it, cut);
	}
	items_free(&it);
	return err;
}
