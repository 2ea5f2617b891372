/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: formats into a stack buffer and writes the line with one write(2), so that lines of several processes
 * on one O_APPEND file do not mix. The clock is read by clock_gettime (vDSO: no system call in a jail).
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static struct {
	const char *unit;
	int fd;
	enum log_level max;
} log_state = {.unit = "caisson", .fd = 2, .max = LOG_INFO};

static const char *const level_names[] = {
	[LOG_ERROR] = "ERROR",
	[LOG_WARNING] = "WARN",
	[LOG_INFO] = "INFO",
	[LOG_DEBUG] = "DEBUG",
};
_Static_assert(ARRAY_SIZE(level_names) == LOG_LEVEL_MAX, "every level has a name");

void log_open(const char *unit, int fd, enum log_level max)
{
	log_state.unit = unit;
	log_state.fd = fd;
	log_state.max = max < LOG_LEVEL_MAX ? max : LOG_DEBUG;
}

bool log_enabled(enum log_level level)
{
	return level <= log_state.max;
}

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar, without gmtime's time zone files. */
static void civil_date(int64_t days, int *y, int *m, int *d)
{
	int64_t z = days + 719468, era = z / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

static size_t format_head(char *dst, size_t size, enum log_level level)
{
	struct timespec ts = {0};
	int y, m, d, s, n;

	clock_gettime(CLOCK_REALTIME, &ts);
	civil_date(ts.tv_sec / 86400, &y, &m, &d);
	s = (int)(ts.tv_sec % 86400);
	n = snprintf(dst, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s: ", y, m, d, s / 3600, s / 60 % 60,
		     s % 60, ts.tv_nsec / 1000000, level_names[level], log_state.unit);
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void write_line(enum log_level level, const char *text, size_t len)
{
	char line[LOG_LINE_MAX];
	size_t n = format_head(line, sizeof(line) - 1, level);

	n += text_escape(line + n, sizeof(line) - 1 - n, text, len);
	line[n++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	if (write(log_state.fd, line, n) < 0)
		return;
}

static _printf_(3, 0) void write_formatted(enum log_level level, int r, const char *format, va_list ap)
{
	char text[LOG_LINE_MAX];
	int n = vsnprintf(text, sizeof(text), format, ap);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

	if (r < 0) {
		n = snprintf(text + len, sizeof(text) - len, ": %s", strerrordesc_np(-r) ?: "unknown error");
		if (n > 0)
			len = len + (size_t)n < sizeof(text) ? len + (size_t)n : sizeof(text) - 1;
	}
	write_line(level, text, len);
}

void log_write(enum log_level level, const char *format, ...)
{
	int saved = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, format);
	write_formatted(level, 0, format, ap);
	va_end(ap);
	errno = saved;
}

int log_errno(int r, const char *format, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, format);
	write_formatted(LOG_ERROR, r, format, ap);
	va_end(ap);
	errno = saved;
	return r;
}

bool log_ratelimit_pass(struct log_ratelimit *limit, uint32_t burst)
{
	enum { WINDOW_US = 10000000 };
	struct timespec ts = {0};
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	if (!limit->window_us || now - limit->window_us >= WINDOW_US) {
		uint32_t dropped = limit->dropped;

		*limit = (struct log_ratelimit){.window_us = now};
		if (dropped)
			log_write(LOG_WARNING, "%u similar lines were left out", dropped);
	}
	if (limit->count >= burst) {
		limit->dropped++;
		return false;
	}
	limit->count++;
	return true;
}
