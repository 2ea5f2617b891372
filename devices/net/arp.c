/* SPDX-License-Identifier: Apache-2.0 */
/* arp: see the header. */
#include "devices/net/arp.h"

#include <errno.h>
#include <string.h>

#include "devices/net/tcp.h"

static int send_frame(const struct tcp *tcp, const uint8_t *data, size_t len)
{
	struct net_vnet vnet = {0};
	struct wire_room room;
	int r;

	if (!tcp->up)
		return -EAGAIN;
	r = tcp->wire->reserve(tcp->wire_data, len, &room);
	if (r < 0)
		return r;
	if (room.capacity < NET_VNET_LEN + len) {
		tcp->wire->cancel(tcp->wire_data, &room);
		return -EAGAIN;
	}
	tcp->wire->commit(tcp->wire_data, &room, &vnet, data, len, 0);
	return 0;
}

int arp_answer(const struct tcp *tcp, const struct net_frame *frame)
{
	uint8_t reply[NET_ARP_FRAME_LEN] = {0};
	struct net_addr none = net_addr4(0);

	if (!frame->arp.request || !net_addr_equal(&frame->arp.target, &tcp->address))
		return -EINVAL;
	/* The guest asks as itself, or as nobody yet (probe, RFC 5227); whoever speaks as us is not answered. */
	if (!net_addr_equal(&frame->arp.sender, &tcp->guest_address) && !net_addr_equal(&frame->arp.sender, &none))
		return -EINVAL;
	if (memcmp(frame->arp.sender_mac, tcp->guest_mac, NET_MAC_LEN))
		return -EINVAL;
	net_frame_build_arp(reply, frame, tcp->mac);
	return send_frame(tcp, reply, sizeof(reply));
}

int arp_echo(const struct tcp *tcp, const struct net_frame *frame, uint8_t *packet, size_t len)
{
	return send_frame(tcp, packet, net_frame_build_echo(packet, len, frame, tcp->mac));
}
