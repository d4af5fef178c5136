/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.c - which mount is at a path.
 *
 * By a descriptor that opens nothing (O_PATH) and what /proc says of it; it is
 * closed again at once, as it keeps the mount busy.  Takes no locks.
 */
#include "sys/mount.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
