/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fcreplay.c - doing again what fast commits say was done.
 *
 * Knows what the notes mean for inodes, maps and directories; not where they
 * were kept (journal/fastcommit.c), nor how the result reaches the disk: at
 * once, or not at all (journal/recover.c).  So nothing here has to be done
 * twice.  Takes the volume lock for each note.
 *
 * What the notes leave to us:
 *
 * - A directory's blocks are not in them, its names are.  So ranges, size and
 *   layout of directories are ours, and not the notes'.  (e2fsck 1.47 enters
 *   the ranges of directories and so may end with blocks that were never
 *   written.)
 * - An inode comes without its map, which ranges give; but what is kept in
 *   i_block without being one (devices, short links, inline data) comes with
 *   it.
 * - i_blocks, bitmaps and counts follow from what is done.  (e2fsck 1.47
 *   rebuilds them in a full check afterwards.)
 * - Names count links up and down, of directories' parents as well; a note of
 *   the inode that comes later has the right count anyway, but need not come.
 *   (The kernel leaves a new directory with one link then, and its parent with
 *   one too few.)  What the last name leaves without such a note is deleted.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/alloc.h"
#include "fs/dir.h"
#include "fs/fcindex.h"
#include "fs/fs.h"
#include "fs/group.h"
#include "fs/inode.h"
#include "fs/inode_disk.h"
#include "fs/map.h"
#include "fs/namei_internal.h"
#include "fs/orphan.h"
#include "journal/fastcommit.h"
#include "journal/txn.h"
#include "sys/log.h"

/* Flags that say how a directory is laid out. */
#define LAYOUT	(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL | EXT2_INDEX_FL)

struct replay {
	struct fs *fs;
	const struct fastcommit *fc;
	size_t at;			/* note being followed */
	struct fc_index index;
};

static int bad_note(const struct fc_note *n, const char *what)
{
	msg_err("The journal is damaged: a fast commit has %s (inode #%u).",
		what, n->ino);
	return -EFSCORRUPTED;
}

/* ---- ranges ---- */

/*
 * Is the cluster of BLK free, and not reserved?  *SKIP blocks to where it is
 * worth asking again: ranges may come many times.
 */
static int is_free(struct fs *fs, uint64_t blk, uint64_t *skip)
{
	int used;

	*skip = fs->cluster_ratio;
	if (!resv_clear(fs->groups, blk, 1, skip))
		return 0;
	used = block_in_use(fs, blk);
	return used < 0 ? used : !used;
}

