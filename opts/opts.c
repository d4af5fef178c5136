/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opts.c - one table of options: what is accepted, where it goes, its help.
 *
 * Knows libfuse's argument lists (fuse_opt.h) and nothing else of it.  What
 * is not in the table is left to libfuse, which complains about what it does
 * not know either.
 */
#include "opts/opts.h"

#include <errno.h>
#include <fuse_opt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define F(field)	offsetof(struct options, field)
#define SIZE_LIMIT	((int64_t)INT32_MAX)

const struct opt_row opt_rows[] = {
	{ "-h", OPT_TRUE, F(help), .help = NULL },
	{ "--help", OPT_TRUE, F(help), .help = NULL },
	{ "--helpfull", OPT_TRUE, F(helpfull), .help = NULL },
	{ "-V", OPT_TRUE, F(version), .help = NULL },
	{ "--version", OPT_TRUE, F(version), .help = NULL },
	{ "-f", OPT_TRUE, F(foreground), .pass = true },
	{ "-s", OPT_TRUE, F(single), .pass = true },
	{ "-d", OPT_TRUE, F(foreground), .pass = true },
	{ "debug", OPT_TRUE, F(foreground), .pass = true },

	{ "ro", OPT_TRUE, F(fs.ro), .help = "mount read-only" },
	{ "rw", OPT_FALSE, F(fs.ro), .help = "mount read-write",
	  .preset = "yes" },
	{ "errors=continue", OPT_CHOICE, F(fs.errors), FS_ERRORS_CONTINUE,
	  .help = "go on after damage was found" },
	{ "errors=remount-ro", OPT_CHOICE, F(fs.errors), FS_ERRORS_RO,
	  .help = "take no more changes then" },
	{ "errors=panic", OPT_CHOICE, F(fs.errors), FS_ERRORS_PANIC,
	  .help = "end the server then" },
	{ "errors=", OPT_REFUSED, .help = NULL },
	{ "minixdf", OPT_TRUE, F(fs.minixdf),
	  .help = "minix-style df" },
	{ "bsddf", OPT_FALSE, F(fs.minixdf),
	  .help = "BSD-style df", .preset = "yes" },
	{ "fakeroot", OPT_TRUE, F(fs.fakeroot),
	  .help = "everybody may do what root may" },
	{ "kernel", OPT_TRUE, F(kernel),
	  .help = "behave as a mount by the kernel: all users, suid, dev" },
	{ "no_default_opts", OPT_TRUE, F(no_default_opts),
	  .help = "do not add default FUSE options" },
	{ "offset=", OPT_BYTES, F(fs.offset), .arg = "BYTES",
	  .help = "the file system begins there" },
	{ "norecovery", OPT_TRUE, F(fs.norecovery),
	  .help = "do not replay the journal (implies ro if it is dirty)" },
	{ "noload", OPT_TRUE, F(fs.norecovery),
	  .help = "the same" },
	{ "acl", OPT_TRUE, F(acl),
	  .help = "POSIX ACLs", .preset = "yes" },
	{ "noacl", OPT_TRUE, F(fs.noacl),
	  .help = "no POSIX ACLs" },
	{ "cache_size=", OPT_SIZE, F(fs.cache_size), .low = 1,
	  .high = SIZE_LIMIT, .arg = "N[kmg]",
	  .help = "memory for metadata blocks" },
	{ "commit=", OPT_NUMBER, F(fs.commit_interval), .high = 3600,
	  .arg = "SECONDS", .help = "time between commits", .preset = "5" },
	{ "directio", OPT_TRUE, F(fs.directio),
	  .help = "no page cache between us and the device" },
	{ "max_threads=", OPT_NUMBER, F(max_threads), .low = 1, .high = 64,
	  .arg = "N", .help = "threads that serve requests",
	  .preset = "processors + 1, 2 to 4" },
	{ "lockfile=", OPT_STRING, F(lockfile), .arg = "PATH",
	  .help = "file that exists until the device is closed" },
	{ "dirsync", OPT_TRUE, F(fs.dirsync), .pass = true,
	  .help = "directory changes are synchronous" },
	{ "sync", OPT_TRUE, F(fs.sync), .pass = true,
	  .help = "all changes are synchronous" },
	{ "noatime", OPT_TRUE, F(noatime), .pass = true,
	  .help = "do not record the time of reading" },
	{ "nodiratime", OPT_TRUE, F(nodiratime),
	  .help = "nor of listing directories" },
	{ "fuse2fs_debug", OPT_TRUE, F(debug),
	  .help = "trace on stderr" },
	{ "allow_root", OPT_TRUE, F(allow_root), .pass = true, .help = NULL },

	/* What other servers and the kernel's ext4 take; no effect here. */
	{ "oom_score_adj=", OPT_NUMBER, F(oom_score_adj), .low = -1000,
	  .high = 1000, .help = NULL },
	{ "user_xattr", OPT_IGNORED, .help = NULL },
	{ "nodelalloc", OPT_IGNORED, .help = NULL },
	{ "delalloc", OPT_IGNORED, .help = NULL },
	{ "noblock_validity", OPT_IGNORED, .help = NULL },
	{ "block_validity", OPT_IGNORED, .help = NULL },
	{ "data=ordered", OPT_IGNORED, .help = NULL },
	{ "barrier", OPT_IGNORED, .help = NULL },
	{ "barrier=", OPT_IGNORED, .help = NULL },
	{ "nobarrier", OPT_IGNORED, .help = NULL },
	{ "journal_checksum", OPT_IGNORED, .help = NULL },
	{ "journal_async_commit", OPT_IGNORED, .help = NULL },
	{ "discard", OPT_IGNORED, .help = NULL },
	{ "nodiscard", OPT_IGNORED, .help = NULL },
	{ "init_itable", OPT_IGNORED, .help = NULL },
	{ "init_itable=", OPT_IGNORED, .help = NULL },
	{ "noinit_itable", OPT_IGNORED, .help = NULL },
	{ "usrquota", OPT_IGNORED, .help = NULL },
	{ "grpquota", OPT_IGNORED, .help = NULL },
	{ "prjquota", OPT_IGNORED, .help = NULL },
	{ "quota", OPT_IGNORED, .help = NULL },
	{ "noquota", OPT_IGNORED, .help = NULL },
	{ "stripe=", OPT_IGNORED, .help = NULL },
	{ "timing", OPT_IGNORED, .help = NULL },
	{ "flush_interval=", OPT_IGNORED, .help = NULL },
	{ "lazytime", OPT_IGNORED, .help = NULL },
	{ "nolazytime", OPT_IGNORED, .help = NULL },
	{ "relatime", OPT_IGNORED, .help = NULL },
	{ "defaults", OPT_IGNORED, .help = NULL },
	{ "auto", OPT_IGNORED, .help = NULL },
	{ "noauto", OPT_IGNORED, .help = NULL },
	{ "user", OPT_IGNORED, .help = NULL },
	{ "nouser", OPT_IGNORED, .help = NULL },
	{ "users", OPT_IGNORED, .help = NULL },
	{ "_netdev", OPT_IGNORED, .help = NULL },
	{ "nofail", OPT_IGNORED, .help = NULL },
};

