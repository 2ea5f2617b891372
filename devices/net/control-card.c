/* SPDX-License-Identifier: Apache-2.0 */
/* control-card: see the header. */
#include "devices/net/control-card.h"

#include <errno.h>
#include <string.h>

#include "devices/net/arp.h"
#include "devices/net/echo-reply.h"

/* The frame comes from the guest's own addresses and goes to ours (NET-09). */
static bool addressed(const struct tcp *tcp, const struct net_frame *frame)
{
	static const uint8_t everybody[NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (memcmp(frame->src_mac, tcp->guest_mac, NET_MAC_LEN))
		return false;
	if (frame->kind == NET_KIND_ARP && !memcmp(frame->dst_mac, everybody, NET_MAC_LEN))
		return true;
	if (memcmp(frame->dst_mac, tcp->mac, NET_MAC_LEN))
		return false;
	return frame->kind == NET_KIND_ARP ||
	       (net_addr_equal(&frame->src, &tcp->guest_address) && net_addr_equal(&frame->dst, &tcp->address));
}

static int answer_arp(const struct tcp *tcp, const struct net_frame *frame)
{
	struct net_addr none = net_addr4(0);

	if (!net_addr_equal(&frame->arp.target, &tcp->address))
		return -ENOENT;
	/* The guest asks as itself, or as nobody yet (probe, RFC 5227); whoever speaks as us is not answered. */
	if (!net_addr_equal(&frame->arp.sender, &tcp->guest_address) && !net_addr_equal(&frame->arp.sender, &none))
		return -ENOENT;
	if (!tcp->up || arp_answer(tcp->wire, tcp->wire_data, frame, tcp->mac, tcp->guest_mac) < 0)
		return -ENOENT;
	return 0;
}

static int take(void *data, const struct card_frame *card_frame)
{
	struct control_card *card = data;
	const struct net_frame *frame = card_frame->frame;
	struct tcp *tcp = card->tcp;
	struct wire_payload payload;

	if (!addressed(tcp, frame))
		return -ENOENT;
	if (frame->kind == NET_KIND_ARP)
		return answer_arp(tcp, frame);
	if (frame->kind != NET_KIND_TCP && frame->kind != NET_KIND_ECHO)
		return -ENOENT;
	if (!frame_checksum_ok(card_frame))
		return -EBADMSG;
	if (frame->kind == NET_KIND_ECHO)
		return tcp->up && echo_reply(tcp->wire, tcp->wire_data, card_frame, tcp->mac, tcp->caps.mtu) >= 0 ? 0 : -ENOENT;
	payload = frame_payload(card_frame);
	tcp_segment(tcp, frame, &payload);
	return 0;
}

static void up(void *data, const struct wire_caps *caps)
{
	struct control_card *card = data;

	tcp_wire_up(card->tcp, caps);
}

static void down(void *data)
{
	struct control_card *card = data;

	tcp_wire_down(card->tcp);
}

static void room(void *data)
{
	struct control_card *card = data;

	card->tcp->starved = false;
}

const struct frame_sink control_card_sink = {.frame = take, .up = up, .down = down, .room = room};
