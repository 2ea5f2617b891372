/* SPDX-License-Identifier: Apache-2.0 */
/* port-names: an array in the order of naming; stored a moment after a change, so that a burst costs one write. */
#include "backend/port-names.h"

#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

enum { STORE_US = 100000, FILE_VERSION = 1 };

struct port_names {
	int dir_fd;
	const char *file;
	struct loop_source *timer;
	bool dirty;
	size_t n;
	struct port_name name[PORT_NAMES_MAX];
};

static bool same(const struct port_name *a, const struct port_name *b)
{
	return a->udp == b->udp && a->first == b->first && a->last == b->last;
}

/* Return: true when the table is another now. */
static bool add(struct port_names *names, const struct port_name *name)
{
	size_t i = 0;

	/* The same as the latest: compose and swarm repeat themselves. */
	if (names->n && same(&names->name[names->n - 1], name) && names->name[names->n - 1].wide == name->wide)
		return false;
	while (i < names->n && !same(&names->name[i], name))
		i++;
	if (i == names->n && names->n == PORT_NAMES_MAX)
		i = 0;
	if (i < names->n) {
		memmove(&names->name[i], &names->name[i + 1], (names->n - i - 1) * sizeof(*name));
		names->n--;
	}
	names->name[names->n++] = *name;
	return true;
}

void port_names_add(struct port_names *names, const struct port_name *name)
{
	if (!add(names, name))
		return;
	if (!names->dirty && names->timer)
		(void)loop_timer_set(names->timer, STORE_US);
	names->dirty = true;
}

bool port_names_allowed(const struct port_names *names, bool udp, uint16_t port, uint8_t *ret_wide)
{
	*ret_wide = 0;
	for (size_t i = names->n; i > 0; i--) {
		const struct port_name *name = &names->name[i - 1];

		if (name->udp == udp && name->first <= port && port <= name->last) {
			*ret_wide = name->wide;
			return true;
		}
	}
	return port >= PORT_EPHEMERAL_FIRST && port <= PORT_EPHEMERAL_LAST;
}

size_t port_names_count(const struct port_names *names)
{
	return names->n;
}

/* One element of the file. Return: false when it is not one. */
static bool decode(const json_t *item, struct port_name *ret)
{
	const char *protocol;
	int first, last, wide;

	if (json_unpack((json_t *)item, "{s:s, s:i, s:i, s:i}", "protocol", &protocol, "first", &first, "last", &last, "wide",
			&wide) < 0)
		return false;
	if (first < 1 || last > UINT16_MAX || first > last || wide < 0 || wide > (PORT_WIDE_V4 | PORT_WIDE_V6) ||
	    (strcmp(protocol, "tcp") && strcmp(protocol, "udp")))
		return false;
	*ret = (struct port_name){*protocol == 'u', (uint8_t)wide, (uint16_t)first, (uint16_t)last};
	return true;
}

/* Return: 0; -ENOENT; -EBADMSG; -errno. */
static int load(struct port_names *names)
{
	_cleanup_free_ char *text = NULL;
	struct port_name name;
	json_t *root, *list;
	size_t len;
	int r = fd_read_file(names->dir_fd, names->file, PORT_NAMES_FILE_MAX, &text, &len);

	if (r < 0)
		return r;
	root = json_loadb(text, len, 0, NULL);
	list = json_object_get(root, "ports");
	r = json_integer_value(json_object_get(root, "version")) == FILE_VERSION && json_is_array(list) ? 0 : -EBADMSG;
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		if (decode(json_array_get(list, i), &name))
			(void)add(names, &name);
		else
			r = -EBADMSG;
	}
	json_decref(root);
	return r;
}

int port_names_store(struct port_names *names)
{
	json_t *list = json_array(), *root = json_pack("{s:i, s:o}", "version", FILE_VERSION, "ports", list);
	_cleanup_free_ char *text = NULL;
	int r;

	for (size_t i = 0; i < names->n; i++) {
		const struct port_name *name = &names->name[i];

		(void)json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i}", "protocol", name->udp ? "udp" : "tcp",
							    "first", name->first, "last", name->last, "wide", name->wide));
	}
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (!text)
		return trace(-ENOMEM);
	r = fd_replace_file(names->dir_fd, names->file, text, strlen(text), 0600);
	if (r < 0)
		return trace(r);
	names->dirty = false;
	return 0;
}

static int on_timer(void *data)
{
	struct port_names *names = data;
	int r = names->dirty ? port_names_store(names) : 0;

	if (r < 0)
		log_limited(LOG_WARNING, "ports: %s cannot be written: %s", names->file, strerror(-r));
	return 0;
}

int port_names_new(struct loop *loop, int dir_fd, const char *file, struct port_names **ret)
{
	struct port_names *names = calloc(1, sizeof(*names));
	int r;

	if (!names)
		return trace(-ENOMEM);
	names->dir_fd = dir_fd;
	names->file = file;
	r = load(names);
	if (r < 0 && r != -ENOENT) {
		log_warning("ports: %s cannot be used (%s): containers that start by themselves may miss their ports", file,
			    r == -EBADMSG ? "not in its format" : strerror(-r));
		names->n = 0;
	}
	r = loop ? loop_add_timer(loop, on_timer, names, &names->timer) : 0;
	if (r < 0) {
		free(names);
		return trace(r);
	}
	*ret = names;
	return 0;
}

struct port_names *port_names_free(struct port_names *names)
{
	if (!names)
		return NULL;
	if (names->dirty)
		(void)on_timer(names);
	loop_source_free(names->timer);
	free(names);
	return NULL;
}
