/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_ops.h - what the makers of requests share: fields out of bytes
 * (wire_fields.c), bodies (wire_ops.c, wire_iomap.c), and what is done to
 * them on the way (wire_steps.c).
 */
#ifndef FUZZ_WIRE_OPS_H
#define FUZZ_WIRE_OPS_H

#include "fuzz/wire.h"

/* ---- wire_fields.c ---- */

#define NAMES		32
#define FIRST_NEW	18	/* names that do not exist at first */
extern const char *const names[NAMES];

uint32_t get32(struct bytes *b);
/* Adds to the body, as far as there is room. */
void put(struct msg *m, const void *data, size_t len);
/* These bytes of the body stay as they are, and so does the opcode. */
void keep(struct msg *m, size_t from, size_t to);
void put_name(struct msg *m, struct bytes *b);
void put_new_name(struct msg *m, struct bytes *b);
/* A node of this type (0: any), or none. */
const struct client_node *pick(struct bytes *b, uint32_t type);
void at_node(struct msg *m, struct bytes *b, uint32_t type);
/* An open handle, and its node; false if there is none. */
bool at_handle(struct msg *m, struct bytes *b, bool dir, uint64_t *fh);

/* ---- wire_ops.c ---- */

/* A message of the Nth kind; IOMAP: of those that need it, too. */
void build(struct msg *m, struct bytes *b, unsigned n, bool iomap);

/* ---- wire_iomap.c ---- */

void b_begin(struct msg *m, struct bytes *b);
void b_end(struct msg *m, struct bytes *b);
void b_ioend(struct msg *m, struct bytes *b);
void b_config(struct msg *m, struct bytes *b);
void b_volume(struct msg *m, struct bytes *b);

#endif
