/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log-merge: lines of several log files in one order of time. Pure: buffers in, sorted lines out.
 *
 * A line without a time stamp (a panic's second line, a foreign program) keeps the time and unit of the
 * line before it in its file. Lines point into the caller's buffers, which must outlive the merge.
 * Who may call it: ui/cli only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_MERGE_LINES_MAX = 4000000 };

struct log_line {
	uint64_t time_us;
	const char *text;
	const char *unit; /* inside the text of a line of this source, NULL: none seen */
	uint32_t len;
	uint32_t unit_len;
	uint32_t seq;	 /* order of arrival */
	uint8_t source;
	uint8_t stamp_len; /* 0: the line itself has no stamp */
	char level;	   /* 'E' 'W' 'I' 'D', 0: none */
};

struct log_merge {
	struct log_line *lines;
	size_t n, size;
};

/* What the last line of a source left behind, so that reading can go on later. */
struct log_tail {
	uint64_t time_us;
	bool bare_units; /* set by the caller: lines are "STAMP unit: text", without a level */
};

/* Adds the lines of BUF[0..LEN) (the last one may lack its newline). TAIL carries over between calls.
 * Return: 0, -ENOMEM, -E2BIG. */
int log_merge_add(struct log_merge *merge, uint8_t source, const char *buf, size_t len, struct log_tail *tail);
/* Sorts by time; equal times stay in the order of source and arrival. */
void log_merge_sort(struct log_merge *merge);
void log_merge_done(struct log_merge *merge);
/* LINE is of unit NAME: the source's name, the unit the line names, or that unit's last part behind a dot. */
bool log_line_is_unit(const struct log_line *line, const char *source_name, const char *name);
