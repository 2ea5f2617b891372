/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory-wire: the engine without rings: one card in memory, a list of what it sent, and host ends as socket
 * pairs. For tests and fuzz targets only.
 */
#pragma once

#include "devices/net/host-unix.h"
#include "devices/net/tcp.h"

enum { MEMORY_FRAMES_MAX = 64, MEMORY_FRAME_MAX = NET_VNET_LEN + NET_FRAME_MAX, MEMORY_PEERS_MAX = 16 };

struct memory_frame {
	struct net_vnet vnet;
	struct net_frame parsed;
	size_t len; /* without the virtio-net header */
	uint8_t *data;
};

struct memory_net {
	struct tcp tcp;
	struct host_unix host;
	int watch_fd;
	unsigned int buffers; /* the guest still offers */
	size_t buffer_size;
	struct memory_frame sent[MEMORY_FRAMES_MAX]; /* the oldest first; more are dropped */
	size_t n_sent;
	unsigned int n_malformed; /* frames sent that do not parse, or have a wrong checksum */
	unsigned int first_room, n_rooms; /* outstanding */
	uint16_t mtu; /* no longer frame may be sent; 0: any */
	int peers[MEMORY_PEERS_MAX]; /* the host programs' ends */
	size_t n_peers;
	uint64_t now_us;
};

extern const struct wire_ops memory_wire_ops; /* their data is a struct memory_net */
/* The wire alone, without an engine. memory_net_clear ends it. */
void memory_wire_init(struct memory_net *m, const struct wire_caps *caps);
void memory_net_init(struct memory_net *m, uint32_t flows_max, const struct wire_caps *caps);
void memory_net_done(struct memory_net *m);
/* A host program connects to PORT. Return: index of its end, -1: refused. */
int memory_net_connect(struct memory_net *m, uint16_t port);
/* A frame from the guest: virtio-net header and frame. Passes the same checks as in card.c. Return: 0 or NET_FRAME_E_*. */
int memory_net_frame(struct memory_net *m, const uint8_t *data, size_t len);
/* A segment from the guest. */
void memory_net_segment(struct memory_net *m, const struct net_tcp_out *out, const void *payload);
/* Events, timers, sending, until there is nothing to do. */
void memory_net_run(struct memory_net *m);
/* Forgets the frames sent. */
void memory_net_clear(struct memory_net *m);
