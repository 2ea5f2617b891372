/* SPDX-License-Identifier: Apache-2.0 */
/* test-plugin: unit test of plugin.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ui/cli/plugin.h"

static int enter(const char *line, char **ret_first)
{
	static char text[256];
	static char *argv[16];
	struct fault fault = FAULT_INIT;
	char *save = NULL;
	size_t skip = 0;
	int argc = 0, r;

	memset(argv, 0, sizeof(argv));
	snprintf(text, sizeof(text), "%s", line);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	r = plugin_enter(argc, argv, &skip, &fault);
	*ret_first = r == 0 ? argv[skip] : NULL;
	return r;
}

static void test_names(void **state)
{
	assert_true(plugin_is_name("docker-desktop"));
	assert_true(plugin_is_name("/home/u/.docker/cli-plugins/docker-desktop"));
	assert_false(plugin_is_name("caisson"));
	assert_false(plugin_is_name("xdocker-desktop"));
	assert_false(plugin_is_name(""));
}

static void test_enter(void **state)
{
	static const struct { const char *line, *first; } good[] = {
		{"docker-desktop desktop status", "status"},
		{"docker-desktop -D --tls desktop stop", "stop"},
		{"docker-desktop --context x -l debug -H tcp://a desktop start", "start"},
		{"docker-desktop --context=x -cfoo --debug=true desktop start", "start"},
		{"docker-desktop help desktop logs", "help"},
		{"docker-desktop __complete desktop st", "__complete"},
	};
	static const char *const bad[] = {"docker-desktop", "docker-desktop status", "docker-desktop --context",
					  "docker-desktop --contextual desktop", "docker-desktop -D"};
	char *first;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(enter(good[i].line, &first), 0);
		assert_string_equal(first, good[i].first);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(enter(bad[i], &first), -EINVAL);
	assert_int_equal(enter("docker-desktop desktop", &first), 0);
	assert_null(first);
	assert_int_equal(enter("docker-desktop --config /etc/dc desktop status", &first), 0);
	assert_string_equal(getenv("DOCKER_CONFIG"), "/etc/dc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_enter)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
