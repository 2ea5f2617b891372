/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns: the card's resolver: built-in names, the host's hosts file, then the host's resolvers; UDP and TCP.
 *
 * Theory of operation: dns.c. Who may call it: data-card (queries over UDP), host-inet (TCP connections to port 53 of the
 * gateway), link (configuration), main. Fixed tables, no allocation, never waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net/flow.h"
#include "devices/net/policy.h"
#include "proto/netctl.h"

enum { DNS_HANDLE_TAG = 2 }; /* watch handles of ours: UDP_HANDLE clear, bits 62..61 = this: see main */
#define DNS_HANDLE (1ull << 62)

struct dns;

struct dns_config {
	int watch_fd; /* borrowed */
	struct policy *policy;
	/* Sends an answer over UDP; KEY as in udp_send_local. */
	int (*answer)(void *data, const struct flow_key *key, const void *payload, size_t len);
	void *data;
};

struct dns *dns_init(const struct dns_config *config);
void dns_set_addresses(struct dns *dns, const struct net_addr *gateway4, const struct net_addr *alias4,
		       const struct net_addr *gateway6, const struct net_addr *alias6, enum netctl_dns_filter filter, bool ipv6,
		       uint16_t mtu);
/* New resolvers: the cache is emptied, queries under way are asked again. */
void dns_set_resolvers(struct dns *dns, const struct netctl_resolvers *resolvers);
void dns_set_hosts(struct dns *dns, const struct netctl_hosts *piece);
void dns_now(struct dns *dns, uint64_t now_us);
/* A query from the guest over UDP; MSG is a private copy. */
void dns_query(struct dns *dns, const struct flow_key *key, const uint8_t *msg, size_t len);
/* A TCP connection of the guest to port 53: our end FD of a stream socket pair (consumed, also on failure). Return: 0; -ENFILE. */
int dns_accept_consume(struct dns *dns, int fd);
void dns_host_event(void *dns, uint64_t handle, uint32_t events);
void dns_timers(struct dns *dns);
uint64_t dns_deadline(const struct dns *dns);
struct dns_stats { uint64_t queries, hits, failures, refused_answers; };
void dns_get_stats(const struct dns *dns, struct dns_stats *ret);
size_t dns_list(const struct dns *dns, uint32_t *cursor, struct netctl_dns_entry *ret, size_t max);
