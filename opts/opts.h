/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opts.h - the command line.
 */
#ifndef OPTS_OPTS_H
#define OPTS_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fs/fs.h"

struct fuse_args;

enum acl_mode { ACL_DEFAULT, ACL_ON, ACL_OFF };
enum iomap_mode { IOMAP_DEFAULT, IOMAP_OFF, IOMAP_REQUIRED };

struct options {
	struct fs_options fs;
	char *device;			/* as typed */
	char *lockfile;
	char subtype[8];		/* extN, by the program's name */
	int max_threads;		/* 0: default */
	unsigned max_read;		/* of a request, bytes; 0: default */
	bool kernel;
	bool no_default_opts;
	bool debug;
	bool timing;			/* a line in the log for each request */
	bool foreground, single;	/* -f, -s (libfuse sees them as well) */
	bool allow_root;
	bool umask;			/* umask= (libfuse has the value) */
	bool noatime, nodiratime;
	bool help, helpfull, version;
	bool remount;
	bool lazytime, strictatime;	/* need iomap */
	bool no_iomap_cache;
	enum acl_mode acl;		/* fs.noacl is what came of it */
	enum iomap_mode iomap;
	int oom_score_adj;
	bool has_mountpoint;
	char error[256];		/* of opts_parse() */
};

enum opt_type {
	OPT_TRUE,		/* bool = true */
	OPT_FALSE,		/* bool = false */
	OPT_CHOICE,		/* an enum = value */
	OPT_BYTES,		/* uint64_t, with a suffix k, m or g */
	OPT_SIZE,		/* size_t, the same, within low..high */
	OPT_NUMBER,		/* unsigned or int, within low..high */
	OPT_STRING,		/* char *, allocated */
	OPT_DEVNO,		/* uint32_t, a device number, 0x for hexadecimal */
	OPT_REFUSED,		/* known word, value that is not */
	OPT_IGNORED,		/* accepted, without effect */
	OPT_FUSE,		/* libfuse's; here for the help and the tests */
};

/* One option: parsing, help text and man page come from these rows. */
struct opt_row {
	const char *name;	/* "word", "word=", "-x" or "--word" */
	enum opt_type type;
	size_t field;		/* offset in struct options */
	int value;		/* OPT_CHOICE */
	int64_t low, high;	/* OPT_NUMBER, OPT_SIZE */
	bool pass;		/* libfuse gets it, too */
	const char *arg;	/* what follows "=", for the help; or of a
				 * switch the long name */
	const char *help;	/* NULL: not shown */
	const char *preset;	/* default, for the help; NULL: none */
	const char *man;	/* what the man page says; NULL: as the help */
};

extern const struct opt_row opt_rows[];		/* table.c */
extern const size_t opt_row_count;

/*
 * Takes our options and the device out of ARGS; what is left is libfuse's.
 * 0, or -1 with the reason in O->error.  The strings belong to O:
 * opts_free().
 */
int opts_parse(struct options *o, struct fuse_args *args);
void opts_free(struct options *o);

/*
 * Puts the default arguments of libfuse before the user's, so that the
 * user's win, and what RDONLY and the options need after them.  -1: memory.
 */
int opts_defaults(const struct options *o, struct fuse_args *args, bool rdonly);

/* help.c: the help text; the option list of the man page; one line a row. */
void opts_usage(FILE *out, const char *argv0);
void opts_man(FILE *out);
void opts_list(FILE *out);

#endif
