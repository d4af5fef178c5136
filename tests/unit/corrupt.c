/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corrupt.c - damaged images: never a crash, a hang, a flood of messages or a
 * write to files that have nothing to do with the damage.
 *
 * Rows of damage made to measure, and seeded random damage in each kind of
 * metadata, on images without checksums (and one with).  Each case runs a
 * program of operations in its own process.  LONG=1 runs more of them;
 * "corrupt IMAGE KIND SEED" and "corrupt IMAGE row NUMBER" run one.
 */
#include "casetest.h"
#include "fuzz/damage.c"
#include "fuzz/fs_program.c"

#define PROGRAM		600		/* bytes */
#define IMAGES		7

static struct damage_image images[IMAGES];
static bool verbose;
static unsigned group_cases, group_bad;

struct corrupt_case {
	struct damage_image *img;
	enum damage_kind kind;
	unsigned seed;			/* or number of the row */
	bool row, ro, errors_ro;
	uint8_t *damaged;
	uint32_t aim[3];		/* inodes that were damaged */
	unsigned aims;
	uint64_t random;
	uint8_t prog[PROGRAM];
	unsigned len;
};

static const char *const kinds[] = {
	"super", "desc", "bitmap", "inode", "map", "dir", "xattr", "orphan"
};

/* xorshift: the same numbers everywhere */
static uint32_t rnd(struct corrupt_case *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random >> 16;
}

/* ---- programs ---- */

static void code(struct corrupt_case *c, unsigned n, ...)
{
	va_list ap;

	va_start(ap, n);
	while (n-- && c->len < PROGRAM)
		c->prog[c->len++] = va_arg(ap, int);
	va_end(ap);
}

static unsigned op_number(void (*op)(struct machine *m))
{
	unsigned i = 0;

	while (ops[i] != op)
		i++;
	return i;
}

/* Slot 0: the root; 1 and 2: what was damaged; 3 to 7: names of the root. */
static void make_program(struct corrupt_case *c)
{
	static void (*const wanted[])(struct machine *m) = {
		op_look, op_list, op_open, op_write, op_write, op_create,
		op_xattr, op_truncate, op_remove, op_fallocate, op_rename,
		op_link, op_attr, op_xattr, op_sync, op_copy, op_flags,
		op_open, op_remove, op_volume,
	};
	unsigned i, n, walk_op = op_number(op_walk);

	c->len = 0;
	code(c, 4, op_number(op_lookup), 0, 7, 0);
	if (rnd(c) % 4)
		code(c, 1, walk_op);
	for (i = 0; i < c->aims && i < 2; i++)
		code(c, 4, op_number(op_by_number), 1 + i, c->aim[i] & 255,
		     c->aim[i] >> 8);
	/* what was damaged is written to, over all of its first blocks */
	for (i = 0; c->row && i < 5; i++)
		code(c, 6, op_number(op_write), 1, i, 5, 12, 0);
	for (i = 3; i < 8; i++)
		code(c, 4, op_number(op_lookup), i, 0, 64 + rnd(c) % 20);
	for (i = 0; i < 45; i++) {
		n = rnd(c) % (sizeof(wanted) / sizeof(wanted[0]));
		code(c, 2, op_number(wanted[n]), rnd(c) % 3 ? 1 : rnd(c) % 8);
		for (n = rnd(c) % 6; n; n--)
			code(c, 1, rnd(c) % 2 ? rnd(c) : rnd(c) % 32);
	}
	for (i = 0; i < 12; i++)
		code(c, 1, 0);
	c->prog[PROGRAM - 1] = walk_op;
}

static int body(void *ctx, int image)
{
	struct corrupt_case *c = ctx;
	struct fs_program_opt opt = {
		.ro = c->ro, .errors_ro = c->errors_ro,
		.keep = c->img->keep, .keeps = c->img->keeps,
	};
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	if (verbose) {
		setvbuf(stderr, NULL, _IONBF, 0);
		setenv("FS_PROGRAM_TRACE", "1", 1);
	}
	err = fs_program(path, c->prog, c->len, &opt);
	/* and what we made of it */
	opt.ro = true;
	if (!err)
		fs_program(path, c->prog, 6, &opt);
	return 0;
}

/* ---- judging ---- */

/* Damage that makes a bystander's blocks look free, or somebody else's. */
static bool aliased(struct corrupt_case *c)
{
	unsigned i;
	int fd, ret;

	if (c->kind == DAMAGE_SUPER || c->kind == DAMAGE_DESC ||
	    c->kind == DAMAGE_BITMAP)
		return true;
	for (i = 0; i < c->aims; i++)
		if (is_keep(c->img, c->aim[i]))
			return true;
	if (c->kind != DAMAGE_INODE && c->kind != DAMAGE_MAP)
		return false;
	fd = memory_file(c->damaged, c->img->size);
	ret = run("e2fsck -fn %s 2>/dev/null | grep -qiE "
		  "'multiply-claimed'", fd_path(fd));
	close(fd);
	return ret == 0;
}

static const char *bystanders(struct corrupt_case *c, struct job *job)
{
	static char why[200];
	const char *what;
	uint8_t *now;

	now = mmap(NULL, c->img->size, PROT_READ, MAP_SHARED, job->image, 0);
	if (now == MAP_FAILED)
		bail("mmap");
	what = damage_keeps_differ(c->img, now, c->damaged);
	if (c->ro && memcmp(now, c->damaged, c->img->size))
		what = "something, although read-only";
	else if (what && aliased(c))
		what = NULL;
	munmap(now, c->img->size);
	if (!what)
		return NULL;
	snprintf(why, sizeof(why), "changed a bystander: %s", what);
	return why;
}

