/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inode.c - the table of inodes in memory: one copy per number.
 *
 * Knows how long an inode stays in memory and how its changes reach its
 * block; not what the bytes mean (inode_disk.c).  An inode without references
 * stays on an LRU list, bounded in bytes.  One that stands on the orphan list
 * is never dropped, as its neighbours there are known in memory only.
 *
 * Needs the volume lock, except inode_close() and the _unlocked calls, which
 * take it.
 */
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "fs/alloc.h"
#include "fs/fs.h"
#include "fs/group.h"
#include "fs/inode.h"
#include "fs/inode_disk.h"
#include "fs/orphan.h"
#include "io/cache.h"
#include "journal/txn.h"
#include "sys/log.h"

#define HASH_BITS	16
#define IDLE_BYTES	(16 * 1024 * 1024)
#define READAHEAD	32		/* blocks of the inode table */

struct inode_table {
	struct inode *hash[1 << HASH_BITS];
	struct inode *lru_first, *lru_last;	/* first: used last */
	unsigned idle, max_idle;		/* on the LRU list */
	unsigned busy;				/* with references */
	uint64_t last_blk, readahead_end;
};

static int itable_verify(struct fs *fs, struct buf *b)
{
	(void)fs, (void)b;
	return 0;		/* each inode is checked when it is loaded */
}

const struct buf_type itable_type = {
	"inode table", RANK_ITABLE, itable_verify, NULL
};

struct inode_table *inode_table_new(struct fs *fs)
{
	struct inode_table *tab = calloc(1, sizeof(*tab));

	if (tab)
		tab->max_idle = IDLE_BYTES /
				(sizeof(struct inode) + fs->inode_size);
	return tab;
}

static struct inode **bucket(struct inode_table *tab, uint32_t ino)
{
	return &tab->hash[ino * 2654435761U >> (32 - HASH_BITS)];
}

static void unhash(struct inode_table *tab, struct inode *inode)
{
	struct inode **p;

	if (!inode->hashed)
		return;
	for (p = bucket(tab, inode->ino); *p != inode; p = &(*p)->hash_next)
		;
	*p = inode->hash_next;
	inode->hashed = 0;
}

static void enhash(struct inode_table *tab, struct inode *inode)
{
	struct inode **p = bucket(tab, inode->ino);

	inode->hash_next = *p;
	*p = inode;
	inode->hashed = 1;
}

static void lru_del(struct inode_table *tab, struct inode *inode)
{
	if (!inode->on_lru)
		return;
	if (inode->lru_prev)
		inode->lru_prev->lru_next = inode->lru_next;
	else
		tab->lru_first = inode->lru_next;
	if (inode->lru_next)
		inode->lru_next->lru_prev = inode->lru_prev;
	else
		tab->lru_last = inode->lru_prev;
	inode->on_lru = 0;
	tab->idle--;
}

/* At the end that is dropped last, or first if nobody can want it again. */
static void lru_add(struct inode_table *tab, struct inode *inode)
{
	if (inode->hashed) {
		inode->lru_prev = NULL;
		inode->lru_next = tab->lru_first;
	} else {
		inode->lru_prev = tab->lru_last;
		inode->lru_next = NULL;
	}
	if (inode->lru_prev)
		inode->lru_prev->lru_next = inode;
	else
		tab->lru_first = inode;
	if (inode->lru_next)
		inode->lru_next->lru_prev = inode;
	else
		tab->lru_last = inode;
	inode->on_lru = 1;
	tab->idle++;
}

static void inode_free_mem(struct inode *inode)
{
	pthread_rwlock_destroy(&inode->io);
	free(inode);
}

/*
 * Drops idle inodes over the bound, and those that nobody can find.  Called
 * when one comes in: at no other time, since an abort still puts memory back
 * after the last reference is gone.
 */
static void lru_trim(struct inode_table *tab)
{
	struct inode *inode = tab->lru_last, *prev;
	unsigned looks = 64;

	for (; inode && looks--; inode = prev) {
		prev = inode->lru_prev;
		if (inode->hashed && tab->idle <= tab->max_idle)
			break;
		if (inode->orphan)
			continue;
		lru_del(tab, inode);
		unhash(tab, inode);
		inode_free_mem(inode);
	}
}

void inode_table_free(struct inode_table *tab)
{
	struct inode *inode, *next;
	unsigned i;

	/* those that are not found by number, first */
	for (inode = tab->lru_last; inode && !inode->hashed; inode = next) {
		next = inode->lru_prev;
		inode_free_mem(inode);
	}
	if (tab->busy)
		msg_debug("%u inodes still in use", tab->busy);
	for (i = 0; i < 1U << HASH_BITS; i++) {
		for (inode = tab->hash[i]; inode; inode = next) {
			next = inode->hash_next;
			inode_free_mem(inode);
		}
	}
	free(tab);
}

