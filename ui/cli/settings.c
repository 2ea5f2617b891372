/* SPDX-License-Identifier: Apache-2.0 */
/* settings: list, get, set. Ranges and nearest names come from the backend, which knows the host. */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "ui/cli/api.h"

enum { NAMES_MAX = 64 };

static int ask(struct cli *cli, struct api *api, bool *ret_running, json_t **ret)
{
	struct fault fault = FAULT_INIT;
	int r = api_open_any(cli, api, ret_running, &fault);

	if (r == 0)
		r = api_call(api, "GET", "/v1/settings", NULL, ret, &fault);
	return r == 0 ? CLI_OK : cli_failed(cli, &fault, r);
}

static bool in_mib(const json_t *setting)
{
	return !strcmp(json_text(setting, "unit", ""), "MiB");
}

static const char *format_value(char *dst, size_t size, const json_t *setting, const json_t *value)
{
	char human[32], item[1024];
	size_t n = 0;

	*dst = '\0';
	for (size_t i = 0; i < json_array_size(value) && n < size; i++)
		n += (size_t)snprintf(dst + n, size - n, "%s%s", i ? ", " : "",
				      output_safe(item, sizeof(item), json_string_value(json_array_get(value, i))));
	if (n)
		return dst;
	if (json_is_string(value) && *json_string_value(value))
		output_safe(dst, size, json_string_value(value));
	else if (!json_is_integer(value))
		snprintf(dst, size, "-");
	else if (in_mib(setting) && json_integer_value(value) > 0)
		snprintf(dst, size, "%lld MiB (%s)", (long long)json_integer_value(value),
			 text_format_size(human, sizeof(human), (uint64_t)json_integer_value(value) << 20));
	else
		snprintf(dst, size, "%lld", (long long)json_integer_value(value));
	return dst;
}

static const char *format_range(char *dst, size_t size, const json_t *setting)
{
	const json_t *choices = json_object_get(setting, "choices");
	const char *type = json_text(setting, "type", "");
	char safe[64];
	size_t n = 0;

	if (!strcmp(type, "string") || !strcmp(type, "list")) {
		snprintf(dst, size, "%s", type[0] == 's' ? "text" : "list");
		return dst;
	}
	if (!json_array_size(choices)) {
		snprintf(dst, size, "%lld to %lld%s", (long long)json_number(setting, "min", 0),
			 (long long)json_number(setting, "max", 0), in_mib(setting) ? " MiB" : "");
		return dst;
	}
	for (size_t i = 0; i < json_array_size(choices) && n < size; i++) {
		const char *c = json_string_value(json_array_get(choices, i));

		n += (size_t)snprintf(dst + n, size - n, "%s%s", i ? ", " : "", output_safe(safe, sizeof(safe), c));
	}
	return dst;
}

static void print_row(const struct cli *cli, const json_t *setting)
{
	char name[64], value[256], def[64], range[128], text[256];

	printf("%s%-15s%s %-22s %-22s %s\n", output_style(&cli->out, STYLE_BOLD),
	       output_safe(name, sizeof(name), json_text(setting, "name", "?")), output_style(&cli->out, STYLE_NONE),
	       format_value(value, sizeof(value), setting, json_object_get(setting, "value")),
	       format_value(def, sizeof(def), setting, json_object_get(setting, "default")),
	       format_range(range, sizeof(range), setting));
	printf("  %s%s%s\n", output_style(&cli->out, STYLE_DIM),
	       output_safe(text, sizeof(text), json_text(setting, "description", "")),
	       output_style(&cli->out, STYLE_NONE));
}

/* Says which settings wait for a restart. */
static void print_pending(const struct cli *cli, const json_t *list)
{
	char safe[64];

	for (size_t i = 0; i < json_array_size(list); i++)
		printf("%s is in force after '%s restart'.\n",
		       output_safe(safe, sizeof(safe), json_string_value(json_array_get(list, i))), cli->program);
}

int run_settings_list(struct cli *cli, const struct invocation *inv)
{
	struct api api = API_INIT;
	_cleanup_json_ json_t *all = NULL;
	bool running = false;
	const json_t *setting;
	size_t i;
	int code = ask(cli, &api, &running, &all);

	api_close(&api);
	if (code != CLI_OK)
		return code;
	if (option_wants_json(inv)) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
		return CLI_OK;
	}
	printf("%-15s %-22s %-22s %s\n", "NAME", "VALUE", "DEFAULT", "RANGE");
	json_array_foreach(json_object_get(all, "settings"), i, setting)
		print_row(cli, setting);
	print_pending(cli, json_object_get(all, "needs_restart"));
	return CLI_OK;
}

