/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * htree.c - the index of a hashed directory: finding leaves.
 *
 * Block 0 is the root, below it up to two levels of nodes; each has a sorted
 * array of (hash, block), the first of which has no hash of its own.  A leaf
 * holds the names whose hash is at least its own and below the next one's;
 * if the next one's lowest bit is set, names of that very hash are in both.
 *
 * The shape of a root or node is checked each time it is walked, since the
 * cache cannot know what a block is going to be used for.  All damage is
 * reported and makes the walk fail with DX_BAD; block numbers are checked
 * when they are followed, and the depth is bounded, so no walk can loop.
 *
 * Knows nothing of dirents, but for the names it looks for.  Needs the
 * volume lock.
 */
#include "dir_internal.h"

#include <string.h>

bool dir_is_dx(const struct inode *dir)
{
	return (dir->i.flags & EXT2_INDEX_FL) &&
	       ext2fs_has_feature_dir_index(dir->fs->e2->super);
}

unsigned dx_limit(const struct fs *fs, unsigned entries)
{
	unsigned room = fs->blocksize - entries - (fs->csum ? DX_TAIL : 0);

	return room / sizeof(struct ext2_dx_entry);
}

/* Root and nodes: one more with large_dir. */
unsigned dx_max_levels(const struct fs *fs)
{
	return ext2fs_has_feature_largedir(fs->e2->super) ? 3 : 2;
}

struct ext2_dx_entry *dx_entries(const struct dx_frame *f)
{
	return (void *)(f->b->data + f->entries);
}

static const struct ext2_dx_countlimit *dx_countlimit(const struct dx_frame *f)
{
	return (const void *)(f->b->data + f->entries);
}

unsigned dx_count(const struct dx_frame *f)
{
	return le16toh(dx_countlimit(f)->count);
}

void dx_release(struct dx_path *p)
{
	while (p->levels)
		cache_put(p->f[--p->levels].b);
}

static int dx_bad(const struct dx_path *p, uint32_t lblk, const char *what)
{
	fs_corrupt(p->dir->fs, p->dir->ino, 0, "directory index block %u: %s",
		   lblk, what);
	return DX_BAD;
}

static int dx_check_counts(const struct dx_path *p, const struct dx_frame *f)
{
	unsigned limit = le16toh(dx_countlimit(f)->limit);

	if (limit != dx_limit(p->dir->fs, f->entries))
		return dx_bad(p, f->lblk, "bad limit");
	if (!dx_count(f) || dx_count(f) > limit)
		return dx_bad(p, f->lblk, "bad count");
	return 0;
}

/* Is this the first block of a directory: ".", and ".." up to its end? */
static bool dx_root_dots(const struct fs *fs, const uint8_t *data)
{
	const struct ext2_dir_entry_2 *dot = (const void *)data;
	const struct ext2_dir_entry_2 *dotdot = (const void *)(data + DE_MIN);

	return de_rec_len(le16toh(dot->rec_len), fs->blocksize) == DE_MIN &&
	       dot->name_len == 1 && dot->name[0] == '.' &&
	       de_rec_len(le16toh(dotdot->rec_len), fs->blocksize) ==
			fs->blocksize - DE_MIN &&
	       dotdot->name_len == 2 && !memcmp(dotdot->name, "..", 2);
}

static int dx_get_root(struct dx_path *p, unsigned *depth)
{
	struct dx_frame *f = &p->f[0];
	const struct ext2_dx_root_info *info;
	int err;

	f->lblk = 0;
	f->at = 0;
	f->entries = DX_ROOT_ENTRIES;
	err = dir_block_get(p->dir, 0, &f->b);
	if (err)
		return err;
	p->levels = 1;
	info = (const void *)(f->b->data + DX_ROOT_INFO);
	if (!dx_root_dots(p->dir->fs, f->b->data) || info->reserved_zero ||
	    info->info_length != sizeof(*info))
		return dx_bad(p, 0, "not a root");
	if (info->hash_version == EXT2_HASH_SIPHASH &&
	    dir_has_disk_hash(p->dir))
		return DX_BAD;		/* in order, but of no use without a key */
	if (!dir_hash_known(info->hash_version))
		return dx_bad(p, 0, "unknown hash version");
	if (info->unused_flags & EXT2_HASH_FLAG_INCOMPAT)
		return dx_bad(p, 0, "unknown flags");
	if (info->indirect_levels >= dx_max_levels(p->dir->fs))
		return dx_bad(p, 0, "too many levels");
	p->version = info->hash_version;
	*depth = info->indirect_levels + 1u;
	return dx_check_counts(p, f);
}

/* The block that FRAME's entry points to; not one of the path's own. */
static int dx_child(const struct dx_path *p, const struct dx_frame *f,
		    uint32_t *lblk)
{
	unsigned i;

	*lblk = le32toh(dx_entries(f)[f->at].block) & EXT4_DX_BLOCK_MASK;
	if (*lblk >= dir_blocks(p->dir))
		return dx_bad(p, f->lblk, "bad block number");
	for (i = 0; i < p->levels; i++)
		if (p->f[i].lblk == *lblk)
			return dx_bad(p, f->lblk, "points back to itself");
	return 0;
}

