/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * preload.h - what the model and the library in the server say to each other.
 *
 * The kernel's ioctls, and the result of writing a notification, cannot go
 * over a socket pair.  The preloaded library sends them over a second one, a
 * message each way, and checks by a table in shared memory that the server
 * keeps off the blocks of mapped files.
 */
#ifndef TESTS_IOMAP_PRELOAD_H
#define TESTS_IOMAP_PRELOAD_H

#include <stdint.h>

#define ENV_FUSE	"IOMAP_MODEL_FUSE"	/* the descriptor it serves */
#define ENV_CTL		"IOMAP_MODEL_CTL"
#define ENV_TABLE	"IOMAP_MODEL_TABLE"	/* struct table */

enum ctl_kind {
	CTL_SUPPORT = 1,	/* result or a: flags */
	CTL_OPEN,		/* a: rdev, b: is a block device, c: flags */
	CTL_BLOCKSIZE,		/* a: id, b: bytes */
	CTL_NOFS,		/* a: thread, b: value */
	CTL_NOTIFY,		/* data: header and payload */
	CTL_ACCESS,		/* a: block, b: owner, c: kind of access */
	CTL_UNMARKED,		/* a: thread that served without NOFS */
	CTL_CLOSE,		/* a: id */
};

enum ctl_access { ACCESS_READ, ACCESS_WRITE, ACCESS_OTHER };

struct ctl_msg {
	uint32_t kind;
	int32_t result;		/* of the answer: >= 0 or -errno */
	uint64_t a, b, c;
	uint64_t len;
	uint8_t data[200];		/* aligned as its structs are */
};

/* Who owns each block of the device: inode numbers, 0 for nobody known. */
struct table {
	uint64_t rdev;			/* of the device; 0: not yet */
	uint64_t file_dev, file_ino;	/* of the image behind it */
	uint64_t offset;		/* of the device in the image */
	uint32_t block_size;
	uint32_t configured;		/* threads must be marked from now on */
	uint64_t blocks;
	uint32_t slow_opcode, slow_us;	/* requests that linger on their way */
	uint32_t owner[];
};

#endif
