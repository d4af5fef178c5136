/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oracle.h - is what a recovered image holds legal? */
#ifndef TESTS_CRASH_ORACLE_H
#define TESTS_CRASH_ORACLE_H

#include "model.h"

/*
 * With a journal all names and all contents are judged.  Without one, files that
 * were fsynced and not removed: they must be there, in lost+found perhaps.
 */
enum oracle_names { NAMES_PREFIX, NAMES_NOT };

/* The number of findings, told to OUT.  MEM is the image. */
int oracle_check(void *mem, uint64_t size, struct model *m,
		 enum oracle_names names, FILE *out);

/* Fills the free blocks of an image with what no file may ever show. */
int oracle_poison(void *mem, uint64_t size);

#endif
