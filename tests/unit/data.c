/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * data.c - file contents against a byte array, on every kind of volume.
 *
 * Seeded random operations (DATA_SEED, DATA_OPS in the environment) on two
 * files; everything read must be what the array says, also after a remount,
 * for debugfs and for the kernel; e2fsck finds nothing.  Then what random
 * operations do not reach: a full volume, a device that fails, threads.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include "fs/alloc.h"
#include "datatest.h"

#define FILE_MAX	(3 * 1024 * 1024)

struct model {
	const char *name;
	struct inode *inode;
	uint64_t size;
	uint8_t mem[FILE_MAX];
};

static struct model file[2];
static uint8_t scratch[FILE_MAX];
static bool extents;
static bool tight;			/* there may be no space */
static uint64_t unit;			/* cluster, in bytes */
static unsigned bad;

__attribute__((format(printf, 2, 3)))
static void expect(bool good, const char *fmt, ...)
{
	va_list ap;

	if (good)
		return;
	if (bad++ > 20)
		return;
	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static uint64_t some_off(const struct model *m)
{
	switch (rnd(4)) {
	case 0:
		return rnd(FILE_MAX);
	case 1:
		return m->size;
	case 2:
		return rnd(FILE_MAX / 4096) * 4096;
	default:
		return rnd(m->size + 1);
	}
}

static uint64_t some_len(uint64_t off)
{
	static const uint64_t scale[] = { 10, 600, 5000, 70000, 600000 };
	uint64_t len = 1 + rnd(scale[rnd(5)]);

	if (!rnd(3))
		len = (len + 4095) & ~4095ULL;
	return off + len > FILE_MAX ? FILE_MAX - off : len;
}

static void grow(struct model *m, uint64_t size)
{
	if (size > m->size)
		m->size = size;
}

static void op_write(struct model *m)
{
	uint64_t off = some_off(m), len = some_len(off);
	ssize_t n;

	rnd_fill(scratch, len);
	n = data_write(m->inode, scratch, len, off, rnd(2) ? DATA_WB : 0);
	if (tight && n == -ENOSPC)
		n = 0;
	if (tight && n >= 0 && n < (ssize_t)len)
		len = n;
	expect(n == (ssize_t)len, "write %llu+%llu: %zd", (long long)off,
	       (long long)len, n);
	memcpy(m->mem + off, scratch, len);
	if (len)
		grow(m, off + len);
}

static void op_read(struct model *m)
{
	uint64_t off = some_off(m), len = some_len(off), want, i;
	ssize_t n;

	want = off >= m->size ? 0 : m->size - off < len ? m->size - off : len;
	memset(scratch, 0xee, len);
	n = data_read(m->inode, scratch, len, off);
	expect(n == (ssize_t)want, "read %llu+%llu: %zd want %llu",
	       (long long)off, (long long)len, n, (long long)want);
	for (i = 0; i < want && scratch[i] == m->mem[off + i]; i++)
		;
	expect(i == want, "read %llu+%llu of %llu: byte %llu is %02x want %02x",
	       (long long)off, (long long)len, (long long)m->size,
	       (long long)(off + i), scratch[i], m->mem[(off + i) % FILE_MAX]);
}

static void op_truncate(struct model *m)
{
	uint64_t size = some_off(m);
	int err = data_truncate(m->inode, size, 0);

	expect(!err, "truncate %llu: %d", (long long)size, err);
	if (size < m->size)
		memset(m->mem + size, 0, m->size - size);
	m->size = size;
}

static void op_falloc(struct model *m)
{
	uint64_t off = some_off(m), len = some_len(off);
	int mode = rnd(2) ? FALLOC_FL_KEEP_SIZE : 0, err;

	if (!len)
		return;
	err = data_fallocate(m->inode, mode, off, len, 0);
	if (tight && err == -ENOSPC) {
		m->size = m->inode->i.size;
		return;
	}
	expect(err == (extents ? 0 : -EOPNOTSUPP), "falloc %d", err);
	if (!err && !mode)
		grow(m, off + len);
}

static void op_punch(struct model *m)
{
	uint64_t off = some_off(m), len = some_len(off);
	bool zero = extents && rnd(2), keep = !zero || rnd(2);
	int err;

	if (!len)
		return;
	err = data_fallocate(m->inode, (zero ? FALLOC_FL_ZERO_RANGE :
					FALLOC_FL_PUNCH_HOLE) |
			     (keep ? FALLOC_FL_KEEP_SIZE : 0), off, len, 0);
	if (tight && err == -ENOSPC && zero) {
		memset(m->mem + off, 0, len);
		m->size = m->inode->i.size;
		return;
	}
	expect(!err, "punch/zero %llu+%llu: %d", (long long)off,
	       (long long)len, err);
	memset(m->mem + off, 0, len);
	if (!keep)
		grow(m, off + len);
}

static void op_shift(struct model *m)
{
	uint64_t off = rnd(m->size / unit + 2) * unit;
	uint64_t len = (1 + rnd(20)) * unit;
	bool insert = rnd(2);
	int err, want = 0;

	if (insert ? off >= m->size : off + len >= m->size)
		want = -EINVAL;
	else if (insert && m->size + len > FILE_MAX)
		return;
	if (!extents)
		want = -EOPNOTSUPP;
	err = data_fallocate(m->inode, insert ? FALLOC_FL_INSERT_RANGE :
			     FALLOC_FL_COLLAPSE_RANGE, off, len, 0);
	expect(err == want, "%s %llu+%llu of %llu: %d want %d",
	       insert ? "insert" : "collapse", (long long)off, (long long)len,
	       (long long)m->size, err, want);
	if (err)
		return;
	if (insert) {
		memmove(m->mem + off + len, m->mem + off, m->size - off);
		memset(m->mem + off, 0, len);
		m->size += len;
	} else {
		memmove(m->mem + off, m->mem + off + len, m->size - off - len);
		memset(m->mem + m->size - len, 0, len);
		m->size -= len;
	}
}

static void op_copy(struct model *from, struct model *to)
{
	uint64_t off = rnd(from->size + 1), len = some_len(off), out, want;
	ssize_t n;

	out = some_off(to);
	if (out + len > FILE_MAX)
		len = FILE_MAX - out;
	want = from->size - off < len ? from->size - off : len;
	n = data_copy(from->inode, off, to->inode, out, len, 0);
	if (from == to && want && off < out + want && out < off + want) {
		expect(n == -EINVAL, "overlapping copy: %zd", n);
		return;
	}
	if (tight && n == -ENOSPC)
		n = 0;
	if (tight && n >= 0 && n < (ssize_t)want)
		want = n;
	expect(n == (ssize_t)want, "copy %llu to %llu +%llu: %zd want %llu",
	       (long long)off, (long long)out, (long long)len, n,
	       (long long)want);
	memmove(to->mem + out, from->mem + off, want);
	if (want)
		grow(to, out + want);
}

static bool zeros(const uint8_t *p, uint64_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

/* What is said to be a hole must be zero; data and holes take turns. */
static void op_seek(struct model *m)
{
	uint64_t pos = 0;
	int64_t data, hole;

	while (pos < m->size) {
		data = data_seek(m->inode, pos, SEEK_DATA);
		if (data == -ENXIO)
			data = m->size;
		expect(data >= (int64_t)pos && data <= (int64_t)m->size,
		       "SEEK_DATA %llu: %lld", (long long)pos, (long long)data);
		if (data < (int64_t)pos || data > (int64_t)m->size)
			return;
		expect(zeros(m->mem + pos, data - pos), "hole has data");
		if ((uint64_t)data == m->size)
			break;
		hole = data_seek(m->inode, data, SEEK_HOLE);
		expect(hole > data && hole <= (int64_t)m->size,
		       "SEEK_HOLE %lld: %lld", (long long)data,
		       (long long)hole);
		if (hole <= data)
			return;
		pos = hole;
	}
	expect(data_seek(m->inode, m->size, SEEK_DATA) == -ENXIO, "at end");
}

static void compare_all(void)
{
	ssize_t n;
	int i;

	for (i = 0; i < 2; i++) {
		n = data_read(file[i].inode, scratch, FILE_MAX, 0);
		expect(n == (ssize_t)file[i].size &&
		       !memcmp(scratch, file[i].mem, file[i].size),
		       "%s differs (%zd bytes, want %llu)", file[i].name, n,
		       (long long)file[i].size);
	}
}

static void remount(void)
{
	int i, err;

	for (i = 0; i < 2; i++)
		file_close(file[i].inode);
	err = vol_close();
	expect(!err, "close: %d", err);
	expect(vol_clean(), "e2fsck");
	vol_open();
	for (i = 0; i < 2; i++)
		file[i].inode = file_open(file[i].name, false);
	compare_all();
}

static void one_op(void)
{
	struct model *m = &file[rnd(2)];

	switch (rnd(24)) {
	case 0: case 1: case 2:
		op_truncate(m);
		break;
	case 3: case 4: case 5:
		op_punch(m);
		break;
	case 6: case 7:
		op_shift(m);
		break;
	case 8: case 9:
		op_falloc(m);
		break;
	case 10:
		op_copy(m, &file[rnd(2)]);
		break;
	case 11:
		op_seek(m);
		break;
	case 12:
		expect(!data_fsync(m->inode, rnd(2)), "fsync");
		break;
	case 13: case 14: case 15: case 16:
		op_read(m);
		break;
	default:
		op_write(m);
	}
}

static void random_ops(const char *what, const char *mke2fs, const char *size,
		       bool with_extents, uint64_t cluster)
{
	const char *s = getenv("DATA_OPS");
	unsigned ops = s ? strtoul(s, NULL, 0) : 500, i;

	bad = 0;
	extents = with_extents;
	unit = cluster;
	tight = strtoul(size, NULL, 0) < 10;
	memset(file, 0, sizeof(file));
	file[0].name = "a";
	file[1].name = "b";
	vol_make(mke2fs, size);
	vol_open();
	for (i = 0; i < 2; i++)
		file[i].inode = file_open(file[i].name, true);
	for (i = 0; i < ops && bad < 5; i++) {
		one_op();
		if (i % (ops / 3 + 1) == ops / 4)
			remount();
	}
	remount();
	ok(!bad, "%s: %u operations", what, ops);
	for (i = 0; i < 2; i++)
		file_close(file[i].inode);
	is(vol_close(), 0, "closed");
	for (i = 0; i < 2; i++) {
		ok(debugfs_same(file[i].name, file[i].mem, file[i].size),
		   "%s: debugfs reads %s", what, file[i].name);
		ok(kernel_same(file[i].name, file[i].mem, file[i].size),
		   "%s: the kernel reads %s", what, file[i].name);
	}
	vol_open();
	is(file_remove("a"), 0, "a removed");
	is(file_remove("b"), 0, "b removed");
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "%s: e2fsck after removal", what);
}

/* Fills the volume: every byte that was acknowledged is there. */
static void full(const char *what, const char *mke2fs)
{
	static uint8_t buf[300000];
	struct inode *inode;
	uint64_t end = 0, pos;
	ssize_t n;
	bool same = true;
	int i;

	rnd_fill(buf, sizeof(buf));
	vol_make(mke2fs, "8M");
	vol_open();
	inode = file_open("full", true);
	do {
		n = data_write(inode, buf, sizeof(buf), end, DATA_RESERVE);
		if (n > 0)
			end += n;
	} while (n == (ssize_t)sizeof(buf));
	if (n > 0)
		n = data_write(inode, buf, sizeof(buf), end, DATA_RESERVE);
	is(n, -ENOSPC, "the volume is full");
	ok(end > 4000000, "after %llu bytes", (unsigned long long)end);
	is(data_write(inode, buf, 5000, 0, 0), 5000, "but can be overwritten");
	for (pos = 0; pos < end; pos += n) {
		n = data_read(inode, scratch, sizeof(buf), pos);
		if (n <= 0 || memcmp(scratch, buf, n))
			same = false;
		if (n <= 0)
			break;
	}
	ok(same, "%s: what was written is there", what);
	/* freed blocks come back although their transaction is not durable */
	for (i = 0; i < 3; i++) {
		is(data_truncate(inode, 0, 0), 0, "truncate");
		is(data_write(inode, buf, sizeof(buf), 0, DATA_RESERVE),
		   sizeof(buf), "and write again");
		for (end = sizeof(buf); end < 4000000; end += n) {
			n = data_write(inode, buf, sizeof(buf), end,
				       DATA_RESERVE);
			if (n <= 0)
				break;
		}
		ok(end >= 4000000, "as much as before");
	}
	if (inode_has_extents(inode)) {
		is(data_fallocate(inode, 0, 0, 100000000, 0), -ENOSPC,
		   "fallocate says so too");
		is(data_truncate(inode, 10, 0), 0, "and can be cut off");
	}
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "%s: e2fsck", what);
}

