/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * promise.c - several writers at once, who write down what an fsync promised
 * them; and a check of the files against that, after the server was killed.
 *
 * usage: promise load SEED WRITERS STEPS DIR LOG	until STEPS or the end
 *						of the server; STEPS 0: that
 *        promise check DIR LOG			(by any mount of the volume)
 *
 * Writer W has files W/S0.., W/S1.., each in one of two directories, and each
 * of one kind:
 *
 *	R	replaced as a whole: a new file, fsync, rename
 *	A	appended to
 *	O	overwritten in place, at random
 *
 * Each sector says which file, place and operation it is of (pattern.h).  The
 * log is lines, each written by one write(2) before the operation begins, or
 * after the fsync that made it durable:
 *
 *	S ID OP - 0 0 0			no file
 *	S ID OP KIND DIR GEN SECTORS	there, in directory DIR; sectors of
 *					generation GEN (O: what was written
 *					until OP)
 *	D ID OP				all until OP is durable
 *
 * Legal is what the last D promised, or any later S.  One process for each
 * writer, and a log for each (LOG.0, ..).  Status: 0, 1 findings, 2 misuse,
 * 3 (load) the server has gone, as it should.  No locks.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "pattern.h"

#define SLOTS		12
#define WRITERS		64
#define MAX_SECTORS	256
#define HELD		3
#define KINDS		"RAO"

struct state {
	unsigned op;
	char kind;		/* '-': none */
	unsigned dir, gen, sectors;
};

static const char *top;
static unsigned me;		/* the writer */
static uint64_t rng;

static unsigned rnd(unsigned n)
{
	rng += 0x9e3779b97f4a7c15ULL;
	return pattern_mix(rng) % n;
}

static unsigned slot_id(unsigned slot)
{
	return 1 + me * SLOTS + slot;
}

/* The file of SLOT in directory DIR; dir 2: its temporary name. */
static const char *file_path(unsigned dir, unsigned slot)
{
	static char buf[4][PATH_MAX];
	static int turn;

	turn = (turn + 1) % 4;
	if (dir == 2)
		snprintf(buf[turn], PATH_MAX, "%s/%u/S0/tmp%u", top, me, slot);
	else
		snprintf(buf[turn], PATH_MAX, "%s/%u/S%u/file%u", top, me, dir,
			 slot);
	return buf[turn];
}

/* ---- load ---- */

static struct state now[SLOTS];
static bool dead[SLOTS];	/* an operation failed halfway: left alone */
static bool dirty[SLOTS];	/* contents that no fsync was asked for */
static unsigned op_no, fsyncs;
static int log_fd;

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	char line[100];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(log_fd, line, n) != n) {
		perror("the log");
		exit(2);
	}
}

/* Returns whether it went well; ends when the server has ended. */
static bool well(long ret, const char *what)
{
	if (ret >= 0)
		return true;
	switch (errno) {
	case ENOTCONN: case ECONNABORTED: case ENODEV: case EIO: case EROFS:
	case ESHUTDOWN: case EUCLEAN:
		printf("writer %u: %s, operation %u: %s; %u fsyncs\n", me, what,
		       op_no, strerror(errno), fsyncs);
		exit(3);
	case ENOSPC: case EDQUOT:
		return false;
	}
	printf("writer %u: %s, operation %u: %s\n", me, what, op_no,
	       strerror(errno));
	exit(1);
}

static void will_be(unsigned slot, struct state s)
{
	s.op = ++op_no;
	now[slot] = s;
	say("S %u %u %c %u %u %u\n", slot_id(slot), s.op, s.kind, s.dir, s.gen,
	    s.sectors);
}

static void durable(unsigned slot)
{
	fsyncs++;
	say("D %u %u\n", slot_id(slot), now[slot].op);
}

static bool put_sectors(int fd, unsigned slot, unsigned gen, unsigned at,
			unsigned count)
{
	static char buf[MAX_SECTORS * SECTOR];
	unsigned i;
	ssize_t ret;

	for (i = 0; i < count; i++)
		pattern_fill(buf + i * SECTOR, slot_id(slot), at + i, gen);
	ret = pwrite(fd, buf, (size_t)count * SECTOR, (off_t)at * SECTOR);
	return well(ret, "write") && ret == (ssize_t)count * SECTOR;
}

