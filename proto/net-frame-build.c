/* SPDX-License-Identifier: Apache-2.0 */
/* net-frame-build: see the header. Checksum fields are sums of words in memory order, see net-frame.c. */
#include <string.h>

#include "base/bytes.h"
#include "proto/net-frame.h"

enum {
	ARP_ETHERNET = 1,
	ARP_REPLY = 2,
	HOP_LIMIT = 64,
	IP4_DONT_FRAGMENT = 0x4000, /* the identification may be 0 then (RFC 6864) */
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_SCALE = 3,
	/* Of the checksum within its header. */
	IP4_CSUM_OFF = 10,
	TCP_CSUM_OFF = 16,
	UDP_CSUM_OFF = 6,
	ICMP_CSUM_OFF = 2,
};

static void build_eth(uint8_t *dst, const uint8_t *to, const uint8_t *from, uint16_t type)
{
	memcpy(dst, to, NET_MAC_LEN);
	memcpy(dst + NET_MAC_LEN, from, NET_MAC_LEN);
	be16_store(dst + 12, type);
}

static void build_ip4(uint8_t *p, const struct net_ip_out *out)
{
	memset(p, 0, NET_IP4_LEN);
	p[0] = 0x45;
	be16_store(p + 2, (uint16_t)(NET_IP4_LEN + out->l4_len));
	be16_store(p + 6, IP4_DONT_FRAGMENT);
	p[8] = out->hop_limit ? out->hop_limit : HOP_LIMIT;
	p[9] = out->proto;
	memcpy(p + 12, out->src.byte + 12, 4);
	memcpy(p + 16, out->dst.byte + 12, 4);
	le16_store(p + IP4_CSUM_OFF, (uint16_t)~net_fold(net_sum(0, p, NET_IP4_LEN)));
}

static void build_ip6(uint8_t *p, const struct net_ip_out *out)
{
	memset(p, 0, 8);
	p[0] = 0x60;
	be16_store(p + 4, (uint16_t)out->l4_len);
	p[6] = out->proto;
	p[7] = out->hop_limit ? out->hop_limit : HOP_LIMIT;
	memcpy(p + 8, out->src.byte, 16);
	memcpy(p + 24, out->dst.byte, 16);
}

size_t net_frame_build_ip(uint8_t dst[static NET_IP6_LEN], const struct net_ip_out *out)
{
	if (out->v6) {
		build_ip6(dst, out);
		return NET_IP6_LEN;
	}
	build_ip4(dst, out);
	return NET_IP4_LEN;
}

static size_t l4_offset(bool v6)
{
	return NET_ETH_LEN + (v6 ? NET_IP6_LEN : NET_IP4_LEN);
}

/* Ethernet and IP header before an L4_LEN bytes long transport part. */
static void build_lower(uint8_t *dst, const uint8_t *to, const uint8_t *from, const struct net_ip_out *out)
{
	build_eth(dst, to, from, out->v6 ? NET_ETH_IP6 : NET_ETH_IP4);
	(void)net_frame_build_ip(dst + NET_ETH_LEN, out);
}

static size_t build_options(uint8_t *p, const struct net_tcp_out *out)
{
	size_t n = 0;

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
	return n;
}

size_t net_frame_build_tcp(uint8_t dst[static NET_HEAD_OUT_MAX], const struct net_tcp_out *out)
{
	uint8_t *p = dst + l4_offset(out->v6);
	size_t n = NET_TCP_LEN + build_options(p + NET_TCP_LEN, out);
	struct net_ip_out ip = {.v6 = out->v6, .src = out->src, .dst = out->dst, .proto = NET_IP_TCP,
				.l4_len = (uint32_t)n + out->payload_len};

	be16_store(p, out->src_port);
	be16_store(p + 2, out->dst_port);
	be32_store(p + 4, out->seq);
	be32_store(p + 8, out->ack);
	p[12] = (uint8_t)(n / 4 << 4);
	p[13] = out->flags;
	be16_store(p + 14, out->window);
	le16_store(p + TCP_CSUM_OFF, net_fold(net_pseudo_sum_of(&out->src, &out->dst, out->v6, NET_IP_TCP, ip.l4_len)));
	be16_store(p + 18, out->flags & NET_URG ? out->urgent : 0);
	build_lower(dst, out->dst_mac, out->src_mac, &ip);
	return l4_offset(out->v6) + n;
}

