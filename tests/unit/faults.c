/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults.c - devices that fail: the n-th read, write or flush of a workload
 * fails, once or from then on.
 *
 * No crash and no hang; errors are -EIO and -EROFS.  What was synced before
 * is there after e2fsck -fy; where only reads failed e2fsck finds nothing,
 * and every operation happened or did not happen.  Each case runs in its own
 * process; LONG=1 runs more; "faults IMAGE MODE AT SEED" runs one.
 */
#include <linux/falloc.h>
#include <sys/syscall.h>

#include "casetest.h"
#include "fs/attr.h"
#include "fs/data.h"
#include "fs/dir.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/namei.h"
#include "fs/path.h"
#include "fs/xattr.h"
#include "io/device.h"
#include "journal/txn.h"

#define FILES		14
#define FILE_MAX	(48 * 1024)
#define STEPS		70

static const struct {
	const char *name, *options;
} recipes[] = {
	{ "ext4", "-t ext4 -b 1024 -g 1024 -O ^has_journal,^resize_inode" },
	{ "ext2", "-t ext2 -b 1024 -I 128" },
	{ "inline", "-t ext4 -b 1024 -O inline_data,ea_inode,orphan_file,^metadata_csum "
	  "-J size=1" },
	{ "bigalloc", "-t ext4 -b 1024 -C 4096 -O bigalloc,^has_journal,^resize_inode" },
};

#define IMAGES	(sizeof(recipes) / sizeof(recipes[0]))

enum mode {
	READ_ONCE, READ_EVER, WRITE_ONCE, WRITE_EVER, SYNC_ONCE, SYNC_EVER,
	OPEN_ONCE, OPEN_EVER, MODES
};

static const char *const modes[] = {
	"read-once", "read-ever", "write-once", "write-ever", "sync-once",
	"sync-ever", "open-once", "open-ever"
};

static uint8_t *bytes[IMAGES];		/* after the first, synced part */
static size_t sizes[IMAGES];
static unsigned group_cases, group_bad;
static bool verbose;

/* ---- faults ---- */

static struct {
	bool on;
	enum mode mode;
	unsigned at, count[3];		/* reads, writes, flushes */
} faults;

static int fault(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	unsigned which = op == DEVICE_READ ? 0 : op == DEVICE_SYNC ? 2 : 1;
	unsigned n = ++faults.count[which];

	(void)ctx;
	if (!faults.on || which != faults.mode / 2)
		return 0;
	if (faults.mode % 2 ? n < faults.at : n != faults.at)
		return 0;
	if (verbose)
		fprintf(stderr, "[fault: %d at %llu, %zu bytes]\n", op,
			(unsigned long long)off, len);
	return -EIO;
}