unsigned inode_table_busy(struct fs *fs)
{
	return fs->inodes->busy;
}

struct inode *inode_peek(struct fs *fs, uint32_t ino)
{
	struct inode *inode;

	for (inode = *bucket(fs->inodes, ino); inode; inode = inode->hash_next)
		if (inode->ino == ino)
			return inode;
	return NULL;
}

struct inode *inode_hold(struct inode *inode)
{
	if (!inode->refs++) {
		lru_del(inode->fs->inodes, inode);
		inode->fs->inodes->busy++;
	}
	return inode;
}

void inode_put(struct inode *inode)
{
	if (!inode)
		return;
	assert(inode->refs);
	if (--inode->refs)
		return;
	inode->fs->inodes->busy--;
	lru_add(inode->fs->inodes, inode);
}

/* A stream of readers must not keep a writer waiting for ever. */
static void init_io_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
		PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

/* A struct inode for INO with a reference, not yet in the hash. */
static struct inode *inode_make(struct fs *fs, uint32_t ino)
{
	struct inode *inode;

	lru_trim(fs->inodes);
	inode = calloc(1, sizeof(*inode) + fs->inode_size);
	if (!inode)
		return NULL;
	init_io_lock(&inode->io);
	inode->fs = fs;
	inode->ino = ino;
	inode->refs = 1;
	fs->inodes->busy++;
	return inode;
}

static void inode_discard(struct inode *inode)
{
	inode->fs->inodes->busy--;
	inode_free_mem(inode);
}

/* ls -l walks the table in order: have the next blocks coming. */
static void readahead(struct fs *fs, uint64_t blk)
{
	struct inode_table *tab = fs->inodes;

	if (blk == tab->last_blk + 1 && blk >= tab->readahead_end) {
		cache_readahead(fs->cache, blk, READAHEAD);
		tab->readahead_end = blk + READAHEAD;
	} else if (blk != tab->last_blk && blk != tab->last_blk + 1) {
		tab->readahead_end = 0;
	}
	tab->last_blk = blk;
}

static int inode_load(struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct buf *b;
	uint64_t blk;
	unsigned off;
	int err;

	if (inode_is_uninit(fs, inode->ino))
		return -ESTALE;
	err = inode_location(fs, inode->ino, &blk, &off);
	if (err)
		return err;
	readahead(fs, blk);
	err = cache_get(fs->cache, blk, &itable_type, 0, 0, &b);
	if (err)
		return err;
	memcpy(inode->body, b->data + off, fs->inode_size);
	cache_put(b);
	return inode_decode(inode);
}

/* From memory or disk, whatever its state. */
static int inode_find(struct fs *fs, uint32_t ino, struct inode **out)
{
	struct inode *inode;
	int err;

	inode = inode_peek(fs, ino);
	if (inode) {
		*out = inode_hold(inode);
		return 0;
	}
	inode = inode_make(fs, ino);
	if (!inode)
		return -ENOMEM;
	err = inode_load(inode);
	if (err) {
		inode_discard(inode);
		return err;
	}
	enhash(fs->inodes, inode);
	*out = inode;
	return 0;
}

int inode_get_any(struct fs *fs, uint32_t ino, struct inode **out)
{
	int err;

	if (!ino || ino > fs->e2->super->s_inodes_count)
		return -EINVAL;
	err = inode_find(fs, ino, out);
	if (!err && (*out)->deleted) {
		inode_put(*out);
		return -ESTALE;
	}
	return err;
}

int inode_get(struct fs *fs, uint32_t ino, struct inode **out)
{
	struct inode *inode;
	int err;

	if (ino != EXT2_ROOT_INO && ino < EXT2_FIRST_INO(fs->e2->super))
		return -EINVAL;
	err = inode_get_any(fs, ino, &inode);
	if (err)
		return err;
	if (!inode->i.links && !inode->opens)
		err = -ESTALE;
	else if (inode->i.flags & EXT4_EA_INODE_FL)
		err = fs_corrupt(fs, ino, 0, "a name leads to an attribute's inode");
	if (err) {
		inode_put(inode);
		return err;
	}
	*out = inode;
	return 0;
}

int inode_get_unlocked(struct fs *fs, uint32_t ino, struct inode **out)
{
	int err;

	fs_lock(fs);
	err = inode_get(fs, ino, out);
	fs_unlock(fs);
	return err;
}

