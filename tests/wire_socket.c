/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_socket.c - plays the kernel over a socket pair.
 *
 * The server is given "/dev/fd/N" as mount point, a descriptor on which it
 * expects the FUSE protocol; here it is a socket, and this program sends the
 * requests.  What must hold: one nodeid per inode whatever its names are;
 * counts that forgets bring down to nothing; a message that no kernel sends
 * (unknown nodeids, short or unterminated bodies, bad names) is answered with
 * an error and ends nothing; the volume is clean afterwards.
 *
 * usage: FUSE2FS=path/to/fuse2fs wire_socket
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops/iomap_proto.h"
#include "tap.h"

static int sock;
static pid_t server;
static uint64_t unique = 100;
static char image[300], dir[256];

static struct {
	struct fuse_out_header h;
	union {
		uint8_t data[1 << 17];
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct fuse_init_out init;
	};
} reply;

static void start(void)
{
	const char *prog = getenv("FUSE2FS");
	int fds[2], size = 4 << 20;
	char cmd[1024], target[32];

	if (!prog)
		bail("FUSE2FS is not set");
	snprintf(dir, sizeof(dir), "%s/wire.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir))
		bail("mkdtemp");
	snprintf(image, sizeof(image), "%s/img", dir);
	snprintf(cmd, sizeof(cmd), "mke2fs -q -F -t ext4 %s 32M", image);
	if (system(cmd))
		bail("mke2fs");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds))
		bail("socketpair");
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	server = fork();
	if (!server) {
		close(fds[0]);
		snprintf(target, sizeof(target), "/dev/fd/%d", fds[1]);
		execl(prog, prog, "-f", "-ofuse2fs_debug", image, target,
		      (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	sock = fds[0];
}

/* Sends a request; the body is LEN bytes, LIE is added to the length said. */
static void send_lying(uint32_t opcode, uint64_t nodeid, const void *body,
		       size_t len, int lie)
{
	static char buf[1 << 16];
	struct fuse_in_header h = {
		.len = sizeof(h) + len + lie, .opcode = opcode,
		.unique = unique += 2, .nodeid = nodeid, .pid = getpid(),
	};

	memcpy(buf, &h, sizeof(h));
	if (len)
		memcpy(buf + sizeof(h), body, len);
	if (send(sock, buf, sizeof(h) + len, 0) < 0)
		bail("send");
}

/* The error of the reply (0 or negative); 1: no reply in time. */
static int receive(void)
{
	struct timeval tv = { .tv_sec = 10 };
	ssize_t n;

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	do {
		n = recv(sock, &reply, sizeof(reply), 0);
		if (n < (ssize_t)sizeof(reply.h))
			return 1;
	} while (!reply.h.unique);	/* a notification */
	if (reply.h.len != n || reply.h.unique != unique)
		printf("# reply of %zd bytes: len %u, unique %llu for %llu\n",
		       n, reply.h.len, (unsigned long long)reply.h.unique,
		       (unsigned long long)unique);
	return reply.h.error;
}

static int request(uint32_t opcode, uint64_t nodeid, const void *body, size_t len)
{
	send_lying(opcode, nodeid, body, len, 0);
	return receive();
}

/* A fixed part, then strings, then NULL. */
static int request_names(uint32_t opcode, uint64_t nodeid, const void *head,
			 size_t head_len, ...)
{
	char body[8192];
	const char *name;
	va_list ap;

	if (head_len)
		memcpy(body, head, head_len);
	va_start(ap, head_len);
	while ((name = va_arg(ap, const char *))) {
		strcpy(body + head_len, name);
		head_len += strlen(name) + 1;
	}
	va_end(ap);
	return request(opcode, nodeid, body, head_len);
}

static int lookup(uint64_t parent, const char *name)
{
	return request_names(FUSE_LOOKUP, parent, NULL, 0, name, NULL);
}

static int getattr(uint64_t nodeid)
{
	struct fuse_getattr_in in = { .getattr_flags = 0 };

	return request(FUSE_GETATTR, nodeid, &in, sizeof(in));
}

static void forget(uint64_t nodeid, uint64_t n)
{
	struct fuse_forget_in in = { .nlookup = n };

	send_lying(FUSE_FORGET, nodeid, &in, sizeof(in), 0);
}

static void test_init(void)
{
	struct fuse_init_in in = {
		.major = 7, .minor = 38, .max_readahead = 1 << 20,
		.flags = 0x7fffffff & ~FUSE_INIT_EXT,
	};

	is(request(FUSE_INIT, 0, &in, sizeof(in)), 0, "INIT");
	ok(reply.init.flags & FUSE_PARALLEL_DIROPS, "parallel dirops");
	ok(reply.init.flags & FUSE_HANDLE_KILLPRIV_V2, "killpriv v2");
	ok(reply.init.flags & FUSE_WRITEBACK_CACHE, "writeback cache");
	ok(reply.init.flags & FUSE_POSIX_ACL, "posix acl");
	ok(!(reply.init.flags & (FUSE_AUTO_INVAL_DATA | FUSE_SPLICE_READ |
				 FUSE_HANDLE_KILLPRIV)), "what is not wanted");
	is(reply.init.max_write, 1 << 20, "max_write is 1 MiB");
}

static uint64_t make_file(uint64_t parent, const char *name, int want)
{
	struct fuse_mknod_in in = { .mode = S_IFREG | 0644, .umask = 022 };

	is(request_names(FUSE_MKNOD, parent, &in, sizeof(in), name, NULL),
	   want, "mknod");
	return reply.entry.nodeid;
}

static void test_names(void)
{
	unsigned tries;
	struct fuse_mkdir_in mk = { .mode = 0777, .umask = 022 };
	struct fuse_link_in ln;
	uint64_t d, f;

	is(request_names(FUSE_MKDIR, 1, &mk, sizeof(mk), "d", NULL), 0, "mkdir");
	d = reply.entry.nodeid;
	is(reply.entry.attr.mode, S_IFDIR | 0755, "its mode");
	f = make_file(d, "a", 0);
	ln.oldnodeid = f;
	is(request_names(FUSE_LINK, 1, &ln, sizeof(ln), "b", NULL), 0, "link");
	is(reply.entry.nodeid, f, "a second name has the same nodeid");
	is(reply.entry.attr.nlink, 2, "and two links");
	is(lookup(1, "b"), 0, "lookup of the second");
	is(reply.entry.nodeid, f, "the same again");
	is(lookup(d, "a"), 0, "lookup of the first");
	is(reply.entry.nodeid, f, "the same");
	is(request_names(FUSE_UNLINK, d, NULL, 0, "a", NULL), 0, "unlink the first");
	is(lookup(d, "a"), 0, "it is gone:");
	is(reply.entry.nodeid, 0, "a negative entry");
	ok(reply.entry.entry_valid > 1000, "which may be kept");
	is(getattr(f), 0, "the node lives on");
	is(reply.attr.attr.nlink, 1, "with one link");
	is(lookup(d, ".."), 0, "lookup of ..");
	is(reply.entry.nodeid, 1, "is the root");
	is(lookup(d, "."), 0, "lookup of .");
	is(reply.entry.nodeid, d, "is itself");
	forget(f, 4);
	/* it has no reply, so another thread may take what follows first */
	for (tries = 0; tries < 1000 && getattr(f) != -ESTALE; tries++)
		usleep(10000);
	ok(tries < 1000, "forgotten");
	is(lookup(1, "b"), 0, "looked up anew");
	ok(reply.entry.nodeid != f && reply.entry.attr.nlink == 1,
	   "has another nodeid");
}

static void test_unlinked_open(void)
{
	struct fuse_open_in op = { .flags = O_RDWR };
	struct fuse_setattr_in sa = { .valid = FATTR_MODE, .mode = 0600 };
	struct fuse_release_in rel = { .flags = O_RDWR };
	uint64_t f = make_file(1, "u", 0);

	is(request(FUSE_OPEN, f, &op, sizeof(op)), 0, "open");
	rel.fh = reply.open.fh;
	is(request_names(FUSE_UNLINK, 1, NULL, 0, "u", NULL), 0, "unlink it");
	is(getattr(f), 0, "fstat");
	is(reply.attr.attr.nlink, 0, "no links");
	is(request(FUSE_SETATTR, f, &sa, sizeof(sa)), 0, "fchmod");
	is(reply.attr.attr.mode, S_IFREG | 0600, "its mode");
	is(request(FUSE_RELEASE, f, &rel, sizeof(rel)), 0, "release");
	is(getattr(f), -ESTALE, "gone with the last close");
	make_file(1, "v", 0);
	is(getattr(f), -ESTALE, "a new file in its place is another");
	forget(f, 1);
}

/* READDIRPLUS counts a lookup for each record. */
static void test_readdirplus(void)
{
	struct fuse_read_in in = { .size = 65536 };
	struct fuse_direntplus *d;
	size_t pos, len;
	int n = 0, counted = 0;

	is(request(FUSE_READDIRPLUS, 1, &in, sizeof(in)), 0, "readdirplus");
	len = reply.h.len - sizeof(reply.h);
	for (pos = 0; pos < len; pos += FUSE_DIRENTPLUS_SIZE(d)) {
		d = (void *)(reply.data + pos);
		n++;
		if (d->entry_out.nodeid)
			counted++;
	}
	is(n, 6, "six entries");	/* . .. lost+found d b v */
	is(counted, 4, "four with a node");
	in.size = 16;
	is(request(FUSE_READDIRPLUS, 1, &in, sizeof(in)), -EINVAL,
	   "a buffer too small for one");
}

static void test_malformed(void)
{
	static const uint32_t ops[] = {
		FUSE_LOOKUP, FUSE_GETATTR, FUSE_SETATTR, FUSE_READLINK,
		FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK, FUSE_RMDIR,
		FUSE_RENAME, FUSE_LINK, FUSE_OPEN, FUSE_READ, FUSE_WRITE,
		FUSE_STATFS, FUSE_RELEASE, FUSE_FSYNC, FUSE_SETXATTR,
		FUSE_GETXATTR, FUSE_LISTXATTR, FUSE_REMOVEXATTR, FUSE_FLUSH,
		FUSE_OPENDIR, FUSE_READDIR, FUSE_RELEASEDIR, FUSE_FSYNCDIR,
		FUSE_ACCESS, FUSE_CREATE, FUSE_BMAP, FUSE_IOCTL,
		FUSE_FALLOCATE, FUSE_READDIRPLUS, FUSE_RENAME2, FUSE_LSEEK,
		FUSE_COPY_FILE_RANGE, IOM_STATX,
	};
	static const char noise[300] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct fuse_rename_in rn = { .newdir = 9999 };
	struct fuse_link_in ln = { .oldnodeid = 9999 };
	struct fuse_mkdir_in mk = { .mode = 0755 };
	unsigned i, bad = 0;
	char name[400];

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		bad += request(ops[i], 4711, noise, sizeof(noise)) != -ESTALE;
	is(bad, 0, "an unknown nodeid is -ESTALE for every request");
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i] != FUSE_STATFS && ops[i] != FUSE_READLINK)
			bad += request(ops[i], 1, NULL, 0) != -EINVAL;
	}
	is(bad, 0, "an empty body is -EINVAL");
	is(request(4096, 1, noise, sizeof(noise)), -ENOSYS, "unknown opcode");
	for (i = IOM_FREEZE; i <= IOM_END; i++)
		bad += request(i, 1, noise, sizeof(noise)) != -ENOSYS;
	is(bad, 0, "iomap's are unknown where it was not offered");
	is(request(FUSE_LOOKUP, 1, "name", 4), -EINVAL, "a name without an end");
	is(lookup(1, "a/b"), -EINVAL, "a name with a slash");
	is(lookup(1, ""), -EINVAL, "an empty name");
	is(request_names(FUSE_MKDIR, 1, &mk, sizeof(mk), "x/y", NULL), -EINVAL,
	   "mkdir with a slash");
	is(request_names(FUSE_RENAME, 1, &rn, sizeof(rn), "b", "c", NULL),
	   -ESTALE, "rename into nowhere");
	is(request_names(FUSE_LINK, 1, &ln, sizeof(ln), "c", NULL), -ESTALE,
	   "link of nothing");
	memset(name, 'n', sizeof(name));
	name[256] = 0;
	is(lookup(1, name), -ENAMETOOLONG, "256 bytes are too many");
	is(request_names(FUSE_MKDIR, 1, &mk, sizeof(mk), name, NULL),
	   -ENAMETOOLONG, "for mkdir, too");
	send_lying(FUSE_GETATTR, 1, noise, 16, 8);
	is(receive(), -EINVAL, "a length that is not the message's");
	forget(4711, 1);
	forget(1, 1000);
	send_lying(FUSE_BATCH_FORGET, 0, noise, 24, 0);
	is(getattr(1), 0, "it still serves");
}

static void test_end(void)
{
	char cmd[600];
	int status;

	close(sock);
	if (waitpid(server, &status, 0) != server)
		bail("waitpid");
	ok(WIFEXITED(status) && !WEXITSTATUS(status), "it ends well");
	snprintf(cmd, sizeof(cmd), "e2fsck -fn %s >/dev/null 2>&1", image);
	is(system(cmd), 0, "e2fsck finds nothing");
	unlink(image);
	rmdir(dir);
}

int main(void)
{
	start();
	test_init();
	test_names();
	test_unlinked_open();
	test_readdirplus();
	test_malformed();
	test_end();
	return done();
}