/* Space allocated ahead can be written to, also when there is no other left
 * for the tree that this splits. */
static void ahead(const char *what, const char *mke2fs)
{
	const uint64_t size = 3000000, step = 3100, part = 700;
	struct inode *inode, *other;
	static uint8_t want[3000000];
	uint64_t pos;
	ssize_t n;

	vol_make(mke2fs, "8M");
	vol_open();
	memset(want, 0, size);
	memset(scratch, 0x5a, 65536);
	inode = file_open("ahead", true);
	other = file_open("other", true);
	is(data_fallocate(inode, 0, 0, size, 0), 0, "allocated");
	pos = 0;
	while ((n = data_write(other, scratch, 65536, pos, 0)) > 0)
		pos += n;
	is(n, -ENOSPC, "the rest is used up");
	/* in an order that finds unwritten blocks on both sides */
	for (pos = step; pos + step < size; pos += 2 * step) {
		rnd_fill(want + pos, part);
		n = data_write(inode, want + pos, part, pos, 0);
		if (n != (ssize_t)part)
			break;
	}
	is(n, part, "every write is possible");
	for (pos = 0; n > 0 && pos + step < size; pos += 2 * step) {
		rnd_fill(want + pos, part);
		n = data_write(inode, want + pos, part, pos, 0);
	}
	is(n, part, "also between those");
	file_close(inode);
	file_close(other);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "%s: e2fsck", what);
	ok(debugfs_same("ahead", want, size), "%s: the contents", what);
}

