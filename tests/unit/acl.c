/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acl - access control lists: the same steps here and on the kernel's ext4
 * end in the same modes and ACLs, for files, directories and their children.
 */
#include <sys/xattr.h>
#include "nametest.h"

#define ACCESS	"system.posix_acl_access"
#define DEFAULT	"system.posix_acl_default"

enum { U = 1, USER = 2, G = 4, GROUP = 8, MASK = 16, O = 32 };

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct value {
	uint32_t version;
	struct entry e[12];
};

#define NO	0xffffffff

static const struct {
	const char *what;
	unsigned n;
	struct entry e[12];
	bool good;
} acls[] = {
	{ "minimal", 3, { { U, 7, NO }, { G, 5, NO }, { O, 1, NO } }, true },
	{ "a user", 5, { { U, 6, NO }, { USER, 7, 1000 }, { G, 4, NO },
			 { MASK, 5, NO }, { O, 0, NO } }, true },
	{ "users and groups", 8, { { U, 7, NO }, { USER, 7, 1000 },
		{ USER, 1, 70000 }, { G, 5, NO }, { GROUP, 3, 10 },
		{ GROUP, 7, 99999 }, { MASK, 7, NO }, { O, 4, NO } }, true },
	{ "a mask only", 4, { { U, 7, NO }, { G, 7, NO }, { MASK, 2, NO },
			      { O, 7, NO } }, true },
	{ "nothing", 0, { { 0, 0, 0 } }, true },
	{ "no mask", 4, { { U, 7, NO }, { USER, 7, 1 }, { G, 7, NO },
			  { O, 7, NO } }, false },
	{ "no owner", 2, { { G, 7, NO }, { O, 7, NO } }, false },
	{ "out of order", 3, { { G, 7, NO }, { U, 7, NO }, { O, 7, NO } },
	  false },
	{ "two owners", 4, { { U, 7, NO }, { U, 7, NO }, { G, 7, NO },
			     { O, 7, NO } }, false },
	{ "more than rwx", 3, { { U, 9, NO }, { G, 7, NO }, { O, 7, NO } },
	  false },
	{ "unknown tag", 4, { { U, 7, NO }, { G, 7, NO }, { O, 7, NO },
			      { 64, 7, NO } }, false },
};

#define ACLS	(sizeof(acls) / sizeof(acls[0]))

static size_t acl_value(unsigned k, struct value *v)
{
	v->version = 2;
	memcpy(v->e, acls[k].e, sizeof(v->e));
	return 4 + 8 * acls[k].n;
}

/* ---- one step, here or in the kernel ---- */

static bool by_kernel;

static int set_acl(const char *path, const char *name, unsigned k)
{
	struct value v;
	size_t size = acl_value(k, &v);
	struct inode *inode;
	int err;

	if (by_kernel)
		return setxattr(kernel_path(path), name, &v, size, 0) ?
		       -errno : 0;
	inode = at(path);
	err = xattr_set(inode, name, &v, size, 0);
	drop(inode);
	return err;
}

static int change_mode(const char *path, mode_t mode)
{
	struct attr_change c = { .valid = ATTR_MODE, .mode = mode };
	struct inode *inode;
	int err;

	if (by_kernel)
		return chmod(kernel_path(path), mode) ? -errno : 0;
	inode = at(path);
	err = attr_set(inode, &c);
	drop(inode);
	return err;
}

static int new_thing(const char *path, mode_t mode)
{
	int err;

	if (!by_kernel)
		return make(path, mode, 0, S_ISLNK(mode) ? "x" : NULL);
	umask(022);
	if (S_ISDIR(mode))
		err = mkdir(kernel_path(path), mode & 07777);
	else if (S_ISLNK(mode))
		err = symlink("x", kernel_path(path));
	else
		err = mknod(kernel_path(path), mode, 0);
	return err ? -errno : 0;
}

/* Mode and ACLs as text. */
static void describe(const char *path, char *out, size_t size)
{
	static const char *const names[] = { ACCESS, DEFAULT };
	uint8_t buf[500];
	struct stat st;
	unsigned n;
	size_t len;

	if (by_kernel)
		lstat(kernel_path(path), &st);
	else
		st = stat_of(path);
	len = snprintf(out, size, "%o", st.st_mode);
	for (n = 0; n < 2; n++) {
		struct inode *inode;
		ssize_t got, k;

		if (by_kernel) {
			got = lgetxattr(kernel_path(path), names[n], buf,
					sizeof(buf));
			got = got < 0 ? -errno : got;
		} else {
			inode = at(path);
			got = xattr_get(inode, names[n], buf, sizeof(buf));
			drop(inode);
		}
		if (got == -EOPNOTSUPP)
			got = -ENODATA;
		len += snprintf(out + len, size - len, " %zd:", got);
		for (k = 0; k < got; k++)
			len += snprintf(out + len, size - len, "%02x", buf[k]);
	}
}

#define LINES	400
static char results[2][LINES][1200];
static unsigned lines;

__attribute__((format(printf, 1, 2))) static char *line(const char *fmt, ...)
{
	char *l = results[by_kernel][lines < LINES ? lines++ : LINES - 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l, 1200, fmt, ap);
	va_end(ap);
	return l;
}

