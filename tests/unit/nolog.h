/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nolog.h - for tests of the cache and the transactions on a volume made by
 * hand: there is no log, so that what finds and opens one is not linked, nor
 * all of fs/ with it.
 */
#ifndef TESTS_NOLOG_H
#define TESTS_NOLOG_H

#include <time.h>

#include "journal/logfile.h"

__attribute__((weak)) void logfile_close(struct logfile *lf)
{
	(void)lf;
}

__attribute__((weak))
bool logfile_owns(const struct logfile *lf, uint64_t blk, uint64_t count)
{
	(void)lf, (void)blk, (void)count;
	return false;
}

__attribute__((weak)) void logfile_decode(struct logfile *lf)
{
	(void)lf;
}

__attribute__((weak)) int logfile_write(struct logfile *lf, uint32_t jblk,
					uint32_t count, const void *buf)
{
	(void)lf, (void)jblk, (void)count, (void)buf;
	return -EIO;
}

__attribute__((weak)) int logfile_write_super(struct logfile *lf)
{
	(void)lf;
	return -EIO;
}

__attribute__((weak)) int logfile_sync(struct logfile *lf)
{
	(void)lf;
	return -EIO;
}

__attribute__((weak)) struct timespec fs_now(struct fs *f)
{
	(void)f;
	return (struct timespec){ .tv_sec = 0 };
}

#endif
