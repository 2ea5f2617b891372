/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo-send: see the header.
 *
 * The head is built once for the whole message, so that its checksum covers all. Each piece gets an IP header of its own; the
 * message's bytes are taken from head and payload as if they lay one behind the other.
 */
#include "devices/net/echo-send.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

enum { IP4_MORE = 0x2000, UNIT = 8, PIECE_MAX = UINT16_MAX };

static uint8_t piece[NET_ETH_LEN + NET_IP6_LEN + NET_FRAGMENT_LEN + PIECE_MAX];
static uint32_t last_id;

/* Turns the IP header at FRAME, which is for L4_LEN bytes, into that of a piece of them. Return: where its data begins. */
static size_t make_piece(uint8_t *frame, const struct net_icmp_out *out, size_t off, size_t len, bool more)
{
	struct net_ip_out ip = {.v6 = out->v6, .src = out->src, .dst = out->dst, .hop_limit = out->hop_limit};
	uint8_t *p = frame + NET_ETH_LEN;

	if (out->v6) {
		ip.proto = NET_IP_FRAGMENT;
		ip.l4_len = (uint32_t)len + NET_FRAGMENT_LEN;
		p += net_frame_build_ip(p, &ip);
		p[0] = NET_IP_ICMP6;
		p[1] = 0;
		be16_store(p + 2, (uint16_t)(off | more));
		be32_store(p + 4, last_id);
		return NET_ETH_LEN + NET_IP6_LEN + NET_FRAGMENT_LEN;
	}
	ip.proto = NET_IP_ICMP;
	ip.l4_len = (uint32_t)len;
	(void)net_frame_build_ip(p, &ip);
	be16_store(p + 4, (uint16_t)last_id);
	be16_store(p + 6, (uint16_t)(off / UNIT | (more ? IP4_MORE : 0)));
	be16_store(p + 10, 0);
	le16_store(p + 10, (uint16_t)~net_fold(net_sum(0, p, NET_IP4_LEN)));
	return NET_ETH_LEN + NET_IP4_LEN;
}

/* Copies bytes [OFF, OFF + LEN) of the message. */
static void copy_bytes(uint8_t *dst, const uint8_t *head, const uint8_t *payload, size_t off, size_t len)
{
	size_t n = off < NET_ICMP_LEN ? NET_ICMP_LEN - off : 0;

	n = n < len ? n : len;
	memcpy(dst, head + off, n);
	if (len > n)
		memcpy(dst + n, payload + (off + n - NET_ICMP_LEN), len - n);
}

static int send_pieces(const struct wire_ops *wire, void *wire_data, const struct net_icmp_out *out, const uint8_t *head,
		       size_t ip_off, const uint8_t *payload, uint16_t mtu)
{
	size_t heads = out->v6 ? NET_IP6_LEN + NET_FRAGMENT_LEN : NET_IP4_LEN;
	size_t all = NET_ICMP_LEN + (size_t)out->payload_len, room = (mtu - heads) / UNIT * UNIT;
	int r = 0;

	last_id++;
	for (size_t off = 0; off < all && r >= 0; off += room) {
		size_t len = all - off < room ? all - off : room, at;

		memcpy(piece, head, NET_ETH_LEN);
		at = make_piece(piece, out, off, len, off + len < all);
		copy_bytes(piece + at, head + ip_off, payload, off, len);
		r = wire_send(wire, wire_data, piece, at + len);
	}
	return r;
}

int echo_send(const struct wire_ops *wire, void *wire_data, const struct net_icmp_out *out, const uint8_t *payload, uint16_t mtu)
{
	uint8_t head[NET_ICMP_HEAD_MAX] = {0};
	size_t ip_len = out->v6 ? NET_IP6_LEN : NET_IP4_LEN, all = ip_len + NET_ICMP_LEN + out->payload_len;
	size_t n;

	if (mtu < NET_IP6_LEN + NET_FRAGMENT_LEN + UNIT || all - (out->v6 ? NET_IP6_LEN : 0) > UINT16_MAX)
		return -EMSGSIZE;
	n = net_frame_build_icmp(head, out, net_sum(0, payload, out->payload_len));
	if (all > mtu)
		return send_pieces(wire, wire_data, out, head, NET_ETH_LEN + ip_len, payload, mtu);
	memcpy(piece, head, n);
	memcpy(piece + n, payload, out->payload_len);
	return wire_send(wire, wire_data, piece, n + out->payload_len);
}
