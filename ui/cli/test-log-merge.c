/* SPDX-License-Identifier: Apache-2.0 */
/* test-log-merge: unit test of log-merge.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ui/cli/log-merge.h"

static void add(struct log_merge *m, uint8_t source, const char *text)
{
	struct log_tail tail = {0};

	assert_int_equal(log_merge_add(m, source, text, strlen(text), &tail), 0);
}

static void test_order(void **state)
{
	struct log_merge m = {0};

	add(&m, 0, "2026-11-22T00:00:01.000Z INFO backend: b\n2026-11-22T00:00:03.000Z INFO backend: d\n");
	add(&m, 1, "boot\n2026-11-22T00:00:00.000Z WARN dockerd: a\n\n2026-11-22T00:00:01.000Z ERROR net.tcp: c\n  more\nlast");
	log_merge_sort(&m);
	assert_int_equal(m.n, 7);
	assert_memory_equal(m.lines[0].text, "boot", 4);
	assert_int_equal(m.lines[1].level, 'W');
	assert_int_equal(m.lines[2].source, 0); /* equal times: order of sources */
	assert_int_equal(m.lines[3].level, 'E');
	assert_memory_equal(m.lines[4].text, "  more", 6);
	assert_memory_equal(m.lines[5].text, "last", 4);
	assert_int_equal(m.lines[5].len, 4);
	assert_true(m.lines[6].time_us > m.lines[5].time_us);

	assert_true(log_line_is_unit(&m.lines[4], "vm", "vm"));
	assert_true(log_line_is_unit(&m.lines[4], "vm", "tcp"));
	assert_true(log_line_is_unit(&m.lines[4], "vm", "net.tcp"));
	assert_false(log_line_is_unit(&m.lines[4], "vm", "cp"));
	assert_false(log_line_is_unit(&m.lines[4], "vm", "dockerd"));
	assert_false(log_line_is_unit(&m.lines[0], "vm", "dockerd"));
	log_merge_done(&m);
}

static void test_tail_goes_on(void **state)
{
	struct log_merge m = {0};
	struct log_tail tail = {0};

	assert_int_equal(log_merge_add(&m, 0, "2026-11-22T00:00:01Z INFO a: x\n", 31, &tail), 0);
	assert_int_equal(log_merge_add(&m, 0, "  y\n", 4, &tail), 0);
	assert_int_equal(m.lines[0].time_us, m.lines[1].time_us);
	log_merge_done(&m);
}

static void test_odd_lines(void **state)
{
	struct log_merge m = {0};

	add(&m, 0, "2026-11-22T00:00:01Z INFO no unit here: x\n2026-11-22T00:00:01Z INFO\n2026-11-22T00:00:01Z INFO :x\n\n\n");
	assert_int_equal(m.n, 3);
	for (size_t i = 0; i < m.n; i++)
		assert_null(m.lines[i].unit);
	log_merge_sort(&m);
	log_merge_done(&m);
	log_merge_sort(&m);
}

static void test_bare_units(void **state)
{
	static const char text[] = "2026-11-22T00:00:01Z dockerd: x\n2026-11-22T00:00:01Z [1.0] y: z\n2026-11-22T00:00:01Z a:b\n";
	struct log_merge m = {0};
	struct log_tail bare = {.bare_units = true}, other = {0};

	assert_int_equal(log_merge_add(&m, 0, text, strlen(text), &bare), 0);
	assert_true(log_line_is_unit(&m.lines[0], "vm", "dockerd"));
	assert_null(m.lines[1].unit);
	assert_null(m.lines[2].unit);
	/* elsewhere a foreign text cannot take the name of a unit */
	assert_int_equal(log_merge_add(&m, 1, text, strlen(text), &other), 0);
	assert_false(log_line_is_unit(&m.lines[3], "console", "dockerd"));
	log_merge_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_tail_goes_on),
		cmocka_unit_test(test_odd_lines),
		cmocka_unit_test(test_bare_units),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