void inode_put_unlocked(struct inode *inode)
{
	struct fs *fs;

	if (!inode)
		return;
	fs = inode->fs;
	fs_lock(fs);
	inode_put(inode);
	fs_unlock(fs);
	/* a place with no lock held and no handle open, often passed */
	if (fs->error_log.pending && fs->mounted)
		fs_error_flush(fs);
}

static uint16_t new_extra_isize(const struct fs *fs)
{
	const struct ext2_super_block *sb = fs->e2->super;
	unsigned room = fs->inode_size - EXT2_GOOD_OLD_INODE_SIZE;
	unsigned extra = sizeof(struct ext2_inode_large) -
			 EXT2_GOOD_OLD_INODE_SIZE;

	if (ext2fs_has_feature_extra_isize(fs->e2->super)) {
		if (sb->s_want_extra_isize > extra)
			extra = sb->s_want_extra_isize;
		if (sb->s_min_extra_isize > extra)
			extra = sb->s_min_extra_isize;
	}
	if (extra > room)
		extra = room;
	return extra & ~3U;
}

int inode_new(struct txn *t, uint32_t ino, uint16_t mode, struct inode **out)
{
	struct fs *fs = txn_fs(t);
	struct inode *inode, *old;
	int err;

	old = inode_peek(fs, ino);
	if (old) {
		/* the inode that had the number before: others may hold it */
		if (!old->deleted && (old->refs || old->i.links))
			return fs_corrupt(fs, ino, 0,
					  "the inode was allocated twice");
		unhash(fs->inodes, old);
		if (old->on_lru) {
			lru_del(fs->inodes, old);
			lru_add(fs->inodes, old);
		}
	}
	inode = inode_make(fs, ino);
	if (!inode)
		return -ENOMEM;
	enhash(fs->inodes, inode);
	inode->made = 1;
	err = inode_dirty(t, inode);
	if (err) {
		/* not freed yet: the abort may still put its memory back */
		unhash(fs->inodes, inode);
		inode->made = 0;
		inode_put(inode);
		return err;
	}
	inode->i.mode = mode;
	inode->i.generation = fs->next_generation++;
	inode->i.extra_isize = new_extra_isize(fs);
	inode->i.atime = inode->i.mtime = inode->i.ctime = inode->i.crtime =
		fs_now(fs);
	*out = inode;
	return 0;
}

int inode_dirty_attr(struct txn *t, struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct inode **list;
	uint64_t blk;
	unsigned off;
	int err;

	if (inode->handle_id == txn_handle_id(t))
		return 0;
	/* a reference may outlive the number, which others have by now */
	if (inode->deleted)
		return -ESTALE;
	err = inode_location(fs, inode->ino, &blk, &off);
	if (!err)
		err = txn_save(t, &inode->i, sizeof(inode->i));
	if (!err)
		err = txn_save(t, inode->body, fs->inode_size);
	if (!err)
		err = cache_get(fs->cache, blk, &itable_type, 0, 0,
				&inode->itable);
	if (err)
		return err;
	err = txn_write(t, inode->itable);
	if (err) {
		cache_put(inode->itable);
		inode->itable = NULL;
		return err;
	}
	list = txn_inode_list(t);
	inode->dirty_next = *list;
	*list = inode_hold(inode);
	inode->handle_id = txn_handle_id(t);
	return 0;
}

int inode_dirty(struct txn *t, struct inode *inode)
{
	int err = inode_dirty_attr(t, inode);

	if (!err)
		inode->data_dirty = 1;
	return err;
}

/* Features need revision 1, which tells what revision 0 implies. */
static void raise_revision(struct fs *fs, struct ext2_super_block *sb)
{
	if (fs->e2->super->s_rev_level != EXT2_GOOD_OLD_REV)
		return;
	sb->s_rev_level = htole32(EXT2_DYNAMIC_REV);
	sb->s_first_ino = htole32(EXT2_GOOD_OLD_FIRST_INO);
	sb->s_inode_size = htole16(EXT2_GOOD_OLD_INODE_SIZE);
	fs->e2->super->s_rev_level = EXT2_DYNAMIC_REV;
	fs->e2->super->s_first_ino = EXT2_GOOD_OLD_FIRST_INO;
	fs->e2->super->s_inode_size = EXT2_GOOD_OLD_INODE_SIZE;
}

