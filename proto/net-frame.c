/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-frame: see the header. Sums are kept as plain sums of 16-bit words in memory order (little-endian loads), which
 * RFC 1071 section 2(B) allows: the folded result is stored the same way.
 */
#include <string.h>

#include "base/bytes.h"
#include "proto/net-frame.h"

enum {
	ARP_REQUEST = 1,
	ICMP_ECHO_REQUEST = 8,
	ICMP6_ECHO_REQUEST = 128,
	IP4_MORE = 0x2000,
	IP4_OFFSET = 0x1fff,
	IP6_OFFSET = 0xfff8,
	IP_PACKET_MAX = 65535,
	NDP_NEIGHBOUR_LEN = 24, /* NS, NA without options */
	NDP_SOLICIT_LEN = 8,	/* RS */
	NDP_OPTION_SOURCE = 1,
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_SCALE = 3,
	SCALE_MAX = 14, /* RFC 7323 section 2.3 */
	/* Of the checksum within its header. */
	TCP_CSUM_OFF = 16,
	UDP_CSUM_OFF = 6,
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

uint64_t net_pseudo_sum_of(const struct net_addr *src, const struct net_addr *dst, bool v6, uint8_t proto, uint32_t len)
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
	if (frame->ip_proto == NET_IP_ICMP)
		return 0;
	return net_pseudo_sum_of(&frame->src, &frame->dst, frame->v6, frame->ip_proto, frame->l4_len);
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
	ret->tcp.flags = p[13] & 0x3f;
	ret->tcp.window = be16_load(p + 14);
	ret->tcp.urgent = be16_load(p + 18);
	ret->tcp.mss = 0;
	ret->tcp.scale = -1;
	ret->payload_off = (uint32_t)(ret->l4_off + n);
	ret->payload_len = (uint32_t)(ret->l4_len - n);
	return parse_options(ret, p + NET_TCP_LEN, n - NET_TCP_LEN);
}

static int parse_udp(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	const uint8_t *p = head + ret->l4_off;
	size_t n;

	if (ret->l4_len < NET_UDP_LEN || head_len - ret->l4_off < NET_UDP_LEN)
		return NET_FRAME_E_SHORT;
	n = be16_load(p + 4);
	if (n < NET_UDP_LEN || n > ret->l4_len)
		return NET_FRAME_E_LENGTH;
	ret->udp.no_checksum = !be16_load(p + 6);
	if (ret->v6 && ret->udp.no_checksum)
		return NET_FRAME_E_CHECKSUM; /* RFC 8200, 8.1 */
	ret->kind = NET_KIND_UDP;
	ret->udp.src_port = be16_load(p);
	ret->udp.dst_port = be16_load(p + 2);
	ret->l4_len = (uint32_t)n;
	ret->payload_off = ret->l4_off + NET_UDP_LEN;
	ret->payload_len = (uint32_t)n - NET_UDP_LEN;
	return 0;
}

static int parse_echo(struct net_frame *ret, const uint8_t *p)
{
	ret->kind = NET_KIND_ECHO;
	ret->echo.id = be16_load(p + 4);
	ret->echo.seq = be16_load(p + 6);
	ret->payload_off = ret->l4_off + NET_ECHO_LEN;
	ret->payload_len = ret->l4_len - NET_ECHO_LEN;
	return 0;
}

/* Options of neighbour discovery, RFC 4861, 4.6: in units of 8 bytes, none of length 0. */
static int parse_ndp_options(struct net_frame *ret, const uint8_t *p, size_t len)
{
	while (len) {
		size_t n = len < 2 ? 0 : (size_t)p[1] * 8;

		if (!n || n > len)
			return NET_FRAME_E_LENGTH;
		if (p[0] == NDP_OPTION_SOURCE && n == 8) {
			ret->ndp.has_mac = true;
			memcpy(ret->ndp.mac, p + 2, NET_MAC_LEN);
		}
		p += n;
		len -= n;
	}
	return 0;
}

