/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_ops.c - the body of each kind of request, out of bytes.
 *
 * Never made up are handles, which are the server's pointers: only a kernel
 * in which nothing can be trusted would change them.
 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fuzz/wire_ops.h"
#include "ops/iomap_proto.h"

/* ---- one function per kind of request ---- */

static void b_lookup(struct msg *m, struct bytes *b)
{
	at_node(m, b, S_IFDIR);
	put_name(m, b);
}

static void b_nothing(struct msg *m, struct bytes *b)
{
	at_node(m, b, m->opcode == FUSE_READLINK ? S_IFLNK : 0);
}

static void b_getattr(struct msg *m, struct bytes *b)
{
	struct fuse_getattr_in in = { .getattr_flags = 0 };

	at_node(m, b, 0);
	if (get8(b) % 4 == 0 && at_handle(m, b, false, &in.fh))
		in.getattr_flags = FUSE_GETATTR_FH;
	put(m, &in, sizeof(in));
	keep(m, 0, sizeof(in));
}

static void b_statx(struct msg *m, struct bytes *b)
{
	struct iom_statx_in in = { .getattr_flags = 0 };

	at_node(m, b, 0);
	if (get8(b) % 4 == 0 && at_handle(m, b, false, &in.fh))
		in.getattr_flags = FUSE_GETATTR_FH;
	in.flags = get_num(b);
	in.mask = get_num(b);
	put(m, &in, sizeof(in));
	keep(m, 0, 16);
}

static void b_setattr(struct msg *m, struct bytes *b)
{
	struct fuse_setattr_in in = { .valid = get8(b) };

	at_node(m, b, S_IFREG);
	in.valid |= get8(b) << 8;
	in.valid &= ~FATTR_FH;
	in.size = get_num(b);
	in.atime = get_num(b);
	in.mtime = get_num(b);
	in.ctime = get_num(b);
	in.atimensec = get_num(b);
	in.mtimensec = get_num(b);
	in.mode = get_num(b);
	in.uid = get_num(b);
	in.gid = get_num(b);
	put(m, &in, sizeof(in));
	keep(m, 0, 16);
}

/* Only the size: the way to long and short files. */
static void b_truncate(struct msg *m, struct bytes *b)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };

	at_node(m, b, S_IFREG);
	in.size = get_num(b);
	put(m, &in, sizeof(in));
}

static void b_mknod(struct msg *m, struct bytes *b)
{
	static const uint32_t types[] = {
		S_IFREG, S_IFREG, S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK,
		S_IFDIR, S_IFLNK, 0, 0xf000,
	};
	struct fuse_mknod_in in = { .umask = 022 };
	unsigned v = get8(b);

	at_node(m, b, S_IFDIR);
	in.mode = types[v % (sizeof(types) / sizeof(types[0]))] | get8(b) << 2;
	if (v > 200)
		in.rdev = get_num(b);
	put(m, &in, sizeof(in));
	put_new_name(m, b);
}

static void b_mkdir(struct msg *m, struct bytes *b)
{
	struct fuse_mkdir_in in = { .mode = 0700 + get8(b) };

	at_node(m, b, S_IFDIR);
	put(m, &in, sizeof(in));
	put_new_name(m, b);
}

static void b_create(struct msg *m, struct bytes *b)
{
	struct fuse_create_in in = {
		.flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644,
	};

	at_node(m, b, S_IFDIR);
	in.open_flags = get8(b) % 2;
	if (get8(b) > 200)
		in.mode = get_num(b);
	put(m, &in, sizeof(in));
	put_new_name(m, b);
}

static void b_symlink(struct msg *m, struct bytes *b)
{
	static char target[255 * 20 + 1];
	size_t len = get8(b) * 20;

	at_node(m, b, S_IFDIR);
	put_new_name(m, b);
	memset(target, 't', len);
	target[len] = 0;
	put(m, target, len + 1);
}

