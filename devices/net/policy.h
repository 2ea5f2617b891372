/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy: the rules in force, their counters, and the one log line per refused flow.
 *
 * Every socket that the data card opens towards the host's world asks here first, with the address it will dial.
 * Who may call it: host-inet (TCP), udp, echo, dns; link sets the rules.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/netctl.h"
#include "proto/rules.h"

enum {
	POLICY_SEEN_MAX = 256,	   /* refused destinations that were logged lately */
	POLICY_SEEN_US = 60000000, /* and for how long they are not logged again */
	POLICY_LOG_BURST = 100,	   /* lines in ten seconds */
};

struct policy_seen {
	struct net_addr addr;
	uint16_t port;
	uint8_t proto;
	uint64_t until_us;
};

struct policy {
	struct rules rules;
	uint64_t allowed[RULES_MAX], refused[RULES_MAX];
	bool configured; /* before the first CONFIG and RULES everything is refused */
	struct policy_seen seen[POLICY_SEEN_MAX];
};

/* As rules_decide, counted; a refusal is logged (rate limited) with protocol, destination and the rule's name. */
void policy_decide(struct policy *policy, enum rules_proto proto, const struct net_addr *addr, uint16_t port,
		   struct rules_verdict *ret);
/* What settings say; the counters of rules whose name or place changed begin anew. */
void policy_set_rules(struct policy *policy, const struct netctl_rules *rules);
/* Name of the rule that refused or allowed last, for log lines and tests. */
static inline const char *policy_rule_name(const struct policy *policy, unsigned int number)
{
	return rules_name(&policy->rules, number);
}