static void case_ended(struct job *job, const char *why)
{
	struct corrupt_case *c = job->ctx;
	char what[16];

	group_cases++;
	if (!why)
		why = bystanders(c, job);
	if (why) {
		group_bad++;
		snprintf(what, sizeof(what), "%s",
			 c->row ? "row" : kinds[c->kind]);
		printf("# FAILED: corrupt %s %s %u: %s\n", c->img->name, what,
		       c->seed, why);
		show(job->text, verbose ? 65536 : 2500);
	} else if (verbose) {
		show(job->text, 65536);
	}
	if (verbose && getenv("SAVE")) {
		int fd = open(getenv("SAVE"), O_CREAT | O_WRONLY | O_TRUNC, 0644);

		if (write(fd, c->damaged, c->img->size) < 0)
			perror("SAVE");
		close(fd);
	}
	free(c->damaged);
	free(c);
}

static void group_done(const char *what, const char *how)
{
	wait_all();
	ok(!group_bad, "%s, %s: %u cases", what, how, group_cases);
	group_cases = group_bad = 0;
}

static struct corrupt_case *new_case(struct damage_image *img, unsigned seed)
{
	struct corrupt_case *c = calloc(1, sizeof(*c));

	if (!c)
		bail("memory");
	c->img = img;
	c->seed = seed;
	c->random = 0x9e3779b97f4a7c15ULL * (seed + 1);
	c->damaged = malloc(img->size);
	memcpy(c->damaged, img->bytes, img->size);
	rnd(c), rnd(c);
	return c;
}

static void submit(struct corrupt_case *c)
{
	make_program(c);
	start_case(memory_file(c->damaged, c->img->size), body, c);
}

/* ---- random damage ---- */

static void random_case(struct damage_image *img, enum damage_kind kind,
			unsigned seed)
{
	struct corrupt_case *c = new_case(img, seed * 8 + kind);
	unsigned first = img->first[kind], count = img->first[kind + 1] - first;
	unsigned i, n, area, at;
	uint32_t ino;

	c->seed = seed;
	c->kind = kind;
	c->ro = seed % 8 == 7;
	c->errors_ro = seed % 4 == 1;
	n = 1 + rnd(c) % (seed % 3 ? 3 : 12);
	for (i = 0; i < n; i++) {
		area = first + rnd(c) % count;
		/* heads of things matter more */
		at = rnd(c) % 3 ? rnd(c) % 160 : rnd(c);
		damage_apply(img, c->damaged, area, at, rnd(c), rnd(c));
		ino = img->areas[area].ino;
		if (ino && c->aims < 3)
			c->aim[c->aims++] = ino;
	}
	submit(c);
}

static void random_cases(unsigned per_kind)
{
	unsigned i, k, seed, cut = 0;

	for (i = 0; i < IMAGES; i++) {
		for (k = 0; k < DAMAGE_KINDS; k++) {
			struct damage_image *img = &images[i];

			if (img->first[k] == img->first[k + 1])
				continue;
			for (seed = 0; seed < per_kind; seed++) {
				if (!getenv("LONG") && elapsed() > 50)
					cut++;
				else
					random_case(img, k, seed);
			}
			group_done(img->name, kinds[k]);
		}
	}
	if (cut)
		printf("# out of time: %u cases were left out\n", cut);
}

/* ---- damage made to measure ---- */

/* Values that depend on the image. */
enum {
	V_SELF = 0x10000000,		/* the block that is changed */
	V_BEYOND, V_LAST, V_BITMAP, V_ITABLE, V_GDT, V_OTHERDATA,
	V_DIRBLOCK, V_INO_D1, V_INO_KEEP, V_INO_O1, V_INO_O2, V_INO_ORPHAN,
	V_INO_SELF, V_MAPBLOCK
};

struct row {
	const char *name;		/* NULL: more of the row before */
	enum damage_kind kind;
	const char *path;		/* owner; NULL: nobody */
	unsigned nth;			/* area of that kind */
	unsigned off, width;
	uint64_t value;
};

#define EXT	0x28			/* i_block */
#define INO_SIZE_LO	4
#define INO_SIZE_HI	108