static void b_link(struct msg *m, struct bytes *b)
{
	struct fuse_link_in in = { .oldnodeid = pick(b, S_IFREG)->id };

	at_node(m, b, S_IFDIR);
	put(m, &in, sizeof(in));
	put_new_name(m, b);
}

static void b_remove(struct msg *m, struct bytes *b)
{
	at_node(m, b, S_IFDIR);
	put_name(m, b);
}

static void b_rename(struct msg *m, struct bytes *b)
{
	struct fuse_rename2_in in = { .newdir = pick(b, S_IFDIR)->id };

	at_node(m, b, S_IFDIR);
	if (m->opcode == FUSE_RENAME2)
		in.flags = get8(b) < 200 ? get8(b) % 4 : get_num(b);
	put(m, &in, m->opcode == FUSE_RENAME ? sizeof(struct fuse_rename_in) :
					       sizeof(in));
	put_name(m, b);
	put_name(m, b);
}

static void b_open(struct msg *m, struct bytes *b)
{
	struct fuse_open_in in = { .flags = O_RDWR };
	unsigned v = get8(b);

	m->dir = m->opcode == FUSE_OPENDIR;
	at_node(m, b, m->dir ? S_IFDIR : S_IFREG);
	in.flags = v < 160 ? O_RDWR : v < 200 ? O_RDONLY : get32(b);
	in.open_flags = get8(b) % 2;
	put(m, &in, sizeof(in));
}

/* Where there is no handle yet, one is opened. */
static bool handle(struct msg *m, struct bytes *b, bool dir, uint64_t *fh)
{
	if (at_handle(m, b, dir, fh)) {
		keep(m, 0, 8);
		return true;
	}
	m->opcode = dir ? FUSE_OPENDIR : FUSE_OPEN;
	b_open(m, b);
	return false;
}

static void b_read(struct msg *m, struct bytes *b)
{
	struct fuse_read_in in = { .fh = 0 };

	if (!handle(m, b, false, &in.fh))
		return;
	in.offset = get_num(b);
	in.size = get_num(b);
	in.read_flags = get8(b);
	put(m, &in, sizeof(in));
}

static void b_write(struct msg *m, struct bytes *b)
{
	static uint8_t data[70000];
	struct fuse_write_in in = { .fh = 0 };

	if (!handle(m, b, false, &in.fh))
		return;
	in.offset = get_num(b);
	in.size = get_num(b) % sizeof(data);
	in.write_flags = get8(b) % 8;
	memset(data, get8(b), in.size);
	put(m, &in, sizeof(in));
	put(m, data, in.size);
}

static void b_release(struct msg *m, struct bytes *b)
{
	struct fuse_release_in in = { .fh = 0 };
	unsigned i;

	m->dir = m->opcode == FUSE_RELEASEDIR;
	if (!handle(m, b, m->dir, &in.fh))
		return;
	for (i = 0; client.handles[i].fh != in.fh; i++)
		;
	client.handles[i] = client.handles[--client.handle_count];
	in.flags = get_num(b);
	in.release_flags = get8(b) % 4;
	put(m, &in, sizeof(in));
}

static void b_fsync(struct msg *m, struct bytes *b)
{
	struct fuse_fsync_in in = { .fh = 0 };

	if (!handle(m, b, m->opcode == FUSE_FSYNCDIR, &in.fh))
		return;
	in.fsync_flags = get_num(b);
	put(m, &in, sizeof(in));
}

static void b_flush(struct msg *m, struct bytes *b)
{
	struct fuse_flush_in in = { .fh = 0 };

	if (!handle(m, b, false, &in.fh))
		return;
	in.lock_owner = get_num(b);
	put(m, &in, sizeof(in));
}

static void b_readdir(struct msg *m, struct bytes *b)
{
	struct fuse_read_in in = { .fh = 0 };

	if (!handle(m, b, true, &in.fh))
		return;
	in.offset = get8(b) < 128 ? 0 : get_num(b);
	in.size = get_num(b);
	/* so that the table of nodes is enough */
	if (m->opcode == FUSE_READDIRPLUS && in.size > 4096)
		in.size = 4096;
	put(m, &in, sizeof(in));
}

