/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iomap_proto.h - the numbers and messages of FUSE's iomap interface.
 *
 * The interface is experimental and its numbers are expected to change: all of
 * them are here, and nowhere else.  The names are ours, so that they never
 * meet those of a <linux/fuse.h> that has them.  Host byte order; offsets and
 * lengths are bytes unless something else is said.
 */
#ifndef OPS_IOMAP_PROTO_H
#define OPS_IOMAP_PROTO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define IOM_ASSERT(s, size) \
	_Static_assert(sizeof(struct s) == (size), "size of " #s)
#define IOM_OFFSET(s, field, off) \
	_Static_assert(offsetof(struct s, field) == (off), #s "." #field)

/* ---- negotiation ---- */

#define IOM_MINOR		99u
#define IOM_INIT_EXT		0x40000000u	/* in flags: flags2 counts */
#define IOM_INIT2_IOMAP		0x00000800u	/* in flags2 */

/* Where they are in the two bodies of INIT, which old headers cut short. */
#define IOM_INIT_IN_FLAGS2	16
#define IOM_INIT_OUT_MINOR	4
#define IOM_INIT_OUT_FLAGS	12
#define IOM_INIT_OUT_FLAGS2	32

/* ---- opcodes ---- */

#define IOM_OPCODE_FIRST	IOM_FREEZE
enum {
	IOM_STATX = 52,
	IOM_FREEZE = 4089,
	IOM_UNFREEZE,
	IOM_SHUTDOWN,
	IOM_CONFIG,
	IOM_IOEND,
	IOM_BEGIN,
	IOM_END,		/* 4095 */
};

/* Notifications: fuse_out_header.error, with unique 0. */
enum {
	IOM_NOTIFY_DEV_INVAL = 99,
	IOM_NOTIFY_UPSERT,
	IOM_NOTIFY_INVAL,
};

/* ---- fuse_attr.flags ---- */

#define IOM_ATTR_EXCLUSIVE	0x04u
#define IOM_ATTR_IOMAP		0x08u
#define IOM_ATTR_ATOMIC		0x10u
#define IOM_ATTR_SYNC		0x20u
#define IOM_ATTR_IMMUTABLE	0x40u
#define IOM_ATTR_APPEND		0x80u

/* ---- mappings ---- */

struct iom_map {
	uint64_t offset;	/* in the file */
	uint64_t length;
	uint64_t addr;		/* on the device, or IOM_NULL_ADDR */
	uint16_t type;		/* IOM_HOLE... */
	uint16_t flags;		/* IOM_F_* */
	uint32_t dev;		/* id, or 0 */
};
IOM_ASSERT(iom_map, 32);
IOM_OFFSET(iom_map, addr, 16);
IOM_OFFSET(iom_map, type, 24);
IOM_OFFSET(iom_map, flags, 26);
IOM_OFFSET(iom_map, dev, 28);

#define IOM_NULL_ADDR		UINT64_MAX
#define IOM_TO_EOF		UINT64_MAX	/* INVAL's lengths */

enum {
	IOM_HOLE = 0,
	IOM_DELALLOC = 1,
	IOM_MAPPED = 2,
	IOM_UNWRITTEN = 3,
	IOM_INLINE = 4,
	IOM_NOCACHE = 253,		/* only in an upsert */
	IOM_RETRY_CACHE = 254,		/* only in a BEGIN reply */
	IOM_PURE_OVERWRITE = 255,	/* only as write mapping */
};

#define IOM_F_NEW		0x0001u
#define IOM_F_DIRTY		0x0002u
#define IOM_F_SHARED		0x0004u
#define IOM_F_MERGED		0x0008u
#define IOM_F_BOUNDARY		0x0010u
#define IOM_F_ANON_WRITE	0x0020u
#define IOM_F_ATOMIC_BIO	0x0040u
#define IOM_F_WANT_END		0x0080u
#define IOM_F_SERVER		0x00ffu	/* all that a server may set */
#define IOM_F_SIZE_CHANGED	0x0100u	/* the kernel's, in END */
#define IOM_F_STALE		0x0200u

/* ---- BEGIN, END ---- */

#define IOM_OP_WRITE		(1u << 0)
#define IOM_OP_ZERO		(1u << 1)
#define IOM_OP_REPORT		(1u << 2)
#define IOM_OP_FAULT		(1u << 3)
#define IOM_OP_DIRECT		(1u << 4)
#define IOM_OP_NOWAIT		(1u << 5)
#define IOM_OP_OVERWRITE_ONLY	(1u << 6)
#define IOM_OP_UNSHARE		(1u << 7)
#define IOM_OP_DAX		(1u << 8)
#define IOM_OP_ATOMIC		(1u << 9)
#define IOM_OP_DONTCACHE	(1u << 10)
#define IOM_OP_SWAPFILE		(1u << 30)
#define IOM_OP_WRITEBACK	(1u << 31)

struct iom_begin_in {
	uint32_t opflags;
	uint32_t reserved;
	uint64_t attr_ino;
	uint64_t pos;
	uint64_t count;
};
IOM_ASSERT(iom_begin_in, 32);
IOM_OFFSET(iom_begin_in, attr_ino, 8);
IOM_OFFSET(iom_begin_in, count, 24);

struct iom_begin_out {
	struct iom_map read;
	struct iom_map write;
};
IOM_ASSERT(iom_begin_out, 64);

struct iom_end_in {
	uint32_t opflags;
	uint32_t reserved;
	uint64_t attr_ino;
	uint64_t pos;
	uint64_t count;
	int64_t written;	/* or -errno */
	struct iom_map map;	/* what was used */
};
IOM_ASSERT(iom_end_in, 72);
IOM_OFFSET(iom_end_in, written, 32);
IOM_OFFSET(iom_end_in, map, 40);

/* ---- IOEND ---- */

#define IOM_IOEND_SHARED	(1u << 0)
#define IOM_IOEND_UNWRITTEN	(1u << 1)
#define IOM_IOEND_BOUNDARY	(1u << 2)
#define IOM_IOEND_DIRECT	(1u << 3)
#define IOM_IOEND_APPEND	(1u << 4)
#define IOM_IOEND_WRITEBACK	(1u << 5)
#define IOM_IOEND_SWAPOFF	(1u << 6)

struct iom_ioend_in {
	uint32_t flags;
	int32_t error;		/* of the I/O: 0 or -errno */
	uint64_t attr_ino;
	uint64_t pos;
	uint64_t new_addr;	/* in whatever unit: of no use */
	uint64_t written;
	uint32_t dev;
	uint32_t pad;
};
IOM_ASSERT(iom_ioend_in, 48);
IOM_OFFSET(iom_ioend_in, attr_ino, 8);
IOM_OFFSET(iom_ioend_in, written, 32);
IOM_OFFSET(iom_ioend_in, dev, 40);

struct iom_ioend_out {
	uint64_t newsize;	/* on disk */
};
IOM_ASSERT(iom_ioend_out, 8);

/* ---- CONFIG ---- */

#define IOM_CONFIG_SID			(1u << 0)
#define IOM_CONFIG_UUID			(1u << 1)
#define IOM_CONFIG_BLOCKSIZE		(1u << 2)
#define IOM_CONFIG_MAX_LINKS		(1u << 3)
#define IOM_CONFIG_TIME			(1u << 4)
#define IOM_CONFIG_MAXBYTES		(1u << 5)
#define IOM_CONFIG_CACHE_MAXBYTES	(1u << 6)

struct iom_config_in {
	uint64_t flags;		/* fields that the kernel takes */
	int64_t maxbytes;
	uint32_t cache_maxbytes;
	uint32_t zero;
	uint64_t padding[5];
};
IOM_ASSERT(iom_config_in, 64);
IOM_OFFSET(iom_config_in, maxbytes, 8);
IOM_OFFSET(iom_config_in, padding, 24);

struct iom_config_out {
	uint64_t flags;
	char sid[32];
	uint8_t uuid[16];
	uint8_t uuid_len;
	uint8_t pad[3];
	uint32_t blocksize;
	uint32_t max_links;
	uint32_t time_gran;	/* ns */
	int64_t time_min;	/* seconds */
	int64_t time_max;
	int64_t maxbytes;
	uint32_t cache_maxbytes;
	uint32_t tail;
};
IOM_ASSERT(iom_config_out, 104);
IOM_OFFSET(iom_config_out, sid, 8);
IOM_OFFSET(iom_config_out, uuid, 40);
IOM_OFFSET(iom_config_out, uuid_len, 56);
IOM_OFFSET(iom_config_out, blocksize, 60);
IOM_OFFSET(iom_config_out, time_gran, 68);
IOM_OFFSET(iom_config_out, time_min, 72);
IOM_OFFSET(iom_config_out, maxbytes, 88);
IOM_OFFSET(iom_config_out, cache_maxbytes, 96);

/* What is sent of it: without cache_maxbytes, which some kernels do not
 * know; a kernel takes what is missing for 0. */
#define IOM_CONFIG_OUT_MIN	96
#define IOM_CONFIG_OUT_MAX	104

/* ---- SYNCFS, FREEZE, SHUTDOWN ---- */

struct iom_freeze_in {
	uint64_t unlinked;	/* inodes that are open and have no name */
};
IOM_ASSERT(iom_freeze_in, 8);

struct iom_shutdown_in {
	uint64_t flags;
};
IOM_ASSERT(iom_shutdown_in, 8);

/* ---- notifications ---- */

struct iom_upsert {
	uint64_t nodeid;
	uint64_t attr_ino;
	struct iom_map read;
	struct iom_map write;
};
IOM_ASSERT(iom_upsert, 80);
IOM_OFFSET(iom_upsert, write, 48);

struct iom_range {
	uint64_t offset;
	uint64_t length;
};
struct iom_inval {
	uint64_t nodeid;
	uint64_t attr_ino;
	struct iom_range read;
	struct iom_range write;
};
IOM_ASSERT(iom_inval, 48);

struct iom_dev_inval {
	uint32_t dev;
	uint32_t reserved;
	uint64_t offset;
	uint64_t length;
};
IOM_ASSERT(iom_dev_inval, 24);

/* ---- ioctls on /dev/fuse ---- */

#define IOM_IOC_MAGIC		229

struct iom_support {
	uint64_t flags;		/* IOM_SUPPORT_* */
	uint64_t padding;
};
IOM_ASSERT(iom_support, 16);
#define IOM_SUPPORT_FILEIO	(1u << 0)
#define IOM_SUPPORT_ATOMIC	(1u << 1)

struct iom_backing_map {
	int32_t fd;
	uint32_t flags;		/* IOM_BACKING_IOMAP */
	uint64_t padding;
};
IOM_ASSERT(iom_backing_map, 16);
#define IOM_BACKING_IOMAP	1u

struct iom_backing_info {
	uint32_t id;
	uint32_t blocksize;
};
IOM_ASSERT(iom_backing_info, 8);

#define IOM_IOC_BACKING_OPEN	_IOW(IOM_IOC_MAGIC, 1, struct iom_backing_map)
#define IOM_IOC_BACKING_CLOSE	_IOW(IOM_IOC_MAGIC, 2, uint32_t)
#define IOM_IOC_SYNC_INIT	_IO(IOM_IOC_MAGIC, 3)
#define IOM_IOC_SUPPORT		_IOR(IOM_IOC_MAGIC, 99, struct iom_support)
#define IOM_IOC_SET_NOFS	_IOW(IOM_IOC_MAGIC, 100, uint32_t)
#define IOM_IOC_ADD_IOMAP	_IO(IOM_IOC_MAGIC, 101)
#define IOM_IOC_SET_BLOCKSIZE	_IOW(IOM_IOC_MAGIC, 102, struct iom_backing_info)

_Static_assert(IOM_IOC_BACKING_OPEN == 0x4010e501, "BACKING_OPEN");
_Static_assert(IOM_IOC_BACKING_CLOSE == 0x4004e502, "BACKING_CLOSE");
_Static_assert(IOM_IOC_SUPPORT == 0x8010e563, "SUPPORT");
_Static_assert(IOM_IOC_SET_NOFS == 0x4004e564, "SET_NOFS");
_Static_assert(IOM_IOC_SET_BLOCKSIZE == 0x4008e566, "SET_BLOCKSIZE");

/* ---- STATX, which old headers lack; the last fields came with iomap ---- */

struct iom_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t flags;		/* AT_STATX_* */
	uint32_t mask;		/* STATX_* */
};
IOM_ASSERT(iom_statx_in, 24);

struct iom_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct iom_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0;
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct iom_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor;
	uint32_t dev_major, dev_minor;
	uint64_t mnt_id;
	uint32_t dio_mem_align;
	uint32_t dio_offset_align;
	uint64_t subvol;
	uint32_t atomic_unit_min;
	uint32_t atomic_unit_max;
	uint32_t atomic_segments_max;
	uint32_t dio_read_offset_align;
	uint32_t atomic_unit_max_opt;
	uint32_t spare1;
	uint64_t spare2[8];
};
IOM_ASSERT(iom_statx, 256);
IOM_OFFSET(iom_statx, ino, 32);
IOM_OFFSET(iom_statx, attributes_mask, 56);
IOM_OFFSET(iom_statx, mtime, 112);
IOM_OFFSET(iom_statx, mnt_id, 144);
IOM_OFFSET(iom_statx, dio_mem_align, 152);
IOM_OFFSET(iom_statx, atomic_unit_min, 168);
IOM_OFFSET(iom_statx, atomic_unit_max_opt, 184);

/* Bits of masks. */
#define IOM_STATX_DIOALIGN	0x00002000u
#define IOM_STATX_WRITE_ATOMIC	0x00010000u

struct iom_statx_out {
	uint64_t attr_valid;	/* seconds */
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct iom_statx stat;
};
IOM_ASSERT(iom_statx_out, 288);

#endif
