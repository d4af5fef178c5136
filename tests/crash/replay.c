/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - makes crash states of a recorded run and has them judged.
 *
 * usage: replay new LOG
 *	  replay poison IMAGE
 *	  replay same BASE LOG IMAGE
 *	  replay oracle LOG IMAGE
 *	  replay recover LOG IMAGE
 *	  replay count LOG
 *	  replay state BASE LOG NAME OUT
 *	  replay list BASE LOG TIME
 *	  replay check [OPTIONS] BASE LOG
 *
 * new makes an empty log; poison fills the free blocks of an image; same says
 * whether the writes of the log make IMAGE of BASE, byte for byte; oracle judges
 * a recovered image by all that the log promises, recover lets e2fsck recover it
 * first; count prints how many writes and barriers there were; state writes one
 * crash state, and list says what had been written by its TIME and was not
 * surely on the disk, and what had been promised; check makes many:
 *	-n N	so many states (default 200)	-s SEED
 *	-j N	processes (default 2)		-d DIR	private, fast folder
 *	-k N	so many of them recovered by the kernel, too
 *	-o N	so many of them by our mount, recorded and crashed again
 *	-p PROGRAM -r RECORD.SO			for -o
 *	-w	no journal: e2fsck may repair, only fsynced files are judged
 *	-x BUG	pretend that the recorded server has it, to see it found:
 *		revoke (its revoke records are empty; needs a journal without
 *		checksums), flush (every third barrier does nothing)
 *	-e	an I/O error is on record: e2fsck leaves orphans to its repairs
 *	-q	the summary only
 *
 * A crash state is named TIME.KIND.VARIANT.  At TIME (the beginning of a write)
 * all writes that a barrier covered are on the disk; of the others, begun before
 * TIME, KIND says which:
 *	0 all (that is kill -9)		1 none
 *	2 some, by chance		3 all but one
 *	4 only one			5 all, some torn at 512 bytes
 *	6 some, some torn		7 the later ones only
 * The primary superblock's 1024 bytes and a commit block are never torn: their
 * checksums cover sectors that are older, and no ext4 survives that.  (The
 * kernel's fails just so, once its log has wrapped.)
 *
 * Knows the log and the order of disks; the file system's meaning is oracle.c's
 * and judge.c's.  No locks: workers are processes, each with its own states.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "judge.h"
#include "log.h"
#include "model.h"
#include "oracle.h"
#include "pattern.h"

#define KINDS	8
#define NOW	UINT64_MAX

struct event {
	const struct log_rec *rec;
	uint64_t off, len;
	const uint8_t *data;		/* NULL: zeros */
	uint64_t begin, end;
	bool write, durable;
};

struct recording {
	struct log_head *log;
	struct event *ev;	/* writes and barriers by their beginnings */
	size_t count;
	size_t *barriers;	/* by their ends */
	size_t nbarriers;
};

/* The disk at a time: what is surely there, and what may be. */
struct disk {
	const struct recording *r;
	uint8_t *sure;
	uint64_t size;
	struct event **maybe;
	size_t nmaybe, room, next, next_barrier;
};

static struct {
	unsigned wanted, workers, kernel, ours;
	uint64_t share;		/* of times and slots: how many are taken */
	uint64_t seed;
	const char *dir, *program, *preload, *bug;
	bool repairs, error, quiet;
} opt = { .wanted = 200, .workers = 2, .dir = "." };

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* --- files --- */

static uint8_t *map_file(const char *path, uint64_t *size, bool shared)
{
	int fd = open(path, (shared ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	struct stat st;
	uint8_t *p;

	if (fd < 0 || fstat(fd, &st))
		die(path);
	p = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE,
		 shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	close(fd);
	*size = st.st_size;
	return p;
}

static uint8_t *new_file(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, size))
		die(path);
	close(fd);
	return map_file(path, &size, true);
}

/* --- the recording --- */

static int by_begin(const void *va, const void *vb)
{
	const struct event *a = va, *b = vb;

	return a->begin < b->begin ? -1 : a->begin > b->begin;
}

static const struct recording *sorting;

static int by_end(const void *va, const void *vb)
{
	uint64_t a = sorting->ev[*(const size_t *)va].end;
	uint64_t b = sorting->ev[*(const size_t *)vb].end;

	return a < b ? -1 : a > b;
}

static void add_event(struct recording *r, const struct log_rec *rec)
{
	uint64_t end = rec->end ? rec->end : NOW;
	struct event e = { .rec = rec, .off = rec->off, .len = rec->len,
			   .begin = rec->begin, .end = end };

	switch (rec->kind) {
	case LOG_WRITE:
	case LOG_ZERO:
		e.write = true;
		if (rec->data)
			e.data = (uint8_t *)r->log + rec->data;
		if (rec->end && rec->ret < 0)
			e.len = 0;
		else if (rec->end && (uint64_t)rec->ret < e.len)
			e.len = rec->ret;
		break;
	case LOG_BARRIER:
		if (rec->end && rec->ret)
			return;
		break;
	case LOG_BYPASS:
		fprintf(stderr, "not recorded: %s\n",
			(char *)r->log + rec->data);
		exit(2);
	default:
		return;
	}
	r->ev[r->count++] = e;
}

/* Empties the revoke records of a write into a journal. */
static void forget_revokes(uint8_t *data, uint64_t len)
{
	static const uint8_t magic[8] = { 0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 5 };
	uint64_t i;

	for (i = 0; i + 1024 <= len; i += 1024)
		if (!memcmp(data + i, magic, sizeof(magic))) {
			memset(data + i + 12, 0, 4);
			data[i + 15] = 16;	/* bytes used: the header */
		}
}

static void pretend(struct recording *r)
{
	size_t i, n = 0;

	for (i = 0; i < r->count; i++) {
		struct event *e = &r->ev[i];

		if (!strcmp(opt.bug, "revoke") && e->data)
			forget_revokes((uint8_t *)e->data, e->len);
		if (!strcmp(opt.bug, "flush") && !e->write && ++n % 3 == 0)
			e->end = NOW;
	}
}

static void load_recording(struct recording *r, const char *path)
{
	uint64_t i, used;

	r->log = log_open(path, 0);
	if (!r->log)
		die(path);
	used = r->log->used;
	if (used > LOG_ROOM || r->log->heap > LOG_SIZE_MAX) {
		fprintf(stderr, "%s: the log was too small\n", path);
		exit(2);
	}
	r->ev = calloc(used + 1, sizeof(*r->ev));
	r->barriers = calloc(used + 1, sizeof(*r->barriers));
	for (i = 0; i < used; i++)
		add_event(r, &log_recs(r->log)[i]);
	qsort(r->ev, r->count, sizeof(*r->ev), by_begin);
	if (opt.bug)
		pretend(r);
	for (i = 0; i < r->count; i++)
		if (!r->ev[i].write && r->ev[i].end != NOW)
			r->barriers[r->nbarriers++] = i;
	sorting = r;
	qsort(r->barriers, r->nbarriers, sizeof(*r->barriers), by_end);
}

/* --- the disk --- */

static void apply_part(uint8_t *mem, uint64_t size, const struct event *e,
		       uint64_t from, uint64_t len)
{
	if (e->off + from + len > size) {
		fprintf(stderr, "a write at %llu is outside the image\n",
			(unsigned long long)e->off);
		exit(2);
	}
	if (e->data)
		memcpy(mem + e->off + from, e->data + from, len);
	else
		memset(mem + e->off + from, 0, len);
}

/* A barrier from BEGIN on covers what had returned by then. */
static void cover(struct disk *d, uint64_t begin)
{
	size_t i, k = 0;

	for (i = 0; i < d->nmaybe; i++)
		if (d->maybe[i]->end < begin)
			d->maybe[i]->durable = true;
	for (i = 0; i < d->nmaybe && d->maybe[i]->durable; i++)
		apply_part(d->sure, d->size, d->maybe[i], 0, d->maybe[i]->len);
	for (; i < d->nmaybe; i++)
		d->maybe[k++] = d->maybe[i];
	d->nmaybe = k;
}

/* To the time NOW; a write that begins just then is in. */
static void disk_advance(struct disk *d, uint64_t now)
{
	const struct recording *r = d->r;
	uint64_t t;

	for (;;) {
		struct event *e = NULL, *b = NULL;

		while (d->next < r->count && !r->ev[d->next].write)
			d->next++;
		if (d->next < r->count && r->ev[d->next].begin <= now)
			e = &r->ev[d->next];
		if (d->next_barrier < r->nbarriers)
			b = &r->ev[r->barriers[d->next_barrier]];
		if (b && b->end > now)
			b = NULL;
		if (!e && !b)
			return;
		t = e ? e->begin : NOW;
		if (b && b->end < t) {
			cover(d, b->begin);
			d->next_barrier++;
			continue;
		}
		if (d->nmaybe == d->room) {
			d->room = d->room * 2 + 64;
			d->maybe = realloc(d->maybe, d->room * sizeof(*d->maybe));
		}
		d->maybe[d->nmaybe++] = e;
		d->next++;
	}
}

/* --- states --- */

struct chance { uint64_t x; };

static uint64_t draw(struct chance *c)
{
	c->x += 0x9e3779b97f4a7c15ULL;
	return pattern_mix(c->x);
}

static bool is_super(const struct event *e, uint64_t from)
{
	return e->off + from >= 1024 && e->off + from < 2048;
}

static bool is_commit(const struct event *e)
{
	static const uint8_t magic[8] = { 0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 2 };

	return e->data && e->len <= 65536 && e->len >= sizeof(magic) &&
	       !memcmp(e->data, magic, sizeof(magic));
}

/* Some of its sectors. */
static void apply_torn(uint8_t *mem, uint64_t size, const struct event *e,
		       struct chance *c)
{
	uint64_t from, len, sectors = e->len / SECTOR + 1, cut;
	int how = draw(c) % 3;
	bool super = draw(c) & 1, in;

	cut = draw(c) % sectors;
	for (from = 0; from < e->len; from += len) {
		len = SECTOR - (e->off + from) % SECTOR;
		if (len > e->len - from)
			len = e->len - from;
		in = how == 0 ? from / SECTOR < cut :
		     how == 1 ? from / SECTOR >= cut : draw(c) & 1;
		if (is_super(e, from))
			in = super;
		if (in)
			apply_part(mem, size, e, from, len);
	}
}

/*
 * The state KIND and VARIANT of D, into MEM.  A hash of what was chosen.
 */
static uint64_t build(const struct disk *d, int kind, uint64_t variant,
		      uint8_t *mem)
{
	struct chance c = { variant * 0x1234567 + kind };
	size_t n = d->nmaybe, i, one = n ? draw(&c) % n : 0;
	unsigned often = 1 + draw(&c) % 7;	/* of 8 */
	uint64_t id = 0;

	if (mem)
		memcpy(mem, d->sure, d->size);
	for (i = 0; i < n; i++) {
		const struct event *e = d->maybe[i];
		bool in = kind == 0 || kind == 5 || (kind == 3 && i != one) ||
			  (kind == 4 && i == one) || (kind == 7 && i >= one);
		bool torn = false;

		if (kind == 2 || kind == 6)
			in = draw(&c) % 8 < often;
		if (kind == 5 || kind == 6)
			torn = in && e->len > SECTOR && !is_commit(e) &&
			       draw(&c) % 4 == 0;
		if (e->durable)
			in = true, torn = false;
		if (!in)
			continue;
		id = pattern_mix(id + i + 1 + (torn ? variant << 20 : 0));
		if (!mem)
			continue;
		if (torn)
			apply_torn(mem, d->size, e, &c);
		else
			apply_part(mem, d->size, e, 0, e->len);
	}
	return id;
}

/* --- a worker --- */

struct result {
	unsigned states, bad, kernel, ours, again;
};

struct worker {
	struct recording *r;
	struct model *m;
	struct disk d;
	uint8_t *mem;		/* the state, mapped from the file */
	char path[512], dir[512], log2[512];
	FILE *out;
	char *told;
	size_t told_len;
	struct result res;
	unsigned shown;
};

static void failed(struct worker *w, const char *by, uint64_t t, int kind,
		   uint64_t variant)
{
	fflush(w->out);
	w->res.bad++;
	if (w->shown++ < 5 && !opt.quiet) {
		printf("  state %llu.%d.%llu of %u operations, by %s:\n%s",
		       (unsigned long long)t, kind,
		       (unsigned long long)variant, model_ops(w->m), by,
		       w->told);
		fflush(stdout);
	}
}

/* What e2fsck and the oracle say of the state in the file. */
static int judge(struct worker *w)
{
	int n;

	rewind(w->out);
	n = judge_fsck(w->path, opt.repairs, w->out);
	n += oracle_check(w->mem, w->d.size, w->m,
			  opt.repairs ? NAMES_NOT : NAMES_PREFIX, w->out);
	fputc(0, w->out);
	return n;
}

static void by_kernel(struct worker *w, uint64_t t, int kind, uint64_t variant)
{
	int n;

	build(&w->d, kind, variant, w->mem);
	rewind(w->out);
	n = judge_kernel(w->path, w->dir, w->out);
	n += oracle_check(w->mem, w->d.size, w->m, NAMES_PREFIX, w->out);
	fputc(0, w->out);
	w->res.kernel++;
	if (n)
		failed(w, "the kernel", t, kind, variant);
}

/*
 * Our mount recovers, is killed, and its recovery is crashed: some states of
 * what it wrote, on the state that it began with.
 */
static void by_ours(struct worker *w, uint64_t t, int kind, uint64_t variant)
{
	struct recording r2 = { 0 };
	struct disk d2;
	uint8_t *start = malloc(w->d.size);
	struct log_head *log2 = log_open(w->log2, 1);
	size_t i, every;
	int n, k;

	if (!log2 || !start)
		die(w->log2);
	build(&w->d, kind, variant, w->mem);
	memcpy(start, w->mem, w->d.size);
	rewind(w->out);
	n = judge_ours(w->path, w->dir, opt.program, opt.preload, w->log2,
		       w->out);
	fputc(0, w->out);
	w->res.ours++;
	if (n || judge(w))
		failed(w, "our mount", t, kind, variant);
	load_recording(&r2, w->log2);
	d2 = (struct disk){ .r = &r2, .sure = start, .size = w->d.size };
	every = r2.count / 12 + 1;
	for (i = 0; i < r2.count; i++) {
		if (!r2.ev[i].write || i % every)
			continue;
		disk_advance(&d2, r2.ev[i].begin);
		for (k = 0; k < 3; k++) {
			build(&d2, k == 2 ? 6 : k, variant + i, w->mem);
			w->res.again++;
			if (judge(w))
				failed(w, "e2fsck, after a crash in our recovery",
				       t, kind, variant);
		}
	}
	munmap(r2.log, LOG_SIZE_MAX);
	munmap(log2, LOG_SIZE_MAX);
	free(r2.ev);
	free(r2.barriers);
	free(d2.maybe);
	free(start);
	unlink(w->log2);
}

static void one_state(struct worker *w, uint64_t t, int kind, uint64_t variant,
		      uint64_t lot)
{
	build(&w->d, kind, variant, w->mem);
	w->res.states++;
	if (judge(w))
		failed(w, "e2fsck", t, kind, variant);
	if (lot % opt.wanted < opt.kernel)
		by_kernel(w, t, kind, variant);
	else if (lot % opt.wanted < opt.kernel + opt.ours)
		by_ours(w, t, kind, variant);
}

/* The states of one time: those that are different. */
static void states_at(struct worker *w, uint64_t t, unsigned slots,
		      uint64_t times)
{
	uint64_t seen[128], id, lot, variant;
	unsigned n = 0, s, i;
	unsigned kind;

	for (s = 0; s < slots && n < 128; s++) {
		variant = pattern_mix(opt.seed ^ t << 20 ^ s) >> 40;
		kind = s < KINDS ? s : 2 + s % 5;
		lot = pattern_mix(opt.seed * 31 + t * 1009 + s);
		id = build(&w->d, kind, variant, NULL);
		for (i = 0; i < n && seen[i] != id; i++)
			;
		if (i < n)
			continue;
		seen[n++] = id;
		if (lot % (times * slots) < opt.share)
			one_state(w, t, kind, variant, lot >> 20);
	}
}

static void work(struct worker *w, unsigned me, unsigned slots)
{
	const struct recording *r = w->r;
	size_t i, turn = 0, times = 0;

	for (i = 0; i < r->count; i++)
		times += r->ev[i].write;
	w->out = open_memstream(&w->told, &w->told_len);
	for (i = 0; i <= r->count; i++) {
		uint64_t t = i < r->count ? r->ev[i].begin : NOW - 1;

		if (i < r->count && !r->ev[i].write)
			continue;
		if (turn++ % opt.workers != me)
			continue;
		disk_advance(&w->d, t);
		model_advance(w->m, t);
		states_at(w, t, slots, times + 1);
	}
	fclose(w->out);
}

static void start_worker(struct worker *w, const char *base, unsigned me,
			 unsigned slots, int fd)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return;
	snprintf(w->path, sizeof(w->path), "%s/state%u", opt.dir, me);
	snprintf(w->dir, sizeof(w->dir), "%s/mnt%u", opt.dir, me);
	snprintf(w->log2, sizeof(w->log2), "%s/log%u", opt.dir, me);
	mkdir(w->dir, 0755);
	w->d.r = w->r;
	w->d.sure = map_file(base, &w->d.size, false);
	w->mem = new_file(w->path, w->d.size);
	work(w, me, slots);
	if (write(fd, &w->res, sizeof(w->res)) != sizeof(w->res))
		die("write");
	unlink(w->path);
	rmdir(w->dir);
	fflush(stdout);
	_exit(0);
}

