/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * casetest.h - many cases, each in a process of its own, a few at a time:
 * what corrupt.c and faults.c share.  A case fails if its process dies, takes
 * too long, takes too much memory or says too much.
 */
#ifndef TESTS_UNIT_CASETEST_H
#define TESTS_UNIT_CASETEST_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"

#define CASE_JOBS	3
#define CASE_SECONDS	30		/* then it hangs */
#define CASE_RSS	(700 * 1024)	/* KiB */
#define CASE_TEXT	(48 * 1024)	/* bytes of messages */

static char work[4200];
static struct timespec started;

struct job {
	pid_t pid;			/* 0: free */
	int image, text;		/* memfds */
	void *ctx;
};

static struct job jobs[CASE_JOBS];

__attribute__((unused)) static double elapsed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - started.tv_sec +
	       (now.tv_nsec - started.tv_nsec) / 1e9;
}

__attribute__((format(printf, 1, 2), unused))
static int run(const char *fmt, ...)
{
	char cmd[16384];
	va_list ap;
	int ret;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	ret = system(cmd);
	return WIFEXITED(ret) ? WEXITSTATUS(ret) : 128;
}

__attribute__((unused)) static void setup(const char *name)
{
	const char *tmp = getenv("TMPDIR");

	clock_gettime(CLOCK_MONOTONIC, &started);
	snprintf(work, sizeof(work), "%s/%s-XXXXXX", tmp ? tmp : "/tmp", name);
	if (!mkdtemp(work))
		bail("mkdtemp");
}

__attribute__((unused)) static int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("image", 0);

	if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
		bail("memfd");
	return fd;
}

/* The path of the descriptor FD of this process, for anybody. */
__attribute__((unused)) static const char *fd_path(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	return path;
}

/* What is wrong with how JOB ended; NULL if nothing. */
static const char *judge(struct job *job, int status, struct rusage *ru)
{
	static char why[100];
	struct stat st;

	fstat(job->text, &st);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return "hangs";
	if (WIFSIGNALED(status)) {
		snprintf(why, sizeof(why), "killed by signal %d",
			 WTERMSIG(status));
		return why;
	}
	if (WEXITSTATUS(status)) {
		snprintf(why, sizeof(why), "exit %d", WEXITSTATUS(status));
		return why;
	}
	if (ru->ru_maxrss > CASE_RSS)
		return "takes too much memory";
	if (st.st_size > CASE_TEXT)
		return "says too much";
	return NULL;
}

/* The end of what a case said (or a sanitizer's report), as comments. */
__attribute__((unused)) static void show(int text, size_t max)
{
	static char buf[65536];
	ssize_t len = pread(text, buf, sizeof(buf) - 1, 0);
	char *p = buf, *line, *report;

	if (len <= 0)
		return;
	buf[len] = 0;
	report = strstr(buf, "Sanitizer: ");
	if (!report)
		report = strstr(buf, "runtime error: ");
	if (report)
		p = report;
	else if (len > (ssize_t)max)
		p = buf + len - max;
	if (strlen(p) > max)
		p[max] = 0;
	while ((line = strsep(&p, "\n")) && (p || *line))
		printf("#   %s\n", line);
}

/*
 * Called for each case that has ended: WHY is NULL if all was well so far.
 * To be given by the test.
 */
static void case_ended(struct job *job, const char *why);

static void job_end(struct job *job, int status, struct rusage *ru)
{
	case_ended(job, judge(job, status, ru));
	close(job->image);
	close(job->text);
	job->pid = 0;
}

static void wait_one(void)
{
	struct rusage ru;
	int status, i;
	pid_t pid;

	do {
		pid = wait4(-1, &status, 0, &ru);
	} while (pid < 0 && errno == EINTR);
	for (i = 0; i < CASE_JOBS; i++)
		if (pid > 0 && jobs[i].pid == pid)
			job_end(&jobs[i], status, &ru);
}

__attribute__((unused)) static void wait_all(void)
{
	int i;

	for (i = 0; i < CASE_JOBS; i++)
		while (jobs[i].pid)
			wait_one();
}

/*
 * Runs BODY(CTX, IMAGE) in a child; IMAGE is a memfd that the parent has put
 * there and keeps.  Waits while too many run.
 */
__attribute__((unused))
static void start_case(int image, int (*body)(void *ctx, int image), void *ctx)
{
	struct job *job = NULL;
	int i;

	while (!job) {
		for (i = 0; i < CASE_JOBS; i++)
			if (!jobs[i].pid)
				job = &jobs[i];
		if (!job)
			wait_one();
	}
	job->image = image;
	job->text = memory_file("", 0);
	job->ctx = ctx;
	fflush(NULL);
	job->pid = fork();
	if (job->pid < 0)
		bail("fork");
	if (job->pid)
		return;
	dup2(job->text, 2);
	alarm(CASE_SECONDS);
	exit(body(ctx, image));
}

#endif
