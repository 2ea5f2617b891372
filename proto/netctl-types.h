/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netctl-types: bodies of the frames that the backend sends to the network process; included by netctl.h, whose page says
 * who may call what. Types only. Arrays hold N valid entries; names are terminated, lower case, without trailing dot.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/rules.h"

enum netctl_dns_filter { NETCTL_DNS_ALL, NETCTL_DNS_NO_A, NETCTL_DNS_NO_AAAA, NETCTL_DNS_FILTER_MAX };

enum {
	NETCTL_RESOLVERS_MAX = 8, /* of one scope */
	NETCTL_DOMAINS_MAX = 16,
	NETCTL_SEARCH_MAX = 8,
	NETCTL_DOMAIN_MAX = 256, /* with NUL, no trailing dot, lower case */
	NETCTL_DOMAIN_SERVERS_MAX = 4,
	NETCTL_HOSTS_PIECE_MAX = 48, /* entries of one piece */
	NETCTL_HOSTS_MAX = 2048,     /* entries in all; what follows is ignored by the backend and said in its log */
	NETCTL_NETS_MAX = 256,
	NETCTL_PORTS_MAX = 4096,
	NETCTL_FLOWS_PIECE_MAX = 128,
	NETCTL_PORTS_PIECE_MAX = 256,
	NETCTL_DNS_PIECE_MAX = 32,
};

struct netctl_config {
	uint32_t subnet; /* network address of the /24, host order; private */
	uint16_t mtu;
	bool ipv6;
	enum netctl_dns_filter dns_filter;
	uint64_t hash_key[2]; /* random, kept by the backend so that it outlives the process */
};
struct netctl_rules { /* the part of struct rules that settings decide */
	enum rules_host host;
	uint8_t n_host_ports;
	struct rules_range host_ports[RULES_HOST_PORTS_MAX];
	bool egress;
	uint16_t n_user;
	struct rules_user user[RULES_USER_MAX];
};
struct netctl_server { struct net_addr addr; uint16_t port; };
struct netctl_domain {
	char name[NETCTL_DOMAIN_MAX];
	uint8_t n_servers;
	struct netctl_server servers[NETCTL_DOMAIN_SERVERS_MAX];
};
struct netctl_resolvers {
	uint8_t n_servers, n_domains, n_search;
	struct netctl_server servers[NETCTL_RESOLVERS_MAX];
	struct netctl_domain domains[NETCTL_DOMAINS_MAX]; /* most specific wins */
	char search[NETCTL_SEARCH_MAX][NETCTL_DOMAIN_MAX];
};
struct netctl_hosts {
	bool first, last; /* pieces: the first one empties the table being built, the last one puts it in force */
	uint8_t n;
	struct { struct net_addr addr; char name[NETCTL_DOMAIN_MAX]; } entry[NETCTL_HOSTS_PIECE_MAX];
};
struct netctl_net { struct net_addr addr; uint8_t prefix_len; /* of 128 */ };
struct netctl_port {
	uint32_t id; /* the backend's, not 0 */
	bool udp;
	struct net_addr target; /* in the VM: a container's address, or the guest's own */
	uint16_t target_port;
	struct net_addr bound; /* what the descriptor is bound to: for counters and log lines */
	uint16_t bound_port;
};
enum netctl_what { NETCTL_GET_STATS = 1, NETCTL_GET_FLOWS, NETCTL_GET_RULES, NETCTL_GET_PORTS, NETCTL_GET_DNS, NETCTL_GET_MAX };
struct netctl_get { enum netctl_what what; uint32_t cursor; /* 0: from the start */ };
enum { NETCTL_SNAP_MIN = 64, NETCTL_SNAP_MAX = 65549 }; /* bytes of a frame from the Ethernet header on */
struct netctl_capture { uint32_t snap_len; uint64_t max_bytes; uint32_t max_ms; /* 0: no limit of time */ };
