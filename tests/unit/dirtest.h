/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirtest.h - what the tests of directories share: a volume on a fresh
 * image, one directory in it, and a model of what is in that.
 *
 * The names are links to a few files, whose link counts are kept right, so
 * that e2fsck can judge the result.
 */
#ifndef TESTS_UNIT_DIRTEST_H
#define TESTS_UNIT_DIRTEST_H

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"
#include "../../fs/alloc.h"
#include "../../fs/dir.h"
#include "../../fs/fs.h"
#include "../../fs/inode.h"
#include "../../fs/map.h"
#include "../../io/cache.h"
#include "../../journal/txn.h"
#include "../../sys/log.h"

#define FILES		4
#define MAX_LINKS	60000

struct vol {
	char tmp[256], img[300];
	struct fs *fs;
	struct inode *root, *dir, *file[FILES];
	uint32_t dir_ino, file_ino[FILES];
	/* the model: is name I there, and which file */
	unsigned names;
	signed char *have;
	unsigned (*name)(unsigned i, char *buf);
	int (*index)(const char *name, size_t len);	/* NULL: by its number */
};

/* A shell command on the image ($img) before it is opened first, or NULL. */
__attribute__((unused)) static const char *vol_prep;

static unsigned rnd_state = 12345;

__attribute__((unused)) static unsigned rnd(void)
{
	rnd_state = rnd_state * 1103515245u + 12345u;
	return rnd_state >> 8;
}

