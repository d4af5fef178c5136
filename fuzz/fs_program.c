/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fs_program.c - a machine that runs bytes as operations on a volume.
 *
 * Knows the calls that ops/ makes, and makes them in any order with any
 * arguments; knows nothing of the disk format.  Programs are bounded in
 * steps, in bytes transferred and in names visited, so whatever takes long is
 * the library's doing.  One thread; takes the volume lock where the calls
 * want it.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/data.h"
#include "fs/dir.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/namei.h"
#include "fs/path.h"
#include "fs/xattr.h"
#include "fuzz/fs_program.h"
#include "journal/txn.h"

#define SLOTS		8
#define MAX_STEPS	160
#define MAX_VISITS	1200		/* inodes, by all walks */
#define MAX_ENTRIES	8192		/* more than the images' directories have */
#define IO_BYTES	(64 * 1024)
#define XATTR_BYTES	(64 * 1024)

struct slot {
	struct inode *inode;		/* referenced, or NULL */
	unsigned opens;
};

struct machine {
	struct fs *fs;
	const struct fs_program_opt *opt;
	const uint8_t *prog;
	size_t len, pos;
	struct slot slot[SLOTS];
	unsigned visits;
	uint8_t *buf;			/* IO_BYTES */
};

struct name {
	char s[256];
	size_t len;
	uint32_t ino;
};

#define must(cond) do { \
	if (!(cond)) { \
		fprintf(stderr, "fs_program:%d: %s\n", __LINE__, #cond); \
		abort(); \
	} \
} while (0)

/* Errors that no operation here may give, whatever is on the disk. */
static void checked(int64_t ret, int line)
{
	if (ret > -200 && ret != -EFAULT && ret != -ENOMEM && ret != -ENOSYS &&
	    ret != -EBADF && ret != -EINTR && ret != -EAGAIN)
		return;
	fprintf(stderr, "fs_program:%d: returned %lld\n", line, (long long)ret);
	abort();
}

#define did(call) do { \
	int64_t did_ret = (call); \
	checked(did_ret, __LINE__); \
	must(did_ret <= 0); \
} while (0)

static unsigned take(struct machine *m)
{
	return m->pos < m->len ? m->prog[m->pos++] : 0;
}

static struct slot *take_slot(struct machine *m)
{
	return &m->slot[take(m) % SLOTS];
}

/* An offset or a size, of any magnitude. */
static uint64_t take_offset(struct machine *m)
{
	static const uint8_t shifts[16] = {
		0, 0, 4, 8, 9, 10, 10, 10, 11, 12, 12, 13, 16, 20, 31, 41
	};
	unsigned value = take(m), how = take(m);

	return ((uint64_t)value << shifts[how % 16]) + (how >> 6);
}

/* A reference on INODE goes into a slot. */
static void store(struct machine *m, struct slot *s, struct inode *inode)
{
	while (s->opens) {
		s->opens--;
		did(inode_close(s->inode));
	}
	if (s->inode)
		inode_put_unlocked(s->inode);
	s->inode = inode;
	(void)m;
}

static bool kept(struct machine *m, uint32_t ino)
{
	unsigned i;

	for (i = 0; i < m->opt->keeps; i++)
		if (m->opt->keep[i] == ino)
			return true;
	return false;
}

static bool may_change(struct machine *m, struct inode *inode)
{
	return inode && !kept(m, inode->ino);
}

/* Is what NAME says in DIR something that may go? */
static bool may_remove(struct machine *m, struct inode *dir,
		       const struct name *name)
{
	struct inode *inode = NULL;
	bool yes;

	if (namei_lookup(dir, name->s, name->len, &inode))
		return true;
	yes = may_change(m, inode);
	inode_put_unlocked(inode);
	return yes;
}

struct listing {
	struct name *names;
	unsigned count, max, seen;
	uint64_t last;
};

