/* SPDX-License-Identifier: Apache-2.0 */
/* test-service: when a daemon is started again, and when it has failed; helpers' exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "guest/init/service.h"

static void gives_up(void **state)
{
	struct service s = {.name = "x"};
	uint64_t now = SERVICE_WINDOW_US * UINT64_C(10);
	int i;

	for (i = 0; i < SERVICE_RESTARTS_MAX; i++) {
		assert_true(service_ended(&s, 256, now + (uint64_t)i));
		assert_int_equal(s.state, SERVICE_WAITING);
	}
	assert_false(service_ended(&s, 256, now + 100));
	assert_int_equal(s.state, SERVICE_IDLE);
	assert_int_equal(s.last_status, 256);
}

static void forgives(void **state)
{
	struct service s = {.name = "x"};
	uint64_t now = SERVICE_WINDOW_US * UINT64_C(10);
	int i;

	for (i = 0; i < 10 * SERVICE_RESTARTS_MAX; i++) {
		assert_true(service_ended(&s, 9, now));
		now += SERVICE_WINDOW_US / 2;
	}
}

static void helpers(void **state)
{
	char *const ok[] = {(char *)"/bin/true", NULL}, *const bad[] = {(char *)"/bin/false", NULL},
	     *const none[] = {(char *)"/nonexistent/program", NULL};

	assert_int_equal(service_run(ok), 0);
	assert_int_equal(service_run(bad), 1);
	assert_int_equal(service_run(none), 127);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_up), cmocka_unit_test(forgives), cmocka_unit_test(helpers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