/* Fails data or metadata I/O, by chance. */
static unsigned fault_one_in;

static int fault(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)off, (void)len;
	if (op != DEVICE_WRITE || !fault_one_in || rnd(fault_one_in))
		return 0;
	return -EIO;
}

static uint64_t available(void)
{
	uint64_t n;

	fs_lock(vol);
	n = block_available(vol, ALLOC_RESERVE);
	fs_unlock(vol);
	return n;
}

/*
 * Writes of data fail now and then.  What succeeded stays, what failed may
 * have changed nothing but the bytes that it was to write.
 */
static void faults(const char *what, const char *mke2fs)
{
	static uint8_t want[FILE_MAX], maybe[FILE_MAX];
	struct inode *inode;
	uint64_t off, len, size = 0, i;
	unsigned round, failed = 0, wrong = 0, unsynced = 0;
	uint64_t free_blocks;
	ssize_t n;

	memset(want, 0, sizeof(want));
	memset(maybe, 0, sizeof(maybe));
	vol_make(mke2fs, "16M");
	vol_open();
	inode = file_open("f", true);
	is(txn_sync(vol, 0), 0, "made");
	free_blocks = available();
	device_set_fault(vol->dev, fault, NULL);
	for (round = 0; round < 400; round++) {
		off = rnd(FILE_MAX - 70000);
		len = 1 + rnd(rnd(2) ? 70000 : 5000);
		rnd_fill(scratch, len);
		/* so that no commit falls among the faults */
		unsynced += txn_sync(vol, 0) != 0;
		fault_one_in = 4;
		n = data_write(inode, scratch, len, off, 0);
		fault_one_in = 0;
		failed += n < (ssize_t)len;
		if (n > 0) {
			memcpy(want + off, scratch, n);
			memset(maybe + off, 0, n);
			if (off + n > size)
				size = off + n;
		}
		if (n < 0)
			n = 0;
		memset(maybe + off + n, 1, len - n);
	}
	device_set_fault(vol->dev, NULL, NULL);
	is(unsynced, 0, "syncs");
	ok(failed > 20, "%u writes failed", failed);
	is(txn_sync(vol, 0), 0, "sync");
	is(available() + inode->i.blocks, free_blocks,
	   "no reservation is left over");
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "%s: e2fsck after failures", what);
	vol_open();
	inode = file_open("f", false);
	n = data_read(inode, scratch, FILE_MAX, 0);
	is(n, size, "size");
	for (i = 0; i < size; i++)
		wrong += !maybe[i] && scratch[i] != want[i];
	is(wrong, 0, "nothing that succeeded is lost");
	file_close(inode);
	is(vol_close(), 0, "closed");
}

