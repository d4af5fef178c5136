/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iomap_dev.c - the ioctls of /dev/fuse that iomap needs, and the device.
 *
 * Knows the ioctls and descriptors; nothing of connections, requests or files.
 * An ioctl that the kernel does not know means "there is none", and no error.
 * Takes no locks.
 */
#include "iomap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/log.h"

int iomap_dev_support(int fd)
{
	struct iom_support support = { 0 };
	int own = -1, ret;

	if (fd < 0)
		fd = own = open("/dev/fuse", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = ioctl(fd, IOM_IOC_SUPPORT, &support) ? -errno :
	      (int)(support.flags & (IOM_SUPPORT_FILEIO | IOM_SUPPORT_ATOMIC));
	if (own >= 0)
		close(own);
	return ret;
}

int iomap_dev_register(int fuse_fd, int dev)
{
	struct iom_backing_map map = { .fd = dev, .flags = IOM_BACKING_IOMAP };
	int id = ioctl(fuse_fd, IOM_IOC_BACKING_OPEN, &map);

	if (id < 0)
		return -errno;
	return id ? id : -EINVAL;
}

int iomap_dev_blocksize(int fuse_fd, int dev, uint32_t id, uint32_t size)
{
	struct iom_backing_info info = { .id = id, .blocksize = size };
	int n = size;

	if (id && !ioctl(fuse_fd, IOM_IOC_SET_BLOCKSIZE, &info))
		return 0;
	if (!ioctl(dev, BLKBSZGET, &n) && n > 0 && (uint32_t)n <= size &&
	    (id || (uint32_t)n == size))
		return 0;
	n = size;
	return ioctl(dev, BLKBSZSET, &n) ? -errno : 0;
}

void iomap_dev_nofs(int fuse_fd)
{
	uint32_t on = 1;

	if (ioctl(fuse_fd, IOM_IOC_SET_NOFS, &on))
		msg_debug("SET_NOFS: %s", strerror(errno));
}

/* The kernel's two kinds of statx have the same layout. */
void iomap_dev_limits(int dev, struct iomap_limits *l)
{
	struct statx stx;
	struct iom_statx sx;
	int sector;

	_Static_assert(sizeof(stx) == sizeof(sx), "statx");
	*l = (struct iomap_limits){ 0 };
	if (!ioctl(dev, BLKSSZGET, &sector) && sector > 0)
		l->mem_align = l->offset_align = sector;
	memset(&stx, 0, sizeof(stx));
	if (statx(dev, "", AT_EMPTY_PATH, IOM_STATX_DIOALIGN |
		  IOM_STATX_WRITE_ATOMIC, &stx))
		return;
	memcpy(&sx, &stx, sizeof(sx));
	if ((sx.mask & IOM_STATX_DIOALIGN) && sx.dio_offset_align) {
		l->mem_align = sx.dio_mem_align;
		l->offset_align = sx.dio_offset_align;
	}
	if ((sx.mask & IOM_STATX_WRITE_ATOMIC) && sx.atomic_unit_max) {
		l->atomic_min = sx.atomic_unit_min;
		l->atomic_max = sx.atomic_unit_max;
	}
}
