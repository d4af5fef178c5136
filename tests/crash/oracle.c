/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oracle.c - reads a recovered image with libext2fs and compares it with what
 * the model says (model.h).
 *
 * Nothing of the server under test is used here.  No locks.
 */
#include "oracle.h"

#include <stdarg.h>
#include <stdlib.h>

#include "memio.h"
#include "pattern.h"

#define LINES	4096
#define MAX_TOLD 12

struct walk {
	ext2_filsys fs;
	struct model *m;
	FILE *out;
	char *lines[LINES];
	int n, found;
	uint64_t print;
	uint32_t seen[LINES], ids[LINES];
	int nseen;
	enum oracle_names names;
	const char *path;
};

/* --- findings --- */

static void __attribute__((format(printf, 2, 3)))
finding(struct walk *w, const char *fmt, ...)
{
	va_list ap;

	if (w->found++ >= MAX_TOLD)
		return;
	fprintf(w->out, "    ");
	va_start(ap, fmt);
	vfprintf(w->out, fmt, ap);
	va_end(ap);
	fprintf(w->out, "\n");
}

static bool is_zero(const uint8_t *p)
{
	static const uint8_t zeros[SECTOR];

	return !memcmp(p, zeros, SECTOR);
}

/*
 * A page may be written back while somebody writes to it.  Is each word zero or
 * of a write that the last fsync does not cover, or of the one that it does?
 */
static bool is_mixed(const uint8_t *p, uint32_t id, uint32_t i,
		     const struct sector *s)
{
	const uint64_t *word = (const void *)p;
	uint64_t unknown = ~0ULL, want[SECTOR / 8];
	uint32_t g;
	int k;

	if (s->high == s->low)
		return false;
	for (g = s->low; g <= s->high; g++) {
		pattern_fill(want, id, i, g);
		for (k = 0; k < SECTOR / 8; k++)
			if (word[k] == want[k] || (s->zero_since && !word[k]))
				unknown &= ~(1ULL << k);
	}
	return !unknown;
}

static void check_sector(struct walk *w, uint32_t id, const struct contents *c,
			 uint32_t i, const uint8_t *p)
{
	const struct pattern *pat = (const void *)p;
	static const struct sector none = { .low_zero = 1, .zero_since = 1 };
	const struct sector *s = i < c->room ? &c->sectors[i] : &none;

	if (w->names == NAMES_NOT && !s->low)
		return;
	if (is_zero(p)) {
		if (!s->zero_since && !c->tainted)
			finding(w, "%s: sector %u is zero, not write %u", w->path,
				i, s->low);
		return;
	}
	if (!pattern_good(p) && is_mixed(p, id, i, s))
		return;
	if (!pattern_good(p)) {
		finding(w, "%s: sector %u is no file's data (%02x%02x%02x%02x)",
			w->path, i, p[0], p[1], p[2], p[3]);
		return;
	}
	if (pat->id != id || pat->sector != i) {
		finding(w, "%s: sector %u is sector %u of file %u%s, write %u",
			w->path, i, pat->sector, pat->id,
			pat->id == POISON_ID ? " (a block that was free)" : "",
			pat->gen);
		return;
	}
	if (c->tainted)
		return;
	if (pat->gen > s->high || pat->gen < s->low ||
	    (pat->gen == s->low && s->low_zero))
		finding(w, "%s: sector %u is of write %u, not of %u%s to %u",
			w->path, i, pat->gen, s->low, s->low_zero ? "(0)" : "",
			s->high);
}

