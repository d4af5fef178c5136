/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * damage.c - small images, a map of their metadata, and ways to damage them.
 *
 * Makes the images with mke2fs, e2fsck -D and debugfs, and finds the metadata
 * with libext2fs's iterators on the undamaged file: never with our own code.
 * Checksums are not recomputed: most images have none, so that damage gets
 * past them.  No locks; one thread.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/damage.h"

/* -O none starts from no features at all. */
static const struct {
	const char *name, *options;
	bool orphans;			/* make an orphan list */
} recipes[] = {
	{ "ext4", "-b 1024 -g 1024 -O none,filetype,extent,dir_index,ext_attr,"
	  "sparse_super,large_file,huge_file,dir_nlink,extra_isize", true },
	{ "ext2", "-b 1024 -g 1024 -I 128 -O none,filetype,ext_attr,dir_index,"
	  "sparse_super", true },
	{ "inline", "-b 1024 -I 256 -O none,filetype,extent,dir_index,ext_attr,"
	  "inline_data,ea_inode,extra_isize,flex_bg,large_file", false },
	{ "bigalloc", "-b 1024 -C 4096 -O none,filetype,extent,dir_index,"
	  "ext_attr,bigalloc,extra_isize,64bit,large_dir,sparse_super", false },
	{ "orphan", "-b 1024 -g 2048 -O none,filetype,extent,dir_index,ext_attr,"
	  "orphan_file,has_journal,meta_bg,uninit_bg,extra_isize,huge_file "
	  "-J size=1", false },
	{ "csum", "-b 1024 -g 1024 -O none,filetype,extent,dir_index,ext_attr,"
	  "metadata_csum,64bit,flex_bg,extra_isize,sparse_super,inline_data,"
	  "ea_inode,orphan_file,has_journal -J size=1", false },
	{ "ext4-4k", "-b 4096 -O none,filetype,extent,dir_index,ext_attr,"
	  "extra_isize,sparse_super,resize_inode,flex_bg", true },
};

#define RECIPES	(sizeof(recipes) / sizeof(recipes[0]))

const char *const damage_names[] = {
	"ext4", "ext2", "inline", "bigalloc", "orphan", "csum", "ext4-4k", NULL
};

static char tree[4200];			/* what mke2fs -d copies */

