/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab.c - images, loop devices, files with shadows, and the judges.
 *
 * Works in the current folder, which is the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

#define MAX_MAPS	20000

struct lab L;
static unsigned checks, failed;

/*
 * The sanitizers are for the server: the model keeps what it made until it
 * ends, and looks at its counters without a lock.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "report_bugs=0";
}

/* Lines without numbers: a shell test runs several programs. */
bool lab_ok(bool good, const char *fmt, ...)
{
	char what[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	printf("%sok - %s\n", good ? "" : "not ", what);
	fflush(stdout);
	checks++;
	failed += !good;
	return good;
}

bool lab_is(long long got, long long want, const char *what)
{
	if (!lab_ok(got == want, "%s", what))
		printf("# got %lld, want %lld\n", got, want);
	return got == want;
}

void lab_bail(const char *why)
{
	if (M.server > 0)
		model_kill();
	lab_drop();
	printf("Bail out! %s\n", why);
	exit(99);
}

int lab_done(void)
{
	printf("1..%u\n", checks);
	return failed ? 1 : 0;
}

int lab_system(const char *fmt, ...)
{
	char cmd[1500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	fflush(stdout);
	return system(cmd);
}

void lab_need(void)
{
	if (!geteuid() && !access("/dev/loop-control", W_OK))
		return;
	printf("1..0 # SKIP needs root and loop devices\n");
	exit(0);
}

/* ---- images ---- */

void lab_image(const char *size, const char *mkfs)
{
	if (!getcwd(L.dir, sizeof(L.dir) - 20))
		lab_bail("getcwd");
	snprintf(L.image, sizeof(L.image), "%.280s/img", L.dir);
	snprintf(L.log, sizeof(L.log), "%.280s/server.log", L.dir);
	unlink(L.image);
	/* what was in the blocks before must never be seen */
	if (lab_system("tr '\\0' '\\356' </dev/zero | head -c %s >%s && "
		       "mke2fs -Fq -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 %s %s >mke2fs.out 2>&1",
		       size, L.image, mkfs, L.image))
		lab_bail("mke2fs");
}

static int loop_make(void)
{
	FILE *f;
	char cmd[400];

	snprintf(cmd, sizeof(cmd), "losetup -f --show %s", L.image);
	f = popen(cmd, "r");
	if (!f || !fgets(L.dev, sizeof(L.dev), f))
		L.dev[0] = 0;
	if (f)
		pclose(f);
	L.dev[strcspn(L.dev, "\n")] = 0;
	L.loop = L.dev[0];
	return L.loop ? 0 : -1;
}

void lab_drop(void)
{
	if (L.loop)
		lab_system("losetup -d %s", L.dev);
	L.loop = false;
}

int lab_start(const char *mount_opts, bool file)
{
	int err;

	if (!file && loop_make())
		lab_bail("losetup");
	L.mount_opts = mount_opts;
	L.opt.source = file ? L.image : L.dev;
	L.opt.image = L.image;
	L.opt.mount_opts = mount_opts;
	L.opt.log = L.log;
	err = model_start(&L.opt);
	M.strict = true;
	if (err)
		lab_system("tail -20 %s | sed 's/^/# server: /'", L.log);
	return err;
}

void lab_begin(const char *size, const char *mkfs, const char *mount_opts)
{
	lab_image(size, mkfs);
	memset(&L.opt, 0, sizeof(L.opt));
	if (lab_start(mount_opts, false) || !M.dev)
		lab_bail("no iomap");
}

uint64_t lab_free_blocks(void)
{
	struct fuse_statfs_out out = { 0 };

	call(FUSE_STATFS, 1, NULL, 0, NULL, 0, &out, sizeof(out), NULL);
	return out.st.bfree;
}

bool lab_fsck(void)
{
	if (!lab_system("e2fsck -fn %s >fsck.out 2>&1", L.image))
		return true;
	lab_system("head -30 fsck.out | sed 's/^/# /'");
	return false;
}

/* ---- debugfs's idea of a file's blocks ---- */

static void add_merged(struct iom_map *maps, unsigned *n, const struct iom_map *m)
{
	struct iom_map *last = *n ? &maps[*n - 1] : NULL;

	if (last && last->offset + last->length == m->offset &&
	    last->addr + last->length == m->addr && last->type == m->type)
		last->length += m->length;
	else if (*n < MAX_MAPS)
		maps[(*n)++] = *m;
}

static unsigned debugfs_maps(uint64_t ino, struct iom_map *maps)
{
	unsigned long long ls, le, ps, pe, len;
	char cmd[500], line[300], flags[40];
	struct iom_map m;
	unsigned n = 0;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "debugfs -R 'dump_extents -l <%" PRIu64 ">' %s 2>/dev/null",
		 ino, L.image);
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof(line), f)) {
		flags[0] = 0;
		if (sscanf(line, " %*d/%*d %*d/%*d %llu - %llu %llu - %llu %llu %39s",
			   &ls, &le, &ps, &pe, &len, flags) < 5)
			continue;
		m = (struct iom_map){
			.offset = ls * M.block_size, .length = len * M.block_size,
			.addr = ps * M.block_size,
			.type = flags[0] == 'U' ? IOM_UNWRITTEN : IOM_MAPPED,
		};
		add_merged(maps, &n, &m);
	}
	if (f)
		pclose(f);
	return n;
}

