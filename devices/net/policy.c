/* SPDX-License-Identifier: Apache-2.0 */
/* policy: see the header. */
#include "devices/net/policy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/loop.h"

/* ADDR as people write it, IPv6 in brackets. */
static void format_address(char dst[static INET6_ADDRSTRLEN + 2], const struct net_addr *addr)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool v4 = net_addr_is_v4(addr);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr->byte + 12 : addr->byte, text, sizeof(text));
	snprintf(dst, INET6_ADDRSTRLEN + 2, v4 ? "%s" : "[%s]", text);
}

/* Was this destination logged lately? Remembers it when not. A guest that goes through many destinations meets the rate
 * limit of the line instead. */
static bool seen(struct policy *policy, enum rules_proto proto, const struct net_addr *addr, uint16_t port)
{
	uint64_t now_us = loop_now_us();
	uint32_t hash = port * 31u + proto;
	struct policy_seen *entry;

	for (size_t i = 0; i < sizeof(addr->byte); i++)
		hash = hash * 31 + addr->byte[i];
	entry = &policy->seen[(hash ^ hash >> 16) % POLICY_SEEN_MAX];
	if (entry->until_us > now_us && entry->proto == proto && entry->port == port && net_addr_equal(&entry->addr, addr))
		return true;
	*entry = (struct policy_seen){*addr, port, (uint8_t)proto, now_us + POLICY_SEEN_US};
	return false;
}

static void log_refusal(struct policy *policy, enum rules_proto proto, const struct net_addr *addr, uint16_t port,
			unsigned int rule)
{
	static struct log_ratelimit limit;
	char text[INET6_ADDRSTRLEN + 2];

	if (seen(policy, proto, addr, port) || !log_ratelimit_pass(&limit, POLICY_LOG_BURST))
		return;
	format_address(text, addr);
	if (proto == RULES_ECHO)
		log_info("refused icmp to %s by rule %s", text, rules_name(&policy->rules, rule));
	else
		log_info("refused %s to %s:%u by rule %s", proto == RULES_TCP ? "tcp" : "udp", text, port,
			 rules_name(&policy->rules, rule));
}

void policy_decide(struct policy *policy, enum rules_proto proto, const struct net_addr *addr, uint16_t port,
		   struct rules_verdict *ret)
{
	if (!policy->configured) {
		*ret = (struct rules_verdict){.rule = RULE_EGRESS, .dial = *addr};
		policy->refused[RULE_EGRESS]++;
		return;
	}
	rules_decide(&policy->rules, proto, addr, port, ret);
	if (ret->allow) {
		policy->allowed[ret->rule]++;
		return;
	}
	policy->refused[ret->rule]++;
	log_refusal(policy, proto, addr, port, ret->rule);
}

void policy_set_rules(struct policy *policy, const struct netctl_rules *rules)
{
	struct rules *own = &policy->rules;

	for (size_t i = 0; i < RULES_USER_MAX; i++) {
		bool same = i < own->n_user && i < rules->n_user && !strcmp(own->user[i].name, rules->user[i].name);

		if (same)
			continue;
		policy->allowed[RULES_USER + i] = 0;
		policy->refused[RULES_USER + i] = 0;
	}
	own->host = rules->host;
	own->n_host_ports = rules->n_host_ports;
	memcpy(own->host_ports, rules->host_ports, sizeof(own->host_ports));
	own->egress = rules->egress;
	own->n_user = rules->n_user;
	memcpy(own->user, rules->user, sizeof(own->user));
	memset(policy->seen, 0, sizeof(policy->seen));
}