static const struct row rows[] = {
	/* extent trees: header is magic, entries, max, depth, generation */
	{ "extent index points to itself", DAMAGE_INODE, "/sparse", 0, EXT + 6, 2, 2 },
	{ NULL, DAMAGE_MAP, "/sparse", 0, 6, 2, 1 },
	{ NULL, DAMAGE_MAP, "/sparse", 0, 16, 4, V_SELF },
	{ "extent index points to its parent", DAMAGE_INODE, "/sparse", 0, EXT + 6, 2, 3 },
	{ NULL, DAMAGE_MAP, "/sparse", 0, 6, 2, 2 },
	{ NULL, DAMAGE_MAP, "/sparse", 0, 16, 4, V_MAPBLOCK },
	{ NULL, DAMAGE_MAP, "/sparse", 1, 6, 2, 1 },
	{ "extent depth 5", DAMAGE_INODE, "/sparse", 0, EXT + 6, 2, 5 },
	{ "extent depth 65535", DAMAGE_INODE, "/sparse", 0, EXT + 6, 2, 65535 },
	{ "extent depth 0 above leaves", DAMAGE_INODE, "/sparse", 0, EXT + 6, 2, 0 },
	{ "leaf says depth 3", DAMAGE_MAP, "/sparse", 0, 6, 2, 3 },
	{ "root has 60000 entries", DAMAGE_INODE, "/sparse", 0, EXT + 2, 2, 60000 },
	{ "root has max 60000", DAMAGE_INODE, "/sparse", 0, EXT + 4, 2, 60000 },
	{ "index without entries", DAMAGE_INODE, "/sparse", 0, EXT + 2, 2, 0 },
	{ "leaf without entries", DAMAGE_MAP, "/sparse", 0, 2, 2, 0 },
	{ "leaf over max", DAMAGE_MAP, "/sparse", 0, 2, 2, 5000 },
	{ "leaf with max 65535", DAMAGE_MAP, "/sparse", 0, 4, 2, 65535 },
	{ NULL, DAMAGE_MAP, "/sparse", 0, 2, 2, 65535 },
	{ "extent of length 0", DAMAGE_MAP, "/sparse", 0, 16, 2, 0 },
	{ "extent of length 32769", DAMAGE_MAP, "/sparse", 0, 16, 2, 32769 },
	{ "extent overlaps the next", DAMAGE_MAP, "/sparse", 0, 16, 2, 300 },
	{ "extent wraps 2^32", DAMAGE_MAP, "/sparse", 1, 12 + 12 * 3, 4, 0xffffffff },
	{ "extents unsorted", DAMAGE_MAP, "/sparse", 0, 12 + 12 * 4, 4, 0 },
	{ "extent start hi", DAMAGE_MAP, "/sparse", 0, 18, 2, 0xffff },
	{ "extent in a bitmap", DAMAGE_MAP, "/sparse", 0, 20, 4, V_BITMAP },
	{ "extent in an inode table", DAMAGE_MAP, "/sparse", 0, 20, 4, V_ITABLE },
	{ "extent in the descriptors", DAMAGE_MAP, "/sparse", 0, 20, 4, V_GDT },
	{ "extent at the superblock", DAMAGE_MAP, "/sparse", 0, 20, 4, 1 },
	{ "extent at 0", DAMAGE_MAP, "/sparse", 0, 20, 4, 0 },
	{ "extent beyond the end", DAMAGE_MAP, "/sparse", 0, 20, 4, V_BEYOND },
	{ "extent over the end", DAMAGE_INODE, "/mid", 0, EXT + 20, 4, V_LAST },
	{ "extent is its own leaf", DAMAGE_MAP, "/sparse", 0, 20, 4, V_SELF },
	{ "two files share blocks", DAMAGE_INODE, "/mid", 0, EXT + 20, 4, V_OTHERDATA },
	{ "file shares a directory's block", DAMAGE_INODE, "/mid", 0, EXT + 20, 4, V_DIRBLOCK },
	{ "directory without a map", DAMAGE_INODE, "/d1", 0, EXT + 2, 2, 0 },
	{ "directory shares the root's block", DAMAGE_INODE, "/d1", 0, EXT + 20, 4, V_DIRBLOCK },
	/* indirect blocks (on the images without extents) */
	{ "indirect block points to itself", DAMAGE_MAP, "/big", 0, 0, 4, V_SELF },
	{ "indirect block points to the inode table", DAMAGE_MAP, "/big", 0, 0, 4, V_ITABLE },
	{ "indirect block points beyond", DAMAGE_MAP, "/big", 0, 4, 4, V_BEYOND },
	{ "second indirect block is the first", DAMAGE_MAP, "/big", 1, 0, 4, V_MAPBLOCK },
	{ "double indirect block is the single", DAMAGE_INODE, "/big", 0, EXT + 52, 4, V_MAPBLOCK },
	{ "triple indirect block from nowhere", DAMAGE_INODE, "/big", 0, EXT + 56, 4, V_MAPBLOCK },
	{ NULL, DAMAGE_INODE, "/big", 0, INO_SIZE_HI, 4, 0x3f },
	{ "indirect block in the inode table", DAMAGE_INODE, "/big", 0, EXT + 48, 4, V_ITABLE },
	/* sizes */
	{ "file size 2^64 - 1", DAMAGE_INODE, "/big", 0, INO_SIZE_LO, 4, 0xffffffff },
	{ NULL, DAMAGE_INODE, "/big", 0, INO_SIZE_HI, 4, 0xffffffff },
	{ "file size 2^63", DAMAGE_INODE, "/sparse", 0, INO_SIZE_HI, 4, 0x80000000 },
	{ "file size 2^62", DAMAGE_INODE, "/sparse", 0, INO_SIZE_HI, 4, 0x40000000 },
	{ "directory size 0", DAMAGE_INODE, "/d1", 0, INO_SIZE_LO, 4, 0 },
	{ "directory size huge", DAMAGE_INODE, "/d1", 0, INO_SIZE_LO, 4, 0xfffff000 },
	{ "directory size odd", DAMAGE_INODE, "/long", 0, INO_SIZE_LO, 4, 5000 },
	{ "directory size 2^40", DAMAGE_INODE, "/short", 0, INO_SIZE_HI, 4, 256 },
	{ "fast symlink size 0", DAMAGE_INODE, "/fast", 0, INO_SIZE_LO, 4, 0 },
	{ "fast symlink size 60", DAMAGE_INODE, "/fast", 0, INO_SIZE_LO, 4, 60 },
	{ "symlink size 5000", DAMAGE_INODE, "/slow", 0, INO_SIZE_LO, 4, 5000 },
	{ "symlink size 2^40", DAMAGE_INODE, "/slow", 0, INO_SIZE_HI, 4, 256 },
	{ "i_blocks 0", DAMAGE_INODE, "/big", 0, 28, 4, 0 },
	{ "i_blocks huge", DAMAGE_INODE, "/big", 0, 28, 4, 0xffffffff },
	/* directories: inode, rec_len, name_len, type */
	{ "rec_len 0", DAMAGE_DIR, "/short", 0, 4, 2, 0 },
	{ "rec_len 0 later", DAMAGE_DIR, "/", 0, 12 + 4, 2, 0 },
	{ "rec_len 4", DAMAGE_DIR, "/d1", 0, 24 + 4, 2, 4 },
	{ "rec_len odd", DAMAGE_DIR, "/d1", 0, 24 + 4, 2, 13 },
	{ "rec_len over the end", DAMAGE_DIR, "/d1", 0, 24 + 4, 2, 65532 },
	{ "name_len over rec_len", DAMAGE_DIR, "/d1", 0, 24 + 6, 1, 255 },
	{ "name_len 0", DAMAGE_DIR, "/d1", 0, 24 + 6, 1, 0 },
	{ "entry of inode 2^32 - 1", DAMAGE_DIR, "/d1", 0, 24, 4, 0xffffffff },
	{ "entry of the root", DAMAGE_DIR, "/d1/d2", 0, 24, 4, 2 },
	{ "entry of inode 1", DAMAGE_DIR, "/d1/d2", 0, 24, 4, 1 },
	{ "entry of the resize inode", DAMAGE_DIR, "/d1/d2", 0, 24, 4, 7 },
	{ "entry of the journal", DAMAGE_DIR, "/d1/d2", 0, 24, 4, 8 },
	{ "entry of a free inode", DAMAGE_DIR, "/d1/d2", 0, 24, 4, 120 },
	{ "directory loop", DAMAGE_DIR, "/d1/d2/d3", 0, 24, 4, V_INO_D1 },
	{ "directory in itself", DAMAGE_DIR, "/d1/d2/d3", 0, 24, 4, V_INO_SELF },
	{ "dotdot is itself", DAMAGE_DIR, "/d1/d2/d3", 0, 12, 4, V_INO_SELF },
	{ "dotdot is a file", DAMAGE_DIR, "/d1/d2/d3", 0, 12, 4, V_INO_O1 },
	{ "dotdot is below", DAMAGE_DIR, "/d1", 0, 12, 4, V_INO_D1 },
	{ "dot is another", DAMAGE_DIR, "/d1/d2", 0, 0, 4, V_INO_D1 },
	{ "dot is no dot", DAMAGE_DIR, "/d1/d2", 0, 8, 1, 'x' },
	{ "dotdot is none", DAMAGE_DIR, "/d1/d2", 0, 12 + 8, 2, 0x7878 },
	{ "dot is free", DAMAGE_DIR, "/d1/d2", 0, 0, 4, 0 },
	{ "slash in a name", DAMAGE_DIR, "/d1", 0, 24 + 8, 1, '/' },
	{ "NUL in a name", DAMAGE_DIR, "/d1", 0, 24 + 8, 1, 0 },
	{ "entry called dot", DAMAGE_DIR, "/d1", 0, 24 + 6, 1, 1 },
	{ NULL, DAMAGE_DIR, "/d1", 0, 24 + 8, 1, '.' },
	{ "type is wrong", DAMAGE_DIR, "/d1", 0, 24 + 7, 1, 7 },
	{ "type is unknown", DAMAGE_DIR, "/d1", 0, 24 + 7, 1, 200 },
	{ "root has no dot", DAMAGE_DIR, "/", 0, 0, 4, 0 },
	/* hash trees: dx_root_info at 24, limit, count and block at 32 */
	{ "htree depth 3", DAMAGE_DIR, "/long", 0, 24 + 6, 1, 3 },
	{ "htree depth 255", DAMAGE_DIR, "/long", 0, 24 + 6, 1, 255 },
	{ "htree depth 0", DAMAGE_DIR, "/long", 0, 24 + 6, 1, 0 },
	{ "htree depth 1", DAMAGE_DIR, "/short", 0, 24 + 6, 1, 1 },
	{ "htree hash version", DAMAGE_DIR, "/long", 0, 24 + 4, 1, 99 },
	{ "htree info length", DAMAGE_DIR, "/long", 0, 24 + 5, 1, 200 },
	{ "htree count 0", DAMAGE_DIR, "/long", 0, 34, 2, 0 },
	{ "htree count over limit", DAMAGE_DIR, "/long", 0, 34, 2, 65535 },
	{ "htree limit 65535", DAMAGE_DIR, "/long", 0, 32, 2, 65535 },
	{ "htree limit 1", DAMAGE_DIR, "/long", 0, 32, 2, 1 },
	{ "htree points to its root", DAMAGE_DIR, "/long", 0, 36, 4, 0 },
	{ "htree points beyond", DAMAGE_DIR, "/long", 0, 36, 4, 0x0fffffff },
	{ "htree child twice", DAMAGE_DIR, "/long", 0, 44, 4, 1 },
	{ "htree hashes unsorted", DAMAGE_DIR, "/long", 0, 40, 4, 0xfffffffe },
	{ "htree flag on a linear directory", DAMAGE_INODE, "/d1", 0, 33, 1, 0x10 },
	{ "no htree flag on a hashed one", DAMAGE_INODE, "/long", 0, 33, 1, 0 },
	/* links, modes, flags */
	{ "links 0 in use", DAMAGE_INODE, "/mid", 0, 26, 2, 0 },
	{ "directory with links 0", DAMAGE_INODE, "/d1", 0, 26, 2, 0 },
	{ "root with links 0", DAMAGE_INODE, "/", 0, 26, 2, 0 },
	{ "links 1, many names", DAMAGE_INODE, "/small", 0, 26, 2, 1 },
	{ "links 65535", DAMAGE_INODE, "/small", 0, 26, 2, 65535 },
	{ "directory with links 65535", DAMAGE_INODE, "/d1", 0, 26, 2, 65535 },
	{ "directory with links 1", DAMAGE_INODE, "/d1", 0, 26, 2, 1 },
	{ "mode 0", DAMAGE_INODE, "/mid", 0, 0, 2, 0 },
	{ "mode unknown", DAMAGE_INODE, "/mid", 0, 0, 2, 0xf1ff },
	{ "file is a directory", DAMAGE_INODE, "/big", 0, 0, 2, 0x41ed },
	{ "directory is a file", DAMAGE_INODE, "/long", 0, 0, 2, 0x81a4 },
	{ "file is a symlink", DAMAGE_INODE, "/big", 0, 0, 2, 0xa1ff },
	{ "directory is a symlink", DAMAGE_INODE, "/d1", 0, 0, 2, 0xa1ff },
	{ "device with blocks", DAMAGE_INODE, "/big", 0, 0, 2, 0x21ff },
	{ "root is a file", DAMAGE_INODE, "/", 0, 0, 2, 0x81a4 },
	{ "all flags", DAMAGE_INODE, "/mid", 0, 32, 4, 0xffffffff },
	{ "no flags", DAMAGE_INODE, "/sparse", 0, 32, 4, 0 },
	{ "extents and inline data", DAMAGE_INODE, "/mid", 0, 32, 4, 0x10080000 },
	{ "inline data on nothing", DAMAGE_INODE, "/small", 0, 32, 4, 0x10000000 },
	{ "EA inode in a directory", DAMAGE_INODE, "/mid", 0, 32, 4, 0x280000 },
	{ "encrypted", DAMAGE_INODE, "/mid", 0, 32, 4, 0x80800 },
	{ "extra_isize 65535", DAMAGE_INODE, "/mid", 0, 128, 2, 65535 },
	{ "extra_isize 3", DAMAGE_INODE, "/mid", 0, 128, 2, 3 },
	{ "extra_isize to the end", DAMAGE_INODE, "/mid", 0, 128, 2, 128 },
	{ "inline size 10000", DAMAGE_INODE, "/small", 0, INO_SIZE_LO, 4, 10000 },
	{ "inline size 161", DAMAGE_INODE, "/tail", 0, INO_SIZE_LO, 4, 161 },
	{ "inline directory, rec_len 0", DAMAGE_INODE, "/empty", 0, EXT + 8, 2, 0 },
	{ "inline directory, rec_len large", DAMAGE_INODE, "/d1", 0, EXT + 8, 2, 4000 },
	{ "inline directory, parent itself", DAMAGE_INODE, "/d1", 0, EXT, 4, V_INO_SELF },
	{ "inline directory, parent 0", DAMAGE_INODE, "/d1", 0, EXT, 4, 0 },
	{ "inline directory of 4000 bytes", DAMAGE_INODE, "/d1", 0, INO_SIZE_LO, 4, 4000 },
	/* orphans */
	{ "orphan list loops", DAMAGE_INODE, "/o2", 0, 20, 4, V_INO_O1 },
	{ "orphan follows itself", DAMAGE_INODE, "/o1", 0, 20, 4, V_INO_O1 },
	{ "orphan list ends in the root", DAMAGE_INODE, "/o3", 0, 20, 4, 2 },
	{ "orphan list ends in a bystander", DAMAGE_INODE, "/o3", 0, 20, 4, V_INO_KEEP },
	{ "orphan list ends beyond", DAMAGE_INODE, "/o1", 0, 20, 4, 0x7fffffff },
	{ "orphan list starts at the root", DAMAGE_SUPER, NULL, 0, 0xe8, 4, 2 },
	{ "orphan list starts at a bystander", DAMAGE_SUPER, NULL, 0, 0xe8, 4, V_INO_KEEP },
	{ "orphan list starts at the bad blocks", DAMAGE_SUPER, NULL, 0, 0xe8, 4, 1 },
	{ "orphan list starts at the resize inode", DAMAGE_SUPER, NULL, 0, 0xe8, 4, 7 },
	{ "orphan list starts at the journal", DAMAGE_SUPER, NULL, 0, 0xe8, 4, 8 },
	{ "orphan list starts at a free inode", DAMAGE_SUPER, NULL, 0, 0xe8, 4, 127 },
	{ "orphan list starts beyond", DAMAGE_SUPER, NULL, 0, 0xe8, 4, 0xffffffff },
	{ "orphan of a cyclic tree", DAMAGE_INODE, "/o2", 0, EXT + 6, 2, 1 },
	{ NULL, DAMAGE_INODE, "/o2", 0, EXT + 16, 4, V_MAPBLOCK },
	{ "orphan file starts with the root", DAMAGE_ORPHAN, "<orphan>", 0, 0, 4, 2 },
	{ "orphan file starts with itself", DAMAGE_ORPHAN, "<orphan>", 0, 0, 4, V_INO_ORPHAN },
	{ "orphan file has a bystander", DAMAGE_ORPHAN, "<orphan>", 0, 8, 4, V_INO_KEEP },
	{ "orphan file has a number beyond", DAMAGE_ORPHAN, "<orphan>", 1, 8, 4, 0x7fffffff },
	{ "orphan file has a name twice", DAMAGE_ORPHAN, "<orphan>", 0, 8, 4, V_INO_O1 },
	{ NULL, DAMAGE_ORPHAN, "<orphan>", 0, 16, 4, V_INO_O1 },
	{ "orphan file size 0", DAMAGE_INODE, "<orphan>", 0, INO_SIZE_LO, 4, 0 },
	{ "orphan file size huge", DAMAGE_INODE, "<orphan>", 0, INO_SIZE_LO, 4, 0xffff0000 },
	{ "orphan file is a directory", DAMAGE_INODE, "<orphan>", 0, 0, 2, 0x41ed },
	{ "orphan file is the root", DAMAGE_SUPER, NULL, 0, 0x280, 4, 2 },
	{ "orphan file is a bystander", DAMAGE_SUPER, NULL, 0, 0x280, 4, V_INO_KEEP },
	{ "orphan file is nowhere", DAMAGE_SUPER, NULL, 0, 0x280, 4, 0xffffffff },
	/* xattrs: header 32, then name_len, index, value_offs, inum, size, hash */
	{ "xattr value beyond the block", DAMAGE_XATTR, "/big", 0, 32 + 2, 2, 60000 },
	{ "xattr value over the end", DAMAGE_XATTR, "/big", 0, 32 + 2, 2, 1020 },
	{ "xattr value in the entries", DAMAGE_XATTR, "/big", 0, 32 + 2, 2, 8 },
	{ "xattr value offset odd", DAMAGE_XATTR, "/big", 0, 32 + 2, 2, 301 },
	{ "xattr size 2^32 - 1", DAMAGE_XATTR, "/big", 0, 32 + 8, 4, 0xffffffff },
	{ "xattr size 2^31", DAMAGE_XATTR, "/mid", 0, 32 + 8, 4, 0x80000000 },
	{ "xattr name_len 255", DAMAGE_XATTR, "/big", 0, 32, 1, 255 },
	{ "xattr name_len 0", DAMAGE_XATTR, "/big", 0, 32, 1, 0 },
	{ "xattr index 99", DAMAGE_XATTR, "/big", 0, 32 + 1, 1, 99 },
	{ "xattr is an ACL", DAMAGE_XATTR, "/big", 0, 32 + 1, 1, 2 },
	{ "xattr in the root's inode", DAMAGE_XATTR, "/big", 0, 32 + 4, 4, 2 },
	{ "xattr in a bystander", DAMAGE_XATTR, "/big", 0, 32 + 4, 4, V_INO_KEEP },
	{ "xattr in an inode beyond", DAMAGE_XATTR, "/big", 0, 32 + 4, 4, 0x7fffffff },
	{ "xattr in its own inode", DAMAGE_XATTR, "/big", 0, 32 + 4, 4, V_INO_SELF },
	{ "xattr magic", DAMAGE_XATTR, "/big", 0, 0, 4, 0 },
	{ "xattr refcount 0", DAMAGE_XATTR, "/big", 0, 4, 4, 0 },
	{ "xattr refcount 2^32 - 1", DAMAGE_XATTR, "/big", 0, 4, 4, 0xffffffff },
	{ "xattr blocks 2", DAMAGE_XATTR, "/big", 0, 8, 4, 2 },
	{ "xattr block in the inode table", DAMAGE_INODE, "/big", 0, 104, 4, V_ITABLE },
	{ "xattr block is a directory", DAMAGE_INODE, "/big", 0, 104, 4, V_DIRBLOCK },
	{ "xattr block beyond", DAMAGE_INODE, "/mid", 0, 104, 4, V_BEYOND },
	{ "xattr block at 0xffff in hi", DAMAGE_INODE, "/mid", 0, 118, 2, 0xffff },
	{ "xattrs in the inode, value out", DAMAGE_INODE, "/mid", 0, 128 + 32 + 4 + 2, 2, 4000 },
	{ "xattrs in the inode, name_len", DAMAGE_INODE, "/mid", 0, 128 + 32 + 4, 1, 255 },
	{ "xattrs in the inode, size", DAMAGE_INODE, "/mid", 0, 128 + 32 + 4 + 8, 4, 0xfffffff0 },
	{ "xattrs in the inode, magic", DAMAGE_INODE, "/mid", 0, 128 + 32, 4, 1 },
	/* the superblock */
	{ "all blocks free", DAMAGE_SUPER, NULL, 0, 0x0c, 4, 0xffffffff },
	{ "no blocks free", DAMAGE_SUPER, NULL, 0, 0x0c, 4, 0 },
	{ "all inodes free", DAMAGE_SUPER, NULL, 0, 0x10, 4, 0xffffffff },
	{ "no inodes free", DAMAGE_SUPER, NULL, 0, 0x10, 4, 0 },
	{ "2^32 blocks", DAMAGE_SUPER, NULL, 0, 4, 4, 0xffffffff },
	{ "2^64 blocks", DAMAGE_SUPER, NULL, 0, 0x150, 4, 0xffffffff },
	{ "no blocks", DAMAGE_SUPER, NULL, 0, 4, 4, 0 },
	{ "2^32 inodes", DAMAGE_SUPER, NULL, 0, 0, 4, 0xffffffff },
	{ "no inodes", DAMAGE_SUPER, NULL, 0, 0, 4, 0 },
	{ "reserve of all", DAMAGE_SUPER, NULL, 0, 8, 4, 0xffffffff },
	{ "first data block", DAMAGE_SUPER, NULL, 0, 0x14, 4, 0x7fffffff },
	{ "block size 2^32", DAMAGE_SUPER, NULL, 0, 0x18, 4, 22 },
	{ "cluster size", DAMAGE_SUPER, NULL, 0, 0x1c, 4, 31 },
	{ "blocks per group 0", DAMAGE_SUPER, NULL, 0, 0x20, 4, 0 },
	{ "blocks per group 1", DAMAGE_SUPER, NULL, 0, 0x20, 4, 1 },
	{ "clusters per group 0", DAMAGE_SUPER, NULL, 0, 0x24, 4, 0 },
	{ "clusters per group 7", DAMAGE_SUPER, NULL, 0, 0x24, 4, 7 },
	{ "inodes per group 0", DAMAGE_SUPER, NULL, 0, 0x28, 4, 0 },
	{ "inodes per group 3", DAMAGE_SUPER, NULL, 0, 0x28, 4, 3 },
	{ "inodes per group huge", DAMAGE_SUPER, NULL, 0, 0x28, 4, 0x80000000 },
	{ "first inode 0", DAMAGE_SUPER, NULL, 0, 0x54, 4, 0 },
	{ "first inode huge", DAMAGE_SUPER, NULL, 0, 0x54, 4, 0xffffffff },
	{ "first inode 100", DAMAGE_SUPER, NULL, 0, 0x54, 4, 100 },
	{ "inode size 129", DAMAGE_SUPER, NULL, 0, 0x58, 2, 129 },
	{ "inode size 0", DAMAGE_SUPER, NULL, 0, 0x58, 2, 0 },
	{ "inode size 32768", DAMAGE_SUPER, NULL, 0, 0x58, 2, 32768 },
	{ "inode size 1024", DAMAGE_SUPER, NULL, 0, 0x58, 2, 1024 },
	{ "reserved descriptors", DAMAGE_SUPER, NULL, 0, 0xce, 2, 65535 },
	{ "journal is the root", DAMAGE_SUPER, NULL, 0, 0xe0, 4, 2 },
	{ "descriptor size 3", DAMAGE_SUPER, NULL, 0, 0xfe, 2, 3 },
	{ "descriptor size 32768", DAMAGE_SUPER, NULL, 0, 0xfe, 2, 32768 },
	{ "first meta group", DAMAGE_SUPER, NULL, 0, 0x104, 4, 0xffffffff },
	{ "want_extra_isize", DAMAGE_SUPER, NULL, 0, 0x15e, 2, 60000 },
	{ "min_extra_isize", DAMAGE_SUPER, NULL, 0, 0x15c, 2, 60000 },
	{ "groups per flex", DAMAGE_SUPER, NULL, 0, 0x174, 1, 255 },
	{ "hash version", DAMAGE_SUPER, NULL, 0, 0xfc, 1, 200 },
	{ "overhead", DAMAGE_SUPER, NULL, 0, 0x248, 4, 0xffffffff },
	{ "revision 0", DAMAGE_SUPER, NULL, 0, 0x4c, 4, 0 },
	/* descriptors: bitmaps, inode table, counts, flags */
	{ "bitmap in the inode table", DAMAGE_DESC, NULL, 0, 0, 4, V_ITABLE },
	{ "inode bitmap is the block bitmap", DAMAGE_DESC, NULL, 0, 4, 4, V_BITMAP },
	{ "bitmap at 0", DAMAGE_DESC, NULL, 0, 0, 4, 0 },
	{ "bitmap beyond", DAMAGE_DESC, NULL, 0, 4, 4, V_BEYOND },
	{ "inode table at 0", DAMAGE_DESC, NULL, 0, 8, 4, 0 },
	{ "inode table over the end", DAMAGE_DESC, NULL, 0, 8, 4, V_LAST },
	{ "inode table in the descriptors", DAMAGE_DESC, NULL, 0, 8, 4, 1 },
	{ "inode table of a group is another's", DAMAGE_DESC, NULL, 0, 32 + 8, 4, V_ITABLE },
	{ "group without free blocks", DAMAGE_DESC, NULL, 0, 12, 2, 0 },
	{ "group with 65535 free blocks", DAMAGE_DESC, NULL, 0, 12, 2, 65535 },
	{ "group with 65535 free inodes", DAMAGE_DESC, NULL, 0, 14, 2, 65535 },
	{ "group with 65535 directories", DAMAGE_DESC, NULL, 0, 16, 2, 65535 },
	{ "group all uninitialised", DAMAGE_DESC, NULL, 0, 18, 2, 7 },
	{ "group with 65535 unused inodes", DAMAGE_DESC, NULL, 0, 28, 2, 65535 },
};