/*
 * Makes the slot's name durable by its file at PATH (NULL: gone) or by its
 * directories, which promises nothing about contents.
 */
static bool sync_name(unsigned slot, const char *path)
{
	char dir[PATH_MAX];
	unsigned i;
	int fd;
	bool good = true;

	if (path && (dirty[slot] || rnd(2))) {
		dirty[slot] = false;
		fd = open(path, O_RDONLY);
		if (!well(fd, "open"))
			return false;
		good = well(fsync(fd), "fsync");
		close(fd);
		return good;
	}
	for (i = 0; i < 2; i++) {
		snprintf(dir, sizeof(dir), "%s/%u/S%u", top, me, i);
		fd = open(dir, O_RDONLY | O_DIRECTORY);
		if (!well(fd, "open"))
			return false;
		good &= well(fsync(fd), "fsync of a directory");
		close(fd);
	}
	return good;
}

/*
 * A new file, fsynced, put in the place of what there is: the first of every
 * kind, and each of kind R.
 */
static void replace(unsigned slot)
{
	struct state s = now[slot];
	unsigned sectors = 1 + rnd(rnd(4) ? 24 : MAX_SECTORS), gen = op_no + 1;
	bool there = s.kind != '-', good;
	const char *tmp = file_path(2, slot);
	char xattr[20];
	int fd;

	fd = open(tmp, O_CREAT | O_TRUNC | O_RDWR, 0644);
	if (!well(fd, "create"))
		return;
	snprintf(xattr, sizeof(xattr), "%u", gen);
	good = put_sectors(fd, slot, gen, 0, sectors) &&
	       well(fsetxattr(fd, "user.gen", xattr, strlen(xattr), 0),
		    "setxattr") &&
	       well(rnd(4) ? fsync(fd) : fdatasync(fd), "fsync");
	close(fd);
	if (!good) {
		well(unlink(tmp), "unlink");
		return;
	}
	s.kind = KINDS[slot % 3];
	s.dir = there ? s.dir : rnd(2);
	s.gen = gen;
	s.sectors = sectors;
	will_be(slot, s);
	dirty[slot] = false;
	if (!well(rename(tmp, file_path(s.dir, slot)), "rename"))
		dead[slot] = true;
	else if (rnd(2) && sync_name(slot, file_path(s.dir, slot)))
		durable(slot);
}

/* A file that was moved has its new name in what is made durable, too. */
static void sync_contents(unsigned slot, int fd)
{
	if (!well(fsync(fd), "fsync"))
		return;
	dirty[slot] = false;
	durable(slot);
}

static void append(unsigned slot)
{
	struct state s = now[slot];
	unsigned count = 1 + rnd(20), at = s.sectors;
	int fd;

	if (at + count > MAX_SECTORS)
		return;
	fd = open(file_path(s.dir, slot), O_RDWR);
	if (!well(fd, "open"))
		return;
	s.sectors += count;
	will_be(slot, s);
	dirty[slot] = true;
	if (!put_sectors(fd, slot, s.gen, at, count))
		dead[slot] = true;
	else if (rnd(8))
		sync_contents(slot, fd);
	close(fd);
}

static void overwrite(unsigned slot)
{
	struct state s = now[slot];
	unsigned at = rnd(s.sectors), count = 1 + rnd(s.sectors - at);
	int fd = open(file_path(s.dir, slot), O_RDWR);

	if (!well(fd, "open"))
		return;
	s.gen = op_no + 1;
	will_be(slot, s);
	say("W %u %u %u %u\n", slot_id(slot), s.gen, at, count);
	dirty[slot] = true;
	if (!put_sectors(fd, slot, s.gen, at, count))
		dead[slot] = true;
	else if (rnd(8))
		sync_contents(slot, fd);
	close(fd);
}

