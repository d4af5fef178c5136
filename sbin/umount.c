/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umount.c - umount(8)'s helper: unmounts, and waits for the end of the server.
 *
 * The kernel is done with a FUSE mount before its server has written the last
 * blocks.  This program finds the server before it unmounts, has umount(8) or
 * fusermount3(1) do that, and returns when the server process is gone.
 *
 * The server is the process that holds the connection's end, as fdinfo tells
 * (Linux 6.16 and later), else the one with /dev/fuse open and the mount's
 * source on its command line.  Reads /proc only: a request to the mount
 * itself could be refused, or hang.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS	60	/* for a server that is known to be ending */
#define WAIT_UNSURE	10	/* for one that may have another mount to serve */
#define MAX_SERVERS	16

/* A folder for each FUSE mount that exists, where fusectl is mounted. */
#define CONNECTIONS	"/sys/fs/fuse/connections"

enum { EXIT_OK = 0, EXIT_USAGE = 1, EXIT_SYSTEM = 2, EXIT_UNMOUNT = 32 };

struct request {
	const char *name;	/* of the program */
	const char *dir;
	bool lazy, force, no_mtab, verbose, readonly;
	int seconds;		/* -w; -1: the defaults */
};

struct mount {
	char dir[PATH_MAX], source[PATH_MAX];
	unsigned dev;		/* minor: names the FUSE connection */
	ino_t ino;		/* of its folder in CONNECTIONS, or 0 */
};

/* What speaks for a process being the server, in rising order. */
enum match {
	NO,
	MAYBE,		/* it holds a /dev/fuse, nothing known of which one */
	MAYBE_NAMED,	/* and has the source as an argument */
	HOLDS,		/* it holds the end of the connection */
	SERVES,		/* and has the source as an argument */
};

/* The processes with the best match there is. */
struct servers {
	int pidfd[MAX_SERVERS];
	int count;
	enum match how;
};

extern char **environ;

/* Undoes \ooo, in place. */
static void unescape(char *s)
{
	char *out = s;
	unsigned c;

	for (; *s; s++) {
		if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*out++ = c;
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = 0;
}

/* One line of mountinfo; true for a FUSE mount. */
static bool parse_line(const char *line, struct mount *m)
{
	const char *dash = strstr(line, " - ");
	unsigned major;

	/* 4095: PATH_MAX - 1 */
	if (!dash ||
	    sscanf(line, "%*d %*d %u:%u %*s %4095s", &major, &m->dev, m->dir) != 3 ||
	    sscanf(dash, " - %*s %4095s", m->source) != 1 ||
	    strncmp(dash, " - fuse", 7) || major)
		return false;
	unescape(m->dir);
	unescape(m->source);
	return true;
}

/* The topmost mount at DIR, or any that is of LIKE's where DIR is NULL. */
static bool find_mount(const char *dir, const struct mount *like,
		       struct mount *out)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mount *m = malloc(sizeof(*m));
	bool found = false;
	char *line = NULL;
	size_t size = 0;

	while (f && m && getline(&line, &size, f) > 0) {
		if (!parse_line(line, m))
			continue;
		if (dir && strcmp(dir, m->dir))
			continue;
		if (!dir && (like->dev != m->dev || strcmp(like->source, m->source)))
			continue;
		found = true;
		if (out)
			*out = *m;
	}
	if (f)
		fclose(f);
	free(line);
	free(m);
	return found;
}

/* Reads at most SIZE - 1 bytes of a file in /proc; the count, or -1. */
static ssize_t read_file(int dirfd, const char *path, char *buf, size_t size)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

/* Is WORD one of the process's arguments? */
static bool has_argument(int proc, const char *word)
{
	char buf[2 * PATH_MAX], *p;
	ssize_t n = read_file(proc, "cmdline", buf, sizeof(buf));

	for (p = buf; n > 0 && p < buf + n; p += strlen(p) + 1) {
		if (!strcmp(p, word))
			return true;
	}
	return false;
}

