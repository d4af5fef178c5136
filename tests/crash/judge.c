/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge.c - who recovers a crash state, and what counts as a recovery.
 *
 * A crash may cost a replay of the journal and the end of orphans; anything
 * else that e2fsck wants to change is a failure.  It says each thing it does in
 * a line, so every line that is not known to be harmless is a complaint.  (The
 * counts of free blocks and inodes in the superblock, not those of groups, may be
 * wrong after a replay: the kernel does not journal them with each transaction,
 * and sums up the groups at each mount.)
 *
 * Knows programs and their output; nothing of logs.  No locks.
 */
#include "judge.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define OUTPUT (1 << 16)

/* Runs it; its output, cut off; the wait status. */
static int run(char *const argv[], char *output)
{
	posix_spawn_file_actions_t fa;
	int p[2], status = -1;
	size_t got = 0;
	ssize_t n;
	pid_t pid;
	char rest[4096];

	if (pipe2(p, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, p[1], 1);
	posix_spawn_file_actions_adddup2(&fa, p[1], 2);
	if (posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ))
		pid = -1;
	close(p[1]);
	posix_spawn_file_actions_destroy(&fa);
	while (pid > 0) {
		bool more = got < OUTPUT - 1;

		n = read(p[0], more ? output + got : rest,
			 more ? OUTPUT - 1 - got : sizeof(rest));
		if (n <= 0)
			break;
		if (more)
			got += n;
	}
	output[got] = 0;
	close(p[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return status;
}

/* Replaying, orphans, the table of contents and the last word. */
static bool is_harmless(const char *line, const char *path)
{
	static const char *const begins[] = {
		"e2fsck ", "Pass 1: ", "Pass 2: ", "Pass 3: ", "Pass 4: ",
		"Pass 5: ", "Clearing orphaned inode ",
		"Truncating orphaned inode ", "\tUsing EXT2FS Library",
		"Free blocks count wrong (", "Free inodes count wrong (",
		"Fix? yes", "Clear? yes", "Orphan file (inode ",
		"Feature orphan_present is set but orphan file is clean.",
		NULL
	};
	size_t n = strlen(path);
	int i;

	if (!*line)
		return true;
	for (i = 0; begins[i]; i++)
		if (!strncmp(line, begins[i], strlen(begins[i])))
			return true;
	if (strncmp(line, path, n) || line[n] != ':')
		return false;
	line += n + 1;
	return !strcmp(line, " recovering journal") ||
	       !strcmp(line, " ***** FILE SYSTEM WAS MODIFIED *****") ||
	       (strstr(line, " files (") && strstr(line, "non-contiguous"));
}

static int complaints(char *output, const char *path, FILE *out)
{
	char *line, *save;
	int n = 0;

	for (line = strtok_r(output, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (is_harmless(line, path))
			continue;
		if (n++ < 8)
			fprintf(out, "    e2fsck: %.200s\n", line);
	}
	return n;
}

static int fsck(const struct volume *v, const char *how, int worst, bool lines,
		FILE *out)
{
	/* A tree that could be shorter is no damage. */
	char *argv[] = { "e2fsck", (char *)how, "-E", "no_optimize_extents",
			 (char *)v->path, v->journal ? "-j" : NULL,
			 (char *)v->journal, NULL };
	static char output[OUTPUT];
	int status = run(argv, output), n;

	n = lines ? complaints(output, v->path, out) : 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) > worst) {
		if (!n++)
			fprintf(out, "    e2fsck %s: status %x\n%.300s\n", how,
				status, lines ? "" : output);
	}
	return n;
}

int judge_fsck(const struct volume *v, bool repairs, FILE *out)
{
	int n = fsck(v, "-fy", repairs ? 3 : 1, !repairs, out);

	return n ? n : judge_clean(v, out);
}

int judge_clean(const struct volume *v, FILE *out)
{
	return fsck(v, "-fn", 0, true, out);
}

int judge_kernel(const struct volume *v, const char *dir, FILE *out)
{
	char *mnt[] = { "mount", "-t", "ext4", "-o", "loop", (char *)v->path,
			(char *)dir, NULL };
	char *umnt[] = { "umount", (char *)dir, NULL };
	static char output[OUTPUT];

	if (run(mnt, output)) {
		fprintf(out, "    the kernel does not mount it: %.200s\n",
			output);
		return 1;
	}
	if (run(umnt, output)) {
		fprintf(out, "    umount: %.200s\n", output);
		return 1;
	}
	return judge_clean(v, out);
}

static pid_t start_server(const struct volume *v, const char *dir,
			  const char *program, const char *preload,
			  const char *log)
{
	char images[2 * PATH_MAX], opts[PATH_MAX + 20];
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	setenv("LD_PRELOAD", preload, 1);
	setenv("CRASH_LOG", log, 1);
	snprintf(images, sizeof(images), "%s%s%s", v->path,
		 v->journal ? ":" : "", v->journal ? v->journal : "");
	setenv("CRASH_IMAGE", images, 1);
	snprintf(opts, sizeof(opts), "-ojournal_path=%s",
		 v->journal ? v->journal : "");
	fd = open("/dev/null", O_RDWR);
	dup2(fd, 0);
	dup2(fd, 1);
	fd = open("ours.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, 2);
	execl(program, program, "-f", v->path, dir, v->journal ? opts : NULL,
	      NULL);
	_exit(127);
}

int judge_ours(const struct volume *v, const char *dir, const char *program,
	       const char *preload, const char *log, FILE *out)
{
	char *umnt[] = { "umount", "-l", (char *)dir, NULL };
	static char output[OUTPUT];
	struct stat before, st;
	int status = 0, i, ret = 1;
	pid_t pid;

	if (stat(dir, &before))
		before.st_dev = 0;
	pid = start_server(v, dir, program, preload, log);
	for (i = 0; i < 3000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			fprintf(out, "    our mount ends with status %x\n",
				status);
			return 1;
		}
		if (!stat(dir, &st) && st.st_dev != before.st_dev) {
			ret = 0;
			break;
		}
		usleep(2000);
	}
	if (ret)
		fprintf(out, "    our mount does not come\n");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	run(umnt, output);
	return ret;
}