static void move(unsigned slot)
{
	struct state s = now[slot];
	const char *from = file_path(s.dir, slot);

	s.dir = !s.dir;
	will_be(slot, s);
	if (!well(rename(from, file_path(s.dir, slot)), "rename"))
		dead[slot] = true;
	else if (rnd(2) && sync_name(slot, file_path(s.dir, slot)))
		durable(slot);
}

/* Some stay open, and are written to: orphans. */
static void drop(unsigned slot)
{
	static int held[HELD];
	struct state s = now[slot];
	const char *path = file_path(s.dir, slot);
	int fd = -1, i = rnd(HELD);

	if (rnd(2)) {
		fd = open(path, O_RDWR);
		if (!well(fd, "open"))
			return;
	}
	s.kind = '-';
	will_be(slot, s);
	if (!well(unlink(path), "unlink")) {
		dead[slot] = true;
		close(fd);
		return;
	}
	if (rnd(2) && sync_name(slot, NULL))
		durable(slot);
	if (fd < 0)
		return;
	put_sectors(fd, slot, op_no, rnd(40), 1 + rnd(60));
	if (held[i])
		close(held[i]);
	held[i] = fd;
}

/*
 * What nobody promised: names in a directory of everybody's that grows and
 * shrinks, truncated files; their blocks become file data soon.
 */
static void churn(void)
{
	char path[PATH_MAX], other[PATH_MAX];
	unsigned i, base = rnd(8) * 30;
	int fd;

	for (i = 0; i < 30; i++) {
		snprintf(path, sizeof(path),
			 "%s/all/a-name-that-is-rather-long-%u-%u", top, me,
			 base + i);
		if (!unlink(path) || errno != ENOENT)
			continue;
		fd = open(path, O_CREAT | O_RDWR, 0644);
		if (!well(fd, "create"))
			return;
		if (!rnd(6))
			put_sectors(fd, SLOTS - 1, op_no, rnd(64),
				    1 + rnd(100));
		if (!rnd(8))
			well(ftruncate(fd, rnd(9000)), "truncate");
		close(fd);
		snprintf(other, sizeof(other), "%s/all/d%u-%u", top, me, i % 4);
		if (!rnd(5) && mkdir(other, 0755) && errno == EEXIST)
			well(rmdir(other), "rmdir");
		else if (!rnd(5))
			well(symlink(path, strcat(other, "l")) && errno != EEXIST ?
			     -1 : 0, "symlink");
	}
}

static void step(void)
{
	unsigned slot = rnd(SLOTS), what = rnd(12);

	if (!what)
		churn();
	else if (dead[slot])
		return;
	else if (now[slot].kind == '-' || (what < 7 && now[slot].kind == 'R'))
		replace(slot);
	else if (what < 7 && now[slot].kind == 'A')
		append(slot);
	else if (what < 7)
		overwrite(slot);
	else if (what < 10)
		move(slot);
	else
		drop(slot);
}

/* A directory that is there already, too. */
static bool make_dir(const char *fmt, unsigned a, unsigned b)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/", top);

	/* the formats are this file's own */
	snprintf(path + n, sizeof(path) - n, fmt, a, b);
	return !mkdir(path, 0755) || errno == EEXIST;
}

static int open_log(const char *log, unsigned n)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s.%u", log, n);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static int writer(unsigned steps)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		now[i].kind = '-';
	rng += (me + 1) * 0x100000001b3ULL;
	for (i = 0; !steps || i < steps; i++)
		step();
	printf("writer %u: the end; %u fsyncs\n", me, fsyncs);
	return 0;
}

