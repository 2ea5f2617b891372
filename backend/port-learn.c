/* SPDX-License-Identifier: Apache-2.0 */
/* port-learn: two shapes of JSON. See the header for what happens with what is not understood. */
#include "backend/port-learn.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

struct learn {
	port_learn_fn fn;
	void *data;
	unsigned int n;
};

/* Next component of the path at *AT, which stands at a slash. */
static size_t next_part(const char **at, const char *end, const char **ret)
{
	const char *slash;

	if (*at == end || **at != '/')
		return 0;
	*ret = *at + 1;
	slash = memchr(*ret, '/', (size_t)(end - *ret));
	*at = slash ? slash : end;
	return (size_t)(*at - *ret);
}

static bool part_is(const char *part, size_t len, const char *text)
{
	return len == strlen(text) && !memcmp(part, text, len);
}

/* "v1.45": what the engine's routes allow in front. */
static bool is_version(const char *part, size_t len)
{
	if (len < 2 || part[0] != 'v')
		return false;
	for (size_t i = 1; i < len; i++)
		if ((part[i] < '0' || part[i] > '9') && part[i] != '.')
			return false;
	return true;
}

enum port_learn_kind port_learn_kind(const char *method, size_t method_len, const char *target, size_t target_len)
{
	const char *query = memchr(target, '?', target_len), *at = target, *part, *room;
	const char *end = query ? query : target + target_len;
	size_t len, room_len;

	if (!part_is(method, method_len, "POST"))
		return PORT_LEARN_NOTHING;
	room_len = next_part(&at, end, &room);
	if (room_len && is_version(room, room_len))
		room_len = next_part(&at, end, &room);
	len = room_len ? next_part(&at, end, &part) : 0;
	if (!len)
		return PORT_LEARN_NOTHING;
	if (at == end && part_is(room, room_len, "containers") && part_is(part, len, "create"))
		return PORT_LEARN_CONTAINER;
	if (!part_is(room, room_len, "services"))
		return PORT_LEARN_NOTHING;
	if (at == end)
		return part_is(part, len, "create") ? PORT_LEARN_SERVICE : PORT_LEARN_NOTHING;
	len = next_part(&at, end, &part);
	return at == end && part_is(part, len, "update") ? PORT_LEARN_SERVICE : PORT_LEARN_NOTHING;
}

/* The last member NAME in any case; NULL. */
static json_t *member(json_t *object, const char *name)
{
	json_t *value, *found = NULL;
	const char *key;

	if (json_is_object(object))
		json_object_foreach(object, key, value)
			if (!strcasecmp(key, name))
				found = value;
	return found;
}

static void tell(struct learn *learn, bool udp, uint8_t wide, unsigned int first, unsigned int last)
{
	const struct port_name name = {udp, wide, (uint16_t)first, (uint16_t)last};

	if (first < 1 || last > UINT16_MAX || first > last || learn->n == PORT_LEARN_NAMES_MAX)
		return;
	learn->n++;
	learn->fn(learn->data, &name);
}

/* Digits at *AT up to END. */
static bool take_port(const char **at, const char *end, unsigned int *ret)
{
	*ret = 0;
	if (*at == end)
		return false;
	for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
		*ret = *ret * 10 + (unsigned int)(**at - '0');
		if (*ret > UINT16_MAX)
			return false;
	}
	return true;
}

/* "8080" or "8000-8010". */
static bool parse_range(const char *text, size_t len, unsigned int *ret_first, unsigned int *ret_last)
{
	const char *at = text, *end = text + len;

	if (!len || !take_port(&at, end, ret_first))
		return false;
	*ret_last = *ret_first;
	if (at < end && *at == '-') {
		at++;
		if (!take_port(&at, end, ret_last))
			return false;
	}
	return at == end;
}

/* "80/tcp" or "80". Return: 1 udp, 0 tcp, -1 neither. */
static int protocol_of(const char *key)
{
	const char *slash = strchr(key, '/');

	if (!slash || !strcasecmp(slash, "/tcp"))
		return 0;
	return strcasecmp(slash, "/udp") ? -1 : 1;
}

static uint8_t width_of(const char *address)
{
	if (!strcmp(address, "0.0.0.0"))
		return PORT_WIDE_V4;
	return strcmp(address, "::") && strcmp(address, "[::]") ? 0 : PORT_WIDE_V6;
}

static void learn_bindings(struct learn *learn, const char *key, const json_t *list)
{
	int protocol = protocol_of(key);

	for (size_t i = 0; protocol >= 0 && i < json_array_size(list); i++) {
		json_t *binding = json_array_get(list, i), *port = member(binding, "HostPort"), *ip = member(binding, "HostIp");
		const char *address = json_string_value(ip);
		unsigned int first, last;

		if (json_is_string(port) &&
		    parse_range(json_string_value(port), json_string_length(port), &first, &last))
			tell(learn, protocol == 1, address ? width_of(address) : 0, first, last);
	}
}

static void learn_container(struct learn *learn, json_t *root)
{
	json_t *bindings = member(member(root, "HostConfig"), "PortBindings"), *list;
	const char *key;

	if (json_is_object(bindings))
		json_object_foreach(bindings, key, list)
			learn_bindings(learn, key, list);
}

static void learn_service(struct learn *learn, json_t *root)
{
	json_t *ports = member(member(root, "EndpointSpec"), "Ports");

	for (size_t i = 0; i < json_array_size(ports); i++) {
		json_t *port = json_array_get(ports, i), *number = member(port, "PublishedPort");
		const char *protocol = json_string_value(member(port, "Protocol"));
		json_int_t n = json_integer_value(number);
		bool udp = protocol && !strcasecmp(protocol, "udp");

		if (!json_is_object(port) || (protocol && *protocol && !udp && strcasecmp(protocol, "tcp")))
			continue;
		if (n > 0 && n <= UINT16_MAX)
			tell(learn, udp, 0, (unsigned int)n, (unsigned int)n);
		/* Left to the engine: swarm has a range of its own for that. */
		if ((!number || json_is_integer(number)) && n == 0 && json_integer_value(member(port, "TargetPort")) > 0)
			tell(learn, udp, 0, PORT_SWARM_FIRST, PORT_SWARM_LAST);
	}
}

int port_learn(enum port_learn_kind kind, const char *body, size_t len, port_learn_fn fn, void *data)
{
	struct learn learn = {fn, data, 0};
	json_t *root = json_loadb(body, len, JSON_ALLOW_NUL, NULL);

	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	if (kind == PORT_LEARN_CONTAINER)
		learn_container(&learn, root);
	if (kind == PORT_LEARN_SERVICE)
		learn_service(&learn, root);
	json_decref(root);
	return (int)learn.n;
}