/* Reads and writes of fs_open() and fs_close() are caught here instead. */
static bool open_fault(void)
{
	unsigned n;

	if (!faults.on || faults.mode < OPEN_ONCE)
		return false;
	n = ++faults.count[0];
	return faults.mode == OPEN_ONCE ? n == faults.at : n >= faults.at;
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t off)
{
	if (open_fault()) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, buf, len, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	if (open_fault()) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

/* ---- what should be there ---- */

struct file {
	bool exists;
	char name[8], dir[4];		/* dir: "" or a name */
	unsigned size;
	char value[300];		/* of user.v; "": none */
	uint8_t data[FILE_MAX];
};

static struct file cur[FILES], durable[FILES];
static bool changed[FILES];		/* since the last sync */
static bool unknown[FILES];		/* an operation on it failed halfway */

static struct fs *vol;
static struct caller who = { .reserve = true, .umask = 022 };
static uint64_t random_state;

#define need(cond) do { \
	if (!(cond)) { \
		fprintf(stderr, "faults.c:%d: %s\n", __LINE__, #cond); \
		exit(3); \
	} \
} while (0)

static unsigned rnd(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % n;
}

/* Returns whether it went well; only some errors are allowed. */
static bool well(int64_t ret, const char *what)
{
	if (verbose)
		fprintf(stderr, "[%s: %lld]\n", what, (long long)ret);
	if (ret >= 0)
		return true;
	/* a group whose bitmap cannot be read is full, and damaged */
	if (faults.on && (faults.mode <= READ_EVER || faults.mode >= OPEN_ONCE) &&
	    (ret == -ENOSPC || ret == -EUCLEAN))
		return false;
	if (!faults.on || (ret != -EIO && ret != -EROFS)) {
		fprintf(stderr, "%s: %s\n", what, strerror(-ret));
		exit(3);
	}
	return false;
}

static struct inode *get_dir(const char *name)
{
	struct inode *inode = NULL;
	char path[16];
	int err;

	snprintf(path, sizeof(path), "/%s", name);
	fs_lock(vol);
	err = path_walk(vol, path, &inode);
	fs_unlock(vol);
	return well(err, "directory") ? inode : NULL;
}

static struct inode *get_file(const struct file *f)
{
	struct inode *dir = get_dir(f->dir), *inode = NULL;
	int err;

	if (!dir)
		return NULL;
	err = namei_lookup(dir, f->name, strlen(f->name), &inode);
	inode_put_unlocked(dir);
	return well(err, "lookup") ? inode : NULL;
}

static void put(struct inode *inode)
{
	if (inode)
		inode_put_unlocked(inode);
}

static void do_create(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *dir, *inode = NULL;
	int err;

	snprintf(f->dir, sizeof(f->dir), "%s", i % 3 ? i % 3 == 1 ? "d1" : "d2" : "");
	snprintf(f->name, sizeof(f->name), "f%u", i);
	dir = get_dir(f->dir);
	if (!dir)
		return;
	err = namei_create(dir, f->name, strlen(f->name), S_IFREG | 0644, 0,
			   NULL, &who, &inode);
	put(dir);
	put(inode);
	changed[i] = true;
	if (!well(err, "create"))
		return;
	f->exists = true;
	f->size = 0;
	f->value[0] = 0;
	memset(f->data, 0, FILE_MAX);
}

static void do_write(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	unsigned off = rnd(f->size + 3000), len = 1 + rnd(9000), k;
	unsigned char seed = rnd(256);
	ssize_t ret;

	if (!inode)
		return;
	if (off > FILE_MAX - 9001)
		off = rnd(1000);
	for (k = 0; k < len; k++)
		f->data[off + k] = seed + k / 3;
	changed[i] = true;
	ret = data_write(inode, f->data + off, len, off, DATA_RESERVE);
	put(inode);
	if (!well(ret, "write") || ret != (ssize_t)len)
		unknown[i] = true;
	if (off + len > f->size)
		f->size = off + len;
}

static void do_truncate(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	unsigned size = rnd(f->size + 2000);

	if (!inode)
		return;
	if (size > FILE_MAX)
		size = 10;
	changed[i] = true;
	if (!well(data_truncate(inode, size, DATA_RESERVE), "truncate"))
		unknown[i] = true;
	put(inode);
	if (size < f->size)
		memset(f->data + size, 0, FILE_MAX - size);
	f->size = size;
}

static void do_punch(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	unsigned off = rnd(f->size + 1), len = 1 + rnd(8000);
	int err;

	if (!inode)
		return;
	changed[i] = true;
	err = data_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     off, len, DATA_RESERVE);
	put(inode);
	if (!well(err, "punch"))
		unknown[i] = true;
	if (off < f->size)
		memset(f->data + off, 0,
		       len < f->size - off ? len : f->size - off);
}

static void do_unlink(unsigned i, bool open)
{
	struct file *f = &cur[i];
	struct inode *dir, *inode = open ? get_file(f) : NULL;
	int err;

	dir = get_dir(f->dir);
	if (!dir || (open && !inode))
		goto out;
	if (open) {
		fs_lock(vol);
		inode_open(inode);
		fs_unlock(vol);
	}
	changed[i] = true;
	err = namei_unlink(dir, f->name, strlen(f->name));
	if (well(err, "unlink"))
		f->exists = false;
	if (open)
		well(inode_close(inode), "close");
out:
	put(dir);
	put(inode);
}

