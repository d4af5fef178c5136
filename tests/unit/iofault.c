/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iofault.c - volumes with a journal on a device of which one write or one flush
 * fails: a workload is counted once, and then run again with the n-th write
 * failing (EIO, ENOSPC, or after a part of it; the rest of it fails, too, or
 * not), or the n-th flush, which also loses what it should have made durable, as
 * Linux may do.
 *
 * No crash and no hang; errors are those, -EIO and -EROFS; nothing fails unseen.
 * What is left is an image after a crash: e2fsck, or our next mount, replays the
 * journal and clears orphans, and then there is nothing to repair, and what was
 * synced is there.  Each case runs in its own process.  LONG=1 runs each n;
 * "iofault IMAGE MODE AT SEED" runs one.
 */
#include <sys/syscall.h>
#include <linux/falloc.h>

#include "casetest.h"
#include "faultload.h"

#define SECTOR		512
#define STEPS		90
#define SAMPLE		150		/* cases, without LONG */

static const struct {
	const char *name, *options;
	unsigned kib;
} recipes[] = {
	{ "1k", "-t ext4 -b 1024 -J size=1", 6 << 10 },
	{ "4k", "-t ext4 -b 4096 -J size=4", 10 << 10 },
	{ "ext3", "-t ext3 -b 1024 -J size=1", 6 << 10 },
	{ "orphans", "-t ext4 -b 1024 -O orphan_file,inline_data,ea_inode,"
	  "^metadata_csum -J size=1", 6 << 10 },
};

#define IMAGES	(sizeof(recipes) / sizeof(recipes[0]))

enum mode {
	WRITE_EIO, WRITE_ENOSPC, WRITE_SHORT, WRITE_TORN, FLUSH_EIO,
	FLUSH_ENOSPC, MODES
};

static const char *const modes[] = {
	"write-EIO", "write-ENOSPC", "write-short", "write-torn", "flush-EIO",
	"flush-ENOSPC"
};

static uint8_t *bytes[IMAGES];		/* after the first part, unmounted */
static size_t sizes[IMAGES];
static unsigned group_cases, group_bad;

/* ---- the device ---- */

static struct {
	int fd;				/* any of the image, -1: none */
	ino_t ino;
	bool on, fired;
	bool torn;			/* the rest of it is next */
	enum mode mode;
	unsigned at, writes, flushes;
	bool complained;		/* an operation failed since */
	uint64_t off, len;		/* what could not be written; 0: it
					 * could later */
	/* sectors: as of the last flush; written since; lost by a bad flush */
	uint8_t *stable;
	bool *dirty, *lost;
	size_t size;
} dev;

/* The library opened the image itself. */
static bool is_image(int fd)
{
	struct stat st;

	return dev.fd >= 0 && !fstat(fd, &st) && st.st_ino == dev.ino;
}

static bool turn(bool flush)
{
	unsigned n = flush ? ++dev.flushes : ++dev.writes;

	if (!dev.on || flush != (dev.mode >= FLUSH_EIO) || n != dev.at)
		return false;
	dev.fired = true;
	return true;
}

static int fault_errno(void)
{
	return dev.mode == WRITE_ENOSPC || dev.mode == FLUSH_ENOSPC ? ENOSPC :
								      EIO;
}

static void written(uint64_t off, uint64_t len)
{
	uint64_t s;

	if (off <= dev.off && off + len >= dev.off + dev.len)
		dev.len = 0;
	for (s = off / SECTOR; s < dev.size / SECTOR && s * SECTOR < off + len;
	     s++) {
		dev.dirty[s] = true;
		dev.lost[s] = false;
	}
}

/* How much of a write to OFF is done by a short one. */
static size_t part_of(size_t len, uint64_t off)
{
	size_t part = len > SECTOR ? len / 2 / SECTOR * SECTOR : len / 2;

	/*
	 * No ext4 survives half a primary superblock: its checksum is in the
	 * second half.
	 */
	if (off < 2048 && off + part > 1024 && off + part < 2048)
		part = off < 1024 ? 1024 - off : 0;
	return part;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	bool ours = is_image(fd);
	ssize_t ret;

	if (ours && dev.torn) {
		dev.torn = false;
		dev.off = off;
		dev.len = len;
		errno = EIO;
		ret = -1;
	} else if (!ours || !turn(false)) {
		ret = syscall(SYS_pwrite64, fd, buf, len, off);
	} else if ((dev.mode == WRITE_SHORT || dev.mode == WRITE_TORN) &&
		   part_of(len, off)) {
		dev.torn = dev.mode == WRITE_TORN;
		ret = syscall(SYS_pwrite64, fd, buf, part_of(len, off), off);
	} else {
		dev.off = off;
		dev.len = len;
		errno = fault_errno();
		ret = -1;
	}
	if (ours && verbose && dev.fired && !dev.complained)
		fprintf(stderr, "[write of %zu to %lld: %zd]\n", len,
			(long long)off, ret);
	if (ours && ret > 0)
		written(off, ret);
	return ret;
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	bool ours = is_image(fd);

	if (ours && turn(false)) {
		dev.off = off;
		dev.len = len;
		errno = fault_errno();
		return -1;
	}
	if (ours)
		written(off, len);
	return syscall(SYS_fallocate, fd, mode, off, len);
}