/* The setting KEY names, by its key or its name in any case; complains about an unknown one. */
static const json_t *find(const struct cli *cli, const json_t *all, const char *key, size_t len)
{
	const char *names[NAMES_MAX * 2], *near;
	char word[128], safe[256];
	const json_t *setting;
	size_t i, n = 0;

	snprintf(word, sizeof(word), "%.*s", (int)len, key);
	json_array_foreach(json_object_get(all, "settings"), i, setting) {
		const char *k = json_text(setting, "key", ""), *name = json_text(setting, "name", "");

		if (!strcasecmp(word, k) || !strcasecmp(word, name))
			return setting;
		if (n + 2 <= ARRAY_SIZE(names)) {
			names[n++] = name;
			names[n++] = k;
		}
	}
	near = text_nearest(word, names, n);
	output_safe(safe, sizeof(safe), word);
	if (near)
		output_error(&cli->out, "There is no setting '%s'; did you mean '%s'?", safe, near);
	else
		output_error(&cli->out, "There is no setting '%s'; '%s settings list' shows what there is.", safe, cli->program);
	return NULL;
}

int run_settings_get(struct cli *cli, const struct invocation *inv)
{
	struct api api = API_INIT;
	_cleanup_json_ json_t *all = NULL;
	const json_t *setting, *value, *item;
	bool running = false;
	char safe[4096];
	size_t i;
	int code = ask(cli, &api, &running, &all);

	api_close(&api);
	if (code != CLI_OK)
		return code;
	setting = find(cli, all, inv->words[0], strlen(inv->words[0]));
	if (!setting)
		return CLI_USAGE;
	if (option_wants_json(inv)) {
		json_dumpf(setting, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
		return CLI_OK;
	}
	value = json_object_get(setting, "value");
	json_array_foreach(value, i, item)
		printf("%s\n", output_safe(safe, sizeof(safe), json_string_value(item)));
	if (json_is_array(value))
		return CLI_OK;
	if (json_is_integer(value))
		printf("%lld\n", (long long)json_integer_value(value));
	else
		printf("%s\n", output_safe(safe, sizeof(safe), json_string_value(value)));
	return CLI_OK;
}

/* Turns what was typed into the JSON value the backend wants. Return: new value (json_null for the default), NULL after a complaint. */
static json_t *convert(const struct cli *cli, const json_t *setting, const char *text)
{
	const char *name = json_text(setting, "name", "?");
	uint64_t number = 0;
	char range[128];
	int r;

	if (!strcmp(text, "default"))
		return json_null();
	if (strcmp(json_text(setting, "type", ""), "integer") != 0) {
		json_t *value = json_string(text);

		if (!value)
			output_error(&cli->out, "%s cannot be '%s'; it is one of: %s.", name, text,
				     format_range(range, sizeof(range), setting));
		return value;
	}
	r = text_parse_u64(text, INT64_MAX, &number);
	if (r == -EINVAL && in_mib(setting)) {
		r = text_parse_size(text, &number);
		if (r == 0 && number % (1 << 20))
			r = -EINVAL;
		number >>= 20;
	}
	if (r == 0)
		return json_integer((json_int_t)number);
	output_error(&cli->out, "%s cannot be '%s'; it is a whole number%s from %s, or 'default'.", name, text,
		     in_mib(setting) ? " of MiB, or a size like 4G," : "", format_range(range, sizeof(range), setting));
	return NULL;
}

/* What a word does to a list. */
enum edit { EDIT_SET, EDIT_ADD, EDIT_REMOVE };

/* Length of the first item of TEXT: up to a comma. In dns-domains a comma also stands between the servers of one domain: an
 * item goes on until the next piece has a '='. */
static size_t item_len(const json_t *setting, const char *text)
{
	size_t len = strcspn(text, ",");

	while (text[len] && !strcmp(json_text(setting, "key", ""), "DnsDomains")) {
		size_t next = strcspn(text + len + 1, ",");

		if (memchr(text + len + 1, '=', next))
			break;
		len += 1 + next;
	}
	return len;
}

/* Takes ITEM out of LIST. Return: false when it is not there. */
static bool remove_item(json_t *list, const char *item)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(json_string_value(json_array_get(list, i)), item))
			return json_array_remove(list, i) == 0;
	return false;
}

