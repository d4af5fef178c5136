/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapped.c - mapped files of a recovered image, and what the client was promised.
 *
 * The client's data are random: what one sector of one file shows, no other may
 * ever show, in any state.  So stale data is found without knowing who wrote what.
 * Knows the client's lines (mapped.h) and nothing of the server.  No locks.
 */
#include "mapped.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "memio.h"
#include "pattern.h"

#define FILES	256		/* names with a promise at a time */
#define SEEN	(1u << 18)	/* sectors, a power of two */
#define MAX_TOLD 12
#define MAX_FILE (8u << 20)

struct promise {
	char name[64];
	uint64_t size, hash;
	bool named;		/* it is there */
	bool live;		/* with that contents */
};

struct mapped {
	struct log_head *log;
	const struct log_rec **marks;	/* by their times */
	size_t mark_count, next;
	struct promise files[FILES];
	unsigned count;
	struct { uint64_t hash, place; } seen[SEEN];
	unsigned seen_count;
	/* of one check */
	FILE *out;
	ext2_filsys fs;
	int found;
	bool met[FILES];
};

static int by_begin(const void *va, const void *vb)
{
	const struct log_rec *const *a = va, *const *b = vb;

	return (*a)->begin < (*b)->begin ? -1 : (*a)->begin > (*b)->begin;
}

/* Several threads write at once: records are nearly in the order of time. */
struct mapped *mapped_load(struct log_head *log)
{
	struct mapped *m = calloc(1, sizeof(*m));
	uint64_t i;

	m->log = log;
	m->marks = calloc(log->used + 1, sizeof(*m->marks));
	for (i = 0; i < log->used; i++)
		if (log_recs(log)[i].kind == LOG_MARK)
			m->marks[m->mark_count++] = &log_recs(log)[i];
	qsort(m->marks, m->mark_count, sizeof(*m->marks), by_begin);
	return m;
}

static struct promise *promise_of(struct mapped *m, const char *name, bool add)
{
	unsigned i;

	for (i = 0; i < m->count; i++)
		if (!strcmp(m->files[i].name, name))
			return &m->files[i];
	if (!add)
		return NULL;
	for (i = 0; i < m->count &&
	     (m->files[i].live || m->files[i].named); i++)
		;
	if (i == FILES) {
		fprintf(stderr, "too many files\n");
		exit(2);
	}
	m->count += i == m->count;
	m->files[i] = (struct promise){ 0 };
	snprintf(m->files[i].name, sizeof(m->files[i].name), "%s", name);
	return &m->files[i];
}

static void one_line(struct mapped *m, const char *line)
{
	char what[20], name[64];
	uint64_t size, hash;
	struct promise *p;
	bool whole;

	if (sscanf(line, "%19s %63s %" SCNu64 " %" SCNx64, what, name, &size,
		   &hash) != 4)
		return;
	whole = !strcmp(what, "fsync");
	p = promise_of(m, name, whole || !strcmp(what, "data"));
	if (!p)
		return;
	p->live = whole || !strcmp(what, "data");
	p->named = whole || (p->named && strcmp(what, "gone"));
	p->size = size;
	p->hash = hash;
}

void mapped_advance(struct mapped *m, uint64_t now)
{
	for (; m->next < m->mark_count; m->next++) {
		if (m->marks[m->next]->begin > now)
			return;
		one_line(m, (char *)m->log + m->marks[m->next]->data);
	}
}

unsigned mapped_promises(const struct mapped *m)
{
	unsigned i, n = 0;

	for (i = 0; i < m->count; i++)
		n += m->files[i].live;
	return n;
}

static void __attribute__((format(printf, 2, 3)))
finding(struct mapped *m, const char *fmt, ...)
{
	va_list ap;

	if (m->found++ >= MAX_TOLD)
		return;
	fprintf(m->out, "    ");
	va_start(ap, fmt);
	vfprintf(m->out, fmt, ap);
	va_end(ap);
	fprintf(m->out, "\n");
}

/* As the client sums (tests/iomap/random.c). */
static uint64_t sum(const uint8_t *p, uint64_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	while (n--)
		h = (h ^ *p++) * 0x100000001b3u;
	return h;
}

