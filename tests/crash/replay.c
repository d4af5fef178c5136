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
 *	-m	the workload was the iomap client (mapped.h)
 *	-q	the summary only
 *
 * With an external journal BASE, IMAGE and OUT are two files, "VOLUME:JOURNAL".
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
 * Knows commands and workers; disks are recording.c's, the file system's meaning
 * is oracle.c's, mapped.c's and judge.c's.  No locks: workers are processes, each
 * with its own states.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "judge.h"
#include "log.h"
#include "mapped.h"
#include "model.h"
#include "oracle.h"
#include "pattern.h"
#include "recording.h"

static struct {
	unsigned wanted, workers, kernel, ours;
	uint64_t share;		/* of times and slots: how many are taken */
	uint64_t seed;
	const char *dir, *program, *preload, *bug;
	bool repairs, error, mapped, quiet;
} opt = { .wanted = 200, .workers = 2, .dir = "." };

/* --- what was promised --- */

/* By the marks of load, or of the iomap client. */
struct promises {
	struct model *m;
	struct mapped *c;
};

static void promises_load(struct promises *p, struct log_head *log)
{
	if (opt.mapped)
		p->c = mapped_load(log);
	else
		p->m = model_load(log);
}

static void promises_advance(struct promises *p, uint64_t now)
{
	if (p->c)
		mapped_advance(p->c, now);
	else
		model_advance(p->m, now);
}

/* Operations, or files: for people. */
static unsigned promises_count(const struct promises *p)
{
	return p->c ? mapped_promises(p->c) : model_ops(p->m);
}

static const char *promises_unit(void)
{
	return opt.mapped ? "fsynced files" : "operations";
}

static int promises_check(struct promises *p, const struct image *im,
			  enum oracle_names names, FILE *out)
{
	uint64_t size = im->start[1];

	return p->c ? mapped_check(im->mem, size, p->c, out) :
	       oracle_check(im->mem, size, p->m, names, out);
}

/* --- a worker --- */

struct result {
	unsigned states, bad, kernel, ours, again;
};

struct worker {
	struct recording *r;
	struct promises p;
	struct disk d;
	struct image state;	/* mapped from its files */
	char path[512], journal[512], dir[512], log2[512];
	struct volume v;
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
		printf("  state %llu.%d.%llu of %u %s, by %s:\n%s",
		       (unsigned long long)t, kind,
		       (unsigned long long)variant, promises_count(&w->p),
		       promises_unit(), by, w->told);
		fflush(stdout);
	}
}

/* What e2fsck and the oracle say of the state in the file. */
static int judge(struct worker *w)
{
	int n;

	rewind(w->out);
	n = judge_fsck(&w->v, opt.repairs, w->out);
	n += promises_check(&w->p, &w->state,
			  opt.repairs ? NAMES_NOT : NAMES_PREFIX, w->out);
	fputc(0, w->out);
	return n;
}

static void by_kernel(struct worker *w, uint64_t t, int kind, uint64_t variant)
{
	int n;

	disk_build(&w->d, kind, variant, w->state.mem);
	rewind(w->out);
	n = judge_kernel(&w->v, w->dir, w->out);
	n += promises_check(&w->p, &w->state, NAMES_PREFIX, w->out);
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
	uint64_t size = image_size(&w->state);
	uint8_t *start = malloc(size);
	struct log_head *log2 = log_open(w->log2, 1);
	size_t i, every;
	int n, k;

	if (!log2 || !start)
		die(w->log2);
	disk_build(&w->d, kind, variant, w->state.mem);
	memcpy(start, w->state.mem, size);
	rewind(w->out);
	n = judge_ours(&w->v, w->dir, opt.program, opt.preload, w->log2,
		       w->out);
	fputc(0, w->out);
	w->res.ours++;
	if (n || judge(w))
		failed(w, "our mount", t, kind, variant);
	recording_load(&r2, w->log2, &w->state, opt.bug);
	d2 = (struct disk){ .r = &r2, .sure = start };
	every = r2.count / 12 + 1;
	for (i = 0; i < r2.count; i++) {
		if (!r2.ev[i].write || i % every)
			continue;
		disk_advance(&d2, r2.ev[i].begin);
		for (k = 0; k < 3; k++) {
			disk_build(&d2, k == 2 ? 6 : k, variant + i, w->state.mem);
			w->res.again++;
			if (judge(w))
				failed(w, "e2fsck, after a crash in our recovery",
				       t, kind, variant);
		}
	}
	munmap(log2, LOG_SIZE_MAX);
	recording_free(&r2);
	free(d2.maybe);
	free(start);
	unlink(w->log2);
}

static void one_state(struct worker *w, uint64_t t, int kind, uint64_t variant,
		      uint64_t lot)
{
	disk_build(&w->d, kind, variant, w->state.mem);
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
		id = disk_build(&w->d, kind, variant, NULL);
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
		promises_advance(&w->p, t);
		states_at(w, t, slots, times + 1);
	}
	fclose(w->out);
}