static int flush(int fd)
{
	bool ours = is_image(fd), bad = ours && turn(true);
	uint64_t s;

	for (s = 0; ours && s < dev.size / SECTOR; s++) {
		if (!dev.dirty[s])
			continue;
		if (bad)
			dev.lost[s] = true;
		else
			need(syscall(SYS_pread64, fd, dev.stable + s * SECTOR,
				     SECTOR, s * SECTOR) == SECTOR);
		dev.dirty[s] = false;
	}
	if (!bad)
		return 0;
	dev.off = dev.size;
	dev.len = 1;
	if (verbose)
		fprintf(stderr, "[flush fails]\n");
	errno = fault_errno();
	return -1;
}

int fdatasync(int fd)
{
	return flush(fd);
}

int fsync(int fd)
{
	return flush(fd);
}

int syncfs(int fd)
{
	return flush(fd);
}

/* The page cache forgets what a failed flush did not write. */
static void forget_lost(void)
{
	uint64_t s;

	for (s = 0; s < dev.size / SECTOR; s++)
		if (dev.lost[s])
			need(syscall(SYS_pwrite64, dev.fd,
				     dev.stable + s * SECTOR, SECTOR,
				     s * SECTOR) == SECTOR);
}

static void dev_init(int fd, unsigned image)
{
	struct stat st;

	memset(&dev, 0, sizeof(dev));
	need(!fstat(fd, &st));
	dev.ino = st.st_ino;
	dev.size = sizes[image];
	dev.stable = malloc(dev.size);
	dev.dirty = calloc(dev.size / SECTOR, 1);
	dev.lost = calloc(dev.size / SECTOR, 1);
	need(dev.stable && dev.dirty && dev.lost);
	memcpy(dev.stable, bytes[image], dev.size);
	dev.fd = fd;
}

static bool may_fail(int64_t ret)
{
	dev.complained = true;
	return dev.fired && (ret == -EIO || ret == -EROFS ||
			     ret == -fault_errno());
}

/* ---- cases ---- */

struct fault_case {
	unsigned image, at, seed;
	enum mode mode;
};

static void no_error_flag(const char *path)
{
	need(!run("debugfs -w -R 'ssv state 0' %s >/dev/null 2>&1", path));
}

/*
 * The image as it would be found after a crash.  e2fsck does not believe the
 * list of orphans of a volume with errors: so that flag goes, between the
 * journal's replay and the check.
 */
static void recover(const char *path)
{
	char log[4300];
	int ret;

	snprintf(log, sizeof(log), "%s/fsck.%d", work, getpid());
	need(!run("debugfs -w -R journal_run %s >%s 2>&1", path, log));
	no_error_flag(path);
	ret = run("e2fsck -fy -E no_optimize_extents %s >%s 2>&1 </dev/null",
		  path, log);
	if (ret > 1 || verbose)
		run("cat %s >&2", log);
	need(ret <= 1);
	ret = run("grep -vE '^$|^e2fsck |^Pass [1-5]: |: recovering journal$|"
		  "^(Clearing|Truncating) orphaned inode |"
		  "^Free (blocks|inodes) count wrong \\([0-9]|"
		  "^(Fix|Clear)\\? yes$|^Orphan file \\(inode [0-9]+\\) block "
		  "[0-9]+ is not clean\\.$|FILE SYSTEM WAS MODIFIED|"
		  "^Feature orphan_present is set but orphan file is clean\\.$|"
		  "[0-9] files \\(.*non-contiguous' %s >&2", log);
	need(ret == 1);
	ret = run("e2fsck -fn %s >%s 2>&1 </dev/null", path, log);
	if (ret)
		run("cat %s >&2", log);
	need(!ret);
	run("rm -f %s", log);
}

