/* SPDX-License-Identifier: Apache-2.0 */
/* ndp: see the header. */
#include "devices/net/ndp.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/net/data-card.h"
#include "proto/data-card.h"
#include "proto/dhcp.h"

enum {
	IP6_MTU_MIN = 1280,
	RA_MAX = IP6_MTU_MIN - NET_IP6_LEN - NET_ICMP_LEN, /* behind the ICMPv6 header */
	NA_LEN = 16 + 8,
	HOP_LIMIT = 64,
	OPTION_SOURCE = 1,
	OPTION_TARGET = 2,
	OPTION_PREFIX = 3,
	OPTION_MTU = 5,
	OPTION_RDNSS = 25,
	OPTION_DNSSL = 31,
	PREFIX_ON_LINK = 0x80,
	PREFIX_AUTONOMOUS = 0x40,
	UNIT = 8,
};
#define NA_ROUTER (1u << 31)
#define NA_SOLICITED (1u << 30)
#define NA_OVERRIDE (1u << 29)
#define FOR_EVER 0xffffffffu

const struct net_addr ndp_all_nodes = {{0xff, 2, [15] = 1}};

/* Sends an ICMPv6 message with PAYLOAD behind its header. */
static int send_icmp(struct data_card *card, struct net_icmp_out *out, const uint8_t *payload, size_t len)
{
	static const uint8_t all_nodes_mac[NET_MAC_LEN] = {0x33, 0x33, 0, 0, 0, 1};
	uint8_t frame[NET_ICMP_HEAD_MAX + RA_MAX] = {0};
	size_t n;

	out->v6 = true;
	out->src_mac = card->mac;
	out->dst_mac = net_addr_equal(&out->dst, &ndp_all_nodes) ? all_nodes_mac : card->guest_mac;
	out->hop_limit = NET_NDP_HOP_LIMIT;
	out->payload_len = (uint32_t)len;
	n = net_frame_build_icmp(frame, out, net_sum(0, payload, len));
	memcpy(frame + n, payload, len);
	return wire_send(card->wire, card->wire_data, frame, n + len);
}

static int answer_solicitation(struct data_card *card, const struct net_frame *frame)
{
	static const struct net_addr none;
	bool anonymous = net_addr_equal(&frame->src, &none); /* the guest probes whether the address is free */
	struct net_icmp_out out = {.src = frame->ndp.target, .dst = anonymous ? ndp_all_nodes : frame->src, .type = NET_NDP_NA,
				   .rest = NA_ROUTER | NA_OVERRIDE | (anonymous ? 0 : NA_SOLICITED)};
	uint8_t payload[NA_LEN] = {0};

	if (!data_card_own(card, &frame->ndp.target))
		return -ENOENT;
	memcpy(payload, frame->ndp.target.byte, 16);
	payload[16] = OPTION_TARGET;
	payload[17] = 1;
	memcpy(payload + 18, card->mac, NET_MAC_LEN);
	return send_icmp(card, &out, payload, sizeof(payload));
}

static void put_be16(struct bytes_writer *w, uint16_t v)
{
	uint8_t text[2];

	be16_store(text, v);
	bytes_put(w, text, sizeof(text));
}

static void put_be32(struct bytes_writer *w, uint32_t v)
{
	uint8_t text[4];

	be32_store(text, v);
	bytes_put(w, text, sizeof(text));
}

static void put_option(struct bytes_writer *w, uint8_t type, size_t units)
{
	bytes_put8(w, type);
	bytes_put8(w, (uint8_t)units);
}

static void put_prefix(struct bytes_writer *w, const struct data_card *card)
{
	put_option(w, OPTION_PREFIX, 4);
	bytes_put8(w, DATA_PREFIX6_LEN);
	bytes_put8(w, PREFIX_ON_LINK | PREFIX_AUTONOMOUS);
	put_be32(w, FOR_EVER);
	put_be32(w, FOR_EVER);
	put_be32(w, 0);
	bytes_put(w, card->prefix6.byte, 16);
}

/* As many search domains as the message still holds. */
static void put_search(struct bytes_writer *w, const struct data_card *card)
{
	uint8_t names[RA_MAX] = {0};
	size_t room = w->size - w->off - UNIT, n = 0;

	for (uint8_t i = 0; i < card->n_search; i++) {
		size_t len = dhcp_encode_name(names + n, (n < room ? room - n : 0), card->search[i]);

		if (!len)
			break;
		n += len;
	}
	if (!n)
		return;
	n = (n + UNIT - 1) / UNIT * UNIT; /* padded with zeros, RFC 8106, 5.2 */
	if (n > room)
		return;
	put_option(w, OPTION_DNSSL, 1 + n / UNIT);
	put_be16(w, 0);
	put_be32(w, NDP_ROUTER_LIFETIME_S);
	bytes_put(w, names, n);
}

int ndp_advertise(struct data_card *card, const struct net_addr *dst)
{
	uint8_t payload[RA_MAX] = {0};
	struct bytes_writer w = bytes_writer(payload, sizeof(payload) / UNIT * UNIT);
	struct net_icmp_out out = {.src = card->link_local6, .dst = *dst, .type = NET_NDP_RA,
				   .rest = (uint32_t)HOP_LIMIT << 24 | NDP_ROUTER_LIFETIME_S};

	if (card->mtu < IP6_MTU_MIN)
		return -EMSGSIZE;
	put_be32(&w, 0); /* reachable time, retransmission timer: not specified */
	put_be32(&w, 0);
	put_option(&w, OPTION_SOURCE, 1);
	bytes_put(&w, card->mac, NET_MAC_LEN);
	put_option(&w, OPTION_MTU, 1);
	put_be16(&w, 0);
	put_be32(&w, card->mtu);
	put_prefix(&w, card);
	put_option(&w, OPTION_RDNSS, 3);
	put_be16(&w, 0);
	put_be32(&w, NDP_ROUTER_LIFETIME_S);
	bytes_put(&w, card->gateway6.byte, 16);
	put_search(&w, card);
	return w.ok ? send_icmp(card, &out, payload, w.off) : -EMSGSIZE;
}

int ndp_serve(struct data_card *card, const struct card_frame *card_frame)
{
	static const struct net_addr none;
	const struct net_frame *frame = card_frame->frame;

	switch (frame->ndp.type) {
	case NET_NDP_NS:
		return answer_solicitation(card, frame);
	case NET_NDP_RS:
		return ndp_advertise(card, net_addr_equal(&frame->src, &none) ? &ndp_all_nodes : &frame->src);
	default:
		return -ENOENT; /* advertisements are not listened to */
	}
}
