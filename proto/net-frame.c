/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-frame: see the header. Sums are kept as plain sums of 16-bit words in memory order (little-endian loads), which
 * RFC 1071 section 2(B) allows: the folded result is stored the same way.
 */
#include <string.h>

#include "base/bytes.h"
#include "proto/net-frame.h"

enum {
	ETH_IP4 = 0x0800,
	ETH_ARP = 0x0806,
	ETH_IP6 = 0x86dd,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	ICMP_ECHO_REQUEST = 8,
	ICMP_ECHO_REPLY = 0,
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_SCALE = 3,
	SCALE_MAX = 14,	   /* RFC 7323 section 2.3 */
	TCP_CSUM_OFF = 16, /* of the checksum within the TCP header */
	HOP_LIMIT = 64,
};

uint64_t net_sum(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v = le64_load(p);

		sum += (v & 0xffffffffu) + (v >> 32);
	}
	for (; len >= 2; p += 2, len -= 2)
		sum += le16_load(p);
	return len ? sum + *p : sum;
}

uint16_t net_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

struct net_addr net_addr4(uint32_t host_order)
{
	struct net_addr addr = {{[10] = 0xff, [11] = 0xff}};

	be32_store(addr.byte + 12, host_order);
	return addr;
}

bool net_addr_is_v4(const struct net_addr *addr)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(addr->byte, prefix, sizeof(prefix));
}

bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static struct net_addr addr4_load(const uint8_t *p)
{
	return net_addr4(be32_load(p));
}

static uint64_t pseudo_sum(bool v6, const struct net_addr *src, const struct net_addr *dst, uint8_t proto,
			   uint32_t len)
{
	size_t off = v6 ? 0 : 12;
	uint64_t sum = net_sum(0, src->byte + off, 16 - off);
	uint8_t tail[8] = {[7] = proto};

	be32_store(tail, len);
	sum = net_sum(sum, dst->byte + off, 16 - off);
	return net_sum(sum, tail, sizeof(tail));
}

uint64_t net_pseudo_sum(const struct net_frame *frame)
{
	return pseudo_sum(frame->v6, &frame->src, &frame->dst, PROTO_TCP, frame->l4_len);
}

static int parse_options(struct net_frame *ret, const uint8_t *p, size_t len)
{
	while (len) {
		size_t n;

		if (p[0] == OPTION_END)
			return 0;
		if (p[0] == OPTION_NOP) {
			p++;
			len--;
			continue;
		}
		if (len < 2 || p[1] < 2 || p[1] > len)
			return NET_FRAME_E_LENGTH;
		n = p[1];
		if (p[0] == OPTION_MSS && n == 4)
			ret->tcp.mss = be16_load(p + 2);
		if (p[0] == OPTION_SCALE && n == 3)
			ret->tcp.scale = p[2] < SCALE_MAX ? (int8_t)p[2] : SCALE_MAX;
		p += n;
		len -= n;
	}
	return 0;
}

static int parse_tcp(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	const uint8_t *p = head + ret->l4_off;
	size_t n;

	if (ret->l4_len < NET_TCP_LEN || head_len - ret->l4_off < NET_TCP_LEN)
		return NET_FRAME_E_SHORT;
	n = (size_t)(p[12] >> 4) * 4;
	if (n < NET_TCP_LEN || n > ret->l4_len)
		return NET_FRAME_E_LENGTH;
	if (n > head_len - ret->l4_off)
		return NET_FRAME_E_SHORT;
	ret->kind = NET_KIND_TCP;
	ret->tcp.src_port = be16_load(p);
	ret->tcp.dst_port = be16_load(p + 2);
	ret->tcp.seq = be32_load(p + 4);
	ret->tcp.ack = be32_load(p + 8);
	ret->tcp.flags = p[13] & 0x1f;
	ret->tcp.window = be16_load(p + 14);
	ret->tcp.mss = 0;
	ret->tcp.scale = -1;
	ret->payload_off = (uint32_t)(ret->l4_off + n);
	ret->payload_len = (uint32_t)(ret->l4_len - n);
	return parse_options(ret, p + NET_TCP_LEN, n - NET_TCP_LEN);
}

