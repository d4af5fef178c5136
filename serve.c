/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve.c - from the mounted session to the end of the mount.
 *
 * Goes into the background, tells the caller when the mount can be used, waits
 * for its end, and takes it down.  The parent waits until the kernel has its
 * answer to INIT, and to CONFIG with iomap: when it exits with 0 the mount can
 * be used.  Knows no options but those that concern this.
 *
 * Locks: none.
 */
#include "ops/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iomap.h"
#include "sys/daemon.h"
#include "sys/log.h"
#include "sys/mount.h"

/* The kernel configures iomap at once, if it does. */
#define CONFIG_MS	5000

/* After DESTROY what was open is closed at once, if the kernel is to be
 * believed. */
#define CLOSE_MS	10000

/* Open files keep a lazily unmounted volume alive this long at a signal. */
#define GRACE_MS	300

bool wants_times(const struct options *o)
{
	return o->lazytime || o->strictatime;
}

void refuse_iomap(const struct options *o)
{
	msg_err(o->iomap == IOMAP_REQUIRED ? "Could not enable iomap." :
		"Some mount options require iomap.");
	msg_err("It takes a kernel that has it switched on, the right to use it, and a block device.");
	msg_err("Leave out iomap=1, lazytime and strictatime to go without.");
}

/* ---- into the background ---- */

/*
 * Forks.  The child goes on, with srv->ready_fd set; the parent waits for a
 * byte from it and ends with 0, or with the child's exit code.
 */
int go_background(struct server *srv)
{
	int fds[2], status;
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		status = -errno;
		close(fds[0]);
		close(fds[1]);
		return status;
	}
	if (pid) {
		close(fds[1]);
		if (read(fds[0], &byte, 1) == 1)
			_exit(EXIT_OK);
		if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
			_exit(WEXITSTATUS(status));
		_exit(EXIT_MOUNT);
	}
	close(fds[0]);
	setsid();
	srv->ready_fd = fds[1];
	return 0;
}

/* As the kernel says it. */
void log_mount(const struct server *srv, const char *what)
{
	char text[2 * sizeof(srv->uuid) + 5], *p = text;
	size_t i;

	if (!srv->opt.kernel)
		return;
	for (i = 0; i < sizeof(srv->uuid); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += sprintf(p, "%02x", srv->uuid[i]);
	}
	msg_log("%s filesystem %s.", what, text);
}

/* INIT has been answered: lets the parent go, and its terminal. */
void on_live(struct server *srv)
{
	srv->live = true;
	if (srv->ready_fd >= 0)
		daemon_leave_terminal(srv->opt.kernel);
	log_mount(srv, "mounted");
	if (srv->ready_fd < 0)
		return;
	if (write(srv->ready_fd, "", 1) != 1)
		msg_debug("nobody waits for the mount");
	close(srv->ready_fd);
	srv->ready_fd = -1;
}

/* ---- serving ---- */

static unsigned thread_count(const struct options *o)
{
	long n;

	if (o->single)
		return 1;
	if (o->max_threads)
		return o->max_threads;
	n = sysconf(_SC_NPROCESSORS_ONLN) + 1;
	return n < 2 ? 2 : n > 4 ? 4 : n;
}

/* Has the kernel write its dirty pages, while there are threads to take them. */
static void sync_mount(const char *mountpoint)
{
	int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	syncfs(fd);
	close(fd);
}

/*
 * It is decided whether the kernel does the I/O: the mount can be used, or
 * is not what was asked for (false).
 */
static bool go_live(struct server *srv)
{
	const struct options *o = &srv->opt;
	int err = 0;

	if (!iomap_live(srv) && iomap_required(srv)) {
		refuse_iomap(o);
		return false;
	}
	if (wants_times(o) && srv->premounted)
		msg_warn("lazytime and strictatime are for who made the mount.");
	else if (wants_times(o))
		err = mount_set_times(srv->mountpoint, o->lazytime,
				      o->strictatime, o->fs.dirsync);
	if (err) {
		msg_err("lazytime, strictatime: %s", strerror(-err));
		return false;
	}
	on_live(srv);
	return true;
}

