/* SPDX-License-Identifier: Apache-2.0 */
/* log-merge: see log-merge.h. */
#include "ui/cli/log-merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "ui/cli/when.h"

/* "unit: " behind the stamp, of a name's characters only. */
static void parse_bare_unit(struct log_line *line)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
	const char *p = line->text + line->stamp_len, *end = line->text + line->len, *q;

	while (p < end && *p == ' ')
		p++;
	for (q = p; q < end && *q && strchr(allowed, *q); q++)
		;
	if (q == p || q - p >= 64 || end - q < 2 || q[0] != ':' || q[1] != ' ')
		return;
	line->unit = p;
	line->unit_len = (uint32_t)(q - p);
}

/* "LEVEL unit: " behind the stamp. */
static void parse_head(struct log_line *line)
{
	static const char *const levels[] = {"ERROR", "WARN", "INFO", "DEBUG"};
	const char *p = line->text + line->stamp_len, *end = line->text + line->len, *colon;

	while (p < end && *p == ' ')
		p++;
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		size_t n = strlen(levels[i]);

		if ((size_t)(end - p) <= n || strncasecmp(p, levels[i], n) != 0 || p[n] != ' ')
			continue;
		for (p += n; p < end && *p == ' '; p++)
			;
		colon = memchr(p, ':', (size_t)(end - p));
		if (!colon || colon == p || colon - p >= 64 || memchr(p, ' ', (size_t)(colon - p)))
			return;
		line->level = levels[i][0];
		line->unit = p;
		line->unit_len = (uint32_t)(colon - p);
		return;
	}
}

static int push(struct log_merge *m, const struct log_line *line)
{
	if (m->n == m->size) {
		size_t size = m->size ? m->size * 2 : 256;
		struct log_line *p;

		if (size > LOG_MERGE_LINES_MAX)
			return -E2BIG;
		p = reallocarray(m->lines, size, sizeof(*p));
		if (!p)
			return -ENOMEM;
		m->lines = p;
		m->size = size;
	}
	m->lines[m->n++] = *line;
	return 0;
}

int log_merge_add(struct log_merge *m, uint8_t source, const char *buf, size_t len, struct log_tail *tail)
{
	const char *unit = NULL;
	uint32_t unit_len = 0;

	for (size_t off = 0; off < len;) {
		const char *nl = memchr(buf + off, '\n', len - off);
		size_t n = nl ? (size_t)(nl - (buf + off)) : len - off;
		struct log_line line = {.time_us = tail->time_us, .text = buf + off, .source = source};
		int r;

		line.len = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
		line.seq = (uint32_t)m->n;
		line.stamp_len = (uint8_t)when_stamp(line.text, n, &line.time_us);
		if (line.stamp_len && tail->bare_units)
			parse_bare_unit(&line);
		else if (line.stamp_len)
			parse_head(&line);
		if (line.unit) {
			unit = line.unit;
			unit_len = line.unit_len;
		} else if (!line.stamp_len) {
			line.unit = unit;
			line.unit_len = unit_len;
		}
		off += n + (nl ? 1 : 0);
		if (!n)
			continue;
		r = push(m, &line);
		if (r < 0)
			return r;
		tail->time_us = line.time_us;
	}
	return 0;
}

static int compare(const void *va, const void *vb)
{
	const struct log_line *a = va, *b = vb;

	if (a->time_us != b->time_us)
		return a->time_us < b->time_us ? -1 : 1;
	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

void log_merge_sort(struct log_merge *m)
{
	if (m->n)
		qsort(m->lines, m->n, sizeof(*m->lines), compare);
}

void log_merge_done(struct log_merge *m)
{
	free(m->lines);
	*m = (struct log_merge){0};
}

bool log_line_is_unit(const struct log_line *line, const char *source_name, const char *name)
{
	size_t n = strlen(name);

	if (!strcmp(source_name, name))
		return true;
	if (!line->unit || line->unit_len < n || memcmp(line->unit + line->unit_len - n, name, n) != 0)
		return false;
	return line->unit_len == n || line->unit[line->unit_len - n - 1] == '.';
}
