/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap.h - the test anything protocol for unit tests.  One program, one
 * plan: ok() per check, done() at the end.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_run, tap_failed;

__attribute__((format(printf, 2, 3), unused))
static int tap_ok(int good, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", good ? "" : "not ", ++tap_run);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	if (!good)
		tap_failed++;
	return good;
}

#define ok(cond, ...) tap_ok(!!(cond), __VA_ARGS__)

/* Equality of two numbers, with what they were. */
#define is(got, want, what) do { \
	long long is_got = (long long)(got), is_want = (long long)(want); \
	if (!tap_ok(is_got == is_want, "%s", what)) \
		printf("# %s:%d: got %lld, want %lld\n", __FILE__, __LINE__, \
		       is_got, is_want); \
} while (0)

__attribute__((unused)) static void bail(const char *why)
{
	printf("Bail out! %s\n", why);
	exit(99);
}

__attribute__((unused)) static int done(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed ? 1 : 0;
}

#endif