/*
 * Threads: each writes its own records into one file that others read, cut
 * and punch beyond the records.  A record reads as written or as zeros,
 * never as something else.
 */
#define RECORDS		64
#define RECORD		5000

static struct inode *shared;
static bool stop;
static unsigned torn;

static void *writer(void *arg)
{
	uint8_t buf[RECORD];
	unsigned id = (uintptr_t)arg, i, round;
	ssize_t n;

	for (round = 0; round < 20; round++)
		for (i = id; i < RECORDS; i += 4) {
			memset(buf, i + 1, sizeof(buf));
			n = data_write(shared, buf, sizeof(buf),
				       (uint64_t)i * RECORD, 0);
			if (n != RECORD)
				__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
		}
	return NULL;
}

static void *reader(void *arg)
{
	uint8_t buf[RECORD];
	unsigned i = 0, j;
	ssize_t n;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		i = (i + 7) % RECORDS;
		n = data_read(shared, buf, sizeof(buf), (uint64_t)i * RECORD);
		for (j = 0; (ssize_t)j < n; j++)
			if (buf[j] && buf[j] != i + 1) {
				__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
				break;
			}
		if (n < 0)
			__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Grows and cuts behind the records, and syncs. */
static void *disturber(void *arg)
{
	static uint8_t junk[40000];
	uint64_t end = (uint64_t)RECORDS * RECORD + 1000;
	int err = 0;

	(void)arg;
	memset(junk, 0xdd, sizeof(junk));
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (data_write(shared, junk, sizeof(junk), end, 0) < 0)
			err = 1;
		if (data_fsync(shared, false) < 0)
			err = 1;
		if (data_fallocate(shared, FALLOC_FL_PUNCH_HOLE |
				   FALLOC_FL_KEEP_SIZE, end, 20000, 0) < 0)
			err = 1;
		if (data_truncate(shared, end, 0) < 0)
			err = 1;
	}
	if (err)
		__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void threads(const char *what, const char *mke2fs)
{
	pthread_t w[4], r[2], d;
	unsigned i, j, lost = 0;
	ssize_t n;

	stop = false;
	torn = 0;
	vol_make(mke2fs, "32M");
	vol_open();
	is(fs_start(vol), 0, "started");
	shared = file_open("shared", true);
	for (i = 0; i < 2; i++)
		pthread_create(&r[i], NULL, reader, NULL);
	pthread_create(&d, NULL, disturber, NULL);
	for (i = 0; i < 4; i++)
		pthread_create(&w[i], NULL, writer, (void *)(uintptr_t)i);
	for (i = 0; i < 4; i++)
		pthread_join(w[i], NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(r[i], NULL);
	pthread_join(d, NULL);
	is(torn, 0, "threads: every operation did what it should");
	is(shared->i.size, (uint64_t)RECORDS * RECORD + 1000, "threads: size");
	n = data_read(shared, scratch, RECORDS * RECORD, 0);
	is(n, RECORDS * RECORD, "threads: read");
	for (i = 0; i < RECORDS; i++)
		for (j = 0; j < RECORD; j++)
			lost += scratch[i * RECORD + j] != i + 1;
	is(lost, 0, "threads: no write is lost");
	file_close(shared);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "%s: e2fsck after threads", what);
}

/*
 * A map of many blocks: what is one call takes several transactions.  Every
 * second block of FRAG_END bytes is written, with its number.
 */
#define FRAG_END	(110 * 1024 * 1024)

static bool frag_right(struct inode *inode, uint64_t from, int64_t shift,
		       uint64_t end)
{
	uint32_t buf[256];
	uint64_t off, old;
	ssize_t n;

	for (off = from; off < end; off += 37 * 1024) {
		n = data_read(inode, buf, 1024, off);
		old = off - shift;
		if (n != 1024 || buf[0] != (old / 1024 % 2 ? 0 : old / 1024 + 1)) {
			printf("# at %llu: %u\n", (long long)off, buf[0]);
			return false;
		}
	}
	return true;
}

static void frag_fill(struct inode *inode)
{
	uint32_t buf[256];
	uint64_t off;

	for (off = 0; off < FRAG_END; off += 2048) {
		buf[0] = off / 1024 + 1;
		if (data_write(inode, buf, 1024, off, DATA_WB) != 1024)
			bail("frag_fill");
	}
	data_truncate(inode, FRAG_END, 0);
}

static void pieces(const char *what, const char *mke2fs, bool with_extents)
{
	uint64_t free_blocks, i;
	struct inode *inode;

	vol_make(mke2fs, "256M");
	vol_open();
	inode = file_open("frag", true);
	is(txn_sync(vol, 0), 0, "made");
	free_blocks = available();
	frag_fill(inode);
	ok(frag_right(inode, 0, 0, FRAG_END), "%s: filled", what);
	if (with_extents) {
		is(data_fallocate(inode, FALLOC_FL_COLLAPSE_RANGE, 8192, 6144,
				  0), 0, "collapse");
		ok(frag_right(inode, 8192, -6144, FRAG_END - 6144), "moved");
		is(data_fallocate(inode, FALLOC_FL_INSERT_RANGE, 8192, 6144,
				  0), 0, "insert");
		ok(frag_right(inode, 8192 + 6144, 0, FRAG_END), "moved back");
		ok(frag_right(inode, 0, 0, 8192), "the start stays");
		is(inode->i.size, FRAG_END, "size");
	}
	/* runs of one block by the thousand, in one write */
	rnd_fill(scratch, sizeof(scratch));
	is(data_write(inode, scratch, 1500000, 51000, 0), 1500000, "large");
	ok(data_read(inode, file[0].mem, 1500000, 51000) == 1500000 &&
	   !memcmp(file[0].mem, scratch, 1500000), "reads the same");
	is(data_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  2000000, 108000000, 0), 0, "punch");
	is(data_read(inode, scratch, 10240, 40000000), 10240, "read");
	for (i = 0; i < 10240 && !scratch[i]; i++)
		;
	is(i, 10240, "zeros");
	ok(frag_right(inode, 105 << 20, 0, FRAG_END), "the rest stays");
	frag_fill(inode);
	is(data_truncate(inode, 1000, 0), 0, "cut");
	is(inode->i.blocks, 1, "one block is left");
	is(inode->orphan, 0, "not an orphan any more");
	is(data_truncate(inode, 0, 0), 0, "cut to nothing");
	is(inode->i.blocks, 0, "no blocks");
	is(txn_sync(vol, 0), 0, "sync");
	is(available(), free_blocks, "all is free again");
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "%s: e2fsck", what);
}