/* What RFC 4861 (6.1.1, 7.1.1, 7.1.2) tells to discard is NET_KIND_OTHER. */
static int parse_ndp(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	static const struct net_addr none;
	const uint8_t *p = head + ret->l4_off;
	size_t fixed = p[0] == NET_NDP_RS ? NDP_SOLICIT_LEN : NDP_NEIGHBOUR_LEN;
	int r;

	/* Behind a Fragment header neighbour discovery does not count (RFC 6980). */
	if (ret->l4_off != NET_ETH_LEN + NET_IP6_LEN)
		return 0;
	if (p[1] || head[NET_ETH_LEN + 7] != NET_NDP_HOP_LIMIT || ret->l4_len < fixed || ret->l4_len > head_len - ret->l4_off)
		return 0;
	ret->ndp.type = p[0];
	if (p[0] != NET_NDP_RS) {
		memcpy(ret->ndp.target.byte, p + 8, 16);
		if (ret->ndp.target.byte[0] == 0xff)
			return 0;
	}
	r = parse_ndp_options(ret, p + fixed, ret->l4_len - fixed);
	if (r)
		return r;
	/* Who has no address yet has no business to tell a neighbour's. */
	if (ret->ndp.has_mac && net_addr_equal(&ret->src, &none))
		return 0;
	ret->kind = NET_KIND_NDP;
	return 0;
}

static int parse_icmp(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	const uint8_t *p = head + ret->l4_off;

	if (ret->l4_len < NET_ECHO_LEN || head_len - ret->l4_off < NET_ECHO_LEN)
		return NET_FRAME_E_SHORT;
	if (p[0] == (ret->v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO_REQUEST) && !p[1])
		return parse_echo(ret, p);
	if (ret->v6 && (p[0] == NET_NDP_RS || p[0] == NET_NDP_NS || p[0] == NET_NDP_NA))
		return parse_ndp(ret, head, head_len);
	return 0;
}

static int parse_transport(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	switch (ret->ip_proto) {
	case NET_IP_TCP:
		return parse_tcp(ret, head, head_len);
	case NET_IP_UDP:
		return parse_udp(ret, head, head_len);
	case NET_IP_ICMP:
		return ret->v6 ? 0 : parse_icmp(ret, head, head_len);
	case NET_IP_ICMP6:
		return ret->v6 ? parse_icmp(ret, head, head_len) : 0;
	default:
		return 0;
	}
}

/* RET holds the piece's fields and, as its transport part, its data. */
static int parse_fragment(struct net_frame *ret)
{
	/* The last piece may be of any length, the others are whole units of 8; none reaches beyond the largest packet. */
	if (!ret->l4_len || (ret->fragment.more && ret->l4_len % 8) || ret->fragment.offset + ret->l4_len > IP_PACKET_MAX)
		return NET_FRAME_E_FRAGMENT;
	ret->kind = NET_KIND_FRAGMENT;
	ret->payload_off = ret->l4_off;
	ret->payload_len = ret->l4_len;
	return 0;
}

static int parse_ip4(struct net_frame *ret, const uint8_t *head, size_t head_len, size_t total)
{
	const uint8_t *p = head + NET_ETH_LEN;
	size_t room = total - NET_ETH_LEN;
	size_t n, packet;
	uint16_t piece;

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
	ret->ip = true;
	ret->ip_proto = p[9];
	ret->src = addr4_load(p + 12);
	ret->dst = addr4_load(p + 16);
	ret->l4_off = (uint16_t)(NET_ETH_LEN + n);
	ret->l4_len = (uint32_t)(packet - n);
	piece = be16_load(p + 6);
	if (!(piece & (IP4_MORE | IP4_OFFSET)))
		return parse_transport(ret, head, head_len);
	ret->fragment.id = be16_load(p + 4);
	ret->fragment.offset = (uint16_t)((piece & IP4_OFFSET) * 8);
	ret->fragment.more = piece & IP4_MORE;
	ret->fragment.proto = p[9];
	return parse_fragment(ret);
}

