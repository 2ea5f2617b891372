/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log-file: a log file of bounded size that another process may be writing to.
 *
 * Writers append (O_APPEND). When the file passes LOG_FILE_MAX its content is copied to NAME.1 and the file is
 * cut to nothing in place, so that a writer needs to know nothing. inotify says when a file grew: no timer, no
 * wake-up while nobody writes. Lines written between copy and cut are lost. Who may call it: backend only.
 */
#pragma once

#include "base/loop.h"

enum { LOG_FILE_MAX = 4 << 20, LOG_FILES_MAX = 4 };

struct log_files {
	int dir_fd; /* borrowed */
	int inotify_fd;
	struct loop_source *source;
	unsigned int n;
	struct {
		const char *name; /* static */
		int fd, watch;
	} file[LOG_FILES_MAX];
};
#define LOG_FILES_INIT {.dir_fd = -EBADF, .inotify_fd = -EBADF}

/* Opens (0600, O_APPEND) NAME beneath DIR_FD and keeps it below its bound. Return: descriptor, borrowed; -errno. */
int log_files_add(struct log_files *files, int dir_fd, const char *name);
/* Cuts what has grown too large now. */
void log_files_check(struct log_files *files);
/* Watches all files added so far. Return: 0 or -errno. */
int log_files_watch(struct log_files *files, struct loop *loop);
void log_files_done(struct log_files *files);
