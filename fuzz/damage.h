/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * damage.h - small images full of everything, where their metadata is, and
 * how to damage it.  For the fuzzer and for tests/unit/corrupt.c.
 */
#ifndef FUZZ_DAMAGE_H
#define FUZZ_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>

enum damage_kind {
	DAMAGE_SUPER, DAMAGE_DESC, DAMAGE_BITMAP, DAMAGE_INODE, DAMAGE_MAP,
	DAMAGE_DIR, DAMAGE_XATTR, DAMAGE_ORPHAN, DAMAGE_KINDS,
	DAMAGE_DATA		/* contents of files: not to be damaged */
};

/* A piece of metadata: LEN bytes at OFF; INO owns it (0: nobody). */
struct damage_area {
	enum damage_kind kind;
	uint32_t ino;
	uint64_t off;
	uint32_t len;
};

#define DAMAGE_KEEPS	12

struct damage_image {
	char name[32];
	uint8_t *bytes;			/* undamaged; not to be written to */
	size_t size;
	unsigned blocksize, inode_size;
	ext2_filsys e2;			/* reading the undamaged file */
	struct damage_area *areas;	/* sorted by kind, then position */
	unsigned count;
	unsigned first[DAMAGE_DATA + 2];	/* first area of each kind */
	uint32_t keep[DAMAGE_KEEPS];	/* /keep and what is in it: bystanders */
	unsigned keeps;
};

/* Names of the images; NULL at the end. */
extern const char *const damage_names[];

/* Makes all images as DIR/NAME.img with mke2fs and debugfs. */
int damage_make(const char *dir);
/* Reads one of them and finds its metadata.  0 or -errno. */
int damage_load(const char *dir, const char *name, struct damage_image *img);
void damage_unload(struct damage_image *img);

/* For made-to-measure damage: inode number of a path, where an inode is in
 * the image, the N-th area of a kind that belongs to INO (NULL: fewer). */
uint32_t damage_ino(struct damage_image *img, const char *path);
uint64_t damage_inode_off(struct damage_image *img, uint32_t ino);
const struct damage_area *damage_find(struct damage_image *img,
				      enum damage_kind kind, uint32_t ino,
				      unsigned n);

/*
 * Changes BYTES, a copy of the image: something of HOW at AT in the area, with
 * VALUE.  All arguments are free.
 */
void damage_apply(struct damage_image *img, uint8_t *bytes, unsigned area,
		  unsigned at, unsigned how, uint32_t value);

/*
 * Are the bystanders' inodes, maps and contents in BYTES as they were?
 * Returns NULL or what is not.
 */
const char *damage_keeps_differ(struct damage_image *img, const uint8_t *bytes,
				const uint8_t *damaged);

#endif
