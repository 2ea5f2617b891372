/* SPDX-License-Identifier: Apache-2.0 */
/* config-text: one check per key; the parsers are those of the code that will use the value. */
#include "backend/config-text.h"

#include <stdio.h>
#include <string.h>

#include "backend/net-settings.h"
#include "backend/proxy-settings.h"
#include "proto/data-card.h"

void config_text_default(char dst[static CONFIG_TEXT_MAX], enum config_key key)
{
	memset(dst, 0, CONFIG_TEXT_MAX);
	if (key == CONFIG_NETWORK_SUBNET)
		snprintf(dst, CONFIG_TEXT_MAX, "%s", DATA_SUBNET_DEFAULT_TEXT);
	if (key == CONFIG_HOST_ACCESS)
		snprintf(dst, CONFIG_TEXT_MAX, "all");
}

size_t config_text_items(enum config_key key)
{
	switch (key) {
	case CONFIG_NETWORK_RULES:
		return RULES_USER_MAX;
	case CONFIG_DNS_SERVERS:
		return NETCTL_RESOLVERS_MAX;
	case CONFIG_DNS_DOMAINS:
		return NETCTL_DOMAINS_MAX;
	default:
		return 1;
	}
}

static int check(enum config_key key, const char *text, unsigned int number, const char **reason, struct fault *why)
{
	struct netctl_rules rules;
	struct netctl_server server;
	struct netctl_domain domain;
	struct rules_user rule;
	uint32_t subnet;

	switch (key) {
	case CONFIG_NETWORK_SUBNET:
		return net_settings_subnet(text, &subnet, reason);
	case CONFIG_HOST_ACCESS:
		return net_settings_host_access(text, &rules, reason);
	case CONFIG_NETWORK_RULES:
		return rules_parse(&rule, text, number, reason);
	case CONFIG_DNS_SERVERS:
		return resolver_parse_server(text, &server, reason);
	case CONFIG_DNS_DOMAINS:
		return resolver_parse_domain(text, &domain, reason);
	case CONFIG_PROXY_HTTP:
	case CONFIG_PROXY_HTTPS:
		return *text ? proxy_settings_check_url(text, why) : 0;
	case CONFIG_PROXY_EXCLUDE:
		return *text ? proxy_settings_check_exclude(text, why) : 0;
	default:
		return -EINVAL;
	}
}

/* Some parsers give a clause, some a sentence. */
static size_t len_of(const char *reason)
{
	size_t len = strlen(reason);

	return len && reason[len - 1] == '.' ? len - 1 : len;
}

int config_text_check(enum config_key key, const char *text, size_t len, unsigned int number, struct fault *fault)
{
	const struct config_spec *spec = &config_specs[key];
	const char *reason = "it is not understood";
	struct fault why = FAULT_INIT;
	int r = 0;

	if (strlen(text) != len)
		r = -EINVAL;
	for (const char *p = text; *p && r == 0; p++)
		if (*p < ' ' || *p > '~')
			r = -EINVAL;
	if (r < 0)
		reason = "only printable ASCII characters can stand here";
	else
		r = check(key, text, number, &reason, &why);
	if (r >= 0)
		return 0;
	/* The value of a secret setting is never repeated: this sentence may go to a log. */
	if (why.code)
		fault_set(fault, CONFIG_E_VALUE, "%s: %.400s", spec->key, why.text);
	else if (spec->secret)
		fault_set(fault, CONFIG_E_VALUE, "%s: %.*s.", spec->key, (int)len_of(reason), reason);
	else
		fault_set(fault, CONFIG_E_VALUE, "%s: \"%.100s\": %.*s.", spec->key, text, (int)len_of(reason), reason);
	return CONFIG_E_VALUE;
}

const char *config_text_mask(char *dst, size_t size, const char *url)
{
	/* The first colon decides: one within a password is no end of a scheme. */
	const char *first = strchr(url, ':'), *start = first && !strncmp(first, "://", 3) ? first + 3 : url;
	/* The last @ of all, not of the authority alone: a password with an unescaped / must not slip through. */
	const char *at = strrchr(start, '@'), *colon = at ? memchr(start, ':', (size_t)(at - start)) : NULL;

	if (colon)
		snprintf(dst, size, "%.*s:***%s", (int)(colon - url), url, at);
	else if (at) /* a user alone may be a token */
		snprintf(dst, size, "%.*s***%s", (int)(start - url), url, at);
	else
		snprintf(dst, size, "%s", url);
	return dst;
}
