/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-emit: datagrams as frames to the guest: plain, several in one superframe, or in fragments. Part of udp.
 *
 * What is larger than the MTU goes as IP fragments, since that is what a network would have delivered. Their checksum is
 * computed here over the whole datagram; elsewhere it is left to the guest where the guest takes that.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/net/udp-private.h"
#include "devices/vhost/guest-memory.h"

enum {
	UDP_CSUM_OFF = 6,
	IP4_MORE = 0x2000,
	PIECE_HEAD_MAX = NET_UDP_HEAD_MAX + NET_FRAGMENT_LEN,
};

size_t udp_head_len(bool v4)
{
	return NET_ETH_LEN + (size_t)(v4 ? NET_IP4_LEN : NET_IP6_LEN) + NET_UDP_LEN;
}

static size_t build(const struct udp *udp, uint8_t *head, const struct flow_key *key, size_t len)
{
	struct net_udp_out out = {
		.v6 = !net_addr_is_v4(&key->guest),
		.src_mac = udp->config.mac,
		.dst_mac = udp->config.guest_mac,
		.src = key->host,
		.dst = key->guest,
		.src_port = key->host_port,
		.dst_port = key->guest_port,
		.payload_len = (uint32_t)len,
	};

	return net_frame_build_udp(head, &out);
}

/* The payload lies in ROOM, its sum is PAYLOAD_SUM where the guest wants whole checksums. */
static void finish(struct udp *udp, const struct flow_key *key, struct wire_room *room, size_t len, uint16_t gso, uint64_t payload_sum)
{
	uint8_t head[NET_UDP_HEAD_MAX];
	size_t n = build(udp, head, key, len);
	struct net_vnet vnet = {0};

	if (udp->caps.csum) {
		vnet.flags = NET_VNET_NEEDS_CSUM;
		vnet.csum_start = (uint16_t)(n - NET_UDP_LEN);
		vnet.csum_offset = UDP_CSUM_OFF;
	} else {
		net_frame_finish_udp(head, n, !net_addr_is_v4(&key->guest), payload_sum);
	}
	if (gso) {
		vnet.gso_type = NET_VNET_GSO_UDP_L4;
		vnet.gso_size = gso;
		vnet.hdr_len = (uint16_t)n;
	}
	udp->config.wire->commit(udp->config.wire_data, room, &vnet, head, n, len);
	udp->stats.rx_packets += gso ? (len + gso - 1) / gso : 1;
	udp->stats.rx_bytes += len;
}

void udp_emit_room(struct udp *udp, const struct flow_key *key, struct wire_room *room, size_t len, uint16_t gso)
{
	size_t off = NET_VNET_LEN + udp_head_len(net_addr_is_v4(&key->guest));

	finish(udp, key, room, len, gso, udp->caps.csum ? 0 : udp->config.wire->sum(udp->config.wire_data, room, off, len));
}

/* Reserves LEN bytes of frame. Return: 0; -EAGAIN; -EMSGSIZE: the guest's buffers are smaller. */
static int reserve(struct udp *udp, size_t len, struct wire_room *room)
{
	int r = udp->config.wire->reserve(udp->config.wire_data, len, room);

	if (r < 0)
		return r;
	if (room->capacity >= NET_VNET_LEN + len)
		return 0;
	udp->config.wire->cancel(udp->config.wire_data, room);
	return -EMSGSIZE;
}

static int emit_frame(struct udp *udp, const struct flow_key *key, const uint8_t *payload, size_t len, uint16_t gso)
{
	struct wire_room *room = &udp->rooms[0];
	size_t head_len = udp_head_len(net_addr_is_v4(&key->guest));
	int r = reserve(udp, head_len + len, room);

	if (r < 0)
		return r;
	guest_iov_write(room->iov, room->n_iov, NET_VNET_LEN + head_len, payload, len);
	finish(udp, key, room, len, gso, udp->caps.csum ? 0 : net_sum(0, payload, len));
	return 0;
}