const size_t opt_row_count = sizeof(opt_rows) / sizeof(opt_rows[0]);

enum { KEY_ROW0 = 1000 };

/* Decimal digits and nothing else; SUFFIX allows one of kKmMgG after them. */
static int parse_number(const char *text, bool suffix, bool sign, int64_t *out)
{
	long long n;
	int shift = 0;
	char *end;

	if (!(*text >= '0' && *text <= '9') && !(sign && *text == '-'))
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text)
		return -1;
	if (suffix && *end) {
		const char *units = "kKmMgG", *u = strchr(units, *end);

		if (!u)
			return -1;
		shift = 10 * ((u - units) / 2 + 1);
		end++;
	}
	if (*end || n > (INT64_MAX >> shift))
		return -1;
	*out = (int64_t)((uint64_t)n << shift);
	return 0;
}

static int bad_value(const struct opt_row *row, const char *text)
{
	if (row->type == OPT_SIZE)
		fprintf(stderr, "fuse2fs: cache size must be between 1 block and 2GB.\n");
	else if (row->type == OPT_REFUSED)
		fprintf(stderr, "fuse2fs: unknown errors behavior.\n");
	else
		fprintf(stderr, "fuse2fs: bad value of option: %s\n", text);
	return -1;
}

/* Stores ARG, the option as it was given, into O.  0 or -1. */
static int store(struct options *o, const struct opt_row *row, const char *arg)
{
	char *field = (char *)o + row->field;
	const char *value = strchr(arg, '=');
	int64_t n;

	value = value ? value + 1 : "";
	switch (row->type) {
	case OPT_TRUE:
	case OPT_FALSE:
		*(bool *)field = row->type == OPT_TRUE;
		return 0;
	case OPT_CHOICE:
		*(enum fs_errors *)field = row->value;
		return 0;
	case OPT_BYTES:
		if (parse_number(value, false, false, &n))
			return bad_value(row, arg);
		*(uint64_t *)field = n;
		return 0;
	case OPT_SIZE:
		if (parse_number(value, true, false, &n) || n < row->low ||
		    n > row->high)
			return bad_value(row, arg);
		*(size_t *)field = n;
		return 0;
	case OPT_NUMBER:
		if (parse_number(value, false, true, &n) || n < row->low ||
		    n > row->high)
			return bad_value(row, arg);
		*(int *)field = n;
		return 0;
	case OPT_STRING:
		free(*(char **)field);
		*(char **)field = strdup(value);
		return *(char **)field ? 0 : -1;
	case OPT_REFUSED:
		return bad_value(row, arg);
	case OPT_IGNORED:
		break;
	}
	return 0;
}

/* Is ARG, as a whole, a row of its own? */
static bool is_row(const char *arg)
{
	size_t i;

	for (i = 0; i < opt_row_count; i++) {
		if (!strcmp(opt_rows[i].name, arg))
			return true;
	}
	return false;
}

