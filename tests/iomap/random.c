/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.c - seeded operations on mapped files.
 *
 * Each thread has files of its own, with shadows; one more thread writes back
 * whatever is dirty, so that write-back and its IOENDs meet truncate, punch
 * and unlink.  With one thread all happens in the seed's order, and rules that
 * hold only then are checked (model.strict).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"

#define MAX_THREADS	8
#define MAX_FILES	16

struct worker {
	pthread_t thread;
	unsigned id;
	uint64_t rng;
	struct tfile *files[MAX_FILES];
	unsigned made;
};

static struct worker workers[MAX_THREADS];
static const struct random_opt *O;
static uint64_t op_count;
static bool stop, ending;
static int log_fd = -1;
static struct tfile *left[MAX_THREADS * MAX_FILES];

static uint64_t rnd(struct worker *w)
{
	uint64_t x = w->rng += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* ---- the log of what was fsynced ---- */

static uint64_t hash(const uint8_t *p, uint64_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	while (n--)
		h = (h ^ *p++) * 0x100000001b3u;
	return h;
}

/* One write(2), so that what is killed leaves whole lines. */
static void log_line(const char *what, const struct tfile *t)
{
	char line[200];
	int n;

	if (log_fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%s %s %" PRIu64 " %016" PRIx64 "\n",
		     what, t->name, t->size, hash(t->data, t->size));
	if (write(log_fd, line, n) != n)
		violation("cannot write the log");
}

int random_check_log(const char *log, const char *dir)
{
	char line[200], what[20], name[64], path[600];
	struct entry { char name[64]; uint64_t size, hash; bool live; } *all;
	unsigned n = 0, i, bad = 0;
	uint64_t size, sum;
	FILE *f = fopen(log, "r");

	all = calloc(100000, sizeof(*all));
	while (f && fgets(line, sizeof(line), f) && n < 100000) {
		if (sscanf(line, "%19s %63s %" SCNu64 " %" SCNx64, what, name,
			   &size, &sum) != 4)
			continue;
		for (i = 0; i < n && strcmp(all[i].name, name); i++)
			;
		if (i == n)
			memcpy(all[n++].name, name, sizeof(name));
		all[i].live = !strcmp(what, "fsync");
		all[i].size = size;
		all[i].hash = sum;
	}
	if (f)
		fclose(f);
	for (i = 0; i < n; i++) {
		uint8_t *buf = malloc(all[i].size + 1);
		ssize_t got;
		int fd;

		if (!all[i].live) {
			free(buf);
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", dir, all[i].name);
		fd = open(path, O_RDONLY);
		got = fd < 0 ? -1 : read(fd, buf, all[i].size + 1);
		if (got != (ssize_t)all[i].size ||
		    hash(buf, all[i].size) != all[i].hash) {
			printf("# %s: %zd bytes, %" PRIu64 " were fsynced\n", path,
			       got, all[i].size);
			bad++;
		}
		if (fd >= 0)
			close(fd);
		free(buf);
	}
	free(all);
	return bad;
}

/* ---- operations ---- */

static void expect(struct tfile *t, const char *what, int err)
{
	if (!err || __atomic_load_n(&stop, __ATOMIC_RELAXED) || err == -ENOTCONN)
		return;
	violation("%s of %s: %s", what, t->name, strerror(-err));
}

static uint64_t somewhere(struct worker *w, const struct tfile *t)
{
	uint64_t r = rnd(w);

	switch (r % 8) {
	case 0:
		return t->size;				/* append */
	case 1:
		return r / 8 % O->max_size;		/* anywhere */
	case 2:
		return round_down(r / 8 % (t->size + 1), M.block_size);
	default:
		return r / 8 % (t->size + 1);
	}
}

static uint64_t length(struct worker *w, uint64_t pos)
{
	uint64_t r = rnd(w), n;

	switch (r % 6) {
	case 0:
		n = r / 8 % 16;
		break;
	case 1:
		n = M.block_size * (1 + r / 8 % 16);
		break;
	case 2:
		n = r / 8 % 200000;
		break;
	default:
		n = r / 8 % 12000;
	}
	return min_u64(n + 1, O->max_size > pos ? O->max_size - pos : 1);
}

static void op_falloc(struct worker *w, struct tfile *t, uint64_t pos, uint64_t len)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};

	expect(t, "fallocate", t_fallocate(t, modes[rnd(w) % 6], pos, len));
}

static void op_fsync(struct tfile *t, bool data_only)
{
	int err = file_fsync(&t->f, data_only);

	expect(t, "fsync", err);
	/* fdatasync makes no promise of a new name */
	if (!err)
		log_line(data_only && *t->name == 'r' ? "data" : "fsync", t);
}

static void op_rename(struct worker *w, struct tfile *t)
{
	char old[64];

	memcpy(old, t->name, sizeof(old));
	log_line("gone", t);
	snprintf(t->name, sizeof(t->name), "r%u.%u", w->id, w->made++);
	expect(t, "rename", name_rename(M.root, old, M.root, t->name, NULL));
}

/* Unlinked, open or closed, dirty or clean; a new file in its place. */
static void op_replace(struct worker *w, unsigned i)
{
	struct tfile *t = w->files[i];
	char name[64];
	uint64_t r = t ? rnd(w) : 0;

	if (t) {
		log_line("gone", t);
		if (r % 3 == 0)
			expect(t, "close", t_close(t));
		expect(t, "unlink", t_unlink(t));
		if (r % 3) {
			if (r % 2)
				expect(t, "write", t_write(t, BUFFERED,
							   somewhere(w, t), 9000));
			expect(t, "read", t_read(t, BUFFERED, 0, t->size));
			expect(t, "close", t_close(t));
		}
		t_free(t);
	}
	snprintf(name, sizeof(name), "f%u.%u", w->id, w->made++);
	w->files[i] = t_create(name);
	if (w->files[i] && !w->files[i]->inode->mapped)
		violation("%s is not mapped", name);
}

