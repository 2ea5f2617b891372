/* SPDX-License-Identifier: Apache-2.0 */
/* test-options: unit test of options.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ui/cli/command.h"

/* Splits TEXT at spaces in place. */
static size_t split(char *text, char **argv)
{
	size_t n = 0;
	char *save = NULL;

	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[n++] = p;
	return n;
}

static int parse(const char *line, struct invocation *inv, struct fault *fault)
{
	static char text[256];
	char *argv[32];
	const struct command *c;
	size_t n;
	int r;

	snprintf(text, sizeof(text), "%s", line);
	n = split(text, argv);
	r = command_find(argv, n, &c, fault);
	if (r <= 0)
		return r ? r : -ENODATA;
	return command_parse(c, argv + r, n - (size_t)r, inv, fault);
}

static void test_table(void **state)
{
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		assert_non_null(c->run);
		assert_non_null(c->summary);
		assert_non_null(c->man);
		assert_true(c->n_options <= COMMAND_OPTIONS_MAX);
		assert_true(c->max_words <= COMMAND_WORDS_MAX);
		assert_true(c->min_words <= c->max_words);
		assert_true(!c->max_words || c->words);
		for (size_t k = 0; k < c->n_options; k++) {
			const struct option_spec *o = &c->options[k];

			assert_true((o->kind == OPTION_FLAG) == !o->metavar);
			assert_true((o->kind == OPTION_CHOICE) == !!o->choices);
			assert_string_not_equal(o->name, option_help.name);
			assert_int_not_equal(o->letter, option_help.letter);
			for (size_t j = 0; j < k; j++) {
				assert_string_not_equal(o->name, c->options[j].name);
				assert_true(!o->letter || o->letter != c->options[j].letter);
			}
		}
	}
}

static void test_forms(void **state)
{
	static const char *const same[] = {"logs -n 5 -f", "logs -n5 -f", "logs -fn5", "logs --lines=5 --follow",
					   "logs --follow --lines 5", "logs -n=5 -f"};
	struct fault fault = FAULT_INIT;
	struct invocation inv;

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		assert_int_equal(parse(same[i], &inv, &fault), 0);
		assert_true(option_is(&inv, "follow"));
		assert_int_equal(option_value(&inv, "lines")->number, 5);
		assert_false(option_is(&inv, "since"));
	}
	assert_int_equal(parse("start --timeout -1", &inv, &fault), 0);
	assert_true(option_is(&inv, "timeout"));
	assert_int_equal(option_value(&inv, "timeout")->number, 0);
	assert_int_equal(parse("settings set cpus 2 --format json", &inv, &fault), 0);
	assert_int_equal(inv.n_words, 2);
	assert_true(option_wants_json(&inv));
	assert_int_equal(parse("settings set -- -x -y", &inv, &fault), 0);
	assert_string_equal(inv.words[0], "-x");
	assert_int_equal(parse("start -h", &inv, &fault), 0);
	assert_true(inv.help);
	assert_int_equal(parse("settings get --help", &inv, &fault), 0);
}

static void test_refused(void **state)
{
	static const struct { const char *line, *says; } cases[] = {
		{"strat", "did you mean 'start'"},
		{"settings lsit", "did you mean 'list'"},
		{"start --tiemout 3", "did you mean '--timeout'"},
		{"start --det", "did you mean '--detach'"}, /* no abbreviations */
		{"start -x", "has no option '-x'"},
		{"start --timeout", "needs a value"},
		{"start --timeout=", "cannot be ''"},
		{"start --timeout=-2", "whole number"},
		{"start --timeout=86401", "0 to 86400"},
		{"start --timeout=1e3", "whole number"},
		{"start --detach=1", "takes no value"},
		{"start here", "'here' is too much"},
		{"status --format xml", "one of: pretty, json"},
		{"status --format jsn", "did you mean 'json'"},
		{"settings get", "needs KEY"},
		{"settings get a b", "too much"},
		{"logs --since=", "needs a value"},
		{"logs -n -1", "whole number"},
		{"sta\x1b[2J", "sta\\x1b[2J"},
		{"settings set 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "Too many words"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fault fault = FAULT_INIT;
		struct invocation inv;

		assert_true(parse(cases[i].line, &inv, &fault) < 0);
		if (!strstr(fault.text, cases[i].says))
			fail_msg("%s: %s", cases[i].line, fault.text);
	}
}

static void test_group(void **state)
{
	struct fault fault = FAULT_INIT;
	struct invocation inv;

	assert_int_equal(parse("settings", &inv, &fault), -ENODATA);
	assert_int_equal(parse("settings --help", &inv, &fault), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_group),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