#define ROWS	(sizeof(rows) / sizeof(rows[0]))

/* The inode a row speaks of; 0 if it is not in this image. */
static uint32_t row_ino(struct damage_image *img, const char *path)
{
	ext2_ino_t ino;

	if (!path)
		return 0;
	if (!strcmp(path, "<orphan>"))
		return img->e2->super->s_orphan_file_inum;
	if (!strcmp(path, "/o1"))
		return img->e2->super->s_last_orphan;
	if (path[1] == 'o') {
		/* those lost their names: the second, the third */
		ino = img->e2->super->s_last_orphan;
		if (!ino)
			return 0;
		memcpy(&ino, img->bytes + damage_inode_off(img, ino) + 20, 4);
		if (path[2] == '3')
			memcpy(&ino, img->bytes + damage_inode_off(img, ino) +
			       20, 4);
		return ino;
	}
	return damage_ino(img, path);
}

static uint64_t block_of(struct damage_image *img, enum damage_kind kind,
			 uint32_t ino, unsigned n)
{
	const struct damage_area *a = damage_find(img, kind, ino, n);

	return a ? a->off / img->blocksize : 3;
}

static uint64_t row_value(struct damage_image *img, const struct row *r,
			  const struct damage_area *a)
{
	switch (r->value) {
	case V_SELF:
		return a->off / img->blocksize;
	case V_BEYOND:
		return ext2fs_blocks_count(img->e2->super) + 5;
	case V_LAST:
		return ext2fs_blocks_count(img->e2->super) - 1;
	case V_BITMAP:
		return ext2fs_block_bitmap_loc(img->e2, 0);
	case V_ITABLE:
		/* where a bystander is */
		return damage_inode_off(img, img->keep[1]) / img->blocksize;
	case V_GDT:
		return img->e2->super->s_first_data_block + 1;
	case V_OTHERDATA:
		return block_of(img, DAMAGE_DATA, damage_ino(img, "/big"), 2);
	case V_DIRBLOCK:
		return block_of(img, DAMAGE_DIR, 2, 0);
	case V_MAPBLOCK:
		return block_of(img, DAMAGE_MAP, a->ino, 0);
	case V_INO_D1:
		return damage_ino(img, "/d1");
	case V_INO_KEEP:
		return damage_ino(img, "/keep/k4");
	case V_INO_O1:
		return img->e2->super->s_last_orphan ?
		       img->e2->super->s_last_orphan : damage_ino(img, "/mid");
	case V_INO_ORPHAN:
		return img->e2->super->s_orphan_file_inum;
	case V_INO_SELF:
		return a->ino;
	default:
		return r->value;
	}
}

