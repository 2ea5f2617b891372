/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-frame: Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP echo and neighbour discovery headers as a frame begins with them,
 * and the virtio-net header before them. What is built is in net-frame-build.h.
 *
 * Reads only a private copy of the first bytes of a frame (guest memory is copied once, by the caller);
 * the payload never passes through here. Every length is checked against the bytes there are. Sources: RFC 826, 768, 791,
 * 792, 4443, 4861, 8200, 9293, 1071; virtio 1.2 section 5.1.6. Pure codec: no I/O, no allocation. Used by devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NET_MAC_LEN = 6,
	NET_ETH_LEN = 14,
	NET_ARP_LEN = 28,
	NET_IP4_LEN = 20,
	NET_IP6_LEN = 40,
	NET_TCP_LEN = 20,
	NET_UDP_LEN = 8,
	NET_ECHO_LEN = 8,
	NET_FRAGMENT_LEN = 8, /* IPv6's extension header */
	NET_NDP_HOP_LIMIT = 255, /* RFC 4861: nothing that passed a router counts */
	NET_VNET_LEN = 12,
	/* Longest head a frame can have before its TCP payload: Ethernet, IPv4 and TCP with all options. */
	NET_HEAD_MAX = NET_ETH_LEN + 60 + 60,
	/* Longest head built here: IPv6, TCP with two options. */
	NET_HEAD_OUT_MAX = NET_ETH_LEN + NET_IP6_LEN + NET_TCP_LEN + 8,
	NET_FRAME_MAX = NET_ETH_LEN + 65535,
	NET_ARP_FRAME_LEN = NET_ETH_LEN + NET_ARP_LEN,
};

enum net_tcp_flag { NET_FIN = 1, NET_SYN = 2, NET_RST = 4, NET_PSH = 8, NET_ACK = 16, NET_URG = 32 };
enum net_ip_proto { NET_IP_ICMP = 1, NET_IP_TCP = 6, NET_IP_UDP = 17, NET_IP_FRAGMENT = 44, NET_IP_ICMP6 = 58 };
enum net_eth_type { NET_ETH_IP4 = 0x0800, NET_ETH_ARP = 0x0806, NET_ETH_IP6 = 0x86dd };
enum net_ndp_type { NET_NDP_RS = 133, NET_NDP_RA = 134, NET_NDP_NS = 135, NET_NDP_NA = 136 };

/* An IPv6 address, or an IPv4 address mapped into one (::ffff:a.b.c.d), in network order. */
struct net_addr {
	uint8_t byte[16];
};

enum net_kind {
	NET_KIND_OTHER, /* nothing that anybody here serves */
	NET_KIND_ARP,
	NET_KIND_TCP,
	NET_KIND_UDP,
	NET_KIND_ECHO, /* requests only, of either family */
	NET_KIND_NDP,  /* RS, NS, NA: valid by RFC 4861, 6.1 and 7.1, but for the checksum */
	NET_KIND_FRAGMENT,
	NET_KIND_MAX,
};

/* Why a frame is refused. */
enum net_frame_error {
	NET_FRAME_E_SHORT = 1, /* ends within a header */
	NET_FRAME_E_LENGTH,    /* a length field contradicts another or the frame */
	NET_FRAME_E_CHECKSUM,  /* IPv4 header checksum */
	NET_FRAME_E_FRAGMENT,  /* a piece that cannot be part of any packet */
	NET_FRAME_E_OFFLOAD,   /* virtio-net header asks for what the frame is not */
	NET_FRAME_E_MAX,
};

/* Offsets count from the start of the Ethernet header. */
struct net_frame {
	enum net_kind kind;
	bool ip, v6;
	uint8_t ip_proto; /* of every IP frame; behind extension headers of other kinds than Fragment it is their number */
	uint8_t dst_mac[NET_MAC_LEN], src_mac[NET_MAC_LEN];
	struct net_addr src, dst; /* of every IP frame */
	uint16_t l4_off;
	uint32_t l4_len; /* transport header and payload, by the IP header, for UDP by its own; of a fragment its data */
	uint32_t payload_off, payload_len;
	union {
		struct {
			uint16_t src_port, dst_port, window, mss; /* mss 0: not given */
			uint16_t urgent;			  /* with NET_URG */
			uint32_t seq, ack;
			uint8_t flags;
			int8_t scale; /* -1: not given */
		} tcp;
		struct {
			uint16_t src_port, dst_port;
			bool no_checksum; /* IPv4 only */
		} udp;
		struct {
			bool request;
			uint8_t sender_mac[NET_MAC_LEN];
			struct net_addr sender, target;
		} arp;
		struct { uint16_t id, seq; } echo;
		struct {
			uint8_t type; /* enum net_ndp_type */
			struct net_addr target; /* NS, NA */
			bool has_mac;
			uint8_t mac[NET_MAC_LEN]; /* source link-layer address option */
		} ndp;
		struct {
			uint32_t id;
			uint16_t offset; /* bytes */
			bool more;
			uint8_t proto;
		} fragment;
	};
};

/* HEAD holds the first HEAD_LEN bytes of a frame of TOTAL bytes, all of them up to NET_HEAD_MAX. Checksums other than the
 * IPv4 header's are not looked at. Return: 0 or NET_FRAME_E_*. */
int net_frame_parse(struct net_frame *ret, const uint8_t *head, size_t head_len, size_t total);

enum net_vnet_flag { NET_VNET_NEEDS_CSUM = 1, NET_VNET_DATA_VALID = 2 };
enum net_vnet_gso {
	NET_VNET_GSO_NONE = 0,
	NET_VNET_GSO_TCP4 = 1,
	NET_VNET_GSO_TCP6 = 4,
	NET_VNET_GSO_UDP_L4 = 5, /* either family */
	NET_VNET_GSO_ECN = 0x80,
};
enum { NET_VNET_SEGMENTS_MAX = 128 /* datagrams of one UDP superframe: Linux's UDP_MAX_SEGMENTS */ };

struct net_vnet {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
void net_vnet_decode(struct net_vnet *ret, const uint8_t src[static NET_VNET_LEN]);
void net_vnet_encode(const struct net_vnet *vnet, uint8_t dst[static NET_VNET_LEN]);
/* Return: 0 when VNET may stand before FRAME in a device that offered CSUM, HOST_TSO and HOST_USO; NET_FRAME_E_OFFLOAD. */
int net_vnet_check(const struct net_vnet *vnet, const struct net_frame *frame);

/* One's complement sums (RFC 1071): start with 0, chain even-length pieces, fold at the end. */
uint64_t net_sum(uint64_t sum, const void *data, size_t len);
uint16_t net_fold(uint64_t sum);
/* Sum of the pseudo-header of FRAME's transport part; 0 for ICMPv4, which has none. */
uint64_t net_pseudo_sum(const struct net_frame *frame);
uint64_t net_pseudo_sum_of(const struct net_addr *src, const struct net_addr *dst, bool v6, uint8_t proto, uint32_t len);

struct net_addr net_addr4(uint32_t host_order);
bool net_addr_is_v4(const struct net_addr *addr);
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b);

#include "proto/net-frame-build.h"
