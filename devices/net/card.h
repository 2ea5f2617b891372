/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: the virtio-net card's rings: drains the guest's transmit ring into a sink, fills its receive ring through wire_ops.
 *
 * Frames pass in the order: head copied once, parsed (proto/net-frame), offload header checked (all that: frame_take), then
 * the sink decides. The card itself knows no address and no protocol. Never sends a frame to anybody but the one guest, never
 * allocates once rings run. Who may call it: main, stats, the sinks by wire_ops.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/capture.h"
#include "devices/net/frame-sink.h"
#include "devices/net/wire.h"
#include "devices/vhost/vhost.h"
#include "proto/virtio.h"

enum { CARD_RX, CARD_TX, CARD_QUEUES };
enum {
	CARD_TX_BUDGET = 256,	 /* frames from the guest per round */
	CARD_TRIM_FRAMES = 1024, /* moved between two returns of touched guest pages */
	CARD_CHAINS_MAX = 64,	 /* receive buffers of one frame */
	CARD_SEGMENTS_MAX = 64,	 /* of one chain */
	CARD_CHAINS_OUT_MAX = CARD_CHAINS_MAX * WIRE_ROOMS_MAX,
	CARD_MTU_MIN = 576,
};

/* What the two cards offer. */
#define CARD_FEATURES_CONTROL                                                                                                 \
	(VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT_DESC | VIRTIO_NET_CSUM | VIRTIO_NET_GUEST_CSUM | VIRTIO_NET_MTU |             \
	 VIRTIO_NET_GUEST_TSO4 | VIRTIO_NET_GUEST_TSO6 | VIRTIO_NET_HOST_TSO4 | VIRTIO_NET_HOST_TSO6 | VIRTIO_NET_MRG_RXBUF)
#define CARD_FEATURES_DATA (CARD_FEATURES_CONTROL | VIRTIO_NET_GUEST_USO4 | VIRTIO_NET_GUEST_USO6 | VIRTIO_NET_HOST_USO)

struct card_stats {
	uint64_t rx_packets, tx_packets;
	uint64_t bad_frames; /* malformed */
	uint64_t ignored;    /* well-formed, for nobody here */
	uint64_t starved;    /* times that the guest had no receive buffer */
};

struct card {
	struct vhost *vhost;
	const struct frame_sink *sink;
	void *sink_data;
	struct capture *capture; /* borrowed, may be NULL: main sets it */
	bool mergeable;
	bool tx_work;	/* the transmit ring may hold chains */
	bool ended;	/* the connection is over, END_CODE says how */
	int end_code;
	const char *end_reason;
	uint16_t mtu;
	uint16_t n_rooms;		 /* outstanding */
	uint16_t first_chain, end_chain; /* of all outstanding rooms, oldest first; 0 when there is none */
	struct card_stats stats;
	uint64_t trimmed; /* frames moved when touched guest pages were last given back */
	struct vring_chain chains[CARD_CHAINS_OUT_MAX];
};

extern const struct wire_ops card_wire_ops; /* their data is a struct card */

/* Serves the connected vhost-user socket FD (consumed), offering FEATURES. CARD outlives the connection. Return: 0 or -errno. */
int card_start(struct card *card, struct loop *loop, int fd, const struct frame_sink *sink, void *sink_data, uint64_t features,
	       uint16_t mtu);
void card_stop(struct card *card);
/* Takes frames from the guest. Return: true when more wait. */
bool card_drain(struct card *card);
/* Publishes what this round placed in the rings. */
void card_flush(struct card *card);
/* All has gone quiet: gives touched guest pages back after every CARD_TRIM_FRAMES frames. */
void card_quiet(struct card *card);
