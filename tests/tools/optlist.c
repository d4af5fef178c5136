/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * optlist.c - prints the table of options: "man", the list for the man page;
 * "help", the help text; "rows", a line for each row.
 */
#include <string.h>

#include "opts/opts.h"

int main(int argc, char *argv[])
{
	const char *what = argc == 2 ? argv[1] : "";

	if (!strcmp(what, "man"))
		opts_man(stdout);
	else if (!strcmp(what, "help"))
		opts_usage(stdout, "fuse2fs");
	else if (!strcmp(what, "rows"))
		opts_list(stdout);
	else
		return 2;
	return ferror(stdout) ? 1 : 0;
}
