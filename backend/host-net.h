/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-net: the host's own addresses and routes, followed by rtnetlink.
 *
 * Changes are gathered for a moment, then all is read anew; nothing wakes up while nothing changes. Changes nothing.
 * Who may call it: backend/network.
 */
#pragma once

#include "backend/subnet.h"
#include "base/loop.h"
#include "proto/rules.h"

enum { HOST_ROUTES_MAX = 1024 };

struct host_net_state {
	uint16_t n_addrs;
	uint16_t n_routes;
	bool cut; /* there were more */
	struct net_addr addrs[RULES_HOST_ADDRS_MAX]; /* without loopback and IPv6 link-local */
	struct subnet_route routes[HOST_ROUTES_MAX]; /* IPv4, without default routes */
};

/* Reads everything once. Return: 0; -errno with what could be read in RET. */
int host_net_read(struct host_net_state *ret);

struct host_net;
struct host_net_hooks {
	void (*changed)(void *data, const struct host_net_state *state);
	void *data;
};
/* Reads everything, then follows. Return: 0 or -errno. */
int host_net_new(struct loop *loop, const struct host_net_hooks *hooks, struct host_net **ret);
const struct host_net_state *host_net_state(const struct host_net *net);
struct host_net *host_net_free(struct host_net *net);
