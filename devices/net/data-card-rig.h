/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data-card-rig: the data card over memory-wire, with counting stand-ins for the engines behind it. For tests and fuzz targets.
 *
 * Frames go in as the card gives them (frame_take), in two segments of memory that end where the frame ends. What is sent is
 * checked: it parses, its checksums are right, it is no longer than the MTU and holds nothing of what was in the buffers before.
 */
#pragma once

#include "devices/net/data-card.h"
#include "devices/net/memory-wire.h"
#include "proto/data-card.h"

struct card_rig {
	struct data_card card;
	struct memory_net wire; /* what was sent */
	struct tcp tcp;
	/* Calls of the engines. */
	unsigned int n_tcp, n_udp, n_dns, n_echo, n_batch_end;
	struct flow_key last_key; /* UDP and DNS */
	uint8_t last[65536];	  /* payload, UDP and DNS */
	size_t last_len;
	struct wire_caps told;
	unsigned int n_dirty; /* frames sent with bytes of old buffers in them */
};
extern struct card_rig rig;

extern const uint8_t rig_host_mac[NET_MAC_LEN], rig_guest_mac[NET_MAC_LEN];

/* A configured card with MTU whose rings run. */
void rig_init(uint16_t mtu, bool ipv6);
void rig_done(void);
/* Fixture of a test: a card with an MTU of 1500 and IPv6; at the end all that was sent must have been right. Return: 0 or -1. */
int rig_set_up(void **state);
int rig_tear_down(void **state);
/* A frame from the guest, without virtio-net header. Return: as frame_sink.frame. */
int rig_frame(const uint8_t *frame, size_t len);
int rig_frame_vnet(const struct net_vnet *vnet, const uint8_t *frame, size_t len);
/* Forgets what was sent and counted. */
void rig_clear(void);
/* Nothing was sent, no engine was called. */
bool rig_silent(void);

struct rig_packet {
	bool v6;
	struct net_addr src, dst;
	const uint8_t *src_mac, *dst_mac; /* NULL: guest, host */
	uint8_t proto, hop_limit;
	const void *l4; /* checksum is filled in for known protocols when SUM */
	size_t l4_len;
	bool sum;
};
/* Builds a frame. Return: its length. */
size_t rig_build(uint8_t *dst, const struct rig_packet *packet);
/* A UDP datagram from the guest. Return: length of the frame. */
size_t rig_udp(uint8_t *dst, const struct net_addr *to, uint16_t src_port, uint16_t dst_port, const void *payload, size_t len);
/* A DHCP message of the guest with OPTIONS behind its type, from SRC to all. Return: length of the frame. */
size_t rig_dhcp(uint8_t *dst, uint8_t type, const char *options, size_t n_options);