/* Makes HEAD, an Ethernet and an IP header, that of the N bytes at OFF of its packet. Return: its length. */
static size_t make_piece(uint8_t *head, bool v6, uint32_t id, size_t off, size_t n, bool more)
{
	uint8_t *ip = head + NET_ETH_LEN;

	if (v6) {
		uint8_t *p = ip + NET_IP6_LEN;

		be16_store(ip + 4, (uint16_t)(NET_FRAGMENT_LEN + n));
		ip[6] = NET_IP_FRAGMENT;
		p[0] = NET_IP_UDP;
		p[1] = 0;
		be16_store(p + 2, (uint16_t)(off | more));
		be32_store(p + 4, id);
		return NET_ETH_LEN + NET_IP6_LEN + NET_FRAGMENT_LEN;
	}
	be16_store(ip + 2, (uint16_t)(NET_IP4_LEN + n));
	be16_store(ip + 4, (uint16_t)id);
	be16_store(ip + 6, (uint16_t)(off / 8 | (more ? IP4_MORE : 0)));
	le16_store(ip + 10, 0);
	le16_store(ip + 10, (uint16_t)~net_fold(net_sum(0, ip, NET_IP4_LEN)));
	return NET_ETH_LEN + NET_IP4_LEN;
}

static int emit_piece(struct udp *udp, const uint8_t *head, size_t head_len, const uint8_t *bytes, size_t len)
{
	struct wire_room *room = &udp->rooms[0];
	struct net_vnet vnet = {0};
	int r = reserve(udp, head_len + len, room);

	if (r < 0)
		return r;
	guest_iov_write(room->iov, room->n_iov, NET_VNET_LEN + head_len, bytes, len);
	udp->config.wire->commit(udp->config.wire_data, room, &vnet, head, head_len, len);
	return 0;
}

static int emit_fragments(struct udp *udp, const struct flow_key *key, const uint8_t *payload, size_t len)
{
	bool v6 = !net_addr_is_v4(&key->guest);
	size_t ip_len = v6 ? NET_IP6_LEN + NET_FRAGMENT_LEN : NET_IP4_LEN;
	size_t most = (udp->caps.mtu - ip_len) & ~(size_t)7;
	uint8_t whole[NET_UDP_HEAD_MAX], head[PIECE_HEAD_MAX];
	size_t whole_len = build(udp, whole, key, len);
	uint32_t id = ++udp->fragment_id;

	net_frame_finish_udp(whole, whole_len, v6, net_sum(0, payload, len));
	memcpy(head, whole, whole_len - NET_UDP_LEN);
	for (size_t off = 0; off < NET_UDP_LEN + len;) {
		size_t n = NET_UDP_LEN + len - off < most ? NET_UDP_LEN + len - off : most;
		size_t head_len = make_piece(head, v6, id, off, n, off + n < NET_UDP_LEN + len);
		size_t udp_len = off ? 0 : NET_UDP_LEN; /* the first piece begins with the UDP header */
		int r;

		memcpy(head + head_len, whole + whole_len - NET_UDP_LEN, udp_len);
		r = emit_piece(udp, head, head_len + udp_len, off ? payload + off - NET_UDP_LEN : payload, n - udp_len);
		if (r < 0 && off)
			udp->stats.drops++; /* what was sent of it is lost */
		if (r < 0)
			return off ? 0 : r;
		off += n;
	}
	udp->stats.rx_packets++;
	udp->stats.rx_bytes += len;
	return 0;
}

int udp_emit(struct udp *udp, const struct flow_key *key, const uint8_t *payload, size_t len)
{
	if (!udp->up)
		return -EAGAIN;
	if (len > UDP_DATAGRAM_MAX)
		return -EMSGSIZE;
	if (udp_head_len(net_addr_is_v4(&key->guest)) - NET_ETH_LEN + len > udp->caps.mtu)
		return emit_fragments(udp, key, payload, len);
	return emit_frame(udp, key, payload, len, 0);
}

int udp_emit_group(struct udp *udp, const struct flow_key *key, const uint8_t *payload, size_t len, uint16_t gso, uint32_t *off)
{
	size_t head_len = udp_head_len(net_addr_is_v4(&key->guest));

	if (!*off && len > gso && udp->caps.uso && udp->caps.csum && len <= UDP_DATAGRAM_MAX &&
	    head_len - NET_ETH_LEN + gso <= udp->caps.mtu) {
		int r = emit_frame(udp, key, payload, len, gso);

		if (r != -EMSGSIZE)
			return r;
	}
	while (*off < len) {
		uint32_t n = (uint32_t)len - *off < gso ? (uint32_t)len - *off : gso;
		int r = udp_emit(udp, key, payload + *off, n);

		if (r == -EAGAIN)
			return r;
		if (r < 0)
			udp->stats.drops++;
		*off += n;
	}
	return 0;
}
