/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.c - which mount is at a path, and how it keeps times.
 *
 * By a descriptor that opens nothing (O_PATH) and what /proc says of it; it is
 * closed again at once, as it keeps the mount busy.  Takes no locks.
 */
#include "sys/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>	/* <sys/mount.h> is ours */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The id of the mount that FD was opened on, or -1. */
static int mount_of(int fd)
{
	char name[64], line[128];
	int id = -1;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "mnt_id:", 7))
			id = atoi(line + 7);
	}
	if (f)
		fclose(f);
	return id;
}

int mount_id(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC), id;

	if (fd < 0)
		return -1;
	id = mount_of(fd);
	close(fd);
	return id;
}

/* Takes back what /proc makes of blanks and the like: \040. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (s[1] - '0') << 6 | (s[2] - '0') << 3 |
				(s[3] - '0');
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* How much of PATH the mount point DIR covers: bytes, or -1. */
static int covers(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	if (len == 1)
		return 0;
	return !strncmp(dir, path, len) && (!path[len] || path[len] == '/') ?
		(int)len : -1;
}

bool mount_same(int fd, const char *path)
{
	char dev[32], ours[32] = "", theirs[32] = "", *line = NULL, *dir;
	int own = mount_of(fd), id, best = -1, n;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		/* id, parent, device, root, mount point */
		if (sscanf(line, "%d %*d %31s %*s %n%*s", &id, dev, &n) != 2)
			continue;
		dir = line + n;
		dir[strcspn(dir, " ")] = 0;
		unescape(dir);
		if (id == own)
			strcpy(ours, dev);
		n = covers(dir, path);
		if (n >= best && n >= 0) {	/* the last one is on top */
			best = n;
			strcpy(theirs, dev);
		}
	}
	free(line);
	if (f)
		fclose(f);
	return *ours && !strcmp(ours, theirs);
}

/* statvfs(3)'s flags as mount(2) has them. */
static const struct {
	unsigned long st, ms;
} flag_map[] = {
	{ ST_RDONLY, MS_RDONLY }, { ST_NOSUID, MS_NOSUID },
	{ ST_NODEV, MS_NODEV }, { ST_NOEXEC, MS_NOEXEC },
	{ ST_SYNCHRONOUS, MS_SYNCHRONOUS }, { ST_MANDLOCK, MS_MANDLOCK },
	{ ST_NOATIME, MS_NOATIME }, { ST_NODIRATIME, MS_NODIRATIME },
	{ ST_RELATIME, MS_RELATIME },
};

int mount_set_times(const char *path, bool lazytime, bool strictatime,
		    bool dirsync)
{
	unsigned long flags = MS_REMOUNT;
	struct statvfs st;
	size_t i;

	if (statvfs(path, &st))
		return -errno;
	for (i = 0; i < sizeof(flag_map) / sizeof(flag_map[0]); i++) {
		if (st.f_flag & flag_map[i].st)
			flags |= flag_map[i].ms;
	}
	if (dirsync)
		flags |= MS_DIRSYNC;
	if (lazytime)
		flags |= MS_LAZYTIME;
	if (strictatime) {
		flags &= ~(unsigned long)(MS_RELATIME | MS_NOATIME);
		flags |= MS_STRICTATIME;
	}
	return syscall(SYS_mount, "", path, NULL, flags, NULL) ? -errno : 0;
}