static int emit(void *ctx, const char *name, size_t len, uint32_t ino,
		uint8_t type, uint64_t next)
{
	struct listing *l = ctx;

	must(len >= 1 && len <= 255);
	must(next && (int64_t)next > 0);
	must(type <= 8);
	must(++l->seen <= MAX_ENTRIES);
	if (l->count == l->max)
		return 1;
	if (l->names) {
		memcpy(l->names[l->count].s, name, len);
		l->names[l->count].s[len] = 0;
		l->names[l->count].len = len;
		l->names[l->count].ino = ino;
	}
	l->count++;
	l->last = next;
	return 0;
}

static int list(struct machine *m, struct inode *dir, uint64_t cookie,
		struct listing *l)
{
	int ret;

	fs_lock(m->fs);
	ret = dir_iterate(dir, cookie, emit, l);
	fs_unlock(m->fs);
	checked(ret, __LINE__);
	must(ret <= 1);
	return ret;
}

/* As readdir does it, a few entries at a time. */
static void list_in_pieces(struct machine *m, struct inode *dir,
			   uint64_t cookie, unsigned piece)
{
	struct listing l = { .last = cookie };
	int ret;

	do {
		l.max = l.count + piece;
		ret = list(m, dir, l.last, &l);
	} while (ret == 1);
}

/* A name: one of a few, or the N-th entry of DIR. */
static void take_name(struct machine *m, struct inode *dir, struct name *n)
{
	unsigned which = take(m), i;
	struct listing l = { 0 };

	memset(n, 0, sizeof(*n));
	if (which >= 64 && dir && S_ISDIR(dir->i.mode)) {
		l.max = which - 63;
		l.names = calloc(l.max, sizeof(*l.names));
		must(l.names);
		list(m, dir, 0, &l);
		if (l.count)
			*n = l.names[l.count - 1];
		free(l.names);
		if (n->len)
			return;
	}
	n->len = snprintf(n->s, sizeof(n->s), "n%u", which % 48);
	if (which % 4 != 3)
		return;
	for (i = n->len; i < 40 + (which * 5) % 216; i++)
		n->s[i] = 'a' + (i + which) % 26;
	n->len = i;
}

static void read_attributes(struct machine *m, struct inode *inode)
{
	static char names[XATTR_BYTES];
	ssize_t len, got, i, value;

	len = xattr_list(inode, NULL, 0);
	checked(len, __LINE__);
	if (len <= 0)
		return;
	got = xattr_list(inode, names, sizeof(names));
	checked(got, __LINE__);
	must(got <= (ssize_t)sizeof(names));
	for (i = 0; i < got; i += strlen(names + i) + 1) {
		must(memchr(names + i, 0, got - i));
		value = xattr_get(inode, names + i, m->buf, IO_BYTES);
		checked(value, __LINE__);
		must(value <= IO_BYTES);
		checked(xattr_get(inode, names + i, NULL, 0), __LINE__);
		checked(xattr_get(inode, names + i, m->buf, 3), __LINE__);
	}
}

static void read_contents(struct machine *m, struct inode *inode)
{
	uint64_t off = 0, pblk;
	unsigned pieces;
	ssize_t got;
	int64_t pos;

	for (pieces = 0; pieces < 24; pieces++) {
		got = data_read(inode, m->buf, IO_BYTES, off);
		checked(got, __LINE__);
		must(got <= IO_BYTES);
		did(data_bmap(inode, off >> m->fs->blockbits, &pblk));
		pos = data_seek(inode, off + IO_BYTES, SEEK_DATA);
		checked(pos, __LINE__);
		if (pos < 0)
			break;
		must((uint64_t)pos >= off + IO_BYTES);
		off = pos;
	}
	if (inode->i.size > 100)
		checked(data_read(inode, m->buf, 4096, inode->i.size - 99),
			__LINE__);
	checked(data_seek(inode, 0, SEEK_HOLE), __LINE__);
}

