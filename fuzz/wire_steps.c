/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_steps.c - one request after the other, mostly sound, some hostile.
 *
 * A step is an opcode's number, what to do to the message, and the bytes of
 * which its fields are made: the body is cut, grown or changed, or its header
 * lies.  What the client has to know of it is noted here.
 */
#include <string.h>

#include "fuzz/wire_ops.h"
#include "ops/iomap_proto.h"

#define READ_MAX	(1 << 20)	/* of what the server may send */

/* ---- damage ---- */

static void change_byte(struct msg *m, struct bytes *b)
{
	size_t at = get8(b) % (m->len ? m->len : 1);
	uint8_t v = get8(b);

	if (m->len && (at < m->keep || at >= m->keep_end))
		m->body[at] = v;
}

static void damage(struct msg *m, struct bytes *b, unsigned how)
{
	static const uint8_t noise[64] = { 1, 0, 0, 0, 255, 255, 47 };

	switch (how) {
	case 0:
		m->len -= m->len < 1 ? 0 : 1;
		break;
	case 1:
		m->len = get8(b) % (m->len + 1);
		break;
	case 2:
		put(m, noise, 1 + get8(b) % 63);
		break;
	case 3:
		m->lie = (int)get8(b) - 128;
		break;
	case 4:
		m->lie = get32(b);
		break;
	case 5: case 6: case 7: case 8:
		change_byte(m, b);
		break;
	case 9:
		if (!m->keep_op)
			m->nodeid = get_num(b);
		break;
	case 10:
		m->refuse = true;
		break;
	case 11:
		m->uid = m->gid = get8(b) % 2 ? 1000 : UINT32_MAX;
		break;
	default:
		m->len = 0;
	}
	/* handles stay whole, or are cut off */
	if (m->keep_op && m->len < m->keep_end && m->len > m->keep)
		m->len = m->keep;
}

/* Lowers a 32 bit field of the body to what the socket can carry. */
static uint32_t limit(struct msg *m, size_t at)
{
	uint32_t v;

	if (m->len < at + 4)
		return 0;
	memcpy(&v, m->body + at, 4);
	if (v > READ_MAX)
		v = READ_MAX;
	memcpy(m->body + at, &v, 4);
	return v;
}

static uint64_t field64(const struct msg *m, size_t at)
{
	uint64_t v = 0;

	if (m->len >= at + 8)
		memcpy(&v, m->body + at, 8);
	return v;
}

/* What the client must know of the message as it will be sent. */
static void expect(struct msg *m)
{
	switch (m->opcode) {
	case FUSE_READ: case FUSE_READDIR: case FUSE_READDIRPLUS:
		m->max = limit(m, offsetof(struct fuse_read_in, size));
		break;
	case FUSE_WRITE:
		m->max = m->len;
		break;
	case FUSE_GETXATTR: case FUSE_LISTXATTR:
		m->max = limit(m, 0);
		break;
	case FUSE_IOCTL:
		m->max = limit(m, offsetof(struct fuse_ioctl_in, out_size)) +
			 sizeof(struct fuse_ioctl_out);
		break;
	case FUSE_COPY_FILE_RANGE:
		m->max = field64(m, offsetof(struct fuse_copy_file_range_in, len));
		break;
	case IOM_BEGIN:
		m->pos = field64(m, offsetof(struct iom_begin_in, pos));
		m->count = field64(m, offsetof(struct iom_begin_in, count));
		break;
	case FUSE_READLINK:
		m->max = 4096;
		break;
	case FUSE_INIT:
		m->max = sizeof(struct fuse_init_out);
		break;
	case IOM_CONFIG:
		m->max = IOM_CONFIG_OUT_MAX;
		break;
	}
}

static void drop_lookups(uint64_t id, uint64_t n)
{
	struct client_node *node = client_node(id);

	if (node && node->id != 1)
		node->lookups -= n < node->lookups ? n : node->lookups;
}

static void note_forget(const struct msg *m)
{
	uint64_t i, n;

	if (m->lie)
		return;
	if (m->opcode == FUSE_FORGET && m->len >= 8)
		drop_lookups(m->nodeid, field64(m, 0));
	if (m->opcode != FUSE_BATCH_FORGET || m->len < 8)
		return;
	n = field64(m, 0) & UINT32_MAX;
	for (i = 0; i < n && 8 + 16 * (i + 1) <= m->len; i++)
		drop_lookups(field64(m, 8 + 16 * i), field64(m, 16 + 16 * i));
}

void wire_step(struct bytes *b)
{
	static struct msg m;
	unsigned n = get8(b), how = get8(b);

	memset(&m, 0, offsetof(struct msg, body));
	build(&m, b, n, client.iomap);
	/* libfuse counts these per node, and relies on it */
	if (m.opcode == FUSE_RELEASE || m.opcode == FUSE_RELEASEDIR)
		how = 255;
	if (how < 52)
		damage(&m, b, how % 13);
	/* what is open is not forgotten */
	if (m.opcode == FUSE_FORGET)
		client_release(m.nodeid, false);
	else if (m.opcode == FUSE_BATCH_FORGET)
		client_release(0, false);
	expect(&m);
	note_forget(&m);
	client_send(&m);
}

/* ---- the beginning ---- */

static void send_init(struct bytes *b, unsigned how)
{
	static struct msg m;
	uint32_t body[16] = {
		7, how & 1 ? IOM_MINOR : 38, 1 << 20,
		how & 2 ? get32(b) | FUSE_INIT_EXT : 0x7fffffff & ~FUSE_INIT_EXT,
	};

	memset(&m, 0, offsetof(struct msg, body));
	if (how & 1) {
		body[3] |= IOM_INIT_EXT;
		body[4] = IOM_INIT2_IOMAP;
		client.offered = true;
	}
	m.opcode = FUSE_INIT;
	m.len = sizeof(body);
	memcpy(m.body, body, sizeof(body));
	expect(&m);
	client_send(&m);
	client_collect();
	if (!client.iomap)
		return;
	m.opcode = IOM_CONFIG;
	m.len = 0;
	m.nodeid = 0;
	b_config(&m, b);
	expect(&m);
	client_send(&m);
}

/* INIT, as HOW says; then lookups of what there is. */
void wire_init(struct bytes *b, unsigned how)
{
	static struct msg m;
	unsigned i;

	send_init(b, how);
	for (i = 0; i < FIRST_NEW - 4 && !(how & 4); i++) {
		memset(&m, 0, offsetof(struct msg, body));
		m.opcode = FUSE_LOOKUP;
		m.nodeid = 1;
		put(&m, names[i], strlen(names[i]) + 1);
		client_send(&m);
	}
}
