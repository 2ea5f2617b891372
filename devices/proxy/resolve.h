/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve: names to addresses, by the host's hosts file and the host's resolvers, as the backend tells them.
 *
 * c-ares does the asking: it checks that an answer comes from the server asked and answers the question asked. Nothing is read from
 * files here; the resolvers a domain belongs to are asked and no others, and only those the rules allow. Nothing is remembered.
 * Who may call it: devices/proxy. resolve_new must come before the jail: c-ares seeds its random numbers then.
 */
#pragma once

#include "base/loop.h"
#include "proto/netctl.h"

/* Lookups that run, those included whose asker has gone: c-ares cannot forget one. */
enum { RESOLVE_ADDRS_MAX = 16, RESOLVE_LOOKUPS_MAX = 1024 };

struct resolve;
struct lookup;

/* R: 0 with N > 0 addresses; -ENOENT: there is no such name, or it has no address; -ETIMEDOUT: no resolver answered; -ENETUNREACH:
 * there is no resolver to ask; -EIO: another failure. The lookup is gone after the call. */
typedef void (*lookup_fn)(void *data, int r, const struct net_addr *addrs, size_t n);

int resolve_new(struct loop *loop, struct resolve **ret);
struct resolve *resolve_free(struct resolve *r);
/* Running questions are asked again of the new servers. */
void resolve_servers(struct resolve *r, const struct netctl_resolvers *resolvers, const struct rules *rules,
		     enum netctl_dns_filter filter);
void resolve_hosts(struct resolve *r, const struct netctl_hosts *piece);
/* NAME without trailing dot. Return: 1: known at once, ADDRS and *RET_N are set; 0: FN comes later, *RET_LOOKUP until then;
 * -errno as for R above; -EBUSY: RESOLVE_LOOKUPS_MAX are under way. */
int resolve_start(struct resolve *r, const char *name, lookup_fn fn, void *data, struct net_addr addrs[static RESOLVE_ADDRS_MAX],
		  size_t *ret_n, struct lookup **ret_lookup);
/* FN will not come. NULL allowed. Return: NULL. */
struct lookup *lookup_cancel(struct lookup *lookup);
