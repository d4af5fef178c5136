/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opts.c - the command line: each row of the table is accepted as it is
 * named, does what its type says, and is in the help if it has a help text;
 * unknown words are left to libfuse; bad values are refused.
 */
#include "opts/opts.h"

#include <fuse_opt.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"

static struct options o;
static struct fuse_args args;

/* Parses "PROG img mnt ..." ; the words end with NULL. */
static int parse(const char *prog, ...)
{
	const char *word;
	va_list ap;

	opts_free(&o);
	fuse_opt_free_args(&args);
	memset(&o, 0, sizeof(o));
	memset(&args, 0, sizeof(args));
	fuse_opt_add_arg(&args, prog);
	va_start(ap, prog);
	while ((word = va_arg(ap, const char *)))
		fuse_opt_add_arg(&args, word);
	va_end(ap);
	return opts_parse(&o, &args);
}

/* Is WORD in what was left for libfuse? */
static bool left(const char *word)
{
	int i;

	for (i = 0; i < args.argc; i++) {
		if (strstr(args.argv[i], word))
			return true;
	}
	return false;
}

/* "errors=1" is; "iomap=1" is a row of its own. */
static bool is_refused(const struct opt_row *row, const char *text)
{
	size_t i;

	for (i = 0; i < opt_row_count; i++) {
		if (!strcmp(opt_rows[i].name, text))
			return false;
	}
	return row->type == OPT_REFUSED;
}

static void test_rows(void)
{
	char text[128], name[64];
	size_t i;

	for (i = 0; i < opt_row_count; i++) {
		const struct opt_row *row = &opt_rows[i];
		size_t len = strlen(row->name);
		bool value = row->name[len - 1] == '=';

		bool pass = row->pass;

		snprintf(name, sizeof(name), "%s%s", row->name,
			 !value ? "" : row->low > 1 ? "4096" : "1");
		if (row->name[0] == '-')
			snprintf(text, sizeof(text), "%s", name);
		else
			snprintf(text, sizeof(text), "-o%s", name);
		is(parse("fuse2fs", "img", "mnt", text, NULL),
		   is_refused(row, name) ? -1 : 0, text);
		if (row->type == OPT_REFUSED)
			continue;
		ok(left(name) == pass, "%s %s libfuse", text,
		   pass ? "reaches" : "does not reach");
		if (row->type == OPT_TRUE)
			ok(*((bool *)((char *)&o + row->field)), "%s is set",
			   text);
	}
}

static void test_shapes(void)
{
	is(parse("fuse2fs", "-o", "ro,offset=1048576,zork", "a/b.img", "-f",
		 "mnt", NULL), 0, "options may stand anywhere");
	ok(o.fs.ro && o.fs.offset == 1048576 && o.foreground, "all were seen");
	ok(!strcmp(o.device, "a/b.img"), "the first word is the device");
	ok(!left("a/b.img"), "it is taken out");
	ok(left("mnt") && left("zork") && left("-f"), "the rest is libfuse's");
	is(parse("fuse2fs", "-oro", "img", "-orw", NULL), 0, "ro, rw");
	ok(!o.fs.ro, "the last one counts");
	ok(!o.has_mountpoint, "no mount point was given");
	parse("/sbin/mount.fuse.ext3", "img", "mnt", NULL);
	ok(!strcmp(o.subtype, "ext3"), "ext3 by the program's name");
	parse("fuse2fs", "img", "mnt", NULL);
	ok(!strcmp(o.subtype, "ext4"), "else ext4");
	parse("fuse2fs", "img", "mnt", "-oerrors=remount-ro", NULL);
	is(o.fs.errors, FS_ERRORS_RO, "errors=remount-ro");
	parse("fuse2fs", "img", "mnt", "-onoacl,acl", NULL);
	ok(!o.fs.noacl, "noacl, acl");
	parse("fuse2fs", "img", "mnt", "-onoacl,kernel", NULL);
	ok(!o.fs.noacl, "kernel has ACLs");
	parse("fuse2fs", "img", "mnt", "-oumask=022", NULL);
	ok(o.fs.noacl && left("umask=022"), "umask= has not");
	parse("fuse2fs", "img", "mnt", "-oumask=022,acl", NULL);
	ok(!o.fs.noacl, "unless asked for");
	is(o.oom_score_adj, -500, "oom_score_adj is -500");
	parse("fuse2fs", "img", "mnt", "-ox-systemd.automount,X-mount.mkdir", NULL);
	ok(!left("-mount") && !left("x-systemd"), "x-* and X-* are nobody's");
	parse("fuse2fs", "img", "mnt", "-ooffset=3k,sizelimit=2G", NULL);
	ok(o.fs.offset == 3072 && o.fs.limit == 2ULL << 30, "suffixes");
	parse("fuse2fs", "img", "mnt", "-ocache_size=3m", NULL);
	is(o.fs.cache_size, 3 << 20, "cache_size=3m");
}