static int load(unsigned writers, unsigned steps, const char *log)
{
	int status, worst = 0, logs[WRITERS];
	unsigned i, k;

	for (i = 0; i < writers; i++)
		logs[i] = open_log(log, i);
	/* A lazy unmount takes nobody out of it. */
	if (chdir(top))
		goto failed;
	top = ".";
	if (!make_dir("all", 0, 0))
		goto failed;
	for (i = 0; i < writers; i++) {
		if (!make_dir("%u", i, 0))
			goto failed;
		for (k = 0; k < 2; k++)
			if (!make_dir("%u/S%u", i, k))
				goto failed;
	}
	/* Of the directories themselves nobody has a state. */
	k = open(top, O_RDONLY);
	if (fsync(k))
		goto failed;
	close(k);
	for (me = 0; me < writers; me++) {
		fflush(NULL);
		log_fd = logs[me];
		if (!fork())
			exit(writer(steps));
	}
	while (wait(&status) > 0) {
		status = WIFEXITED(status) ? WEXITSTATUS(status) : 2;
		if (!worst || (worst == 3 && status))
			worst = status;
	}
	return worst;
failed:
	perror(top);
	return 1;
}

/* ---- check ---- */

struct slot {
	struct state *states;	/* [0]: what is promised */
	unsigned count, room;
	unsigned durable;	/* an operation */
	/* kind O: promised generations */
	unsigned low[MAX_SECTORS], last[MAX_SECTORS];
};

static unsigned found;

static void __attribute__((format(printf, 1, 2))) finding(const char *fmt, ...)
{
	va_list ap;

	if (found++ > 20)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void add_state(struct slot *s, struct state st)
{
	unsigned i;

	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 16;
		s->states = realloc(s->states, s->room * sizeof(*s->states));
		if (!s->states)
			abort();
	}
	s->states[s->count++] = st;
	/* A new file has no older sectors. */
	if (st.kind == 'O' && (s->count < 2 || s->states[s->count - 2].sectors
			       != st.sectors || s->states[s->count - 2].kind != 'O'))
		for (i = 0; i < MAX_SECTORS; i++)
			s->last[i] = st.gen;
}

static void set_durable(struct slot *s, unsigned op)
{
	unsigned i;

	for (i = 0; i < s->count && s->states[i].op != op; i++)
		;
	if (i == s->count)
		return;
	memmove(s->states, s->states + i, (s->count - i) * sizeof(*s->states));
	s->count -= i;
	s->durable = op;
	memcpy(s->low, s->last, sizeof(s->low));
}

static unsigned read_log(const char *path, struct slot *slots)
{
	unsigned id, at, count, promises = 0;
	struct state st;
	char line[200];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f)) {
		struct slot *s;

		id = strtoul(line + 2, NULL, 10) - 1 - me * SLOTS;
		if (id >= SLOTS)
			continue;
		s = &slots[id];
		if (sscanf(line, "S %*u %u %c %u %u %u", &st.op, &st.kind,
			   &st.dir, &st.gen, &st.sectors) == 5) {
			add_state(s, st);
		} else if (sscanf(line, "W %*u %u %u %u", &st.gen, &at,
				  &count) == 3) {
			while (count--)
				s->last[at++] = st.gen;
		} else if (sscanf(line, "D %*u %u", &st.op) == 1) {
			set_durable(s, st.op);
			promises++;
		}
	}
	if (f)
		fclose(f);
	return promises;
}

static bool all_zero(const char *p)
{
	static const char zeros[SECTOR];

	return !memcmp(p, zeros, SECTOR);
}

/* The least size of S: what it was created with, or is promised. */
static unsigned min_sectors(const struct slot *sl, const struct state *s)
{
	unsigned i;

	for (i = 0; i < sl->count; i++)
		if (s->kind == 'A' && sl->states[i].kind == 'A' &&
		    sl->states[i].gen == s->gen)
			return sl->states[i].sectors;
	return s->sectors;
}

/* Why the sector AT with contents P is not what state S has there; or NULL. */
static const char *bad_sector(const struct slot *sl, const struct state *s,
			      unsigned slot, unsigned at, const char *p)
{
	const struct pattern *pat = (const void *)p;

	if (all_zero(p))
		return at >= min_sectors(sl, s) ? NULL : "zeros";
	if (!pattern_good(p))
		return "garbage";
	if (pat->id != slot_id(slot))
		return "another file's data";
	if (pat->sector != at)
		return "data of another place";
	if (s->kind != 'O')
		return pat->gen == s->gen ? NULL : "another generation";
	if (pat->gen > s->gen)
		return "a later generation";
	if (sl->durable && sl->states[0].kind == 'O' &&
	    sl->states[0].sectors == s->sectors &&
	    pat->gen != sl->low[at] && pat->gen <= sl->durable)
		return "an older generation than what was promised";
	return NULL;
}