static void do_rename(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *from, *to;
	char dir[4], name[8];
	int err;

	snprintf(dir, sizeof(dir), "%s", rnd(2) ? "d1" : "d2");
	snprintf(name, sizeof(name), "g%u", i + 100 * rnd(5));
	from = get_dir(f->dir);
	to = get_dir(dir);
	if (!from || !to)
		goto out;
	changed[i] = true;
	err = namei_rename(from, f->name, strlen(f->name), to, name,
			   strlen(name), 0, &who);
	if (!well(err, "rename"))
		goto out;
	memcpy(f->dir, dir, sizeof(dir));
	memcpy(f->name, name, sizeof(name));
out:
	put(from);
	put(to);
}

static void do_xattr(unsigned i)
{
	struct file *f = &cur[i];
	struct inode *inode = get_file(f);
	char value[300] = "";
	unsigned len = 1 + rnd(280);

	if (!inode)
		return;
	memset(value, 'a' + rnd(26), len);
	changed[i] = true;
	if (well(xattr_set(inode, "user.v", value, len, 0), "setxattr"))
		memcpy(f->value, value, sizeof(value));
	put(inode);
}

/* Exactly as it should be, or it cannot be read. */
static void check_file(const struct file *f)
{
	static uint8_t buf[FILE_MAX];
	struct inode *inode = NULL, *dir = get_dir(f->dir);
	char value[300] = "";
	ssize_t ret;
	int err;

	if (!dir)
		return;
	err = namei_lookup(dir, f->name, strlen(f->name), &inode);
	put(dir);
	if (!f->exists) {
		need(err == -ENOENT || !well(err, "lookup"));
		return;
	}
	if (!well(err, f->name))
		return;
	need(inode->i.size == f->size);
	ret = data_read(inode, buf, sizeof(buf), 0);
	if (well(ret, "read")) {
		need(ret == f->size);
		need(!memcmp(buf, f->data, f->size));
	}
	ret = xattr_get(inode, "user.v", value, sizeof(value));
	if (ret == -ENODATA)
		need(!f->value[0]);
	else if (well(ret, "getxattr"))
		need(!strcmp(value, f->value));
	put(inode);
}

static void do_sync(void)
{
	if (!well(txn_sync(vol, 0), "sync"))
		return;
	memcpy(durable, cur, sizeof(cur));
	memset(changed, 0, sizeof(changed));
}

/* A directory that comes and goes. */
static void do_dir(void)
{
	struct inode *root = get_dir(""), *inode = NULL;
	int err;

	if (!root)
		return;
	err = namei_rmdir(root, "t", 1);
	if (err == -ENOENT) {
		err = namei_create(root, "t", 1, S_IFDIR | 0755, 0, NULL, &who,
				   &inode);
		put(inode);
	}
	well(err, "mkdir or rmdir");
	put(root);
}

static void do_symlink(void)
{
	struct inode *root = get_dir("d1"), *inode = NULL;
	char target[200];
	int err;

	if (!root)
		return;
	memset(target, 's', sizeof(target));
	target[rnd(2) ? 20 : 150] = 0;
	err = namei_unlink(root, "s", 1);
	if (err == -ENOENT) {
		err = namei_create(root, "s", 1, S_IFLNK | 0777, 0, target,
				   &who, &inode);
		put(inode);
	}
	well(err, "symlink or unlink");
	put(root);
}

static void step(void)
{
	unsigned i = rnd(FILES), what = rnd(16);

	if (what < 2)
		do_sync();
	else if (what == 2)
		do_dir();
	else if (what == 3)
		do_symlink();
	else if (unknown[i])
		return;
	else if (!cur[i].exists)
		do_create(i);
	else if (what < 8)
		do_write(i);
	else if (what == 8)
		do_truncate(i);
	else if (what == 9)
		do_punch(i);
	else if (what < 12)
		do_unlink(i, what & 1);
	else if (what == 12)
		do_rename(i);
	else if (what == 13)
		do_xattr(i);
	else
		check_file(&cur[i]);
}

/* ---- cases ---- */

struct fault_case {
	unsigned image, at, seed;
	enum mode mode;
};

