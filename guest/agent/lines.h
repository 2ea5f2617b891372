/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines: cuts byte streams of several units into lines and keeps them, prefixed, in one bounded buffer.
 *
 * Pure memory, no I/O. When the buffer is full, new lines are dropped and counted; the count goes in as a line
 * of its own as soon as there is room. A line is sent whole or, after a broken connection, again from its start.
 * Who may call it: logs.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINES_LINE_MAX = 4096, LINES_BUFFER_SIZE = 1 << 17 };

/* One unit's unfinished line. Zeroed but for the name, which is static. */
struct lines_unit {
	const char *name;
	char part[LINES_LINE_MAX];
	size_t len;
	bool cutting; /* the rest of an over-long line is skipped */
};

struct lines {
	char buf[LINES_BUFFER_SIZE];
	size_t start; /* of the first line that is not wholly sent */
	size_t sent;
	size_t end;
	uint64_t dropped; /* not yet reported */
};

/* Takes DATA[0..LEN) of UNIT. Empty lines are skipped, over-long ones cut. */
void lines_feed(struct lines *lines, struct lines_unit *unit, const char *data, size_t len);
/* What is to be sent next: pointer into LINES (valid until the next call) and *RET_LEN, 0 when nothing. */
const char *lines_next(const struct lines *lines, size_t *ret_len);
/* N bytes of lines_next have been sent. */
void lines_sent(struct lines *lines, size_t n);
/* The connection broke: begin again with the line that was under way. */
void lines_rewind(struct lines *lines);
