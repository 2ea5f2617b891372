/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines: see lines.h. Called by logs.c only. Never blocks, never allocates, never interprets text.
 */
#include "guest/agent/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Dropping goes on until this much is free, so that it is told once and not after every line. */
enum { NOTE_MAX = 64, RESUME_ROOM = 2 * LINES_LINE_MAX };

static size_t room(struct lines *lines)
{
	if (lines->start > 0) {
		memmove(lines->buf, lines->buf + lines->start, lines->end - lines->start);
		lines->sent -= lines->start;
		lines->end -= lines->start;
		lines->start = 0;
	}
	return sizeof(lines->buf) - lines->end;
}

static bool append(struct lines *lines, const char *name, const char *text, size_t len)
{
	size_t name_len = strlen(name), need = name_len + 2 + len + 1;
	char *p;

	if (need > sizeof(lines->buf) - lines->end && need > room(lines))
		return false;
	p = lines->buf + lines->end;
	memcpy(p, name, name_len);
	memcpy(p + name_len, ": ", 2);
	memcpy(p + name_len + 2, text, len);
	p[need - 1] = '\n';
	lines->end += need;
	return true;
}

static void report_dropped(struct lines *lines)
{
	char note[NOTE_MAX];
	int n;

	if (!lines->dropped || sizeof(lines->buf) - (lines->end - lines->start) < RESUME_ROOM)
		return;
	n = snprintf(note, sizeof(note), "%" PRIu64 " lines dropped", lines->dropped);
	if (append(lines, "caisson-agent", note, (size_t)n))
		lines->dropped = 0;
}

static void finish_line(struct lines *lines, struct lines_unit *unit)
{
	if (unit->len > 0) {
		report_dropped(lines);
		/* In order: nothing may overtake the note of what is missing. */
		if (lines->dropped || !append(lines, unit->name, unit->part, unit->len))
			lines->dropped++;
	}
	unit->len = 0;
	unit->cutting = false;
}

void lines_feed(struct lines *lines, struct lines_unit *unit, const char *data, size_t len)
{
	while (len > 0) {
		const char *newline = memchr(data, '\n', len);
		size_t n = newline ? (size_t)(newline - data) : len;
		size_t keep = sizeof(unit->part) - unit->len;

		if (keep > n)
			keep = n;
		if (!unit->cutting) {
			memcpy(unit->part + unit->len, data, keep);
			unit->len += keep;
			unit->cutting = keep < n;
		}
		if (newline) {
			finish_line(lines, unit);
			n++;
		}
		data += n;
		len -= n;
	}
}

const char *lines_next(const struct lines *lines, size_t *ret_len)
{
	*ret_len = lines->end - lines->sent;
	return lines->buf + lines->sent;
}

void lines_sent(struct lines *lines, size_t n)
{
	const char *newline;

	lines->sent += n;
	newline = memrchr(lines->buf + lines->start, '\n', lines->sent - lines->start);
	if (newline)
		lines->start = (size_t)(newline + 1 - lines->buf);
	if (lines->start == lines->end)
		lines->start = lines->sent = lines->end = 0;
	report_dropped(lines);
}

void lines_rewind(struct lines *lines)
{
	lines->sent = lines->start;
}