static int open_image(int fd, bool errors_ro)
{
	struct fs_options o = {
		.cache_size = 24 * 1024,
		.errors = errors_ro ? FS_ERRORS_RO : FS_ERRORS_CONTINUE,
	};
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o.source = path;
	return fs_open(&o, &vol);
}

static int copy_image(int fd, size_t size)
{
	uint8_t *data = malloc(size);
	int copy;

	need(data && syscall(SYS_pread64, fd, data, size, 0) == (long)size);
	copy = memory_file(data, size);
	free(data);
	return copy;
}

/* The state after the first part: what prepare() did on the image. */
static void first_part(void)
{
	unsigned i;

	random_state = 12345;
	for (i = 0; i < 120; i++)
		step();
	do_sync();
}

static void verify(const struct fault_case *c, int image, bool all)
{
	bool reads = c->mode <= READ_EVER;
	int fd, ret;
	unsigned i;

	fd = copy_image(image, sizes[c->image]);
	/* e2fsck does not believe the orphan list of a volume with errors */
	if (reads)
		run("debugfs -w -R 'ssv state 0' %s >/dev/null 2>&1",
		    fd_path(fd));
	ret = run("e2fsck -fy %s >%s/fsck.%d 2>&1 </dev/null", fd_path(fd),
		  work, getpid());
	if ((ret & ~3) || verbose)
		run("cat %s/fsck.%d >&2", work, getpid());
	need(!(ret & ~3));
	if (reads) {
		/* orphans may have been left, but nothing else */
		ret = run("grep -v '^Feature orphan_present is set' %s/fsck.%d |"
			  " grep -v '^Clear? yes' | grep '? yes' >/dev/null",
			  work, getpid());
		if (!ret)
			run("cat %s/fsck.%d >&2", work, getpid());
		need(ret);
	}
	run("rm -f %s/fsck.%d", work, getpid());
	need(!open_image(fd, false));
	for (i = 0; i < FILES; i++) {
		if (unknown[i] || (changed[i] && !all))
			continue;
		if (verbose)
			fprintf(stderr, "[check %s/%s]\n", cur[i].dir, cur[i].name);
		check_file(all ? &cur[i] : &durable[i]);
	}
	need(!inode_table_busy(vol));
	need(!fs_close(vol));
	close(fd);
}

static int open_case(const struct fault_case *c, int image)
{
	int err;

	faults.on = true;
	err = open_image(image, c->seed & 1);
	if (!well(err, "open"))
		goto out;
	step();
	step();
	need(!inode_table_busy(vol));
	well(fs_close(vol), "close");
out:
	faults.on = false;
	verify(c, image, false);
	return 0;
}

static int body(void *ctx, int image)
{
	const struct fault_case *c = ctx;
	unsigned i;
	int err;

	faults.mode = c->mode;
	faults.at = c->at;
	memset(faults.count, 0, sizeof(faults.count));
	random_state = 777 + c->seed;
	if (c->mode >= OPEN_ONCE)
		return open_case(c, image);
	need(!open_image(image, c->seed & 1));
	device_set_fault(vol->dev, fault, NULL);
	faults.on = true;
	for (i = 0; i < STEPS; i++)
		step();
	need(!inode_table_busy(vol));
	err = fs_close(vol);
	well(err, "fs_close");
	faults.on = false;
	verify(c, image, c->mode <= READ_EVER && !err);
	return 0;
}

static void case_ended(struct job *job, const char *why)
{
	struct fault_case *c = job->ctx;

	group_cases++;
	if (why) {
		group_bad++;
		printf("# FAILED: faults %s %s %u %u: %s\n",
		       recipes[c->image].name, modes[c->mode], c->at, c->seed,
		       why);
		show(job->text, verbose ? 65536 : 2500);
	} else if (verbose) {
		show(job->text, 65536);
	}
	free(c);
}

static void submit(unsigned image, enum mode mode, unsigned at, unsigned seed)
{
	struct fault_case *c = calloc(1, sizeof(*c));

	c->image = image;
	c->mode = mode;
	c->at = at;
	c->seed = seed;
	start_case(memory_file(bytes[image], sizes[image]), body, c);
}

