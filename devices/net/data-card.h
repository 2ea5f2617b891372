/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data-card: serves the frames of the data card: who may speak, and which part answers.
 *
 * Source and destination are judged here once, for all protocols: frames of another MAC than the guest's, with a source that
 * is ours, loopback, multicast or unspecified (DHCP and neighbour discovery aside), VLAN tags and foreign protocols go no
 * further. Answers for the card's own addresses (ARP, NDP, RA, DHCP, echo) are built in its neighbours arp.c, ndp.c,
 * dhcp.c, echo-reply.c. Who may call it: card, by the sink; main; link.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/dns.h"
#include "devices/net/frame-sink.h"
#include "devices/net/icmp-error.h"
#include "devices/net/policy.h"
#include "devices/net/tcp.h"
#include "devices/net/udp.h"
#include "devices/net/wire.h"

struct echo;	  /* echo.h: pings to the outside through unprivileged ping sockets */
struct fragments; /* fragment.h: the guest's fragments put together */

struct data_card {
	const struct wire_ops *wire;
	void *wire_data;
	struct tcp *tcp;
	struct udp *udp;
	struct dns *dns;
	struct echo *echo;
	struct policy *policy;
	struct fragments *fragments; /* the process's one table, set by configure */
	struct icmp_error icmp;
	struct wire_caps caps;
	bool configured, ipv6, up;
	uint16_t mtu;
	struct net_addr gateway4, alias4, guest4, subnet4;
	struct net_addr gateway6, alias6, guest6, prefix6, link_local6;
	uint8_t mac[NET_MAC_LEN], guest_mac[NET_MAC_LEN];
	uint8_t n_search;
	char search[NETCTL_SEARCH_MAX][NETCTL_DOMAIN_MAX]; /* for DHCP and RA */
	uint64_t now_us, next_ra_us;
	uint64_t spoofed, own_refused; /* frames: with a source that is not the guest's; to ports of ours that serve nothing */
	uint64_t fragments_seen;
};

extern const struct frame_sink data_card_sink; /* its data is a struct data_card, whose pointers main has set */
/* Addresses, MTU; tells tcp, udp, dns and icmp. The first call of the process puts the card to work. */
void data_card_configure(struct data_card *card, const struct netctl_config *config);
void data_card_search(struct data_card *card, const struct netctl_resolvers *resolvers);
void data_card_now(struct data_card *card, uint64_t now_us);
/* Is ADDR one of the card's own? */
bool data_card_own(const struct data_card *card, const struct net_addr *addr);
/* Unsolicited router advertisements are due. */
void data_card_timers(struct data_card *card);
uint64_t data_card_deadline(const struct data_card *card);
