/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * path.c - the name cache: from (directory, name) to inode number.
 *
 * Knows what was looked up and what namei.c says of its changes; knows
 * nothing of the layout of directories (dir.c).  An entry with inode number 0
 * says that the name is known not to exist.  Entries stand in a hash table,
 * in a list per directory (so that a removed directory takes its own along),
 * and on a clock for eviction: a name used since the hand last passed stays.
 *
 * Names of case-folded directories are not answered from here: one name has
 * many spellings.  Everything needs the volume lock.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "fs/dir.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/path.h"

#define NAME_MAX_LEN	255
#define MIN_BUCKETS	1024

/* A directory that has entries here. */
struct name_dir {
	uint32_t ino;
	struct name_dir *hash_next;
	struct name *names;
};

struct name {
	struct name *hash_next;
	struct name *dir_prev, *dir_next;
	struct name *clock_prev, *clock_next;
	struct name_dir *dir;
	uint64_t hash;
	uint32_t ino;
	bool used;
	uint8_t len;
	char name[];
};

struct name_cache {
	struct name **table;
	struct name_dir **dirs;		/* as many buckets */
	size_t buckets;			/* a power of two */
	size_t count, limit;
	struct name *hand;		/* the clock is a ring */
	uint64_t seed;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Seeded, so that nobody can prepare names that all collide. */
static uint64_t hash_name(const struct name_cache *nc, uint32_t dir,
			  const char *name, size_t len)
{
	uint64_t h = nc->seed ^ ((uint64_t)dir << 8 | len);
	uint64_t w;

	while (len) {
		size_t n = len < 8 ? len : 8;

		w = 0;
		memcpy(&w, name, n);
		h = mix(h ^ w ^ 0xa0761d6478bd642fULL,
			nc->seed | 0xe7037ed1a0b428dbULL);
		name += n;
		len -= n;
	}
	return mix(h ^ 0x8ebc6af09c88c6e3ULL, 0x589965cc75374cc3ULL);
}

static size_t dir_bucket(const struct name_cache *nc, uint32_t ino)
{
	return mix(nc->seed ^ ino, 0xa0761d6478bd642fULL) & (nc->buckets - 1);
}

struct name_cache *name_cache_new(struct fs *fs, size_t max_entries)
{
	struct name_cache *nc = calloc(1, sizeof(*nc));

	(void)fs;
	if (!nc)
		return NULL;
	nc->limit = max_entries ? max_entries : 1;
	nc->buckets = MIN_BUCKETS;
	while (nc->buckets < nc->limit)
		nc->buckets *= 2;
	/* only touched pages of these cost memory */
	nc->table = calloc(nc->buckets, sizeof(*nc->table));
	nc->dirs = calloc(nc->buckets, sizeof(*nc->dirs));
	if (!nc->table || !nc->dirs) {
		name_cache_free(nc);
		return NULL;
	}
	if (getrandom(&nc->seed, sizeof(nc->seed), GRND_NONBLOCK) < 0)
		nc->seed = (uintptr_t)nc * 0x9e3779b97f4a7c15ULL;
	return nc;
}

static struct name_dir *find_dir(const struct name_cache *nc, uint32_t ino)
{
	struct name_dir *d = nc->dirs[dir_bucket(nc, ino)];

