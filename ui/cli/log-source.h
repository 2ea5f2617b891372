/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log-source: the log files of ~/.docker/desktop/log as growing, rotating streams of lines.
 *
 * A file NAME.log is bounded by its writer, which moves it to NAME.log.1 and begins anew: reading goes on in the new
 * file when the old one is exhausted. Who may call it: ui/cli only.
 */
#pragma once

#include <sys/types.h>

#include "ui/cli/log-merge.h"

enum { LOG_SOURCES = 7, LOG_FILE_READ_MAX = 16 << 20 };

extern const char *const log_source_names[LOG_SOURCES];

struct log_source {
	int fd; /* the file being read, -EBADF: none yet */
	ino_t ino;
	off_t off;
	bool started;
	char *carry; /* a line whose end is not written yet */
	size_t carry_len;
	struct log_tail tail;
};

struct log_sources {
	int dir_fd; /* owned */
	struct log_source sources[LOG_SOURCES];
	char *chunks[LOG_SOURCES * 3]; /* what the lines of the present batch point into */
	size_t n_chunks;
};

void log_sources_init(struct log_sources *s, int dir_fd_consume);
void log_sources_done(struct log_sources *s);
/* Adds everything new to MERGE, whose lines live until the next call. WHOLE: leave out a line that has no end yet.
 * Return: 0 or -errno. */
int log_sources_read(struct log_sources *s, struct log_merge *merge, bool whole);
