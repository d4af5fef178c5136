/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse2fs.c - main(): options, open, mount, serve, close; exit codes.
 *
 * The device is opened, and the mount made, before the process goes into the
 * background (serve.c), so that what fails is said on the caller's stderr.
 */
#include "ops/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/device.h"
#include "iomap.h"
#include "opts/helper.h"
#include "sys/daemon.h"
#include "sys/log.h"
#include "sys/mount.h"

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
		if (errno == EEXIST)
			msg_err("Another server uses this lock file; if none is running, remove it.");
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

/* The kernel would take a file, and then find that the root is none. */
static bool is_no_directory(const char *mountpoint)
{
	struct stat st;

	return strncmp(mountpoint, "/dev/fd/", 8) && !stat(mountpoint, &st) &&
	       !S_ISDIR(st.st_mode);
}

/*
 * Makes libfuse's objects out of ARGS, which are used up: 0, or an exit
 * status after libfuse's or our message.
 */
static int make_fuse(struct server *srv, struct fuse_args *args, bool rdonly,
		     struct fuse_cmdline_opts *cmd)
{
	if (opts_defaults(&srv->opt, args, rdonly) ||
	    fuse_parse_cmdline(args, cmd))
		return EXIT_USAGE;
	if (!cmd->mountpoint) {
		msg_err("no mountpoint specified");
		return EXIT_USAGE;
	}
	if (is_no_directory(cmd->mountpoint)) {
		msg_err("%s: %s", cmd->mountpoint, strerror(ENOTDIR));
		return EXIT_MOUNT;
	}
	/* Not before: there it would also mean the foreground. */
	if (srv->opt.debug && srv->fs && fuse_opt_add_arg(args, "-odebug"))
		return EXIT_MOUNT;
	srv->fuse = fuse_new(args, &ops_table, sizeof(ops_table), srv);
	return srv->fuse ? EXIT_OK : EXIT_USAGE;
}

/*
 * Asks the kernel what it can, before anything is touched.  Of a mount that
 * somebody else made it may not say yet.
 */
static int probe_iomap(struct server *srv, const char *mountpoint)
{
	const struct options *o = &srv->opt;
	int fd = -1;

	if (o->iomap == IOMAP_OFF)
		return EXIT_OK;
	if (!strncmp(mountpoint, "/dev/fd/", 8))
		fd = atoi(mountpoint + 8);
	srv->iomap_support = iomap_dev_support(fd);
	if (srv->iomap_support > 0 || (fd >= 0 && !srv->iomap_support) ||
	    !iomap_required(srv))
		return EXIT_OK;
	refuse_iomap(o);
	return EXIT_MOUNT;
}

/* What libfuse does not like it shall say before a device is written to. */
static int try_fuse(struct server *srv, const struct fuse_args *args)
{
	struct fuse_cmdline_opts cmd = { .mountpoint = NULL };
	struct fuse_args copy = FUSE_ARGS_INIT(0, NULL);
	int ret = EXIT_OK, i;

	for (i = 0; i < args->argc && !ret; i++) {
		if (fuse_opt_add_arg(&copy, args->argv[i]))
			ret = EXIT_MOUNT;
	}
	if (!ret)
		ret = make_fuse(srv, &copy, false, &cmd);
	if (srv->fuse)
		fuse_destroy(srv->fuse);
	srv->fuse = NULL;
	if (!ret)
		ret = probe_iomap(srv, cmd.mountpoint);
	else
		msg_err("See '%s -h' for usage.", args->argv[0]);
	free(cmd.mountpoint);
	fuse_opt_free_args(&copy);
	return ret;
}

static void inode_freed(void *ctx, uint32_t ino)
{
	nodes_detach(((struct server *)ctx)->nodes, ino);
}

/* errors=panic: the end of this server, as if it had been told to. */
static void panic(struct fs *fs)
{
	(void)fs;
	kill(getpid(), SIGTERM);
}