static void one_op(struct worker *w)
{
	unsigned i = rnd(w) % O->files;
	struct tfile *t = w->files[i];
	uint64_t pos, len, r = rnd(w);

	if (!t || r % 100 < 2) {
		op_replace(w, i);
		return;
	}
	pos = somewhere(w, t);
	len = length(w, pos);
	r = r / 100 % 100;
	if (r < 66 && r >= 30)
		log_line("dirty", t);
	if (r < 20) {
		expect(t, "read", t_read(t, BUFFERED, pos, len));
	} else if (r < 30) {
		expect(t, "direct read", t_read(t, DIRECT, pos, len));
	} else if (r < 46) {
		expect(t, "write", t_write(t, BUFFERED, pos, len));
	} else if (r < 52) {
		expect(t, "direct write", t_write(t, DIRECT, pos, len));
	} else if (r < 56) {
		expect(t, "store", t_write(t, MMAP, pos, len));
	} else if (r < 60) {
		expect(t, "truncate", t_truncate(t, pos));
	} else if (r < 66) {
		op_falloc(w, t, pos, len);
	} else if (r < 76) {
		expect(t, "write-back", pages_writeback(t->inode, pos, len));
	} else if (r < 82) {
		op_fsync(t, r & 1);
	} else if (r < 88) {
		if (O->threads == 1)
			t_note_maps(t);
		expect(t, "seek", file_seek(t->inode, pos, r & 1) == -ENXIO ? 0 : 0);
	} else if (r < 92) {
		expect(t, "eviction", t_again(t));
	} else if (r < 94) {
		op_rename(w, t);
	} else if (r < 95) {
		expect(t, "syncfs", fs_syncfs());
	} else {
		expect(t, "check", t_check(t));
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned i;

	for (i = 0; i < O->ops && !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		one_op(w);
		if (M.dead)
			break;
		if (__atomic_add_fetch(&op_count, 1, __ATOMIC_RELAXED) ==
		    O->stop_after)
			__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Write-back by memory pressure: any inode, any part. */
static void *background(void *arg)
{
	struct inode *inode;
	uint64_t r;

	while (!__atomic_load_n(&ending, __ATOMIC_RELAXED) && !M.dead) {
		r = model_random();
		pthread_mutex_lock(&M.lock);
		inode = M.inodes[r % M.inode_count];
		if (inode->evicted || !inode->mapped)
			inode = NULL;
		else
			inode->in_writeback++;
		pthread_mutex_unlock(&M.lock);
		if (inode) {
			pages_writeback(inode, r / 64 % O->max_size,
					r % 4 ? 65536 : UINT64_MAX);
			pthread_mutex_lock(&M.lock);
			inode->in_writeback--;
			pthread_cond_broadcast(&M.cond);
			pthread_mutex_unlock(&M.lock);
		}
		usleep(r % 500);
	}
	return arg;
}

/* ---- phases ---- */

static unsigned collect(void)
{
	unsigned t, i, n = 0;

	for (t = 0; t < O->threads; t++)
		for (i = 0; i < O->files; i++)
			if (workers[t].files[i])
				left[n++] = workers[t].files[i];
	return n;
}

/* All is as it should be, in memory, in the server, and on the disk. */
static void check_all(void)
{
	unsigned n = collect(), i;
	bool strict = M.strict;

	M.strict = true;
	for (i = 0; i < n; i++) {
		expect(left[i], "check", t_check(left[i]));
		if (i % 2)
			expect(left[i], "eviction", t_again(left[i]));
		expect(left[i], "check", t_check(left[i]));
	}
	M.strict = strict;
	if (fs_freeze()) {
		note("no freezing");
		return;
	}
	if (!lab_fsck())
		violation("e2fsck finds something while frozen");
	if (fs_thaw())
		violation("thaw fails");
}

static void upsert_trouble(unsigned phase)
{
	static const int errors[] = { 0, EINVAL, 0, ENOMEM, ESTALE, EUCLEAN };

	pthread_mutex_lock(&M.lock);
	M.upsert_errno = errors[phase % 6];
	M.upsert_errors = phase % 4;
	pthread_mutex_unlock(&M.lock);
}

static void phase(unsigned nr)
{
	pthread_t back;
	unsigned t;

	if (!O->calm)
		upsert_trouble(nr);
	M.strict = O->threads == 1;
	ending = false;
	if (O->threads == 1) {
		work(&workers[0]);
		return;
	}
	pthread_create(&back, NULL, background, NULL);
	for (t = 0; t < O->threads; t++)
		pthread_create(&workers[t].thread, NULL, work, &workers[t]);
	for (t = 0; t < O->threads; t++)
		pthread_join(workers[t].thread, NULL);
	__atomic_store_n(&ending, true, __ATOMIC_RELAXED);
	pthread_join(back, NULL);
}

int random_run(const struct random_opt *opt, struct tfile ***files)
{
	unsigned i, t;

	O = opt;
	op_count = 0;
	stop = false;
	memset(workers, 0, sizeof(workers));
	if (opt->log)
		log_fd = open(opt->log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	for (t = 0; t < opt->threads; t++) {
		workers[t].id = t;
		workers[t].rng = opt->seed * 1000003 + t;
	}
	for (i = 0; i < opt->phases && !stop && !M.dead; i++) {
		phase(i);
		if (!stop && !M.dead)
			check_all();
		if (M.violations)
			break;
	}
	M.upsert_errno = 0;
	M.strict = true;
	if (M.dead)
		violation("the server is gone");
	*files = left;
	return stop ? -1 : (int)collect();
}