/* Blocks of ranges to come must not become something else before. */
static int reserve_range(struct fs *fs, const struct fc_note *n)
{
	uint64_t ratio = fs->cluster_ratio;
	uint64_t blk = n->pblk - (n->pblk - fs->first_data_block) % ratio;
	uint64_t end = n->pblk + n->count, start, skip = 0;
	int ret = 0;

	if (!fs_block_valid(fs, n->pblk, n->count))
		return bad_note(n, "blocks that are not a file's");
	while (blk < end) {
		start = blk;
		while (blk < end && (ret = is_free(fs, blk, &skip)) > 0)
			blk += ratio;
		if (blk > start)
			ret = resv_add(fs->groups, start, blk - start);
		else
			blk += skip;
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int reserve_ranges(struct replay *r)
{
	size_t i;
	int err = 0;

	for (i = 0; i < r->fc->count && !err; i++)
		if (r->fc->notes[i].tag == FC_ADD_RANGE)
			err = reserve_range(r->fs, &r->fc->notes[i]);
	return err;
}

/* Takes the blocks; with bigalloc the file may have the cluster already. */
static int take_blocks(struct txn *t, struct inode *inode, uint64_t lblk,
		       uint64_t pblk, uint64_t count, const struct fc_note *n)
{
	struct fs *fs = inode->fs;
	uint64_t ratio = fs->cluster_ratio, end = pblk + count, own;
	uint64_t blk = pblk - (pblk - fs->first_data_block) % ratio;
	int used, err = 0;

	for (; blk < end && !err; blk += ratio) {
		used = block_in_use(fs, blk);
		if (used < 0)
			return used;
		if (!used) {
			err = block_claim(t, inode, blk, ratio);
			continue;
		}
		own = 0;
		if (ratio > 1)
			err = map_cluster(inode, blk > pblk ?
					  lblk + (blk - pblk) : lblk, &own);
		if (!err && (!own || own - own % ratio !=
				     (blk > pblk ? blk : pblk) -
				     (blk > pblk ? blk : pblk) % ratio))
			err = bad_note(n, "blocks that are in use");
	}
	return err;
}

/* As much of LBLK.. as is of one kind.  *DONE blocks are as they should be. */
static int add_piece(struct txn *t, struct inode *inode,
		     const struct fc_note *n, uint64_t skip, uint64_t *done)
{
	uint64_t lblk = n->lblk + skip, pblk = n->pblk + skip;
	struct map m;
	int err;

	*done = 0;
	err = map_lookup(inode, lblk, n->count - skip, &m);
	if (!err)
		err = inode_dirty(t, inode);
	if (err)
		return err;
	if (m.state == MAP_HOLE) {
		err = take_blocks(t, inode, lblk, pblk, m.len, n);
		if (!err)
			err = map_insert(t, inode, lblk, pblk, m.len,
					 n->unwritten);
		*done = m.len;
		return err;
	}
	if (m.pblk != pblk || (n->unwritten && m.state == MAP_WRITTEN)) {
		err = map_remove(t, inode, lblk, m.len);
		return err < 0 ? err : 0;
	}
	*done = m.len;
	if (m.state == MAP_UNWRITTEN && !n->unwritten)
		err = map_convert(t, inode, lblk, m.len);
	return err;
}

static int add_range(struct inode *inode, const struct fc_note *n)
{
	uint64_t skip = 0, done;
	struct txn *t;
	int err = 0;

	while (skip < n->count && !err) {
		err = txn_begin(inode->fs, TXN_WRITE, &t);
		if (err)
			return err;
		err = txn_stop(t, add_piece(t, inode, n, skip, &done));
		skip += done;
	}
	return err;
}

static int del_range(struct inode *inode, const struct fc_note *n)
{
	struct txn *t;
	int ret;

	do {
		ret = txn_begin(inode->fs, TXN_TRUNCATE, &t);
		if (ret)
			return ret;
		ret = inode_dirty(t, inode);
		if (!ret)
			ret = map_remove(t, inode, n->lblk, n->count);
		txn_stop(t, ret < 0 ? ret : 0);
	} while (ret == 1);
	return ret;
}

static int do_range(struct replay *r, const struct fc_note *n)
{
	struct inode *inode;
	int err;

	err = inode_get_any(r->fs, n->ino, &inode);
	if (err)
		return bad_note(n, "a range of no file");
	if (S_ISDIR(inode->i.mode) || inode_has_inline(inode))
		err = 0;
	else if (n->tag == FC_ADD_RANGE)
		err = add_range(inode, n);
	else if (n->count)
		err = del_range(inode, n);
	inode_put(inode);
	return err;
}

/* ---- inodes ---- */

/* The fields that every inode has, on an address that suits them. */
static struct ext2_inode raw_inode(const struct fc_note *n)
{
	struct ext2_inode raw;

	_Static_assert(sizeof(raw) == EXT2_GOOD_OLD_INODE_SIZE, "inode");
	memcpy(&raw, n->data, sizeof(raw));
	return raw;
}

/* Bytes of the note before what may be attributes or contents. */
static size_t fixed_size(const struct fc_note *n)
{
	size_t fixed = EXT2_GOOD_OLD_INODE_SIZE;
	uint16_t extra = 0;

	if (n->len >= fixed + sizeof(extra))
		memcpy(&extra, n->data + fixed, sizeof(extra));
	fixed += le16toh(extra);
	return fixed < n->len ? fixed : n->len;
}

/* What is not the note's to say. */
static void keep_map(struct inode *inode, const struct inode_core *old,
		     bool made)
{
	struct inode_core *c = &inode->i;

	c->blocks = old->blocks;
	if (S_ISDIR(c->mode)) {
		c->size = old->size;
		c->flags = (c->flags & ~LAYOUT) | (old->flags & LAYOUT);
		memcpy(c->block, old->block, sizeof(c->block));
	} else if (c->flags & EXT4_INLINE_DATA_FL) {
		return;
	} else if (c->flags & EXT4_EXTENTS_FL) {
		if (!made && (old->flags & EXT4_EXTENTS_FL))
			memcpy(c->block, old->block, sizeof(c->block));
		else
			map_init(inode);
	} else if (S_ISREG(c->mode)) {
		memset(c->block, 0, sizeof(c->block));
		if (!made && !(old->flags & LAYOUT))
			memcpy(c->block, old->block, sizeof(c->block));
	}
}

/* The note's bytes into the body: of directories not what may be contents. */
static int take_inode(struct replay *r, struct inode *inode,
		      const struct fc_note *n, bool made)
{
	struct inode_core old = inode->i;
	int err;

	memcpy(inode->body, n->data, S_ISDIR(le16toh(raw_inode(n).i_mode)) ?
	       fixed_size(n) : n->len);
	err = inode_decode_body(inode);
	if (err)
		return err;
	if (!made && ((old.mode ^ inode->i.mode) & S_IFMT ||
		      old.generation != inode->i.generation))
		return bad_note(n, "another inode of that number");
	keep_map(inode, &old, made);
	inode->i.dtime = fc_index_listed(&r->index, n->ino) ?
			 old.dtime : 0;
	return 0;
}

/* The inode of the note; a new one where there was none.  *OUT NULL: it is
 * gone, and shall be. */
static int open_inode(struct replay *r, struct txn *t, const struct fc_note *n,
		      bool *made, struct inode **out)
{
	struct ext2_inode raw = raw_inode(n);
	uint16_t mode = le16toh(raw.i_mode);
	int used, err;

	*out = NULL;
	*made = false;
	used = inode_in_use(r->fs, n->ino);
	if (used < 0)
		return used;
	if (used) {
		err = inode_get_any(r->fs, n->ino, out);
		if (err != -ESTALE)
			return err;
	}
	if (!raw.i_links_count)
		return 0;
	*made = true;
	err = used ? 0 : inode_claim(t, n->ino, S_ISDIR(mode));
	if (!err)
		err = inode_new(t, n->ino, mode, out);
	if (!err)
		(*out)->i.size = (*out)->i.blocks = 0;
	return err;
}

static int inode_in_txn(struct replay *r, struct txn *t,
			const struct fc_note *n)
{
	struct inode *inode;
	bool made;
	int err;

	err = open_inode(r, t, n, &made, &inode);
	if (err || !inode)
		return err;
	err = inode_dirty(t, inode);
	if (!err)
		err = take_inode(r, inode, n, made);
	inode_put(inode);
	return err;
}

static int do_inode(struct replay *r, const struct fc_note *n)
{
	struct txn *t;
	int err;

	err = txn_begin(r->fs, TXN_CREATE, &t);
	if (err)
		return err;
	return txn_stop(t, inode_in_txn(r, t, n));
}

/* ---- names ---- */

static int add_name(struct txn *t, struct inode *dir, struct inode *inode,
		    const struct fc_note *n)
{
	const char *name = (const char *)n->data;
	uint32_t ino;
	int err;

	err = dir_lookup(dir, name, n->len, &ino, NULL);
	if (!err && ino == n->ino)
		return 0;
	if (!err)
		err = dir_set(t, dir, name, n->len, n->ino, inode->i.mode);
	else if (err == -ENOENT)
		err = dir_add(t, dir, name, n->len, n->ino, inode->i.mode);
	if (err)
		return err;
	if (S_ISDIR(inode->i.mode))
		namei_subdir_added(dir);
	else if (n->tag == FC_LINK)
		inode->i.links++;
	return 0;
}

/* A directory moved below DIR. */
static int set_parent(struct txn *t, struct inode *dir, struct inode *inode)
{
	uint32_t parent;
	int err = dir_get_parent(inode, &parent);

	if (!err && parent != dir->ino)
		err = dir_set_parent(t, inode, dir->ino);
	return err;
}

static int name_in_txn(struct txn *t, struct inode *dir, struct inode *inode,
		       const struct fc_note *n)
{
	bool is_dir = S_ISDIR(inode->i.mode);
	int err;

	err = inode_dirty(t, dir);
	if (!err)
		err = inode_dirty(t, inode);
	if (!err && is_dir && !inode->i.size)
		err = dir_init(t, inode, dir->ino);
	if (!err && n->tag == FC_CREAT)
		inode->i.links = is_dir ? 2 : 1;
	if (!err)
		err = add_name(t, dir, inode, n);
	if (!err && is_dir && n->tag == FC_LINK)
		err = set_parent(t, dir, inode);
	return err;
}

static int remove_name(struct txn *t, struct inode *dir, struct inode *inode,
		       const struct fc_note *n)
{
	const char *name = (const char *)n->data;
	uint32_t ino;
	int err;

	err = dir_lookup(dir, name, n->len, &ino, NULL);
	if (err == -ENOENT || (!err && ino != n->ino))
		return 0;
	if (!err)
		err = inode_dirty(t, dir);
	if (!err)
		err = inode_dirty(t, inode);
	if (!err)
		err = dir_remove(t, dir, name, n->len);
	if (err)
		return err;
	if (S_ISDIR(inode->i.mode)) {
		namei_subdir_gone(dir);
		/* moved, unless it leads back to here */
		if (dir_get_parent(inode, &ino) || ino == dir->ino)
			inode->i.links = 0;
	} else if (inode->i.links) {
		inode->i.links--;
	}
	return 0;
}

/* Deletes INODE, which has no names; uses up the reference.  Drops the lock
 * and takes it again. */
static int reap(struct replay *r, struct inode *inode)
{
	struct fs *fs = r->fs;
	struct txn *t;
	int err = 0;

	if (!inode->i.links && !inode->deleted &&
	    !fc_index_listed(&r->index, inode->ino)) {
		err = txn_begin(fs, TXN_ORPHAN, &t);
		if (!err)
			err = txn_stop(t, orphan_add(t, inode));
		if (!err) {
			fs_unlock(fs);
			err = inode_reap(inode);
			fs_lock(fs);
		}
	}
	inode_put(inode);
	return err;
}

static int do_name(struct replay *r, const struct fc_note *n)
{
	struct inode *dir, *inode;
	struct txn *t;
	int err;

	err = inode_get(r->fs, n->parent, &dir);
	if (err || !S_ISDIR(dir->i.mode)) {
		if (!err)
			inode_put(dir);
		return bad_note(n, "a name in no directory");
	}
	err = inode_get_any(r->fs, n->ino, &inode);
	if (err) {
		inode_put(dir);
		/* a name of what is gone for good */
		return n->tag == FC_UNLINK && err == -ESTALE ? 0 :
		       bad_note(n, "a name of no inode");
	}
	err = txn_begin(r->fs, TXN_RENAME, &t);
	if (!err)
		err = txn_stop(t, n->tag == FC_UNLINK ?
				  remove_name(t, dir, inode, n) :
				  name_in_txn(t, dir, inode, n));
	inode_put(dir);
	if (err || n->tag != FC_UNLINK || inode->i.links ||
	    fc_index_lives_on(&r->index, r->at, inode->ino,
			      inode->i.generation)) {
		inode_put(inode);
		return err;
	}
	return reap(r, inode);
}

/* ---- all of it ---- */

static bool is_name(const struct fc_note *n)
{
	return n->tag == FC_CREAT || n->tag == FC_LINK || n->tag == FC_UNLINK;
}

static int do_note(struct replay *r)
{
	const struct fc_note *n = &r->fc->notes[r->at];

	/* the journal is one of them */
	if (n->ino < EXT2_FIRST_INO(r->fs->e2->super) &&
	    (n->ino != EXT2_ROOT_INO || is_name(n)))
		return bad_note(n, "a reserved inode");
	switch (n->tag) {
	case FC_ADD_RANGE:
	case FC_DEL_RANGE:
		return do_range(r, n);
	case FC_INODE:
		return do_inode(r, n);
	default:
		return do_name(r, n);
	}
}

/* Inodes that were unlinked but open. */
static int reap_unlinked(struct replay *r)
{
	const struct fc_note *n;
	struct inode *inode;
	int err = 0;

	for (r->at = 0; r->at < r->fc->count && !err; r->at++) {
		n = &r->fc->notes[r->at];
		if (n->tag != FC_INODE || inode_in_use(r->fs, n->ino) != 1 ||
		    inode_get_any(r->fs, n->ino, &inode))
			continue;
		err = reap(r, inode);
	}
	return err;
}

int fastcommit_replay(struct fs *fs, const struct fastcommit *fc)
{
	struct replay r = { .fs = fs, .fc = fc };
	int err;

	fs_lock(fs);
	err = fc_index_make(&r.index, fs, fc);
	if (!err)
		err = reserve_ranges(&r);
	for (; r.at < fc->count && !err; r.at++)
		err = do_note(&r);
	if (!err)
		err = reap_unlinked(&r);
	fs_unlock(fs);
	fc_index_free(&r.index);
	if (err) {
		msg_err("Replaying fast commits: %s.", strerror(-err));
		msg_err("Please run e2fsck -fy %s.", fs->opt.source);
	}
	return err;
}
