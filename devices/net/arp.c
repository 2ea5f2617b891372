/* SPDX-License-Identifier: Apache-2.0 */
/* arp: see the header. */
#include "devices/net/arp.h"

#include <errno.h>
#include <string.h>

int arp_answer(const struct wire_ops *wire, void *wire_data, const struct net_frame *frame,
	       const uint8_t mac[static NET_MAC_LEN], const uint8_t guest_mac[static NET_MAC_LEN])
{
	uint8_t reply[NET_ARP_FRAME_LEN] = {0};

	if (!frame->arp.request || memcmp(frame->arp.sender_mac, guest_mac, NET_MAC_LEN))
		return -EINVAL;
	net_frame_build_arp(reply, frame, mac);
	return wire_send(wire, wire_data, reply, sizeof(reply));
}