static void check_data(struct walk *w, ext2_ino_t ino, uint32_t id,
		       uint64_t size)
{
	const struct contents *c = model_contents(w->m, id);
	static uint8_t buf[1 << 16];
	ext2_file_t file;
	errcode_t err;
	unsigned got, i;
	uint32_t at = 0;

	if (!c) {
		finding(w, "%s: a file %u that was never made", w->path, id);
		return;
	}
	if (w->names == NAMES_NOT && !c->promised)
		return;
	if ((size < c->size_min || size > c->size_max) && !c->tainted)
		finding(w, "%s: size %llu, not %llu to %llu", w->path,
			(unsigned long long)size,
			(unsigned long long)c->size_min,
			(unsigned long long)c->size_max);
	err = ext2fs_file_open(w->fs, ino, 0, &file);
	while (!err) {
		err = ext2fs_file_read(file, buf, sizeof(buf), &got);
		if (err || !got)
			break;
		memset(buf + got, 0, (SECTOR - got % SECTOR) % SECTOR);
		for (i = 0; i < got; i += SECTOR)
			check_sector(w, id, c, at++, buf + i);
	}
	if (err)
		finding(w, "%s: cannot be read: %s", w->path, error_message(err));
	else
		ext2fs_file_close(file);
}

/* --- names --- */

static int one_xattr(char *name, char *value, size_t len, void *data)
{
	if (!strncmp(name, "user.", 5))
		*(uint64_t *)data += model_xattr(name, value, len);
	return 0;
}

static uint64_t xattrs_of(struct walk *w, ext2_ino_t ino)
{
	struct ext2_xattr_handle *h;
	uint64_t sum = 0;

	if (ext2fs_xattrs_open(w->fs, ino, &h))
		return 1;
	if (ext2fs_xattrs_read(h) || ext2fs_xattrs_iterate(h, one_xattr, &sum))
		finding(w, "%s: its xattrs cannot be read", w->path);
	ext2fs_xattrs_close(&h);
	return sum;
}

/* As the marks have it: a letter, and how often. */
static void link_target(struct walk *w, ext2_ino_t ino,
			struct ext2_inode *inode, char *out, size_t size)
{
	char buf[4097], *p = buf;
	size_t n = inode->i_size, i;
	blk64_t blk;

	if (n > 4096 || n == 0)
		goto bad;
	if (ext2fs_is_fast_symlink(inode)) {
		memcpy(buf, inode->i_block, n);
	} else if (inode->i_flags & EXT4_INLINE_DATA_FL) {
		if (ext2fs_inline_data_get(w->fs, ino, inode, buf, &n))
			goto bad;
	} else {
		p = malloc(w->fs->blocksize);
		if (ext2fs_bmap2(w->fs, ino, inode, NULL, 0, 0, NULL, &blk) ||
		    io_channel_read_blk64(w->fs->io, blk, 1, p)) {
			free(p);
			goto bad;
		}
	}
	for (i = 0; i < n && p[i] == p[0]; i++)
		;
	snprintf(out, size, i == n ? "%c*%zu" : "damaged %c*%zu", p[0], n);
	if (p != buf)
		free(p);
	return;
bad:
	snprintf(out, size, "unreadable");
}

static void walk_dir(struct walk *w, ext2_ino_t dir, const char *path);

static void one_name(struct walk *w, const char *path, ext2_ino_t ino)
{
	struct entry e = { .path = path, .target = "" };
	struct ext2_inode inode;
	char line[1024], target[64];
	int i;

	w->path = path;
	if (ext2fs_read_inode(w->fs, ino, &inode)) {
		finding(w, "%s: inode %u cannot be read", path, ino);
		return;
	}
	e.id = inode_uid(inode);
	e.mode = inode.i_mode & 07777;
	e.nlink = inode.i_links_count;
	e.xattrs = xattrs_of(w, ino);
	e.type = '?';
	if (LINUX_S_ISREG(inode.i_mode)) {
		e.type = 'f';
	} else if (LINUX_S_ISDIR(inode.i_mode)) {
		e.type = 'd';
		e.nlink = 0;
	} else if (LINUX_S_ISLNK(inode.i_mode)) {
		e.type = 'l';
		e.mode = 0777;
		link_target(w, ino, &inode, target, sizeof(target));
		e.target = target;
	}
	w->print += model_entry(&e, line, sizeof(line));
	if (w->n < LINES)
		w->lines[w->n++] = strdup(line);
	if (e.type == 'd')
		walk_dir(w, ino, path);
	if (e.type != 'f')
		return;
	for (i = 0; i < w->nseen && w->seen[i] != ino; i++)
		;
	if (i < w->nseen || i == LINES)
		return;
	w->ids[w->nseen] = e.id;
	w->seen[w->nseen++] = ino;
	check_data(w, ino, e.id, EXT2_I_SIZE(&inode));
}

