/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completion: candidates for shells, from the table, in the form that the docker CLI asks its plug-ins for
 * ("candidate<TAB>description" lines and a last line ":4", no file names).
 */
#include <string.h>

#include "completion-scripts.h"
#include "ui/cli/api.h"
#include "ui/cli/log-source.h"

struct completion {
	struct cli *cli;
	const char *word; /* what is typed so far */
	bool with_help;
};

static void offer(const struct completion *c, const char *candidate, const char *help)
{
	if (strncmp(candidate, c->word, strlen(c->word)) != 0)
		return;
	if (c->with_help && help)
		printf("%s\t%s\n", candidate, help);
	else
		printf("%s\n", candidate);
}

static void offer_commands(const struct completion *c)
{
	const char *group = "";

	for (size_t i = 0; i < n_commands; i++) {
		const struct command *k = &commands[i];

		if (!k->summary || !strcmp(group, k->name))
			continue;
		group = k->name;
		offer(c, k->name, k->sub ? "List, read and change settings" : k->summary);
	}
	if (c->word[0] == '-') {
		offer(c, "--help", option_help.help);
		offer(c, "--version", "show the version");
	}
}

static void offer_subs(const struct completion *c, const char *group)
{
	for (size_t i = 0; i < n_commands; i++)
		if (commands[i].sub && commands[i].summary && !strcmp(commands[i].name, group))
			offer(c, commands[i].sub, commands[i].summary);
}

static void offer_options(const struct completion *c, const struct command *k)
{
	char name[64];

	for (size_t i = 0; i <= k->n_options; i++) {
		const struct option_spec *o = i < k->n_options ? &k->options[i] : &option_help;

		snprintf(name, sizeof(name), "--%s", o->name);
		offer(c, name, o->help);
		snprintf(name, sizeof(name), "-%c", o->letter ? o->letter : '-');
		if (o->letter && c->word[1] != '-')
			offer(c, name, o->help);
	}
}

/* Values of option O; PREFIX is "--name=" where the value is typed in the same word. */
static void offer_values(const struct completion *c, const struct option_spec *o, const char *prefix)
{
	static const char *const times[] = {"10m", "1h", "today", "yesterday", NULL};
	const char *const *values = o->kind == OPTION_CHOICE ? o->choices : NULL;
	char text[128];

	if (!strcmp(o->name, "since") || !strcmp(o->name, "until"))
		values = times;
	for (size_t i = 0; values && values[i]; i++) {
		snprintf(text, sizeof(text), "%s%s", prefix, values[i]);
		offer(c, text, NULL);
	}
	for (size_t i = 0; !strcmp(o->name, "unit") && i < LOG_SOURCES; i++) {
		snprintf(text, sizeof(text), "%s%s", prefix, log_source_names[i]);
		offer(c, text, NULL);
	}
}

/* The option that WORD is ("--unit", "-u"), if its value comes next. */
static const struct option_spec *valued_option(const struct command *k, const char *word, size_t len)
{
	for (size_t i = 0; i < k->n_options; i++) {
		const struct option_spec *o = &k->options[i];

		if (o->kind == OPTION_FLAG)
			continue;
		if (len > 2 && !strncmp(word, "--", 2) && strlen(o->name) == len - 2 && !memcmp(word + 2, o->name, len - 2))
			return o;
		if (len == 2 && word[0] == '-' && o->letter && word[1] == o->letter)
			return o;
	}
	return NULL;
}

