/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse2fs.c - main(): options, open, mount, serve, close; exit codes.
 *
 * The device is opened, and the mount made, before the process goes into the
 * background, so that what fails is said on the caller's stderr.  The parent
 * waits until the kernel has its answer to INIT: when it exits with 0 the
 * mount can be used.
 */
#include "ops/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/log.h"

/* Open files keep a lazily unmounted volume alive this long at a signal. */
#define GRACE_MS	300

static bool log_to_file;

/* Descriptors 0, 1, 2 are never anything but the standard ones. */
static void reserve_std_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static int open_log_file(void)
{
	const char *path = getenv("FUSE2FS_LOGFILE");
	int fd;

	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		perror(path);
		return -1;
	}
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	log_to_file = true;
	return 0;
}

/* Memory that is passed around in large pieces is not given back each time. */
static void tune_malloc(void)
{
	mallopt(M_MMAP_THRESHOLD, 8 << 20);
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
	mallopt(M_ARENA_MAX, 4);
}

/* The file's name made absolute, as the server leaves the current folder. */
static int make_lockfile(struct options *o)
{
	char cwd[PATH_MAX], *abs;
	int fd;

	if (!o->lockfile)
		return 0;
	if (o->lockfile[0] != '/') {
		if (!getcwd(cwd, sizeof(cwd)) ||
		    asprintf(&abs, "%s/%s", cwd, o->lockfile) < 0) {
			msg_err("%s: resolving lockfile failed", o->lockfile);
			return -1;
		}
		free(o->lockfile);
		o->lockfile = abs;
	}
	fd = open(o->lockfile, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400);
	if (fd < 0) {
		msg_err("%s: opening lockfile failed: %s", o->lockfile,
			strerror(errno));
		free(o->lockfile);
		o->lockfile = NULL;	/* not ours to remove */
		return -1;
	}
	close(fd);
	return 0;
}

static void remove_lockfile(struct options *o)
{
	if (o->lockfile && unlink(o->lockfile))
		msg_err("%s: removing lockfile failed: %s", o->lockfile,
			strerror(errno));
}

/* ---- into the background ---- */

/*
 * Forks.  The child goes on, with srv->ready_fd set; the parent waits for a
 * byte from it and ends with 0, or with the child's exit code.
 */
static int go_background(struct server *srv)
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

/* INIT has been answered: lets the parent go, and its terminal. */
static void on_live(struct server *srv)
{
	int fd;

	if (srv->ready_fd < 0)
		return;
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		if (!log_to_file) {
			dup2(fd, STDOUT_FILENO);
			dup2(fd, STDERR_FILENO);
		}
		close(fd);
	}
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

/* Returns when a thread has left, or a signal came; true for a signal. */
static bool wait_for_end(struct server *srv, int signal_fd)
{
	struct pollfd pfds[2] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = wire_event_fd(srv), .events = POLLIN },
	};
	struct signalfd_siginfo si;

	while (poll(pfds, 2, -1) < 0 && errno == EINTR)
		;
	return (pfds[0].revents & POLLIN) &&
	       read(signal_fd, &si, sizeof(si)) == sizeof(si);
}

static void inode_freed(void *ctx, uint32_t ino)
{
	nodes_detach(((struct server *)ctx)->nodes, ino);
}

/* From the mounted session to the end of the mount. */
static int serve(struct server *srv, const char *mountpoint)
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

	err = fs_start(srv->fs);
	if (!err)
		err = wire_start(srv, thread_count(&srv->opt));
	if (!err && wait_for_end(srv, signal_fd))
		sync_mount(mountpoint);
	if (err)
		msg_err("starting threads: %s", strerror(-err));
	/* Closes libfuse's descriptor; ours serves until the mount is gone. */
	fuse_unmount(srv->fuse);
	wire_stop(srv, err ? 0 : GRACE_MS);
	close(signal_fd);
	if (srv->opt.debug)
		msg_debug("nodes: %zu left", nodes_left(srv->nodes));
	return err;
}

