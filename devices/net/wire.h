/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: what the TCP engine knows of the card: room for one frame to the guest at a time.
 *
 * card.c implements it over the rings, tests over memory. Who may call it: the parts of devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/net-frame.h"

enum { WIRE_SEGMENTS_MAX = 128 };

/* Guest buffers for one frame, virtio-net header included. IOV may be given to recvmsg, nothing else. */
struct wire_room {
	struct iovec iov[WIRE_SEGMENTS_MAX];
	size_t n_iov;
	size_t capacity; /* bytes */
};

/* What the guest accepts. */
struct wire_caps {
	bool csum; /* frames with partial checksums (GUEST_CSUM) */
	bool tso4, tso6;
	uint16_t mtu;
};

struct wire_ops {
	/* Reserves buffers for a virtio-net header and LEN bytes of frame; gives less (at least a head's
	 * length) when the guest offers less. Exactly one commit or cancel follows. Return: 0; -EAGAIN: no buffer. */
	int (*reserve)(void *wire, size_t len, struct wire_room *room);
	/* Sends HEAD and the PAYLOAD_LEN bytes already placed behind it (from byte NET_VNET_LEN + HEAD_LEN of ROOM).
	 * VNET's num_buffers is filled in. Visible to the guest after flush. */
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