static void look_at(struct machine *m, struct inode *inode)
{
	struct fsxattr fsx;
	struct stat st;
	uint32_t flags;
	ssize_t len;

	attr_stat(inode, &st);
	did(attr_get_flags(inode, &flags));
	did(attr_get_fsx(inode, &fsx));
	read_attributes(m, inode);
	if (S_ISREG(inode->i.mode)) {
		read_contents(m, inode);
	} else if (S_ISLNK(inode->i.mode)) {
		len = data_readlink(inode, (char *)m->buf, IO_BYTES);
		checked(len, __LINE__);
		must(len < IO_BYTES);
		must(len < 0 || !m->buf[len]);
	}
}

/* Everything below DIR, as far as the budget goes. */
static void walk(struct machine *m, struct inode *dir, unsigned depth)
{
	struct listing l = { .max = 64 };
	struct inode *inode;
	unsigned i;
	int err;

	if (m->visits >= MAX_VISITS || !S_ISDIR(dir->i.mode))
		return;
	list_in_pieces(m, dir, 0, 7);
	l.names = calloc(l.max, sizeof(*l.names));
	must(l.names);
	list(m, dir, 0, &l);
	for (i = 0; i < l.count && m->visits < MAX_VISITS; i++) {
		m->visits++;
		inode = NULL;
		err = namei_lookup(dir, l.names[i].s, l.names[i].len, &inode);
		did(err);
		if (err)
			continue;
		look_at(m, inode);
		if (depth < 6 && strcmp(l.names[i].s, ".") &&
		    strcmp(l.names[i].s, ".."))
			walk(m, inode, depth + 1);
		inode_put_unlocked(inode);
	}
	free(l.names);
}

static void op_walk(struct machine *m)
{
	struct inode *root;
	int err;

	err = inode_get_unlocked(m->fs, EXT2_ROOT_INO, &root);
	did(err);
	if (err)
		return;
	look_at(m, root);
	walk(m, root, 0);
	inode_put_unlocked(root);
}

static void op_lookup(struct machine *m)
{
	struct slot *to = take_slot(m), *from = take_slot(m);
	struct inode *inode = NULL;
	struct name n;
	int err;

	take_name(m, from->inode, &n);
	if (!from->inode)
		err = inode_get_unlocked(m->fs, EXT2_ROOT_INO, &inode);
	else
		err = namei_lookup(from->inode, n.s, n.len, &inode);
	did(err);
	if (!err)
		store(m, to, inode);
}

static void op_by_number(struct machine *m)
{
	struct slot *to = take_slot(m);
	uint32_t ino = take(m);
	struct inode *inode;
	int err;

	ino |= take(m) % 4 << 8;
	err = inode_get_unlocked(m->fs, ino, &inode);
	did(err);
	if (!err)
		store(m, to, inode);
}

static void op_create(struct machine *m)
{
	static const mode_t types[8] = {
		S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR,
		S_IFSOCK
	};
	struct slot *dir = take_slot(m), *to = take_slot(m);
	struct caller who = { .umask = 022 };
	unsigned how = take(m);
	mode_t type = types[how % 8];
	struct inode *inode = NULL;
	char target[1300];
	struct name n;
	int err;

	take_name(m, dir->inode, &n);
	if (!may_change(m, dir->inode))
		return;
	memset(target, 't', sizeof(target));
	target[1 + how * 5] = 0;
	who.reserve = how & 8;
	err = namei_create(dir->inode, n.s, n.len, type | 0755,
			   type == S_IFCHR ? makedev(how, 3) : 0,
			   type == S_IFLNK ? target : NULL, &who, &inode);
	did(err);
	if (!err)
		store(m, to, inode);
}

static struct inode *take_file(struct machine *m)
{
	struct slot *s = take_slot(m);

	if (!may_change(m, s->inode) || !S_ISREG(s->inode->i.mode))
		return NULL;
	return s->inode;
}