/* Bytes behind the end must not come back when the file grows over them. */
static void stale_tail(const char *how)
{
	static const uint8_t zero[20000];
	struct inode *inode;
	uint64_t pblk;

	vol_make("-t ext4 -b 4096", "8M");
	vol_open();
	inode = file_open("tail", true);
	memset(scratch, 'x', 100);
	is(data_write(inode, scratch, 100, 0, 0), 100, "short file");
	is(data_bmap(inode, 0, &pblk), 0, "bmap");
	ok(pblk, "has a block");
	memset(scratch, 'y', 4096);
	is(device_write(vol->dev, scratch, 3996, pblk * 4096 + 100), 0,
	   "as a mapped writer may leave it");
	if (!strcmp(how, "write")) {
		is(data_write(inode, "z", 1, 9000, 0), 1, "write beyond");
		is(data_read(inode, scratch, 9000, 0), 9000, "read");
	} else if (!strcmp(how, "truncate")) {
		is(data_truncate(inode, 9000, 0), 0, "grow");
		is(data_read(inode, scratch, 9000, 0), 9000, "read");
	} else {
		is(data_fallocate(inode, 0, 5000, 4000, 0), 0, "fallocate");
		is(data_read(inode, scratch, 9000, 0), 9000, "read");
	}
	ok(!memcmp(scratch + 100, zero, 8900), "%s: zeros after the old end",
	   how);
	is(data_truncate(inode, 40, 0), 0, "shrink");
	is(device_read(vol->dev, scratch, 4096, pblk * 4096), 0, "look");
	ok(scratch[39] == 'x' && !memcmp(scratch + 40, zero, 4056),
	   "and what is cut off is zeroed on disk");
	file_close(inode);
	is(vol_close(), 0, "closed");
}

