/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon.c - what a server that outlives its caller does with what it got:
 * standard descriptors, the caller's pipes, its place in the kernel's list of
 * victims.
 *
 * Knows nothing of file systems and mounts.  Takes no lock: called before
 * there are threads, or, to leave the terminal, while only one is at work.
 */
#include "sys/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/log.h"

/* More than a caller leaves open without meaning to. */
#define INHERITED_FDS	1024

static bool log_to_file;
/* The caller's, whatever FUSE2FS_LOGFILE says; until the mount is live. */
static int caller_stderr = -1;

void daemon_reserve_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int daemon_open_log(void)
{
	const char *path = getenv("FUSE2FS_LOGFILE");
	int fd;

	caller_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		msg_err("%s: %s", path, strerror(errno));
		msg_err("FUSE2FS_LOGFILE must name a file that can be written.");
		return -1;
	}
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	log_to_file = true;
	return 0;
}

void daemon_tell_caller(const char *line)
{
	if (caller_stderr >= 0)
		dprintf(caller_stderr, "%s\n", line);
}

/*
 * Who waits for the end of a pipe must not wait for us.  Descriptors of our
 * own are closed by exec; these were not.
 */
static void close_inherited_pipes(void)
{
	struct stat st;
	int fd, flags;

	for (fd = STDERR_FILENO + 1; fd < INHERITED_FDS; fd++) {
		flags = fcntl(fd, F_GETFD);
		if (flags >= 0 && !(flags & FD_CLOEXEC) && !fstat(fd, &st) &&
		    S_ISFIFO(st.st_mode))
			close(fd);
	}
}

/* Standard output and error from now on, where there is no log file. */
static int open_sink(bool kernel_log)
{
	int fd = -1;

	if (kernel_log)
		fd = open("/dev/ttyprintk", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return fd;
}

void daemon_leave_terminal(bool kernel_log)
{
	int fd;

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		close(fd);
	}
	fd = log_to_file ? -1 : open_sink(kernel_log);
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
	close(caller_stderr);
	caller_stderr = -1;
	close_inherited_pipes();
}

void daemon_oom_score(int value)
{
	char text[16];
	int fd, len;

	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = snprintf(text, sizeof(text), "%d", value);
	if (write(fd, text, len) != len)
		msg_debug("oom_score_adj: %s", strerror(errno));
	close(fd);
}
