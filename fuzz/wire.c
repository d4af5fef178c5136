/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c - a fuzzer for the server's side of the FUSE protocol, iomap
 * included (README.md has the commands).
 *
 * An input is: image, options, how INIT is, how it ends, then steps
 * (wire_steps.c).  The server runs in this process on a socket, its volume is a
 * copy in memory.  Every request must be answered as the kernel wants it;
 * the server must end well, with nothing left over; and e2fsck must find the
 * volume clean.  With -DFUZZ_LIBFUZZER it is a libFuzzer target (no e2fsck),
 * else a program: without arguments a test of some seeds, in children, each
 * of which runs some.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/damage.h"
#include "fuzz/wire.h"

#define MAX_INPUT	8192
#define STEPS		250
#define HEAD		4

/* Options of a run, by the second byte. */
#define RUN_SINGLE	0x01	/* one thread, one request at a time */
#define RUN_RO		0x06	/* both: read-only */
#define RUN_FAKEROOT	0x18
#define RUN_CASE	0x60	/* both: noacl */
/* How it ends, by the fourth. */
#define END_CUT		0x03	/* both: the connection is cut */

static struct damage_image images[16];
static unsigned image_count;
static int memory = -1;
static int out = STDERR_FILENO;		/* where failures are told */
static unsigned judge_every;		/* e2fsck after every Nth input */
static unsigned runs;
bool wire_trace;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfuse's copy of a mount point of which it knows only the descriptor. */
const char *__lsan_default_suppressions(void)
{
	return "leak:fuse_session_mount\n";
}

void wire_say(const char *fmt, ...)
{
	va_list ap;

	if (!wire_trace)
		return;
	va_start(ap, fmt);
	vdprintf(out, fmt, ap);
	va_end(ap);
}

void wire_fail(const char *fmt, ...)
{
	va_list ap;

	dprintf(out, "# wire: ");
	va_start(ap, fmt);
	vdprintf(out, fmt, ap);
	va_end(ap);
	dprintf(out, "\n");
	abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *top = getenv("TMPDIR");
	char dir[256], cmd[300];
	unsigned i;

	(void)argc, (void)argv;
	snprintf(dir, sizeof(dir), "%s/fuse2fs-wire-XXXXXX", top ? top : "/tmp");
	if (!mkdtemp(dir) || damage_make(dir))
		wire_fail("no images");
	for (i = 0; damage_names[i] && i < 16; i++) {
		if (damage_load(dir, damage_names[i], &images[i]))
			wire_fail("no image %s", damage_names[i]);
		image_count++;
	}
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	if (system(cmd))
		wire_fail("cannot remove %s", dir);
	memory = memfd_create("wire", 0);
	if (memory < 0)
		wire_fail("memfd: %s", strerror(errno));
	return 0;
}

static void connect_pair(int fds[2])
{
	int i, size = 4 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		wire_fail("socketpair: %s", strerror(errno));
	for (i = 0; i < 2; i++) {
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
			       sizeof(size)))
			setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size,
				   sizeof(size));
	}
}

static void judge(void)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "e2fsck -fn /proc/%d/fd/%d %s", getpid(),
		 memory, wire_trace ? ">&2" : ">/dev/null 2>&1");
	if (system(cmd))
		wire_fail("e2fsck finds something");
}

/* A volume that is only read keeps its orphans: it must not change at all. */
static void judge_unchanged(const struct damage_image *img)
{
	const void *now = mmap(NULL, img->size, PROT_READ, MAP_SHARED, memory, 0);

	if (now == MAP_FAILED || memcmp(now, img->bytes, img->size))
		wire_fail("a read-only volume was written to");
	munmap((void *)now, img->size);
}

static void talk(struct bytes *b, unsigned how, unsigned end)
{
	unsigned i;

	/* requests before INIT are refused, but must not hurt */
	for (i = 0; how >> 6 == 3 && i < 3; i++)
		wire_step(b);
	wire_init(b, how & 7);
	for (i = 0; b->p < b->end && i < STEPS && !client.destroyed; i++)
		wire_step(b);
	client_release(0, true);
	if ((end & END_CUT) != END_CUT)
		client_release_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { data + HEAD, data + size };
	const struct damage_image *img;
	char opts[200], path[40], target[40];
	char *argv[] = { "fuse2fs", "-f", opts, path, target, NULL, NULL };
	unsigned how, run;
	int fds[2], ret;

	if (size < HEAD)
		return 0;
	img = &images[data[0] % image_count];
	run = data[1];
	how = data[2];
	if (pwrite(memory, img->bytes, img->size, 0) != (ssize_t)img->size ||
	    ftruncate(memory, img->size))
		wire_fail("the image: %s", strerror(errno));
	connect_pair(fds);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	snprintf(target, sizeof(target), "/dev/fd/%d", fds[1]);
	snprintf(opts, sizeof(opts), "-o%s%s%s",
		 (run & RUN_RO) == RUN_RO ? "ro" : "rw",
		 (run & RUN_FAKEROOT) == RUN_FAKEROOT ? ",fakeroot" : "",
		 (run & RUN_CASE) == RUN_CASE ? ",noacl" : "");
	if (run & RUN_SINGLE)
		argv[5] = "-s";
	server_dev = (struct server_dev){
		.support = how & 1,
		.open_err = how & 1 && (how & 0x18) == 0x18 ? ENODEV : 0,
		.upsert_err = (how & 0x20) ? EINVAL : 0,
	};
	client_start(fds[0]);
	client.image_size = img->size;
	client.block_size = img->blocksize;
	client.depth = run & RUN_SINGLE ? 1 : 3;
	server_start(argv);
	talk(&b, how, data[3]);
	shutdown(fds[0], SHUT_WR);
	ret = server_join();
	client_end();
	close(fds[0]);
	close(fds[1]);
	if (ret && !client.shutdown)
		wire_fail("the server ended with %d", ret);
	/* of several threads, one may drop the last FORGET when the others
	 * have seen the end */
	if ((run & RUN_SINGLE) && !client.destroyed &&
	    (data[3] & END_CUT) != END_CUT && server_nodes_left())
		wire_fail("%zu nodes left", server_nodes_left());
	if ((run & RUN_RO) == RUN_RO)
		judge_unchanged(img);
	else if (judge_every && ++runs % judge_every == 0 && !client.shutdown)
		judge();
	return 0;
}