static void limits(void)
{
	struct inode *inode;
	uint64_t max;

	vol_make("-t ext4 -b 1024", "8M");
	vol_open();
	inode = file_open("big", true);
	max = 0xffffffffULL * 1024;
	is(data_write(inode, "abc", 3, max - 2, 0), 2, "short at the limit");
	is(data_write(inode, "abc", 3, max, 0), -EFBIG, "beyond the limit");
	is(data_truncate(inode, max + 1, 0), -EFBIG, "truncate beyond it");
	is(data_truncate(inode, max, 0), 0, "truncate to it");
	is(data_read(inode, scratch, 10, max - 2), 2, "read there");
	ok(!memcmp(scratch, "ab", 2), "what was written");
	is(data_seek(inode, 0, SEEK_DATA), max - 1024, "SEEK_DATA");
	is(data_seek(inode, 0, SEEK_HOLE), 0, "SEEK_HOLE");
	is(data_fallocate(inode, 0, max - 5, 10, 0), -EFBIG, "fallocate");
	is(data_fallocate(inode, FALLOC_FL_PUNCH_HOLE, 0, 10, 0), -EOPNOTSUPP,
	   "punch without keeping the size");
	is(data_fallocate(inode, FALLOC_FL_UNSHARE_RANGE, 0, 10, 0),
	   -EOPNOTSUPP, "unshare");
	is(data_fallocate(inode, FALLOC_FL_COLLAPSE_RANGE, 5, 1024, 0), -EINVAL,
	   "unaligned collapse");
	is(data_truncate(inode, 5000, 0), 0, "cut");
	inode->i.flags |= EXT2_IMMUTABLE_FL;
	is(data_write(inode, "abc", 3, 0, 0), -EPERM, "immutable: write");
	is(data_truncate(inode, 0, 0), -EPERM, "immutable: truncate");
	is(data_fallocate(inode, 0, 0, 10, 0), -EPERM, "immutable: fallocate");
	inode->i.flags &= ~EXT2_IMMUTABLE_FL;
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "limits: e2fsck");
}

