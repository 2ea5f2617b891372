/* SPDX-License-Identifier: Apache-2.0 */
/* help: rendered from the table. */
#include <string.h>

#include "ui/cli/cli.h"

static void print_options(const struct option_spec *options, size_t n, FILE *f)
{
	fputs("\nOptions:\n", f);
	for (size_t i = 0; i <= n; i++) {
		const struct option_spec *o = i < n ? &options[i] : &option_help;
		char left[64], letter[8] = "    ";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->metavar ? " " : "",
			 o->metavar ? o->metavar : "");
		fprintf(f, "  %-30s %s\n", left, o->help);
	}
}

void help_overview(const struct cli *cli, FILE *f)
{
	const char *group = NULL;

	fprintf(f, "Usage: %s COMMAND [OPTIONS]\n\nRun Docker containers in a sealed virtual machine.\n\nCommands:\n",
		cli->program);
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		if (!c->summary || (group && c->sub && !strcmp(group, c->name)))
			continue;
		group = c->name;
		fprintf(f, "  %-12s %s\n", c->name, c->sub ? "List, read and change settings" : c->summary);
	}
	fprintf(f, "\n'%s COMMAND --help' tells more about a command.\n", cli->program);
}

void help_group(const struct cli *cli, const char *group, FILE *f)
{
	fprintf(f, "Usage: %s %s COMMAND [OPTIONS]\n\nCommands:\n", cli->program, group);
	for (size_t i = 0; i < n_commands; i++)
		if (commands[i].sub && commands[i].summary && !strcmp(commands[i].name, group))
			fprintf(f, "  %-12s %s\n", commands[i].sub, commands[i].summary);
	fprintf(f, "\n'%s %s COMMAND --help' tells more about a command.\n", cli->program, group);
}

void help_command(const struct cli *cli, const struct command *c, FILE *f)
{
	fprintf(f, "Usage: %s %s%s%s%s%s%s\n\n%s.\n", cli->program, c->name, c->sub ? " " : "", c->sub ? c->sub : "",
		c->n_options ? " [OPTIONS]" : "", c->words ? " " : "", c->words ? c->words : "", c->summary);
	if (c->details)
		fprintf(f, "%s\n", c->details);
	print_options(c->options, c->n_options, f);
	fprintf(f, "\nMore: man %.*s\n", (int)strcspn(c->man, "."), c->man);
}

int run_help(struct cli *cli, const struct invocation *inv)
{
	struct fault fault = FAULT_INIT;
	const struct command *c;
	int r;

	if (!inv->n_words) {
		help_overview(cli, stdout);
		return CLI_OK;
	}
	r = command_find((char *const *)(const void *)inv->words, inv->n_words, &c, &fault);
	if (r < 0) {
		output_error(&cli->out, "%s", fault.text);
		return CLI_USAGE;
	}
	if (r == 0)
		help_group(cli, inv->words[0], stdout);
	else
		help_command(cli, c, stdout);
	return CLI_OK;
}