/* The extension header behind IPv6's own; a fragment's data may begin with further ones, which makes it OTHER later. */
static int parse_ip6_fragment(struct net_frame *ret, const uint8_t *head, size_t head_len)
{
	const uint8_t *p = head + ret->l4_off;
	uint16_t piece;

	if (ret->l4_len < NET_FRAGMENT_LEN || head_len - ret->l4_off < NET_FRAGMENT_LEN)
		return NET_FRAME_E_SHORT;
	piece = be16_load(p + 2);
	ret->l4_off += NET_FRAGMENT_LEN;
	ret->l4_len -= NET_FRAGMENT_LEN;
	ret->ip_proto = p[0];
	if (!(piece & (IP6_OFFSET | 1)))
		return parse_transport(ret, head, head_len); /* a whole packet, RFC 6946 */
	ret->fragment.proto = p[0];
	ret->fragment.id = be32_load(p + 4);
	ret->fragment.offset = piece & IP6_OFFSET;
	ret->fragment.more = piece & 1;
	return parse_fragment(ret);
}

/* Other extension headers are not followed: a packet with one is NET_KIND_OTHER. So are jumbograms (RFC 2675), whose length
 * field is 0. */
static int parse_ip6(struct net_frame *ret, const uint8_t *head, size_t head_len, size_t total)
{
	const uint8_t *p = head + NET_ETH_LEN;

	if (head_len - NET_ETH_LEN < NET_IP6_LEN)
		return NET_FRAME_E_SHORT;
	if (p[0] >> 4 != 6 || be16_load(p + 4) > total - NET_ETH_LEN - NET_IP6_LEN)
		return NET_FRAME_E_LENGTH;
	ret->ip = true;
	ret->v6 = true;
	ret->ip_proto = p[6];
	memcpy(ret->src.byte, p + 8, 16);
	memcpy(ret->dst.byte, p + 24, 16);
	/* A mapped address has no place on a wire, and would be taken for IPv4 behind this point. */
	if (net_addr_is_v4(&ret->src) || net_addr_is_v4(&ret->dst))
		return 0;
	ret->l4_off = NET_ETH_LEN + NET_IP6_LEN;
	ret->l4_len = be16_load(p + 4);
	return p[6] == NET_IP_FRAGMENT ? parse_ip6_fragment(ret, head, head_len) : parse_transport(ret, head, head_len);
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
	case NET_ETH_IP4:
		r = parse_ip4(&frame, head, head_len, total);
		break;
	case NET_ETH_IP6:
		r = parse_ip6(&frame, head, head_len, total);
		break;
	case NET_ETH_ARP:
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

/* Where FRAME's transport checksum lies; 0: it has none that could be left to us. */
static uint16_t checksum_offset(const struct net_frame *frame)
{
	return frame->kind == NET_KIND_TCP ? TCP_CSUM_OFF : frame->kind == NET_KIND_UDP ? UDP_CSUM_OFF : 0;
}

int net_vnet_check(const struct net_vnet *vnet, const struct net_frame *frame)
{
	bool needs = vnet->flags & NET_VNET_NEEDS_CSUM;
	bool fits;

	if (vnet->flags & ~(NET_VNET_NEEDS_CSUM | NET_VNET_DATA_VALID))
		return NET_FRAME_E_OFFLOAD;
	if (needs && frame->kind != NET_KIND_OTHER &&
	    (vnet->csum_start != frame->l4_off || !vnet->csum_offset || vnet->csum_offset != checksum_offset(frame)))
		return NET_FRAME_E_OFFLOAD;
	switch (vnet->gso_type & ~NET_VNET_GSO_ECN) {
	case NET_VNET_GSO_NONE:
		return 0;
	case NET_VNET_GSO_TCP4:
		fits = frame->kind == NET_KIND_TCP && !frame->v6;
		break;
	case NET_VNET_GSO_TCP6:
		fits = frame->kind == NET_KIND_TCP && frame->v6;
		break;
	case NET_VNET_GSO_UDP_L4:
		/* Each segment becomes a datagram, which costs the same whatever its size. */
		fits = frame->kind == NET_KIND_UDP && vnet->gso_type == NET_VNET_GSO_UDP_L4 &&
		       frame->payload_len <= (uint32_t)vnet->gso_size * NET_VNET_SEGMENTS_MAX;
		break;
	default:
		return NET_FRAME_E_OFFLOAD;
	}
	/* The header must promise a checksum to be made per segment, and name a size. */
	return fits && needs && vnet->gso_size ? 0 : NET_FRAME_E_OFFLOAD;
}