/* One row on one image; false if it does not apply there. */
static bool row_case(struct damage_image *img, unsigned first)
{
	struct corrupt_case *c = new_case(img, first);
	unsigned n = first;

	c->row = true;
	c->kind = rows[n].kind;
	c->errors_ro = n % 3 == 0;
	do {
		const struct row *r = &rows[n];
		uint32_t ino = row_ino(img, r->path);
		const struct damage_area *a = NULL;

		if (ino || !r->path)
			a = damage_find(img, r->kind, ino, r->nth);
		if (!a || r->off + r->width > a->len) {
			free(c->damaged);
			free(c);
			return false;
		}
		put(c->damaged + a->off + r->off, r->width,
		    row_value(img, r, a));
		if (c->aims < 3 && ino)
			c->aim[c->aims++] = ino;
	} while (++n < ROWS && !rows[n].name);
	submit(c);
	return true;
}

static void row_cases(unsigned per_row)
{
	unsigned n, i, made;

	for (n = 0; n < ROWS; n++) {
		if (!rows[n].name)
			continue;
		for (i = made = 0; i < IMAGES && made < per_row; i++)
			made += row_case(&images[(n + i) % IMAGES], n);
		if (per_row > 1)
			group_done("made to measure", rows[n].name);
		else if (!made)
			printf("# nowhere: %s\n", rows[n].name);
		if (n % 40 == 39 && per_row == 1)
			group_done("made to measure", rows[n].name ?
				   rows[n].name : "...");
	}
	if (per_row == 1)
		group_done("made to measure", "the rest");
}

