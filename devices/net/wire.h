/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: what the protocol parts know of the card: room for frames to the guest.
 *
 * card.c implements it over the rings, tests over memory. Who may call it: the parts of devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/net-frame.h"

enum {
	WIRE_SEGMENTS_MAX = 128,
	WIRE_ROOMS_MAX = 64, /* outstanding at a time */
};

/* Guest buffers for one frame, virtio-net header included. IOV may be given to recvmsg, nothing else. */
struct wire_room {
	size_t n_iov;
	size_t capacity; /* bytes */
	uint16_t first_chain, n_chains; /* the card's */
	struct iovec iov[WIRE_SEGMENTS_MAX];
};

/* What the guest accepts. */
struct wire_caps {
	bool csum; /* frames with partial checksums (GUEST_CSUM) */
	bool tso4, tso6;
	bool uso; /* UDP segmentation: GUEST_USO4 and 6 */
	bool mergeable;
	uint16_t mtu;
};

struct wire_ops {
	/* Reserves buffers for a virtio-net header and LEN bytes of frame; gives less (at least a head's length) when the
	 * guest offers less. Exactly one commit or cancel follows for each room, in the same round, and ROOM stays where it is
	 * until then: commits in the order of the reservations, cancel always of the youngest room outstanding. Return: 0;
	 * -EAGAIN: no buffer (the guest was asked to say when it has one, see frame_sink.room), or WIRE_ROOMS_MAX rooms are
	 * out: whoever holds rooms commits them and asks once more before it waits. */
	int (*reserve)(void *wire, size_t len, struct wire_room *room);
	/* Sends HEAD and the PAYLOAD_LEN bytes already placed behind it (from byte NET_VNET_LEN + HEAD_LEN of ROOM).
	 * VNET's num_buffers is filled in. Visible to the guest after flush. Buffers of ROOM that the frame does not reach go
	 * back to the ring only when ROOM is the youngest; otherwise the frame is padded until it reaches the last one. */
	void (*commit)(void *wire, struct wire_room *room, struct net_vnet *vnet, const uint8_t *head,
		       size_t head_len, size_t payload_len);
	void (*cancel)(void *wire, struct wire_room *room);
	/* net_sum() over bytes [OFF, OFF + LEN) of ROOM. */
	uint64_t (*sum)(void *wire, const struct wire_room *room, size_t off, size_t len);
};

/* Payload of a frame from the guest: bytes [off, off + len) of the segments. For sendmsg only. */
struct wire_payload {
	const struct iovec *iov;
	size_t n_iov;
	size_t off, len;
};

/* net_sum() over bytes [OFF, OFF + LEN) of guest memory, from SUM on; LEN is even, or this is the last piece. */
uint64_t wire_sum(uint64_t sum, const struct iovec *iov, size_t n_iov, size_t off, size_t len);
/* Sends the LEN bytes of FRAME (no offload, checksums complete). Return: 0; -EAGAIN: no buffer; -EMSGSIZE: the buffer there
 * is is smaller. */
int wire_send(const struct wire_ops *wire, void *data, const uint8_t *frame, size_t len);
