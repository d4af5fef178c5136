/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memio.h - libext2fs on an image in memory. */
#ifndef TESTS_CRASH_MEMIO_H
#define TESTS_CRASH_MEMIO_H

#include <stdint.h>
#include <ext2fs/ext2fs.h>

/* To be read only, and closed with ext2fs_free() before the next is opened. */
errcode_t memio_open(void *mem, uint64_t size, ext2_filsys *fs);

#endif