__attribute__((format(printf, 1, 2), unused)) static int run(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	int st;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	fflush(NULL);
	st = system(cmd);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

/* Names of many lengths; short for most. */
__attribute__((unused)) static unsigned name_mixed(unsigned i, char *buf)
{
	unsigned len, h = i * 2654435761u >> 16;

	len = (unsigned)sprintf(buf, "f%06u", i);
	if (h % 11 == 0)
		h %= 249;
	else
		h %= 20;
	while (h--)
		buf[len++] = (char)('a' + (i + h) % 26);
	if (i % 7 == 0 && len > 7)
		buf[len - 1] = (char)0xe9;	/* signedness of hashes */
	buf[len] = 0;
	return len;
}

__attribute__((unused)) static unsigned name_long(unsigned i, char *buf)
{
	memset(buf, 'L', 255);
	sprintf(buf, "%07u", i);
	buf[7] = 'l';
	buf[255] = 0;
	return 255;
}

__attribute__((unused)) static unsigned name_plain(unsigned i, char *buf)
{
	return (unsigned)sprintf(buf, "file-%u", i);
}

static void vol_tmp(struct vol *v)
{
	const char *base = getenv("TMPDIR");

	snprintf(v->tmp, sizeof(v->tmp), "%s/dirtest.XXXXXX",
		 base ? base : "/tmp");
	if (!mkdtemp(v->tmp))
		bail("mkdtemp");
	snprintf(v->img, sizeof(v->img), "%s/img", v->tmp);
}

static void vol_open(struct vol *v)
{
	struct fs_options opt = { .source = v->img };
	int err = fs_open(&opt, &v->fs);

	if (err) {
		printf("# fs_open %s: %s\n", v->img, strerror(-err));
		bail("fs_open");
	}
	fs_lock(v->fs);
	if (inode_get(v->fs, EXT2_ROOT_INO, &v->root))
		bail("root");
}

static void must(int err, const char *what)
{
	if (!err)
		return;
	printf("# %s: %s\n", what, strerror(-err));
	bail(what);
}

static struct inode *vol_new_inode(struct vol *v, struct inode *parent,
				   const char *name, uint16_t mode)
{
	struct inode *inode;
	struct txn *t;
	uint32_t ino;

	must(txn_begin(v->fs, TXN_CREATE, &t), "txn_begin");
	must(inode_alloc(t, parent, mode, &ino), "inode_alloc");
	must(inode_new(t, ino, mode, &inode), "inode_new");
	if (S_ISDIR(mode)) {
		inode->i.links = 2;
		must(dir_init(t, inode, parent->ino), "dir_init");
		must(inode_dirty(t, parent), "inode_dirty");
		parent->i.links++;
	} else {
		inode->i.links = 1;
		if (ext2fs_has_feature_extents(v->fs->e2->super))
			inode->i.flags |= EXT4_EXTENTS_FL;
		map_init(inode);
	}
	must(dir_add(t, parent, name, strlen(name), ino, mode), "dir_add");
	txn_end(t);
	return inode;
}

/* A new image with a directory "d" and the files, open and locked. */
__attribute__((unused))
static void vol_make(struct vol *v, const char *mkfs, unsigned mib, unsigned names)
{
	const char *o = strstr(mkfs, "-O ");
	char name[32];
	int i;

	memset(v, 0, sizeof(*v));
	vol_tmp(v);
	/* mke2fs takes the last -O only */
	if (run("mke2fs -q -F %s %.*s -O ^has_journal,^resize_inode%s%s %s %uM >%s/mkfs 2>&1"
		" || { cat %s/mkfs; false; }", strstr(mkfs, "-t ") ? "" : "-t ext4",
		(int)(o ? o - mkfs : 999), mkfs,
		o ? "," : "", o ? o + 3 : "", v->img, mib, v->tmp, v->tmp))
		bail("mke2fs");
	if (vol_prep) {
		char cmd[1024];

		snprintf(cmd, sizeof(cmd), "img=%s; %s", v->img, vol_prep);
		if (run("%s", cmd))
			bail(vol_prep);
	}
	vol_open(v);
	for (i = 0; i < FILES; i++) {
		sprintf(name, "t%d", i);
		v->file[i] = vol_new_inode(v, v->root, name, S_IFREG | 0644);
		v->file_ino[i] = v->file[i]->ino;
	}
	v->dir = vol_new_inode(v, v->root, "d", S_IFDIR | 0755);
	v->dir_ino = v->dir->ino;
	v->names = names;
	v->have = malloc(names);
	memset(v->have, -1, names);
	v->name = name_mixed;
}

static void vol_close(struct vol *v)
{
	int i;

	if (!v->fs)
		return;
	for (i = 0; i < FILES; i++)
		inode_put(v->file[i]);
	inode_put(v->dir);
	inode_put(v->root);
	is(inode_table_busy(v->fs), 0, "no inode is held any more");
	fs_unlock(v->fs);
	is(fs_close(v->fs), 0, "close");
	v->fs = NULL;
}

/* Opens (again): nothing is in memory. */
__attribute__((unused)) static void vol_reopen(struct vol *v)
{
	int i;

	vol_close(v);
	vol_open(v);
	must(inode_get(v->fs, v->dir_ino, &v->dir), "inode_get");
	for (i = 0; i < FILES; i++)
		must(inode_get(v->fs, v->file_ino[i], &v->file[i]), "inode_get");
}

static int vol_fsck(struct vol *v, const char *what)
{
	int st;

	vol_close(v);
	st = run("e2fsck -fn %s >%s/fsck 2>&1", v->img, v->tmp);
	if (st)
		run("head -20 %s/fsck | sed 's/^/# /'", v->tmp);
	return ok(!st, "%s: e2fsck", what);
}

static void vol_free(struct vol *v)
{
	vol_close(v);
	free(v->have);
	if (getenv("KEEP"))
		printf("# kept %s\n", v->tmp);
	else
		run("rm -rf %s", v->tmp);
}

__attribute__((unused)) static void vol_end(struct vol *v, const char *what)
{
	vol_fsck(v, what);
	vol_free(v);
}

static struct inode *vol_pick(struct vol *v, int *k)
{
	int i;

	for (i = 0; i < FILES; i++) {
		*k = (int)(rnd() % FILES);
		if (v->file[*k]->i.links < MAX_LINKS)
			return v->file[*k];
	}
	for (*k = 0; *k < FILES; ++*k)
		if (v->file[*k]->i.links < MAX_LINKS)
			return v->file[*k];
	bail("too many links");
	return NULL;
}

/* Adds name I in a transaction of its own; ABORT: and takes it back. */
__attribute__((unused)) static int model_add(struct vol *v, unsigned i, bool abort)
{
	struct inode *file;
	char name[256];
	unsigned len = v->name(i, name);
	struct txn *t;
	int k, err;

	file = vol_pick(v, &k);
	must(txn_begin(v->fs, TXN_LINK, &t), "txn_begin");
	must(inode_dirty(t, file), "inode_dirty");
	file->i.links++;
	err = dir_add(t, v->dir, name, len, file->ino, file->i.mode);
	if (abort || err) {
		txn_abort(t);
		return err;
	}
	txn_end(t);
	v->have[i] = (signed char)k;
	return 0;
}

__attribute__((unused)) static int model_remove(struct vol *v, unsigned i, bool abort)
{
	char name[256];
	unsigned len = v->name(i, name);
	struct txn *t;
	int err;

	must(txn_begin(v->fs, TXN_UNLINK, &t), "txn_begin");
	must(inode_dirty(t, v->file[v->have[i]]), "inode_dirty");
	v->file[v->have[i]]->i.links--;
	err = dir_remove(t, v->dir, name, len);
	if (abort || err) {
		txn_abort(t);
		return err;
	}
	txn_end(t);
	v->have[i] = -1;
	return 0;
}

__attribute__((unused)) static int model_set(struct vol *v, unsigned i)
{
	char name[256];
	unsigned len = v->name(i, name);
	struct inode *file;
	struct txn *t;
	int k, err;

	file = vol_pick(v, &k);
	must(txn_begin(v->fs, TXN_RENAME, &t), "txn_begin");
	must(inode_dirty(t, v->file[v->have[i]]), "inode_dirty");
	must(inode_dirty(t, file), "inode_dirty");
	v->file[v->have[i]]->i.links--;
	file->i.links++;
	err = dir_set(t, v->dir, name, len, file->ino, file->i.mode);
	if (err) {
		txn_abort(t);
		return err;
	}
	txn_end(t);
	v->have[i] = (signed char)k;
	return 0;
}

/* Is name I as the model says? */
static bool model_right(struct vol *v, unsigned i)
{
	char name[256];
	unsigned len = v->name(i, name);
	uint32_t ino = 0;
	uint8_t type;
	int err = dir_lookup(v->dir, name, len, &ino, &type);

	if (v->have[i] < 0)
		return err == -ENOENT;
	return !err && ino == v->file[v->have[i]]->ino &&
	       type == (ext2fs_has_feature_filetype(v->fs->e2->super) ?
			EXT2_FT_REG_FILE : 0);
}

__attribute__((unused)) static unsigned model_wrong(struct vol *v)
{
	unsigned i, wrong = 0;

	for (i = 0; i < v->names; i++)
		wrong += !model_right(v, i);
	return wrong;
}

/* --- listing --- */

struct lister {
	struct vol *v;
	unsigned char *seen;		/* times */
	uint64_t cookie, last;
	unsigned budget, count, dots, strange, backwards;
};

static int lister_emit(void *ctx, const char *name, size_t len, uint32_t ino,
		       uint8_t type, uint64_t next)
{
	struct lister *l = ctx;
	char want[256], *p;
	unsigned i;

	(void)type;
	if (!l->budget)
		return 1;
	l->budget--;
	l->count++;
	if (next <= l->last || next > INT64_MAX)
		l->backwards++;
	l->last = l->cookie = next;
	if (name[0] == '.' && len <= 2) {
		l->dots++;
		return 0;
	}
	if (l->v->index) {
		i = (unsigned)l->v->index(name, len);
	} else {
		memcpy(want, name, len);
		want[len] = 0;
		p = strpbrk(want, "0123456789");
		i = p ? (unsigned)strtoul(p, NULL, 10) : l->v->names;
	}
	if (i >= l->v->names || l->v->name(i, want) != len ||
	    memcmp(want, name, len)) {
		l->strange++;
		return 0;
	}
	if (l->seen[i] < 255)
		l->seen[i]++;
	if (l->v->have[i] >= 0 && l->v->file[l->v->have[i]]->ino != ino)
		l->strange++;
	return 0;
}

/* Lists all in calls of STEP entries; BETWEEN runs after each call. */
__attribute__((unused))
static void list_all(struct vol *v, struct lister *l, unsigned step,
		     void (*between)(struct vol *v))
{
	int ret;

	memset(l, 0, sizeof(*l));
	l->v = v;
	l->seen = calloc(1, v->names);
	do {
		l->budget = step;
		ret = dir_iterate(v->dir, l->cookie, lister_emit, l);
		if (between)
			between(v);
	} while (ret == 1);
	is(ret, 0, "the listing ends");
}

__attribute__((unused))
static void check_list(struct vol *v, unsigned step)
{
	unsigned i, wrong = 0;
	struct lister l;

	list_all(v, &l, step, NULL);
	for (i = 0; i < v->names; i++)
		wrong += l.seen[i] != (v->have[i] >= 0);
	free(l.seen);
	ok(!wrong && l.dots == 2 && !l.strange && !l.backwards,
	   "each name is listed once (step %u; %u wrong, %u dots, %u strange, %u backwards)",
	   step, wrong, l.dots, l.strange, l.backwards);
}

#endif
