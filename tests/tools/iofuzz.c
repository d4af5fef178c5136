/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iofuzz.c - random I/O on one file against a copy in memory.
 *
 * Every read, by read(2), O_DIRECT or through a mapping, is compared with the
 * copy, as is the size after every change; a hole that SEEK_HOLE tells of must
 * be zeros in the copy.  With a second name (-l) the file is opened now by the
 * one, now by the other, and two descriptors are used in turn.  At the end the
 * copy can be saved (-o), so that it can be compared after a new mount.
 *
 * Output is TAP; a difference shows the last operations.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY	30
#define PAGE	4096

static unsigned char *good, *buf;	/* the copy; a scratch buffer */
static long size, maxsize = 600000;	/* of the file; the limit */
static long block = 4096;		/* what collapse and insert take */
static int fds[3];			/* by either name; O_DIRECT */
static const char *names[2];
static char history[HISTORY][100];
static unsigned long step, steps = 3000, seed = 1;
static bool no_falloc, no_direct, no_mmap, no_seek;
static int no_mode;			/* FALLOC_FL_* that are not supported */

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(history[step % HISTORY], sizeof(history[0]), fmt, ap);
	va_end(ap);
}

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
	unsigned long i = step >= HISTORY ? step - HISTORY + 1 : 0;
	va_list ap;

	printf("not ok - random I/O, seed %lu, step %lu\n# ", seed, step);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n# size %ld; the last operations:\n", size);
	for (; i <= step; i++)
		printf("#   %lu %s\n", i, history[i % HISTORY]);
	printf("1..1\n");
	exit(1);
}

static void sys(const char *what)
{
	die("%s: %s", what, strerror(errno));
}

static long rnd(long n)		/* 0..N-1 */
{
	return n <= 0 ? 0 : (long)(((unsigned long)random() << 16 ^ (unsigned long)random()) %
				   (unsigned long)n);
}

/* A length: often small, sometimes whole blocks, sometimes large. */
static long rnd_len(void)
{
	switch (rnd(6)) {
	case 0:
		return 1 + rnd(10);
	case 1:
		return block * (1 + rnd(8));
	case 2:
		return 1 + rnd(maxsize / 3);
	default:
		return 1 + rnd(20000);
	}
}

static long rnd_off(long limit)
{
	long off = rnd(limit + 1);

	return rnd(4) ? off : off / block * block;
}

static void fill(unsigned char *p, long len)
{
	unsigned char c = (unsigned char)(1 + step % 255);
	long i;

	for (i = 0; i < len; i++)
		p[i] = (unsigned char)(c + i / 256 * 7 + i % 5);
}

static int any_fd(void)
{
	return fds[rnd(2)];
}

static void compare(const unsigned char *got, long off, long len, const char *how)
{
	long i, end;

	if (!memcmp(got, good + off, (size_t)len))
		return;
	for (i = 0; got[i] == good[off + i]; i++)
		;
	for (end = len; got[end - 1] == good[off + end - 1]; end--)
		;
	die("%s of %ld..%ld: differs in %ld..%ld, first got %02x want %02x",
	    how, off, off + len, off + i, off + end, got[i], good[off + i]);
}

static void check_size(void)
{
	struct stat st;

	if (fstat(any_fd(), &st))
		sys("fstat");
	if (st.st_size != size)
		die("size is %ld, not %ld", (long)st.st_size, size);
}

static void read_all(int fd, long off, long len, const char *how)
{
	long got = 0;

	while (got < len) {
		ssize_t n = pread(fd, buf + got, (size_t)(len - got), off + got);

		if (n < 0)
			sys(how);
		if (!n)
			die("%s of %ld..%ld: end of file at %ld", how, off, off + len,
			    off + got);
		got += n;
	}
	compare(buf, off, len, how);
}

