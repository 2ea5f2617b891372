/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-settings: the settings of the network as the network process wants them.
 *
 * Parsers for the texts (used when a value is set, and again when it is applied) and builders. No I/O. Who may call it:
 * backend/config-text, backend/network.
 */
#pragma once

#include "backend/config.h"
#include "backend/proxy-settings.h"
#include "backend/resolver.h"
#include "proto/netctl.h"

/* Both parsers return 0, or -EINVAL with *REASON: a static clause without full stop. */
/* "192.168.65.0/24": a private /24. */
int net_settings_subnet(const char *text, uint32_t *ret, const char **reason);
bool net_settings_is_private(uint32_t subnet);
/* "all", "none", "5432,8000-8100": fills the host part of RET, whose other members stay. */
int net_settings_host_access(const char *text, struct netctl_rules *ret, const char **reason);
void net_settings_rules(const struct config *config, struct netctl_rules *ret);
void net_settings_override(const struct config *config, struct resolver_override *ret);
/* Borrows texts of CONFIG. */
void net_settings_proxy(const struct config *config, struct proxy_settings *ret);
