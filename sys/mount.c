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

int mount_id(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC), id = -1;
	char name[64], line[128];
	FILE *f;

	if (fd < 0)
		return -1;
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "mnt_id:", 7))
			id = atoi(line + 7);
	}
	if (f)
		fclose(f);
	close(fd);
	return id;
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