static void b_setxattr(struct msg *m, struct bytes *b)
{
	static const char *const xattrs[] = {
		"user.one", "user.two", "user.a", "user.new", "user.",
		"security.capability", "trusted.x", "system.posix_acl_access",
		"system.posix_acl_default", "system.data", "none", "user.block",
		"system.advise", "trusted.overlay.opaque",
	};
	static uint8_t value[70000];
	struct fuse_setxattr_in in = { .flags = 0 };
	const char *name = xattrs[get8(b) % (sizeof(xattrs) / sizeof(*xattrs))];
	unsigned i;

	at_node(m, b, 0);
	if (m->opcode == FUSE_SETXATTR) {
		in.size = get_num(b) % sizeof(value);
		in.flags = get8(b) % 4;
		in.setxattr_flags = get8(b) % 2;
		put(m, &in, sizeof(in));
	} else if (m->opcode != FUSE_REMOVEXATTR) {
		struct fuse_getxattr_in get = { .size = get_num(b) };

		put(m, &get, sizeof(get));
	}
	if (m->opcode != FUSE_LISTXATTR)
		put(m, name, strlen(name) + 1);
	if (m->opcode != FUSE_SETXATTR)
		return;
	memset(value, get8(b), in.size);
	value[0] = 2;			/* an ACL's version */
	for (i = 0; i < 44 && b->p < b->end && get8(b) % 8; i++)
		value[4 + i] = get8(b);
	put(m, value, in.size);
}

static void b_access(struct msg *m, struct bytes *b)
{
	struct fuse_access_in in = { .mask = get_num(b) };

	at_node(m, b, 0);
	put(m, &in, sizeof(in));
}

static void b_interrupt(struct msg *m, struct bytes *b)
{
	struct fuse_interrupt_in in = { .unique = get_num(b) };

	put(m, &in, sizeof(in));
}

static void b_bmap(struct msg *m, struct bytes *b)
{
	struct fuse_bmap_in in = { .block = get_num(b) };

	at_node(m, b, S_IFREG);
	in.blocksize = get8(b) < 100 ? 1024 : get8(b) < 200 ? 4096 : get_num(b);
	put(m, &in, sizeof(in));
}

static void b_ioctl(struct msg *m, struct bytes *b)
{
	static const uint32_t cmds[] = {
		FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_GETVERSION,
		FS_IOC_SETVERSION, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR,
		FS_IOC_GETFSLABEL, FS_IOC_SETFSLABEL, FITRIM, FS_IOC_FIEMAP,
		_IOR('X', 125, uint32_t),
	};
	struct fuse_ioctl_in in = { .fh = 0 };
	bool dir = get8(b) < 60;
	uint64_t fh;
	unsigned i, v;
	uint8_t data[300];

	if (!handle(m, b, dir, &fh))
		return;
	in.fh = fh;
	in.flags = dir ? FUSE_IOCTL_DIR : 0;
	in.flags |= get8(b) > 250 ? FUSE_IOCTL_COMPAT : 0;
	v = get8(b);
	in.cmd = cmds[v % 10];
	if (v == 255)
		in.cmd = cmds[10];	/* the end of the volume, so rarely */
	else if (v > 245)
		in.cmd = get32(b);
	if (in.cmd == cmds[10])
		client.shutdown = true;
	in.in_size = _IOC_DIR(in.cmd) & _IOC_WRITE ? _IOC_SIZE(in.cmd) : 0;
	in.out_size = _IOC_DIR(in.cmd) & _IOC_READ ? _IOC_SIZE(in.cmd) : 0;
	if (get8(b) > 240) {
		in.in_size = get_num(b);
		in.out_size = get_num(b);
	}
	for (i = 0; i < sizeof(data); i += 8) {
		uint64_t num = get_num(b);

		memcpy(data + i, &num, sizeof(data) - i < 8 ? 4 : 8);
	}
	put(m, &in, sizeof(in));
	put(m, data, in.in_size < sizeof(data) ? in.in_size : sizeof(data));
	keep(m, 0, 12);
}

