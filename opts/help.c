/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * help.c - what is said of the options: --help, the man page's list, and the
 * plain list that the tests go through.  All of it from the rows of table.c.
 */
#include <ctype.h>
#include <string.h>

#include "opts/opts.h"

#define WIDTH	78

static bool is_switch(const struct opt_row *row)
{
	return row->name[0] == '-';
}

static void usage_row(FILE *out, const struct opt_row *row)
{
	char word[64];

	if (is_switch(row))
		snprintf(word, sizeof(word), "%s   %s", row->name,
			 row->arg ? row->arg : "");
	else
		snprintf(word, sizeof(word), "-o %s%s", row->name,
			 row->arg ? row->arg : "");
	fprintf(out, "    %-24s %s", word, row->help);
	if (row->preset)
		fprintf(out, " (default: %s)", row->preset);
	fputc('\n', out);
}

/* The rows without effect, in lines of WIDTH. */
static void print_ignored(FILE *out, const char *indent, const char *minus)
{
	size_t i, len, column = WIDTH;
	const char *p;

	for (i = 0; i < opt_row_count; i++) {
		if (opt_rows[i].type != OPT_IGNORED)
			continue;
		len = strlen(opt_rows[i].name);
		if (column + 1 + len > WIDTH) {
			fprintf(out, "\n%s", indent);
			column = strlen(indent);
		} else {
			fputc(' ', out);
			column++;
		}
		column += len;
		for (p = opt_rows[i].name; *p; p++) {
			if (*p == '-')
				fputs(minus, out);
			else
				fputc(*p, out);
		}
	}
	fputc('\n', out);
}

void opts_usage(FILE *out, const char *argv0)
{
	size_t i;

	fprintf(out, "usage: %s device/image mountpoint [options]\n\n"
		"general options:\n"
		"    -o opt,[opt...]        mount options\n", argv0);
	for (i = 0; i < opt_row_count; i++) {
		if (is_switch(&opt_rows[i]) && opt_rows[i].help)
			usage_row(out, &opt_rows[i]);
	}
	fprintf(out, "\nfuse2fs options:\n");
	for (i = 0; i < opt_row_count; i++) {
		if (!is_switch(&opt_rows[i]) && opt_rows[i].help)
			usage_row(out, &opt_rows[i]);
	}
	fprintf(out, "\naccepted without effect:");
	print_ignored(out, "    ", "-");
	fputc('\n', out);
}

/* TEXT with hyphens that can be copied to a command line. */
static void man_word(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void man_row(FILE *out, const struct opt_row *row)
{
	fputs(".TP\n", out);
	if (is_switch(row) && row->arg) {
		fputs(".BR ", out);
		man_word(out, row->name);
		fputs(" \", \" \"", out);
		man_word(out, row->arg);
		fputs("\"\n", out);
	} else if (row->arg) {
		fputs(".BI ", out);
		man_word(out, row->name);
		fputc(' ', out);
		for (const char *p = row->arg; *p; p++)
			fputc(tolower((unsigned char)*p), out);
		fputc('\n', out);
	} else {
		fputs(".B ", out);
		man_word(out, row->name);
		fputc('\n', out);
	}
	fprintf(out, "%s\n", row->man ? row->man : row->help);
}

void opts_man(FILE *out)
{
	size_t i;

	for (i = 0; i < opt_row_count; i++) {
		if (is_switch(&opt_rows[i]) && opt_rows[i].help)
			man_row(out, &opt_rows[i]);
	}
	fputs(".TP\n.BI \"\\-o \" option\\fR[ , option\\fR...]\nMount options:\n"
	      ".RS\n", out);
	for (i = 0; i < opt_row_count; i++) {
		if (!is_switch(&opt_rows[i]) && opt_rows[i].help)
			man_row(out, &opt_rows[i]);
	}
	fputs(".RE\n.PP\nThese are accepted and have no effect, so that what was "
	      "written for the kernel's\next4, for\n.BR mount (8)\nor for other "
	      "servers does not fail; also all that begin with x\\- or X\\-:\n"
	      ".PP\n.nh", out);
	print_ignored(out, "", "\\-");
	fputs(".hy\n", out);
}

void opts_list(FILE *out)
{
	size_t i;

	for (i = 0; i < opt_row_count; i++)
		fprintf(out, "%s %s\n", opt_rows[i].type == OPT_IGNORED ?
			"ignored" : opt_rows[i].type == OPT_REFUSED ?
			"refused" : "taken", opt_rows[i].name);
}
