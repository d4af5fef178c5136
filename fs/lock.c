/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.c - waiting for the volume lock, and how long that took.
 *
 * The way of those who find the lock taken: nobody else pays for the clock.
 */
#include <time.h>

#include "fs/fs.h"

__thread uint64_t fs_lock_waited;

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void fs_lock_wait(struct fs *fs)
{
	uint64_t start = clock_ns();

	pthread_mutex_lock(&fs->lock);
	fs_lock_waited += clock_ns() - start;
}