static void op_write(struct machine *m)
{
	struct inode *inode = take_file(m);
	uint64_t off = take_offset(m);
	size_t len = 1 + take(m) * 97;
	ssize_t ret;

	if (!inode)
		return;
	memset(m->buf, 'W', len);
	ret = data_write(inode, m->buf, len, off, take(m) % 16);
	checked(ret, __LINE__);
	must(ret <= (ssize_t)len);
}

static void op_truncate(struct machine *m)
{
	struct inode *inode = take_file(m);
	uint64_t size = take_offset(m);

	if (inode)
		did(data_truncate(inode, size, 0));
}

static void op_fallocate(struct machine *m)
{
	static const int modes[8] = {
		0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE
	};
	struct inode *inode = take_file(m);
	int mode = modes[take(m) % 8];
	uint64_t off = take_offset(m), len = take_offset(m);

	if (inode)
		did(data_fallocate(inode, mode, off, len, 0));
}

static void op_remove(struct machine *m)
{
	struct inode *dir = take_slot(m)->inode;
	unsigned how = take(m);
	struct name n;

	take_name(m, dir, &n);
	if (!may_change(m, dir) || !may_remove(m, dir, &n))
		return;
	if (how & 1)
		did(namei_rmdir(dir, n.s, n.len));
	else
		did(namei_unlink(dir, n.s, n.len));
}

static void op_rename(struct machine *m)
{
	struct inode *from = take_slot(m)->inode, *to = take_slot(m)->inode;
	struct caller who = { .umask = 022 };
	unsigned how = take(m);
	struct name n, n2;

	take_name(m, from, &n);
	take_name(m, to, &n2);
	if (!may_change(m, from) || !may_change(m, to) ||
	    !may_remove(m, from, &n) || !may_remove(m, to, &n2))
		return;
	did(namei_rename(from, n.s, n.len, to, n2.s, n2.len,
			 how & 8 ? how % 8 : 0, &who));
}

static void op_link(struct machine *m)
{
	struct inode *inode = take_slot(m)->inode, *dir = take_slot(m)->inode;
	struct name n;

	take_name(m, NULL, &n);
	if (may_change(m, inode) && may_change(m, dir))
		did(namei_link(inode, dir, n.s, n.len));
}

static void op_xattr(struct machine *m)
{
	static const char *const spaces[4] = {
		"user.", "user.", "trusted.", "security."
	};
	struct inode *inode = take_slot(m)->inode;
	unsigned how = take(m), which = take(m);
	size_t size = take(m) << (how >> 5);
	char name[64];

	if (!inode)
		return;
	snprintf(name, sizeof(name), "%s%.*s%u", spaces[how % 4],
		 (int)(which % 24), "abcdefghijklmnopqrstuvwxyz", which % 8);
	memset(m->buf, 'x', size);
	if (how & 4)
		read_attributes(m, inode);
	else if (!may_change(m, inode))
		return;
	else if (how & 8)
		did(xattr_remove(inode, name));
	else
		did(xattr_set(inode, name, m->buf, size, 0));
}

static void op_attr(struct machine *m)
{
	struct inode *inode = take_slot(m)->inode;
	struct attr_change c = { 0 };
	unsigned how = take(m);

	if (!may_change(m, inode))
		return;
	c.valid = ATTR_MODE | ATTR_UID | ATTR_MTIME;
	c.mode = how * 17 & 07777;
	c.uid = how;
	c.mtime.tv_sec = how << 24;
	if (how & 1) {
		c.valid |= ATTR_ATIME | ATTR_ATIME_NOW | ATTR_KILL_SUID;
		data_accessed(inode);
	}
	did(attr_set(inode, &c));
}

static void op_flags(struct machine *m)
{
	static const uint32_t flags[8] = {
		EXT4_EXTENTS_FL, EXT2_NODUMP_FL, EXT4_EXTENTS_FL,
		EXT2_NOATIME_FL, EXT2_SYNC_FL | EXT4_EXTENTS_FL,
		EXT2_APPEND_FL, EXT2_TOPDIR_FL, 0
	};
	struct inode *inode = take_slot(m)->inode;
	unsigned how = take(m);

	if (!may_change(m, inode))
		return;
	did(attr_set_flags(inode, flags[how % 8], true));
	if (how & 8)
		did(attr_set_version(inode, how));
}