struct names {
	struct { ext2_ino_t ino; char name[256]; } *v;
	int n, room;
};

static int one_dirent(ext2_ino_t dir, int entry, struct ext2_dir_entry *de,
		      int off, int bs, char *buf, void *data)
{
	struct names *l = data;
	int len = ext2fs_dirent_name_len(de);

	(void)dir; (void)off; (void)bs; (void)buf;
	/* (in an inline directory ".." has no kind of its own) */
	if (entry != DIRENT_OTHER_FILE || (len == 2 && !memcmp(de->name, "..", 2)))
		return 0;
	if (l->n == l->room) {
		l->room = l->room * 2 + 16;
		l->v = realloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n].ino = de->inode;
	snprintf(l->v[l->n++].name, 256, "%.*s", len, de->name);
	return 0;
}

static void walk_dir(struct walk *w, ext2_ino_t dir, const char *path)
{
	struct names l = { 0 };
	char child[1024];
	int i;

	if (strlen(path) > 600) {
		finding(w, "%s: too deep", path);
		return;
	}
	if (ext2fs_dir_iterate2(w->fs, dir, 0, NULL, one_dirent, &l))
		finding(w, "%s: cannot be read", path);
	for (i = 0; i < l.n; i++) {
		if (!*path && !strcmp(l.v[i].name, "lost+found") &&
		    w->names == NAMES_PREFIX)
			continue;
		snprintf(child, sizeof(child), "%s%s%s", path, *path ? "/" : "",
			 l.v[i].name);
		one_name(w, child, l.v[i].ino);
	}
	free(l.v);
}

static void check_names(struct walk *w)
{
	const uint64_t *legal;
	int n = model_legal(w->m, &legal), i;

	for (i = 0; i < n; i++)
		if (legal[i] == w->print)
			return;
	finding(w, "the names are as they never were, or not as promised");
	model_explain(w->m, w->lines, w->n, w->out);
}

/* Those that an fsync promised have been seen. */
static void check_promised(struct walk *w)
{
	uint32_t id = 0;
	int i;

	while ((id = model_promised(w->m, id))) {
		for (i = 0; i < w->nseen && w->ids[i] != id; i++)
			;
		if (i == w->nseen)
			finding(w, "file %u was fsynced, and is gone", id);
	}
}

int oracle_check(void *mem, uint64_t size, struct model *m,
		 enum oracle_names names, FILE *out)
{
	struct walk *w = calloc(1, sizeof(*w));
	errcode_t err;
	int found, i;

	w->m = m;
	w->out = out;
	w->names = names;
	err = memio_open(mem, size, &w->fs);
	if (err) {
		fprintf(out, "    cannot be opened: %s\n", error_message(err));
		free(w);
		return 1;
	}
	walk_dir(w, EXT2_ROOT_INO, "");
	if (names == NAMES_PREFIX)
		check_names(w);
	else
		check_promised(w);
	ext2fs_free(w->fs);
	found = w->found;
	for (i = 0; i < w->n; i++)
		free(w->lines[i]);
	free(w);
	return found;
}

int oracle_poison(void *mem, uint64_t size)
{
	ext2_filsys fs;
	errcode_t err;
	uint32_t i;
	blk64_t b;

	err = memio_open(mem, size, &fs);
	if (!err)
		err = ext2fs_read_block_bitmap(fs);
	if (err) {
		fprintf(stderr, "%s\n", error_message(err));
		return 1;
	}
	for (b = fs->super->s_first_data_block;
	     b < ext2fs_blocks_count(fs->super); b++)
		for (i = 0; i < fs->blocksize / SECTOR &&
		     !ext2fs_test_block_bitmap2(fs->block_map, b); i++)
			pattern_fill((uint8_t *)mem + b * fs->blocksize +
				     i * SECTOR, POISON_ID, i, b);
	ext2fs_free(fs);
	return 0;
}