/* Does descriptor FD of the process PROC serve connection DEV? */
static enum match match_fd(int proc, const char *fd, unsigned dev)
{
	char path[32], buf[PATH_MAX], *p;
	ssize_t n;

	snprintf(path, sizeof(path), "fd/%.16s", fd);
	n = readlinkat(proc, path, buf, sizeof(buf) - 1);
	if (n < 0)
		return NO;
	buf[n] = 0;
	if (strcmp(buf, "/dev/fuse"))
		return NO;
	snprintf(path, sizeof(path), "fdinfo/%.16s", fd);
	if (read_file(proc, path, buf, sizeof(buf)) < 0)
		return NO;
	p = strstr(buf, "fuse_connection:");
	if (!p)
		return MAYBE;
	return strtoul(p + 16, NULL, 10) == dev ? HOLDS : NO;
}

static enum match match_process(int proc, const struct mount *m)
{
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	enum match best = NO, got;
	struct dirent *e;

	if (!d && fd >= 0)
		close(fd);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		got = match_fd(proc, e->d_name, m->dev);
		if (got > best)
			best = got;
	}
	if (d)
		closedir(d);
	/* One that made the mount may hold on to the descriptor. */
	if (best != NO && has_argument(proc, m->source))
		best++;
	return best == MAYBE ? NO : best;
}

/* Adds process PID; those with a lesser match are forgotten. */
static void add_server(struct servers *s, int pid, enum match how)
{
	int fd;

	if (s->count == MAX_SERVERS || how < s->how)
		return;
	fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return;
	if (how > s->how) {
		while (s->count)
			close(s->pidfd[--s->count]);
		s->how = how;
	}
	s->pidfd[s->count++] = fd;
}

static void find_servers(const struct mount *m, struct servers *s)
{
	DIR *d = opendir("/proc");
	enum match how;
	struct dirent *e;
	int proc, pid;

	while (d && (e = readdir(d))) {
		pid = atoi(e->d_name);
		if (pid <= 0 || pid == getpid())
			continue;
		proc = openat(dirfd(d), e->d_name,
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			continue;
		how = match_process(proc, m);
		close(proc);
		if (how != NO)
			add_server(s, pid, how);
	}
	if (d)
		closedir(d);
}

/* Runs umount(8) without helpers, or fusermount3 for a user; exit status. */
static int unmount(const struct request *r)
{
	const char *argv[8];
	int n = 0, err, status;
	pid_t pid;

	if (geteuid() == 0) {
		argv[n++] = "umount";
		argv[n++] = "-i";
		if (r->no_mtab)
			argv[n++] = "-n";
		if (r->force)
			argv[n++] = "-f";
		if (r->readonly)
			argv[n++] = "-r";
	} else {
		argv[n++] = "fusermount3";
		argv[n++] = "-u";
	}
	if (r->lazy)
		argv[n++] = geteuid() == 0 ? "-l" : "-z";
	argv[n++] = r->dir;
	argv[n] = NULL;
	err = posix_spawnp(&pid, argv[0], NULL, NULL, (char **)argv, environ);
	if (err) {
		fprintf(stderr, "%s: %s: %s\n", r->name, argv[0], strerror(err));
		return EXIT_SYSTEM;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_SYSTEM;
	}
	if (!WIFEXITED(status))
		return EXIT_SYSTEM;
	if (geteuid() && WEXITSTATUS(status))
		return EXIT_UNMOUNT;
	return WEXITSTATUS(status);
}

/* The inode number of M's folder in CONNECTIONS, or 0. */
static ino_t connection_ino(const struct mount *m)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), CONNECTIONS "/%u", m->dev);
	return stat(path, &st) ? 0 : st.st_ino;
}

