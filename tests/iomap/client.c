/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c - the model from the command line: seeded random operations, with
 * a stop at any point, and requests counted for streams.
 *
 * usage: client [-s SEED] [-t THREADS] [-f FILES] [-n OPS] [-p PHASES]
 *		 [-m MAX_SIZE] [-M MKFS-ARGS] [-S SIZE] [-o OPTIONS] [-F] [-u]
 *		 [-i IMAGE] [-k STOP_AFTER] [-l LOG]
 *	  client -b [-S SIZE] [-o OPTIONS]	streams, and what they cost
 *	  client -c LOG DIR	are the fsynced files of LOG in DIR?
 *
 * Without -i it makes the image "img" in the current folder.  -F: the server
 * is given the image itself.  -u: no upsert is refused.  -k: the server is killed after so many
 * operations, and the image stays as it is.  Exit: 0 if all is well.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "random.h"

#define MIB	(1u << 20)
#define STREAM	64		/* MiB */

static void say(const char *what, const struct stats *a, uint64_t begin_ns)
{
	const struct stats *b = &M.stats;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%-22s %8.2f requests per MiB (begin %" PRIu64 ", ioend %" PRIu64
	       ", upsert %" PRIu64 ") %6.2f s\n", what,
	       (double)(b->requests - a->requests) / STREAM,
	       b->begins - a->begins, b->ioends - a->ioends,
	       b->upserts - a->upserts,
	       (now.tv_sec * 1000000000ull + now.tv_nsec - begin_ns) / 1e9);
	fflush(stdout);
}

#define MEASURE(what, doing) do { \
	struct stats before = M.stats; \
	struct timespec t0; \
	clock_gettime(CLOCK_MONOTONIC, &t0); \
	doing; \
	say(what, &before, t0.tv_sec * 1000000000ull + t0.tv_nsec); \
} while (0)

static void stream(struct tfile *t, bool write, enum way way, size_t unit)
{
	uint8_t *buf = calloc(1, unit);
	uint64_t pos;

	for (pos = 0; pos < (uint64_t)STREAM * MIB; pos += unit) {
		if (write && way == DIRECT)
			direct_write(t->inode, pos, buf, unit, 0);
		else if (write)
			file_write(t->inode, pos, buf, unit);
		else if (way == DIRECT)
			direct_read(t->inode, pos, buf, unit);
		else
			file_read(t->inode, pos, buf, unit);
		if (write && way == BUFFERED && pos % (8 * MIB) == 0)
			pages_writeback(t->inode, 0, UINT64_MAX);
	}
	if (write)
		file_fsync(&t->f, false);
	free(buf);
}

static void evict(struct tfile *t)
{
	t->size = t->inode->size;
	t_again(t);
}

static void random_overwrites(struct tfile *t)
{
	uint8_t buf[4096] = { 1 };
	unsigned i;

	for (i = 0; i < STREAM * 16; i++)
		file_write(t->inode, model_random() % (STREAM * 256) * 4096, buf,
			   sizeof(buf));
	file_fsync(&t->f, false);
}

static int bench(void)
{
	struct tfile *t = t_create("stream"), *d = t_create("direct");

	M.batch = 2048;		/* as much as the kernel makes one IOEND of */
	MEASURE("write, buffered", stream(t, true, BUFFERED, 128 << 10));
	MEASURE("overwrite, buffered", stream(t, true, BUFFERED, 128 << 10));
	evict(t);
	MEASURE("read, buffered", stream(t, false, BUFFERED, 128 << 10));
	MEASURE("random 4k overwrite", random_overwrites(t));
	MEASURE("write, direct 1 MiB", stream(d, true, DIRECT, MIB));
	MEASURE("overwrite, direct", stream(d, true, DIRECT, MIB));
	evict(d);
	MEASURE("read, direct", stream(d, false, DIRECT, MIB));
	t_close(t);
	t_close(d);
	model_unmount();
	lab_drop();
	return M.violations || M.status;
}

static int stopped(void)
{
	model_kill();
	lab_drop();
	return M.violations != 0;
}

int main(int argc, char **argv)
{
	struct random_opt o = {
		.seed = 1, .threads = 1, .files = 4, .ops = 500, .phases = 4,
		.max_size = 600000,
	};
	const char *mkfs = "-t ext4", *size = "64M", *opts = NULL, *image = NULL;
	bool file = false, benchmark = false;
	struct tfile **files;
	int c, n;

	while ((c = getopt(argc, argv, "s:t:f:n:p:m:M:S:o:Fi:k:l:bc:u")) != -1) {
		switch (c) {
		case 's': o.seed = strtoull(optarg, NULL, 0); break;
		case 't': o.threads = atoi(optarg); break;
		case 'f': o.files = atoi(optarg); break;
		case 'n': o.ops = atoi(optarg); break;
		case 'p': o.phases = atoi(optarg); break;
		case 'm': o.max_size = strtoull(optarg, NULL, 0); break;
		case 'M': mkfs = optarg; break;
		case 'S': size = optarg; break;
		case 'o': opts = optarg; break;
		case 'F': file = true; break;
		case 'i': image = optarg; break;
		case 'k': o.stop_after = strtoull(optarg, NULL, 0); break;
		case 'l': o.log = optarg; break;
		case 'u': o.calm = true; break;
		case 'b': benchmark = true; break;
		case 'c':
			return optind < argc ?
			       random_check_log(optarg, argv[optind]) != 0 : 2;
		default: return 2;
		}
	}
	if (!o.threads || o.threads > 8 || !o.files || o.files > 16)
		return 2;
	lab_need();
	M.rng = o.seed;
	if (image) {
		snprintf(L.image, sizeof(L.image), "%s", image);
		snprintf(L.log, sizeof(L.log), "server.log");
	} else {
		lab_image(benchmark ? "256M" : size, mkfs);
	}
	if (!lab_is(lab_start(opts, file), 0, "start"))
		lab_bail("start");
	if (!M.iomap || !M.dev)
		lab_bail("no iomap");
	if (benchmark)
		return bench();
	n = random_run(&o, &files);
	note("seed %" PRIu64 ": %" PRIu64 " requests, %" PRIu64 " begin, %" PRIu64
	     " ioend, %" PRIu64 " upsert, %" PRIu64 " retry, %" PRIu64 " hits",
	     o.seed, M.stats.requests, M.stats.begins, M.stats.ioends,
	     M.stats.upserts, M.stats.retries, M.stats.hits);
	if (n < 0)
		return stopped();
	lab_finish(files, n, "random");
	return lab_done();
}
