/* SPDX-License-Identifier: Apache-2.0 */
/* test-path: unit tests of base/path. Run by meson; needs no network and no root. */
#include "base/path.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

static void test_names(void **state)
{
	char longest[NAME_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[NAME_MAX] = '\0';
	assert_true(path_is_name(longest));
	longest[NAME_MAX] = 'a';
	longest[NAME_MAX + 1] = '\0';
	assert_false(path_is_name(longest));
	assert_true(path_is_name("Docker.raw"));
	assert_true(path_is_name("..."));
	assert_false(path_is_name(""));
	assert_false(path_is_name("."));
	assert_false(path_is_name(".."));
	assert_false(path_is_name("a/b"));
}

static void test_clean_absolute(void **state)
{
	assert_true(path_is_clean_absolute("/"));
	assert_true(path_is_clean_absolute("/home/u/a b,c"));
	assert_true(path_is_clean_absolute("/home//u/"));
	assert_false(path_is_clean_absolute("home"));
	assert_false(path_is_clean_absolute(""));
	assert_false(path_is_clean_absolute("/a/../b"));
	assert_false(path_is_clean_absolute("/a/."));
	assert_false(path_is_clean_absolute("/a\nb"));
}

static void test_below(void **state)
{
	assert_true(path_is_below("/home/u/x", "/home/u"));
	assert_true(path_is_below("/home/u", "/home/u/"));
	assert_true(path_is_below("/x", "/"));
	assert_false(path_is_below("/home/u2", "/home/u"));
	assert_false(path_is_below("/home", "/home/u"));
}

static void test_join(void **state)
{
	_cleanup_free_ char *a = NULL, *b = NULL, *self = NULL;

	assert_int_equal(path_join("/a/", "b", &a), 0);
	assert_string_equal(a, "/a/b");
	assert_int_equal(path_join("/", "b", &b), 0);
	assert_string_equal(b, "/b");
	assert_int_equal(path_beside_self("../", &self), 0);
	assert_true(self[0] == '/');
	assert_int_equal(path_beside_self("no-such-file", &self), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_clean_absolute),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