/*
 * How long to wait, in seconds: not at all while the file system is mounted
 * elsewhere, or in use after a lazy unmount.  *SURE: that is known.  The
 * mount's number may be that of a new one already; its folder's is not.
 */
static int time_limit(const struct request *r, const struct mount *m,
		      bool *sure)
{
	*sure = m->ino != 0;
	if (find_mount(NULL, m, NULL) || (m->ino && m->ino == connection_ino(m)))
		return 0;
	if (r->seconds >= 0)
		return r->seconds;
	if (*sure)
		return WAIT_SECONDS;
	return r->lazy ? 0 : WAIT_UNSURE;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/*
 * Waits for the servers' end: of all that hold the connection, of any that
 * was guessed.  False when time is up.
 */
static bool wait_for_end(const struct servers *s, int seconds)
{
	struct pollfd p[MAX_SERVERS];
	long long end = now_ms() + seconds * 1000LL, left;
	int i, n = s->count, got;

	for (i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = s->pidfd[i], .events = POLLIN };
	while (n) {
		left = end - now_ms();
		if (left < 0)
			return false;
		got = poll(p, s->count, left);
		if (got < 0 && errno != EINTR)
			return false;
		for (i = 0; got > 0 && i < s->count; i++) {
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			if (s->how < HOLDS)
				return true;
			p[i].fd = -1;
			n--;
		}
	}
	return true;
}

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s directory [-flnrv] [-w seconds]\n", name);
	return EXIT_USAGE;
}

/* -1, or the exit status. */
static int parse(struct request *r, int argc, char *argv[])
{
	int c;

	while ((c = getopt(argc, argv, "flnrvt:w:N:")) != -1) {
		switch (c) {
		case 'f':
			r->force = true;
			break;
		case 'l':
			r->lazy = true;
			break;
		case 'n':
			r->no_mtab = true;
			break;
		case 'r':
			r->readonly = true;
			break;
		case 'v':
			r->verbose = true;
			break;
		case 't':
			break;
		case 'w':
			if (!*optarg || strspn(optarg, "0123456789") != strlen(optarg) ||
			    strlen(optarg) > 6)
				return usage(r->name);
			r->seconds = atoi(optarg);
			break;
		case 'N':
			fprintf(stderr, "%s: other mount namespaces (-N) are not supported; use nsenter(1)\n",
				r->name);
			return EXIT_USAGE;
		default:
			return usage(r->name);
		}
	}
	if (optind != argc - 1)
		return usage(r->name);
	r->dir = argv[optind];
	return -1;
}

/* The mount that DIR means: as it is written, or resolved. */
static bool look_up(const char *dir, struct mount *m)
{
	char *real;
	bool found;

	if (find_mount(dir, NULL, m))
		return true;
	real = realpath(dir, NULL);
	found = real && find_mount(real, NULL, m);
	free(real);
	return found;
}

int main(int argc, char *argv[])
{
	struct request r = { .name = "umount.fuse", .seconds = -1 };
	struct servers s = { .count = 0 };
	static struct mount m;
	const char *slash;
	int status, seconds;
	bool sure;

	if (argc) {
		slash = strrchr(argv[0], '/');
		r.name = slash ? slash + 1 : argv[0];
	}
	status = parse(&r, argc, argv);
	if (status >= 0)
		return status;
	if (look_up(r.dir, &m)) {
		m.ino = connection_ino(&m);
		find_servers(&m, &s);
	}
	status = unmount(&r);
	if (status || !s.count)
		return status;
	seconds = time_limit(&r, &m, &sure);
	if (r.verbose)
		printf("%s: waiting for the server of %s\n", r.name, m.source);
	if (!seconds || wait_for_end(&s, seconds))
		return EXIT_OK;
	fprintf(stderr, "%s: %s: the server did not end within %d seconds: %s may not be complete yet\n",
		r.name, m.dir, seconds, m.source);
	return sure ? EXIT_SYSTEM : EXIT_OK;
}
