/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-frame-build: the frames and heads of frames that go to the guest. Part of net-frame.h, which includes it.
 *
 * Builders write every byte of what they return, nothing beyond it, and take their content from structures, never from a
 * frame of the guest as it came. Pure: no I/O, no allocation. Used by devices/net.
 */
#pragma once

#include "proto/net-frame.h"

struct net_tcp_out {
	bool v6;
	const uint8_t *src_mac, *dst_mac;
	struct net_addr src, dst;
	uint16_t src_port, dst_port, window, mss; /* mss 0: no option */
	uint16_t urgent;
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

enum { NET_UDP_HEAD_MAX = NET_ETH_LEN + NET_IP6_LEN + NET_UDP_LEN };

struct net_udp_out {
	bool v6;
	const uint8_t *src_mac, *dst_mac;
	struct net_addr src, dst;
	uint16_t src_port, dst_port;
	uint32_t payload_len;
};
/* Writes the head of a UDP frame; its checksum field holds the pseudo-header's sum, as NEEDS_CSUM wants it. PAYLOAD_LEN is
 * such that the IP packet stays below 65536 bytes. Return: length of the head. */
size_t net_frame_build_udp(uint8_t dst[static NET_UDP_HEAD_MAX], const struct net_udp_out *out);
/* Completes the checksum of HEAD from build_udp: PAYLOAD_SUM is net_sum() over the payload. */
void net_frame_finish_udp(uint8_t *head, size_t head_len, bool v6, uint64_t payload_sum);

enum { NET_ICMP_LEN = 8, NET_ICMP_HEAD_MAX = NET_ETH_LEN + NET_IP6_LEN + NET_ICMP_LEN };

struct net_icmp_out {
	bool v6;
	const uint8_t *src_mac, *dst_mac;
	struct net_addr src, dst;
	uint8_t type, code, hop_limit; /* hop_limit 0: the usual one */
	uint32_t rest; /* of the header: bytes 4 to 7 */
	uint32_t payload_len;
};
/* Writes the head of an ICMP or ICMPv6 frame; the checksum is complete when PAYLOAD_SUM is net_sum() over the PAYLOAD_LEN bytes
 * that follow. Return: length of the head. */
size_t net_frame_build_icmp(uint8_t dst[static NET_ICMP_HEAD_MAX], const struct net_icmp_out *out, uint64_t payload_sum);

struct net_ip_out {
	bool v6;
	struct net_addr src, dst;
	uint8_t proto, hop_limit;
	uint32_t l4_len;
};
/* Writes an IP header alone (quotations). Return: its length. */
size_t net_frame_build_ip(uint8_t dst[static NET_IP6_LEN], const struct net_ip_out *out);
