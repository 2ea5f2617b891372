/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: frames on the control socket between the machine (or backend) and a device process.
 *
 * Carrier: Unix seqpacket, inherited by the device at descriptor 4. Frame: 8-byte header (type u16, version
 * u16, body length u32, little-endian) and a body fixed by the type; descriptors beside it, their number
 * fixed by the table. Pure codec.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DEVICE_VERSION = 1, DEVICE_HEADER_SIZE = 8, DEVICE_FRAME_MAX = 128 };

enum device_type {
	DEVICE_READY = 1,     /* device to machine: jail is shut, rings may come. no descriptor */
	DEVICE_FLOW = 2,      /* device to machine: guest opened host port; 1 descriptor: the host's end */
	DEVICE_STATS_GET = 3, /* machine to device */
	DEVICE_STATS = 4,     /* device to machine */
	DEVICE_TYPE_MAX = 5,
};

struct device_stats {
	uint64_t flows_now, flows_total, flows_refused;
	uint64_t rx_bytes, tx_bytes;	 /* payload: to the guest, from the guest */
	uint64_t rx_packets, tx_packets; /* frames on the rings */
	uint64_t drops, retransmits, bad_frames;
};
struct device_message {
	enum device_type type;
	union {
		struct { uint16_t port; } flow;
		struct device_stats stats;
	};
};

/* Return: frame length; -EINVAL. */
int device_encode(const struct device_message *message, uint8_t dst[static DEVICE_FRAME_MAX]);
/* N_FDS is the number of descriptors that came with it. Return: 0; -EBADMSG. */
int device_decode(struct device_message *ret, const uint8_t *src, size_t len, size_t n_fds);
