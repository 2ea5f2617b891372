/* SPDX-License-Identifier: Apache-2.0 */
/* echo-reply: see the header. */
#include "devices/net/echo-reply.h"

#include <errno.h>

#include "devices/net/echo-send.h"

enum { ICMP_ECHO_REPLY = 0, ICMP6_ECHO_REPLY = 129 };

int echo_reply(const struct wire_ops *wire, void *wire_data, const struct card_frame *frame, const uint8_t mac[static NET_MAC_LEN],
	       uint16_t mtu)
{
	static uint8_t payload[UINT16_MAX];
	const struct net_frame *f = frame->frame;
	struct net_icmp_out out = {
		.v6 = f->v6, .src_mac = mac, .dst_mac = f->src_mac, .src = f->dst, .dst = f->src,
		.type = f->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHO_REPLY,
		.rest = (uint32_t)f->echo.id << 16 | f->echo.seq,
		.payload_len = f->payload_len,
	};

	if (f->payload_len > sizeof(payload) || frame_read(frame, f->payload_off, payload, f->payload_len) != f->payload_len)
		return -EMSGSIZE;
	return echo_send(wire, wire_data, &out, payload, mtu);
}