/* How many states per time make about as many as were asked for. */
static unsigned choose_slots(const struct recording *r, const char *base)
{
	struct disk d = { .r = r };
	uint64_t ids[128], id, total = 0;
	size_t i, k, n, times = 0;
	unsigned slots = KINDS, s;

	d.sure = map_file(base, &d.size, false);
	for (i = 0; i < r->count; i++) {
		if (!r->ev[i].write)
			continue;
		times++;
		disk_advance(&d, r->ev[i].begin);
		for (s = n = 0; s < slots; s++) {
			id = build(&d, s, s * 77, NULL);
			for (k = 0; k < n && ids[k] != id; k++)
				;
			if (k == n)
				ids[n++] = id;
		}
		total += n;
	}
	munmap(d.sure, d.size);
	for (i = 0; i < r->count; i++)
		r->ev[i].durable = false;
	if (!times)
		return 0;
	/* KINDS slots make TOTAL different states: and for more, more slots */
	while (total < opt.wanted && slots < 120) {
		slots += KINDS;
		total += times * 4;
	}
	opt.share = opt.wanted * (times + 1.0) * slots / (total ? total : 1);
	return slots;
}

static int check(const char *base, const char *log)
{
	unsigned slots, i;
	struct result sum = { 0 }, one;
	struct recording r = { 0 };
	struct worker w = { .r = &r };
	int p[2], status, dead = 0;

	load_recording(&r, log);
	w.m = model_load(r.log);
	slots = choose_slots(&r, base);
	if (!slots) {
		printf("nothing was written\n");
		return 2;
	}
	if (pipe(p))
		die("pipe");
	fflush(stdout);
	for (i = 0; i < opt.workers; i++)
		start_worker(&w, base, i, slots, p[1]);
	close(p[1]);
	while (read(p[0], &one, sizeof(one)) == sizeof(one)) {
		sum.states += one.states;
		sum.bad += one.bad;
		sum.kernel += one.kernel;
		sum.ours += one.ours;
		sum.again += one.again;
	}
	while (wait(&status) > 0)
		dead += status != 0;
	printf("%u states (of %u wanted, %zu writes and barriers, %u operations), "
	       "%u by the kernel, %u by us, %u of our recoveries: %u failures\n",
	       sum.states, opt.wanted, r.count, model_ops(w.m), sum.kernel, sum.ours,
	       sum.again, sum.bad);
	if (dead)
		printf("%d workers died\n", dead);
	return dead ? 2 : sum.bad != 0;
}

