/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy: what all connections of the process share: settings, rules, resolver, counters.
 *
 * Written by ctl (frames of the backend), read by conn. Who may call it: devices/proxy.
 */
#pragma once

#include "base/loop.h"
#include "base/relay.h"
#include "devices/proxy/resolve.h"
#include "proto/proxyctl.h"

enum { PROXY_CONNS_MAX = 512 };

struct conn;

struct proxy {
	struct loop *loop;
	struct resolve *resolve;
	struct relay_pool *pool;
	struct proxyctl_settings settings;
	struct rules rules;
	struct proxyctl_stats stats;
	struct conn *conns; /* all of them */
	uint32_t conns_max; /* what the limit of open files allows, PROXY_CONNS_MAX at most */
};