static int parse_icmp(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	const uint8_t *p = head + ret->l4_off;

	if (ret->l4_len < NET_ECHO_LEN || head_len - ret->l4_off < NET_ECHO_LEN)
		return NET_FRAME_E_SHORT;
	if (p[0] != ICMP_ECHO_REQUEST || p[1])
		return 0;
	ret->kind = NET_KIND_ECHO;
	ret->echo.id = be16_load(p + 4);
	ret->echo.seq = be16_load(p + 6);
	ret->payload_off = ret->l4_off + NET_ECHO_LEN;
	ret->payload_len = ret->l4_len - NET_ECHO_LEN;
	return 0;
}

static int parse_ip4(struct net_frame *ret, const uint8_t *head, size_t head_len, size_t total)
{
	const uint8_t *p = head + NET_ETH_LEN;
	size_t room = total - NET_ETH_LEN;
	size_t n, packet;

	if (head_len - NET_ETH_LEN < NET_IP4_LEN)
		return NET_FRAME_E_SHORT;
	n = (size_t)(p[0] & 15) * 4;
	packet = be16_load(p + 2);
	if (p[0] >> 4 != 4 || n < NET_IP4_LEN || packet < n || packet > room)
		return NET_FRAME_E_LENGTH;
	if (n > head_len - NET_ETH_LEN)
		return NET_FRAME_E_SHORT;
	if (net_fold(net_sum(0, p, n)) != 0xffff)
		return NET_FRAME_E_CHECKSUM;
	if (be16_load(p + 6) & 0x3fff)
		return NET_FRAME_E_FRAGMENT;
	ret->src = addr4_load(p + 12);
	ret->dst = addr4_load(p + 16);
	ret->l4_off = (uint16_t)(NET_ETH_LEN + n);
	ret->l4_len = (uint32_t)(packet - n);
	if (p[9] == PROTO_TCP)
		return parse_tcp(ret, head, head_len);
	if (p[9] == PROTO_ICMP)
		return parse_icmp(ret, head, head_len);
	return 0;
}

/* Extension headers are not followed: a packet with one is NET_KIND_OTHER. */
static int parse_ip6(struct net_frame *ret, const uint8_t *head, size_t head_len, size_t total)
{
	const uint8_t *p = head + NET_ETH_LEN;

	if (head_len - NET_ETH_LEN < NET_IP6_LEN)
		return NET_FRAME_E_SHORT;
	if (p[0] >> 4 != 6 || be16_load(p + 4) > total - NET_ETH_LEN - NET_IP6_LEN)
		return NET_FRAME_E_LENGTH;
	ret->v6 = true;
	memcpy(ret->src.byte, p + 8, 16);
	memcpy(ret->dst.byte, p + 24, 16);
	/* A mapped address has no place on a wire, and would be taken for IPv4 behind this point. */
	if (net_addr_is_v4(&ret->src) || net_addr_is_v4(&ret->dst))
		return 0;
	ret->l4_off = NET_ETH_LEN + NET_IP6_LEN;
	ret->l4_len = be16_load(p + 4);
	return p[6] == PROTO_TCP ? parse_tcp(ret, head, head_len) : 0;
}

static int parse_arp(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	static const uint8_t ethernet_ip4[6] = {0, 1, 8, 0, NET_MAC_LEN, 4};
	const uint8_t *p = head + NET_ETH_LEN;

	if (head_len - NET_ETH_LEN < NET_ARP_LEN)
		return NET_FRAME_E_SHORT;
	if (memcmp(p, ethernet_ip4, sizeof(ethernet_ip4)))
		return NET_FRAME_E_LENGTH;
	ret->kind = NET_KIND_ARP;
	ret->arp.request = be16_load(p + 6) == ARP_REQUEST;
	memcpy(ret->arp.sender_mac, p + 8, NET_MAC_LEN);
	ret->arp.sender = addr4_load(p + 14);
	ret->arp.target = addr4_load(p + 24);
	return 0;
}