/* --- the small ones --- */

static int same(const char *base, const char *log, const char *path)
{
	struct recording r = { 0 };
	struct disk d = { .r = &r };
	uint64_t size, i, bad = 0, at = 0;
	uint8_t *mem;

	load_recording(&r, log);
	d.sure = map_file(base, &d.size, false);
	mem = map_file(path, &size, false);
	disk_advance(&d, NOW - 1);
	build(&d, 0, 0, NULL);
	for (i = 0; i < d.nmaybe; i++)
		apply_part(d.sure, d.size, d.maybe[i], 0, d.maybe[i]->len);
	if (size != d.size) {
		printf("the sizes differ\n");
		return 1;
	}
	for (i = 0; i < size; i++)
		if (mem[i] != d.sure[i] && !bad++)
			at = i;
	if (bad)
		printf("%llu bytes are not from the log, the first at %llu\n",
		       (unsigned long long)bad, (unsigned long long)at);
	return bad != 0;
}

static int count(const char *path)
{
	struct log_head *log = log_open(path, 0);

	if (!log)
		die(path);
	printf("%llu %llu\n", (unsigned long long)log->writes,
	       (unsigned long long)log->barriers);
	return 0;
}

static int oracle(const char *log, const char *path, bool recover)
{
	struct log_head *head = log_open(log, 0);
	struct model *m;
	uint64_t size;
	uint8_t *mem;
	int n = 0;

	if (!head)
		die(log);
	m = model_load(head);
	model_advance(m, NOW - 1);
	printf("after %u operations:\n", model_ops(m));
	if (recover)
		n = judge_fsck(path, opt.repairs || opt.error, stdout);
	mem = map_file(path, &size, false);
	n += oracle_check(mem, size, m,
			  opt.repairs ? NAMES_NOT : NAMES_PREFIX, stdout);
	return n != 0;
}