static int process(void *data, const char *arg, int key,
		   struct fuse_args *outargs)
{
	struct options *o = data;
	const struct opt_row *row;

	(void)outargs;
	if (key == FUSE_OPT_KEY_NONOPT) {
		if (!o->device) {
			o->device = strdup(arg);
			return o->device ? 0 : -1;
		}
		o->has_mountpoint = true;
		return 1;
	}
	if (key < KEY_ROW0)	/* "x-..." is for mount(8)'s helpers */
		return key != FUSE_OPT_KEY_OPT || strncmp(arg, "x-", 2);
	row = &opt_rows[key - KEY_ROW0];
	/* libfuse comes with every row that matches. */
	if (row->type == OPT_REFUSED && is_row(arg))
		return 0;
	if (store(o, row, arg))
		return -1;
	/* "acl" and "noacl": the last one counts. */
	if (!strcmp(row->name, "acl"))
		o->fs.noacl = false;
	return row->pass;
}

/* "extN" at the end of the program's name chooses the type shown. */
static void choose_subtype(struct options *o, const char *argv0)
{
	size_t len = argv0 ? strlen(argv0) : 0;
	const char *end = argv0 + len - 4;

	strcpy(o->subtype, "ext4");
	if (len >= 4 && !strncmp(end, "ext", 3) && end[3] >= '0' &&
	    end[3] <= '9')
		o->subtype[3] = end[3];
}

int opts_parse(struct options *o, struct fuse_args *args)
{
	struct fuse_opt *table = calloc(opt_row_count + 1, sizeof(*table));
	size_t i;
	int ret;

	if (!table)
		return -1;
	for (i = 0; i < opt_row_count; i++) {
		table[i].templ = opt_rows[i].name;
		table[i].offset = -1U;
		table[i].value = KEY_ROW0 + i;
	}
	choose_subtype(o, args->argc ? args->argv[0] : NULL);
	ret = fuse_opt_parse(args, o, table, process);
	free(table);
	o->fs.source = o->device;
	if (!ret && o->kernel && !o->acl)
		o->fs.noacl = false;
	return ret;
}

void opts_free(struct options *o)
{
	free(o->device);
	free(o->lockfile);
	o->device = o->lockfile = NULL;
	o->fs.source = NULL;
}

/* PREFIX and VALUE, with what separates options escaped. */
static char *escaped(const char *prefix, const char *value)
{
	char *out = malloc(strlen(prefix) + 2 * strlen(value) + 1), *p = out;

	if (!out)
		return NULL;
	p = stpcpy(p, prefix);
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			*p++ = '\\';
		*p++ = *value;
	}
	*p = 0;
	return out;
}

static int insert(struct fuse_args *args, int *pos, const char *arg)
{
	return fuse_opt_insert_arg(args, (*pos)++, arg);
}

int opts_defaults(const struct options *o, struct fuse_args *args, bool rdonly)
{
	int pos = 1, err = 0;
	char text[32], *fsname;

	if (o->kernel)
		err |= insert(args, &pos,
			      "-oallow_other,default_permissions,suid,dev");
	if (!o->no_default_opts) {
		fsname = escaped("-ofsname=", o->device);
		snprintf(text, sizeof(text), "-osubtype=%s", o->subtype);
		if (!fsname || insert(args, &pos, text) ||
		    insert(args, &pos, fsname))
			err = -1;
		free(fsname);
		/* Nobody but the kernel's own requests changes the volume. */
		err |= insert(args, &pos,
			      "-okernel_cache,entry_timeout=86400,"
			      "attr_timeout=86400,negative_timeout=86400");
	}
	/* It comes with ACLs; but not every kernel has them. */
	if (!o->fs.fakeroot)
		err |= insert(args, &pos, "-odefault_permissions");
	if (o->fs.fakeroot)
		err |= insert(args, &pos, "-onodev,nosuid");
	if (rdonly)
		err |= fuse_opt_add_arg(args, "-oro");
	return err ? -1 : 0;
}

void opts_usage(FILE *out, const char *argv0)
{
	const struct opt_row *row;
	char word[64];
	size_t i;

	fprintf(out, "usage: %s device/image mountpoint [options]\n\n"
		"general options:\n"
		"    -o opt,[opt...]        mount options\n"
		"    -h   --help            print help\n"
		"    -V   --version         print version\n\n"
		"fuse2fs options:\n", argv0);
	for (i = 0; i < opt_row_count; i++) {
		row = &opt_rows[i];
		if (!row->help)
			continue;
		snprintf(word, sizeof(word), "%s%s", row->name,
			 row->arg ? row->arg : "");
		fprintf(out, "    -o %-23s%s%s%s%s\n", word, row->help,
			row->preset ? " (default: " : "",
			row->preset ? row->preset : "",
			row->preset ? ")" : "");
	}
	fprintf(out, "\naccepted without effect:");
	for (i = 0; i < opt_row_count; i++) {
		if (opt_rows[i].type == OPT_IGNORED)
			fprintf(out, " %s", opt_rows[i].name);
	}
	fprintf(out, "\n\n");
}