/* The first file over 2 GiB needs a feature bit. */
static void note_large_file(struct txn *t, const struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct ext2_super_block *sb;

	if (!S_ISREG(inode->i.mode) || inode->i.size <= INT32_MAX ||
	    ext2fs_has_feature_large_file(fs->e2->super))
		return;
	sb = fs_super_write(t);
	if (!sb)
		return;		/* e2fsck will set it */
	raise_revision(fs, sb);
	sb->s_feature_ro_compat |= htole32(EXT2_FEATURE_RO_COMPAT_LARGE_FILE);
	ext2fs_set_feature_large_file(fs->e2->super);
}

static void flush_one(struct txn *t, struct inode *inode)
{
	struct fs *fs = inode->fs;
	uint64_t blk;
	unsigned off;

	inode_encode(inode);
	if (!inode_location(fs, inode->ino, &blk, &off))
		memcpy(inode->itable->data + off, inode->body, fs->inode_size);
	inode->sync_tid = txn_id(t);
	if (inode->data_dirty)
		inode->datasync_tid = inode->sync_tid;
	note_large_file(t, inode);
	if (inode->deleted && !inode->free_told) {
		inode->free_told = 1;
		if (fs->on_inode_freed)
			fs->on_inode_freed(fs->on_inode_freed_ctx, inode->ino);
	}
}

void inode_flush_handle(struct txn *t, bool aborted)
{
	struct fs *fs = txn_fs(t);
	struct inode *inode, **list = txn_inode_list(t);

	while ((inode = *list)) {
		*list = inode->dirty_next;
		inode->dirty_next = NULL;
		if (!aborted)
			flush_one(t, inode);
		else if (inode->made)
			unhash(fs->inodes, inode);	/* never existed */
		inode->made = 0;
		inode->data_dirty = 0;
		cache_put(inode->itable);
		inode->itable = NULL;
		inode_put(inode);
	}
	alloc_flush_handle(t, aborted);
	if (!aborted)
		fs_error_merge(t);
}

void inode_touch(struct inode *inode, unsigned which)
{
	struct timespec now = fs_now(inode->fs);

	if (which & INODE_ATIME)
		inode->i.atime = now;
	if (which & INODE_MTIME)
		inode->i.mtime = now;
	if (which & INODE_CTIME) {
		inode->i.ctime = now;
		inode->i.version++;
	}
}

void inode_add_blocks(struct inode *inode, int64_t delta)
{
	/* what the disk said before may have been too little */
	if (delta < 0 && inode->i.blocks < (uint64_t)-delta)
		inode->i.blocks = 0;
	else
		inode->i.blocks += delta;
}

void inode_open(struct inode *inode)
{
	inode->opens++;
}

int inode_close(struct inode *inode)
{
	struct fs *fs = inode->fs;
	bool reap;
	int err;

	fs_lock(fs);
	assert(inode->opens);
	inode->opens--;
	reap = !inode->opens && !inode->i.links && !inode->deleted;
	if (reap)
		inode_hold(inode);
	fs_unlock(fs);
	if (!reap)
		return 0;
	err = inode_reap(inode);
	inode_put_unlocked(inode);
	return err;
}

uint32_t inode_group(const struct fs *fs, uint32_t ino)
{
	return (ino - 1) / fs->e2->super->s_inodes_per_group;
}

uint64_t inode_goal(const struct inode *inode)
{
	const struct fs *fs = inode->fs;
	const struct groups *gs = fs->groups;
	uint32_t g = inode_group(fs, inode->ino), first;

	/*
	 * The first group of a flex group holds the tables, and directories
	 * go there: files start behind it.
	 */
	if (gs->flex_bits >= 2) {
		first = g >> gs->flex_bits << gs->flex_bits;
		if (S_ISREG(inode->i.mode) && first + 1 < gs->count)
			g = first + 1;
		else
			g = first;
	}
	return group_first_block(fs, g);
}

bool inode_has_extents(const struct inode *inode)
{
	return inode->i.flags & EXT4_EXTENTS_FL;
}

bool inode_has_inline(const struct inode *inode)
{
	return inode->i.flags & EXT4_INLINE_DATA_FL;
}

/*
 * Blocks are its xattr block at most (bigalloc: a cluster), or nothing; but
 * attributes in inodes of their own are charged to it as well.
 */
bool inode_is_fast_symlink(const struct inode *inode)
{
	uint64_t xattr = inode->i.file_acl ? inode->fs->cluster_ratio : 0;

	if (!S_ISLNK(inode->i.mode) || inode_has_inline(inode))
		return false;
	if (inode->i.flags & EXT4_EXTENTS_FL)
		return false;
	if (ext2fs_has_feature_ea_inode(inode->fs->e2->super))
		xattr = UINT64_MAX;
	return inode->i.blocks <= xattr &&
	       inode->i.size < sizeof(inode->i.block);
}