static void b_fallocate(struct msg *m, struct bytes *b)
{
	static const uint32_t modes[] = {
		0, 1, 3, 0x10, 0x11, 8, 0x20, 0x40, 2, 0x80,
	};
	struct fuse_fallocate_in in = { .fh = 0 };
	unsigned v;

	if (!handle(m, b, false, &in.fh))
		return;
	v = get8(b);
	in.mode = v < 240 ? modes[v % (sizeof(modes) / sizeof(modes[0]))] :
			    get_num(b);
	in.offset = get_num(b);
	in.length = get_num(b);
	put(m, &in, sizeof(in));
}

static void b_lseek(struct msg *m, struct bytes *b)
{
	struct fuse_lseek_in in = { .fh = 0 };

	if (!handle(m, b, false, &in.fh))
		return;
	in.offset = get_num(b);
	in.whence = get8(b) < 230 ? SEEK_DATA + get8(b) % 2 : get_num(b);
	put(m, &in, sizeof(in));
}

static void b_copy(struct msg *m, struct bytes *b)
{
	struct fuse_copy_file_range_in in = { .fh_in = 0 };
	struct msg *out = m;

	if (!handle(m, b, false, &in.fh_out))
		return;
	in.nodeid_out = out->nodeid;
	at_handle(m, b, false, &in.fh_in);
	in.off_in = get_num(b);
	in.off_out = get_num(b);
	in.len = get_num(b);
	in.flags = get8(b) > 250 ? get8(b) : 0;
	put(m, &in, sizeof(in));
	keep(m, 0, 32);
}

static void b_forget(struct msg *m, struct bytes *b)
{
	const struct client_node *n = pick(b, 0);
	struct fuse_forget_in in = { .nlookup = n->lookups };

	m->nodeid = n->id;
	if (get8(b) > 150)
		in.nlookup = get_num(b);
	put(m, &in, sizeof(in));
}

static void b_batch_forget(struct msg *m, struct bytes *b)
{
	struct fuse_batch_forget_in in = { .count = get8(b) % 3 };
	unsigned i, n = in.count;

	if (get8(b) > 240)
		in.count = get_num(b);
	put(m, &in, sizeof(in));
	for (i = 0; i < n; i++) {
		struct fuse_forget_one one = {
			.nodeid = pick(b, 0)->id, .nlookup = get_num(b),
		};

		put(m, &one, sizeof(one));
	}
}

/* Any opcode of those without handles, and any bytes. */
static void b_noise(struct msg *m, struct bytes *b)
{
	static const uint32_t ops[] = {
		FUSE_LOOKUP, FUSE_MKNOD, FUSE_MKDIR, FUSE_SYMLINK, FUSE_LINK,
		FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_RENAME2,
		FUSE_SETXATTR, FUSE_GETXATTR, FUSE_LISTXATTR,
		FUSE_REMOVEXATTR, FUSE_STATFS, FUSE_SYNCFS, FUSE_BMAP,
		FUSE_ACCESS, FUSE_INTERRUPT, FUSE_READLINK, 0, 5, 7, 31, 32, 33, 40, 41, 47, 48,
		49, 51, 53, 60, 4088, 4096, 0x7fffffff, 0xffffffff, FUSE_INIT,
		IOM_FREEZE, IOM_UNFREEZE, IOM_CONFIG, IOM_BEGIN, IOM_END,
		IOM_IOEND,
	};
	unsigned n = get8(b) % 100;

	m->opcode = ops[get8(b) % (sizeof(ops) / sizeof(ops[0]))];
	at_node(m, b, 0);
	while (n--) {
		uint8_t v = get8(b);

		put(m, &v, 1);
	}
}

