/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ui/cli/nearest.h"

static const char *const names[] = {"start", "stop", "restart", "status"};

static void test_nearest(void **state)
{
	assert_string_equal(nearest_name("stauts", names, 4), "status");
	assert_string_equal(nearest_name("strat", names, 4), "start");
	assert_string_equal(nearest_name("stp", names, 4), "stop");
	assert_null(nearest_name("", names, 4));
	assert_null(nearest_name("frobnicate", names, 4));
	assert_null(nearest_name("x", names, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_nearest)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
