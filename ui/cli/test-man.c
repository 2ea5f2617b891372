/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, option, choice and exit code of the table stands in its manual page; argument: docs/man. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ui/cli/command.h"

static const char *man_dir;
static char page[65536];

/* Reads a page without the backslashes that roff wants before hyphens; follows ".so man1/OTHER". */
static void load(const char *name)
{
	char path[4096], raw[65536];
	size_t n, k = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", man_dir, name);
	f = fopen(path, "re");
	if (!f)
		fail_msg("no page %s", path);
	n = fread(raw, 1, sizeof(raw) - 1, f);
	fclose(f);
	raw[n] = '\0';
	if (!strncmp(raw, ".so man1/", 9)) {
		raw[9 + strcspn(raw + 9, "\n")] = '\0';
		load(raw + 9);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (raw[i] != '\\' || raw[i + 1] != '-')
			page[k++] = raw[i];
	page[k] = '\0';
}

static void want(const struct command *c, const char *text)
{
	if (!strstr(page, text))
		fail_msg("%s does not mention '%s'", c->man, text);
}

static void test_pages(void **state)
{
	char text[256];

	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		load(c->man);
		snprintf(text, sizeof(text), "%s%s%s", c->name, c->sub ? " " : "", c->sub ? c->sub : "");
		want(c, text);
		for (size_t k = 0; k < c->n_options; k++) {
			const struct option_spec *o = &c->options[k];

			snprintf(text, sizeof(text), "--%s", o->name);
			want(c, text);
			snprintf(text, sizeof(text), "-%c", o->letter);
			if (o->letter)
				want(c, text);
			for (size_t j = 0; o->choices && o->choices[j]; j++)
				want(c, o->choices[j]);
		}
	}
}

static void test_overview(void **state)
{
	static const char *const codes[] = {".B 0\n", ".B 1\n", ".B 2\n", ".B 3\n", ".B 4\n", ".B 130\n"};

	load("caisson.1");
	for (size_t i = 0; i < n_commands; i++)
		want(&commands[i], commands[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (!strstr(page, codes[i]))
			fail_msg("caisson.1 lacks exit code %s", codes[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages), cmocka_unit_test(test_overview)};

	man_dir = argc > 1 ? argv[1] : "docs/man";
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
