/* SPDX-License-Identifier: Apache-2.0 */
/* args: see args.h. Options are as Go's flag package takes them: one dash or two, a value behind '=' or in the next word. */
#include "guest/port-proxy/args.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "proto/agent.h"

enum option {
	OPT_PROTO, OPT_HOST_IP, OPT_HOST_PORT, OPT_CONTAINER_IP, OPT_CONTAINER_PORT, OPT_HOLD, OPT_UNHOLD, OPT_UNHOLD_ALL, OPT_MAX,
};

static const struct {
	const char *name;
	bool value;
} options[OPT_MAX] = {
	[OPT_PROTO] = {"proto", true},
	[OPT_HOST_IP] = {"host-ip", true},
	[OPT_HOST_PORT] = {"host-port", true},
	[OPT_CONTAINER_IP] = {"container-ip", true},
	[OPT_CONTAINER_PORT] = {"container-port", true},
	[OPT_HOLD] = {"hold", false},
	[OPT_UNHOLD] = {"unhold", false},
	[OPT_UNHOLD_ALL] = {"unhold-all", false},
};
static const char *const protocols[] = {[ARGS_TCP] = "tcp", [ARGS_UDP] = "udp", [ARGS_SCTP] = "sctp"};

static int parse_addr(const char *text, struct net_addr *ret)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		*ret = net_addr4(ntohl(v4.s_addr));
	else if (inet_pton(AF_INET6, text, ret->byte) != 1)
		return -EINVAL;
	return 0;
}

static int parse_port(const char *text, uint16_t *ret)
{
	uint64_t v;

	if (text_parse_u64(text, UINT16_MAX, &v) || v == 0)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

static int take(struct args *args, enum option option, const char *value)
{
	switch (option) {
	case OPT_PROTO:
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
			if (!strcmp(value, protocols[i])) {
				args->protocol = (enum args_protocol)i;
				return 0;
			}
		return -EINVAL;
	case OPT_HOST_IP:
		return parse_addr(value, &args->host);
	case OPT_HOST_PORT:
		return parse_port(value, &args->host_port);
	case OPT_CONTAINER_IP:
		return parse_addr(value, &args->target);
	case OPT_CONTAINER_PORT:
		return parse_port(value, &args->target_port);
	case OPT_HOLD:
		args->mode = ARGS_HOLD;
		return 0;
	case OPT_UNHOLD:
		args->mode = ARGS_UNHOLD;
		return 0;
	default:
		args->mode = ARGS_UNHOLD_ALL;
		return 0;
	}
}

/* Return: option, with the text behind '=' or NULL in *VALUE; -EINVAL. */
static int find(const char *word, const char **value)
{
	const char *name = word + (word[0] == '-') + (word[0] == '-' && word[1] == '-');
	size_t len = strcspn(name, "=");

	if (word[0] != '-')
		return -EINVAL;
	*value = name[len] ? name + len + 1 : NULL;
	for (int i = 0; i < OPT_MAX; i++)
		if (strlen(options[i].name) == len && !memcmp(options[i].name, name, len))
			return i;
	return -EINVAL;
}

int args_parse(struct args *ret, int argc, char *const argv[])
{
	static const unsigned int wanted[] = {
		[ARGS_PROXY] = 1 << OPT_PROTO | 1 << OPT_HOST_IP | 1 << OPT_HOST_PORT | 1 << OPT_CONTAINER_IP |
			       1 << OPT_CONTAINER_PORT,
		[ARGS_HOLD] = 1 << OPT_HOLD | 1 << OPT_PROTO | 1 << OPT_HOST_PORT,
		[ARGS_UNHOLD] = 1 << OPT_UNHOLD | 1 << OPT_PROTO | 1 << OPT_HOST_PORT,
		[ARGS_UNHOLD_ALL] = 1 << OPT_UNHOLD_ALL,
	};
	struct args args = {.mode = ARGS_PROXY};
	unsigned int seen = 0;

	for (int i = 1; i < argc; i++) {
		const char *value = NULL;
		int option = find(argv[i], &value);

		if (option < 0 || seen & 1u << option || (!options[option].value && value))
			return -EINVAL;
		if (options[option].value && !value) {
			if (++i >= argc)
				return -EINVAL;
			value = argv[i];
		}
		seen |= 1u << option;
		if (take(&args, (enum option)option, value) < 0)
			return -EINVAL;
	}
	if (seen != wanted[args.mode])
		return -EINVAL;
	*ret = args;
	return 0;
}

void args_endpoint(const struct args *args, char *dst, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	bool v4 = net_addr_is_v4(&args->host);

	inet_ntop(v4 ? AF_INET : AF_INET6, args->host.byte + (v4 ? 12 : 0), text, sizeof(text));
	snprintf(dst, size, v4 ? "%s:%u" : "[%s]:%u", text, args->host_port);
}

void args_words(const struct args *args, uint32_t status, char dst[static ARGS_WORDS_MAX])
{
	static const char *const why[AGENT_PORT_STATUS_MAX] = {
		[AGENT_PORT_IN_USE] = "bind: address already in use",
		[AGENT_PORT_DENIED] = "bind: operation not permitted (no request on the host asked for this port)",
		[AGENT_PORT_NO_PRIVILEGE] = "bind: permission denied (ports below 1024 need the privileged helper: see "
					    "caisson help ports, or set net.ipv4.ip_unprivileged_port_start)",
		[AGENT_PORT_ADDRESS] = "bind: cannot assign requested address",
		[AGENT_PORT_LIMIT] = "bind: too many published ports",
		[AGENT_PORT_UNSUPPORTED] = "bind: protocol not supported",
		[AGENT_PORT_UNAVAILABLE] = "bind: the host does not answer",
	};
	bool v4 = net_addr_is_v4(&args->host);
	char endpoint[INET6_ADDRSTRLEN + 10];

	args_endpoint(args, endpoint, sizeof(endpoint));
	snprintf(dst, ARGS_WORDS_MAX, "listen %s%s %s: %s", protocols[args->protocol],
		 args->protocol == ARGS_SCTP ? "" : v4 ? "4" : "6", endpoint,
		 status < AGENT_PORT_STATUS_MAX && why[status] ? why[status] : "bind: refused");
}