static void start_worker(struct worker *w, unsigned me, unsigned slots, int fd)
{
	char both[1100];
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
	w->d.sure = w->r->image->mem;	/* a copy, since the fork */
	w->v.path = w->path;
	snprintf(both, sizeof(both), "%s", w->path);
	if (w->r->image->count > 1) {
		snprintf(w->journal, sizeof(w->journal), "%s/journal%u", opt.dir,
			 me);
		w->v.journal = w->journal;
		snprintf(both, sizeof(both), "%s:%s", w->path, w->journal);
	}
	image_create(&w->state, both, w->r->image);
	work(w, me, slots);
	if (write(fd, &w->res, sizeof(w->res)) != sizeof(w->res))
		die("write");
	unlink(w->path);
	if (w->v.journal)
		unlink(w->journal);
	rmdir(w->dir);
	fflush(stdout);
	_exit(0);
}

/* How many states per time make about as many as were asked for. */
static unsigned choose_slots(const struct recording *r)
{
	struct disk d = { .r = r };
	uint64_t ids[128], id, total = 0;
	size_t i, k, n, times = 0;
	unsigned slots = KINDS, s;

	d.sure = malloc(image_size(r->image));
	if (!d.sure)
		die("malloc");
	memcpy(d.sure, r->image->mem, image_size(r->image));
	for (i = 0; i < r->count; i++) {
		if (!r->ev[i].write)
			continue;
		times++;
		disk_advance(&d, r->ev[i].begin);
		for (s = n = 0; s < slots; s++) {
			id = disk_build(&d, s, s * 77, NULL);
			for (k = 0; k < n && ids[k] != id; k++)
				;
			if (k == n)
				ids[n++] = id;
		}
		total += n;
	}
	free(d.sure);
	free(d.maybe);
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
	struct image im;
	int p[2], status, dead = 0;

	image_open(&im, base, false);
	recording_load(&r, log, &im, opt.bug);
	promises_load(&w.p, r.log);
	slots = choose_slots(&r);
	if (!slots) {
		printf("nothing was written\n");
		return 2;
	}
	if (pipe(p))
		die("pipe");
	fflush(stdout);
	for (i = 0; i < opt.workers; i++)
		start_worker(&w, i, slots, p[1]);
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
	promises_advance(&w.p, NOW - 1);
	printf("%u states (of %u wanted, %zu writes and barriers, %u %s), "
	       "%u by the kernel, %u by us, %u of our recoveries: %u failures\n",
	       sum.states, opt.wanted, r.count, promises_count(&w.p),
	       promises_unit(), sum.kernel, sum.ours, sum.again, sum.bad);
	if (dead)
		printf("%d workers died\n", dead);
	return dead ? 2 : sum.bad != 0;
}

/* --- the small ones --- */

/* The disk of LOG on BASE, at the time T. */
static void disk_at(struct disk *d, struct recording *r, struct image *im,
		    const char *base, const char *log, uint64_t t)
{
	image_open(im, base, false);
	recording_load(r, log, im, opt.bug);
	*d = (struct disk){ .r = r, .sure = im->mem };
	disk_advance(d, t);
}

static int same(const char *base, const char *log, const char *path)
{
	struct recording r = { 0 };
	uint64_t i, bad = 0, at = 0;
	struct image im, last;
	struct disk d;
	uint8_t *mem;

	disk_at(&d, &r, &im, base, log, NOW - 1);
	image_open(&last, path, false);
	if (image_size(&last) != image_size(&im)) {
		printf("the sizes differ\n");
		return 1;
	}
	mem = malloc(image_size(&im));
	if (!mem)
		die("malloc");
	disk_build(&d, 0, 0, mem);
	for (i = 0; i < image_size(&im); i++)
		if (mem[i] != last.mem[i] && !bad++)
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
	struct volume v = { .path = path };
	struct promises p = { 0 };
	struct image im;
	int n = 0;

	if (!head)
		die(log);
	promises_load(&p, head);
	promises_advance(&p, NOW - 1);
	printf("after %u %s:\n", promises_count(&p), promises_unit());
	if (recover)
		n = judge_fsck(&v, opt.repairs || opt.error, stdout);
	image_open(&im, path, false);
	n += promises_check(&p, &im, opt.repairs ? NAMES_NOT : NAMES_PREFIX,
			    stdout);
	return n != 0;
}

static int state(const char *base, const char *log, const char *name,
		 const char *path)
{
	unsigned long long t, variant;
	struct recording r = { 0 };
	struct image im, out;
	struct disk d;
	int kind;

	if (sscanf(name, "%llu.%d.%llu", &t, &kind, &variant) != 3)
		return 2;
	disk_at(&d, &r, &im, base, log, t);
	image_create(&out, path, &im);
	disk_build(&d, kind, variant, out.mem);
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
	struct promises p = { 0 };
	const uint64_t *prints;
	struct image im;
	struct disk d;
	size_t i;

	disk_at(&d, &r, &im, base, log, t);
	promises_load(&p, r.log);
	promises_advance(&p, t);
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
	if (p.m)
		printf("%d states are legal\n", model_legal(p.m, &prints));
	return 0;
}

static int poison(const char *path)
{
	struct image im;

	image_open(&im, path, true);
	return oracle_poison(im.mem, im.start[1]);
}

static int command(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:s:j:d:k:o:p:r:x:ewmq")) != -1) {
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
		case 'm': opt.mapped = true; break;
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