static void group_done(unsigned image, enum mode mode)
{
	wait_all();
	ok(!group_bad, "%s, %s: %u cases", recipes[image].name, modes[mode],
	   group_cases);
	group_cases = group_bad = 0;
}

static void make_dir(const char *name)
{
	struct inode *root = get_dir(""), *inode = NULL;

	well(namei_create(root, name, strlen(name), S_IFDIR | 0755, 0, NULL,
			  &who, &inode), "mkdir");
	put(inode);
	put(root);
}

/* Makes an image and does the first part on it. */
static void prepare(unsigned n)
{
	char path[5000];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.img", work, recipes[n].name);
	if (run("mke2fs -q -F -N 96 -m 1 %s '%s' 4096 >/dev/null 2>&1",
		recipes[n].options, path))
		bail("mke2fs");
	fd = open(path, O_RDWR);
	sizes[n] = lseek(fd, 0, SEEK_END);
	memset(cur, 0, sizeof(cur));
	memset(changed, 0, sizeof(changed));
	if (open_image(fd, false))
		bail("fs_open");
	make_dir("d1");
	make_dir("d2");
	first_part();
	need(!fs_close(vol));
	bytes[n] = malloc(sizes[n]);
	need(syscall(SYS_pread64, fd, bytes[n], sizes[n], 0) == (long)sizes[n]);
	close(fd);
	is(run("e2fsck -fn '%s' >/dev/null 2>&1", path), 0, recipes[n].name);
}

/* How many accesses of each kind the second part makes without faults. */
static void measure(unsigned n, unsigned counts[MODES])
{
	int fd = memory_file(bytes[n], sizes[n]), result[2];
	unsigned i;
	pid_t pid;

	need(!pipe(result));
	pid = fork();
	if (!pid) {
		faults.mode = OPEN_ONCE;
		faults.on = true;
		need(!open_image(fd, false));
		counts[OPEN_ONCE] = counts[OPEN_EVER] = faults.count[0] + 12;
		memset(&faults, 0, sizeof(faults));
		device_set_fault(vol->dev, fault, NULL);
		random_state = 777;
		for (i = 0; i < STEPS; i++)
			step();
		need(!fs_close(vol));
		for (i = 0; i < OPEN_ONCE; i++)
			counts[i] = faults.count[i / 2];
		i = write(result[1], counts, MODES * sizeof(*counts));
		_exit(0);
	}
	need(read(result[0], counts, MODES * sizeof(*counts)) ==
	     MODES * sizeof(*counts));
	waitpid(pid, NULL, 0);
	close(result[0]);
	close(result[1]);
	close(fd);
}

static void all_cases(unsigned n, unsigned per_mode, unsigned workloads)
{
	unsigned counts[MODES], mode, k, many;

	measure(n, counts);
	printf("# %s: %u reads, %u writes, %u flushes; opening: %u\n",
	       recipes[n].name, counts[0], counts[2], counts[4], counts[6]);
	for (mode = 0; mode < MODES; mode++) {
		many = counts[mode] < per_mode ? counts[mode] : per_mode;
		for (k = 0; k < many * workloads; k++)
			if (workloads > 1 || elapsed() < 36)
				submit(n, mode, 1 + k % many * counts[mode] / many,
				       k % 4 + k / many * 4);
		group_done(n, mode);
	}
}

int main(int argc, char **argv)
{
	bool more = getenv("LONG") != NULL;
	unsigned n, mode = 0;

	setup("faults");
	for (n = 0; n < IMAGES; n++) {
		if (argc == 5 && strcmp(argv[1], recipes[n].name))
			continue;
		prepare(n);
		if (argc == 5) {
			verbose = true;
			while (mode < MODES - 1 && strcmp(argv[2], modes[mode]))
				mode++;
			submit(n, mode, atoi(argv[3]), atoi(argv[4]));
			group_done(n, mode);
		} else {
			all_cases(n, more ? 400 : 12, more ? 12 : 1);
		}
		free(bytes[n]);
	}
	run("rm -rf '%s'", work);
	return done();
}