static int state(const char *base, const char *log, const char *name,
		 const char *path)
{
	unsigned long long t, variant;
	struct recording r = { 0 };
	struct disk d = { .r = &r };
	int kind;

	if (sscanf(name, "%llu.%d.%llu", &t, &kind, &variant) != 3)
		return 2;
	load_recording(&r, log);
	d.sure = map_file(base, &d.size, false);
	disk_advance(&d, t);
	build(&d, kind, variant, new_file(path, d.size));
	return 0;
}

/* What a block in a journal is, where it says so. */
static const char *jbd_kind(const struct event *e)
{
	static const char *const names[] = {
		"", ", descriptor", ", commit", ", journal superblock",
		", journal superblock", ", revoke",
	};
	static const uint8_t magic[7] = { 0xc0, 0x3b, 0x39, 0x98 };

	if (!e->data || e->len < 12 || memcmp(e->data, magic, 7) ||
	    e->data[7] > 5)
		return "";
	return names[e->data[7]];
}

static int list(const char *base, const char *log, uint64_t t)
{
	struct recording r = { 0 };
	struct disk d = { .r = &r };
	const uint64_t *prints;
	struct model *m;
	size_t i;

	load_recording(&r, log);
	d.sure = map_file(base, &d.size, false);
	m = model_load(r.log);
	disk_advance(&d, t);
	model_advance(m, t);
	for (i = 0; i < d.nmaybe; i++) {
		const struct event *e = d.maybe[i];

		printf("%llu to %llu: %llu bytes to %llu%s%s\n",
		       (unsigned long long)e->begin,
		       (unsigned long long)(e->end == NOW ? 0 : e->end),
		       (unsigned long long)e->len, (unsigned long long)e->off,
		       jbd_kind(e), e->durable ? ", durable" : "");
	}
	for (i = 0; i < r.count; i++)
		if (!r.ev[i].write && r.ev[i].begin < t + 40 &&
		    r.ev[i].begin + 40 > t)
			printf("flush %llu to %llu\n",
			       (unsigned long long)r.ev[i].begin,
			       (unsigned long long)r.ev[i].end);
	printf("%d states are legal\n", model_legal(m, &prints));
	return 0;
}