/* And closes it. */
static void check_open(void)
{
	unsigned i;

	for (i = 0; i < FILES; i++) {
		if (changed[i] || unknown[i])
			continue;
		if (verbose)
			fprintf(stderr, "[check %s/%s]\n", durable[i].dir,
				durable[i].name);
		check_file(&durable[i]);
	}
	need(!inode_table_busy(vol));
	need(!fs_close(vol));
}

static void check_durable(int fd)
{
	need(!open_image(fd, false));
	check_open();
}

static void verify(int image)
{
	int fd;

	dev.on = false;
	forget_lost();
	dev.fd = -1;
	dev.fired = false;
	fd = copy_image(image, dev.size);
	recover(fd_path(fd));
	check_durable(fd);
	close(fd);
	if (verbose)
		fprintf(stderr, "[by ourselves]\n");
	/* It replays, too, and then does not serve a volume with errors. */
	if (open_image(image, false)) {
		no_error_flag(fd_path(image));
		check_durable(image);
	} else {
		check_open();
	}
	recover(fd_path(image));
}

static bool workload(int image, unsigned seed)
{
	bool good;
	unsigned i;

	random_state = 4711 + seed;
	if (!well(open_image(image, seed & 1), "open"))
		return false;
	for (i = 0; i < STEPS; i++)
		step();
	need(!inode_table_busy(vol));
	good = !vol->aborted && !vol->error_ro;
	return well(fs_close(vol), "close") && good;
}

/*
 * An error, or less written than was asked for.  What the device has no room
 * for may be written elsewhere.
 */
static bool noticed(void)
{
	bool found = dev.complained || dev.mode == WRITE_ENOSPC;
	unsigned i;

	for (i = 0; i < FILES; i++)
		found |= unknown[i];
	return found;
}

static int body(void *ctx, int image)
{
	const struct fault_case *c = ctx;
	bool good;

	dev_init(image, c->image);
	dev.mode = c->mode;
	dev.at = c->at;
	dev.on = true;
	good = workload(image, c->seed);
	if (dev.fired && dev.len && good && !noticed()) {
		fprintf(stderr, "nobody noticed\n");
		return 4;
	}
	verify(image);
	return 0;
}

static void case_ended(struct job *job, const char *why)
{
	struct fault_case *c = job->ctx;

	group_cases++;
	if (why) {
		group_bad++;
		printf("# FAILED: iofault %s %s %u %u: %s\n",
		       recipes[c->image].name, modes[c->mode], c->at, c->seed,
		       why);
		if (group_bad <= 3 || verbose)
			show(job->text, verbose ? 65536 : 1500);
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

static void prepare(unsigned n)
{
	char path[5000];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.img", work, recipes[n].name);
	if (run("mke2fs -q -F -N 96 -m 1 %s '%s' %uk >/dev/null 2>&1",
		recipes[n].options, path, recipes[n].kib))
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

/* How many writes and flushes the workload makes without faults. */
static void measure(unsigned n, unsigned counts[2])
{
	int fd = memory_file(bytes[n], sizes[n]), result[2];
	pid_t pid;

	need(!pipe(result));
	pid = fork();
	if (!pid) {
		dev_init(fd, n);
		need(workload(fd, 0));
		counts[0] = dev.writes;
		counts[1] = dev.flushes;
		need(write(result[1], counts, 2 * sizeof(*counts)) > 0);
		verify(fd);
		_exit(0);
	}
	need(read(result[0], counts, 2 * sizeof(*counts)) ==
	     2 * sizeof(*counts));
	waitpid(pid, NULL, 0);
	close(result[0]);
	close(result[1]);
	close(fd);
}

/* All, or PER_MODE of them, evenly but not always the same for each mode. */
static void all_cases(unsigned n, unsigned per_mode)
{
	unsigned counts[2], mode, k, many, count;

	measure(n, counts);
	printf("# %s: %u writes, %u flushes\n", recipes[n].name, counts[0],
	       counts[1]);
	for (mode = 0; mode < MODES; mode++) {
		count = counts[mode >= FLUSH_EIO];
		many = count < per_mode ? count : per_mode;
		for (k = 0; k < many; k++)
			submit(n, mode, 1 + (k * count + mode * count / MODES) /
			       many % count, k % 2 * 2 + mode % 2);
		group_done(n, mode);
	}
}

int main(int argc, char **argv)
{
	bool more = getenv("LONG") != NULL;
	unsigned n, mode = 0;

	setup("iofault");
	dev.fd = -1;
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
			all_cases(n, more ? UINT32_MAX :
				     SAMPLE / (MODES * IMAGES) + 1);
		}
		free(bytes[n]);
	}
	run("rm -rf '%s'", work);
	return done();
}
