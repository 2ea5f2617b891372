/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: reads a command line by the table. See command.h.
 *
 * Long and short options, "--name=value", "-n5", joined flags ("-df"), options behind words, "--" ends options.
 * No abbreviations: a script must not change its meaning when an option is added.
 */
#include "ui/cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static bool seen(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* Names to choose from: the first words, or the second words of GROUP. Hidden rows have no summary. */
static size_t command_names(const char *group, const char **names, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < n_commands && n < max; i++) {
		const char *name = commands[i].name;

		if (group && strcmp(name, group))
			continue;
		if (group)
			name = commands[i].sub;
		if (name && commands[i].summary && !seen(names, n, name))
			names[n++] = name;
	}
	return n;
}

static int no_such(struct fault *fault, const char *what, const char *word, const char *near, const char *how)
{
	char safe[128];

	text_escape(safe, sizeof(safe), word, strlen(word));
	if (near)
		return fault_set(fault, -ENOENT, "There is no %s '%s'; did you mean '%s'?", what, safe, near);
	return fault_set(fault, -ENOENT, "There is no %s '%s'; %s shows what there is.", what, safe, how);
}

int command_find(char *const *argv, size_t n, const struct command **ret, struct fault *fault)
{
	const char *names[32];
	const struct command *alone = NULL;
	bool group = false;

	if (!n)
		return fault_set(fault, -ENOENT, "No command was given; --help shows what there is.");
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, argv[0]))
			continue;
		group |= !!c->sub;
		if (!c->sub) {
			alone = c;
		} else if (n > 1 && !strcmp(c->sub, argv[1])) {
			*ret = c;
			return 2;
		}
	}
	/* "net" is a command, and "net capture" another one. */
	if (alone) {
		*ret = alone;
		return 1;
	}
	if (group && (n == 1 || argv[1][0] == '-'))
		return 0;
	if (group) {
		size_t k = command_names(argv[0], names, ARRAY_SIZE(names));
		char what[64];

		snprintf(what, sizeof(what), "%s command", argv[0]);
		return no_such(fault, what, argv[1], text_nearest(argv[1], names, k), "--help");
	}
	return no_such(fault, argv[0][0] == '-' ? "option" : "command", argv[0],
		       text_nearest(argv[0], names, command_names(NULL, names, ARRAY_SIZE(names))), "--help");
}

static const struct option_spec *find_long(const struct command *c, const char *name, size_t len, size_t *ret_index)
{
	for (size_t i = 0; i < c->n_options; i++)
		if (strlen(c->options[i].name) == len && !memcmp(c->options[i].name, name, len)) {
			*ret_index = i;
			return &c->options[i];
		}
	return NULL;
}

static const struct option_spec *find_letter(const struct command *c, char letter, size_t *ret_index)
{
	for (size_t i = 0; i < c->n_options; i++)
		if (c->options[i].letter && c->options[i].letter == letter) {
			*ret_index = i;
			return &c->options[i];
		}
	return NULL;
}

static int unknown_option(const struct command *c, const char *word, struct fault *fault)
{
	const char *names[COMMAND_OPTIONS_MAX + 1];
	char bare[64], safe[128], near[80] = "";
	const char *found;
	size_t n = 0;

	for (size_t i = 0; i < c->n_options; i++)
		names[n++] = c->options[i].name;
	names[n++] = option_help.name;
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word + strspn(word, "-"), "="), word + strspn(word, "-"));
	found = strlen(bare) > 1 ? text_nearest(bare, names, n) : NULL;
	if (found)
		snprintf(near, sizeof(near), "did you mean '--%s'?", found);
	else
		snprintf(near, sizeof(near), "'%s%s%s --help' shows its options.", c->name, c->sub ? " " : "",
			 c->sub ? c->sub : "");
	text_escape(safe, sizeof(safe), word, strlen(word));
	return fault_set(fault, -EINVAL, "The command '%s%s%s' has no option '%s'; %s", c->name, c->sub ? " " : "",
			 c->sub ? c->sub : "", safe, near);
}

static int parse_choice(const struct option_spec *spec, const char *text, struct fault *fault)
{
	char all[128] = "", safe[64];
	size_t n = 0, used = 0;
	const char *near;

	for (; spec->choices[n]; n++) {
		if (!strcmp(spec->choices[n], text))
			return 0;
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", n ? ", " : "", spec->choices[n]);
		if (used >= sizeof(all))
			used = sizeof(all) - 1;
	}
	near = text_nearest(text, spec->choices, n);
	text_escape(safe, sizeof(safe), text, strlen(text));
	if (near)
		return fault_set(fault, -EINVAL, "--%s cannot be '%s'; did you mean '%s'?", spec->name, safe, near);
	return fault_set(fault, -EINVAL, "--%s cannot be '%s'; it is one of: %s.", spec->name, safe, all);
}

static int parse_value(const struct option_spec *spec, const char *text, struct option_value *ret,
		       struct fault *fault)
{
	bool timeout = spec->kind == OPTION_TIMEOUT;
	uint64_t max = timeout ? TIMEOUT_MAX_S : LINES_MAX;
	uint64_t number = 0;
	char safe[64];
	int r = 0;