static int poison(const char *path)
{
	uint64_t size;
	uint8_t *mem = map_file(path, &size, true);

	return oracle_poison(mem, size);
}

static int command(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:s:j:d:k:o:p:r:x:ewq")) != -1) {
		switch (c) {
		case 'n': opt.wanted = atoi(optarg); break;
		case 's': opt.seed = atoi(optarg); break;
		case 'j': opt.workers = atoi(optarg); break;
		case 'd': opt.dir = optarg; break;
		case 'k': opt.kernel = atoi(optarg); break;
		case 'o': opt.ours = atoi(optarg); break;
		case 'p': opt.program = optarg; break;
		case 'r': opt.preload = optarg; break;
		case 'x': opt.bug = optarg; break;
		case 'e': opt.error = true; break;
		case 'w': opt.repairs = true; break;
		case 'q': opt.quiet = true; break;
		default: return 2;
		}
	}
	argv += optind;
	argc -= optind;
	if (argc == 2 && !strcmp(argv[0], "new"))
		return log_open(argv[1], 1) ? 0 : 2;
	if (argc == 2 && !strcmp(argv[0], "poison"))
		return poison(argv[1]);
	if (argc == 4 && !strcmp(argv[0], "same"))
		return same(argv[1], argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[0], "oracle"))
		return oracle(argv[1], argv[2], false);
	if (argc == 3 && !strcmp(argv[0], "recover"))
		return oracle(argv[1], argv[2], true);
	if (argc == 2 && !strcmp(argv[0], "count"))
		return count(argv[1]);
	if (argc == 5 && !strcmp(argv[0], "state"))
		return state(argv[1], argv[2], argv[3], argv[4]);
	if (argc == 4 && !strcmp(argv[0], "list"))
		return list(argv[1], argv[2], strtoull(argv[3], NULL, 10));
	if (argc == 3 && !strcmp(argv[0], "check"))
		return check(argv[1], argv[2]);
	return 2;
}

int main(int argc, char **argv)
{
	int ret = command(argc, argv);

	/* What is in memory until the end is no leak. */
	fflush(stdout);
	_exit(ret);
}
