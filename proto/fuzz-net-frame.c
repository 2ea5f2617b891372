/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-net-frame: any bytes as a frame; what parses must lie within it. */
#include <stdlib.h>

#include "proto/net-frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(const struct net_frame *f, size_t head, size_t total)
{
	switch (f->kind) {
	case NET_KIND_TCP:
	case NET_KIND_UDP:
	case NET_KIND_ECHO:
	case NET_KIND_FRAGMENT:
		return f->ip && f->l4_off <= head && (size_t)f->payload_off + f->payload_len <= total &&
		       f->payload_off + f->payload_len == f->l4_off + f->l4_len;
	case NET_KIND_NDP:
		return f->v6 && (size_t)f->l4_off + f->l4_len <= head && f->ndp.target.byte[0] != 0xff;
	default:
		return true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[NET_MAC_LEN] = {2};
	struct net_frame frame;
	struct net_vnet vnet = {0};
	size_t extra = 0;
	uint8_t reply[NET_ARP_FRAME_LEN] = {0};

	if (size >= NET_VNET_LEN) {
		net_vnet_decode(&vnet, data);
		data += NET_VNET_LEN;
		size -= NET_VNET_LEN;
		extra = vnet.num_buffers; /* the frame goes on beyond what was captured */
	}
	if (net_frame_parse(&frame, data, size, size + extra))
		return 0;
	if (!within(&frame, size, size + extra))
		abort();
	/* An offload that is let through names a checksum within the transport header. */
	if (!net_vnet_check(&vnet, &frame) && vnet.flags & NET_VNET_NEEDS_CSUM && frame.kind != NET_KIND_OTHER &&
	    (size_t)vnet.csum_start + vnet.csum_offset + 2 > frame.payload_off)
		abort();
	(void)net_pseudo_sum(&frame);
	if (frame.kind == NET_KIND_ARP)
		net_frame_build_arp(reply, &frame, mac);
	return 0;
}
