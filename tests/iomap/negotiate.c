/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * negotiate.c - kernels that offer iomap, do not, or only half: the bits that
 * are sent, and that files are served all the same.
 *
 * usage: negotiate
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

#define FAILS	32	/* exit status: the mount failed */

enum want { CLASSIC, MAPPED, REFUSED };

static const struct variant {
	const char *name;
	struct model_opt opt;
	const char *mount_opts;
	enum want want;
	bool file;		/* the server makes the loop device */
} variants[] = {
	{ "not offered", { .plain = true, .minor = 38 }, NULL, CLASSIC, false },
	{ "not offered, minor 99", { .plain = true }, NULL, CLASSIC, false },
	{ "minor 98", { .minor = 98 }, NULL, CLASSIC, false },
	{ "no INIT_EXT", { .no_init_ext = true }, NULL, CLASSIC, false },
	{ "INIT without flags2", { .short_init = true }, NULL, CLASSIC, false },
	{ "offered", { .minor = 99 }, NULL, MAPPED, false },
	{ "a later minor", { .minor = 100 }, NULL, MAPPED, false },
	{ "iomap=1", { .minor = 99 }, "iomap=1", MAPPED, false },
	{ "iomap=default", { .minor = 99 }, "iomap=default", MAPPED, false },
	{ "iomap=0", { .minor = 99 }, "iomap=0", CLASSIC, false },
	{ "noiomap_cache", { .minor = 99 }, "noiomap_cache", MAPPED, false },
	{ "an image file", { .minor = 99 }, NULL, MAPPED, true },
	{ "an image file, iomap=0", { .minor = 99 }, "iomap=0", CLASSIC, true },
	{ "an image file, probe says no",
	  { .support_errno = ENOTTY }, NULL, CLASSIC, true },
	{ "CONFIG never comes", { .no_config = true }, NULL, CLASSIC, false },
	{ "registration: EPERM", { .open_errno = EPERM }, NULL, CLASSIC, false },
	{ "registration: EOPNOTSUPP",
	  { .open_errno = EOPNOTSUPP }, NULL, CLASSIC, false },
	{ "registration: ENODEV", { .open_errno = ENODEV }, NULL, CLASSIC, false },
	{ "probe: ENOTTY", { .support_errno = ENOTTY }, NULL, CLASSIC, false },
	{ "probe: EOPNOTSUPP", { .support_errno = EOPNOTSUPP }, NULL, CLASSIC, false },
	{ "SET_BLOCKSIZE: EOPNOTSUPP",
	  { .blocksize_errno = EOPNOTSUPP }, NULL, MAPPED, false },
	{ "SET_NOFS: EPERM", { .nofs_errno = EPERM }, NULL, MAPPED, false },
	{ "iomap=1, not offered",
	  { .plain = true, .minor = 38 }, "iomap=1", REFUSED, false },
	{ "iomap=1, probe: ENOTTY",
	  { .support_errno = ENOTTY }, "iomap=1", REFUSED, false },
	{ "iomap=1, registration: EPERM",
	  { .open_errno = EPERM }, "iomap=1", REFUSED, false },
};

static void classic_io(struct file *f)
{
	static const char text[] = "what the server writes itself";
	struct fuse_write_in w = { .fh = f->fh, .size = sizeof(text) };
	struct fuse_read_in r = { .fh = f->fh, .size = 100 };
	struct fuse_write_out out;
	char got[100] = "";
	size_t len;

	lab_is(call(FUSE_WRITE, f->inode->nodeid, &w, sizeof(w), text,
		    sizeof(text), &out, sizeof(out), NULL), 0, "WRITE");
	lab_is(call(FUSE_READ, f->inode->nodeid, &r, sizeof(r), NULL, 0, got,
		    sizeof(got), &len), 0, "READ");
	lab_ok(len == sizeof(text) && !strcmp(got, text), "the same");
}

