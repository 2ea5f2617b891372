/* SPDX-License-Identifier: Apache-2.0 */
/* Every command and option of the table is offered by completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ui/cli/cli.h"

static char answer[65536];

/* Runs the completer with its stdout in a file, leaves what it said in answer, with a newline in front. */
static void complete(char *const *argv, size_t n)
{
	struct cli cli = {.program = "caisson"};
	FILE *f = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t len;

	assert_non_null(f);
	fflush(stdout);
	assert_true(dup2(fileno(f), STDOUT_FILENO) >= 0);
	assert_int_equal(complete_words(&cli, argv, n, false), CLI_OK);
	fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	rewind(f);
	answer[0] = '\n';
	len = fread(answer + 1, 1, sizeof(answer) - 2, f);
	answer[len + 1] = '\0';
	fclose(f);
}

static void want(const char *candidate)
{
	char line[128];

	snprintf(line, sizeof(line), "\n%s\n", candidate);
	if (!strstr(answer, line))
		fail_msg("'%s' is not offered in:%s", candidate, answer);
}

static void test_all(void **state)
{
	char empty[] = "", dashes[] = "--";

	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];
		char name[64], sub[64], text[80];
		char *argv[] = {name, sub, dashes};

		snprintf(name, sizeof(name), "%s", c->name);
		snprintf(sub, sizeof(sub), "%s", c->sub ? c->sub : "");
		complete((char *[]){empty}, 1);
		want(c->name);
		if (c->sub) {
			complete((char *[]){name, empty}, 2);
			want(c->sub);
		} else {
			argv[1] = dashes;
		}
		complete(argv, c->sub ? 3 : 2);
		want("--help");
		for (size_t k = 0; k < c->n_options; k++) {
			snprintf(text, sizeof(text), "--%s", c->options[k].name);
			want(text);
		}
		assert_non_null(strstr(answer, "\n:4\n"));
	}
}

static void test_values(void **state)
{
	char status[] = "status", format[] = "--format", j[] = "j", joined[] = "--format=p", nothing[] = "zzz";

	complete((char *[]){status, format, j}, 3);
	assert_string_equal(answer, "\njson\n:4\n");
	complete((char *[]){status, joined}, 2);
	assert_string_equal(answer, "\n--format=pretty\n:4\n");
	complete((char *[]){nothing, nothing}, 2);
	assert_string_equal(answer, "\n:4\n");
	complete(NULL, 0);
	want("start");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_values)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
