/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fs_program.h - operations on an image, as bytes say: for the fuzzer and for
 * tests/unit/corrupt.c.
 */
#ifndef FUZZ_FS_PROGRAM_H
#define FUZZ_FS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs_program_opt {
	bool ro;			/* open read-only */
	bool errors_ro;			/* errors=remount-ro, else continue */
	const uint32_t *keep;		/* inodes that are never changed */
	unsigned keeps;
};

/*
 * Opens IMAGE, runs PROG (any bytes are a program; it always ends), closes.
 * Returns the error of fs_open(), else 0.  Aborts the process where the
 * library breaks a promise: an impossible return value, a directory without
 * end, a reference left behind.
 */
int fs_program(const char *image, const uint8_t *prog, size_t len,
	       const struct fs_program_opt *opt);

#endif
