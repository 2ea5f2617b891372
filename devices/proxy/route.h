/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route: which way a target is reached: directly, through the user's proxy, or not at all.
 *
 * Order: the built-in names and addresses of the VM's own network and the host never go to another proxy; then the exclusions; then
 * the settings. A route that needs addresses is decided again by route_judge when they are known. No I/O.
 * Who may call it: devices/proxy.
 */
#pragma once

#include "devices/proxy/target.h"

enum route_kind { ROUTE_DIRECT, ROUTE_UPSTREAM, ROUTE_REFUSED };
enum { ROUTE_ADDRS_MAX = 8, ROUTE_WHY_MAX = PROXYCTL_HOST_MAX + 32 };

struct route {
	enum route_kind kind;
	unsigned int rule; /* ROUTE_REFUSED */
	bool lookup;	   /* the target's name must be resolved, then route_judge */
	bool lookup_needed; /* a name that cannot be resolved is an error; else it is the upstream's affair */
	bool looked_up;	   /* conn's: that was done */
	size_t n_addrs;
	struct net_addr addr[ROUTE_ADDRS_MAX]; /* to dial, allowed */
	struct proxyctl_upstream upstream;     /* ROUTE_UPSTREAM: a copy, settings may change meanwhile */
	char why[ROUTE_WHY_MAX];	       /* of a direct route: the source of the settings, or the exclusion */
};

/* SETTINGS and RULES are as last told. */
void route_decide(const struct proxyctl_settings *settings, const struct rules *rules, const struct target *target,
		  struct route *ret);
/* The addresses of the target's name; N 0: it has none that could be found out. Fills addr, or refuses. */
void route_judge(const struct rules *rules, const struct target *target, const struct net_addr *addrs, size_t n,
		struct route *route);
/* One of the N addresses of an upstream is this computer's. */
bool route_is_here(const struct rules *rules, const struct net_addr *addrs, size_t n, uint16_t port);
/* TARGET is on the list. Return: the exclusion, NULL. */
const struct proxyctl_exclude *route_excluded(const struct proxyctl_settings *settings, const struct target *target);
