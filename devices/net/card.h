/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: the virtio-net card: fills the guest's receive ring for the TCP engine, drains its transmit ring into it.
 *
 * Frames pass in the order: head copied once, parsed (proto/net-frame), offload header and checksum checked, addresses
 * checked, then TCP, ARP or echo; anything else is counted and dropped. Never sends a frame to anybody
 * but the one guest, never allocates once rings run. Who may call it: main, stats.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/tcp.h"
#include "devices/vhost/vhost.h"

enum { CARD_RX, CARD_TX, CARD_QUEUES };
enum {
	CARD_TX_BUDGET = 256,	 /* frames from the guest per round */
	CARD_TRIM_FRAMES = 1024, /* moved between two returns of touched guest pages */
	CARD_CHAINS_MAX = 64,	 /* receive buffers of one frame */
	CARD_SEGMENTS_MAX = 64,	 /* of one chain */
};

struct card_stats {
	uint64_t rx_packets, tx_packets;
	uint64_t bad_frames; /* malformed */
	uint64_t ignored;    /* well-formed, for nobody here */
};

struct card {
	struct vhost *vhost;
	struct tcp *tcp; /* borrowed */
	bool mergeable;
	bool tx_work;	/* the transmit ring may hold chains */
	bool ended;	/* the connection is over, END_CODE says how */
	int end_code;
	const char *end_reason;
	uint16_t mtu;
	uint16_t n_chains; /* of the frame being filled */
	struct vring_chain chains[CARD_CHAINS_MAX];
	struct card_stats stats;
	uint64_t trimmed; /* frames moved when touched guest pages were last given back */
};

extern const struct wire_ops card_wire_ops;

/* Serves the connected vhost-user socket FD (consumed). CARD outlives the connection. Return: 0 or -errno. */
int card_start(struct card *card, struct loop *loop, int fd, struct tcp *tcp, uint16_t mtu);
void card_stop(struct card *card);
/* Takes frames from the guest. Return: true when more wait. */
bool card_drain(struct card *card);
/* Publishes what this round placed in the rings. */
void card_flush(struct card *card);
/* The engine has gone quiet: gives touched guest pages back after every CARD_TRIM_FRAMES frames. */
void card_quiet(struct card *card);