__attribute__((format(printf, 1, 2)))
static int sh(const char *fmt, ...)
{
	char cmd[16384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static int tree_open(const char *name)
{
	char path[5000];

	snprintf(path, sizeof(path), "%s/%s", tree, name);
	return open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
}

/* A file of SIZE bytes, only every STEP-th KiB of it. */
static int tree_file(const char *name, unsigned size, unsigned step)
{
	int fd = tree_open(name), err = 0;
	unsigned pos, i, len;
	uint8_t kib[1024];

	if (fd < 0)
		return -errno;
	for (pos = 0; pos < size; pos += 1024 * step) {
		len = size - pos < 1024 ? size - pos : 1024;
		for (i = 0; i < len; i++)
			kib[i] = 1 + (pos / 7 + i * 3 + name[0]) % 251;
		if (pwrite(fd, kib, len, pos) != (ssize_t)len)
			err = -EIO;
	}
	if (ftruncate(fd, size))
		err = -errno;
	close(fd);
	return err;
}

static int tree_names(const char *dir, unsigned count, int width)
{
	char path[5000], to[5000];
	unsigned i;

	snprintf(to, sizeof(to), "%s/small", tree);
	snprintf(path, sizeof(path), "%s/%s", tree, dir);
	if (mkdir(path, 0755))
		return -errno;
	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s/%0*u", tree, dir, width, i);
		if (link(to, path))
			return -errno;
	}
	return 0;
}

static int make_tree(const char *dir)
{
	int err;

	snprintf(tree, sizeof(tree), "%s/tree", dir);
	if (sh("rm -rf '%s'; mkdir -p '%s/keep' '%s/d1/d2/d3/d4' '%s/empty'", tree,
	       tree, tree, tree))
		return -EIO;
	err = tree_file("keep/k0", 10, 1);
	err = err ? err : tree_file("keep/k1", 3000, 1);
	err = err ? err : tree_file("keep/k2", 20000, 1);
	err = err ? err : tree_file("keep/k3", 40000, 4);
	err = err ? err : tree_file("keep/k4", 90000, 1);
	err = err ? err : tree_file("keep/k5", 300000, 6);
	err = err ? err : tree_file("small", 60, 1);
	err = err ? err : tree_file("mid", 5000, 1);
	err = err ? err : tree_file("tail", 140, 1);
	err = err ? err : tree_file("big", 300000, 1);
	err = err ? err : tree_file("sparse", 900 * 1024, 2);
	err = err ? err : tree_file("d1/d2/f", 12000, 1);
	err = err ? err : tree_file("d1/d2/d3/d4/f", 70, 1);
	err = err ? err : tree_file("o1", 9000, 1);
	err = err ? err : tree_file("o2", 100000, 3);
	err = err ? err : tree_file("o3", 10, 1);
	err = err ? err : tree_names("long", 620, 180);
	err = err ? err : tree_names("short", 60, 8);
	if (err)
		return err;
	return sh("cd '%s' && ln -s small fast && mkfifo fifo && "
		  "ln -s $(printf '%%0200d' 7) slow", tree) ? -EIO : 0;
}

/* o1 to o3 lose their names, and become a list. */
static int make_orphans(const char *image)
{
	return sh("set -- $(for f in o1 o2 o3; do debugfs -R \"stat /$f\" '%s' "
		  "2>/dev/null | sed -n 's/^Inode: \\([0-9]*\\).*/\\1/p'; done); "
		  "debugfs -w -f - '%s' >/dev/null 2>&1 <<EOF\n"
		  "unlink o1\nunlink o2\nunlink o3\n"
		  "sif <$1> links_count 0\nsif <$2> links_count 0\n"
		  "sif <$3> links_count 0\n"
		  "sif <$1> dtime $2\nsif <$2> dtime $3\nsif <$3> dtime 0\n"
		  "ssv last_orphan $1\nEOF\n", image, image);
}

static int make_image(const char *dir, unsigned n)
{
	char image[5000];

	snprintf(image, sizeof(image), "%s/%s.img", dir, recipes[n].name);
	sh("rm -f '%s'; mke2fs -q -F -N 128 -m 1 -U "
		 "01234567-89ab-4def-8123-456789abcdef "
		 "-E hash_seed=11234567-89ab-4def-8123-456789abcdef %s -d '%s' "
		 "'%s' %s >/dev/null 2>&1", image, recipes[n].options,
		 tree, image,
		 strcmp(recipes[n].name, "ext4-4k") ? "4096" : "1500");
	sh("e2fsck -fyD '%s' >/dev/null 2>&1", image);
	sh("head -c 700 /dev/zero | tr '\\0' a >'%s/v1';"
	   "head -c 3000 /dev/zero | tr '\\0' b >'%s/v2';"
	   "debugfs -w -f - '%s' >/dev/null 2>&1 <<EOF\n"
	   "ea_set /mid user.one value\nea_set /mid user.two other\n"
	   "ea_set -f %s/v1 /mid user.block\nea_set -f %s/v1 /big user.a\n"
	   "ea_set /big security.capability abcd\nea_set /d1 user.dir small\n"
	   "ea_set -f %s/v2 /tail user.huge\nea_set /tail user.x 1\n"
	   "ea_set -f %s/v1 /keep/k2 user.a\nEOF\n", dir, dir, image, dir, dir,
	   dir, dir);
	/* debugfs counts blocks of EA inodes in its own way */
	sh("e2fsck -fy '%s' >/dev/null 2>&1", image);
	if (sh("e2fsck -fn '%s' >/dev/null 2>&1", image)) {
		fprintf(stderr, "damage: cannot make %s\n", image);
		return -EIO;
	}
	return recipes[n].orphans ? make_orphans(image) : 0;
}

int damage_make(const char *dir)
{
	unsigned i;
	int err;

	err = make_tree(dir);
	for (i = 0; i < RECIPES && !err; i++)
		err = make_image(dir, i);
	sh("rm -rf '%s' '%s/v1' '%s/v2'", tree, dir, dir);
	return err;
}

/* ---- where the metadata is ---- */

static void add(struct damage_image *img, enum damage_kind kind, uint32_t ino,
		uint64_t off, uint32_t len)
{
	struct damage_area *a;

	if (img->count % 256 == 0) {
		img->areas = realloc(img->areas, (img->count + 256) *
				     sizeof(*img->areas));
		if (!img->areas)
			abort();
	}
	a = &img->areas[img->count++];
	a->kind = kind;
	a->ino = ino;
	a->off = off;
	a->len = len;
}

static void add_block(struct damage_image *img, enum damage_kind kind,
		      uint32_t ino, uint64_t blk)
{
	add(img, kind, ino, blk * img->blocksize, img->blocksize);
}

struct owner {
	struct damage_image *img;
	uint32_t ino;
	enum damage_kind kind;
};

static int add_file_block(ext2_filsys e2, blk64_t *blk, e2_blkcnt_t lblk,
			  blk64_t ref, int off, void *ctx)
{
	struct owner *o = ctx;

	(void)e2, (void)ref, (void)off;
	add_block(o->img, lblk < 0 ? DAMAGE_MAP : o->kind, o->ino, *blk);
	return 0;
}

static void add_inode(struct damage_image *img, uint32_t ino,
		      struct ext2_inode *inode)
{
	struct owner o = { img, ino, DAMAGE_DATA };

	add(img, DAMAGE_INODE, ino, damage_inode_off(img, ino),
	    img->inode_size);
	if (inode->i_file_acl)
		add_block(img, DAMAGE_XATTR, ino, inode->i_file_acl);
	if (ino == EXT2_RESIZE_INO || ino == EXT2_JOURNAL_INO ||
	    !ext2fs_inode_has_valid_blocks2(img->e2, inode) ||
	    inode->i_flags & EXT4_INLINE_DATA_FL)
		return;
	if (LINUX_S_ISDIR(inode->i_mode))
		o.kind = DAMAGE_DIR;
	else if (img->e2->super->s_orphan_file_inum == ino)
		o.kind = DAMAGE_ORPHAN;
	ext2fs_block_iterate3(img->e2, ino, BLOCK_FLAG_READ_ONLY, NULL,
			      add_file_block, &o);
}

static void add_groups(struct damage_image *img)
{
	ext2_filsys e2 = img->e2;
	unsigned g, i;

	add(img, DAMAGE_SUPER, 0, 1024, 1024);
	for (i = 0; i < e2->desc_blocks; i++)
		add_block(img, DAMAGE_DESC, 0,
			  ext2fs_descriptor_block_loc2(e2,
				e2->super->s_first_data_block, i));
	for (g = 0; g < e2->group_desc_count; g++) {
		add_block(img, DAMAGE_BITMAP, 0, ext2fs_block_bitmap_loc(e2, g));
		add_block(img, DAMAGE_BITMAP, 0, ext2fs_inode_bitmap_loc(e2, g));
	}
}

static void add_inodes(struct damage_image *img)
{
	struct ext2_inode inode;
	ext2_inode_scan scan;
	ext2_ino_t ino;

	if (ext2fs_open_inode_scan(img->e2, 0, &scan))
		return;
	while (!ext2fs_get_next_inode(scan, &ino, &inode) && ino)
		if (inode.i_mode || ino < EXT2_GOOD_OLD_FIRST_INO)
			add_inode(img, ino, &inode);
	ext2fs_close_inode_scan(scan);
}

static int compare(const void *a, const void *b)
{
	const struct damage_area *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return 0;
}

static void find_keeps(struct damage_image *img)
{
	static const char *const names[] = {
		"/keep", "/keep/k0", "/keep/k1", "/keep/k2", "/keep/k3",
		"/keep/k4", "/keep/k5"
	};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		img->keep[img->keeps++] = damage_ino(img, names[i]);
}

static int read_file(const char *path, struct damage_image *img)
{
	struct stat st;
	int fd = open(path, O_RDONLY), err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	img->size = st.st_size;
	img->bytes = malloc(img->size + 1);
	if (!img->bytes)
		abort();
	if (!err && pread(fd, img->bytes, img->size, 0) != (ssize_t)img->size)
		err = -EIO;
	close(fd);
	return err;
}

int damage_load(const char *dir, const char *name, struct damage_image *img)
{
	char path[5000];
	unsigned i, k;
	int err;

	memset(img, 0, sizeof(*img));
	snprintf(img->name, sizeof(img->name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s.img", dir, name);
	err = read_file(path, img);
	if (err)
		return err;
	if (ext2fs_open2(path, NULL, EXT2_FLAG_64BITS, 0, 0, unix_io_manager,
			 &img->e2))
		return -EIO;
	img->blocksize = img->e2->blocksize;
	img->inode_size = EXT2_INODE_SIZE(img->e2->super);
	add_groups(img);
	add_inodes(img);
	qsort(img->areas, img->count, sizeof(*img->areas), compare);
	for (k = 0, i = 0; k <= DAMAGE_DATA + 1; k++) {
		while (i < img->count && img->areas[i].kind < k)
			i++;
		img->first[k] = i;
	}
	find_keeps(img);
	return 0;
}

void damage_unload(struct damage_image *img)
{
	if (img->e2)
		ext2fs_free(img->e2);
	free(img->areas);
	free(img->bytes);
	memset(img, 0, sizeof(*img));
}

uint32_t damage_ino(struct damage_image *img, const char *path)
{
	ext2_ino_t ino = 0;

	if (ext2fs_namei(img->e2, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino)) {
		fprintf(stderr, "damage: no %s in %s\n", path, img->name);
		abort();
	}
	return ino;
}

uint64_t damage_inode_off(struct damage_image *img, uint32_t ino)
{
	uint32_t per = img->e2->super->s_inodes_per_group;

	return ext2fs_inode_table_loc(img->e2, (ino - 1) / per) *
	       img->blocksize + (uint64_t)((ino - 1) % per) * img->inode_size;
}

const struct damage_area *damage_find(struct damage_image *img,
				      enum damage_kind kind, uint32_t ino,
				      unsigned n)
{
	unsigned i;

	for (i = img->first[kind]; i < img->first[kind + 1]; i++)
		if (img->areas[i].ino == ino && !n--)
			return &img->areas[i];
	return NULL;
}

/* ---- damage ---- */

/* Numbers that mean something, or that arithmetic stumbles over. */
static uint64_t telling(struct damage_image *img, const struct damage_area *a,
			uint32_t value)
{
	uint32_t blocks = img->e2->super->s_blocks_count;
	uint64_t table[16] = {
		0, 1, 2, 0xff, 0xffff, 0x7fff, 0x8000, 0xffffffff, 0x7fffffff,
		0x80000000, blocks, blocks - 1,
		a->off / img->blocksize,			/* itself */
		ext2fs_inode_table_loc(img->e2, 0), img->blocksize,
		img->areas[value / 16 % img->count].off / img->blocksize,
	};

	return table[value % 16];
}

static void put(uint8_t *p, unsigned width, uint64_t value)
{
	value = htole64(value);
	memcpy(p, &value, width);
}

/* The same part of another piece of this kind. */
static void transplant(struct damage_image *img, uint8_t *bytes,
		       const struct damage_area *a, unsigned at, uint32_t value)
{
	unsigned first = img->first[a->kind];
	unsigned count = img->first[a->kind + 1] - first;
	const struct damage_area *b = &img->areas[first + value % count];
	unsigned from = value >> 16 & 1 ? 0 : at;
	unsigned len = a->len < b->len ? a->len : b->len;

	memmove(bytes + a->off + from, bytes + b->off + from, len - from);
}

void damage_apply(struct damage_image *img, uint8_t *bytes, unsigned area,
		  unsigned at, unsigned how, uint32_t value)
{
	const struct damage_area *a = &img->areas[area % img->first[DAMAGE_DATA]];
	unsigned pos = at % a->len;
	uint8_t *p = bytes + a->off;

	switch (how % 8) {
	case 0:
		p[pos] ^= 1U << value % 8;
		break;
	case 1:
		p[pos] = value;
		break;
	case 2:
		put(p + (pos & ~1U), 2, telling(img, a, value));
		break;
	case 3:
	case 4:
		put(p + (pos & ~3U), 4, telling(img, a, value));
		break;
	case 5:
		put(p + (pos & ~3U), 4, value);
		break;
	case 6:
		memset(p + pos, value & 0x100 ? 0xff : 0,
		       (value % 64) < a->len - pos ? value % 64 : a->len - pos);
		break;
	case 7:
		transplant(img, bytes, a, pos & ~3U, value);
		break;
	}
}

/* ---- bystanders ---- */

static bool is_keep(struct damage_image *img, uint32_t ino)
{
	unsigned i;

	for (i = 0; i < img->keeps; i++)
		if (img->keep[i] == ino)
			return true;
	return false;
}

const char *damage_keeps_differ(struct damage_image *img, const uint8_t *bytes,
				const uint8_t *damaged)
{
	static char what[80];
	unsigned i;

	for (i = 0; i < img->count; i++) {
		const struct damage_area *a = &img->areas[i];

		if (!is_keep(img, a->ino) ||
		    !memcmp(bytes + a->off, damaged + a->off, a->len))
			continue;
		snprintf(what, sizeof(what), "inode %u: area of kind %d at %#llx",
			 a->ino, a->kind, (unsigned long long)a->off);
		return what;
	}
	return NULL;
}
