/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl: the links to the outside: what the backend tells (proxyctl), and the connections that the network process hands over.
 *
 * Connections are taken only once network, rules, host addresses and settings are known; until then they wait in the link's socket.
 * A frame that breaks the codec's rules, or the backend's end, ends the process. Who may call it: devices/proxy/main.
 */
#pragma once

#include "devices/proxy/proxy.h"

struct ctl {
	struct proxy *proxy;
	int ctl_fd, link_fd;
	struct loop_source *ctl, *link; /* link: NULL until all is known, or when it has ended */
	bool has_config, has_rules, has_hosts, has_settings, has_resolvers;
	struct netctl_config config;
	struct netctl_rules rules;
	struct netctl_resolvers resolvers;
};

/* Both descriptors are borrowed. Return: 0 or -errno. */
int ctl_start(struct ctl *ctl, struct proxy *proxy, int ctl_fd, int link_fd);
int ctl_ready(struct ctl *ctl);
/* Built from what NET tells: the rules as rules_decide wants them. RULES keeps its host addresses. */
void ctl_make_rules(const struct netctl_config *config, const struct netctl_rules *told, struct rules *rules);