/* A mapped file's data is not the server's to move. */
static void mapped_io(struct file *f)
{
	struct fuse_write_in w = { .fh = f->fh, .size = 5 };
	struct fuse_read_in r = { .fh = f->fh, .size = 100 };
	char text[5000], got[5000];
	int err;

	memset(text, 'm', sizeof(text));
	lab_is(file_write(f->inode, 0, text, sizeof(text)), sizeof(text), "write");
	lab_is(file_fsync(f, false), 0, "fsync");
	lab_is(file_read(f->inode, 0, got, sizeof(got)), sizeof(got), "read");
	lab_ok(!memcmp(text, got, sizeof(got)), "the same");
	err = call(FUSE_WRITE, f->inode->nodeid, &w, sizeof(w), "12345", 5, NULL,
		   0, NULL);
	lab_ok(err < 0 && err != -ENOSYS, "WRITE is refused (%d)", err);
	err = call(FUSE_READ, f->inode->nodeid, &r, sizeof(r), NULL, 0, got,
		   sizeof(got), NULL);
	lab_ok(err < 0 && err != -ENOSYS, "READ is refused (%d)", err);
}

static void use(const struct variant *v)
{
	struct inode *dir, *node;
	struct file f = { 0 };
	char names[10][256];
	bool any = false;
	unsigned i;

	lab_is(name_create(M.root, "f", 0644, &f), 0, "create");
	if (!f.inode)
		return;
	lab_is(name_mkdir(M.root, "d", &dir), 0, "mkdir");
	lab_is(name_mknod(M.root, "n", S_IFREG | 0644, &node), 0, "mknod");
	lab_is(f.inode->mapped, v->want == MAPPED, "mapped or not");
	lab_is(node->mapped, v->want == MAPPED, "by MKNOD, too");
	if (v->want == MAPPED)
		mapped_io(&f);
	else
		classic_io(&f);
	lab_ok(name_list(M.root, names, 10) == 6, "readdirplus");
	for (i = 0; i < M.inode_count; i++)
		any |= M.inodes[i]->flags & (IOM_ATTR_IOMAP | IOM_ATTR_EXCLUSIVE);
	lab_is(any, v->want == MAPPED, "flags in replies");
	lab_is(file_close(&f), 0, "close");
	if (v->want != MAPPED)
		lab_is(M.stats.upserts + M.stats.invals + M.stats.dev_invals, 0,
		       "no notifications");
}

static bool loop_of_image(void)
{
	return !lab_system("losetup -j %s | grep -q .", L.image);
}

static void run(const struct variant *v)
{
	int err;

	note("---- %s", v->name);
	lab_image("24M", "-t ext4");
	L.opt = v->opt;
	err = lab_start(v->mount_opts, v->file);
	if (v->want == REFUSED) {
		if (!err && M.server > 0) {
			/* it may need a moment: the socket closes */
			err = call(FUSE_STATFS, 1, NULL, 0, NULL, 0, NULL, 0, NULL);
			model_wait();
		} else if (err != MODEL_GONE && M.server > 0) {
			model_wait();
		}
		lab_ok(err < 0, "%s: the mount fails", v->name);
		lab_is(M.status, FAILS, "with status 32");
		lab_ok(!lab_system("grep -q 'Could not enable iomap' %s", L.log),
		       "and says so");
	} else {
		lab_is(err, 0, v->name);
		if (err)
			lab_bail("start");
		lab_is(M.dev != 0, v->want == MAPPED, "device registered");
		if (v->file)
			lab_is(loop_of_image(), v->want == MAPPED, "a loop device");
		use(v);
		lab_is(model_unmount(), 0, "the server ends well");
	}
	lab_drop();
	if (v->file)
		lab_ok(!loop_of_image(), "the loop device is gone");
	lab_ok(lab_fsck(), "e2fsck finds nothing");
	lab_is(M.violations, 0, "no violation");
	unlink(L.log);
}

int main(int argc, char **argv)
{
	unsigned i;

	lab_need();
	for (i = 0; i < sizeof(variants) / sizeof(*variants); i++) {
		if (argc < 2 || !strcmp(argv[1], variants[i].name))
			run(&variants[i]);
	}
	return lab_done();
}
