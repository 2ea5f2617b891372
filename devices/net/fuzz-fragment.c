/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-fragment: a hostile guest's fragments. Input: records of a little-endian length (two bytes), a time step (one byte,
 * units of 100 ms) and a frame; frames that are fragments are put together, and what comes out must be a whole frame.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "devices/net/fragment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD_HEAD = 3, RECORDS_MAX = 256 };

static struct fragments table;

static void take(const uint8_t *frame, size_t len, uint64_t now_us)
{
	uint8_t vnet_bytes[NET_VNET_LEN] = {0};
	struct iovec iov[2] = {{vnet_bytes, sizeof(vnet_bytes)}, {(void *)frame, len}};
	struct net_vnet vnet = {0};
	struct net_frame parsed, whole;
	struct card_frame card = {.vnet = &vnet, .frame = &parsed, .iov = iov, .n_iov = 2, .packet = frame, .captured = len, .total = len};
	uint64_t dropped = table.dropped;
	const uint8_t *packet;
	size_t packet_len;
	int r;

	if (net_frame_parse(&parsed, frame, len < NET_HEAD_MAX ? len : NET_HEAD_MAX, len) || parsed.kind != NET_KIND_FRAGMENT)
		return;
	r = fragment_take(&table, &card, now_us, &packet, &packet_len);
	if (r == -ENOENT && table.dropped != dropped)
		abort();
	if (r != FRAGMENT_WHOLE)
		return;
	/* Every byte of it is ours to read, the headers are sound, and it is no fragment any more. */
	if (packet_len > NET_FRAME_MAX || !net_sum(1, packet, packet_len))
		abort();
	if (packet[NET_ETH_LEN] >> 4 != (parsed.v6 ? 6 : 4))
		abort();
	if (!net_frame_parse(&whole, packet, packet_len, packet_len) && whole.kind == NET_KIND_FRAGMENT)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now_us = 0;

	for (size_t i = 0; i < FRAGMENT_DATAGRAMS; i++)
		table.datagram[i].used = false;
	for (int i = 0; i < RECORDS_MAX && size >= RECORD_HEAD; i++) {
		size_t len = le16_load(data);

		now_us += data[2] * 100000ull;
		data += RECORD_HEAD;
		size -= RECORD_HEAD;
		if (len > size)
			len = size;
		take(data, len, now_us);
		data += len;
		size -= len;
	}
	return 0;
}