int net_frame_parse(struct net_frame *ret, const uint8_t *head, size_t head_len, size_t total)
{
	struct net_frame frame = {.kind = NET_KIND_OTHER};
	int r;

	if (head_len > total)
		head_len = total;
	if (head_len < NET_ETH_LEN)
		return NET_FRAME_E_SHORT;
	if (total > NET_FRAME_MAX)
		return NET_FRAME_E_LENGTH;
	memcpy(frame.dst_mac, head, NET_MAC_LEN);
	memcpy(frame.src_mac, head + NET_MAC_LEN, NET_MAC_LEN);
	switch (be16_load(head + 12)) {
	case ETH_IP4:
		r = parse_ip4(&frame, head, head_len, total);
		break;
	case ETH_IP6:
		r = parse_ip6(&frame, head, head_len, total);
		break;
	case ETH_ARP:
		r = parse_arp(&frame, head, head_len);
		break;
	default:
		r = 0;
	}
	if (r)
		return r;
	*ret = frame;
	return 0;
}

void net_vnet_decode(struct net_vnet *ret, const uint8_t src[static NET_VNET_LEN])
{
	*ret = (struct net_vnet){
		.flags = src[0],
		.gso_type = src[1],
		.hdr_len = le16_load(src + 2),
		.gso_size = le16_load(src + 4),
		.csum_start = le16_load(src + 6),
		.csum_offset = le16_load(src + 8),
		.num_buffers = le16_load(src + 10),
	};
}

void net_vnet_encode(const struct net_vnet *vnet, uint8_t dst[static NET_VNET_LEN])
{
	dst[0] = vnet->flags;
	dst[1] = vnet->gso_type;
	le16_store(dst + 2, vnet->hdr_len);
	le16_store(dst + 4, vnet->gso_size);
	le16_store(dst + 6, vnet->csum_start);
	le16_store(dst + 8, vnet->csum_offset);
	le16_store(dst + 10, vnet->num_buffers);
}

int net_vnet_check(const struct net_vnet *vnet, const struct net_frame *frame)
{
	bool tcp = frame->kind == NET_KIND_TCP;

	if (vnet->flags & ~(NET_VNET_NEEDS_CSUM | NET_VNET_DATA_VALID))
		return NET_FRAME_E_OFFLOAD;
	if (tcp && vnet->flags & NET_VNET_NEEDS_CSUM &&
	    (vnet->csum_start != frame->l4_off || vnet->csum_offset != TCP_CSUM_OFF))
		return NET_FRAME_E_OFFLOAD;
	switch (vnet->gso_type & ~NET_VNET_GSO_ECN) {
	case NET_VNET_GSO_NONE:
		return 0;
	case NET_VNET_GSO_TCP4:
	case NET_VNET_GSO_TCP6:
		/* The header must promise a checksum to be made per segment, and name a size. */
		if (tcp && frame->v6 == ((vnet->gso_type & ~NET_VNET_GSO_ECN) == NET_VNET_GSO_TCP6) &&
		    vnet->flags & NET_VNET_NEEDS_CSUM && vnet->gso_size)
			return 0;
		return NET_FRAME_E_OFFLOAD;
	default:
		return NET_FRAME_E_OFFLOAD;
	}
}

static void build_eth(uint8_t *dst, const uint8_t *to, const uint8_t *from, uint16_t type)
{
	memcpy(dst, to, NET_MAC_LEN);
	memcpy(dst + NET_MAC_LEN, from, NET_MAC_LEN);
	be16_store(dst + 12, type);
}

static void build_ip4(uint8_t *p, const struct net_tcp_out *out, uint32_t l4_len)
{
	memset(p, 0, NET_IP4_LEN);
	p[0] = 0x45;
	be16_store(p + 2, (uint16_t)(NET_IP4_LEN + l4_len));
	be16_store(p + 6, 0x4000); /* do not fragment; the identification may be 0 then (RFC 6864) */
	p[8] = HOP_LIMIT;
	p[9] = PROTO_TCP;
	memcpy(p + 12, out->src.byte + 12, 4);
	memcpy(p + 16, out->dst.byte + 12, 4);
	le16_store(p + 10, (uint16_t)~net_fold(net_sum(0, p, NET_IP4_LEN)));
}

static void build_ip6(uint8_t *p, const struct net_tcp_out *out, uint32_t l4_len)
{
	memset(p, 0, 8);
	p[0] = 0x60;
	be16_store(p + 4, (uint16_t)l4_len);
	p[6] = PROTO_TCP;
	p[7] = HOP_LIMIT;
	memcpy(p + 8, out->src.byte, 16);
	memcpy(p + 24, out->dst.byte, 16);
}

