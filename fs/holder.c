/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * holder.c - who has a source in use: for a message, so best effort.
 *
 * Reads /proc and /sys: a mount of the device by the kernel, a process that
 * has it open (an image: open and locked), a device stacked on it.  Compares
 * names, and never touches what other processes have open, as that may be on
 * a file system that does not answer.  Takes no locks.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/source.h"

struct search {
	char path[PATH_MAX];		/* canonical */
	bool block;
	unsigned major, minor;
	char *text;
	size_t len;
};

/* Names are whatever their owners liked. */
static void make_printable(char *s)
{
	for (; *s; s++)
		if (!isprint((unsigned char)*s))
			*s = '?';
}

static bool found_mount(const struct search *s)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[PATH_MAX + 256], dir[256];
	unsigned maj, min;
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*d %*d %u:%u %*s %255s", &maj, &min,
			       dir) == 3 && maj == s->major && min == s->minor;
	fclose(f);
	if (found)
		snprintf(s->text, s->len, "the mount on %s", dir);
	return found;
}

/* Has the file that is open there a lock by flock()? */
static bool has_flock(const char *pid, const char *fd)
{
	char name[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%.16s/fdinfo/%.16s", pid, fd);
	f = fopen(name, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "lock:", 5) && strstr(line, "FLOCK");
	fclose(f);
	return found;
}

static void name_process(const struct search *s, const char *pid)
{
	char name[64], comm[64] = "";
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%.16s/comm", pid);
	f = fopen(name, "re");
	if (f) {
		if (!fgets(comm, sizeof(comm), f))
			comm[0] = 0;
		comm[strcspn(comm, "\n")] = 0;
		fclose(f);
	}
	snprintf(s->text, s->len, "process %.16s%s%s%s", pid,
		 comm[0] ? " (" : "", comm, comm[0] ? ")" : "");
}

static bool process_has(const struct search *s, const char *pid)
{
	char name[64], target[PATH_MAX];
	struct dirent *de;
	bool found = false;
	ssize_t n;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%.16s/fd", pid);
	dir = opendir(name);
	if (!dir)
		return false;
	while (!found && (de = readdir(dir))) {
		n = readlinkat(dirfd(dir), de->d_name, target,
			       sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = 0;
		found = !strcmp(target, s->path) &&
			(s->block || has_flock(pid, de->d_name));
	}
	closedir(dir);
	return found;
}

static bool found_process(const struct search *s)
{
	struct dirent *de;
	bool found = false;
	DIR *dir = opendir("/proc");

	if (!dir)
		return false;
	while (!found && (de = readdir(dir))) {
		if (!isdigit((unsigned char)de->d_name[0]) ||
		    atoi(de->d_name) == getpid())
			continue;
		found = process_has(s, de->d_name);
		if (found)
			name_process(s, de->d_name);
	}
	closedir(dir);
	return found;
}

/* Device mapper, RAID... */
static bool found_stacked(const struct search *s)
{
	struct dirent *de;
	char name[64];
	bool found = false;
	DIR *dir;

	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/holders", s->major,
		 s->minor);
	dir = opendir(name);
	if (!dir)
		return false;
	while (!found && (de = readdir(dir))) {
		found = de->d_name[0] != '.';
		if (found)
			snprintf(s->text, s->len, "the device %.64s",
				 de->d_name);
	}
	closedir(dir);
	return found;
}

bool source_holder(const char *path, char *text, size_t len)
{
	struct search s = { .text = text, .len = len };
	struct stat st;
	bool found;

	if (stat(path, &st) || !realpath(path, s.path))
		return false;
	s.block = S_ISBLK(st.st_mode);
	s.major = major(st.st_rdev);
	s.minor = minor(st.st_rdev);
	found = (s.block && (found_mount(&s) || found_stacked(&s))) ||
		found_process(&s);
	if (found)
		make_printable(text);
	return found;
}
