/* SPDX-License-Identifier: Apache-2.0 */
/*
 * when: points in time as people write them, for --since and --until, and as log lines carry them.
 *
 * Pure functions; local time comes from the C library's time zone. Who may call it: ui/cli only.
 */
#pragma once

#include <stdint.h>

/* Parses TEXT relative to NOW_US (microseconds since 1970) into *RET_US:
 *   "90s" "10m" "2h" "1d" "1h30m", each with or without " ago"  - so long before now (a bare number is refused)
 *   "now" "today" "yesterday"            - midnight in local time for the last two
 *   "2026-11-22" "2026-11-22 10:00" "2026-11-22 10:00:30"        - local time
 *   "2026-11-22T10:00:30.5Z" "...+02:00"                         - RFC 3339
 *   "@1700000000"                        - seconds since 1970
 * Return: 0, -EINVAL, -ERANGE. */
int when_parse(const char *text, uint64_t now_us, uint64_t *ret_us);

/* Parses the stamp at the start of a log line, "2026-11-22T00:00:00.000Z". LEN is the line's length.
 * Return: length of the stamp with *RET_US, or 0 when the line has none. */
unsigned int when_stamp(const char *line, unsigned long len, uint64_t *ret_us);