static bool right_xattr(const char *path, unsigned gen)
{
	char value[20] = "";

	return getxattr(path, "user.gen", value, sizeof(value) - 1) > 0 &&
	       strtoul(value, NULL, 10) == gen;
}

/* Is the file at PATH as state S says?  Returns why not, or NULL. */
static const char *unlike(const struct slot *sl, const struct state *s,
			  unsigned slot, const char *path, unsigned *where)
{
	static char buf[(MAX_SECTORS + 1) * SECTOR];
	int fd = open(path, O_RDONLY);
	ssize_t n;
	const char *why;
	unsigned i;

	if (fd < 0)
		return strerror(errno);
	n = pread(fd, buf, sizeof(buf), 0);
	close(fd);
	*where = n / SECTOR;
	if (n < 0)
		return strerror(errno);
	if (n % SECTOR || n / SECTOR > s->sectors ||
	    n / SECTOR < min_sectors(sl, s))
		return "its size";
	for (i = 0; i < n / SECTOR; i++) {
		why = bad_sector(sl, s, slot, i, buf + i * SECTOR);
		*where = i;
		if (why)
			return why;
	}
	if (s->kind == 'R' && !right_xattr(path, s->gen))
		return "its xattr";
	return NULL;
}

static void check_slot(const struct slot *s, unsigned slot)
{
	bool in[2], nothing = !s->durable;
	const char *why = "no such state", *w;
	unsigned i, where = 0, at = 0;
	struct stat st;

	for (i = 0; i < 2; i++)
		in[i] = !lstat(file_path(i, slot), &st);
	for (i = 0; i < s->count; i++)
		nothing |= s->states[i].kind == '-';
	if (in[0] && in[1]) {
		finding("file %u of %u: in both directories", slot, me);
		return;
	}
	if (!in[0] && !in[1]) {
		if (!nothing)
			finding("file %u of %u: gone; %c promised by operation %u",
				slot, me, s->states[0].kind, s->durable);
		return;
	}
	for (i = 0; i < s->count; i++) {
		if (s->states[i].kind == '-' || s->states[i].dir != in[1])
			continue;
		w = unlike(s, &s->states[i], slot, file_path(in[1], slot), &at);
		if (!w)
			return;
		why = w;
		where = at;
	}
	finding("file %u of %u: in S%d, %s at sector %u; %u legal states from %c %u %u %u (operation %u)",
		slot, me, in[1], why, where, s->count,
		s->count ? s->states[0].kind : '?',
		s->count ? s->states[0].dir : 0, s->count ? s->states[0].gen : 0,
		s->count ? s->states[0].sectors : 0, s->durable);
}

static int check(const char *log)
{
	struct slot *slots = calloc(SLOTS, sizeof(*slots));
	unsigned i, promises = 0;
	char path[PATH_MAX];

	for (me = 0; me < WRITERS; me++) {
		snprintf(path, sizeof(path), "%s.%u", log, me);
		if (access(path, R_OK))
			break;
		memset(slots, 0, SLOTS * sizeof(*slots));
		promises += read_log(path, slots);
		for (i = 0; i < SLOTS; i++) {
			check_slot(&slots[i], i);
			free(slots[i].states);
		}
	}
	free(slots);
	printf("%u promises of %u writers: %u findings\n", promises, me, found);
	return found ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "load") && atoi(argv[3]) <= WRITERS) {
		top = argv[5];
		rng = strtoull(argv[2], NULL, 10) * 1000003;
		return load(atoi(argv[3]), atoi(argv[4]), argv[6]);
	}
	if (argc == 4 && !strcmp(argv[1], "check")) {
		top = argv[2];
		return check(argv[3]);
	}
	fprintf(stderr, "usage: promise load SEED WRITERS STEPS DIR LOG\n"
		"       promise check DIR LOG\n");
	return 2;
}