static void note(const char *path)
{
	char text[1100];

	describe(path, text, sizeof(text));
	line("%s: %s", path, text);
}

static void steps(void)
{
	static const mode_t modes[] = { 0777, 0640, 0000, 0571, 02775 };
	char dir[32], path[64];
	unsigned k, m;

	lines = 0;
	new_thing("/f", S_IFREG | 0666);
	new_thing("/d", S_IFDIR | 0777);
	new_thing("/l", S_IFLNK | 0777);
	for (k = 0; k < ACLS; k++) {
		line("set %s: %d", acls[k].what, set_acl("/f", ACCESS, k));
		note("/f");
		for (m = 0; m < 5; m++) {
			change_mode("/f", modes[m]);
			note("/f");
		}
		line("default: %d", set_acl("/d", DEFAULT, k));
		note("/d");
	}
	line("default of a file: %d", set_acl("/f", DEFAULT, 1));
	for (k = 0; k < ACLS; k++) {
		if (!acls[k].good)
			continue;
		snprintf(dir, sizeof(dir), "/dir%u", k);
		new_thing(dir, S_IFDIR | 0755);
		set_acl(dir, DEFAULT, k);
		for (m = 0; m < 5; m++) {
			snprintf(path, sizeof(path), "%s/f%u", dir, m);
			new_thing(path, S_IFREG | (modes[m] & 0777));
			note(path);
			snprintf(path, sizeof(path), "%s/d%u", dir, m);
			new_thing(path, S_IFDIR | (modes[m] & 0777));
			note(path);
			snprintf(path, sizeof(path), "%s/d%u/sub", dir, m);
			new_thing(path, S_IFREG | 0666);
			note(path);
			snprintf(path, sizeof(path), "%s/p%u", dir, m);
			new_thing(path, S_IFIFO | (modes[m] & 0777));
			note(path);
		}
		snprintf(path, sizeof(path), "%s/l", dir);
		new_thing(path, S_IFLNK | 0777);
		note(path);
	}
}

static bool compare(unsigned ours, unsigned kernels, const char *what)
{
	unsigned k, bad = ours != kernels;

	for (k = 0; k < ours && k < kernels; k++) {
		if (!strcmp(results[0][k], results[1][k]))
			continue;
		if (bad++ < 8)
			printf("# %s\n# %s (kernel)\n", results[0][k],
			       results[1][k]);
	}
	return ok(!bad, "%s (%u lines)", what, ours);
}

static void test_alone(void)
{
	struct inode *inode;
	struct value v;
	size_t size = acl_value(1, &v);

	make_file("/g");
	inode = at("/g");
	is(xattr_set(inode, ACCESS, &v, size, 0), 0, "an access ACL");
	is(stat_of("/g").st_mode, S_IFREG | 0650, "sets the mode");
	is(xattr_get(inode, ACCESS, NULL, 0), (long long)size, "is there");
	is(xattr_set(inode, ACCESS, &v, size, XATTR_CREATE), -EEXIST, "once");
	v.version = 1;
	is(xattr_set(inode, ACCESS, &v, size, 0), -EOPNOTSUPP, "old version");
	v.version = 2;
	is(xattr_set(inode, ACCESS, &v, size - 1, 0), -EINVAL, "cut short");
	is(xattr_set(inode, ACCESS, NULL, 0, 0), 0, "empty: removes");
	is(xattr_get(inode, ACCESS, NULL, 0), -ENODATA, "is gone");
	is(stat_of("/g").st_mode, S_IFREG | 0650, "and leaves the mode");
	drop(inode);

	vol->opt.noacl = true;
	inode = at("/dir1");
	is(xattr_get(inode, DEFAULT, NULL, 0), -EOPNOTSUPP, "noacl: no get");
	is(xattr_set(inode, DEFAULT, &v, size, 0), -EOPNOTSUPP, "no set");
	is(xattr_list(inode, NULL, 0), 0, "not listed");
	is(make("/dir1/noacl", S_IFREG | 0666, 0, NULL), 0, "not inherited");
	is(stat_of("/dir1/noacl").st_mode, S_IFREG | 0644, "but umask");
	drop(inode);
	vol->opt.noacl = false;
}

int main(void)
{
	static const char *const kinds[] = {
		"-t ext4", "-t ext2 -b 1024 -I 128", "-t ext4 -O inline_data",
		"-t ext4 -b 1024 -I 128 -O ^metadata_csum",
	};
	unsigned k, ours, kernels;

	work_begin();
	who.umask = 022;
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		printf("# mke2fs %s\n", kinds[k]);
		vol_make(kinds[k], "16M");
		vol_open();
		by_kernel = false;
		steps();
		ours = lines;
		test_alone();
		is(inode_table_busy(vol), 0, "no inode is still held");
		vol_close();
		ok(vol_clean(), "e2fsck finds nothing");

		vol_make(kinds[k], "16M");
		if (!kernel_mount("rw,acl")) {
			printf("# no loop mount\n");
			continue;
		}
		by_kernel = true;
		steps();
		kernels = lines;
		kernel_umount();
		compare(ours, kernels, "the kernel does the same");
	}
	work_end();
	return done();
}