size_t net_frame_build_tcp(uint8_t dst[static NET_HEAD_OUT_MAX], const struct net_tcp_out *out)
{
	size_t l3_len = out->v6 ? NET_IP6_LEN : NET_IP4_LEN;
	uint8_t *p = dst + NET_ETH_LEN + l3_len;
	size_t n = NET_TCP_LEN;
	uint32_t l4_len;

	if (out->mss) {
		p[n] = OPTION_MSS;
		p[n + 1] = 4;
		be16_store(p + n + 2, out->mss);
		n += 4;
	}
	if (out->scale >= 0) {
		p[n] = OPTION_NOP;
		p[n + 1] = OPTION_SCALE;
		p[n + 2] = 3;
		p[n + 3] = (uint8_t)out->scale;
		n += 4;
	}
	l4_len = (uint32_t)n + out->payload_len;
	be16_store(p, out->src_port);
	be16_store(p + 2, out->dst_port);
	be32_store(p + 4, out->seq);
	be32_store(p + 8, out->ack);
	p[12] = (uint8_t)(n / 4 << 4);
	p[13] = out->flags;
	be16_store(p + 14, out->window);
	le16_store(p + TCP_CSUM_OFF, net_fold(pseudo_sum(out->v6, &out->src, &out->dst, PROTO_TCP, l4_len)));
	be16_store(p + 18, 0);
	build_eth(dst, out->dst_mac, out->src_mac, out->v6 ? ETH_IP6 : ETH_IP4);
	if (out->v6)
		build_ip6(dst + NET_ETH_LEN, out, l4_len);
	else
		build_ip4(dst + NET_ETH_LEN, out, l4_len);
	return NET_ETH_LEN + l3_len + n;
}

void net_frame_finish_tcp(uint8_t *head, size_t head_len, bool v6, uint64_t payload_sum)
{
	size_t l4_off = NET_ETH_LEN + (v6 ? NET_IP6_LEN : NET_IP4_LEN);

	/* The field holds the pseudo-header's part, so it is simply summed with the rest. */
	payload_sum = net_sum(payload_sum, head + l4_off, head_len - l4_off);
	le16_store(head + l4_off + TCP_CSUM_OFF, (uint16_t)~net_fold(payload_sum));
}

void net_frame_build_arp(uint8_t dst[static NET_ARP_FRAME_LEN], const struct net_frame *request,
			 const uint8_t mac[static NET_MAC_LEN])
{
	uint8_t *p = dst + NET_ETH_LEN;

	build_eth(dst, request->arp.sender_mac, mac, ETH_ARP);
	be16_store(p, 1);
	be16_store(p + 2, ETH_IP4);
	p[4] = NET_MAC_LEN;
	p[5] = 4;
	be16_store(p + 6, ARP_REPLY);
	memcpy(p + 8, mac, NET_MAC_LEN);
	memcpy(p + 14, request->arp.target.byte + 12, 4);
	memcpy(p + 18, request->arp.sender_mac, NET_MAC_LEN);
	memcpy(p + 24, request->arp.sender.byte + 12, 4);
}

size_t net_frame_build_echo(uint8_t *packet, size_t len, const struct net_frame *frame,
			    const uint8_t mac[static NET_MAC_LEN])
{
	uint8_t *ip = packet + NET_ETH_LEN;
	uint8_t *icmp = packet + frame->l4_off;
	size_t n = (size_t)frame->l4_off + frame->l4_len;

	n = n < len ? n : len;
	build_eth(packet, frame->src_mac, mac, ETH_IP4);
	memcpy(ip + 12, frame->dst.byte + 12, 4);
	memcpy(ip + 16, frame->src.byte + 12, 4);
	ip[8] = HOP_LIMIT;
	le16_store(ip + 10, 0);
	le16_store(ip + 10, (uint16_t)~net_fold(net_sum(0, ip, (size_t)frame->l4_off - NET_ETH_LEN)));
	icmp[0] = ICMP_ECHO_REPLY;
	le16_store(icmp + 2, 0);
	le16_store(icmp + 2, (uint16_t)~net_fold(net_sum(0, icmp, n - frame->l4_off)));
	return n;
}
