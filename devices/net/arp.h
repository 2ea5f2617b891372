/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arp: answers ARP requests and ICMP echo requests for the one address that is ours.
 *
 * Replies are built in zeroed fixed buffers from what was captured, never longer than the request. Keeps no
 * neighbour state: the guest's MAC address is fixed by the machine. Who may call it: card.
 */
#pragma once

#include "devices/net/wire.h"
#include "proto/net-frame.h"

struct tcp;

enum { ARP_ECHO_MAX = NET_ETH_LEN + 1500 }; /* longer echo requests are dropped */

/* Return: 0; -EAGAIN: the guest has no buffer; -EINVAL: not for us, nothing sent. */
int arp_answer(const struct tcp *tcp, const struct net_frame *frame);
/* PACKET holds all LEN bytes of FRAME's frame and is overwritten. Return: as arp_answer. */
int arp_echo(const struct tcp *tcp, const struct net_frame *frame, uint8_t *packet, size_t len);
