/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording.c - reads a log, and builds the disks that a crash could leave.
 *
 * A barrier is one of its own device only.  Knows of a journal what must not be
 * torn, see replay.c, and otherwise nothing of file systems.  No locks.
 */
#include "recording.h"

#include <stdio.h>
#include <stdlib.h>

#include "pattern.h"

void die(const char *what)
{
	perror(what);
	exit(2);
}

/* --- files --- */

/* The next name of P, into NAME; what follows it. */
static const char *next_path(const char *p, char *name, size_t size)
{
	size_t n = strcspn(p, ":");

	snprintf(name, size, "%.*s", (int)n, p);
	return p + n + (p[n] == ':');
}

/* One after the other, where there is room for all. */
void image_open(struct image *im, const char *paths, bool shared)
{
	int fds[DEVICES], prot = PROT_READ | PROT_WRITE;
	char name[512];
	struct stat st;
	unsigned i;

	*im = (struct image){ 0 };
	while (*paths && im->count < DEVICES) {
		i = im->count++;
		paths = next_path(paths, name, sizeof(name));
		fds[i] = open(name, (shared ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (fds[i] < 0 || fstat(fds[i], &st))
			die(name);
		if (st.st_size % 4096) {
			fprintf(stderr, "%s: not whole pages\n", name);
			exit(2);
		}
		im->start[i + 1] = im->start[i] + st.st_size;
	}
	im->mem = mmap(NULL, image_size(im), PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (im->mem == MAP_FAILED)
		die("mmap");
	for (i = 0; i < im->count; i++) {
		if (mmap(im->mem + im->start[i], im->start[i + 1] - im->start[i],
			 prot, MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE),
			 fds[i], 0) == MAP_FAILED)
			die("mmap");
		close(fds[i]);
	}
}

void image_create(struct image *im, const char *paths, const struct image *like)
{
	const char *p = paths;
	char name[512];
	unsigned i;
	int fd;

	for (i = 0; i < like->count; i++) {
		p = next_path(p, name, sizeof(name));
		fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, like->start[i + 1] - like->start[i]))
			die(name);
		close(fd);
	}
	image_open(im, paths, true);
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

/* Is a write of LEN bytes past the end of its device? */
static bool is_outside(const struct image *im, const struct log_rec *rec,
		       uint64_t len)
{
	uint64_t size = im->start[rec->dev + 1] - im->start[rec->dev];

	return len && (rec->off > size || len > size - rec->off);
}

static void add_event(struct recording *r, const struct log_rec *rec)
{
	uint64_t end = rec->end ? rec->end : NOW;
	struct event e = { .rec = rec, .len = rec->len, .dev = rec->dev,
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
	if (e.dev >= r->image->count ||
	    (e.write && is_outside(r->image, rec, e.len))) {
		fprintf(stderr, "a write at %llu is outside the image\n",
			(unsigned long long)rec->off);
		exit(2);
	}
	e.off = r->image->start[e.dev] + rec->off;
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

static void pretend(struct recording *r, const char *bug)
{
	size_t i, n = 0;

	for (i = 0; i < r->count; i++) {
		struct event *e = &r->ev[i];

		if (!strcmp(bug, "revoke") && e->data)
			forget_revokes((uint8_t *)e->data, e->len);
		if (!strcmp(bug, "flush") && !e->write && ++n % 3 == 0)
			e->end = NOW;
	}
}

void recording_load(struct recording *r, const char *path,
		    const struct image *image, const char *bug)
{
	uint64_t i, used;

	r->image = image;
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
	if (bug)
		pretend(r, bug);
	for (i = 0; i < r->count; i++)
		if (!r->ev[i].write && r->ev[i].end != NOW)
			r->barriers[r->nbarriers++] = i;
	sorting = r;
	qsort(r->barriers, r->nbarriers, sizeof(*r->barriers), by_end);
}

void recording_free(struct recording *r)
{
	munmap(r->log, LOG_SIZE_MAX);
	free(r->ev);
	free(r->barriers);
}

/* --- the disk --- */

static void apply_part(uint8_t *mem, const struct event *e, uint64_t from,
		       uint64_t len)
{
	if (e->data)
		memcpy(mem + e->off + from, e->data + from, len);
	else
		memset(mem + e->off + from, 0, len);
}

/* A barrier covers what had returned when it began, on its device. */
static void cover(struct disk *d, const struct event *b)
{
	size_t i, k = 0;

	for (i = 0; i < d->nmaybe; i++)
		if (d->maybe[i]->end < b->begin && d->maybe[i]->dev == b->dev)
			d->maybe[i]->durable = true;
	for (i = 0; i < d->nmaybe && d->maybe[i]->durable; i++)
		apply_part(d->sure, d->maybe[i], 0, d->maybe[i]->len);
	for (; i < d->nmaybe; i++)
		d->maybe[k++] = d->maybe[i];
	d->nmaybe = k;
}

void disk_advance(struct disk *d, uint64_t now)
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
			cover(d, b);
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
static void apply_torn(uint8_t *mem, const struct event *e, struct chance *c)
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
			apply_part(mem, e, from, len);
	}
}

uint64_t disk_build(const struct disk *d, int kind, uint64_t variant,
		    uint8_t *mem)
{
	struct chance c = { variant * 0x1234567 + kind };
	size_t n = d->nmaybe, i, one = n ? draw(&c) % n : 0;
	unsigned often = 1 + draw(&c) % 7;	/* of 8 */
	uint64_t id = 0;

	if (mem)
		memcpy(mem, d->sure, image_size(d->r->image));
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
			apply_torn(mem, e, &c);
		else
			apply_part(mem, e, 0, e->len);
	}
	return id;
}
