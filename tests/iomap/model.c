/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.c - starts and ends the program, negotiates, carries requests.
 *
 * A thread receives replies and hands them to who waits; another (device.c)
 * answers what the preloaded library asks.  See model.h for locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model.h"

#define MAX_MESSAGE	((1 << 20) + 8192)
#define WAIT_SECONDS	60
#define TABLE_BLOCKS	(1u << 20)
#define KERNEL_FLAGS	0x7fffffffu

_Static_assert(IOM_FREEZE == 4089 && IOM_UNFREEZE == 4090 &&
	       IOM_SHUTDOWN == 4091 && IOM_CONFIG == 4092 &&
	       IOM_IOEND == 4093 && IOM_BEGIN == 4094 && IOM_END == 4095,
	       "opcodes");
_Static_assert(IOM_NOTIFY_DEV_INVAL == 99 && IOM_NOTIFY_UPSERT == 100 &&
	       IOM_NOTIFY_INVAL == 101, "notifications");

struct model M;

void note(const char *fmt, ...)
{
	char line[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("# %s\n", line);
	fflush(stdout);
}

void violation(const char *fmt, ...)
{
	char line[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (__atomic_add_fetch(&M.violations, 1, __ATOMIC_RELAXED) <= 40)
		note("violation: %s", line);
}

uint64_t model_random(void)
{
	uint64_t x;

	pthread_mutex_lock(&M.lock);
	x = M.rng += 0x9e3779b97f4a7c15u;
	pthread_mutex_unlock(&M.lock);
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* ---- requests ---- */

static void deliver(const struct fuse_out_header *h, const uint8_t *data,
		    size_t len)
{
	struct call *c;
	unsigned i;

	if (h->len != len + sizeof(*h)) {
		violation("a reply of %zu bytes says %u", len + sizeof(*h), h->len);
		return;
	}
	if (!h->unique)
		return;		/* an ordinary notification */
	for (i = 0; i < MAX_CALLS; i++) {
		c = &M.calls[i];
		if (!c->used || c->done || c->unique != h->unique)
			continue;
		if (h->error > 0 || h->error < -4095)
			violation("error %d in a reply", h->error);
		if (h->error && len)
			violation("an error reply with %zu bytes", len);
		c->error = h->error;
		c->len = len;
		if (c->out)
			memcpy(c->out, data, min_u64(len, c->max));
		c->order = ++M.answers;
		c->done = true;
		pthread_cond_broadcast(&M.cond);
		return;
	}
	violation("a reply to nobody: unique %llu", (unsigned long long)h->unique);
}

static void *receive(void *arg)
{
	static struct {
		struct fuse_out_header h;
		uint8_t data[MAX_MESSAGE];
	} msg;
	ssize_t n;

	while ((n = recv(M.sock, &msg, sizeof(msg), 0)) > 0) {
		pthread_mutex_lock(&M.lock);
		if (n < (ssize_t)sizeof(msg.h))
			violation("a reply of %zd bytes", n);
		else
			deliver(&msg.h, msg.data, n - sizeof(msg.h));
		pthread_mutex_unlock(&M.lock);
	}
	pthread_mutex_lock(&M.lock);
	M.dead = true;
	pthread_cond_broadcast(&M.cond);
	pthread_mutex_unlock(&M.lock);
	return arg;
}

static struct call *call_get(void *out, size_t max, bool reply)
{
	struct call *c;
	unsigned i;

	for (;;) {
		for (i = 0; i < MAX_CALLS; i++) {
			c = &M.calls[i];
			if (c->used)
				continue;
			memset(c, 0, sizeof(*c));
			c->used = reply;
			c->unique = M.unique += 2;
			c->out = out;
			c->max = max;
			M.stats.requests++;
			return c;
		}
		pthread_cond_wait(&M.cond, &M.lock);
	}
}

static bool send_message(uint32_t opcode, uint64_t nodeid, uint64_t unique,
			 const void *a, size_t a_len, const void *b, size_t b_len)
{
	struct fuse_in_header h = {
		.len = sizeof(h) + a_len + b_len, .opcode = opcode,
		.unique = unique, .nodeid = nodeid, .pid = getpid(),
	};
	struct iovec iov[3] = {
		{ &h, sizeof(h) }, { (void *)a, a_len }, { (void *)b, b_len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };

	if (opcode == IOM_CONFIG)
		h.pid = 0;
	return sendmsg(M.sock, &msg, MSG_NOSIGNAL) == (ssize_t)h.len;
}

struct call *call_send(uint32_t opcode, uint64_t nodeid, const void *a,
		       size_t a_len, const void *b, size_t b_len, void *out,
		       size_t max)
{
	struct call *c;
	uint64_t unique;

	pthread_mutex_lock(&M.lock);
	c = call_get(out, max, true);
	unique = c->unique;
	if (opcode == FUSE_READ)
		M.stats.reads++;
	if (opcode == FUSE_WRITE)
		M.stats.writes++;
	pthread_mutex_unlock(&M.lock);
	if (!send_message(opcode, nodeid, unique, a, a_len, b, b_len)) {
		pthread_mutex_lock(&M.lock);
		c->done = true;
		c->error = -ENOTCONN;
		pthread_mutex_unlock(&M.lock);
	}
	return c;
}

int call_wait(struct call *c, size_t *len)
{
	struct timespec until;
	int err;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	pthread_mutex_lock(&M.lock);
	while (!c->done && !M.dead) {
		if (pthread_cond_timedwait(&M.cond, &M.lock, &until) != ETIMEDOUT)
			continue;
		violation("no answer within %d seconds", WAIT_SECONDS);
		kill(M.server, SIGKILL);
		M.dead = true;
	}
	err = c->done ? c->error : -ENOTCONN;
	if (len)
		*len = c->done ? c->len : 0;
	c->used = false;
	pthread_cond_broadcast(&M.cond);
	pthread_mutex_unlock(&M.lock);
	return err;
}

int call(uint32_t opcode, uint64_t nodeid, const void *a, size_t a_len,
	 const void *b, size_t b_len, void *out, size_t max, size_t *len)
{
	return call_wait(call_send(opcode, nodeid, a, a_len, b, b_len, out, max),
			 len);
}

void call_forget(uint64_t nodeid, uint64_t n)
{
	struct fuse_forget_in in = { .nlookup = n };
	uint64_t unique;

	pthread_mutex_lock(&M.lock);
	unique = call_get(NULL, 0, false)->unique;
	pthread_mutex_unlock(&M.lock);
	send_message(FUSE_FORGET, nodeid, unique, &in, sizeof(in), NULL, 0);
}

/* ---- start ---- */

static int make_table(void)
{
	size_t size = sizeof(struct table) + TABLE_BLOCKS * sizeof(uint32_t);
	int fd = memfd_create("table", 0);

	if (fd < 0 || ftruncate(fd, size))
		return -1;
	M.table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (M.table == MAP_FAILED)
		return -1;
	M.table->blocks = TABLE_BLOCKS;
	return fd;
}

static void set_env(const char *name, int fd)
{
	char text[20];

	snprintf(text, sizeof(text), "%d", fd);
	setenv(name, text, 1);
}

static void child(int fuse, int ctl, int table)
{
	const struct model_opt *o = &M.opt;
	const char *preload = o->preload ? o->preload : getenv("IOMAP_PRELOAD");
	const char *program = o->program ? o->program : getenv("FUSE2FS");
	char target[40], opts[400], asan[400];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(target, sizeof(target), "/dev/fd/%d", fuse);
	snprintf(opts, sizeof(opts), "-ofuse2fs_debug%s%s",
		 o->mount_opts ? "," : "", o->mount_opts ? o->mount_opts : "");
	set_env(ENV_FUSE, fuse);
	set_env(ENV_CTL, ctl);
	set_env(ENV_TABLE, table);
	snprintf(asan, sizeof(asan), "verify_asan_link_order=0:%s",
		 getenv("ASAN_OPTIONS") ? getenv("ASAN_OPTIONS") : "");
	setenv("ASAN_OPTIONS", asan, 1);
	if (o->log) {
		fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
		if (fd >= 0)
			dup2(fd, 1), dup2(fd, 2), close(fd);
	}
	if (!program || !preload)
		_exit(126);
	setenv("LD_PRELOAD", preload, 1);
	execl(program, program, "-f", opts, o->source, target, (char *)NULL);
	_exit(127);
}

static int start_program(void)
{
	int fuse[2], ctl[2], table, size = 8 << 20;

	table = make_table();
	if (table < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fuse) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ctl))
		return -errno;
	setsockopt(fuse[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fuse[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	fcntl(fuse[0], F_SETFD, FD_CLOEXEC);
	fcntl(ctl[0], F_SETFD, FD_CLOEXEC);
	fflush(stdout);
	M.server = fork();
	if (M.server < 0)
		return -errno;
	if (!M.server)
		child(fuse[1], ctl[1], table);
	close(fuse[1]);
	close(ctl[1]);
	close(table);
	M.sock = fuse[0];
	M.ctl = ctl[0];
	if (pthread_create(&M.reader, NULL, receive, NULL) ||
	    pthread_create(&M.controller, NULL, device_control, NULL))
		return -EAGAIN;
	return 0;
}

/* Rules for INIT's answer; whether it takes the offer. */
static bool init_accepted(bool offered)
{
	const struct fuse_init_out *o = &M.init;
	bool bit;

	if (M.init_len < 64) {
		violation("INIT answered with %zu bytes", M.init_len);
		return false;
	}
	bit = o->flags2 & IOM_INIT2_IOMAP;
	if (bit && !offered)
		violation("the iomap bit was not offered");
	if (!offered && o->minor >= IOM_MINOR)
		violation("minor %u to a kernel without iomap", o->minor);
	if (bit && (o->minor != IOM_MINOR || !(o->flags & IOM_INIT_EXT)))
		violation("iomap accepted with minor %u, flags %x", o->minor, o->flags);
	if (!bit && o->minor == IOM_MINOR)
		violation("minor 99, but no iomap");
	if (o->major != 7)
		violation("major %u", o->major);
	return bit;
}

static int negotiate_init(void)
{
	const struct model_opt *opt = &M.opt;
	uint32_t minor = opt->minor ? opt->minor : IOM_MINOR;
	struct fuse_init_in in = {
		.major = 7, .minor = minor,
		.max_readahead = 1 << 20,
		.flags = KERNEL_FLAGS,
		.flags2 = 0x5fd,
	};
	bool offered = !opt->plain && !opt->short_init && !opt->no_init_ext &&
		       minor >= IOM_MINOR;
	size_t len = opt->short_init ? 16 : sizeof(in);
	int err;

	if (!opt->plain)
		in.flags2 |= IOM_INIT2_IOMAP;
	if (opt->no_init_ext || opt->short_init)
		in.flags &= ~FUSE_INIT_EXT;
	err = call(FUSE_INIT, 0, &in, len, NULL, 0, &M.init, sizeof(M.init),
		   &M.init_len);
	if (!err)
		M.iomap = init_accepted(offered);
	return err;
}

static void check_config(size_t len)
{
	const struct iom_config_out *c = &M.config;

	if (len < IOM_CONFIG_OUT_MIN || len > IOM_CONFIG_OUT_MAX)
		violation("CONFIG answered with %zu bytes", len);
	if (c->flags & ~0x7full)
		violation("CONFIG flags %llx", (unsigned long long)c->flags);
	if (c->pad[0] | c->pad[1] | c->pad[2])
		violation("CONFIG pad is not zero");
	if ((c->flags & IOM_CONFIG_UUID) && c->uuid_len > 16)
		violation("uuid of %u bytes", c->uuid_len);
	if (!(c->flags & IOM_CONFIG_BLOCKSIZE) || c->blocksize < 1024 ||
	    c->blocksize > 65536 || c->blocksize & (c->blocksize - 1))
		violation("block size %u", c->blocksize);
	if ((c->flags & IOM_CONFIG_TIME) &&
	    (!c->time_gran || c->time_gran > 1000000000 ||
	     c->time_min >= c->time_max))
		violation("times: %u ns", c->time_gran);
	if ((c->flags & IOM_CONFIG_MAXBYTES) && c->maxbytes <= 0)
		violation("maxbytes %lld", (long long)c->maxbytes);
	if (!M.dev && !M.opt.open_errno)
		violation("CONFIG answered, no device registered");
	if (M.dev && device_block_size() != c->blocksize &&
	    M.dev_block_size != c->blocksize)
		violation("block size of the device is %u, not %u",
			  device_block_size(), c->blocksize);
}

static int negotiate_config(void)
{
	struct iom_config_in in = {
		.flags = 0x7f, .maxbytes = INT64_MAX, .cache_maxbytes = 262144,
	};
	size_t len = 0;
	int err;

	M.config_sent = true;
	err = call(IOM_CONFIG, 0, &in, sizeof(in), NULL, 0, &M.config,
		   sizeof(M.config), &len);
	if (err == -ENOSYS)
		return 0;
	if (err)
		return err;
	check_config(len);
	M.block_size = M.config.blocksize;
	M.max_bytes = M.config.flags & IOM_CONFIG_MAXBYTES ?
		      (uint64_t)M.config.maxbytes : INT64_MAX;
	M.table->block_size = M.block_size;
	__atomic_store_n(&M.table->configured, 1, __ATOMIC_RELAXED);
	return 0;
}

int model_start(const struct model_opt *opt)
{
	uint64_t seed = M.rng;
	int err;

	memset(&M, 0, sizeof(M));
	M.rng = seed;
	M.opt = *opt;
	M.unique = 1000;
	M.block_size = PAGE;
	M.max_bytes = INT64_MAX;
	pthread_mutex_init(&M.lock, NULL);
	pthread_cond_init(&M.cond, NULL);
	M.image = open(opt->image, O_RDWR | O_CLOEXEC);
	if (M.image < 0)
		return -errno;
	err = start_program();
	if (!err)
		err = negotiate_init();
	if (!err && M.iomap && !opt->no_config)
		err = negotiate_config();
	if (err == -ENOTCONN) {
		model_wait();
		return MODEL_GONE;
	}
	return err || opt->no_root ? err : name_lookup(NULL, NULL, &M.root);
}

/* ---- end ---- */

int model_wait(void)
{
	int status = 0;

	shutdown(M.sock, SHUT_RDWR);
	if (M.server > 0 && waitpid(M.server, &status, 0) == M.server)
		M.status = WIFEXITED(status) ? WEXITSTATUS(status) :
					       128 + WTERMSIG(status);
	shutdown(M.ctl, SHUT_RDWR);
	pthread_join(M.reader, NULL);
	pthread_join(M.controller, NULL);
	close(M.sock);
	close(M.ctl);
	close(M.image);
	munmap(M.table, sizeof(struct table) + TABLE_BLOCKS * sizeof(uint32_t));
	M.table = NULL;
	M.server = 0;
	return M.status;
}

void model_kill(void)
{
	kill(M.server, SIGKILL);
	model_wait();
}

int model_unmount(void)
{
	unsigned i;

	for (i = 0; i < M.inode_count; i++) {
		if (!M.inodes[i]->evicted && M.inodes[i]->mapped &&
		    M.inodes[i]->nlink)
			pages_writeback(M.inodes[i], 0, UINT64_MAX);
	}
	for (i = 0; i < M.inode_count; i++) {
		if (!M.inodes[i]->evicted && M.inodes[i]->times_dirty)
			file_push_times(M.inodes[i]);
	}
	if (M.iomap) {
		fs_syncfs();
		if (call(FUSE_DESTROY, 0, NULL, 0, NULL, 0, NULL, 0, NULL))
			violation("DESTROY fails");
		if (M.rdev && device_in_use())
			violation("DESTROY answered, the device is still open");
	}
	return model_wait();
}