static void do_read(void)
{
	long off = rnd_off(size), len = rnd_len();

	if (off + len > size)
		len = size - off;
	note("read %ld+%ld", off, len);
	read_all(any_fd(), off, len, "read");
	if (!rnd(4) && pread(any_fd(), buf, 10, size + rnd(10)) != 0)
		die("read at the end is not 0");
}

static void do_direct_read(void)
{
	long off = rnd_off(size) / PAGE * PAGE;
	long len = (1 + rnd(16)) * PAGE, want = len;
	ssize_t n;

	note("direct read %ld+%ld", off, len);
	n = pread(fds[2], buf, (size_t)len, off);
	if (n < 0)
		sys("direct read");
	if (off + want > size)
		want = size - off;
	if (n != want)
		die("direct read: %zd bytes, not %ld", n, want);
	compare(buf, off, want, "direct read");
}

static void written(long off, long len)
{
	if (off > size)
		memset(good + size, 0, (size_t)(off - size));
	memcpy(good + off, buf, (size_t)len);
	if (off + len > size)
		size = off + len;
}

static void write_all(int fd, long off, long len, const char *how)
{
	long put = 0;

	while (put < len) {
		ssize_t n = pwrite(fd, buf + put, (size_t)(len - put), off + put);

		if (n <= 0)
			sys(how);
		put += n;
	}
}

static void do_write(void)
{
	long off = rnd_off(rnd(3) ? size : maxsize - 1), len = rnd_len();

	if (off + len > maxsize)
		len = maxsize - off;
	note("write %ld+%ld", off, len);
	fill(buf, len);
	write_all(any_fd(), off, len, "write");
	written(off, len);
}

static void do_direct_write(void)
{
	long off = rnd_off(size) / PAGE * PAGE, len = (1 + rnd(16)) * PAGE;

	if (off + len > maxsize)
		return;
	note("direct write %ld+%ld", off, len);
	fill(buf, len);
	write_all(fds[2], off, len, "direct write");
	written(off, len);
}

static void do_append(void)
{
	long len = 1 + rnd(5000);
	int fd;

	if (size + len > maxsize)
		return;
	note("append %ld", len);
	fd = open(names[rnd(2)], O_WRONLY | O_APPEND);
	if (fd < 0)
		sys("open for append");
	fill(buf, len);
	if (write(fd, buf, (size_t)len) != len)
		sys("append");
	close(fd);
	written(size, len);
}

static void do_map(bool write)
{
	long off = rnd_off(size), len = rnd_len(), base, i;
	unsigned char *p;

	if (off + len > size)
		len = size - off;
	if (len <= 0)
		return;
	note("map %s %ld+%ld", write ? "write" : "read", off, len);
	base = off / PAGE * PAGE;
	p = mmap(NULL, (size_t)(off + len - base), PROT_READ | (write ? PROT_WRITE : 0),
		 MAP_SHARED, any_fd(), base);
	if (p == MAP_FAILED)
		sys("mmap");
	if (write) {
		fill(buf, len);
		memcpy(p + (off - base), buf, (size_t)len);
		written(off, len);
		if (rnd(2) && msync(p, (size_t)(off + len - base), MS_SYNC))
			sys("msync");
	} else {
		compare(p + (off - base), off, len, "mapped read");
		/* Beyond the end a page is zeros. */
		for (i = size - base; off + len == size && i % PAGE; i++)
			if (p[i])
				die("mapped byte %ld beyond the end is not 0", base + i);
	}
	munmap(p, (size_t)(off + len - base));
}

static void do_truncate(void)
{
	long to = rnd_off(rnd(3) ? size : maxsize - 1);

	note("truncate %ld to %ld", size, to);
	if (rnd(2) ? ftruncate(any_fd(), to) : truncate(names[rnd(2)], to))
		sys("truncate");
	if (to > size)
		memset(good + size, 0, (size_t)(to - size));
	size = to;
}