/* Mounts what is open, serves it, and takes it down. */
static int run(struct server *srv, struct fuse_args *args)
{
	struct fuse_cmdline_opts cmd = { .mountpoint = NULL };
	int ret, err;

	ret = make_fuse(srv, args, srv->fs->rdonly, &cmd);
	if (ret)
		goto out;
	ret = EXIT_MOUNT;
	srv->se = fuse_get_session(srv->fuse);
	srv->mountpoint = strdup(cmd.mountpoint);
	srv->premounted = !strncmp(cmd.mountpoint, "/dev/fd/", 8);
	if (!srv->mountpoint || fuse_mount(srv->fuse, cmd.mountpoint))
		goto out;
	srv->on_live = on_live;
	srv->fs->on_inode_freed = inode_freed;
	srv->fs->on_inode_freed_ctx = srv;
	srv->fs->on_panic = panic;
	srv->mount_id = srv->premounted ? -1 : mount_id(cmd.mountpoint);
	err = iomap_new(srv);
	if (!err)
		err = wire_open(srv);
	if (!err && !cmd.foreground)
		err = go_background(srv);
	if (!err)
		err = serve(srv);
	else
		fuse_unmount(srv->fuse);
	if (err)
		msg_err("%s", strerror(-err));
	else if (!srv->live && !srv->no_iomap)
		msg_err("The mount ended before it could be used.");
	else if (srv->live)
		ret = EXIT_OK;
out:
	free(cmd.mountpoint);
	return ret;
}

/* After the device was closed: whoever waits for the unmount may go on. */
static void take_down(struct server *srv)
{
	if (srv->wire) {
		wire_answer_destroy(srv);
		wire_hang_up(srv);	/* and so an unmount that waits still */
	}
	if (srv->unmounting)
		pthread_join(srv->unmounter, NULL);
	wire_close(srv);
	if (srv->fuse)
		fuse_destroy(srv->fuse);
	iomap_free(srv);
	free(srv->mountpoint);
}

static void print_io(struct server *srv)
{
	struct device_stats st;

	if (!srv->opt.debug)
		return;
	device_get_stats(srv->fs->dev, &st);
	msg_debug("I/O: %llu reads of %llu bytes, %llu writes of %llu bytes, %llu flushes",
		  (unsigned long long)st.reads,
		  (unsigned long long)st.bytes_read,
		  (unsigned long long)st.writes,
		  (unsigned long long)st.bytes_written,
		  (unsigned long long)st.syncs);
}

/* It has said why; this is what an option may have to do with it. */
static void explain_open(const struct options *o)
{
	if (o->fs.offset || o->fs.limit)
		msg_err("Check offset= and sizelimit=: the file system must begin and end there.");
}

/*
 * iomap takes a block device: an image gets one where the kernel has iomap
 * and we may.  Else it goes without.
 */
static int make_loop(struct server *srv)
{
	struct fs_options *fo = &srv->opt.fs;
	int err;

	if (srv->opt.iomap == IOMAP_OFF || srv->iomap_support <= 0 ||
	    !loop_possible(fo->source))
		return 0;
	err = loop_attach(&srv->loop, fo->source, fo->ro, fo->offset,
			  fo->limit);
	if (err == -EBUSY) {
		msg_err("%s: already in use by a loop device.", fo->source);
		return err;
	}
	if (err) {
		msg_debug("no loop device: %s", strerror(-err));
		return 0;
	}
	fo->source = srv->loop.path;
	fo->offset = fo->limit = 0;
	return 0;
}

/* The volume, and what it needs before. */
static int open_volume(struct server *srv)
{
	int err = make_loop(srv);

	if (err)
		return err;
	err = fs_open(&srv->opt.fs, &srv->fs);
	loop_opened(&srv->loop);
	if (err) {
		explain_open(&srv->opt);
		return err;
	}
	if (iomap_required(srv) && !iomap_possible(srv)) {
		refuse_iomap(&srv->opt);
		fs_close(srv->fs);
		return -ENOTBLK;
	}
	return 0;
}

