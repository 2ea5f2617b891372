/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arp: the answer to an ARP request that the caller found to be for one of our addresses.
 *
 * Keeps no neighbour state: the guest's MAC address is fixed by the machine. Who may call it: control-card, data-card.
 */
#pragma once

#include "devices/net/wire.h"
#include "proto/net-frame.h"

/* Answers for MAC. Return: 0; -EAGAIN: the guest has no buffer; -EINVAL: no request, or not in the name of GUEST_MAC. */
int arp_answer(const struct wire_ops *wire, void *wire_data, const struct net_frame *frame,
	       const uint8_t mac[static NET_MAC_LEN], const uint8_t guest_mac[static NET_MAC_LEN]);
