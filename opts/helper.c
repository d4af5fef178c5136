/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helper.c - the arguments that mount(8) gives its helpers.
 *
 * mount(8) runs "mount.fuse.extN DEVICE DIR [-sfnv] [-o words] [-t type]"; -f
 * and -s mean something else to fuse2fs.  Words that are for mount(8) alone
 * are left out, and what mount(8)'s defaults promise is added.
 *
 * Knows libfuse's argument lists (fuse_opt.h), and nothing of the options
 * themselves.  No locks: there is one thread.
 */
#include "opts/helper.h"

#include <fuse_opt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse2fs.h"

struct request {
	const char *name;	/* of the program */
	const char *type;	/* -t */
	const char *device, *dir;
	bool fake, readonly;
	bool remount;
	bool has_suid, has_dev;	/* or their opposites */
	char *words;		/* what goes on to fuse2fs */
};

/* A "=" or a "." at the end stands for anything that follows. */
static const char *const words_of_mount[] = {
	"defaults", "auto", "noauto", "user", "user=", "nouser", "users",
	"nousers", "owner", "noowner", "group", "nogroup", "_netdev",
	"nofail", "comment=", "loop", "loop=", "uhelper=", "helper=",
	"silent", "loud",
};

static bool is_for_mount(const char *word)
{
	size_t i, len;

	if (!strncmp(word, "x-", 2) || !strncmp(word, "X-", 2))
		return true;
	for (i = 0; i < sizeof(words_of_mount) / sizeof(*words_of_mount); i++) {
		len = strlen(words_of_mount[i]);
		if (words_of_mount[i][len - 1] != '=')
			len++;		/* the end counts */
		if (!strncmp(word, words_of_mount[i], len))
			return true;
	}
	return false;
}

/* Looks at one WORD of -o; true if fuse2fs shall see it. */
static bool take_word(struct request *r, const char *word)
{
	if (!*word || is_for_mount(word))
		return false;
	if (!strcmp(word, "remount"))
		r->remount = true;
	if (!strcmp(word, "suid") || !strcmp(word, "nosuid"))
		r->has_suid = true;
	if (!strcmp(word, "dev") || !strcmp(word, "nodev"))
		r->has_dev = true;
	if (!strcmp(word, "fakeroot"))	/* it has its own default */
		r->has_suid = r->has_dev = true;
	return true;
}

/* Where the word that begins at P ends: its comma, or the end of the text. */
static char *word_end(char *p)
{
	for (; *p && *p != ','; p++) {
		if (*p == '\\' && p[1])
			p++;
	}
	return p;
}

static int take_words(struct request *r, const char *text)
{
	char *copy = strdup(text), *p = copy, *end;
	bool more = copy != NULL;
	int err = copy ? 0 : -1;

	while (more && !err) {
		end = word_end(p);
		more = *end;
		*end = 0;
		if (take_word(r, p))
			err = fuse_opt_add_opt(&r->words, p);
		p = end + 1;
	}
	free(copy);
	return err;
}

static int usage(const struct request *r)
{
	fprintf(stderr, "usage: %s device directory [-sfnvrw] [-o options] [-t type]\n",
		r->name);
	return EXIT_USAGE;
}

/* -1, or the exit status. */
static int parse(struct request *r, int argc, char *argv[])
{
	int c, i;

	optind = 0;	/* glibc: from the beginning */
	while ((c = getopt(argc, argv, "sfnvrwo:t:N:hV")) != -1) {
		switch (c) {
		case 'f':
			r->fake = true;
			break;
		case 'r':
			r->readonly = true;
			break;
		case 'w':
			r->readonly = false;
			break;
		case 'o':
			if (take_words(r, optarg))
				return EXIT_SYSTEM;
			break;
		case 't':
			r->type = optarg;
			break;
		case 's': case 'n': case 'v':
			break;
		case 'N':
			fprintf(stderr, "%s: other mount namespaces (-N) are not supported; use nsenter(1)\n",
				r->name);
			return EXIT_USAGE;
		default:
			return usage(r);
		}
	}
	for (i = optind; i < argc; i++) {
		if (!r->device)
			r->device = argv[i];
		else if (!r->dir)
			r->dir = argv[i];
		else
			return usage(r);
	}
	return r->dir ? -1 : usage(r);
}

/* "extN" where -t names one. */
static const char *subtype(const struct request *r)
{
	size_t len = r->type ? strlen(r->type) : 0;
	const char *end;

	if (len < 4)
		return NULL;
	end = r->type + len - 4;
	return !strncmp(end, "ext", 3) && end[3] >= '2' && end[3] <= '4' ?
		end : NULL;
}

/* The arguments as fuse2fs wants them, in place of those in ARGS. */
static int build(struct request *r, struct fuse_args *args)
{
	struct fuse_args out = FUSE_ARGS_INIT(0, NULL);
	bool root = geteuid() == 0;
	char text[32];
	int err = 0;

	/* Mounts of mount(8) have both, unless it says otherwise. */
	if (root && !r->has_suid)
		err |= fuse_opt_add_opt(&r->words, "suid");
	if (root && !r->has_dev)
		err |= fuse_opt_add_opt(&r->words, "dev");
	if (r->readonly)
		err |= fuse_opt_add_opt(&r->words, "ro");
	if (subtype(r)) {
		snprintf(text, sizeof(text), "subtype=%s", subtype(r));
		err |= fuse_opt_add_opt(&r->words, text);
	}
	err |= fuse_opt_add_arg(&out, args->argv[0]);
	err |= fuse_opt_add_arg(&out, r->device);
	err |= fuse_opt_add_arg(&out, r->dir);
	if (r->words) {
		err |= fuse_opt_add_arg(&out, "-o");
		err |= fuse_opt_add_arg(&out, r->words);
	}
	if (err) {
		fuse_opt_free_args(&out);
		return -1;
	}
	fuse_opt_free_args(args);
	*args = out;
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int helper_args(struct fuse_args *args)
{
	struct request r = { .name = NULL };
	int status;

	if (args->argc < 1 || strncmp(base_name(args->argv[0]), "mount.", 6))
		return -1;
	r.name = base_name(args->argv[0]);
	if (args->argc == 2 && args->argv[1][0] == '-' &&
	    strchr("hV-", args->argv[1][1]))
		return -1;	/* what fuse2fs says of itself */
	status = parse(&r, args->argc, args->argv);
	if (status < 0 && r.remount) {
		fprintf(stderr, "%s: %s: remount is not supported: unmount it and mount it again\n",
			r.name, r.dir);
		status = EXIT_MOUNT;
	}
	if (status < 0 && r.fake)
		status = EXIT_OK;
	if (status < 0 && build(&r, args)) {
		fprintf(stderr, "%s: no memory\n", r.name);
		status = EXIT_SYSTEM;
	}
	free(r.words);
	return status;
}
