/* SPDX-License-Identifier: Apache-2.0 */
/* when: see when.h. */
#include "ui/cli/when.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"

enum { STAMP_LEN = 24 };

/* Exactly N digits at P. Return: value, or -1. */
static int digits(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

static bool parse_date(const char *p, struct tm *ret)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int y, m, d, last;

	if ((y = digits(p, 4)) < 1970 || p[4] != '-' || (m = digits(p + 5, 2)) < 1 || m > 12 || p[7] != '-' ||
	    (d = digits(p + 8, 2)) < 1)
		return false;
	last = month_days[m - 1] + (m == 2 && ((y % 4 == 0 && y % 100) || y % 400 == 0));
	if (d > last)
		return false;
	*ret = (struct tm){.tm_year = y - 1900, .tm_mon = m - 1, .tm_mday = d, .tm_isdst = -1};
	return true;
}

static bool parse_clock(const char *p, bool seconds, struct tm *ret)
{
	int h, m, s = 0;

	if ((h = digits(p, 2)) < 0 || h > 23 || p[2] != ':' || (m = digits(p + 3, 2)) < 0 || m > 59)
		return false;
	if (seconds && (p[5] != ':' || (s = digits(p + 6, 2)) < 0 || s > 60))
		return false;
	ret->tm_hour = h;
	ret->tm_min = m;
	ret->tm_sec = s;
	return true;
}

static int from_local(struct tm *tm, uint64_t *ret_us)
{
	time_t t = mktime(tm);

	if (t < 0)
		return -ERANGE;
	*ret_us = (uint64_t)t * 1000000;
	return 0;
}

static int from_utc(struct tm *tm, int offset_min, uint32_t micros, uint64_t *ret_us)
{
	int64_t t = (int64_t)timegm(tm) - (int64_t)offset_min * 60;

	if (t < 0)
		return -ERANGE;
	*ret_us = (uint64_t)t * 1000000 + micros;
	return 0;
}

/* Fraction at *P (".5"), leaves *P behind it. Return: microseconds, or -1. */
static int64_t fraction(const char **p)
{
	uint32_t scale = 100000, v = 0;

	if (**p != '.')
		return 0;
	if (!isdigit((unsigned char)*++*p))
		return -1;
	for (; isdigit((unsigned char)**p); ++*p, scale /= 10)
		v += (uint32_t)(**p - '0') * scale;
	return v;
}

static int parse_rfc3339(const char *text, uint64_t *ret_us)
{
	const char *p = text + 19;
	int64_t micros;
	struct tm tm;
	int sign, h, m;

	if (strlen(text) < 20 || !parse_date(text, &tm) || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') ||
	    !parse_clock(text + 11, true, &tm) || (micros = fraction(&p)) < 0)
		return -EINVAL;
	if ((*p == 'Z' || *p == 'z') && !p[1])
		return from_utc(&tm, 0, (uint32_t)micros, ret_us);
	if ((*p != '+' && *p != '-') || strlen(p) != 6 || (h = digits(p + 1, 2)) < 0 || h > 23 || p[3] != ':' ||
	    (m = digits(p + 4, 2)) < 0 || m > 59)
		return -EINVAL;
	sign = *p == '-' ? -1 : 1;
	return from_utc(&tm, sign * (h * 60 + m), (uint32_t)micros, ret_us);
}

static int parse_local(const char *text, uint64_t *ret_us)
{
	size_t len = strlen(text);
	struct tm tm;

	if (len < 10 || !parse_date(text, &tm))
		return -EINVAL;
	if (len == 10)
		return from_local(&tm, ret_us);
	if ((text[10] != ' ' && text[10] != 'T') || (len != 16 && len != 19) || !parse_clock(text + 11, len == 19, &tm))
		return -EINVAL;
	return from_local(&tm, ret_us);
}

static uint64_t unit_us(char c)
{
	switch (c) {
	case 's':
		return 1000000;
	case 'm':
		return 60 * 1000000ULL;
	case 'h':
		return 3600 * 1000000ULL;
	case 'd':
		return 86400 * 1000000ULL;
	default:
		return 0;
	}
}

static int parse_ago(const char *text, uint64_t now_us, uint64_t *ret_us)
{
	uint64_t total = 0;
	const char *p = text;

	while (*p && *p != ' ') {
		uint64_t v = 0, unit;
		const char *start = p;

		for (; isdigit((unsigned char)*p); p++) {
			v = v * 10 + (uint64_t)(*p - '0');
			if (v > 1000000000)
				return -ERANGE;
		}
		unit = unit_us(*p);
		if (p == start || !unit)
			return -EINVAL;
		p++;
		total += v * unit;
		if (total > now_us)
			return -ERANGE;
	}
	if (p == text || (*p && strcmp(p, " ago") != 0))
		return -EINVAL;
	*ret_us = now_us - total;
	return 0;
}

static int parse_day(uint64_t now_us, int days_back, uint64_t *ret_us)
{
	time_t now = (time_t)(now_us / 1000000);
	struct tm tm;

	if (!localtime_r(&now, &tm))
		return -ERANGE;
	tm.tm_mday -= days_back;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return from_local(&tm, ret_us);
}

int when_parse(const char *text, uint64_t now_us, uint64_t *ret_us)
{
	uint64_t s;
	int r;

	if (!strcmp(text, "now")) {
		*ret_us = now_us;
		return 0;
	}
	if (!strcmp(text, "today") || !strcmp(text, "yesterday"))
		return parse_day(now_us, text[0] == 'y', ret_us);
	if (text[0] == '@') {
		r = text_parse_u64(text + 1, UINT64_MAX / 1000000, &s);
		if (r < 0)
			return r;
		*ret_us = s * 1000000;
		return 0;
	}
	if (strlen(text) >= 10 && text[4] == '-') {
		r = parse_rfc3339(text, ret_us);
		return r == -EINVAL ? parse_local(text, ret_us) : r;
	}
	return parse_ago(text, now_us, ret_us);
}

unsigned int when_stamp(const char *line, unsigned long len, uint64_t *ret_us)
{
	char stamp[STAMP_LEN + 1];
	unsigned int n;

	if (len < 20 || line[4] != '-' || line[10] != 'T')
		return 0;
	for (n = 19; n < len && n < STAMP_LEN && line[n] != 'Z'; n++)
		;
	if (n >= len || n >= STAMP_LEN || line[n] != 'Z')
		return 0;
	memcpy(stamp, line, n + 1);
	stamp[n + 1] = '\0';
	return parse_rfc3339(stamp, ret_us) < 0 ? 0 : n + 1;
}
