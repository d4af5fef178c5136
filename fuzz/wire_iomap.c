/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_iomap.c - requests of iomap, and of whole volumes, out of bytes.
 */
#include <sys/stat.h>

#include "fuzz/wire_ops.h"
#include "ops/iomap_proto.h"

static void at_file(struct msg *m, struct bytes *b, uint64_t *ino)
{
	const struct client_node *n = pick(b, S_IFREG);
	unsigned i;

	for (i = 0; !(n->flags & IOM_ATTR_IOMAP) && i < 4; i++)
		n = pick(b, S_IFREG);
	m->nodeid = n->id;
	*ino = get8(b) > 250 ? get_num(b) : n->ino;
}

static uint32_t op_flags(struct bytes *b)
{
	static const uint32_t flags[] = {
		0, IOM_OP_NOWAIT, IOM_OP_WRITE, IOM_OP_WRITE | IOM_OP_FAULT,
		IOM_OP_ZERO, IOM_OP_WRITEBACK, IOM_OP_DIRECT,
		IOM_OP_DIRECT | IOM_OP_WRITE, IOM_OP_REPORT,
		IOM_OP_DIRECT | IOM_OP_WRITE | IOM_OP_OVERWRITE_ONLY,
		IOM_OP_DIRECT | IOM_OP_WRITE | IOM_OP_ATOMIC,
		IOM_OP_REPORT | IOM_OP_SWAPFILE, IOM_OP_UNSHARE,
		IOM_OP_WRITEBACK, IOM_OP_WRITE, IOM_OP_WRITE,
	};
	unsigned v = get8(b);

	return v < 235 ? flags[v % 16] : get32(b);
}

void b_begin(struct msg *m, struct bytes *b)
{
	struct iom_begin_in in = { .opflags = op_flags(b) };

	at_file(m, b, &in.attr_ino);
	in.reserved = get8(b) > 250 ? get32(b) : 0;
	in.pos = get_num(b);
	in.count = get_num(b);
	put(m, &in, sizeof(in));
}

void b_end(struct msg *m, struct bytes *b)
{
	struct iom_end_in in = { .opflags = op_flags(b) };

	at_file(m, b, &in.attr_ino);
	in.pos = get_num(b);
	in.count = get_num(b);
	in.written = get_num(b);
	in.map.offset = in.pos & ~4095ull;
	in.map.length = get_num(b);
	in.map.addr = get_num(b);
	in.map.type = get8(b);
	in.map.flags = get8(b) << 2;
	in.map.dev = get8(b) % 3;
	put(m, &in, sizeof(in));
}

void b_ioend(struct msg *m, struct bytes *b)
{
	struct iom_ioend_in in = { .flags = get8(b) };
	unsigned v = get8(b);

	if (v < 150 && client.io.len) {	/* of what was last given out */
		m->nodeid = client.io.nodeid;
		in.attr_ino = client.io.ino;
		in.pos = client.io.pos;
		in.written = client.io.len;
	} else {
		at_file(m, b, &in.attr_ino);
		in.pos = get_num(b);
		in.written = get_num(b);
	}
	in.error = v % 16 ? 0 : -(int)(get_num(b) % 600);
	in.new_addr = get_num(b);
	in.dev = get8(b) % 3;
	put(m, &in, sizeof(in));
}

void b_config(struct msg *m, struct bytes *b)
{
	struct iom_config_in in = {
		.flags = get8(b) < 200 ? 0x7f : get_num(b),
		.maxbytes = INT64_MAX, .cache_maxbytes = 262144,
	};

	put(m, &in, sizeof(in));
}

void b_volume(struct msg *m, struct bytes *b)
{
	uint64_t in = get8(b) < 200 ? 0 : get_num(b);

	m->nodeid = 1;
	put(m, &in, sizeof(in));
}