/* Has HASH been seen at another PLACE? */
static bool is_elsewhere(struct mapped *m, uint64_t hash, uint64_t place)
{
	uint64_t i = hash % SEEN;

	while (m->seen[i].hash && m->seen[i].hash != hash)
		i = (i + 1) % SEEN;
	if (m->seen[i].hash)
		return m->seen[i].place != place;
	if (m->seen_count < SEEN / 2) {
		m->seen_count++;
		m->seen[i].hash = hash;
		m->seen[i].place = place;
	}
	return false;
}

/* A few bytes may be the same by chance: not 16 in the middle of zeros. */
static bool says_much(const uint8_t *p)
{
	unsigned i, n = 0;

	for (i = 0; i < SECTOR; i++)
		n += p[i] != 0;
	return n >= 16;
}

static void check_sectors(struct mapped *m, const char *name, uint64_t file,
			  const uint8_t *p, uint64_t size)
{
	const struct pattern *pat;
	uint64_t i;

	for (i = 0; i * SECTOR < size; i++, p += SECTOR) {
		pat = (const void *)p;
		if (!says_much(p))
			continue;
		if (pat->magic == PATTERN_MAGIC && pat->id == POISON_ID)
			finding(m, "%s: sector %" PRIu64 " is a block that was free",
				name, i);
		else if (is_elsewhere(m, sum(p, SECTOR) | 1,
				      pattern_mix(file) + i))
			finding(m, "%s: sector %" PRIu64 " is of another place",
				name, i);
	}
}

/* All of the file, in new memory of whole sectors; NULL if it cannot be read. */
static uint8_t *read_file(ext2_filsys fs, ext2_ino_t ino, uint64_t size)
{
	uint8_t *buf = calloc(1, size + SECTOR);
	ext2_file_t file;
	uint64_t at = 0;
	unsigned got;
	errcode_t err;

	err = ext2fs_file_open(fs, ino, 0, &file);
	if (err) {
		free(buf);
		return NULL;
	}
	while (!err && at < size) {
		err = ext2fs_file_read(file, buf + at, size - at, &got);
		if (!err && !got)
			err = EXT2_ET_SHORT_READ;
		at += got;
	}
	ext2fs_file_close(file);
	if (!err)
		return buf;
	free(buf);
	return NULL;
}

static void check_file(struct mapped *m, const char *name, ext2_ino_t ino)
{
	struct promise *p = promise_of(m, name, false);
	struct ext2_inode inode;
	uint64_t size;
	uint8_t *buf;

	if (ext2fs_read_inode(m->fs, ino, &inode)) {
		finding(m, "%s: inode %u cannot be read", name, ino);
		return;
	}
	size = EXT2_I_SIZE(&inode);
	if (!LINUX_S_ISREG(inode.i_mode))
		return;
	buf = size <= MAX_FILE ? read_file(m->fs, ino, size) : NULL;
	if (!buf) {
		finding(m, "%s: %" PRIu64 " bytes cannot be read", name, size);
		return;
	}
	check_sectors(m, name, (uint64_t)inode.i_generation << 32 | ino, buf,
		      size);
	if (p)
		m->met[p - m->files] = true;
	if (p && p->live) {
		if (size != p->size)
			finding(m, "%s: size %" PRIu64 ", %" PRIu64 " were fsynced",
				name, size, p->size);
		else if (sum(buf, size) != p->hash)
			finding(m, "%s: is not what was fsynced", name);
	}
	free(buf);
}

static int one_name(struct ext2_dir_entry *de, int off, int bs, char *buf,
		    void *data)
{
	int len = ext2fs_dirent_name_len(de);
	char name[256];

	(void)off; (void)bs; (void)buf;
	snprintf(name, sizeof(name), "%.*s", len, de->name);
	if (*name != '.')
		check_file(data, name, de->inode);
	return 0;
}

int mapped_check(void *mem, uint64_t size, struct mapped *m, FILE *out)
{
	errcode_t err = memio_open(mem, size, &m->fs);
	unsigned i;

	m->out = out;
	m->found = 0;
	memset(m->met, 0, sizeof(m->met));
	if (err) {
		finding(m, "cannot be opened: %s", error_message(err));
		return m->found;
	}
	if (ext2fs_dir_iterate(m->fs, EXT2_ROOT_INO, 0, NULL, one_name, m))
		finding(m, "the root cannot be read");
	for (i = 0; i < m->count; i++)
		if (m->files[i].named && !m->met[i])
			finding(m, "%s was fsynced, and is gone",
				m->files[i].name);
	ext2fs_free(m->fs);
	return m->found;
}
