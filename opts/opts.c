/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opts.c - the command line, by the rows of table.c.
 *
 * Knows libfuse's argument lists (fuse_opt.h) and nothing else of it.  Prints
 * nothing: an error is described in struct options, as the messages' prefix
 * is known only when all words were seen.
 */
#include "opts/opts.h"

#include <errno.h>
#include <fuse_opt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Of a server whose end would take a mount away. */
#define OOM_SCORE_ADJ	(-500)

enum { KEY_ROW0 = 1000 };

_Static_assert(sizeof(enum fs_errors) == sizeof(int) &&
	       sizeof(enum acl_mode) == sizeof(int) &&
	       sizeof(enum iomap_mode) == sizeof(int), "OPT_CHOICE's fields");

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

/* As the kernel reads it: 0x700 or 1792. */
static int parse_devno(const char *text, uint32_t *out)
{
	unsigned long n;
	char *end;

	if (!(*text >= '0' && *text <= '9'))
		return -1;
	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || *end || n > UINT32_MAX)
		return -1;
	*out = n;
	return 0;
}

static int fail(struct options *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(struct options *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->error, sizeof(o->error), fmt, ap);
	va_end(ap);
	return -1;
}

static int bad_value(struct options *o, const struct opt_row *row,
		     const char *text)
{
	if (!strcmp(row->name, "cache_size="))
		return fail(o, "cache size must be between 1 block and 2GB.");
	if (!strcmp(row->name, "errors="))
		return fail(o, "unknown errors behavior.  Use continue, remount-ro or panic.");
	if (!strcmp(row->name, "iomap="))
		return fail(o, "%s: use 0, 1 or default.", text);
	if (row->type == OPT_BYTES)
		return fail(o, "%s: not a number of bytes (a suffix k, m or g is allowed).",
			    text);
	return fail(o, "%s: not a number from %lld to %lld.", text,
		    (long long)row->low, (long long)row->high);
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
		memcpy(field, &row->value, sizeof(row->value));
		return 0;
	case OPT_BYTES:
		if (parse_number(value, true, false, &n))
			return bad_value(o, row, arg);
		*(uint64_t *)field = n;
		return 0;
	case OPT_SIZE:
		if (parse_number(value, true, false, &n) || n < row->low ||
		    n > row->high)
			return bad_value(o, row, arg);
		*(size_t *)field = n;
		return 0;
	case OPT_NUMBER:
		if (parse_number(value, false, true, &n) || n < row->low ||
		    n > row->high)
			return bad_value(o, row, arg);
		*(int *)field = n;
		return 0;
	case OPT_STRING:
		free(*(char **)field);
		*(char **)field = strdup(value);
		return *(char **)field ? 0 : fail(o, "no memory");
	case OPT_DEVNO:
		return parse_devno(value, (uint32_t *)field) ?
		       fail(o, "%s: not a device number.", arg) : 0;
	case OPT_REFUSED:
		return bad_value(o, row, arg);
	case OPT_IGNORED:
	case OPT_FUSE:
		break;
	}
	return 0;
}

/* Is ARG, as a whole, a row that takes it? */
static bool is_row(const char *arg)
{
	size_t i;

	for (i = 0; i < opt_row_count; i++) {
		if (opt_rows[i].type != OPT_REFUSED &&
		    !strcmp(opt_rows[i].name, arg))
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
			return o->device ? 0 : fail(o, "no memory");
		}
		o->has_mountpoint = true;
		return 1;
	}
	if (key < KEY_ROW0)	/* "x-..." is for mount(8) and its friends */
		return key != FUSE_OPT_KEY_OPT || strncasecmp(arg, "x-", 2);
	row = &opt_rows[key - KEY_ROW0];
	/* libfuse comes with every row that matches. */
	if (row->type == OPT_REFUSED && is_row(arg))
		return 0;
	if (store(o, row, arg))
		return -1;
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
		return fail(o, "no memory");
	o->oom_score_adj = OOM_SCORE_ADJ;
	for (i = 0; i < opt_row_count; i++) {
		table[i].templ = opt_rows[i].name;
		table[i].offset = -1U;
		table[i].value = KEY_ROW0 + i;
	}
	choose_subtype(o, args->argc ? args->argv[0] : NULL);
	ret = fuse_opt_parse(args, o, table, process);
	free(table);
	o->fs.source = o->device;
	/* ACLs would grant what the modes that are shown do not. */
	o->fs.noacl = o->acl == ACL_OFF ||
		      (o->acl == ACL_DEFAULT && o->umask);
	if (o->kernel)
		o->fs.noacl = false;
	return ret;
}

void opts_free(struct options *o)
{
	free(o->device);
	free(o->lockfile);
	free(o->fs.journal_path);
	o->device = o->lockfile = o->fs.journal_path = NULL;
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
