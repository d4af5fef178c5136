/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edges.c - where iomap begins and ends: volumes inside of a device, images
 * given as descriptors or in use already, ro, CONFIG without a block size, files
 * that change sides, freezes that cross, signals, and closes that come late.
 *
 * usage: edges [TEST]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab.h"

#define MIB	(1u << 20)
#define FAILS	32

/* Starts it with OPTS on what the lab has as an image; iomap or not. */
static void start(const char *opts, bool file, bool on)
{
	memset(&L.opt, 0, sizeof(L.opt));
	lab_is(lab_start(opts, file), 0, opts ? opts : "start");
	lab_is(M.dev != 0, on, on ? "iomap is on" : "iomap is off");
	if (M.server <= 0)
		lab_bail("no server");
}

static void end(void)
{
	lab_is(model_unmount(), 0, "the server ends well");
	lab_drop();
	lab_is(M.violations, 0, "no violation");
}

/* ---- offset= ---- */

/* A volume at OFFSET of the image, in front of and behind other bytes. */
static void image_at(unsigned offset)
{
	lab_image("40M", "-t ext4");
	if (lab_system("tr '\\0' '\\252' </dev/zero | head -c 40M >%s && "
		       "mke2fs -Fq -t ext4 -E offset=%u,nodiscard %s 16M >mke2fs.out 2>&1",
		       L.image, offset, L.image))
		lab_bail("mke2fs");
}

/* Nothing outside of the volume was changed, and it is sound. */
static void judge_at(unsigned offset, const struct tfile *t)
{
	lab_ok(!lab_system("{ head -c %u %s; tail -c +%u %s; } | tr -d '\\252' | cmp -s - /dev/null",
			   offset, L.image, offset + 16 * MIB + 1, L.image),
	       "what is around the volume is untouched");
	lab_ok(!lab_system("dd if=%s of=part bs=512 skip=%u count=%u status=none && e2fsck -fn part >fsck.out 2>&1",
			   L.image, offset / 512, 16 * MIB / 512),
	       "e2fsck finds nothing");
	if (!t)
		return;
	lab_system("debugfs -R 'dump /%s out' part 2>/dev/null", t->name);
	lab_ok(!lab_system("test $(stat -c %%s out) = %" PRIu64, t->size),
	       "the size is right");
	lab_ok(!lab_system("cmp -s out want"), "and so are the contents");
	lab_system("rm -f part out want");
}

static void save(const struct tfile *t)
{
	FILE *f = fopen("want", "w");

	if (!f || fwrite(t->data, 1, t->size, f) != t->size || fclose(f))
		lab_bail("want");
}

static void test_offset(void)
{
	struct tfile *t;
	int file;

	for (file = 0; file < 2; file++) {
		image_at(MIB);
		start("offset=1048576", file, true);
		t = t_create("f");
		lab_is(t_write(t, BUFFERED, 0, 300001), 0, "write");
		lab_is(t_write(t, DIRECT, 100000, 70000), 0, "direct");
		file_fsync(&t->f, false);
		lab_is(t_check(t), 0, "read");
		save(t);
		t_close(t);
		end();
		judge_at(MIB, t);
		t_free(t);
	}
	/* its blocks would lie across the device's */
	image_at(MIB + 512);
	start("offset=1049088", false, false);
	end();
	judge_at(MIB + 512, NULL);
	/* but not across those of a loop device that begins there */
	image_at(MIB + 512);
	start("offset=1049088", true, true);
	t = t_create("f");
	lab_is(t_write(t, BUFFERED, 0, 300001), 0, "write");
	file_fsync(&t->f, false);
	save(t);
	t_close(t);
	end();
	judge_at(MIB + 512, t);
	t_free(t);
}

/* ---- mounts that are refused ---- */

static void refused(const char *opts, const char *source, const char *says)
{
	int err;

	memset(&L.opt, 0, sizeof(L.opt));
	L.opt.source = source;
	L.opt.image = L.image;
	L.opt.mount_opts = opts;
	L.opt.log = L.log;
	err = model_start(&L.opt);
	if (err != MODEL_GONE && M.server > 0)
		model_wait();
	lab_is(M.status, FAILS, "the mount fails");
	lab_ok(!lab_system("grep -q '%s' %s", says, L.log), "and says why");
	unlink(L.log);
}

