/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - the five ways this program says something.
 *
 * Every message is one line with the prefix "FUSE2FS (SHORTDEV): ".  Errors
 * and warnings go to stderr (or the log file), info and debug only with
 * fuse2fs_debug; log is for what another option asked for.  Nothing ever goes
 * to stdout.  Any thread may call these; they take no lock of ours.
 */
#ifndef SYS_LOG_H
#define SYS_LOG_H

#include <stdbool.h>

/* Sets the name shown in the prefix: DEVICE after its last slash. */
void log_init(const char *device, bool debug);

void msg_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