static int open_and_run(struct server *srv, struct fuse_args *args)
{
	int err, ret;

	srv->nodes = nodes_new();
	if (!srv->nodes)
		return EXIT_MOUNT;
	err = open_volume(srv);
	if (err) {
		loop_detach(&srv->loop);
		nodes_free(srv->nodes);
		return EXIT_MOUNT;
	}
	memcpy(srv->uuid, srv->fs->e2->super->s_uuid, sizeof(srv->uuid));
	ret = run(srv, args);
	handles_close_all(srv);
	srv->fs->on_inode_freed = NULL;
	print_io(srv);
	err = fs_close(srv->fs);
	if (err) {
		msg_err("while closing fs: %s", strerror(-err));
		if (ret == EXIT_OK)
			ret = EXIT_MOUNT;
	}
	loop_detach(&srv->loop);
	take_down(srv);
	if (srv->live)
		log_mount(srv, "unmounted");
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

/* libfuse's lines, too, and all of them where ours goes. */
static void print_version(void)
{
	fprintf(stderr, "fuse2fs %s (%s)\n", PACKAGE_VERSION, RELEASE_DATE);
	fprintf(stderr, "FUSE library version %s\n", fuse_pkgversion());
	fflush(stdout);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	fuse_lowlevel_version();
	fflush(stdout);
}

/* Known words that cannot be obeyed: an exit status, or 0. */
static int refuse(const struct options *o)
{
	if (o->remount) {
		msg_err("remount is not supported: unmount it and mount it again.");
		return EXIT_MOUNT;
	}
	if (wants_times(o) && o->iomap == IOMAP_OFF) {
		refuse_iomap(o);
		return EXIT_MOUNT;
	}
	return EXIT_OK;
}

static int mount_and_serve(struct server *srv, struct fuse_args *args)
{
	struct options *o = &srv->opt;
	int ret;

	ret = refuse(o);
	if (ret)
		return ret;
	ret = try_fuse(srv, args);
	if (ret)
		return ret;
	o->fs.alloc_all = getenv("FUSE2FS_ALLOC_ALL_BLOCKS") != NULL;
	if (o->fs.alloc_all)
		msg_warn("Allowing users to allocate all blocks. This is dangerous!");
	if (make_lockfile(o))
		return EXIT_MOUNT;
	ret = open_and_run(srv, args);
	remove_lockfile(o);
	return ret;
}

/* The last line is for scripts, and has always been this. */
static void print_failure(int ret)
{
	if (ret == EXIT_USAGE)
		daemon_tell_caller("Mount failed due to unrecognized options. Check dmesg(1) for details.");
	if (ret == EXIT_MOUNT)
		daemon_tell_caller("Mount failed while opening filesystem. Check dmesg(1) for details.");
}

static int main_with(struct server *srv, struct fuse_args *args)
{
	struct options *o = &srv->opt;
	int err, ret;

	err = opts_parse(o, args);
	if (o->device)
		log_init(o->device, o->debug);
	if (!err && (o->help || o->helpfull)) {
		print_help(o, args->argv[0]);
		return EXIT_USAGE;
	}
	if (!err && o->version) {
		print_version();
		return EXIT_OK;
	}
	if (!err && !o->device) {
		fprintf(stderr, "Missing ext4 device/image\n"
			"See '%s -h' for usage\n", args->argv[0]);
		return EXIT_USAGE;
	}
	if (daemon_open_log())
		return EXIT_SYSTEM;
	if (err) {
		msg_err("%s", o->error);
		msg_err("See '%s -h' for usage.", args->argv[0]);
		ret = EXIT_USAGE;
	} else {
		ret = mount_and_serve(srv, args);
	}
	if (!srv->live)
		print_failure(ret);
	return ret;
}

int main(int argc, char *argv[])
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct server srv = { .ready_fd = -1, .loop = { .image = -1, .fd = -1 } };
	int ret;

	daemon_reserve_fds();
	tune_malloc();
	ret = helper_args(&args);
	if (ret >= 0)
		return ret;
	ret = main_with(&srv, &args);
	opts_free(&srv.opt);
	fuse_opt_free_args(&args);
	return ret;
}
