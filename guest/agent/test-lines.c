/* SPDX-License-Identifier: Apache-2.0 */
/* test-lines: cutting, bounding, dropping and counting of log lines. */
#include "base/test.h"

#include <string.h>

#include "base/cleanup.h"
#include "guest/agent/lines.h"

static struct lines lines;
static struct lines_unit a, b;

static int setup(void **state _unused_)
{
	memset(&lines, 0, sizeof(lines));
	a = (struct lines_unit){.name = "dockerd"};
	b = (struct lines_unit){.name = "init"};
	return 0;
}

static void feed(struct lines_unit *unit, const char *text)
{
	lines_feed(&lines, unit, text, strlen(text));
}

static void expect(const char *text)
{
	size_t len;
	const char *data = lines_next(&lines, &len);

	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, len);
}

static void test_prefix_and_pieces(void **state _unused_)
{
	feed(&a, "one\ntw");
	expect("dockerd: one\n");
	feed(&b, "other\n");
	feed(&a, "o\n\n\nthree");
	expect("dockerd: one\ninit: other\ndockerd: two\n");
	lines_sent(&lines, strlen("dockerd: one\ninit: other\ndockerd: two\n"));
	expect("");
}

static void test_rewind_to_line_start(void **state _unused_)
{
	feed(&a, "one\ntwo\n");
	lines_sent(&lines, strlen("dockerd: one\ndock"));
	expect("erd: two\n");
	lines_rewind(&lines);
	expect("dockerd: two\n");
}

static void test_long_line_is_cut(void **state _unused_)
{
	static char text[3 * LINES_LINE_MAX], want[2 * LINES_LINE_MAX];

	memset(text, 'x', sizeof(text) - 1);
	feed(&a, text);
	feed(&a, "more\nnext\n");
	strcpy(want, "dockerd: ");
	memset(want + 9, 'x', LINES_LINE_MAX);
	strcpy(want + 9 + LINES_LINE_MAX, "\ndockerd: next\n");
	expect(want);
}

static void test_exact_maximum_is_whole(void **state _unused_)
{
	static char text[LINES_LINE_MAX + 2];
	size_t len;

	memset(text, 'y', LINES_LINE_MAX);
	text[LINES_LINE_MAX] = '\n';
	feed(&a, text);
	feed(&a, "z\n");
	lines_next(&lines, &len);
	assert_int_equal(len, 9 + LINES_LINE_MAX + 1 + strlen("dockerd: z\n"));
}

static void test_full_drops_and_counts(void **state _unused_)
{
	static char text[1001];
	unsigned int n_fit = LINES_BUFFER_SIZE / (sizeof(text) - 1 + strlen("dockerd: "));
	size_t len;

	memset(text, 'z', sizeof(text) - 2);
	text[sizeof(text) - 2] = '\n';
	for (unsigned int i = 0; i < n_fit + 12; i++)
		feed(&a, text);
	assert_int_equal(lines.dropped, 12);
	/* Hardly any room yet: nothing newer may overtake the note of what is missing. */
	lines_sent(&lines, sizeof(text) - 1 + strlen("dockerd: "));
	feed(&b, "lost too\n");
	assert_int_equal(lines.dropped, 13);
	lines_sent(&lines, 10 * (sizeof(text) - 1 + strlen("dockerd: ")));
	assert_int_equal(lines.dropped, 0);
	feed(&b, "new\n");
	lines_next(&lines, &len);
	lines_sent(&lines, len - strlen("caisson-agent: 13 lines dropped\ninit: new\n"));
	expect("caisson-agent: 13 lines dropped\ninit: new\n");
}

static void test_zero_bytes_stay(void **state _unused_)
{
	size_t len;

	lines_feed(&lines, &a, "a\0b\n", 4);
	assert_memory_equal(lines_next(&lines, &len), "dockerd: a\0b\n", 13);
	assert_int_equal(len, 13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_prefix_and_pieces, setup),
		cmocka_unit_test_setup(test_rewind_to_line_start, setup),
		cmocka_unit_test_setup(test_long_line_is_cut, setup),
		cmocka_unit_test_setup(test_exact_maximum_is_whole, setup),
		cmocka_unit_test_setup(test_full_drops_and_counts, setup),
		cmocka_unit_test_setup(test_zero_bytes_stay, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