static bool falloc(int mode, long off, long len, const char *what)
{
	if (mode & no_mode)
		return false;
	note("%s %ld+%ld (size %ld)", what, off, len, size);
	if (!fallocate(any_fd(), mode, off, len))
		return true;
	if (errno != EOPNOTSUPP)
		sys(what);
	if (mode & ~FALLOC_FL_KEEP_SIZE)
		no_mode |= mode & ~FALLOC_FL_KEEP_SIZE;
	else
		no_falloc = true;
	printf("# no %s here\n", what);
	return false;
}

static void do_punch(void)
{
	long off = rnd_off(maxsize - 1), len = rnd_len(), end;

	if (!falloc(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len, "punch"))
		return;
	end = off + len < size ? off + len : size;
	if (off < end)
		memset(good + off, 0, (size_t)(end - off));
}

static void do_zero(void)
{
	bool keep = rnd(2);
	long off = rnd_off(maxsize - 1), len = rnd_len();

	if (off + len > maxsize)
		len = maxsize - off;
	if (!falloc(FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), off, len,
		    keep ? "zero (keep)" : "zero"))
		return;
	if (off > size)
		memset(good + size, 0, (size_t)(off - size));
	memset(good + off, 0, (size_t)len);
	if (!keep && off + len > size)
		size = off + len;
}

static void do_alloc(void)
{
	bool keep = rnd(2);
	long off = rnd_off(maxsize - 1), len = rnd_len();

	if (off + len > maxsize)
		len = maxsize - off;
	if (!falloc(keep ? FALLOC_FL_KEEP_SIZE : 0, off, len,
		    keep ? "allocate (keep)" : "allocate"))
		return;
	if (!keep && off + len > size) {
		memset(good + size, 0, (size_t)(off + len - size));
		size = off + len;
	}
}

static void do_collapse(void)
{
	long off = rnd(size) / block * block, len = (1 + rnd(8)) * block;

	if (off + len >= size)
		return;
	if (!falloc(FALLOC_FL_COLLAPSE_RANGE, off, len, "collapse"))
		return;
	memmove(good + off, good + off + len, (size_t)(size - off - len));
	size -= len;
}

static void do_insert(void)
{
	long off = rnd(size) / block * block, len = (1 + rnd(8)) * block;

	if (off >= size || size + len > maxsize)
		return;
	if (!falloc(FALLOC_FL_INSERT_RANGE, off, len, "insert"))
		return;
	memmove(good + off + len, good + off, (size_t)(size - off));
	memset(good + off, 0, (size_t)len);
	size += len;
}

static void do_copy(void)
{
	loff_t in = rnd_off(size), out = rnd_off(maxsize - 1);
	long len = rnd_len();
	ssize_t n;

	if (in + len > size)
		len = size - in;
	if (out + len > maxsize)
		len = maxsize - out;
	if (len <= 0 || (in < out + len && out < in + len))
		return;
	note("copy %ld to %ld+%ld", (long)in, (long)out, len);
	while (len > 0) {
		loff_t from = in, to = out;

		n = copy_file_range(fds[0], &in, fds[1], &out, (size_t)len, 0);
		if (n <= 0)
			sys("copy_file_range");
		memcpy(buf, good + from, (size_t)n);
		written(to, n);
		len -= n;
	}
}

