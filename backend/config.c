/* SPDX-License-Identifier: Apache-2.0 */
/* config: the file, the ranges, changes. Values are integers, an index into the choices, or text that the table's check has
 * accepted: no text of a user ever leaves this file towards an argument list. */
#include "backend/config.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "backend/config-text.h"
#include "base/fd.h"
#include "base/text.h"
#include "proto/data-card.h"

enum { MEMORY_MIN_MIB = 1024, DISK_MIN_MIB = 8192, DISK_MAX_MIB = 2097152, DISK_STANDARD_MIB = 65536 };
#define VERSION_KEY "SettingsVersion"

void config_host(struct config_host *ret, int data_fd, const char *disk)
{
	struct sysinfo info = {0};
	struct stat st;
	cpu_set_t set;

	*ret = (struct config_host){.cpus = 1, .memory_mib = MEMORY_MIN_MIB};
	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		ret->cpus = (uint32_t)CPU_COUNT(&set);
	if (sysinfo(&info) == 0)
		ret->memory_mib = (uint64_t)info.totalram * info.mem_unit >> 20;
	if (fstatat(data_fd, disk, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		ret->disk_mib = (uint64_t)st.st_size >> 20;
}

struct config_range config_range(enum config_key key, const struct config_host *host)
{
	struct config_range range = {0, 0, 0};

	switch (key) {
	case CONFIG_CPUS:
		return (struct config_range){1, host->cpus, host->cpus};
	case CONFIG_MEMORY_MIB:
		range = (struct config_range){MEMORY_MIN_MIB, MEMORY_MIN_MIB, host->memory_mib / 2};
		if (host->memory_mib > 2 * MEMORY_MIN_MIB)
			range.max = host->memory_mib - MEMORY_MIN_MIB;
		break;
	case CONFIG_DISK_MIB:
		range = (struct config_range){DISK_MIN_MIB, DISK_MAX_MIB, DISK_STANDARD_MIB};
		if (host->disk_mib > range.min)
			range.min = host->disk_mib;
		break;
	case CONFIG_NETWORK_MTU:
		return (struct config_range){DATA_MTU_MIN, DATA_MTU_MAX, DATA_MTU_DEFAULT};
	default:
		/* choices: the first is the default */
		while (config_specs[key].choices && config_specs[key].choices[range.max + 1])
			range.max++;
		return range;
	}
	if (range.max < range.min)
		range.max = range.min;
	if (range.standard < range.min)
		range.standard = range.min;
	if (range.standard > range.max)
		range.standard = range.max;
	return range;
}

void config_set_defaults(struct config *config, const struct config_host *host)
{
	*config = (struct config){0};
	for (unsigned int i = 0; i < CONFIG_TEXT_FIRST; i++)
		config->value[i] = config_range((enum config_key)i, host).standard;
	for (unsigned int i = CONFIG_TEXT_FIRST; i < CONFIG_KEY_MAX; i++)
		config_text_default(config->text[i - CONFIG_TEXT_FIRST], (enum config_key)i);
}

const char *config_text(const struct config *config, enum config_key key)
{
	return key < CONFIG_TEXT_FIRST ? "" : config->text[key - CONFIG_TEXT_FIRST];
}

bool config_next(const char **at, char *dst, size_t size)
{
	const char *end = strchr(*at, '\n');

	if (!end)
		return false;
	snprintf(dst, size, "%.*s", (int)(end - *at), *at);
	*at = end + 1;
	return true;
}

void config_copy(struct config *dst, const struct config *src, enum config_key key)
{
	if (key < CONFIG_TEXT_FIRST)
		dst->value[key] = src->value[key];
	else
		memcpy(dst->text[key - CONFIG_TEXT_FIRST], src->text[key - CONFIG_TEXT_FIRST], CONFIG_TEXT_MAX);
}

bool config_equal(const struct config *a, const struct config *b, enum config_key key)
{
	if (key < CONFIG_TEXT_FIRST)
		return a->value[key] == b->value[key];
	return !strcmp(config_text(a, key), config_text(b, key));
}

json_t *config_value(const struct config *config, enum config_key key, enum config_sight sight)
{
	const struct config_spec *spec = &config_specs[key];
	char item[CONFIG_TEXT_MAX];
	const char *at;
	json_t *list;

	if (spec->type == CONFIG_INTEGER)
		return json_integer((json_int_t)config->value[key]);
	if (spec->type == CONFIG_CHOICE)
		return json_string(spec->choices[config->value[key]]);
	at = config_text(config, key);
	if (spec->type == CONFIG_STRING) {
		if (spec->secret && sight == CONFIG_SHOW)
			return json_string(config_text_mask(item, sizeof(item), at));
		return json_string(at);
	}
	list = json_array();
	while (list && config_next(&at, item, sizeof(item)))
		(void)json_array_append_new(list, json_string(item));
	return list;
}

int config_find(const char *word, enum config_key *ret, struct fault *fault)
{
	const char *candidates[2 * CONFIG_KEY_MAX], *nearest;

	for (unsigned int i = 0; i < CONFIG_KEY_MAX; i++) {
		if (!strcmp(word, config_specs[i].key) || !strcmp(word, config_specs[i].name)) {
			*ret = (enum config_key)i;
			return 0;
		}
		candidates[2 * i] = config_specs[i].key;
		candidates[2 * i + 1] = config_specs[i].name;
	}
	nearest = text_nearest(word, candidates, ARRAY_SIZE(candidates));
	if (nearest)
		fault_set(fault, CONFIG_E_UNKNOWN, "There is no setting \"%.64s\"; did you mean \"%s\"?", word, nearest);
	else
		fault_set(fault, CONFIG_E_UNKNOWN, "There is no setting \"%.64s\"; 'caisson settings list' shows all.", word);
	return CONFIG_E_UNKNOWN;
}

static int change_choice(struct config *config, enum config_key key, const json_t *value, struct fault *fault)
{
	const struct config_spec *spec = &config_specs[key];
	char all[256] = "";
	size_t n = 0;

	for (unsigned int i = 0; json_is_string(value) && spec->choices[i]; i++) {
		if (!strcmp(json_string_value(value), spec->choices[i])) {
			config->value[key] = i;
			return 0;
		}
	}
	for (unsigned int i = 0; spec->choices[i] && n < sizeof(all); i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", spec->choices[i]);
	fault_set(fault, CONFIG_E_VALUE, "%s must be one of %s.", spec->key, all);
	return CONFIG_E_VALUE;
}

/* Appends ITEM to the list in DST. Return: 0; CONFIG_E_VALUE with FAULT. */
static int add_item(char dst[static CONFIG_TEXT_MAX], size_t *n, enum config_key key, const json_t *value, unsigned int number,
		    struct fault *fault)
{
	const struct config_spec *spec = &config_specs[key];
	const char *text = json_string_value(value);
	int r;

	if (!text) {
		fault_set(fault, CONFIG_E_VALUE, "%s must be %s.", spec->key,
			  spec->type == CONFIG_LIST ? "a list of texts" : "a text");
		return CONFIG_E_VALUE;
	}
	r = config_text_check(key, text, json_string_length(value), number, fault);
	if (r)
		return r;
	if (*n + strlen(text) + 2 > CONFIG_TEXT_MAX) {
		fault_set(fault, CONFIG_E_VALUE, "%s is too long (at most %d bytes).", spec->key, CONFIG_TEXT_MAX - 2);
		return CONFIG_E_VALUE;
	}
	*n += (size_t)snprintf(dst + *n, CONFIG_TEXT_MAX - *n, "%s%s", text, spec->type == CONFIG_LIST ? "\n" : "");
	return 0;
}

static int change_text(struct config *config, enum config_key key, const json_t *value, struct fault *fault)
{
	const struct config_spec *spec = &config_specs[key];
	char text[CONFIG_TEXT_MAX] = "", shown[CONFIG_TEXT_MAX];
	char *dst = config->text[key - CONFIG_TEXT_FIRST];
	size_t n = 0;
	int r = 0;

	if (json_is_null(value)) {
		config_text_default(dst, key);
		return 0;
	}
	/* What was shown with *** and comes back unchanged stays as it is. */
	if (spec->secret && json_is_string(value) &&
	    !strcmp(json_string_value(value), config_text_mask(shown, sizeof(shown), dst)))
		return 0;
	if (spec->type == CONFIG_STRING || !json_is_array(value))
		r = add_item(text, &n, key, spec->type == CONFIG_STRING ? value : NULL, 0, fault);
	else if (json_array_size(value) > config_text_items(key))
		r = fault_set(fault, CONFIG_E_VALUE, "%s takes at most %zu items.", spec->key, config_text_items(key));
	for (size_t i = 0; spec->type == CONFIG_LIST && !r && i < json_array_size(value); i++)
		r = add_item(text, &n, key, json_array_get(value, i), (unsigned int)i + 1, fault);
	if (!r)
		memcpy(dst, text, sizeof(text));
	return r;
}

int config_change(struct config *config, const struct config_host *host, enum config_key key, const json_t *value,
		  struct fault *fault)
{
	struct config_range range = config_range(key, host);
	const struct config_spec *spec = &config_specs[key];
	json_int_t n = json_integer_value(value);

	if (key >= CONFIG_TEXT_FIRST)
		return change_text(config, key, value, fault);
	if (json_is_null(value)) {
		config->value[key] = range.standard;
		return 0;
	}
	if (spec->type == CONFIG_CHOICE)
		return change_choice(config, key, value, fault);
	if (!json_is_integer(value) || n < 0 || (uint64_t)n < range.min || (uint64_t)n > range.max) {
		const char *why = key == CONFIG_DISK_MIB && host->disk_mib == range.min ?
					  "; the disk has the smaller size now and cannot shrink" : "";

		fault_set(fault, CONFIG_E_VALUE, "%s must be a whole number from %llu to %llu (%s)%s.", spec->key,
			  (unsigned long long)range.min, (unsigned long long)range.max, spec->unit, why);
		return CONFIG_E_VALUE;
	}
	config->value[key] = (uint64_t)n;
	return 0;
}

/* Line of the member KEY of the outermost object in TEXT, which is known to parse; 1 when spelt with escapes. */
static unsigned int line_of(const char *text, size_t len, const char *key)
{
	unsigned int line = 1, depth = 0;
	size_t key_len = strlen(key);

	for (size_t i = 0; i < len; i++) {
		size_t start = i + 1;

		if (text[i] == '\n')
			line++;
		else if (text[i] == '{' || text[i] == '[')
			depth++;
		else if (text[i] == '}' || text[i] == ']')
			depth--;
		if (text[i] != '"')
			continue;
		for (i++; i < len && text[i] != '"'; i++)
			if (text[i] == '\\')
				i++;
		if (depth != 1 || i >= len || i - start != key_len || memcmp(text + start, key, key_len))
			continue;
		/* A member name is followed by a colon, a string value is not. */
		for (start = i + 1; start < len && strchr(" \t\r\n", text[start]); start++)
			;
		if (start < len && text[start] == ':')
			return line;
	}
	return 1;
}

static int decode_version(const json_t *value, const char *name, unsigned int line, struct fault *fault)
{
	json_int_t version = json_integer_value(value);

	if (!json_is_integer(value) || version < 1)
		return fault_set(fault, -EBADMSG, "%s:%u: " VERSION_KEY " must be a whole number from 1.", name, line);
	if (version > CONFIG_VERSION)
		return fault_set(fault, -EBADMSG, "%s:%u: the file is from a newer version (" VERSION_KEY " %lld, this one "
				 "knows %d): update Caisson, or move the file away.", name, line, (long long)version,
				 CONFIG_VERSION);
	return 0;
}

int config_decode(struct config *ret, const struct config_host *host, const char *name, const char *text, size_t len,
		  struct fault *fault)
{
	struct config config;
	struct fault why = FAULT_INIT;
	json_error_t error;
	const char *key;
	json_t *root, *value;
	int r = 0;

	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	/* Jansson quotes what stands there: it may be a proxy with its password. */
	if (!root && strstr(error.text, " near "))
		*strstr(error.text, " near ") = '\0';
	if (!root)
		return fault_set(fault, -EBADMSG, "%s:%d: %s; mend the file or move it away.", name,
				 error.line > 0 ? error.line : 1, len ? error.text : "the file is empty");
	if (!json_is_object(root)) {
		json_decref(root);
		return fault_set(fault, -EBADMSG, "%s:1: the file must hold one JSON object.", name);
	}
	config_set_defaults(&config, host);
	/* The version first: it explains every other surprise. */
	value = json_object_get(root, VERSION_KEY);
	if (value)
		r = decode_version(value, name, line_of(text, len, VERSION_KEY), fault);
	if (r >= 0) {
		json_object_foreach(root, key, value) {
			enum config_key k = CONFIG_KEY_MAX;

			if (!strcmp(key, VERSION_KEY))
				continue;
			if (config_find(key, &k, &why) || strcmp(key, config_specs[k].key) ||
			    config_change(&config, host, k, value, &why)) {
				if (!why.code)
					fault_set(&why, -EBADMSG, "In the file this setting is called \"%s\".",
						  config_specs[k].key);
				r = fault_set(fault, -EBADMSG, "%s:%u: %s", name, line_of(text, len, key), why.text);
				break;
			}
		}
	}
	json_decref(root);
	if (r >= 0)
		*ret = config;
	return r;
}

int config_load(struct config *ret, const struct config_host *host, int dir_fd, const char *file, const char *path,
		struct fault *fault)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = fd_read_file(dir_fd, file, CONFIG_FILE_MAX, &text, &len);
	if (r == -ENOENT) {
		config_set_defaults(ret, host);
		return 0;
	}
	if (r == -EFBIG)
		return fault_set(fault, -EBADMSG, "%s:1: the file is larger than %d bytes.", path, CONFIG_FILE_MAX);
	if (r < 0)
		return fault_set(fault, r, "%s:1: the file cannot be read: %s.", path, strerror(-r));
	return config_decode(ret, host, path, text, len, fault);
}

int config_store(const struct config *config, const struct config_host *host, int dir_fd, const char *file)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ struct config *standard = calloc(1, sizeof(*standard));
	json_t *root = standard ? json_pack("{s:i}", VERSION_KEY, CONFIG_VERSION) : NULL;
	bool failed = !root;
	size_t len;

	if (standard)
		config_set_defaults(standard, host);
	for (unsigned int i = 0; i < CONFIG_KEY_MAX && !failed; i++)
		if (!config_equal(config, standard, (enum config_key)i))
			failed = json_object_set_new(root, config_specs[i].key,
						     config_value(config, (enum config_key)i, CONFIG_STORE)) < 0;
	if (!failed)
		text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (!text)
		return trace(-ENOMEM);
	len = strlen(text);
	text[len] = '\n'; /* in place of the NUL: the buffer is written by length */
	return trace(fd_replace_file(dir_fd, file, text, len + 1, 0600));
}
