/* SPDX-License-Identifier: Apache-2.0 */
/* config: the table, the file, the ranges. Values are integers or an index into the choices: no text of a user
 * ever leaves this file towards an argument list. */
#include "backend/config.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "base/fd.h"
#include "base/text.h"

enum { MEMORY_MIN_MIB = 1024, DISK_MIN_MIB = 8192, DISK_MAX_MIB = 2097152, DISK_STANDARD_MIB = 65536 };
#define VERSION_KEY "SettingsVersion"

/* Order as enum machine_accel. */
static const char *const accelerators[] = {"auto", "kvm", "tcg", NULL};

const struct config_spec config_specs[CONFIG_KEY_MAX] = {
	[CONFIG_CPUS] = {"Cpus", "cpus", CONFIG_INTEGER, "CPUs", NULL, "Processors of the VM"},
	[CONFIG_MEMORY_MIB] = {"MemoryMiB", "memory", CONFIG_INTEGER, "MiB", NULL, "Memory of the VM"},
	[CONFIG_DISK_MIB] = {"DiskSizeMiB", "disk-size", CONFIG_INTEGER, "MiB", NULL,
			     "Largest size of the data disk; the file takes only what is used"},
	[CONFIG_ACCELERATOR] = {"Accelerator", "accelerator", CONFIG_CHOICE, NULL, accelerators,
				"How the VM's processors run: auto proves that KVM works and falls back to tcg"},
};

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
	case CONFIG_ACCELERATOR:
		return (struct config_range){0, ARRAY_SIZE(accelerators) - 2, 0};
	case CONFIG_KEY_MAX:
		break;
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
	for (unsigned int i = 0; i < CONFIG_KEY_MAX; i++)
		config->value[i] = config_range((enum config_key)i, host).standard;
}

json_t *config_value(enum config_key key, uint64_t value)
{
	if (config_specs[key].type == CONFIG_CHOICE)
		return json_string(config_specs[key].choices[value]);
	return json_integer((json_int_t)value);
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
		fault_set(fault, CONFIG_E_UNKNOWN, "There is no setting \"%.64s\"; there are cpus, memory, disk-size and "
			  "accelerator.", word);
	return CONFIG_E_UNKNOWN;
}

static int change_choice(struct config *config, enum config_key key, const json_t *value, struct fault *fault)
{
	const struct config_spec *spec = &config_specs[key];

	for (unsigned int i = 0; json_is_string(value) && spec->choices[i]; i++) {
		if (!strcmp(json_string_value(value), spec->choices[i])) {
			config->value[key] = i;
			return 0;
		}
	}
	fault_set(fault, CONFIG_E_VALUE, "%s must be one of auto, kvm, tcg.", spec->key);
	return CONFIG_E_VALUE;
}

int config_change(struct config *config, const struct config_host *host, enum config_key key, const json_t *value,
		  struct fault *fault)
{
	struct config_range range = config_range(key, host);
	const struct config_spec *spec = &config_specs[key];
	json_int_t n = json_integer_value(value);

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
	json_t *root = json_pack("{s:i}", VERSION_KEY, CONFIG_VERSION);
	bool failed = !root;
	size_t len;

	for (unsigned int i = 0; i < CONFIG_KEY_MAX && !failed; i++)
		if (config->value[i] != config_range((enum config_key)i, host).standard)
			failed = json_object_set_new(root, config_specs[i].key,
						     config_value((enum config_key)i, config->value[i])) < 0;
	if (!failed)
		text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (!text)
		return trace(-ENOMEM);
	len = strlen(text);
	text[len] = '\n'; /* in place of the NUL: the buffer is written by length */
	return trace(fd_replace_file(dir_fd, file, text, len + 1, 0600));
}
