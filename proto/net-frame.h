/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-frame: Ethernet, ARP, IPv4, IPv6, TCP and ICMP echo headers, and the virtio-net header before them.
 *
 * Reads only a private copy of the first bytes of a frame (guest memory is copied once, by the caller);
 * the payload never passes through here. Every length is checked against the bytes there are. Sources: RFC 826,
 * 791, 8200, 9293, 1071; virtio 1.2 section 5.1.6. Pure codec: no I/O, no allocation.
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
	NET_ECHO_LEN = 8,
	NET_VNET_LEN = 12,
	/* Longest head a frame can have before its TCP payload: Ethernet, IPv4 and TCP with all options. */
	NET_HEAD_MAX = NET_ETH_LEN + 60 + 60,
	/* Longest head built here: IPv6, TCP with two options. */
	NET_HEAD_OUT_MAX = NET_ETH_LEN + NET_IP6_LEN + NET_TCP_LEN + 8,
	NET_FRAME_MAX = NET_ETH_LEN + 65535,
	NET_ARP_FRAME_LEN = NET_ETH_LEN + NET_ARP_LEN,
};

enum net_tcp_flag { NET_FIN = 1, NET_SYN = 2, NET_RST = 4, NET_PSH = 8, NET_ACK = 16 };

/* An IPv6 address, or an IPv4 address mapped into one (::ffff:a.b.c.d), in network order. */
struct net_addr {
	uint8_t byte[16];
};

enum net_kind { NET_KIND_OTHER, NET_KIND_ARP, NET_KIND_TCP, NET_KIND_ECHO, NET_KIND_MAX };

/* Why a frame is refused. */
enum net_frame_error {
	NET_FRAME_E_SHORT = 1, /* ends within a header */
	NET_FRAME_E_LENGTH,    /* a length field contradicts another or the frame */
	NET_FRAME_E_CHECKSUM,  /* IPv4 header checksum */
	NET_FRAME_E_FRAGMENT,  /* fragments are not put together */
	NET_FRAME_E_OFFLOAD,   /* virtio-net header asks for what the frame is not */
	NET_FRAME_E_MAX,
};

/* Offsets count from the start of the Ethernet header. */
struct net_frame {
	enum net_kind kind;
	bool v6;
	uint8_t dst_mac[NET_MAC_LEN], src_mac[NET_MAC_LEN];
	struct net_addr src, dst;
	uint16_t l4_off;
	uint32_t l4_len; /* transport header and payload, by the IP header */
	uint32_t payload_off, payload_len;
	union {
		struct {
			uint16_t src_port, dst_port, window, mss; /* mss 0: not given */
			uint32_t seq, ack;
			uint8_t flags;
			int8_t scale; /* -1: not given */
		} tcp;
		struct {
			bool request;
			uint8_t sender_mac[NET_MAC_LEN];
			struct net_addr sender, target;
		} arp;
		struct { uint16_t id, seq; } echo; /* requests only */
	};
};

/* HEAD holds the first HEAD_LEN bytes of a frame of TOTAL bytes, all of them up to NET_HEAD_MAX. Kinds that
 * nobody here serves are NET_KIND_OTHER with addresses unset. Return: 0 or NET_FRAME_E_*. */
int net_frame_parse(struct net_frame *ret, const uint8_t *head, size_t head_len, size_t total);

enum net_vnet_flag { NET_VNET_NEEDS_CSUM = 1, NET_VNET_DATA_VALID = 2 };
enum net_vnet_gso { NET_VNET_GSO_NONE = 0, NET_VNET_GSO_TCP4 = 1, NET_VNET_GSO_TCP6 = 4, NET_VNET_GSO_ECN = 0x80 };

struct net_vnet {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
void net_vnet_decode(struct net_vnet *ret, const uint8_t src[static NET_VNET_LEN]);
void net_vnet_encode(const struct net_vnet *vnet, uint8_t dst[static NET_VNET_LEN]);
/* Return: 0 when VNET may stand before FRAME in a device that offered CSUM and HOST_TSO; NET_FRAME_E_OFFLOAD. */
int net_vnet_check(const struct net_vnet *vnet, const struct net_frame *frame);

struct net_tcp_out {
	bool v6;
	const uint8_t *src_mac, *dst_mac;
	struct net_addr src, dst;
	uint16_t src_port, dst_port, window, mss; /* mss 0: no option */
	uint32_t seq, ack;
	uint8_t flags;
	int8_t scale; /* -1: no option */
	uint32_t payload_len;
};
/* Writes the head of a TCP frame; its checksum field holds the pseudo-header's sum, as NEEDS_CSUM wants it.
 * PAYLOAD_LEN is such that the IP packet stays below 65536 bytes. Return: length of the head. */
size_t net_frame_build_tcp(uint8_t dst[static NET_HEAD_OUT_MAX], const struct net_tcp_out *out);
/* Completes the checksum of HEAD from build_tcp: PAYLOAD_SUM is net_sum() over the payload. */
void net_frame_finish_tcp(uint8_t *head, size_t head_len, bool v6, uint64_t payload_sum);
/* Answers the ARP request in FRAME for MAC. */
void net_frame_build_arp(uint8_t dst[static NET_ARP_FRAME_LEN], const struct net_frame *request,
			 const uint8_t mac[static NET_MAC_LEN]);
/* Turns the ICMPv4 echo request PACKET (LEN bytes from the Ethernet header on, head already parsed into FRAME) into its
 * reply, in place. Return: length of the frame without padding. */
size_t net_frame_build_echo(uint8_t *packet, size_t len, const struct net_frame *frame,
			    const uint8_t mac[static NET_MAC_LEN]);

/* One's complement sums (RFC 1071): start with 0, chain even-length pieces, fold at the end. */
uint64_t net_sum(uint64_t sum, const void *data, size_t len);
uint16_t net_fold(uint64_t sum);
/* Sum of the pseudo-header of FRAME's transport part. */
uint64_t net_pseudo_sum(const struct net_frame *frame);

struct net_addr net_addr4(uint32_t host_order);
bool net_addr_is_v4(const struct net_addr *addr);
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b);
