/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops.c - the operation table, and what is negotiated with the kernel.
 *
 * Knows libfuse's configuration and the INIT flags; each flag is a row with
 * what it obliges us to.  Knows no file system.
 *
 * Locks: none.
 */
#include "ops/ops.h"

#include "fs/xattr.h"
#include "sys/log.h"

struct server *op_server(void)
{
	return request_now()->srv;
}

struct fs *op_fs(void)
{
	return op_server()->fs;
}

int op_inode(const struct fuse_file_info *fi, struct inode **out)
{
	struct request *rq = request_now();

	if (fi && fi->fh) {
		*out = handle_of(fi)->inode;
		return 0;
	}
	if (rq->inode) {
		*out = rq->inode;
		return 0;
	}
	return request_inode(rq, out);
}

enum when { ALWAYS, WRITABLE, CHECKED, UNCACHED };

/*
 * Capabilities asked for where the kernel has them.  NAME, when, obligation:
 */
static const struct {
	unsigned cap;
	enum when when;
} caps[] = {
	/* reads of one file come together and in any order */
	{ FUSE_CAP_ASYNC_READ, ALWAYS },
	{ FUSE_CAP_ASYNC_DIO, ALWAYS },
	/* one kernel inode per file (nodes.c); times and sizes that the
	 * kernel sends are taken as they are; writes at any offset, reads
	 * through handles that were opened for writing */
	{ FUSE_CAP_WRITEBACK_CACHE, WRITABLE },
	/* open truncates; not with the writeback cache, as the kernel (6.18)
	 * then cuts off in its memory alone what somebody else wrote between
	 * our truncation and its own */
	{ FUSE_CAP_ATOMIC_O_TRUNC, UNCACHED },
	/* the umask is ours to apply, as a default ACL may replace it */
	{ FUSE_CAP_DONT_MASK, ALWAYS },
	/* ACLs are inherited and kept in step with modes by us; the kernel
	 * checks permissions */
	{ FUSE_CAP_POSIX_ACL, CHECKED },
	/* lookups are counted for each record */
	{ FUSE_CAP_READDIRPLUS, ALWAYS },
	{ FUSE_CAP_READDIRPLUS_AUTO, ALWAYS },
	/* a symlink's target never changes */
	{ FUSE_CAP_CACHE_SYMLINKS, ALWAYS },
	{ FUSE_CAP_IOCTL_DIR, ALWAYS },
	{ FUSE_CAP_EXPORT_SUPPORT, ALWAYS },
};

/*
 * Capabilities that libfuse asks for by itself and that are not wanted (or
 * not always): the server owns the volume, so nothing changes behind the
 * kernel's back; and all requests come through memory.
 */
#define CAPS_UNWANTED	(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV | \
			 FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ | \
			 FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE)

/*
 * INIT flags that are put into the reply by wire.c, whether the libfuse at
 * hand knows them or not:
 *   PARALLEL_DIROPS	lookups and readdirs of one directory come together
 *   HANDLE_KILLPRIV_V2	strip setuid, setgid and security.capability on
 *			WRITE_KILL_SUIDGID, OPEN_KILL_SUIDGID and
 *			FATTR_KILL_SUIDGID; saves a getxattr per write
 *   SETXATTR_EXT	ACL_KILL_SGID is obeyed, and the longer request cut
 */
#define FLAGS_WANTED	(FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | \
			 FUSE_SETXATTR_EXT)

static bool cap_wanted(const struct server *srv,
		       const struct fuse_conn_info *conn, enum when when)
{
	switch (when) {
	case UNCACHED:
		return !(conn->want & FUSE_CAP_WRITEBACK_CACHE);
	case WRITABLE:
		return fs_writable(srv->fs);
	case CHECKED:
		if (srv->opt.fs.fakeroot)
			return false;
		/* nobody has said default_permissions: this does */
		return srv->premounted || (!srv->opt.fs.noacl &&
					   xattr_supported(srv->fs));
	case ALWAYS:
		break;
	}
	return true;
}

static void *op_init(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
	struct server *srv = fuse_get_context()->private_data;
	size_t i;

	conn->want &= ~(unsigned)CAPS_UNWANTED;
	for (i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		if ((conn->capable & caps[i].cap) &&
		    cap_wanted(srv, conn, caps[i].when))
			conn->want |= caps[i].cap;
	}
	srv->writeback = conn->want & FUSE_CAP_WRITEBACK_CACHE;
	wire_want(srv, FLAGS_WANTED);
	/* Old small inodes keep whole seconds. */
	conn->time_gran = srv->fs->inode_size > EXT2_GOOD_OLD_INODE_SIZE ?
			  1 : 1000000000;
	conn->max_read = srv->opt.max_read;	/* libfuse wants it here, too */
	conn->max_background = 64;
	conn->congestion_threshold = 48;

	cfg->use_ino = 1;
	cfg->hard_remove = 1;	/* unlinked files keep their node */
	cfg->nullpath_ok = 1;
	/* A name has many spellings there, and the kernel knows of one. */
	if (ext2fs_has_feature_casefold(srv->fs->e2->super))
		cfg->entry_timeout = cfg->negative_timeout = 0;
	srv->negative_timeout = cfg->negative_timeout;
	return srv;
}

const struct fuse_operations ops_table = {
	.init = op_init,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.releasedir = op_release,
	.fsyncdir = op_fsync,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.access = op_access,
	.bmap = op_bmap,
	.ioctl = op_ioctl,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
};