/* Adds the node below the last frame to the path. */
static int dx_push_node(struct dx_path *p)
{
	struct dx_frame *up = &p->f[p->levels - 1], *f = up + 1;
	const struct ext2_dir_entry_2 *fake;
	int err;

	err = dx_child(p, up, &f->lblk);
	if (!err)
		err = dir_block_get(p->dir, f->lblk, &f->b);
	if (err)
		return err;
	p->levels++;
	f->at = 0;
	f->entries = DX_NODE_ENTRIES;
	fake = (const void *)f->b->data;
	if (fake->inode || de_rec_len(le16toh(fake->rec_len),
				      p->dir->fs->blocksize) !=
			   p->dir->fs->blocksize)
		return dx_bad(p, f->lblk, "not a node");
	return dx_check_counts(p, f);
}

/* The last entry whose hash is not above HASH. */
static unsigned dx_search(const struct dx_frame *f, uint32_t hash)
{
	const struct ext2_dx_entry *e = dx_entries(f);
	unsigned lo = 1, hi = dx_count(f);

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (le32toh(e[mid].hash) > hash)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo - 1;
}

static int dx_descend(struct dx_path *p, unsigned depth, uint32_t hash)
{
	int err;

	for (;;) {
		struct dx_frame *f = &p->f[p->levels - 1];

		f->at = dx_search(f, hash);
		if (p->levels == depth)
			return dx_child(p, f, &p->leaf);
		err = dx_push_node(p);
		if (err)
			return err;
	}
}

static void dx_path_init(struct dx_path *p, struct inode *dir)
{
	memset(p, 0, sizeof(*p));
	p->dir = dir;
	p->version = dir->fs->e2->super->s_def_hash_version;
	if (!dir_hash_known(p->version))
		p->version = EXT2_HASH_HALF_MD4;
}

int dx_probe_hash(struct inode *dir, uint32_t hash, struct dx_path *p)
{
	unsigned depth;
	int err;

	dx_path_init(p, dir);
	err = dx_get_root(p, &depth);
	return err ? err : dx_descend(p, depth, hash);
}

int dx_probe_name(struct inode *dir, const char *name, size_t len,
		  struct dir_hash *h, struct dx_path *p)
{
	unsigned depth;
	int err;

	dx_path_init(p, dir);
	err = dx_get_root(p, &depth);
	if (!err)
		err = dir_hash(dir, p->version, name, len, h);
	return err ? err : dx_descend(p, depth, h->major);
}

int dx_next_leaf(struct dx_path *p)
{
	unsigned depth = p->levels;
	int err;

	while (p->levels &&
	       p->f[p->levels - 1].at + 1 >= dx_count(&p->f[p->levels - 1]))
		cache_put(p->f[--p->levels].b);
	if (!p->levels)
		return 0;
	p->f[p->levels - 1].at++;
	while (p->levels < depth) {
		err = dx_push_node(p);
		if (err)
			return err == DX_BAD ? -EFSCORRUPTED : err;
	}
	err = dx_child(p, &p->f[p->levels - 1], &p->leaf);
	if (err)
		return err == DX_BAD ? -EFSCORRUPTED : err;
	return 1;
}

void dx_bounds(const struct dx_path *p, uint32_t *lo, uint32_t *hi)
{
	unsigned i;

	*lo = 0;
	*hi = UINT32_MAX;
	for (i = 0; i < p->levels; i++) {
		const struct dx_frame *f = &p->f[i];

		if (f->at)
			*lo = le32toh(dx_entries(f)[f->at].hash);
		if (f->at + 1 < dx_count(f))
			*hi = le32toh(dx_entries(f)[f->at + 1].hash);
	}
}

/* Looks for NAME in the leaf and, while HASH goes on there, in the next. */
static int dx_find_leaves(struct dx_path *p, uint32_t hash, const char *name,
			  size_t len, struct dir_found *f)
{
	uint64_t left = dir_blocks(p->dir);
	struct dirents l;
	uint32_t lo, hi;
	int ret;

	while (left--) {
		ret = dir_block_get(p->dir, p->leaf, &f->b);
		if (ret)
			return ret;
		l = dir_block_list(p->dir->fs, f->b);
		ret = dirents_find(p->dir, &l, name, len, f);
		if (ret > 0) {
			f->lblk = p->leaf;
			return 0;
		}
		cache_put(f->b);
		if (ret)
			return ret;
		dx_bounds(p, &lo, &hi);
		if (hi != (hash | 1))
			return -ENOENT;
		ret = dx_next_leaf(p);
		if (ret <= 0)
			return ret ? ret : -ENOENT;
	}
	return dx_bad(p, 0, "endless");
}

int dx_find(struct inode *dir, const char *name, size_t len, struct dir_found *f)
{
	struct dir_hash h;
	struct dx_path p;
	int ret;

	ret = dx_probe_name(dir, name, len, &h, &p);
	if (!ret)
		ret = dx_find_leaves(&p, h.major, name, len, f);
	dx_release(&p);
	return ret;
}
