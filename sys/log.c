/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - messages to stderr, one line each, with the device's name.
 *
 * Knows nothing of file systems.  A line is composed in a private buffer and
 * leaves in one write, so that lines of several threads do not mix.  Takes no
 * lock; log_init() is called before there are threads.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys/log.h"

#define LINE_LEN	1024

static char short_dev[128] = "-";
static bool show_debug;

void log_init(const char *device, bool debug)
{
	const char *slash = strrchr(device, '/');

	if (slash && slash[1])
		device = slash + 1;
	snprintf(short_dev, sizeof(short_dev), "%s", device);
	show_debug = debug;
}

static void put_all(const char *s, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(STDERR_FILENO, s, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		s += n;
		len -= n;
	}
}

static void put_line(const char *fmt, va_list ap)
{
	char line[LINE_LEN];
	int saved = errno, n, m;

	n = snprintf(line, sizeof(line), "FUSE2FS (%s): ", short_dev);
	m = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (m > 0)
		n += m;
	if (n > LINE_LEN - 2)
		n = LINE_LEN - 2;
	line[n] = '\n';
	put_all(line, n + 1);
	errno = saved;
}

void msg_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(fmt, ap);
	va_end(ap);
}

void msg_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(fmt, ap);
	va_end(ap);
}

void msg_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(fmt, ap);
	va_end(ap);
}

void msg_info(const char *fmt, ...)
{
	va_list ap;

	if (!show_debug)
		return;
	va_start(ap, fmt);
	put_line(fmt, ap);
	va_end(ap);
}

void msg_debug(const char *fmt, ...)
{
	va_list ap;

	if (!show_debug)
		return;
	va_start(ap, fmt);
	put_line(fmt, ap);
	va_end(ap);
}