void t_note_maps(struct tfile *t)
{
	static struct iom_map raw[MAX_MAPS];
	struct iom_map *merged = calloc(MAX_MAPS, sizeof(*merged));
	unsigned n = 0;
	int i, got;

	M.past_cache = true;
	got = file_fiemap(t->inode, raw, MAX_MAPS);
	M.past_cache = false;
	if (got < 0)
		violation("fiemap of %s: %d", t->name, got);
	for (i = 0; i < got && i < MAX_MAPS; i++)
		add_merged(merged, &n, &raw[i]);
	free(t->maps);
	t->maps = merged;
	t->map_count = n;
	map_check_cache(t->inode, merged, n);
}

static bool same_maps(struct tfile *t)
{
	struct iom_map *disk = calloc(MAX_MAPS, sizeof(*disk));
	unsigned n = debugfs_maps(t->inode->ino, disk), i;
	bool same = n == t->map_count;

	if (!same)
		note("%s: %u extents reported, %u on disk", t->name,
		     t->map_count, n);
	for (i = 0; i < n && i < t->map_count; i++) {
		if (disk[i].offset == t->maps[i].offset &&
		    disk[i].length == t->maps[i].length &&
		    disk[i].addr == t->maps[i].addr &&
		    disk[i].type == t->maps[i].type)
			continue;
		note("%s: extent %u: reported %" PRIu64 "+%" PRIu64 " at %" PRIu64 " type %u, on disk %" PRIu64 "+%" PRIu64 " at %" PRIu64 " type %u",
		     t->name, i, t->maps[i].offset, t->maps[i].length,
		     t->maps[i].addr, t->maps[i].type, disk[i].offset,
		     disk[i].length, disk[i].addr, disk[i].type);
		same = false;
		break;
	}
	free(disk);
	return same;
}

/* ---- the kernel's ext4 ---- */

static bool same_contents(const char *path, const struct tfile *t)
{
	uint8_t *buf = malloc(t->size + 1);
	int fd = open(path, O_RDONLY);
	ssize_t n = -1;
	size_t i;
	bool same = false;

	if (fd >= 0) {
		for (i = 0, n = 1; n > 0 && i <= t->size; i += n)
			n = read(fd, buf + i, t->size + 1 - i);
		same = i == t->size && !memcmp(buf, t->data, t->size);
		if (!same && i == t->size) {
			for (i = 0; buf[i] == t->data[i]; i++)
				;
			note("%s: byte %zu of %" PRIu64 " is %02x, not %02x",
			     t->name, i, t->size, buf[i], t->data[i]);
		} else if (!same) {
			note("%s: %zu bytes, not %" PRIu64, t->name, i, t->size);
		}
		close(fd);
	} else {
		note("%s: %s", path, strerror(errno));
	}
	free(buf);
	return same;
}