	if (spec->kind == OPTION_CHOICE)
		r = parse_choice(spec, text, fault);
	else if (spec->kind == OPTION_TEXT && !text[0])
		r = fault_set(fault, -EINVAL, "--%s needs a value; it was empty.", spec->name);
	else if ((timeout && strcmp(text, "-1")) || spec->kind == OPTION_COUNT)
		r = text_parse_u64(text, max, &number);
	if (r < 0 && (timeout || spec->kind == OPTION_COUNT)) {
		text_escape(safe, sizeof(safe), text, strlen(text));
		r = fault_set(fault, -EINVAL, "--%s cannot be '%s'; it is a whole number from 0 to %llu%s.", spec->name,
			      safe, (unsigned long long)max, timeout ? " (seconds; 0 or -1: no limit)" : "");
	}
	if (r < 0)
		return r;
	*ret = (struct option_value){true, text, number};
	return 0;
}

/* Takes the value from behind "=", from the rest of the word, or from the next argument. */
static int take_value(const struct option_spec *spec, const char *joined, char *const *argv, size_t n, size_t *i,
		      struct option_value *ret, struct fault *fault)
{
	if (joined)
		return parse_value(spec, joined, ret, fault);
	if (*i + 1 >= n)
		return fault_set(fault, -EINVAL, "--%s needs a value: --%s %s.", spec->name, spec->name, spec->metavar);
	*i += 1;
	return parse_value(spec, argv[*i], ret, fault);
}

static int parse_long(const struct command *c, char *const *argv, size_t n, size_t *i, struct invocation *inv,
		      struct fault *fault)
{
	const char *word = argv[*i], *name = word + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name), index = 0;
	const struct option_spec *spec = find_long(c, name, len, &index);

	if (!spec && len == strlen(option_help.name) && !memcmp(name, option_help.name, len) && !equals) {
		inv->help = true;
		return 0;
	}
	if (!spec)
		return unknown_option(c, word, fault);
	if (spec->kind != OPTION_FLAG)
		return take_value(spec, equals ? equals + 1 : NULL, argv, n, i, &inv->values[index], fault);
	if (equals)
		return fault_set(fault, -EINVAL, "--%s takes no value.", spec->name);
	inv->values[index].set = true;
	return 0;
}

static int parse_short(const struct command *c, char *const *argv, size_t n, size_t *i, struct invocation *inv,
		       struct fault *fault)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		size_t index = 0;
		const struct option_spec *spec = find_letter(c, *p, &index);

		if (!spec && *p == option_help.letter) {
			inv->help = true;
			continue;
		}
		if (!spec)
			return unknown_option(c, argv[*i], fault);
		if (spec->kind != OPTION_FLAG)
			return take_value(spec, p[1] ? p + 1 + (p[1] == '=') : NULL, argv, n, i, &inv->values[index],
					  fault);
		inv->values[index].set = true;
	}
	return 0;
}

static int check_words(const struct command *c, const struct invocation *inv, struct fault *fault)
{
	char safe[64];

	if (inv->help)
		return 0;
	if (inv->n_words < c->min_words)
		return fault_set(fault, -EINVAL, "The command '%s%s%s' needs %s.", c->name, c->sub ? " " : "",
				 c->sub ? c->sub : "", c->words);
	if (inv->n_words <= c->max_words)
		return 0;
	text_escape(safe, sizeof(safe), inv->words[c->max_words], strlen(inv->words[c->max_words]));
	return fault_set(fault, -EINVAL, "The command '%s%s%s' takes %s; '%s' is too much.", c->name, c->sub ? " " : "",
			 c->sub ? c->sub : "", c->words ? c->words : "no further words", safe);
}

int command_parse(const struct command *c, char *const *argv, size_t n, struct invocation *ret, struct fault *fault)
{
	struct invocation inv = {.command = c};
	bool only_words = false;

	for (size_t i = 0; i < n; i++) {
		int r = 0;

		if (!only_words && !strcmp(argv[i], "--"))
			only_words = true;
		else if (!only_words && !strncmp(argv[i], "--", 2))
			r = parse_long(c, argv, n, &i, &inv, fault);
		else if (!only_words && argv[i][0] == '-' && argv[i][1])
			r = parse_short(c, argv, n, &i, &inv, fault);
		else if (inv.n_words < COMMAND_WORDS_MAX)
			inv.words[inv.n_words++] = argv[i];
		else
			r = fault_set(fault, -EINVAL, "Too many words (at most %d).", COMMAND_WORDS_MAX);
		if (r < 0)
			return r;
	}
	if (check_words(c, &inv, fault) < 0)
		return -EINVAL;
	*ret = inv;
	return 0;
}

const struct option_value *option_value(const struct invocation *inv, const char *name)
{
	size_t index = 0;

	if (!find_long(inv->command, name, strlen(name), &index))
		abort();
	return &inv->values[index];
}

bool option_wants_json(const struct invocation *inv)
{
	const struct option_value *v = option_value(inv, "format");

	return v->set && !strcmp(v->text, "json");
}
