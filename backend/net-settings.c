/* SPDX-License-Identifier: Apache-2.0 */
/* net-settings: texts of settings to the structures of proto/netctl. */
#include "backend/net-settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "proto/data-card.h"

static int refuse(const char **reason, const char *why)
{
	*reason = why;
	return -EINVAL;
}

bool net_settings_is_private(uint32_t subnet)
{
	return subnet >> 24 == 10 || subnet >> 20 == (172 << 4 | 1) || subnet >> 16 == (192 << 8 | 168);
}

int net_settings_subnet(const char *text, uint32_t *ret, const char **reason)
{
	const char *slash = strchr(text, '/');
	char host[INET_ADDRSTRLEN];
	struct in_addr addr;
	uint32_t subnet;

	if (!slash || strcmp(slash, "/24") || (size_t)(slash - text) >= sizeof(host))
		return refuse(reason, "it must be a network of length 24, like " DATA_SUBNET_DEFAULT_TEXT);
	snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	if (inet_pton(AF_INET, host, &addr) != 1)
		return refuse(reason, "it must be an IPv4 network, like " DATA_SUBNET_DEFAULT_TEXT);
	subnet = ntohl(addr.s_addr);
	if (subnet & 255)
		return refuse(reason, "the address of a network of length 24 ends in .0");
	if (!net_settings_is_private(subnet))
		return refuse(reason, "it must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
	if (subnet >> 16 == (172 << 8 | 17))
		return refuse(reason, "172.17.0.0/16 belongs to the containers of the default bridge");
	*ret = subnet;
	return 0;
}

static int parse_port(const char *text, size_t len, uint16_t *ret)
{
	char digits[8];
	uint64_t port;

	if (len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (text_parse_u64(digits, UINT16_MAX, &port) < 0 || port == 0)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

int net_settings_host_access(const char *text, struct netctl_rules *ret, const char **reason)
{
	ret->host = RULES_HOST_PORTS;
	ret->n_host_ports = 0;
	if (!strcmp(text, "all") || !strcmp(text, "none")) {
		ret->host = *text == 'a' ? RULES_HOST_ALL : RULES_HOST_NONE;
		return 0;
	}
	for (const char *at = text;;) {
		size_t len = strcspn(at, ","), dash = strcspn(at, "-,");
		struct rules_range range;

		if (parse_port(at, dash, &range.first) < 0)
			return refuse(reason, "it must be all, none, or ports from 1 to 65535 like 5432,8000-8100");
		range.last = range.first;
		if (dash < len && parse_port(at + dash + 1, len - dash - 1, &range.last) < 0)
			return refuse(reason, "it must be all, none, or ports from 1 to 65535 like 5432,8000-8100");
		if (range.last < range.first)
			return refuse(reason, "a range begins with its smaller port");
		if (ret->n_host_ports == RULES_HOST_PORTS_MAX)
			return refuse(reason, "there are at most 32 ranges");
		ret->host_ports[ret->n_host_ports++] = range;
		if (!at[len])
			return 0;
		at += len + 1;
	}
}

void net_settings_rules(const struct config *config, struct netctl_rules *ret)
{
	const char *at = config_text(config, CONFIG_NETWORK_RULES), *reason;
	char item[CONFIG_TEXT_MAX];

	*ret = (struct netctl_rules){.egress = config->value[CONFIG_EGRESS] == CONFIG_EGRESS_ALLOW};
	/* What was checked when it was set parses; should it not, the narrower reading holds. */
	if (net_settings_host_access(config_text(config, CONFIG_HOST_ACCESS), ret, &reason) < 0)
		ret->host = RULES_HOST_NONE;
	while (ret->n_user < RULES_USER_MAX && config_next(&at, item, sizeof(item)))
		if (rules_parse(&ret->user[ret->n_user], item, ret->n_user + 1u, &reason) >= 0)
			ret->n_user++;
}

void net_settings_override(const struct config *config, struct resolver_override *ret)
{
	const char *servers = config_text(config, CONFIG_DNS_SERVERS), *domains = config_text(config, CONFIG_DNS_DOMAINS), *reason;
	char item[CONFIG_TEXT_MAX];

	*ret = (struct resolver_override){0};
	while (ret->n_servers < NETCTL_RESOLVERS_MAX && config_next(&servers, item, sizeof(item)))
		if (resolver_parse_server(item, &ret->servers[ret->n_servers], &reason) >= 0)
			ret->n_servers++;
	while (ret->n_domains < NETCTL_DOMAINS_MAX && config_next(&domains, item, sizeof(item)))
		if (resolver_parse_domain(item, &ret->domains[ret->n_domains], &reason) >= 0)
			ret->n_domains++;
}

void net_settings_proxy(const struct config *config, struct proxy_settings *ret)
{
	*ret = (struct proxy_settings){
		.mode = (enum proxy_mode)config->value[CONFIG_PROXY_MODE],
		.http = config_text(config, CONFIG_PROXY_HTTP),
		.https = config_text(config, CONFIG_PROXY_HTTPS),
		.exclude = config_text(config, CONFIG_PROXY_EXCLUDE),
	};
}