static bool kernel_agrees(struct tfile **files, unsigned count)
{
	bool good = true;
	char path[500];
	unsigned i;

	lab_system("mkdir -p kernel");
	if (lab_system("mount -t ext4 -o ro,loop %s kernel 2>mount.err", L.image)) {
		lab_system("sed 's/^/# /' mount.err");
		return false;
	}
	for (i = 0; i < count; i++) {
		if (!files[i])
			continue;
		snprintf(path, sizeof(path), "kernel/%s", files[i]->name);
		good &= same_contents(path, files[i]);
	}
	lab_system("umount kernel");
	return good;
}

void lab_finish(struct tfile **files, unsigned count, const char *what)
{
	bool maps = true;
	unsigned i;

	for (i = 0; i < count; i++) {
		if (!files[i])
			continue;
		if (files[i]->open)
			t_close(files[i]);
		if (files[i]->inode->mapped)
			t_note_maps(files[i]);
	}
	M.table->configured = 0;	/* the end is nobody's request */
	lab_is(model_unmount(), 0, "the server ends well");
	if (M.status)
		lab_system("tail -20 %s | sed 's/^/# server: /'", L.log);
	lab_drop();
	lab_ok(lab_fsck(), "%s: e2fsck finds nothing", what);
	lab_ok(kernel_agrees(files, count), "%s: the kernel reads the same", what);
	for (i = 0; i < count; i++) {
		if (files[i] && files[i]->inode->mapped && files[i]->maps)
			maps &= same_maps(files[i]);
	}
	lab_ok(maps, "%s: debugfs sees the same blocks", what);
	lab_is(M.violations, 0, "no violation");
	for (i = 0; i < count; i++)
		t_free(files[i]);
}

/* ---- files with shadows ---- */

static void shadow_room(struct tfile *t, uint64_t size)
{
	if (size <= t->room)
		return;
	t->data = realloc(t->data, size * 2);
	memset(t->data + t->room, 0, size * 2 - t->room);
	t->room = size * 2;
}

static void shadow_size(struct tfile *t, uint64_t size)
{
	shadow_room(t, size + 1);
	if (size < t->size)
		memset(t->data + size, 0, t->size - size);
	t->size = size;
}

struct tfile *t_create(const char *name)
{
	struct tfile *t = calloc(1, sizeof(*t));
	int err;

	snprintf(t->name, sizeof(t->name), "%s", name);
	t->dir = M.root;
	shadow_room(t, 4096);
	err = name_create(M.root, name, 0644, &t->f);
	if (err) {
		note("create %s: %d", name, err);
		free(t->data);
		free(t);
		return NULL;
	}
	t->inode = t->f.inode;
	t->open = true;
	return t;
}

void t_free(struct tfile *t)
{
	if (!t)
		return;
	free(t->data);
	free(t->maps);
	free(t);
}

static void pattern(uint8_t *buf, size_t len)
{
	uint64_t x = model_random();
	size_t i;

	for (i = 0; i < len; i++) {
		if (i % 8 == 0)
			x = x * 6364136223846793005u + 1442695040888963407u;
		buf[i] = (x >> 8 * (i % 8)) | 1;	/* never zero */
	}
}

