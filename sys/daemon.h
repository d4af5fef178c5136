/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon.h - what a server that outlives its caller does with what it got.
 */
#ifndef SYS_DAEMON_H
#define SYS_DAEMON_H

#include <stdbool.h>

/* Descriptors 0, 1, 2 are never anything but the standard ones from then on. */
void daemon_reserve_fds(void);

/*
 * Standard output and error go to the file that FUSE2FS_LOGFILE names, if it
 * does.  -1, after a message, if it cannot be opened.
 */
int daemon_open_log(void);

/* To the caller's standard error, even if there is a log file. */
void daemon_tell_caller(const char *line);

/*
 * Lets go of the caller's terminal and pipes.  Without a log file messages go
 * to the kernel's log, if KERNEL_LOG and it can be written, or nowhere.
 */
void daemon_leave_terminal(bool kernel_log);

/* Fails silently: ordinary users may not lower it. */
void daemon_oom_score(int value);

#endif