/* What the threads woke us for; true at the end. */
static bool threads_ended(struct server *srv, bool timeout)
{
	if (timeout && wire_destroying(srv))
		return true;
	if (timeout)
		iomap_give_up(srv);
	if (iomap_settled(srv) && !srv->live && !go_live(srv))
		srv->no_iomap = true;
	return srv->no_iomap || wire_ended(srv);
}

/* How long to wait for what must come soon, ms; -1: for nothing. */
static int patience(const struct server *srv)
{
	if (wire_destroying(srv))
		return CLOSE_MS;
	return iomap_asked(srv) && !srv->live ? CONFIG_MS : -1;
}

/* Returns when a thread has left, or a signal came; true for a signal. */
static bool wait_for_end(struct server *srv, int signal_fd)
{
	struct pollfd pfds[2] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = wire_event_fd(srv), .events = POLLIN },
	};
	struct signalfd_siginfo si;
	uint64_t count;
	int n;

	for (;;) {
		n = poll(pfds, 2, patience(srv));
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0 && (pfds[0].revents & POLLIN))
			return read(signal_fd, &si, sizeof(si)) == sizeof(si);
		if (n > 0 && read(pfds[1].fd, &count, sizeof(count)) < 0)
			msg_debug("eventfd: %s", strerror(errno));
		if (threads_ended(srv, !n))
			return false;
	}
}

/* Not what somebody else has mounted there since ours was taken away. */
static void *unmount(void *arg)
{
	struct server *srv = arg;
	struct pollfd pfd = { .fd = fuse_session_fd(srv->se) };

	/* without a connection libfuse only tidies up */
	if (srv->mount_id < 0 || srv->mount_id == mount_id(srv->mountpoint) ||
	    (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLERR)))
		fuse_unmount(srv->fuse);
	__atomic_store_n(&srv->unmounted, true, __ATOMIC_RELEASE);
	wire_wake_main(srv);
	return NULL;
}

/*
 * With iomap umount(2) waits for the answer to DESTROY, which is given when
 * all is closed: so it is a thread that waits.
 */
static void begin_unmount(struct server *srv)
{
	if (iomap_asked(srv) &&
	    !pthread_create(&srv->unmounter, NULL, unmount, srv))
		srv->unmounting = true;
	else
		unmount(srv);
}

/* The kernel writes what it has, and sends DESTROY, if nobody uses it. */
static void await_destroy(struct server *srv)
{
	struct pollfd pfd = { .fd = wire_event_fd(srv), .events = POLLIN };
	uint64_t count;

	while (!wire_ended(srv) &&
	       !__atomic_load_n(&srv->unmounted, __ATOMIC_ACQUIRE)) {
		if (!poll(&pfd, 1, CLOSE_MS))
			return;
		if (read(pfd.fd, &count, sizeof(count)) < 0)
			msg_debug("eventfd: %s", strerror(errno));
	}
}

/* From the mounted session to the end of the mount. */
int serve(struct server *srv)
{
	int signal_fd, err;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return -errno;
	if (chdir("/"))
		msg_debug("chdir: %s", strerror(errno));
	daemon_oom_score(srv->opt.oom_score_adj);

	/* threads get it from who starts them: the commits' need it, too */
	if (srv->iomap && srv->iomap_support > 0)
		iomap_dev_nofs(wire_fd(srv));
	err = fs_start(srv->fs);
	if (!err)
		err = wire_start(srv, thread_count(&srv->opt));
	if (!err && wait_for_end(srv, signal_fd))
		sync_mount(srv->mountpoint);
	if (err)
		msg_err("starting threads: %s", strerror(-err));
	/* Closes libfuse's descriptor; ours serves until the mount is gone. */
	begin_unmount(srv);
	if (srv->unmounting)
		await_destroy(srv);
	wire_stop(srv, err ? 0 : GRACE_MS);
	close(signal_fd);
	if (srv->opt.debug)
		msg_debug("nodes: %zu left", nodes_left(srv->nodes));
	iomap_print(srv);
	return err;
}
