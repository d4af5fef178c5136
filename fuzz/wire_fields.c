/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_fields.c - numbers, names, nodes and handles out of bytes.
 *
 * Small numbers and hostile ones; nodes and handles that the server gave, so
 * that deep code is reached.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/wire_ops.h"

/* ---- bytes ---- */

uint8_t get8(struct bytes *b)
{
	return b->p < b->end ? *b->p++ : 0;
}

uint32_t get32(struct bytes *b)
{
	uint32_t v = get8(b);

	v |= get8(b) << 8;
	v |= get8(b) << 16;
	return v | (uint32_t)get8(b) << 24;
}

uint64_t get_num(struct bytes *b)
{
	static const uint64_t hostile[] = {
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000ull,
		0x100000000ull * 1024 - 1, 0x100000000ull * 1024,
		0x100000000ull * 4096 - 4096, 0x100000000ull * 4096,
		1ull << 40, 17247252480ull, 1ull << 46, 1ull << 62,
		INT64_MAX, INT64_MAX - 1, INT64_MAX - 1023, INT64_MAX - 4095,
		1ull << 63, (1ull << 63) + 1, UINT64_MAX, UINT64_MAX - 1,
		UINT64_MAX - 1023, UINT64_MAX - 4095, UINT32_MAX - 1023,
		0xffff, 0x8000,
	};
	unsigned v = get8(b);

	if (v < 48)
		return v;
	if (v < 112)
		return (uint64_t)(v - 48) * 1024;
	if (v < 160)
		return (uint64_t)(v - 112) * 4096 + get8(b) * 7;
	if (v < 200)
		return (uint64_t)(v - 160) * 65536 - 1 + get8(b) % 3;
	if (v < 250)
		return hostile[(v - 200) % (sizeof(hostile) / sizeof(hostile[0]))];
	return get32(b) | (uint64_t)get32(b) << 32;
}

/* ---- parts of a message ---- */

void put(struct msg *m, const void *data, size_t len)
{
	if (len > sizeof(m->body) - m->len)
		len = sizeof(m->body) - m->len;
	memcpy(m->body + m->len, data, len);
	m->len += len;
}

void keep(struct msg *m, size_t from, size_t to)
{
	m->keep = from;
	m->keep_end = to;
	m->keep_op = true;
}

const char *const names[] = {
	"big", "mid", "sparse", "d1", "small", "tail", "fast", "fifo", "slow",
	"empty", "long", "short", "keep", "lost+found", "d2", "k1", "k3", "f",
	"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "sub",
	"00000001", "sock", "dev",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == NAMES, "names");

void put_name(struct msg *m, struct bytes *b)
{
	unsigned v = get8(b);
	char text[300];

	if (v < 240) {
		put(m, names[v % NAMES], strlen(names[v % NAMES]) + 1);
		return;
	}
	memset(text, 'a' + v % 26, sizeof(text));
	switch (v) {
	case 240: case 241:
		put(m, ".", 2);
		break;
	case 242: case 243:
		put(m, "..", 3);
		break;
	case 244:
		put(m, "", 1);
		break;
	case 245:
		put(m, "a/b", 4);
		break;
	case 246:
		put(m, text, 20);	/* no end */
		break;
	case 247:
		text[256] = 0;
		put(m, text, 257);
		break;
	case 248: case 249: case 250:
		text[255] = 0;
		put(m, text, 256);
		break;
	default:
		snprintf(text, sizeof(text), "x%02x\n\xff%c", get8(b), get8(b));
		put(m, text, strlen(text) + 1);
	}
}

void put_new_name(struct msg *m, struct bytes *b)
{
	const char *name = names[FIRST_NEW + get8(b) % (NAMES - FIRST_NEW)];

	if (b->p < b->end && *b->p >= 230)
		put_name(m, b);
	else
		put(m, name, strlen(name) + 1);
}

/* A node of this type, or any, or none. */
const struct client_node *pick(struct bytes *b, uint32_t type)
{
	unsigned v = get8(b), i, n;

	for (i = 0; v < 240 && i < client.node_count; i++) {
		n = (v + i) % client.node_count;
		if (client.nodes[n].lookups &&
		    (!type || (client.nodes[n].mode & S_IFMT) == type))
			return &client.nodes[n];
	}
	return &client.nodes[v % client.node_count];
}

void at_node(struct msg *m, struct bytes *b, uint32_t type)
{
	m->nodeid = pick(b, type)->id;
}

bool at_handle(struct msg *m, struct bytes *b, bool dir, uint64_t *fh)
{
	unsigned v = get8(b), i, n;

	for (i = 0; i < client.handle_count; i++) {
		n = (v + i) % client.handle_count;
		if (client.handles[n].dir != dir)
			continue;
		*fh = client.handles[n].fh;
		m->nodeid = client.handles[n].nodeid;
		return true;
	}
	return false;
}