#ifndef FUZZ_LIBFUZZER

#define BATCH		20	/* inputs per child */
#define CHECK_SEEDS	300	/* of the test */
#define SECONDS		120	/* for a child */

static uint64_t state;

static uint32_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

/* One input of a seed: steps of mostly small numbers. */
static size_t make_up(uint64_t seed, uint8_t *data)
{
	size_t len = 0, n, i;

	state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	for (i = 0; i < 4; i++)
		rnd();
	data[len++] = rnd();
	data[len++] = rnd();
	data[len++] = rnd() % 8 ? (rnd() & 0x39) : rnd();
	data[len++] = rnd();
	n = 50 + rnd() % 3000;
	while (n--)
		data[len++] = rnd() % 3 ? rnd() : rnd() % 48;
	return len;
}

static void run_seed(uint64_t seed, const char *save)
{
	static uint8_t data[MAX_INPUT];
	size_t len = make_up(seed, data);
	int fd;

	if (save) {
		fd = open(save, O_CREAT | O_TRUNC | O_WRONLY, 0644);
		if (fd < 0 || write(fd, data, len) != (ssize_t)len)
			wire_fail("%s: %s", save, strerror(errno));
		close(fd);
	}
	LLVMFuzzerTestOneInput(data, len);
}

static void run_file(const char *path)
{
	static uint8_t data[1 << 16];
	int fd = open(path, O_RDONLY);
	ssize_t len;

	len = fd < 0 ? -1 : read(fd, data, sizeof(data));
	if (len < 0)
		wire_fail("%s: %s", path, strerror(errno));
	close(fd);
	judge_every = 1;
	LLVMFuzzerTestOneInput(data, len);
}

/* Without the server's messages, unless they are wanted. */
static void quiet(void)
{
	int null;

	out = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (!wire_trace && !getenv("FUSE2FS_WIRE_LOUD"))
		dup2(null, STDERR_FILENO);
	close(null);
}

/* Seeds FIRST to END - 1 in a child: the one at which it failed, or END. */
static uint64_t batch(uint64_t first, uint64_t end)
{
	static uint64_t *at;
	int status;
	pid_t pid;

	if (!at)
		at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		wire_fail("mmap: %s", strerror(errno));
	*at = first;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		wire_fail("fork: %s", strerror(errno));
	if (!pid) {
		alarm(SECONDS);
		memory = memfd_create("wire", 0);
		for (; *at < end; (*at)++)
			run_seed(*at, NULL);
		exit(0);	/* leaks are looked for */
	}
	if (waitpid(pid, &status, 0) != pid)
		wire_fail("waitpid");
	if (status)
		fprintf(stdout, "# seed %llu: %s %d\n", (unsigned long long)*at,
			WIFSIGNALED(status) ? "signal" : "exit",
			WIFSIGNALED(status) ? WTERMSIG(status) :
					      WEXITSTATUS(status));
	return status && *at == end ? end - 1 : *at;
}

/* What make check runs; COUNT seeds from FIRST on.  Stops at the first bad. */
static int test(uint64_t first, uint64_t count)
{
	uint64_t end = first + count, next, to;
	int bad = 0, n = 0;

	quiet();
	for (next = first; next < end; next = to) {
		uint64_t got;

		to = next + BATCH < end ? next + BATCH : end;
		got = batch(next, to);
		printf("%sok %d - seeds %llu to %llu\n", got < to ? "not " : "",
		       ++n, (unsigned long long)next,
		       (unsigned long long)to - 1);
		fflush(stdout);
		bad |= got < to;
		if (got < to)
			to = got + 1;
	}
	printf("1..%d\n", n);
	return bad;
}

/* wire; wire -n COUNT FIRST; wire -s SEED [SAVE_AS]; wire FILE... */
int main(int argc, char **argv)
{
	int i;

	wire_trace = getenv("FUSE2FS_WIRE_TRACE") != NULL;
	judge_every = 5;
	LLVMFuzzerInitialize(&argc, &argv);
	if (argc < 2)
		return test(0, CHECK_SEEDS);
	if (!strcmp(argv[1], "-n"))
		return test(argc > 3 ? strtoull(argv[3], NULL, 0) : 0,
			    argc > 2 ? strtoull(argv[2], NULL, 0) : 1000);
	if (!strcmp(argv[1], "-s") && argc > 2) {
		judge_every = 1;
		run_seed(strtoull(argv[2], NULL, 0), argc > 3 ? argv[3] : NULL);
		return 0;
	}
	for (i = 1; i < argc; i++)
		run_file(argv[i]);
	return 0;
}

#endif
