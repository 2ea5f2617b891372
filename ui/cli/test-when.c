/* SPDX-License-Identifier: Apache-2.0 */
/* test-when: unit test of when.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/error.h"
#include "ui/cli/when.h"

#define S 1000000ULL
/* 2026-11-22T12:34:56Z */
#define NOW (1795350896ULL * S)

static void test_good(void **state)
{
	static const struct { const char *text; uint64_t us; } cases[] = {
		{"now", NOW},
		{"90s", NOW - 90 * S},
		{"10m", NOW - 600 * S},
		{"2h", NOW - 7200 * S},
		{"1d", NOW - 86400 * S},
		{"1h30m", NOW - 5400 * S},
		{"10m ago", NOW - 600 * S},
		{"2026-11-22T12:34:56Z", NOW},
		{"2026-11-22t12:34:56z", NOW},
		{"2026-11-22T12:34:56.5Z", NOW + S / 2},
		{"2026-11-22T12:34:56.123456789Z", NOW + 123456},
		{"2026-11-22T14:34:56+02:00", NOW},
		{"2026-11-22T07:04:56-05:30", NOW},
		{"@1795350896", NOW},
		/* the zone of this test is one hour east of Greenwich */
		{"today", (1795350896ULL - 13 * 3600 - 34 * 60 - 56) * S},
		{"yesterday", (1795350896ULL - 37 * 3600 - 34 * 60 - 56) * S},
		{"2026-11-22", (1795350896ULL - 13 * 3600 - 34 * 60 - 56) * S},
		{"2026-11-22 13:34", NOW - 56 * S},
		{"2026-11-22 13:34:56", NOW},
		{"2024-02-29T00:00:00Z", 1709164800ULL * S},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t us = 0;

		if (when_parse(cases[i].text, NOW, &us) != 0 || us != cases[i].us)
			fail_msg("%s: %llu instead of %llu", cases[i].text, (unsigned long long)us,
				 (unsigned long long)cases[i].us);
	}
}

static void test_bad(void **state)
{
	static const char *const cases[] = {
		"", " ", "10", "m", "10x", "10m ", "10m  ago", "10m agoo", "-5m", "1.5h", "tomorrow", "@", "@x", "@-1",
		"2026-13-01", "2026-02-29", "2026-11-22T", "2026-11-22T25:00:00Z", "2026-11-22T12:60:00Z", "2026-11-2",
		"2026-11-22T12:34:56", "2026-11-22T12:34:56.Z", "2026-11-22T12:34:56+0200", "2026-11-22T12:34:56Zx",
		"1969-01-01", "99999999999d", "100000d", "2026-11-22 1:00",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t us = 7;
		int r = when_parse(cases[i], NOW, &us);

		/* Without a zone a date with a clock is local time; only this one of the list is. */
		if (!strcmp(cases[i], "2026-11-22T12:34:56"))
			assert_int_equal(r, 0);
		else if (r >= 0 || us != 7)
			fail_msg("'%s' was taken", cases[i]);
	}
}

static void test_stamp(void **state)
{
	uint64_t us = 0;

	assert_int_equal(when_stamp("2026-11-22T12:34:56.250Z INFO x: y", 34, &us), 24);
	assert_int_equal(us, NOW + S / 4);
	assert_int_equal(when_stamp("2026-11-22T12:34:56Z x", 22, &us), 20);
	assert_int_equal(when_stamp("2026-11-22T12:34:56.250", 23, &us), 0);
	assert_int_equal(when_stamp("2026-11-22 12:34:56.250Z", 24, &us), 0);
	assert_int_equal(when_stamp("[    0.000000] Linux version 6.12", 33, &us), 0);
	assert_int_equal(when_stamp("", 0, &us), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_stamp),
	};

	setenv("TZ", "XXX-1", 1);
	tzset();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
