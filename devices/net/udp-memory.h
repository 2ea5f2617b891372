/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-memory: UDP without rings: a card in memory that insists on the rules of wire.h, rules and ICMP as the test wants them, and
 * frames of a guest. For tests and fuzz targets only.
 */
#pragma once

#include "devices/net/udp-private.h"

enum { UDP_MEMORY_FRAMES_MAX = 1024, UDP_MEMORY_ERRORS_MAX = 64 };

struct udp_memory_frame {
	struct net_vnet vnet;
	struct net_frame parsed;
	size_t len;
	uint8_t *data;
};

struct udp_memory {
	struct udp *udp;
	int watch_fd;
	struct policy policy;
	struct icmp_error icmp;
	struct wire_caps caps;
	unsigned int buffers; /* the guest still offers */
	size_t buffer_size;
	unsigned int first_room, n_rooms; /* outstanding */
	struct udp_memory_frame sent[UDP_MEMORY_FRAMES_MAX];
	size_t n_sent, n_malformed;
	uint64_t now_us;
	/* What the outside says: */
	bool refuse, disguise;
	struct net_addr dial; /* instead of the address asked for */
	unsigned int decisions;
	int errors[UDP_MEMORY_ERRORS_MAX]; /* told to the guest */
	uint16_t error_mtu;
	size_t n_errors;
};

extern struct udp_memory udp_memory;

/* Begins anew; CAPS may be NULL: a Linux guest at MTU 1500. */
void udp_memory_init(const struct wire_caps *caps);
void udp_memory_done(void);
void udp_memory_clear(void);
/* A datagram of the guest to KEY, gathered; GSO not 0: a superframe. */
void udp_memory_say(const struct flow_key *key, const void *payload, size_t len, uint16_t gso);
/* A frame of the guest; what does not parse as UDP is dropped. */
void udp_memory_frame(const uint8_t *data, size_t len, const struct net_vnet *vnet);
/* Ends the batch, then events, timers, sending, until there is nothing to do. */
void udp_memory_run(void);
