/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dir_internal.h - shared by the files that make up directories.
 *
 *	dirblock.c	dirents inside one block, the cache type of directory
 *			blocks, reading and appending blocks
 *	dirhash.c	hashes, comparison of names
 *	htree.c		the index: finding a leaf, walking from leaf to leaf
 *	htree_add.c	the index: inserting, splitting, growing, making one
 *	dirinline.c	directories inside the inode
 *	dirlist.c	listing with stable cookies
 *	dir.c		the interface (dir.h), linear directories
 *
 * Everything needs the volume lock.
 */
#ifndef FS_DIR_INTERNAL_H
#define FS_DIR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dir.h"
#include "fs.h"
#include "inode.h"
#include "map.h"
#include "../io/cache.h"

#define DE_HEADER	8		/* bytes before the name */
#define DE_MIN		12		/* the smallest dirent */
#define DE_TAIL		12		/* the fake dirent with a leaf's checksum */
#define DE_TAIL_TYPE	0xDE

/* Bytes that a name of LEN needs. */
static inline unsigned de_size(unsigned len)
{
	return (DE_HEADER + len + 3) & ~3u;
}

/* A list of dirents in memory: a block's, or one part of an inline
 * directory's. */
struct dirents {
	uint8_t *p;
	unsigned len;			/* bytes, a sum of rec_lens */
	unsigned blocksize;		/* for the coding of rec_len */
};

/* One dirent, decoded. */
struct dirent_ref {
	unsigned off, rec_len;
	uint32_t ino;			/* 0: unused space */
	unsigned name_len;
	uint8_t type;			/* as on disk */
	const char *name;		/* not terminated */
};

/* An entry about to be stored. */
struct dir_new {
	const char *name;
	size_t len;
	uint32_t ino;
	uint8_t type;			/* 0 without the filetype feature */
};

/* Where an entry was found: B (with a reference) or, for inline ones, none. */
struct dir_found {
	struct buf *b;
	uint32_t lblk;
	unsigned off, prev;		/* byte of it, and of the dirent before
					 * it (prev == off: it is the first) */
	uint32_t ino;
	uint8_t type;
};

/* dirblock.c */
extern const struct buf_type dir_block_type;

/*
 * Decodes the dirent at *OFF and moves *OFF behind it: 1; 0 at the end;
 * -EFSCORRUPTED (not reported) if it does not fit the list.
 */
int dirents_next(const struct dirents *l, unsigned *off, struct dirent_ref *e);
int dirents_check(const struct dirents *l, unsigned *bad);
/* Looks NAME up: 1 with F's off, prev, ino and type; 0; -EFSCORRUPTED. */
int dirents_find(struct inode *dir, const struct dirents *l, const char *name,
		 size_t len, struct dir_found *f);
/* The dirent that has NEED bytes to spare: 1 and *OFF; 0; -EFSCORRUPTED. */
int dirents_room(const struct dirents *l, unsigned need, unsigned *off);
/* Stores N where dirents_room() said. */
void dirents_put(const struct dirents *l, unsigned off, const struct dir_new *n);
void dirents_remove(const struct dirents *l, unsigned off, unsigned prev);
void dirents_set(const struct dirents *l, unsigned off, uint32_t ino, uint8_t type);
/* Makes the list one unused dirent. */
void dirents_clear(const struct dirents *l);
/* Stretches the last dirent of L (now OLD bytes long) to the end of L. */
int dirents_stretch(const struct dirents *l, unsigned old);
/* Writes one dirent at OFF with REC_LEN. */
void dirent_write(const struct dirents *l, unsigned off, unsigned rec_len,
		  const struct dir_new *n);

/* The list in a directory block; may it take entries? */
struct dirents dir_block_list(const struct fs *fs, const struct buf *b);
bool dir_block_is_leaf(const struct fs *fs, const struct buf *b);
/* Bytes of dirents in a leaf. */
unsigned dir_leaf_bytes(const struct fs *fs);
/* Makes DATA an empty leaf. */
void dir_leaf_init(const struct fs *fs, uint8_t *data);

unsigned de_rec_len(unsigned raw, unsigned blocksize);
unsigned de_raw_len(unsigned rec_len, unsigned blocksize);

uint64_t dir_blocks(const struct inode *dir);
/* The block LBLK with a reference; a hole is -EFSCORRUPTED, reported. */
int dir_block_get(struct inode *dir, uint32_t lblk, struct buf **out);
/* A new block at the end, writable in T; its content is all zero. */
int dir_block_append(struct txn *t, struct inode *dir, uint32_t *lblk,
		     struct buf **out);

/* Block after block; holes are skipped, with one report. */
struct dir_scan {
	struct inode *dir;
	uint64_t next, end;		/* logical blocks */
	uint64_t ahead;			/* read ahead up to here */
	uint32_t lblk;			/* of the block returned last */
	struct map m;
	bool hole;
};

