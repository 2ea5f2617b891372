/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo: pings of the guest to the outside, through unprivileged ping sockets (IPPROTO_ICMP datagram sockets, ping(7)).
 *
 * Where the host forbids them (net.ipv4.ping_group_range) pings get an administratively-prohibited answer and one log
 * line says why. A reply is built anew from the payload; nothing of the host's packet reaches the guest but the payload
 * it sent itself. Who may call it: data-card, main.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net/frame-sink.h"
#include "devices/net/icmp-error.h"
#include "devices/net/policy.h"
#include "devices/net/wire.h"

enum {
	ECHO_FLOWS_MAX = 1024, /* one for each identifier and destination; a full table gives up its oldest */
	ECHO_IDLE_US = 30000000,
	ECHO_BATCH = 64, /* replies of one flow before others get their turn */
};
#define ECHO_HANDLE (1ull << 61)

struct echo_config {
	const struct wire_ops *wire;
	void *wire_data;
	int watch_fd; /* borrowed */
	struct policy *policy;
	struct icmp_error *icmp;
	uint8_t mac[NET_MAC_LEN], guest_mac[NET_MAC_LEN];
	uint64_t hash_key[2];
};
/* The process's one table. */
struct echo *echo_init(const struct echo_config *config);
void echo_set_mtu(struct echo *echo, uint16_t mtu);
/* An echo request (v4 or v6) that the card itself does not answer. */
void echo_request(struct echo *echo, const struct card_frame *frame, uint64_t now_us);
/* Watch callback, HANDLE has ECHO_HANDLE set. */
void echo_host_event(void *echo, uint64_t handle, uint32_t events);
void echo_timers(struct echo *echo, uint64_t now_us);
uint64_t echo_deadline(const struct echo *echo);
struct netctl_flow;
size_t echo_list(const struct echo *echo, uint32_t *cursor, struct netctl_flow *ret, size_t max);
void echo_count(const struct echo *echo, uint64_t *ret_now, uint64_t *ret_total);