	while (d && d->ino != ino)
		d = d->hash_next;
	return d;
}

static struct name *find(const struct name_cache *nc, uint64_t hash,
			 uint32_t dir, const char *name, size_t len)
{
	struct name *n = nc->table[hash & (nc->buckets - 1)];

	for (; n; n = n->hash_next)
		if (n->hash == hash && n->dir->ino == dir && n->len == len &&
		    !memcmp(n->name, name, len))
			return n;
	return NULL;
}

/* --- in and out --- */

static void dir_unlink(struct name_cache *nc, struct name *n)
{
	struct name_dir *d = n->dir, **p;

	if (n->dir_prev)
		n->dir_prev->dir_next = n->dir_next;
	else
		d->names = n->dir_next;
	if (n->dir_next)
		n->dir_next->dir_prev = n->dir_prev;
	if (d->names)
		return;
	for (p = &nc->dirs[dir_bucket(nc, d->ino)]; *p != d; )
		p = &(*p)->hash_next;
	*p = d->hash_next;
	free(d);
}

static void drop(struct name_cache *nc, struct name *n)
{
	struct name **p = &nc->table[n->hash & (nc->buckets - 1)];

	while (*p != n)
		p = &(*p)->hash_next;
	*p = n->hash_next;

	if (nc->hand == n)
		nc->hand = n->clock_next == n ? NULL : n->clock_next;
	n->clock_prev->clock_next = n->clock_next;
	n->clock_next->clock_prev = n->clock_prev;

	dir_unlink(nc, n);
	free(n);
	nc->count--;
}

static void evict_one(struct name_cache *nc)
{
	while (nc->hand->used) {
		nc->hand->used = false;
		nc->hand = nc->hand->clock_next;
	}
	drop(nc, nc->hand);
}

/* Behind the hand: the last place that it will come to. */
static void clock_add(struct name_cache *nc, struct name *n)
{
	if (!nc->hand) {
		n->clock_prev = n->clock_next = n;
		nc->hand = n;
		return;
	}
	n->clock_next = nc->hand;
	n->clock_prev = nc->hand->clock_prev;
	n->clock_prev->clock_next = n;
	nc->hand->clock_prev = n;
}

static struct name_dir *get_dir(struct name_cache *nc, uint32_t ino)
{
	struct name_dir *d = find_dir(nc, ino), **p;

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	p = &nc->dirs[dir_bucket(nc, ino)];
	d->ino = ino;
	d->hash_next = *p;
	*p = d;
	return d;
}

/* Without memory the name is simply not remembered. */
static void add(struct name_cache *nc, uint64_t hash, uint32_t dir,
		const char *name, size_t len, uint32_t ino)
{
	struct name *n, **p;

	while (nc->count >= nc->limit)
		evict_one(nc);
	n = malloc(sizeof(*n) + len);
	if (!n)
		return;
	n->dir = get_dir(nc, dir);
	if (!n->dir) {
		free(n);
		return;
	}
	n->hash = hash;
	n->ino = ino;
	n->used = false;
	n->len = len;
	memcpy(n->name, name, len);

	p = &nc->table[hash & (nc->buckets - 1)];
	n->hash_next = *p;
	*p = n;
	n->dir_prev = NULL;
	n->dir_next = n->dir->names;
	if (n->dir_next)
		n->dir_next->dir_prev = n;
	n->dir->names = n;
	clock_add(nc, n);
	nc->count++;
}

void name_cache_free(struct name_cache *nc)
{
	if (!nc)
		return;
	while (nc->hand)
		drop(nc, nc->hand);
	free(nc->table);
	free(nc->dirs);
	free(nc);
}

void name_enter(struct fs *fs, uint32_t dir, const char *name, size_t len,
		uint32_t ino)
{
	struct name_cache *nc = fs->names;
	uint64_t hash;
	struct name *n;

	if (!len || len > NAME_MAX_LEN)
		return;
	hash = hash_name(nc, dir, name, len);
	n = find(nc, hash, dir, name, len);
	if (n)
		n->ino = ino;
	else
		add(nc, hash, dir, name, len, ino);
}

void name_drop(struct fs *fs, uint32_t dir, const char *name, size_t len)
{
	struct name_cache *nc = fs->names;
	struct name *n = find(nc, hash_name(nc, dir, name, len), dir, name,
			      len);

	if (n)
		drop(nc, n);
}

void name_drop_dir(struct fs *fs, uint32_t dir)
{
	struct name_cache *nc = fs->names;
	struct name_dir *d = find_dir(nc, dir);
	struct name *n, *next;

	/* the last one takes D along */
	for (n = d ? d->names : NULL; n; n = next) {
		next = n->dir_next;
		drop(nc, n);
	}
}

/* --- looking up --- */

static bool is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

int name_lookup(struct inode *dir, const char *name, size_t len, uint32_t *ino)
{
	struct name_cache *nc = dir->fs->names;
	uint64_t hash;
	struct name *n;
	int err;

	if (!S_ISDIR(dir->i.mode))
		return -ENOTDIR;
	if (len > NAME_MAX_LEN)
		return -ENAMETOOLONG;
	if (!len)
		return -ENOENT;
	if (is_dots(name, len)) {
		if (len == 2)
			return dir_get_parent(dir, ino);
		*ino = dir->ino;
		return 0;
	}
	if (dir->i.flags & EXT4_CASEFOLD_FL)
		return dir_lookup(dir, name, len, ino, NULL);

	hash = hash_name(nc, dir->ino, name, len);
	n = find(nc, hash, dir->ino, name, len);
	if (n) {
		n->used = true;
		*ino = n->ino;
		return n->ino ? 0 : -ENOENT;
	}
	err = dir_lookup(dir, name, len, ino, NULL);
	if (!err)
		add(nc, hash, dir->ino, name, len, *ino);
	else if (err == -ENOENT)
		add(nc, hash, dir->ino, name, len, 0);
	return err;
}

int path_walk(struct fs *fs, const char *path, struct inode **out)
{
	struct inode *dir, *child = NULL;
	uint32_t ino;
	int err;

	err = inode_get(fs, EXT2_ROOT_INO, &dir);
	while (!err) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			break;
		err = name_lookup(dir, path, len, &ino);
		if (!err)
			err = inode_get(fs, ino, &child);
		inode_put(dir);
		dir = child;
		path += len;
	}
	if (!err)
		*out = dir;
	return err;
}
