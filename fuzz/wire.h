/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - what the parts of the wire fuzzer share.
 *
 * wire_server.c runs the whole server in this process; wire_client.c is the
 * kernel's end of the socket; wire_ops.c makes requests out of bytes; wire.c
 * has images, seeds and judges.  One run at a time.
 */
#ifndef FUZZ_WIRE_H
#define FUZZ_WIRE_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MSG_MAX	(96 * 1024)

/* Prints, with the number of the run's request, and aborts. */
__attribute__((noreturn, format(printf, 1, 2)))
void wire_fail(const char *fmt, ...);
extern bool wire_trace;
__attribute__((format(printf, 1, 2)))
void wire_say(const char *fmt, ...);

/* ---- wire_server.c ---- */

/* Starts the program's main() with these arguments in a thread. */
void server_start(char **argv);
/* Waits for its end: the exit status. */
int server_join(void);
/* Nodes that the server had left at its end. */
size_t server_nodes_left(void);
/* The reply to UNIQUE, if it is an entry's, finds the request interrupted. */
void server_refuse(uint64_t unique);
#define WIRE_REFUSED	0x80000000u	/* in the length of such a reply */

/* How /dev/fuse behaves with iomap: what the ioctls and upserts return. */
struct server_dev {
	bool support;		/* IOC_SUPPORT says so */
	int open_err;		/* of BACKING_OPEN: 0 or an errno */
	int blocksize_err;
	int upsert_err;		/* of every second upsert */
	unsigned opened;	/* devices so far */
};
extern struct server_dev server_dev;

/* ---- wire_client.c ---- */

struct msg {
	uint32_t opcode;
	uint64_t nodeid;
	uint32_t uid, gid;
	int lie;			/* added to the header's length */
	size_t len;			/* of the body */
	size_t keep, keep_end;		/* of it, what must stay as it is */
	bool keep_op;			/* no other opcode with this body */
	bool refuse;			/* see server_refuse() */
	uint64_t max;			/* bytes that may come back */
	uint64_t pos, count;
	bool dir;			/* OPENDIR's, RELEASEDIR's handle */
	uint8_t body[WIRE_MSG_MAX];
};

struct client_node {
	uint64_t id, ino, lookups;
	uint32_t mode, flags;
};
struct client_handle {
	uint64_t fh, nodeid;
	bool dir;
};

#define CLIENT_NODES	1024
#define CLIENT_HANDLES	256

/* A write mapping that was given out, for an IOEND. */
struct client_io {
	uint64_t nodeid, ino, pos, len;
};

extern struct client {
	int sock;
	uint64_t image_size;
	unsigned depth;			/* requests that may be under way */
	bool multi;			/* the server has several threads */
	bool iomap, offered;		/* both agreed on it; it was offered */
	uint32_t block_size;		/* the volume's, or CONFIG's */
	bool shutdown;			/* the volume was shut down */
	bool inited, destroyed;
	struct client_node nodes[CLIENT_NODES];
	unsigned node_count;
	struct client_handle handles[CLIENT_HANDLES];
	unsigned handle_count;
	struct client_io io;
} client;

void client_start(int sock);
/* Sends it; collects replies where no more requests may be under way. */
void client_send(const struct msg *m);
/* Waits until everything sent so far is answered. */
void client_collect(void);
struct client_node *client_node(uint64_t id);
/* Gives back the handles of one node (0: of all), or only of directories:
 * libfuse cannot free those by itself. */
void client_release(uint64_t nodeid, bool dirs);
/* Gives back all handles and lookups, and says good-bye. */
void client_release_all(void);
/* At the end: nothing may be left unanswered. */
void client_end(void);

/* ---- wire_fields.c, wire_steps.c ---- */

/* Bytes as numbers, small and hostile ones. */
struct bytes {
	const uint8_t *p, *end;
};
uint8_t get8(struct bytes *b);
uint64_t get_num(struct bytes *b);
void wire_init(struct bytes *b, unsigned how);
/* One request of the next bytes. */
void wire_step(struct bytes *b);

#endif
