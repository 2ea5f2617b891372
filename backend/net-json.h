/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-json: reports of the network process as JSON (docs/protocol/backend-api.md).
 *
 * Pure. Text in them (names of DNS entries) has been checked by proto/netctl. Who may call it: backend/net-query, backend/network.
 */
#pragma once

#include <jansson.h>

#include "proto/netctl.h"

/* All return a new reference, NULL when out of memory. */
json_t *net_json_addr(const struct net_addr *addr);
json_t *net_json_stats(const struct netctl_stats *stats);
json_t *net_json_rules(const struct netctl_rule_counts *counts, const struct rules *rules);
/* Adds a piece to member "port_counts" (by id) of O. */
void net_json_add_ports(json_t *o, const struct netctl_port_counts *piece);
/* Adds a piece to the list "flows" or "dns" of O. Return: false when it holds MAX. */
bool net_json_add_flows(json_t *o, const struct netctl_flows *piece, size_t max);
bool net_json_add_dns(json_t *o, const struct netctl_dns *piece, size_t max);
