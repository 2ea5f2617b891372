/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame-sink: the seam between the card (rings) and what serves its frames: one frame of the guest, checked and copied.
 *
 * control-card.c serves the control card, data-card.c the data card. Who may call it: the parts of devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/net/wire.h"
#include "proto/net-frame.h"

enum { CARD_CAPTURE_MAX = 192 }; /* longer frames: only the headers are copied before somebody asks for more */

/* Parsed and consistent (net_frame_parse, net_vnet_check); transport checksums are NOT checked yet: frame_checksum_ok(). */
struct card_frame {
	const struct net_vnet *vnet;
	const struct net_frame *frame;
	const struct iovec *iov; /* the chain's readable segments; the frame begins at byte NET_VNET_LEN. Guest memory: for
				  * sendmsg and guest_iov_read only */
	size_t n_iov;
	const uint8_t *packet; /* private copy of the first CAPTURED bytes from the Ethernet header on */
	size_t captured;       /* all of them when TOTAL is at most CARD_CAPTURE_MAX, else at least the headers */
	size_t total;	       /* bytes of the frame without the virtio-net header */
};

struct frame_sink {
	/* Takes one frame. Return: 0; -EBADMSG: malformed (counted as bad); -ENOENT: for nobody here (counted as ignored). */
	int (*frame)(void *sink, const struct card_frame *frame);
	/* After a batch: nothing of it is in the card's hands any more (batched sends go out now, the guest's memory of this
	 * round's frames is still valid until this returns). May be NULL. */
	void (*batch_end)(void *sink);
	/* Rings run or stopped, wire capabilities. */
	void (*up)(void *sink, const struct wire_caps *caps);
	void (*down)(void *sink);
	/* The guest gave receive buffers after there were none. */
	void (*room)(void *sink);
};

/* Copies, parses and checks the frame of LEN bytes (virtio-net header included) in IOV, and gives it to SINK. Return: as
 * frame_sink.frame. */
int frame_take(const struct frame_sink *sink, void *sink_data, const struct iovec *iov, size_t n_iov, size_t len);
/* The transport checksum is right (TCP, UDP, ICMP, ICMPv6), or the guest left it to us: then nobody on the way could have
 * damaged it. Not for fragments. */
bool frame_checksum_ok(const struct card_frame *frame);
/* Copies up to LEN bytes from byte OFF of the frame on: what was captured from there, the rest from guest memory, so that no
 * byte is ever read twice. Return: bytes copied. */
size_t frame_read(const struct card_frame *frame, size_t off, void *dst, size_t len);
/* FRAME's payload, for sendmsg. */
struct wire_payload frame_payload(const struct card_frame *frame);