static void op_volume(struct machine *m)
{
	struct statvfs st;
	uint64_t done;
	uint64_t total;

	did(attr_statfs(m->fs, &st));
	must(st.f_bfree <= st.f_blocks || !st.f_blocks);
	total = m->fs->blocks_count << m->fs->blockbits;
	switch (take(m) % 48) {
	case 0:
		did(attr_trim(m->fs, 0, total, 0, &done));
		break;
	case 1:
		did(attr_set_label(m->fs, "fuzzed"));
		break;
	case 2:
		did(attr_shutdown(m->fs));
		break;
	}
}

static void op_sync(struct machine *m)
{
	struct inode *inode = take_slot(m)->inode;

	if (inode && S_ISREG(inode->i.mode) && take(m) & 1)
		did(data_fsync(inode, false));
	else
		did(txn_sync(m->fs, 0));
}

static void op_look(struct machine *m)
{
	struct inode *inode = take_slot(m)->inode;

	if (inode)
		look_at(m, inode);
}

static void op_list(struct machine *m)
{
	struct inode *inode = take_slot(m)->inode;
	unsigned piece = 1 + take(m) % 16;
	uint64_t cookie = take(m);

	cookie <<= take(m) % 63;
	if (inode && S_ISDIR(inode->i.mode))
		list_in_pieces(m, inode, cookie, piece);
}

static void op_open(struct machine *m)
{
	struct slot *s = take_slot(m);

	if (!s->inode)
		return;
	if (s->opens) {
		s->opens--;
		did(inode_close(s->inode));
		return;
	}
	s->opens++;
	fs_lock(m->fs);
	inode_open(s->inode);
	fs_unlock(m->fs);
}

static void op_copy(struct machine *m)
{
	struct inode *in = take_slot(m)->inode, *out = take_file(m);
	uint64_t off_in = take_offset(m), off_out = take_offset(m);

	if (in && out && S_ISREG(in->i.mode))
		checked(data_copy(in, off_in, out, off_out, 1 + take(m) * 64,
				  0), __LINE__);
}

static void op_drop(struct machine *m)
{
	store(m, take_slot(m), NULL);
}

static void (*const ops[])(struct machine *m) = {
	op_walk, op_lookup, op_lookup, op_lookup, op_by_number, op_create,
	op_create, op_write, op_write, op_truncate, op_fallocate, op_remove,
	op_remove, op_rename, op_link, op_xattr, op_xattr, op_attr, op_flags,
	op_volume, op_sync, op_look, op_list, op_open, op_copy, op_drop,
};

static void run_all(struct machine *m)
{
	unsigned steps, i;

	for (steps = 0; steps < MAX_STEPS && m->pos < m->len; steps++) {
		unsigned op = take(m) % (sizeof(ops) / sizeof(ops[0]));

		if (getenv("FS_PROGRAM_TRACE"))
			fprintf(stderr, "[%zu: op %u]\n", m->pos - 1, op);
		ops[op](m);
	}
	for (i = 0; i < SLOTS; i++)
		store(m, &m->slot[i], NULL);
}

int fs_program(const char *image, const uint8_t *prog, size_t len,
	       const struct fs_program_opt *opt)
{
	struct machine m = { .opt = opt, .prog = prog, .len = len };
	struct fs_options o = {
		.source = image, .ro = opt->ro, .cache_size = 1024 * 1024,
		.errors = opt->errors_ro ? FS_ERRORS_RO : FS_ERRORS_CONTINUE,
	};
	int err;

	err = fs_open(&o, &m.fs);
	did(err);
	if (err)
		return err;
	m.buf = malloc(IO_BYTES);
	must(m.buf);
	run_all(&m);
	must(!inode_table_busy(m.fs));
	free(m.buf);
	did(fs_close(m.fs));
	return 0;
}