void net_frame_finish_tcp(uint8_t *head, size_t head_len, bool v6, uint64_t payload_sum)
{
	size_t l4_off = l4_offset(v6);

	/* The field holds the pseudo-header's part, so it is simply summed with the rest. */
	payload_sum = net_sum(payload_sum, head + l4_off, head_len - l4_off);
	le16_store(head + l4_off + TCP_CSUM_OFF, (uint16_t)~net_fold(payload_sum));
}

size_t net_frame_build_udp(uint8_t dst[static NET_UDP_HEAD_MAX], const struct net_udp_out *out)
{
	uint8_t *p = dst + l4_offset(out->v6);
	struct net_ip_out ip = {.v6 = out->v6, .src = out->src, .dst = out->dst, .proto = NET_IP_UDP,
				.l4_len = NET_UDP_LEN + out->payload_len};

	be16_store(p, out->src_port);
	be16_store(p + 2, out->dst_port);
	be16_store(p + 4, (uint16_t)ip.l4_len);
	le16_store(p + UDP_CSUM_OFF, net_fold(net_pseudo_sum_of(&out->src, &out->dst, out->v6, NET_IP_UDP, ip.l4_len)));
	build_lower(dst, out->dst_mac, out->src_mac, &ip);
	return l4_offset(out->v6) + NET_UDP_LEN;
}

void net_frame_finish_udp(uint8_t *head, size_t head_len, bool v6, uint64_t payload_sum)
{
	size_t l4_off = l4_offset(v6);
	uint16_t sum;

	payload_sum = net_sum(payload_sum, head + l4_off, head_len - l4_off);
	sum = (uint16_t)~net_fold(payload_sum);
	le16_store(head + l4_off + UDP_CSUM_OFF, sum ? sum : 0xffff); /* 0 would say that there is none */
}

size_t net_frame_build_icmp(uint8_t dst[static NET_ICMP_HEAD_MAX], const struct net_icmp_out *out, uint64_t payload_sum)
{
	uint8_t *p = dst + l4_offset(out->v6);
	struct net_ip_out ip = {.v6 = out->v6, .src = out->src, .dst = out->dst, .hop_limit = out->hop_limit,
				.proto = out->v6 ? NET_IP_ICMP6 : NET_IP_ICMP, .l4_len = NET_ICMP_LEN + out->payload_len};

	p[0] = out->type;
	p[1] = out->code;
	be16_store(p + ICMP_CSUM_OFF, 0);
	be32_store(p + 4, out->rest);
	payload_sum = net_sum(payload_sum, p, NET_ICMP_LEN);
	if (out->v6)
		payload_sum += net_pseudo_sum_of(&out->src, &out->dst, true, NET_IP_ICMP6, ip.l4_len);
	le16_store(p + ICMP_CSUM_OFF, (uint16_t)~net_fold(payload_sum));
	build_lower(dst, out->dst_mac, out->src_mac, &ip);
	return l4_offset(out->v6) + NET_ICMP_LEN;
}

void net_frame_build_arp(uint8_t dst[static NET_ARP_FRAME_LEN], const struct net_frame *request,
			 const uint8_t mac[static NET_MAC_LEN])
{
	uint8_t *p = dst + NET_ETH_LEN;

	build_eth(dst, request->arp.sender_mac, mac, NET_ETH_ARP);
	be16_store(p, ARP_ETHERNET);
	be16_store(p + 2, NET_ETH_IP4);
	p[4] = NET_MAC_LEN;
	p[5] = 4;
	be16_store(p + 6, ARP_REPLY);
	memcpy(p + 8, mac, NET_MAC_LEN);
	memcpy(p + 14, request->arp.target.byte + 12, 4);
	memcpy(p + 18, request->arp.sender_mac, NET_MAC_LEN);
	memcpy(p + 24, request->arp.sender.byte + 12, 4);
}
