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
#include <sys/syscall.h>

#include "casetest.h"
#include "faultload.h"
#include "io/device.h"

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

static bool may_fail(int64_t ret)
{
	/* a group whose bitmap cannot be read is full, and damaged */
	if (faults.on && (faults.mode <= READ_EVER || faults.mode >= OPEN_ONCE) &&
	    (ret == -ENOSPC || ret == -EUCLEAN))
		return true;
	return faults.on && (ret == -EIO || ret == -EROFS);
}

/* ---- cases ---- */

struct fault_case {
	unsigned image, at, seed;
	enum mode mode;
};

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