static void do_seek(void)
{
	long pos = 0, data, hole;
	int fd = any_fd();

	note("seek data and hole");
	while (pos < size) {
		data = lseek(fd, pos, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			sys("SEEK_DATA");
		if (data < 0)
			data = size;
		for (; pos < data; pos++)
			if (good[pos])
				die("SEEK_DATA passes over data at %ld", pos);
		if (pos >= size)
			break;
		hole = lseek(fd, pos, SEEK_HOLE);
		if (hole <= pos || hole > size)
			die("SEEK_HOLE from %ld is %ld", pos, hole);
		pos = hole;
	}
}

static void reopen(void)
{
	int i;

	note("open again");
	for (i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	fds[0] = open(names[0], O_RDWR);
	fds[1] = open(names[1], O_RDWR);
	fds[2] = no_direct ? -1 : open(names[rnd(2)], O_RDWR | O_DIRECT);
	if (fds[0] < 0 || fds[1] < 0)
		sys("open");
	if (fds[2] < 0)
		no_direct = true;
}

static void do_sync(void)
{
	note("sync");
	if (rnd(2) ? fsync(any_fd()) : fdatasync(any_fd()))
		sys("fsync");
	if (rnd(2))
		posix_fadvise(any_fd(), 0, 0, POSIX_FADV_DONTNEED);
}

static void one_step(void)
{
	long kind = rnd(20);

	if (no_falloc && kind >= 10 && kind <= 14)
		kind = 2;
	if (no_direct && (kind == 1 || kind == 4))
		kind = 0;
	if (no_mmap && (kind == 6 || kind == 7))
		kind = 3;
	if (no_seek && kind == 16)
		kind = 0;
	switch (kind) {
	case 0: do_read(); break;
	case 1: do_direct_read(); break;
	case 2: case 3: do_write(); break;
	case 4: do_direct_write(); break;
	case 5: do_append(); break;
	case 6: do_map(false); break;
	case 7: do_map(true); break;
	case 8: case 9: do_truncate(); break;
	case 10: do_punch(); break;
	case 11: do_zero(); break;
	case 12: do_alloc(); break;
	case 13: do_collapse(); break;
	case 14: do_insert(); break;
	case 15: do_copy(); break;
	case 16: do_seek(); break;
	case 17: reopen(); break;
	case 18: do_sync(); break;
	default: do_read(); break;
	}
	check_size();
}

static void save(const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f || (size && fwrite(good, (size_t)size, 1, f) != 1) || fclose(f))
		sys(path);
}

int main(int argc, char **argv)
{
	const char *out = NULL, *second = NULL;
	int c;

	while ((c = getopt(argc, argv, "s:n:m:b:l:o:FDMS")) != -1) {
		switch (c) {
		case 's': seed = strtoul(optarg, NULL, 0); break;
		case 'n': steps = strtoul(optarg, NULL, 0); break;
		case 'm': maxsize = strtol(optarg, NULL, 0); break;
		case 'b': block = strtol(optarg, NULL, 0); break;
		case 'l': second = optarg; break;
		case 'o': out = optarg; break;
		case 'F': no_falloc = true; break;
		case 'D': no_direct = true; break;
		case 'M': no_mmap = true; break;
		case 'S': no_seek = true; break;
		default: optind = argc;
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: iofuzz [-s SEED] [-n STEPS] [-m MAXSIZE] [-b BLOCK]\n"
			"	[-l SECOND-NAME] [-o COPY] [-F] [-D] [-M] [-S] FILE\n"
			"-F no fallocate, -D no O_DIRECT, -M no mappings, -S no SEEK_HOLE\n");
		return 2;
	}
	names[0] = argv[optind];
	names[1] = second ? second : names[0];
	srandom((unsigned)seed);
	good = calloc(1, (size_t)maxsize + PAGE);
	if (!good || posix_memalign((void **)&buf, PAGE, (size_t)maxsize + 17 * PAGE))
		sys("memory");
	fds[0] = open(names[0], O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fds[0] < 0)
		sys(names[0]);
	if (second && link(names[0], second))
		sys(second);
	fds[1] = fds[2] = -1;
	reopen();
	for (step = 1; step <= steps; step++)
		one_step();
	step--;
	note("the whole");
	read_all(fds[0], 0, size, "the whole file");
	reopen();
	read_all(fds[1], 0, size, "the whole file, opened again");
	if (out)
		save(out);
	printf("ok - %lu random operations, seed %lu\n1..1\n", steps, seed);
	return 0;
}