/* Mounts what is open, serves it, and takes it down. */
static int run(struct server *srv, struct fuse_args *args)
{
	struct fuse_cmdline_opts cmd = { .mountpoint = NULL };
	int ret = EXIT_USAGE, err;

	if (opts_defaults(&srv->opt, args, srv->fs->rdonly) ||
	    fuse_parse_cmdline(args, &cmd))
		goto out;
	if (!cmd.mountpoint) {
		fprintf(stderr, "fuse: no mountpoint specified\n");
		goto out;
	}
	srv->fuse = fuse_new(args, &ops_table, sizeof(ops_table), srv);
	if (!srv->fuse)
		goto out;
	ret = EXIT_MOUNT;
	srv->se = fuse_get_session(srv->fuse);
	if (fuse_mount(srv->fuse, cmd.mountpoint))
		goto out;
	srv->on_live = on_live;
	srv->fs->on_inode_freed = inode_freed;
	srv->fs->on_inode_freed_ctx = srv;
	err = wire_open(srv);
	if (!err && !cmd.foreground)
		err = go_background(srv);
	if (!err)
		err = serve(srv, cmd.mountpoint);
	else
		fuse_unmount(srv->fuse);
	if (err)
		msg_err("%s", strerror(-err));
	else
		ret = EXIT_OK;
out:
	if (srv->fuse)
		fuse_destroy(srv->fuse);
	wire_close(srv);
	free(cmd.mountpoint);
	return ret;
}

static int open_and_run(struct server *srv, struct fuse_args *args)
{
	int err, ret;

	srv->nodes = nodes_new();
	if (!srv->nodes)
		return EXIT_MOUNT;
	err = fs_open(&srv->opt.fs, &srv->fs);
	if (err) {		/* it has said why */
		nodes_free(srv->nodes);
		return EXIT_MOUNT;
	}
	ret = run(srv, args);
	handles_close_all(srv);
	srv->fs->on_inode_freed = NULL;
	err = fs_close(srv->fs);
	if (err) {
		msg_err("while closing fs: %s", strerror(-err));
		if (ret == EXIT_OK)
			ret = EXIT_MOUNT;
	}
	nodes_free(srv->nodes);
	return ret;
}

static void print_help(const struct options *o, const char *argv0)
{
	struct fuse_args none = FUSE_ARGS_INIT(0, NULL);

	opts_usage(stderr, argv0);
	if (!o->helpfull) {
		fprintf(stderr, "Try --helpfull to get a list of all flags, "
			"including the FUSE options.\n");
		return;
	}
	fflush(stdout);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	fuse_cmdline_help();
	fuse_lib_help(&none);
	fflush(stdout);
}

static void print_version(void)
{
	fprintf(stderr, "fuse2fs %s\n", PACKAGE_VERSION);
	fprintf(stderr, "FUSE library version %s\n", fuse_pkgversion());
}

static int main_with(struct server *srv, struct fuse_args *args)
{
	struct options *o = &srv->opt;
	int ret;

	if (opts_parse(o, args))
		return EXIT_USAGE;
	if (o->help || o->helpfull) {
		print_help(o, args->argv[0]);
		return EXIT_USAGE;
	}
	if (o->version) {
		print_version();
		return EXIT_OK;
	}
	if (!o->device) {
		fprintf(stderr, "Missing ext4 device/image\n"
			"See '%s -h' for usage\n", args->argv[0]);
		return EXIT_USAGE;
	}
	log_init(o->device, o->debug);
	o->fs.alloc_all = getenv("FUSE2FS_ALLOC_ALL_BLOCKS") != NULL;
	if (o->fs.alloc_all)
		msg_warn("Allowing users to allocate all blocks. This is dangerous!");
	if (make_lockfile(o))
		return EXIT_MOUNT;
	ret = open_and_run(srv, args);
	remove_lockfile(o);
	if (ret & EXIT_USAGE)
		msg_err("Mount failed due to unrecognized options.  Check dmesg(1) for details.");
	if (ret & EXIT_MOUNT)
		msg_err("Mount failed while opening filesystem.  Check dmesg(1) for details.");
	return ret;
}

int main(int argc, char *argv[])
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct server srv = { .ready_fd = -1 };
	int ret;

	reserve_std_fds();
	tune_malloc();
	if (open_log_file())
		return EXIT_SYSTEM;
	ret = main_with(&srv, &args);
	opts_free(&srv.opt);
	fuse_opt_free_args(&args);
	return ret;
}
