/* SPDX-License-Identifier: Apache-2.0 */
/* frame-sink: see the header. The one place where a frame of the guest becomes a struct. */
#include "devices/net/frame-sink.h"

#include <errno.h>
#include <string.h>

#include "devices/vhost/guest-memory.h"

int frame_take(const struct frame_sink *sink, void *sink_data, const struct iovec *iov, size_t n_iov, size_t len)
{
	uint8_t capture[NET_VNET_LEN + CARD_CAPTURE_MAX];
	struct net_frame frame;
	struct net_vnet vnet;
	struct card_frame card_frame = {.vnet = &vnet, .frame = &frame, .iov = iov, .n_iov = n_iov,
					.packet = capture + NET_VNET_LEN};
	size_t n = guest_iov_read(capture, len <= sizeof(capture) ? len : NET_VNET_LEN + NET_HEAD_MAX, iov, n_iov, 0);

	if (n < NET_VNET_LEN)
		return -EBADMSG;
	card_frame.captured = n - NET_VNET_LEN;
	card_frame.total = len - NET_VNET_LEN;
	net_vnet_decode(&vnet, capture);
	if (net_frame_parse(&frame, card_frame.packet, card_frame.captured, card_frame.total) ||
	    net_vnet_check(&vnet, &frame))
		return -EBADMSG;
	return sink->frame(sink_data, &card_frame);
}

bool frame_checksum_ok(const struct card_frame *frame)
{
	const struct net_frame *f = frame->frame;

	if (frame->vnet->flags & NET_VNET_NEEDS_CSUM || (f->kind == NET_KIND_UDP && f->udp.no_checksum))
		return true;
	if ((size_t)f->l4_off + f->l4_len <= frame->captured)
		return net_fold(net_sum(net_pseudo_sum(f), frame->packet + f->l4_off, f->l4_len)) == 0xffff;
	return net_fold(wire_sum(net_pseudo_sum(f), frame->iov, frame->n_iov, NET_VNET_LEN + (size_t)f->l4_off, f->l4_len)) == 0xffff;
}

size_t frame_read(const struct card_frame *frame, size_t off, void *dst, size_t len)
{
	size_t n = 0;

	if (off < frame->captured) {
		n = frame->captured - off;
		n = n < len ? n : len;
		memcpy(dst, frame->packet + off, n);
	}
	if (n < len)
		n += guest_iov_read((uint8_t *)dst + n, len - n, frame->iov, frame->n_iov, NET_VNET_LEN + off + n);
	return n;
}

struct wire_payload frame_payload(const struct card_frame *frame)
{
	return (struct wire_payload){frame->iov, frame->n_iov, NET_VNET_LEN + (size_t)frame->frame->payload_off,
				     frame->frame->payload_len};
}