/* Keys, or the values of KEY; the backend is asked, silently: without it there is nothing to offer. */
static void offer_settings(const struct completion *c, const char *key)
{
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	_cleanup_json_ json_t *all = NULL;
	bool running = false;
	const json_t *s, *choice;
	size_t i, j;

	if (!c->cli->state || api_open_any(c->cli, &api, &running, &fault) < 0)
		return;
	(void)api_call(&api, "GET", "/v1/settings", NULL, &all, &fault);
	api_close(&api);
	json_array_foreach(json_object_get(all, "settings"), i, s) {
		char name[64], help[256];

		output_safe(name, sizeof(name), json_text(s, "name", ""));
		output_safe(help, sizeof(help), json_text(s, "description", ""));
		if (!key) {
			offer(c, name, help);
			continue;
		}
		if (strcmp(key, name) != 0 && strcmp(key, json_text(s, "key", "")) != 0)
			continue;
		json_array_foreach(json_object_get(s, "choices"), j, choice)
			offer(c, output_safe(help, sizeof(help), json_string_value(choice)), NULL);
		if (!strcmp(name, "host-access"))
			offer(c, "all", NULL);
		if (!strcmp(name, "host-access") || !strcmp(json_text(s, "type", ""), "list"))
			offer(c, "none", NULL);
		offer(c, "default", "go back to the default");
	}
}

/* WORDS[0..N): the command's words before the one being typed. */
static void offer_words(const struct completion *c, const struct command *k, const char *const *words, size_t n)
{
	if (k->word_kind == WORD_COMMAND && n == 0)
		offer_commands(c);
	if (k->word_kind == WORD_COMMAND && n == 1)
		offer_subs(c, words[0]);
	if (k->word_kind == WORD_SHELL && n == 0) {
		offer(c, "bash", NULL);
		offer(c, "zsh", NULL);
		offer(c, "fish", NULL);
	}
	if (k->word_kind == WORD_SETTING && n < k->max_words)
		offer_settings(c, n % 2 ? words[n - 1] : NULL);
}

/* Inside command K: ARGV[0..N) are the finished arguments behind its name. */
static void offer_arguments(const struct completion *c, const struct command *k, char *const *argv, size_t n)
{
	const char *words[COMMAND_WORDS_MAX], *equals = strchr(c->word, '=');
	const struct option_spec *o = n ? valued_option(k, argv[n - 1], strlen(argv[n - 1])) : NULL;
	size_t n_words = 0;

	if (o) {
		offer_values(c, o, "");
		return;
	}
	if (c->word[0] == '-' && equals) {
		char prefix[64];

		o = valued_option(k, c->word, (size_t)(equals - c->word));
		snprintf(prefix, sizeof(prefix), "%.*s=", (int)(equals - c->word), c->word);
		if (o)
			offer_values(c, o, prefix);
		return;
	}
	if (c->word[0] == '-') {
		offer_options(c, k);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (argv[i][0] == '-')
			i += !!valued_option(k, argv[i], strlen(argv[i]));
		else if (n_words < COMMAND_WORDS_MAX)
			words[n_words++] = argv[i];
	}
	offer_words(c, k, words, n_words);
}

int complete_words(struct cli *cli, char *const *argv, size_t n, bool with_help)
{
	struct completion c = {.cli = cli, .word = n ? argv[n - 1] : "", .with_help = with_help};
	struct fault fault = FAULT_INIT;
	const struct command *command;
	size_t before = n ? n - 1 : 0;
	int r;

	if (!before) {
		offer_commands(&c);
	} else {
		r = command_find(argv, before, &command, &fault);
		if (r == 0 || (r == 1 && before == 1))
			offer_subs(&c, argv[0]);
		if (r > 0)
			offer_arguments(&c, command, argv + r, before - (size_t)r);
	}
	printf(":4\n");
	return CLI_OK;
}

int run_completion(struct cli *cli, const struct invocation *inv)
{
	static const char *const shells[] = {"bash", "zsh", "fish"};
	static const char *const scripts[] = {completion_bash, completion_zsh, completion_fish};

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (!strcmp(inv->words[0], shells[i])) {
			fputs(scripts[i], stdout);
			return CLI_OK;
		}
	output_error(&cli->out, "There is no completion for '%s'; there is: bash, zsh, fish.", inv->words[0]);
	return CLI_USAGE;
}
