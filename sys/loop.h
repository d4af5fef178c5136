/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - a block device in front of an image file.
 */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop {
	int image;		/* descriptor with our flock(); -1: no loop */
	int fd;			/* keeps the device until it is opened */
	char path[32];		/* /dev/loopN */
};

/* Could this process make one, and is PATH an image that may get one? */
bool loop_possible(const char *path);

/*
 * Makes a loop device of the LIMIT bytes (0: to the end) at OFFSET of PATH,
 * locked as an image is (exclusively, or shared for RDONLY); it goes away with
 * its last user.  -EBUSY if there is one of the file already, -EAGAIN if
 * somebody else has the lock, another -errno if there can be none.
 */
int loop_attach(struct loop *l, const char *path, bool rdonly, uint64_t offset,
		uint64_t limit);

/* The device has been opened: it lives as long as that. */
void loop_opened(struct loop *l);

/* Gives back the lock, and the device if nobody opened it. */
void loop_detach(struct loop *l);

#endif
