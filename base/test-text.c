/* SPDX-License-Identifier: Apache-2.0 */
/* test-text: unit tests of base/text. Run by meson; needs no network and no root. */
#include "base/text.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

static void check_escape(const char *in, size_t len, const char *want)
{
	char out[128];

	assert_int_equal(text_escape(out, sizeof(out), in, len), strlen(want));
	assert_string_equal(out, want);
}

static void test_escape(void **state)
{
	check_escape("plain text, 100%", 16, "plain text, 100%");
	check_escape("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
	check_escape("a\x1b[31mb\n", 8, "a\\x1b[31mb\\x0a");
	check_escape("nul\0x", 5, "nul\\x00x");
	check_escape("\xe2\x80\xae", 3, "\\xe2\\x80\\xae"); /* right-to-left override */
	check_escape("\xc2\x9b", 2, "\\xc2\\x9b");	    /* C1 control sequence introducer */
	check_escape("\xff\xc0\x80", 3, "\\xff\\xc0\\x80"); /* invalid and overlong */
	check_escape("\xed\xa0\x80", 3, "\\xed\\xa0\\x80"); /* surrogate */
}

static void test_escape_never_cuts_a_character(void **state)
{
	char out[6];

	assert_int_equal(text_escape(out, sizeof(out), "aaa\xc3\xbc\xc3\xbc", 7), 5);
	assert_string_equal(out, "aaa\xc3\xbc");
	assert_int_equal(text_escape(out, sizeof(out), "aa\x1b", 3), 2);
	assert_int_equal(text_escape(out, 0, "a", 1), 0);
}

static void test_numbers(void **state)
{
	uint64_t v = 7;

	assert_int_equal(text_parse_u64("0", 9, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(text_parse_u64("18446744073709551615", UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(text_parse_u64("18446744073709551616", UINT64_MAX, &v), -ERANGE);
	assert_int_equal(text_parse_u64("10", 9, &v), -ERANGE);
	for (const char *const *s = (const char *const[]){"", "-1", "+1", " 1", "1 ", "01", "0x1", "1e3", NULL}; *s; s++)
		assert_int_equal(text_parse_u64(*s, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(text_parse_size("4G", &v), 0);
	assert_true(v == UINT64_C(4) << 30);
	assert_int_equal(text_parse_size("512MiB", &v), 0);
	assert_true(v == UINT64_C(512) << 20);
	assert_int_equal(text_parse_size("4g", &v), -EINVAL);
	assert_int_equal(text_parse_size("G", &v), -EINVAL);
	assert_int_equal(text_parse_size("99999999999T", &v), -ERANGE);
}

static void test_format_size(void **state)
{
	char s[32];

	assert_string_equal(text_format_size(s, sizeof(s), 0), "0 B");
	assert_string_equal(text_format_size(s, sizeof(s), 1536), "1.5 KiB");
	assert_string_equal(text_format_size(s, sizeof(s), UINT64_C(64) << 30), "64 GiB");
	assert_string_equal(text_format_size(s, sizeof(s), UINT64_MAX), "15.9 EiB");
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"start", "stop", "status", "settings", "logs"};

	assert_string_equal(text_nearest("strat", names, ARRAY_SIZE(names)), "start");
	assert_string_equal(text_nearest("statsu", names, ARRAY_SIZE(names)), "status");
	assert_string_equal(text_nearest("stauts", names, ARRAY_SIZE(names)), "status");
	assert_int_equal(text_distance("ab", "ba", 5), 1);
	assert_int_equal(text_distance("", "abc", 5), 3);
	assert_string_equal(text_nearest("sett", names, ARRAY_SIZE(names)), "settings");
	assert_null(text_nearest("frobnicate", names, ARRAY_SIZE(names)));
	assert_int_equal(text_distance("kitten", "sitting", 5), 3);
	assert_int_equal(text_distance("kitten", "sitting", 2), 3);
	assert_string_equal(text_after("--timeout=3", "--timeout="), "3");
	assert_null(text_after("--time", "--timeout="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),	cmocka_unit_test(test_escape_never_cuts_a_character),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_format_size),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