/* Times and privileges change with the contents, not from the page cache. */
static void stamps(void)
{
	struct inode *inode;
	struct timespec then = { .tv_sec = 1000 };

	vol_make("-t ext4", "8M");
	vol_open();
	inode = file_open("s", true);
	is(data_write(inode, "abcdef", 6, 0, 0), 6, "write");
	inode->i.mtime = inode->i.ctime = then;
	is(data_write(inode, "ABC", 3, 0, DATA_WB), 3, "overwrite, page cache");
	is(inode->i.mtime.tv_sec, 1000, "keeps mtime");
	is(data_write(inode, "ABCDEFGH", 8, 0, DATA_WB), 8, "the same, longer");
	is(inode->i.mtime.tv_sec, 1000, "keeps mtime");
	is(data_write(inode, "abc", 3, 0, 0), 3, "overwrite");
	ok(inode->i.mtime.tv_sec > 1000 && inode->i.ctime.tv_sec > 1000,
	   "sets mtime and ctime");
	inode->i.mode |= S_ISUID;
	is(data_write(inode, "abc", 3, 0, 0), 3, "overwrite");
	ok(inode->i.mode & S_ISUID, "setuid stays");
	is(data_write(inode, "abc", 3, 0, DATA_KILL_SUID), 3, "with KILL_SUID");
	ok(!(inode->i.mode & S_ISUID), "setuid goes");
	inode->i.mode |= S_ISUID;
	is(data_truncate(inode, 1, DATA_KILL_SUID), 0, "truncate");
	ok(!(inode->i.mode & S_ISUID), "setuid goes");
	inode->i.atime = then;
	data_accessed(inode);
	ok(inode->i.atime.tv_sec > 1000, "atime is renewed");
	inode->i.flags |= EXT2_NOATIME_FL;
	inode->i.atime = then;
	data_accessed(inode);
	is(inode->i.atime.tv_sec, 1000, "not with the noatime flag");
	is(data_write(inode, "abc", 3, 0, DATA_SYNC), 3, "synchronous write");
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "stamps: e2fsck");
}

