/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: the settings of one user, settings-store.json.
 *
 * A table (config-table.c) says name, type, range and default of each. Only values that differ from the default are stored. A
 * file that is broken, truncated, from a newer version or has a key we do not know is an error with file, line
 * and reason, and is never written over. Who may call it: backend only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { CONFIG_VERSION = 1, CONFIG_FILE_MAX = 65536 };

enum config_key {
	CONFIG_CPUS,
	CONFIG_MEMORY_MIB,
	CONFIG_DISK_MIB,
	CONFIG_ACCELERATOR,
	CONFIG_NETWORK_MTU,
	CONFIG_IPV6,
	CONFIG_EGRESS,
	CONFIG_PORT_BINDING,
	CONFIG_DNS_FILTER,
	CONFIG_PROXY_MODE,
	/* text from here on */
	CONFIG_NETWORK_SUBNET,
	CONFIG_HOST_ACCESS,
	CONFIG_NETWORK_RULES,
	CONFIG_DNS_SERVERS,
	CONFIG_DNS_DOMAINS,
	CONFIG_PROXY_HTTP,
	CONFIG_PROXY_HTTPS,
	CONFIG_PROXY_EXCLUDE,
	CONFIG_KEY_MAX,
	CONFIG_TEXT_FIRST = CONFIG_NETWORK_SUBNET,
};
enum config_type { CONFIG_INTEGER, CONFIG_CHOICE, CONFIG_STRING, CONFIG_LIST };
enum { CONFIG_TEXTS = CONFIG_KEY_MAX - CONFIG_TEXT_FIRST, CONFIG_TEXT_MAX = 8192 };

/* Values of the choices. */
enum config_switch { CONFIG_ON, CONFIG_OFF };
enum config_egress { CONFIG_EGRESS_ALLOW, CONFIG_EGRESS_DENY };
enum config_binding { CONFIG_BIND_ALL, CONFIG_BIND_LOCAL_DEFAULT, CONFIG_BIND_LOCAL_ONLY };

/* Positive codes of config_change: the caller maps them to the API's symbols. */
enum { CONFIG_E_UNKNOWN = 1, CONFIG_E_VALUE = 2 };

struct config_spec {
	const char *key;  /* in the file and the API */
	const char *name; /* on the command line */
	enum config_type type;
	const char *unit;	    /* NULL: none */
	const char *const *choices; /* CONFIG_CHOICE: NULL-terminated; the value is the index */
	const char *description;
	bool live;   /* a change takes effect at once */
	bool secret; /* a password in a URL is shown as *** */
};
extern const struct config_spec config_specs[CONFIG_KEY_MAX];

/* What the host allows; made once by config_host. */
struct config_host {
	uint32_t cpus;
	uint64_t memory_mib;
	uint64_t disk_mib; /* present size of the data disk, 0: none yet; it cannot shrink */
};

/* Plain data, may be copied. A list is its items, each followed by a newline: no item has a control character. */
struct config {
	uint64_t value[CONFIG_TEXT_FIRST];
	char text[CONFIG_TEXTS][CONFIG_TEXT_MAX];
};

struct config_range {
	uint64_t min, max, standard;
};

/* Looks at the machine we run on; DATA_FD holds the disk file DISK. */
void config_host(struct config_host *ret, int data_fd, const char *disk);
struct config_range config_range(enum config_key key, const struct config_host *host);
void config_set_defaults(struct config *config, const struct config_host *host);

/* Decodes the text of a settings file; NAME is for messages. Return: 0; -EBADMSG with FAULT ("NAME:LINE: reason"). */
int config_decode(struct config *ret, const struct config_host *host, const char *name, const char *text, size_t len,
		  struct fault *fault);
/* Loads FILE beneath DIR_FD; a missing one means defaults. Return: 0; -EBADMSG or -errno with FAULT. */
int config_load(struct config *ret, const struct config_host *host, int dir_fd, const char *file, const char *path,
		struct fault *fault);
/* Writes what differs from the defaults, atomically. Return: 0 or -errno. */
int config_store(const struct config *config, const struct config_host *host, int dir_fd, const char *file);

/* Key by file key or command line name. Return: 0; CONFIG_E_UNKNOWN with FAULT naming the nearest. */
int config_find(const char *word, enum config_key *ret, struct fault *fault);
/* Sets KEY from a JSON value (null: default). Return: 0; CONFIG_E_VALUE with FAULT naming the range. */
int config_change(struct config *config, const struct config_host *host, enum config_key key, const json_t *value,
		  struct fault *fault);
/* The value as JSON (new reference), NULL when out of memory. SHOW: as anybody may see it, without secrets. */
enum config_sight { CONFIG_STORE, CONFIG_SHOW };
json_t *config_value(const struct config *config, enum config_key key, enum config_sight sight);
void config_copy(struct config *dst, const struct config *src, enum config_key key);
bool config_equal(const struct config *a, const struct config *b, enum config_key key);
/* Text of a string or list setting. */
const char *config_text(const struct config *config, enum config_key key);
/* Next item of a list: *AT starts as config_text(). Return: true with the item in DST. */
bool config_next(const char **at, char *dst, size_t size);
