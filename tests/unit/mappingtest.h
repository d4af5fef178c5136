/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mappingtest.h - what mapping.c and mapping_model.c share: mapped files, a
 * note of every access to the device held against their data blocks, and
 * debugfs's reading of their extents.
 */
#ifndef TESTS_UNIT_MAPPINGTEST_H
#define TESTS_UNIT_MAPPINGTEST_H

#include "datatest.h"
#include "fs/map.h"
#include "fs/mapping.h"

#define CELLS	4096			/* blocks of a file that is compared */

static unsigned bs;

UNUSED static void vol_make_ext4(const char *opts, const char *size)
{
	char all[200];

	snprintf(all, sizeof(all), "-t ext4 %s", opts);
	vol_make(all, size);
}

/* ---- no access to data ---- */

#define LOG_MAX	65536

static struct { uint64_t off, len; } io_log[LOG_MAX];
static unsigned io_count;
static unsigned io_bad;

UNUSED static int note_io(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx;
	if ((op == DEVICE_READ || op == DEVICE_WRITE) && io_count < LOG_MAX) {
		io_log[io_count].off = off;
		io_log[io_count++].len = len;
	}
	return 0;
}

UNUSED static void watch(void)
{
	io_count = io_bad = 0;
	device_set_fault(vol->dev, note_io, NULL);
	bs = vol->blocksize;
}

/* Holds what was noted against the blocks of INODE, and says what is wrong. */
UNUSED static void judge_io(struct inode *inode)
{
	uint64_t l = 0, start, end;
	struct map m;
	unsigned i;

	fs_lock(vol);
	for (; !map_next(inode, l, &m); l = m.lblk + m.len) {
		start = m.pblk * bs;
		end = start + m.len * bs;
		for (i = 0; i < io_count; i++) {
			if (io_log[i].off >= end ||
			    io_log[i].off + io_log[i].len <= start)
				continue;
			if (!io_bad++)
				printf("# data of block %llu was accessed\n",
				       (unsigned long long)m.lblk);
		}
	}
	fs_unlock(vol);
}

UNUSED static struct inode *map_open(const char *name, bool make)
{
	struct inode *inode = file_open(name, make);

	fs_lock(vol);
	inode->mapped = 1;
	inode->writers++;
	fs_unlock(vol);
	return inode;
}

UNUSED static void no_writer(struct inode *inode)
{
	fs_lock(vol);
	inode->writers = 0;
	fs_unlock(vol);
}

/* What debugfs reads of the closed IMG: the state of each block of NAME. */
UNUSED static bool read_states(const char *img, const char *name, uint8_t *cell)
{
	unsigned long long l0, l1, p0, p1, n;
	char cmd[700], line[300], flag[40];
	bool good = true;
	FILE *f;

	memset(cell, MAP_HOLE, CELLS);
	snprintf(cmd, sizeof(cmd),
		 "debugfs -R 'dump_extents -l /%s' '%s' 2>/dev/null", name, img);
	f = popen(cmd, "r");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		flag[0] = 0;
		if (sscanf(line, "%*u/%*u %*u/%*u %llu - %llu %llu - %llu %llu %39s",
			   &l0, &l1, &p0, &p1, &n, flag) < 5)
			continue;
		for (; l0 <= l1; l0++) {
			if (l0 >= CELLS)
				good = false;
			else
				cell[l0] = *flag ? MAP_UNWRITTEN : MAP_WRITTEN;
		}
	}
	pclose(f);
	return good;
}

UNUSED static uint64_t read_size(const char *img, const char *name)
{
	char cmd[700], line[300], *at;
	uint64_t size = UINT64_MAX;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "debugfs -R 'stat /%s' '%s' 2>/dev/null",
		 name, img);
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "Size: ");
		if (at && size == UINT64_MAX)	/* not that of a fragment */
			size = strtoull(at + 6, NULL, 10);
	}
	if (f)
		pclose(f);
	return size;
}

#endif
