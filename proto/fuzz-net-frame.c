/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-net-frame: any bytes as a frame; what parses must lie within it, and an echo reply is no longer than its request. */
#include <stdlib.h>
#include <string.h>

#include "proto/net-frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COPY_MAX = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[NET_MAC_LEN] = {2};
	struct net_frame frame;
	struct net_vnet vnet = {0};
	size_t extra = 0, n;
	uint8_t copy[COPY_MAX], reply[NET_ARP_FRAME_LEN] = {0};

	if (size >= NET_VNET_LEN) {
		net_vnet_decode(&vnet, data);
		data += NET_VNET_LEN;
		size -= NET_VNET_LEN;
		extra = vnet.num_buffers; /* the frame goes on beyond what was captured */
	}
	if (net_frame_parse(&frame, data, size, size + extra))
		return 0;
	(void)net_vnet_check(&vnet, &frame);
	if (frame.kind == NET_KIND_TCP || frame.kind == NET_KIND_ECHO) {
		if (frame.l4_off >= size || (size_t)frame.payload_off + frame.payload_len > size + extra ||
		    frame.payload_off + frame.payload_len != frame.l4_off + frame.l4_len)
			abort();
		(void)net_pseudo_sum(&frame);
	}
	if (frame.kind == NET_KIND_ARP)
		net_frame_build_arp(reply, &frame, mac);
	if (frame.kind == NET_KIND_ECHO && !extra && size <= sizeof(copy)) {
		memcpy(copy, data, size);
		n = net_frame_build_echo(copy, size, &frame, mac);
		if (n > size || net_frame_parse(&frame, copy, n, n) || frame.kind == NET_KIND_ECHO)
			abort();
	}
	return 0;
}