/* The end of everything, so rarely. */
static void b_last(struct msg *m, struct bytes *b)
{
	unsigned v = get8(b);

	m->nodeid = 1;
	if (v < 240) {
		m->opcode = FUSE_SYNCFS;
	} else if (v < 248) {
		m->opcode = FUSE_DESTROY;
		client.destroyed = true;
	} else {
		m->opcode = IOM_SHUTDOWN;
		client.shutdown = true;
	}
	b_volume(m, b);
}

static const struct {
	uint32_t opcode;
	void (*build)(struct msg *m, struct bytes *b);
} kinds[] = {
	{ FUSE_LOOKUP, b_lookup }, { FUSE_LOOKUP, b_lookup },
	{ FUSE_LOOKUP, b_lookup }, { FUSE_LOOKUP, b_lookup },
	{ FUSE_GETATTR, b_getattr }, { FUSE_SETATTR, b_setattr },
	{ FUSE_SETATTR, b_truncate }, { FUSE_MKNOD, b_mknod },
	{ FUSE_MKDIR, b_mkdir }, { FUSE_CREATE, b_create },
	{ FUSE_SYMLINK, b_symlink }, { FUSE_LINK, b_link },
	{ FUSE_UNLINK, b_remove }, { FUSE_RMDIR, b_remove },
	{ FUSE_RENAME, b_rename }, { FUSE_RENAME2, b_rename },
	{ FUSE_OPEN, b_open }, { FUSE_OPENDIR, b_open },
	{ FUSE_READ, b_read }, { FUSE_WRITE, b_write },
	{ FUSE_WRITE, b_write }, { FUSE_RELEASE, b_release },
	{ FUSE_RELEASEDIR, b_release }, { FUSE_FSYNC, b_fsync },
	{ FUSE_FSYNCDIR, b_fsync }, { FUSE_FLUSH, b_flush },
	{ FUSE_READDIR, b_readdir }, { FUSE_READDIRPLUS, b_readdir },
	{ FUSE_SETXATTR, b_setxattr }, { FUSE_GETXATTR, b_setxattr },
	{ FUSE_LISTXATTR, b_setxattr }, { FUSE_REMOVEXATTR, b_setxattr },
	{ FUSE_ACCESS, b_access }, { FUSE_INTERRUPT, b_interrupt },
	{ FUSE_BMAP, b_bmap }, { FUSE_IOCTL, b_ioctl },
	{ FUSE_FALLOCATE, b_fallocate }, { FUSE_LSEEK, b_lseek },
	{ FUSE_COPY_FILE_RANGE, b_copy }, { FUSE_FORGET, b_forget },
	{ FUSE_BATCH_FORGET, b_batch_forget }, { FUSE_READLINK, b_nothing },
	{ FUSE_STATFS, b_nothing }, { FUSE_SYNCFS, b_volume },
	{ FUSE_SYNCFS, b_last }, { 0, b_noise }, { 0, b_noise },
	{ IOM_STATX, b_statx }, { IOM_FREEZE, b_volume },
	{ IOM_UNFREEZE, b_volume }, { IOM_CONFIG, b_config },
	{ IOM_BEGIN, b_begin }, { IOM_END, b_end }, { IOM_IOEND, b_ioend },
	/* the rest only where iomap was agreed on */
	{ IOM_BEGIN, b_begin }, { IOM_BEGIN, b_begin }, { IOM_BEGIN, b_begin },
	{ IOM_IOEND, b_ioend }, { IOM_IOEND, b_ioend }, { IOM_END, b_end },
	{ IOM_BEGIN, b_begin }, { IOM_IOEND, b_ioend },
	{ FUSE_SETATTR, b_truncate }, { FUSE_FALLOCATE, b_fallocate },
};
#define KINDS		(sizeof(kinds) / sizeof(kinds[0]))
#define KINDS_CLASSIC	(KINDS - 10)

void build(struct msg *m, struct bytes *b, unsigned n, bool iomap)
{
	n %= iomap ? KINDS : KINDS_CLASSIC;
	m->opcode = kinds[n].opcode;
	kinds[n].build(m, b);
}