static void one_case(char **argv)
{
	unsigned i, k;

	verbose = true;
	for (i = 0; i < IMAGES; i++)
		if (!strcmp(images[i].name, argv[1]))
			break;
	if (i == IMAGES)
		bail("no such image");
	if (!strcmp(argv[2], "row")) {
		ok(row_case(&images[i], atoi(argv[3])), "applies");
	} else {
		for (k = 0; strcmp(kinds[k], argv[2]); k++)
			if (k == DAMAGE_KINDS - 1)
				bail("no such kind");
		random_case(&images[i], k, atoi(argv[3]));
	}
	group_done(argv[1], argv[2]);
}

/* The judge sees a change of one byte in each bystander. */
static void check_judge(struct damage_image *img)
{
	uint8_t *copy = malloc(img->size);
	unsigned i, seen = 0;

	if (!copy)
		bail("memory");
	memcpy(copy, img->bytes, img->size);
	for (i = 0; i < img->keeps; i++) {
		uint64_t off = damage_inode_off(img, img->keep[i]) + 4;

		copy[off] ^= 1;
		seen += damage_keeps_differ(img, copy, img->bytes) != NULL;
		copy[off] ^= 1;
	}
	is(seen, img->keeps, "changes of bystanders are seen");
	ok(!damage_keeps_differ(img, copy, img->bytes), "and only changes");
	free(copy);
}

/* What was left alone must be as it was. */
static void check_undamaged(void)
{
	struct corrupt_case *c;
	unsigned i;

	check_judge(&images[0]);

	for (i = 0; i < IMAGES; i++) {
		c = new_case(&images[i], 5);
		c->kind = DAMAGE_DIR;
		submit(c);
	}
	group_done("all images", "undamaged");
}

int main(int argc, char **argv)
{
	bool more = getenv("LONG") != NULL;
	unsigned i;

	setup("corrupt");
	if (damage_make(work))
		bail("cannot make the images");
	for (i = 0; i < IMAGES; i++)
		if (damage_load(work, damage_names[i], &images[i]))
			bail("cannot read an image");
	if (argc == 4) {
		one_case(argv);
	} else {
		check_undamaged();
		row_cases(more ? IMAGES : 1);
		random_cases(more ? 150 : 10);
	}
	for (i = 0; i < IMAGES; i++)
		damage_unload(&images[i]);
	run("rm -rf '%s'", work);
	return done();
}