static void test_refused(void)
{
	char source[64];
	int fd;

	lab_image("24M", "-t ext4");
	fd = open(L.image, O_RDWR);	/* for the program */
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	refused("iomap=1", source, "Could not enable iomap");
	refused("lazytime", source, "Some mount options require iomap");
	close(fd);
	lab_ok(lab_system("losetup -j %s | grep -q .", L.image),
	       "no loop device for a descriptor");
	if (lab_system("losetup -f %s", L.image))
		lab_bail("losetup");
	refused(NULL, L.image, "already in use by a loop device");
	lab_system("losetup -j %s | cut -d: -f1 | xargs losetup -d", L.image);
	start("lazytime,strictatime", true, true);
	end();
	lab_ok(lab_fsck(), "e2fsck finds nothing");
}

/* ---- ro ---- */

/* The loop device cannot be written, and not a byte of the image changes. */
static void test_readonly(void)
{
	static const char data[] = "sha256sum %s | cut -d' ' -f1 >%s";
	struct tfile *t;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	t_write(t, BUFFERED, 0, 123456);
	t_close(t);
	end();
	lab_system(data, L.image, "before");
	start("ro", true, true);
	lab_ok(!lab_system("test $(losetup -n -O RO -j %s) = 1", L.image),
	       "the loop device is read-only");
	if (name_lookup(M.root, t->name, &t->inode))
		lab_bail("lookup");
	lab_ok(t->inode->mapped, "mapped");
	lab_is(file_open(t->inode, O_RDONLY, &t->f), 0, "open");
	t->open = true;
	lab_is(t_check(t), 0, "read");
	t_close(t);
	end();
	lab_system(data, L.image, "after");
	lab_ok(!lab_system("cmp before after"), "the image is as it was");
	lab_system("rm -f before after");
	t_free(t);
}

/* ---- CONFIG ---- */

static void test_config(void)
{
	struct iom_config_in in = { .flags = 0x7f & ~IOM_CONFIG_BLOCKSIZE,
				    .maxbytes = INT64_MAX };
	static const unsigned sizes[] = { 1024, 4096 };
	struct iom_config_out out;
	char mkfs[40];
	unsigned i;

	for (i = 0; i < 2; i++) {
		snprintf(mkfs, sizeof(mkfs), "-t ext4 -b %u", sizes[i]);
		lab_image("24M", mkfs);
		memset(&L.opt, 0, sizeof(L.opt));
		L.opt.no_config = true;
		L.opt.no_root = true;
		if (lab_start(NULL, false))
			lab_bail("start");
		lab_is(call(IOM_CONFIG, 0, &in, sizeof(in), NULL, 0, &out,
			    sizeof(out), NULL), 0, "CONFIG without BLOCKSIZE");
		lab_is(M.dev != 0, sizes[i] == sysconf(_SC_PAGESIZE),
		       "goes by the page size");
		end();
		lab_ok(lab_fsck(), "e2fsck finds nothing");
	}
}

/* ---- files that change sides ---- */

static ssize_t classic_read(struct file *f, void *buf, size_t len)
{
	struct fuse_read_in r = { .fh = f->fh, .size = len };
	size_t got = 0;
	int err = call(FUSE_READ, f->inode->nodeid, &r, sizeof(r), NULL, 0, buf,
		       len, &got);

	return err ? err : (ssize_t)got;
}

static void again(struct tfile *t, bool mapped)
{
	inode_evict(t->inode);
	if (name_lookup(M.root, t->name, &t->inode))
		lab_bail("lookup");
	lab_is(t->inode->mapped, mapped, mapped ? "mapped" : "not mapped");
}