/* The list BEFORE (NULL: what is set now, or nothing) changed as TEXT says. Return: new value, NULL after a complaint. */
static json_t *convert_list(const struct cli *cli, const json_t *setting, const json_t *before, const char *text, enum edit edit)
{
	json_t *list = before && json_is_array(before) ? json_copy((json_t *)before) :
		       edit == EDIT_SET ? json_array() : json_copy(json_object_get(setting, "value"));

	if (edit == EDIT_SET && !strcmp(text, "default")) {
		json_decref(list);
		return json_null();
	}
	if (!strcmp(text, "none"))
		return list;
	while (*text) {
		size_t len;
		char item[2048];

		text += strspn(text, ", ");
		len = item_len(setting, text);
		snprintf(item, sizeof(item), "%.*s", (int)len, text);
		text += len;
		if (!*item)
			continue;
		if (edit == EDIT_REMOVE && !remove_item(list, item)) {
			output_error(&cli->out, "%s has no item '%s'.", json_text(setting, "name", "?"), item);
			json_decref(list);
			return NULL;
		}
		if (edit != EDIT_REMOVE)
			(void)json_array_append_new(list, json_string(item));
	}
	return list;
}

/* Reads "KEY VALUE", "KEY=VALUE", and for lists "KEY+=VALUE" or "KEY-=VALUE" at word *I into CHANGES. Return: CLI_OK or CLI_USAGE. */
static int take_pair(const struct cli *cli, const struct invocation *inv, size_t *i, const json_t *all, json_t *changes)
{
	const char *word = inv->words[*i], *equals = strchr(word, '='), *text, *key;
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	enum edit edit = EDIT_SET;
	const json_t *setting;
	json_t *value;

	if (equals && len && (equals[-1] == '+' || equals[-1] == '-')) {
		edit = equals[-1] == '+' ? EDIT_ADD : EDIT_REMOVE;
		len--;
	}
	setting = find(cli, all, word, len);
	if (!setting)
		return CLI_USAGE;
	if (!equals && *i + 1 >= inv->n_words) {
		output_error(&cli->out, "The setting '%s' needs a value.", word);
		return CLI_USAGE;
	}
	key = json_text(setting, "key", "");
	text = equals ? equals + 1 : inv->words[++*i];
	if (!strcmp(json_text(setting, "type", ""), "list")) {
		value = convert_list(cli, setting, json_object_get(changes, key), text, edit);
	} else if (edit != EDIT_SET) {
		output_error(&cli->out, "%s is not a list; set it with '='.", json_text(setting, "name", "?"));
		value = NULL;
	} else {
		value = convert(cli, setting, text);
	}
	++*i;
	if (!value)
		return CLI_USAGE;
	if (json_object_set_new(changes, key, value) < 0)
		return cli_failed(cli, NULL, -ENOMEM);
	return CLI_OK;
}

static void print_changed(const struct cli *cli, const json_t *answer, bool running)
{
	const json_t *changed = json_object_get(answer, "changed");
	char safe[64];

	for (size_t i = 0; i < json_array_size(changed); i++)
		printf("%s changed.\n", output_safe(safe, sizeof(safe), json_string_value(json_array_get(changed, i))));
	if (!json_array_size(changed))
		printf("Nothing changed.\n");
	else if (!running)
		printf("It is in force from the next start on.\n");
	print_pending(cli, json_object_get(answer, "needs_restart"));
}

/* A value that the backend refuses is the caller's mistake, a broken file is not. */
static int refused(const struct cli *cli, const json_t *answer, const struct fault *fault, int r)
{
	const char *symbol = json_text(json_object_get(answer, "error"), "code", "");

	(void)cli_failed(cli, fault, r);
	return strncmp(symbol, "SETTING_", 8) ? CLI_FAILED : CLI_USAGE;
}

int run_settings_set(struct cli *cli, const struct invocation *inv)
{
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	_cleanup_json_ json_t *all = NULL, *changes = json_object(), *answer = NULL;
	bool running = false;
	int r, code = ask(cli, &api, &running, &all);

	for (size_t i = 0; code == CLI_OK && i < inv->n_words;)
		code = take_pair(cli, inv, &i, all, changes);
	if (code == CLI_OK) {
		r = api_call(&api, "PATCH", "/v1/settings", changes, &answer, &fault);
		code = r == 0 ? CLI_OK : refused(cli, answer, &fault, r);
	}
	api_close(&api);
	if (code != CLI_OK)
		return code;
	if (option_wants_json(inv)) {
		json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	} else {
		print_changed(cli, answer, running);
	}
	return CLI_OK;
}