static void symlinks(const char *mke2fs, unsigned bs)
{
	static const unsigned lens[] = { 1, 59, 60, 61, 200, 1000, 4095 };
	static const struct caller who = { .reserve = true };
	char target[5000], got[5000], name[20];
	struct inode *root, *inode;
	unsigned i, pass;

	vol_make(mke2fs, "8M");
	vol_open();
	memset(target, 't', sizeof(target));
	for (pass = 0; pass < 2; pass++) {
		inode_get_unlocked(vol, EXT2_ROOT_INO, &root);
		for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			if (lens[i] >= bs)
				continue;
			snprintf(name, sizeof(name), "l%u", lens[i]);
			target[lens[i]] = '\0';
			if (!pass)
				is(namei_create(root, name, strlen(name),
						S_IFLNK | 0777, 0, target, &who,
						&inode), 0, "symlink");
			else
				is(namei_lookup(root, name, strlen(name),
						&inode), 0, "lookup");
			is(data_readlink(inode, got, sizeof(got)), lens[i],
			   "length of the target");
			ok(!strcmp(got, target), "the target");
			is(data_readlink(inode, got, lens[i]), -ENAMETOOLONG,
			   "a buffer too small");
			target[lens[i]] = 't';
			inode_put_unlocked(inode);
		}
		inode_put_unlocked(root);
		is(vol_close(), 0, "closed");
		ok(vol_clean(), "symlinks, %u: e2fsck", bs);
		if (!getuid() && !run("mkdir -p '%s/k' && mount -o loop,ro "
				      "'%s' '%s/k' 2>/dev/null", work, image,
				      work)) {
			is(run("test $(readlink '%s/k/l200' | wc -c) = 201",
			       work), 0, "the kernel reads a long one");
			run("umount '%s/k'", work);
		}
		vol_open();
	}
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		snprintf(name, sizeof(name), "l%u", lens[i]);
		if (lens[i] < bs)
			is(file_remove(name), 0, "removed");
	}
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "symlinks removed: e2fsck");
}

int main(int argc, char **argv)
{
	const char *seed = getenv("DATA_SEED");
	const char *only = argc > 1 ? argv[1] : "";

	if (seed)
		rnd_state = strtoull(seed, NULL, 0) * 2654435761u + 1;
	work_begin();
#define PART(name) (!*only || !strcmp(only, name))
	if (PART("4k"))
		random_ops("ext4, 4k", "-t ext4 -b 4096", "24M", true, 4096);
	if (PART("1k"))
		random_ops("ext4, 1k", "-t ext4 -b 1024", "24M", true, 1024);
	if (PART("ext2"))
		random_ops("ext2, 1k", "-t ext2 -b 1024", "24M", false, 1024);
	if (PART("ext3"))
		random_ops("ext3, 4k", "-t ext3 -b 4096", "24M", false, 4096);
	if (PART("bigalloc"))
		random_ops("bigalloc", "-t ext4 -b 1024 -O bigalloc -C 16384",
			   "48M", true, 16384);
	if (PART("inline"))
		random_ops("inline", "-t ext4 -b 1024 -O inline_data -I 256",
			   "24M", true, 1024);
	if (PART("tight")) {
		random_ops("tight, 1k", "-t ext4 -b 1024 -N 64 -O ^has_journal",
			   "4M", true, 1024);
		random_ops("tight, 4k", "-t ext4 -b 4096 -N 64 -O ^has_journal",
			   "5M", true, 4096);
		random_ops("tight, ext2", "-t ext2 -b 1024 -N 64", "4M", false,
			   1024);
		random_ops("tight, bigalloc", "-t ext4 -b 1024 -N 64 -O "
			   "^has_journal,bigalloc -C 8192", "5M", true, 8192);
	}
	if (PART("full")) {
		full("ext4", "-t ext4 -b 1024 -m 0");
		full("ext2", "-t ext2 -b 1024 -m 0");
		ahead("ahead", "-t ext4 -b 1024 -m 0 -O ^has_journal");
		ahead("ahead, bigalloc", "-t ext4 -b 1024 -m 0 -O "
		      "^has_journal,bigalloc -C 8192");
	}
	if (PART("faults")) {
		faults("ext4", "-t ext4 -b 1024");
		faults("ext2", "-t ext2 -b 4096");
		faults("bigalloc", "-t ext4 -b 1024 -O bigalloc -C 8192");
	}
	if (PART("threads"))
		threads("ext4", "-t ext4 -b 1024");
	if (PART("pieces")) {
		pieces("ext4", "-t ext4 -b 1024", true);
		pieces("ext2", "-t ext2 -b 1024", false);
	}
	if (PART("tail")) {
		stale_tail("write");
		stale_tail("truncate");
		stale_tail("fallocate");
	}
	if (PART("limits"))
		limits();
	if (PART("stamps"))
		stamps();
	if (PART("symlinks")) {
		symlinks("-t ext4 -b 1024", 1024);
		symlinks("-t ext2 -b 4096", 4096);
	}
	work_end();
	return done();
}