static void test_bad(void)
{
	static const char *const words[] = {
		"-ooffset=", "-ooffset=12q", "-ooffset=-1", "-ooffset=0x10",
		"-ooffset=9999999999g", "-osizelimit=1kk", "-osizelimit=k",
		"-ooom_score_adj=-1001", "-oiomap=2", "-oiomap=",
		"-ocache_size=0", "-ocache_size=3g", "-ocache_size=1kk",
		"-omax_threads=0", "-omax_threads=x", "-ocommit=-1",
		"-oerrors=ignore", "-ooffset=99999999999999999999",
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		is(parse("fuse2fs", "img", "mnt", words[i], NULL), -1,
		   words[i]);
		ok(*o.error, "%s: says why", words[i]);
	}
	parse("fuse2fs", "img", "mnt", "-oerrors=ignore", NULL);
	ok(strstr(o.error, "unknown errors behavior."), "in the known words");
	parse("fuse2fs", "img", "mnt", "-ocache_size=2g", NULL);
	ok(strstr(o.error, "cache size must be between 1 block and 2GB."),
	   "in the known words");
}

static void test_defaults(void)
{
	parse("fuse2fs", "a,b\\c", "mnt", "-osubtype=mine", NULL);
	is(opts_defaults(&o, &args, true), 0, "defaults are added");
	ok(left("fsname=a\\,b\\\\c"), "the device's name is escaped");
	ok(left("-oro"), "a read-only volume is a read-only mount");
	ok(strstr(args.argv[1], "subtype=ext4") &&
	   !strstr(args.argv[args.argc - 1], "subtype"),
	   "defaults stand before the user's options");
	parse("fuse2fs", "img", "mnt", "-okernel,nosuid,no_default_opts", NULL);
	opts_defaults(&o, &args, false);
	ok(!strcmp(args.argv[1], "-oallow_other,default_permissions,suid,dev"),
	   "kernel is for all users");
	ok(!left("fsname") && !left("-oro"), "no_default_opts leaves them out");
	parse("fuse2fs", "img", "mnt", "-ofakeroot", NULL);
	opts_defaults(&o, &args, false);
	ok(left("nodev,nosuid") && !left("default_permissions"), "fakeroot");
}

static void test_help(void)
{
	char *text;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	opts_usage(f, "fuse2fs");
	fclose(f);
	ok(strstr(text, "usage: fuse2fs device/image mountpoint [options]\n") &&
	   strstr(text, "\ngeneral options:\n") &&
	   strstr(text, "\nfuse2fs options:\n"), "the headings people grep for");
	for (i = 0; i < opt_row_count; i++) {
		if (opt_rows[i].help || opt_rows[i].type == OPT_IGNORED)
			ok(strstr(text, opt_rows[i].name) &&
			   (!opt_rows[i].help ||
			    strstr(text, opt_rows[i].help)), "help has %s",
			   opt_rows[i].name);
	}
	free(text);
}

int main(void)
{
	test_rows();
	test_shapes();
	test_bad();
	test_defaults();
	test_help();
	opts_free(&o);
	fuse_opt_free_args(&args);
	return done();
}
