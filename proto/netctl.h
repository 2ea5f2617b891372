/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netctl: frames between the backend and the network process of the data card.
 *
 * Carrier: Unix seqpacket; the machine makes a pair at each start of the process, gives it one end (descriptor 5) and the
 * backend the other (MACHINE_NET_LINK). Frame: 8-byte header (type u16, version u16, body length u32, little-endian) and a
 * body; descriptors beside it, their number fixed by the table. Each of the first six messages replaces all that
 * was told before. The process serves nothing before its first CONFIG and RULES. Either side ends the connection at the first frame
 * that breaks a rule; a configured process without a backend closes its published ports and ends, the machine starts a fresh one.
 * Pure codec: no I/O, no allocation. Page: docs/protocol/netctl.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/netctl-report.h"
#include "proto/netctl-types.h"

enum { NETCTL_VERSION = 1, NETCTL_HEADER_SIZE = 8, NETCTL_FRAME_MAX = 16384 };

enum netctl_type {
	/* backend to net */
	NETCTL_CONFIG = 1,
	NETCTL_RULES = 2,
	NETCTL_HOST_ADDRS = 3,
	NETCTL_RESOLVERS = 4,
	NETCTL_HOSTS = 5,      /* one piece of the host's hosts file */
	NETCTL_GUEST_NETS = 6, /* subnets of the VM's bridges */
	NETCTL_PORT_ADD = 7,   /* 1 descriptor: TCP listener or bound UDP socket */
	NETCTL_PORT_REMOVE = 8,
	NETCTL_PROXY = 9,      /* 1 descriptor: seqpacket to the proxy process */
	NETCTL_CAPTURE = 10,   /* 1 descriptor: stream to write a capture to (pcap) */
	NETCTL_CAPTURE_STOP = 11,
	NETCTL_GET = 12,
	/* net to backend */
	NETCTL_READY = 32,
	NETCTL_STATS = 33,
	NETCTL_FLOWS = 34,
	NETCTL_RULE_COUNTS = 35,
	NETCTL_PORT_COUNTS = 36,
	NETCTL_DNS_CACHE = 37,
	NETCTL_CAPTURE_END = 38,
	NETCTL_TYPE_MAX = 39,
};

struct netctl_message {
	enum netctl_type type;
	union {
		struct netctl_config config;
		struct netctl_rules rules;
		struct { uint16_t n; struct net_addr addr[RULES_HOST_ADDRS_MAX]; } host_addrs;
		struct netctl_resolvers resolvers;
		struct netctl_hosts hosts;
		struct { uint16_t n; struct netctl_net net[NETCTL_NETS_MAX]; } guest_nets;
		struct netctl_port port;
		struct { uint32_t id; } port_remove;
		struct netctl_capture capture;
		struct netctl_get get;
		struct { uint32_t version; } ready;
		struct netctl_stats stats;
		struct netctl_flows flows;
		struct netctl_rule_counts rule_counts;
		struct netctl_port_counts port_counts;
		struct netctl_dns dns;
		struct { enum netctl_capture_end why; uint64_t bytes, drops; } capture_end;
	};
};

/* NAME is what a frame to the process may carry: 1 to 253 characters a-z, 0-9, '-', '_', labels of 1 to 63 between dots. */
bool netctl_name_ok(const char *name);

enum netctl_direction { NETCTL_TO_NET, NETCTL_TO_BACKEND };
/* Arrays travel with their true length. Return: frame length; -EINVAL; -EMSGSIZE. */
int netctl_encode(const struct netctl_message *message, uint8_t dst[static NETCTL_FRAME_MAX]);
/* N_FDS is the number of descriptors that came with it. Every name, count, enumeration, prefix and flag is checked. Return: 0;
 * -EBADMSG. */
int netctl_decode(struct netctl_message *ret, enum netctl_direction direction, const uint8_t *src, size_t len, size_t n_fds);
