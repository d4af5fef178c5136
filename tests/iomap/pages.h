/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pages.h - what pages.c and writeback.c share.  model.lock is held for all.
 */
#ifndef TESTS_IOMAP_PAGES_H
#define TESTS_IOMAP_PAGES_H

#include "model.h"

/* The blocks of a page, and the bytes of each. */
unsigned blocks_per_page(void);
uint32_t page_block(void);
/* Where page INDEX is, or the first one behind it. */
unsigned page_find(const struct inode *inode, uint64_t index);
/* It is busy no more. */
void page_put(struct page *p);

#endif
