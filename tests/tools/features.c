/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * features.c - prints the feature policy table for tests/policy.sh: a line
 * per row, "SET NAME POLICY WHY".
 */
#include <stdio.h>

#include "fs/feature.h"

int main(void)
{
	static const char *const sets[] = {
		[FEATURE_COMPAT] = "compat",
		[FEATURE_INCOMPAT] = "incompat",
		[FEATURE_RO_COMPAT] = "ro_compat",
	};
	static const char *const policies[] = {
		[FEATURE_RW] = "rw",
		[FEATURE_RO] = "ro",
		[FEATURE_RECOVER] = "recover",
		[FEATURE_REFUSE] = "refuse",
	};
	size_t i;

	for (i = 0; i < feature_row_count; i++) {
		const struct feature *f = &feature_rows[i];

		printf("%s %s %s %s\n", sets[f->set], f->name,
		       policies[f->policy], f->why ? f->why : "-");
	}
	return 0;
}