int t_write(struct tfile *t, enum way way, uint64_t pos, size_t len)
{
	uint8_t *buf;
	ssize_t n;

	if (way == MMAP) {
		if (pos >= t->size)
			return 0;
		len = min_u64(len, t->size - pos);
	}
	if (!len)
		return 0;
	buf = malloc(len);
	pattern(buf, len);
	if (way == MMAP)
		n = mmap_store(t->inode, pos, buf, len);
	else if (way == DIRECT)
		n = direct_write(t->inode, pos, buf, len, 0);
	else
		n = file_write(t->inode, pos, buf, len);
	if (way == MMAP && !n)
		n = len;
	if (n > 0) {
		shadow_room(t, pos + n);
		memcpy(t->data + pos, buf, n);
		t->size = max_u64(t->size, pos + n);
	}
	free(buf);
	return n < 0 ? n : n < (ssize_t)len ? -EIO : 0;
}

int t_read(struct tfile *t, enum way way, uint64_t pos, size_t len)
{
	uint64_t want = pos >= t->size ? 0 : min_u64(len, t->size - pos);
	uint8_t *buf = malloc(len + 1);
	ssize_t n;
	size_t i;

	n = way == DIRECT ? direct_read(t->inode, pos, buf, len) :
			    file_read(t->inode, pos, buf, len);
	if (n >= 0 && (uint64_t)n != want) {
		violation("%s: read of %zu at %" PRIu64 " gives %zd, size %" PRIu64,
			  t->name, len, pos, n, t->size);
	} else if (n > 0 && memcmp(buf, t->data + pos, n)) {
		for (i = 0; buf[i] == t->data[pos + i]; i++)
			;
		violation("%s: way %d: byte %" PRIu64 " is %02x, not %02x (read %" PRIu64 "+%zu, size %" PRIu64 ")",
			  t->name, way, pos + i, buf[i], t->data[pos + i], pos, len,
			  t->size);
	}
	free(buf);
	return n < 0 ? n : 0;
}

int t_truncate(struct tfile *t, uint64_t size)
{
	int err = file_truncate(t->inode, size, NULL);

	if (!err)
		shadow_size(t, size);
	return err;
}

int t_fallocate(struct tfile *t, int mode, uint64_t pos, uint64_t len)
{
	int err = file_fallocate(&t->f, mode, pos, len);
	uint64_t end = pos + len;

	if (err)
		return err;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > t->size)
		shadow_size(t, end);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		end = min_u64(end, t->size);
		if (end > pos)
			memset(t->data + pos, 0, end - pos);
	}
	return 0;
}

int t_check(struct tfile *t)
{
	struct fuse_attr attr;
	int err;

	if (t->inode->size != t->size)
		violation("%s: size %" PRIu64 ", not %" PRIu64, t->name,
			  t->inode->size, t->size);
	err = t_read(t, BUFFERED, 0, t->size + 1);
	if (!err && t->inode->mapped)
		err = inode_getattr(t->inode, &attr);
	return err;
}

int t_open(struct tfile *t)
{
	int err = file_open(t->inode, O_RDWR, &t->f);

	t->open = !err;
	return err;
}

int t_close(struct tfile *t)
{
	int err = file_close(&t->f);

	t->open = false;
	return err;
}

int t_again(struct tfile *t)
{
	int err;

	if (t->open)
		t_close(t);
	err = inode_evict(t->inode);
	if (!err)
		err = name_lookup(t->dir, t->name, &t->inode);
	if (!err && t->inode->size != t->size)
		violation("%s: looked up again with size %" PRIu64 ", not %" PRIu64,
			  t->name, t->inode->size, t->size);
	return err ? err : t_open(t);
}

int t_unlink(struct tfile *t)
{
	return name_unlink(t->dir, t->name, t->inode);
}

int lab_main(const struct lab_test *tests, unsigned n, int argc, char **argv)
{
	unsigned i;

	lab_need();
	for (i = 0; i < n; i++) {
		if (argc > 1 && strcmp(argv[1], tests[i].name))
			continue;
		note("---- %s", tests[i].name);
		tests[i].run();
		unlink(L.log);
	}
	return lab_done();
}
