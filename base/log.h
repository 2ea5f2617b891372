/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line per event, to an inherited descriptor (stderr by default).
 *
 * Line: "2026-11-22T00:00:00.000Z LEVEL unit: text". Control characters, ESC and invalid UTF-8 in the
 * text are written as \xNN, so that nobody else's text can forge a line or drive a terminal. Lines are
 * cut at LOG_LINE_MAX. Library code returns errors, edge code logs; nobody does both.
 * Secrets never go here. Who may call it: the edges of every process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_LEVEL_MAX };
enum { LOG_LINE_MAX = 1024 };

/* UNIT is a static string (com.docker.caisson.net ...); FD is borrowed. No allocation, no file is opened. */
void log_open(const char *unit, int fd, enum log_level max);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *format, ...) _printf_(2, 3);
/* Logs and returns R: `return log_errno(r, "opening %s", name)` appends ": <strerror>". */
int log_errno(int r, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                            \
	do {                                                                                      \
		if (log_enabled(LOG_DEBUG))                                                       \
			log_write(LOG_DEBUG, __VA_ARGS__);                                        \
	} while (0)

/* Per-call-site limit for anything a peer can trigger: at most BURST lines per 10 s, then one summary. */
struct log_ratelimit {
	uint64_t window_us;
	uint32_t count;
	uint32_t dropped;
};
bool log_ratelimit_pass(struct log_ratelimit *limit, uint32_t burst);
#define log_limited(level, ...)                                                                   \
	do {                                                                                      \
		static struct log_ratelimit limit_;                                               \
		if (log_ratelimit_pass(&limit_, 10))                                              \
			log_write(level, __VA_ARGS__);                                            \
	} while (0)
