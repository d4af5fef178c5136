/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.h - the control blocks of a log as they are written: what log.c
 * and append.c share.
 */
#ifndef JOURNAL_RECORD_H
#define JOURNAL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logfile;
struct timespec;

/* Tags that a descriptor block has room for. */
unsigned record_tags(const struct logfile *lf);

/* Makes BLOCK one of TYPE (enum jbd_block_type), of transaction TID. */
void record_start(const struct logfile *lf, uint8_t *block, uint32_t type,
		  uint32_t tid);
/*
 * The Nth of COUNT tags of a descriptor goes to *AT, which moves on (it begins
 * behind the header): the log has a copy of block BLK, which is to be DATA.
 */
void record_tag(const struct logfile *lf, uint32_t tid, uint8_t **at,
		uint64_t blk, const uint8_t *data, size_t n, size_t count);
/* Of descriptor and revoke blocks, when they are complete. */
void record_seal(const struct logfile *lf, uint8_t *block);
/* All of a commit block, without a checksum of version 1: it may be missing. */
void record_commit(const struct logfile *lf, uint8_t *block, uint32_t tid,
		   const struct timespec *now);

/* Does DATA begin like a control block?  Its copy has zeroes there. */
bool record_escaped(const uint8_t *data);

#endif
