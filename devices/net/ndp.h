/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ndp: IPv6 neighbour discovery and router advertisement of the data card (RFC 4861, 4862, 8106).
 *
 * Answers for our own addresses only, and never learns where anybody is: the guest's MAC address is fixed by the machine.
 * Who may call it: data-card.
 */
#pragma once

#include <stdint.h>

#include "devices/net/frame-sink.h"

struct data_card;

enum {
	NDP_RA_INTERVAL_US = 1800000000, /* MaxRtrAdvInterval's maximum */
	NDP_ROUTER_LIFETIME_S = 9000,	 /* AdvDefaultLifetime's */
};

/* FRAME is NET_KIND_NDP with a checked checksum. Return: 0; -ENOENT: nothing to be answered; -EAGAIN: the guest has no buffer. */
int ndp_serve(struct data_card *card, const struct card_frame *frame);
/* Sends a router advertisement to DST. Return: 0; -EAGAIN; -EMSGSIZE: the MTU is none that IPv6 allows. */
int ndp_advertise(struct data_card *card, const struct net_addr *dst);
extern const struct net_addr ndp_all_nodes;
