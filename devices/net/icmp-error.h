/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp-error: tells the guest why a packet of its went nowhere: the errno of a host socket as ICMP or ICMPv6.
 *
 * The quotation is built from the flow's key (never from guest bytes, never longer than a header and 8 bytes); the sender is
 * the gateway, so no address of the host appears. RFC 792, 1122, 4443. Rate-limited as a whole (ICMP_ERRORS_PER_SECOND).
 * Who may call it: tcp, udp, echo, data-card.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/flow.h"
#include "devices/net/wire.h"

enum { ICMP_ERRORS_PER_SECOND = 1000 };

struct icmp_error {
	const struct wire_ops *wire;
	void *wire_data;
	struct net_addr gateway4, gateway6; /* senders */
	uint8_t mac[NET_MAC_LEN], guest_mac[NET_MAC_LEN];
	uint64_t second, sent_in_second, suppressed;
};

/* What failed. */
struct icmp_subject {
	struct flow_key key;
	uint8_t ip_proto; /* 6, 17, 1 or 58 */
	uint32_t tcp_seq; /* TCP: sequence number of the SYN; echo: id << 16 | seq */
	uint16_t mtu;	  /* with EMSGSIZE: what would fit */
};

/* ERROR is a positive errno: ECONNREFUSED port unreachable, ENETUNREACH network, EHOSTUNREACH host, EACCES and EPERM
 * administratively prohibited, EMSGSIZE fragmentation needed, EPROTONOSUPPORT protocol; others host unreachable. UDP gets the
 * codes that make a Linux socket report the same error. Return: 0; -EAGAIN: no buffer or over the rate. */
int icmp_error_send(struct icmp_error *ctx, int error, const struct icmp_subject *subject, uint64_t now_us);