/* The server reads it, the kernel writes it, then the server cuts it. */
static void test_sides(void)
{
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE, .size = 5000 };
	static uint8_t got[16384];
	struct fuse_attr_out attr;
	struct tfile *t;
	ssize_t n;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	t_write(t, BUFFERED, 0, 12000);
	t_close(t);
	name_link(t->inode, M.root, "two");
	again(t, false);
	lab_is(t_open(t), 0, "open");
	lab_is(classic_read(&t->f, got, sizeof(got)), 12000, "READ");
	lab_ok(!memcmp(got, t->data, 12000), "the same");
	t_close(t);
	name_unlink(M.root, "two", t->inode);
	again(t, true);
	lab_is(t_open(t), 0, "open");
	lab_is(t_write(t, BUFFERED, 0, 12000), 0, "the kernel writes");
	file_fsync(&t->f, false);
	t_close(t);
	name_link(t->inode, M.root, "two");
	again(t, false);
	lab_is(call(FUSE_SETATTR, t->inode->nodeid, &cut, sizeof(cut), NULL, 0,
		    &attr, sizeof(attr), NULL), 0, "truncate by name");
	t->size = t->inode->size = 5000;
	lab_is(t_open(t), 0, "open");
	n = classic_read(&t->f, got, sizeof(got));
	lab_is(n, 5000, "READ");
	lab_ok(!memcmp(got, t->data, 5000), "what the kernel wrote is there");
	t_close(t);
	lab_finish(&t, 1, "sides");
}

/* ---- freeze and thaw ---- */

static void test_freezes(void)
{
	struct iom_freeze_in in = { .unlinked = 0 };
	struct call *c[8];
	struct tfile *t;
	unsigned i, round;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	for (round = 0; round < 20; round++) {
		t_write(t, BUFFERED, round * 5000, 5000);
		file_fsync(&t->f, false);
		for (i = 0; i < 8; i++)
			c[i] = call_send(i % 2 ? IOM_UNFREEZE : IOM_FREEZE, 1,
					 &in, i % 2 ? 0 : sizeof(in), NULL, 0,
					 NULL, 0);
		for (i = 0; i < 8; i++)
			call_wait(c[i], NULL);
		call(IOM_UNFREEZE, 1, NULL, 0, NULL, 0, NULL, 0, NULL);
	}
	lab_is(t_check(t), 0, "read");
	lab_is(fs_syncfs(), 0, "syncfs");
	lab_finish(&t, 1, "freezes that cross");
}

/* ---- the end ---- */

static void test_signal(void)
{
	struct tfile *t;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	t_write(t, BUFFERED, 0, 3 * MIB);
	lab_is(pages_writeback(t->inode, 0, UINT64_MAX), 0, "write-back");
	kill(M.server, SIGTERM);
	lab_is(model_wait(), 0, "the server ends well");
	lab_drop();
	lab_ok(lab_fsck(), "e2fsck finds nothing");
	save(t);
	lab_system("debugfs -R 'dump /f out' %s 2>/dev/null", L.image);
	lab_ok(!lab_system("cmp -s out want"), "what was written is there");
	lab_system("rm -f out want");
	t_free(t);
}

/* The kernel forgets what is open, which it never does, and closes it then. */
static void test_late_close(void)
{
	struct fuse_release_in in = { .flags = O_RDWR };
	uint64_t before;
	struct tfile *t;

	/* one thread: libfuse would not survive the two at once */
	lab_begin("32M", "-t ext4", "max_threads=1");
	before = lab_free_blocks();
	t = t_create("f");
	t_write(t, BUFFERED, 0, 3 * MIB);
	lab_is(pages_writeback(t->inode, 0, UINT64_MAX), 0, "write-back");
	in.fh = t->f.fh;
	lab_is(name_unlink(M.root, "f", t->inode), 0, "unlink");
	call_forget(t->inode->nodeid, t->inode->lookups);
	lab_is(call(FUSE_RELEASE, t->inode->nodeid, &in, sizeof(in), NULL, 0,
		    NULL, 0, NULL), -ESTALE, "RELEASE of a forgotten node");
	fs_syncfs();
	lab_is(lab_free_blocks(), before, "closes it");
	t->inode->lookups = 0;
	model_kill();
	lab_drop();
}

static const struct lab_test tests[] = {
	{ "offset", test_offset }, { "refused", test_refused },
	{ "readonly", test_readonly },
	{ "config", test_config }, { "sides", test_sides },
	{ "freezes", test_freezes }, { "signal", test_signal },
	{ "late_close", test_late_close },
};

int main(int argc, char **argv)
{
	return lab_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
