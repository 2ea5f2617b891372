/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netctl-report: bodies of the frames that the network process sends to the backend; included by netctl.h, whose page says
 * who may call what. Types only. The process may be taken over: the codec checks what it can, the reader trusts nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/netctl-types.h"

struct netctl_stats {
	uint64_t tcp_now, tcp_max, tcp_total, tcp_refused, udp_now, udp_max, udp_total, udp_refused, echo_now, echo_total;
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* rx: to the guest */
	uint64_t drops, retransmits, bad_frames, ignored, rule_refused, fragments;
	uint64_t dns_queries, dns_hits, dns_failures, dns_refused_answers;
	uint64_t rx_queue_size, rx_queue_free, tx_queue_size, rx_starved, kicks, calls;
	uint64_t uptime_us, capture_bytes, capture_drops;
};
struct netctl_flow {
	uint8_t proto; /* RULES_TCP, RULES_UDP, RULES_ECHO */
	uint8_t state; /* enum flow_state for TCP, 0 otherwise */
	bool inbound;
	struct net_addr guest, host; /* as the guest sees them */
	uint16_t guest_port, host_port;
	uint64_t rx_bytes, tx_bytes; /* rx: to the guest */
	uint32_t idle_ms;
};
/* Pieces: NEXT is the cursor of the next GET, 0: that was the last. */
struct netctl_flows { uint32_t next; uint16_t n; struct netctl_flow flow[NETCTL_FLOWS_PIECE_MAX]; };
struct netctl_rule_counts { uint16_t n; uint64_t allowed[RULES_MAX], refused[RULES_MAX]; };
struct netctl_port_count { uint32_t id; uint64_t connections, rx_bytes, tx_bytes, now, refused; };
struct netctl_port_counts { uint32_t next; uint16_t n; struct netctl_port_count port[NETCTL_PORTS_PIECE_MAX]; };
struct netctl_dns_entry { char name[NETCTL_DOMAIN_MAX]; /* printable ASCII without space */
	uint16_t type; uint8_t rcode; uint16_t answers; uint32_t ttl_s, hits; };
struct netctl_dns { uint32_t next; uint16_t n; struct netctl_dns_entry entry[NETCTL_DNS_PIECE_MAX]; };
enum netctl_capture_end { NETCTL_CAPTURE_LIMIT = 1, NETCTL_CAPTURE_TIME, NETCTL_CAPTURE_CLOSED, NETCTL_CAPTURE_STOPPED };