void dir_scan_start(struct dir_scan *s, struct inode *dir, uint64_t from);
/* 1 and *OUT; 0 at the end; -errno: one block is bad, the scan may go on. */
int dir_scan_next(struct dir_scan *s, struct buf **out);

bool dir_is_dots(const char *name, size_t len);
bool dir_name_valid(const char *name, size_t len);
/* Checks an entry that is about to be used; reports.  0 or -EFSCORRUPTED. */
int dir_check_entry(struct inode *dir, const struct buf *b,
		    const struct dirent_ref *e);
uint8_t dir_disk_type(const struct fs *fs, uint16_t mode);

/* dirhash.c */
struct dir_hash {
	uint32_t major;			/* lowest bit 0 */
	uint32_t minor;
};

bool dir_is_casefold(const struct inode *dir);
/* Do the dirents carry their hashes?  (Then nothing can be added.) */
bool dir_has_disk_hash(const struct inode *dir);
bool dir_hash_known(unsigned version);
/* VERSION as on disk (0..2).  -EINVAL for others. */
int dir_hash(struct inode *dir, unsigned version, const char *name, size_t len,
	     struct dir_hash *h);
/* 53 bits that order NAME in a listing; its major hash, halved, on top. */
uint64_t dir_hash_group(struct inode *dir, const struct dir_hash *h,
			unsigned version, const char *name, size_t len);
bool dir_name_equal(struct inode *dir, const char *a, size_t alen,
		    const char *b, size_t blen);

/* htree.c */
#define DX_BAD		1	/* the index cannot be used (reported) */
#define DX_FRAMES	3
#define DX_ROOT_INFO	24	/* struct ext2_dx_root_info in block 0 */
#define DX_ROOT_ENTRIES	32
#define DX_NODE_ENTRIES	8
#define DX_TAIL		8

struct dx_frame {
	struct buf *b;
	uint32_t lblk;
	unsigned entries;		/* byte where count, limit and entries are */
	unsigned at;			/* entry taken */
};

struct dx_path {
	struct inode *dir;
	struct dx_frame f[DX_FRAMES];
	unsigned levels;		/* frames in use */
	unsigned version;
	uint32_t leaf;			/* logical block */
};

bool dir_is_dx(const struct inode *dir);
unsigned dx_limit(const struct fs *fs, unsigned entries);
unsigned dx_max_levels(const struct fs *fs);
struct ext2_dx_entry *dx_entries(const struct dx_frame *f);
unsigned dx_count(const struct dx_frame *f);
/*
 * Finds the leaf for HASH (or for NAME, whose hash goes to *H).  0; DX_BAD;
 * -errno.  The path is to be released in every case.
 */
int dx_probe_hash(struct inode *dir, uint32_t hash, struct dx_path *p);
int dx_probe_name(struct inode *dir, const char *name, size_t len,
		  struct dir_hash *h, struct dx_path *p);
void dx_release(struct dx_path *p);
/* On to the next leaf: 1; 0 at the end; -errno (damage: -EFSCORRUPTED). */
int dx_next_leaf(struct dx_path *p);
/* Hash where the leaf begins, and where the next one does (with its
 * continuation bit; UINT32_MAX if there is none). */
void dx_bounds(const struct dx_path *p, uint32_t *lo, uint32_t *hi);
/* 0 and F, -ENOENT, DX_BAD, -errno. */
int dx_find(struct inode *dir, const char *name, size_t len, struct dir_found *f);

/* htree_add.c */
int dx_add(struct txn *t, struct inode *dir, const struct dir_new *n);
/* Can the one-block directory in B be indexed? */
bool dx_can_make(struct inode *dir, const struct buf *b);
int dx_make(struct txn *t, struct inode *dir, struct buf *b,
	    const struct dir_new *n);

/* dirinline.c: as their namesakes in dir.h. */
struct dir_inline {
	struct dirents l[2];		/* in i_block, in system.data */
	uint8_t *value;			/* system.data, malloced */
	size_t size;
};

int dir_inline_load(struct inode *dir, struct dir_inline *d);
void dir_inline_free(struct dir_inline *d);
int dir_inline_find(struct inode *dir, const char *name, size_t len,
		    uint32_t *ino, uint8_t *type);
/* 1: it does not fit, the directory is a block now. */
int dir_inline_add(struct txn *t, struct inode *dir, const struct dir_new *n);
int dir_inline_remove(struct txn *t, struct inode *dir, const char *name,
		      size_t len);
int dir_inline_set(struct txn *t, struct inode *dir, const char *name,
		   size_t len, uint32_t ino, uint8_t type);
int dir_inline_init(struct txn *t, struct inode *dir, uint32_t parent);
int dir_inline_is_empty(struct inode *dir);
uint32_t dir_inline_parent(const struct inode *dir);
void dir_inline_set_parent(struct inode *dir, uint32_t parent);

#endif
