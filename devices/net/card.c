/* SPDX-License-Identifier: Apache-2.0 */
/* card: see the header. */
#include "devices/net/card.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "devices/net/arp.h"
#include "devices/vhost/guest-memory.h"
#include "proto/vhost-user.h"
#include "proto/virtio.h"

enum {
	SUM_CHUNK = 4096,					    /* even, so that sums chain */
	ROOM_MIN = NET_VNET_LEN + NET_HEAD_OUT_MAX + 1,		    /* a head and one byte */
	CAPTURE_MAX = NET_VNET_LEN + ARP_ECHO_MAX,
};

static uint64_t guest_sum(uint64_t sum, const struct iovec *iov, size_t n_iov, size_t off, size_t len)
{
	uint8_t chunk[SUM_CHUNK];

	while (len) {
		size_t n = guest_iov_read(chunk, len < sizeof(chunk) ? len : sizeof(chunk), iov, n_iov, off);

		if (!n)
			break;
		sum = net_sum(sum, chunk, n);
		off += n;
		len -= n;
	}
	return sum;
}

static uint64_t card_sum(void *data, const struct wire_room *room, size_t off, size_t len)
{
	return guest_sum(0, room->iov, room->n_iov, off, len);
}

static void card_cancel(void *data, struct wire_room *room)
{
	struct card *card = data;

	vring_unpop(vhost_ring(card->vhost, CARD_RX), card->n_chains);
	card->n_chains = 0;
}

/* Adds one chain to ROOM. Return: as vring_pop; -EPROTO: the ring is broken now. */
static int add_chain(struct card *card, struct vring *ring, struct wire_room *room)
{
	struct vring_chain *chain = &card->chains[card->n_chains];
	int r = vring_pop(ring, chain, room->iov + room->n_iov, WIRE_SEGMENTS_MAX - room->n_iov);

	if (r != VRING_E_CHAIN)
		return r;
	card->n_chains++;
	if (chain->n_readable || !chain->writable_len) {
		vring_break(ring, "a receive buffer is not writable");
		return -EPROTO;
	}
	room->n_iov += chain->n_writable;
	room->capacity += chain->writable_len;
	return r;
}

static int card_reserve(void *data, size_t len, struct wire_room *room)
{
	struct card *card = data;
	struct vring *ring = vhost_ring(card->vhost, CARD_RX);
	bool asked = false;

	room->n_iov = 0;
	room->capacity = 0;
	card->n_chains = 0;
	len += NET_VNET_LEN;
	while (room->capacity < len && card->n_chains < CARD_CHAINS_MAX) {
		int r = add_chain(card, ring, room);

		if (r < 0)
			return -EAGAIN; /* stopped or broken: whatever was taken is the library's again */
		if (r == VRING_E_CHAIN && card->mergeable)
			continue;
		if (r == VRING_E_EMPTY && room->capacity < ROOM_MIN && !asked) {
			/* Nothing to send with: ask for a kick, and look once more behind that. */
			asked = true;
			if (vring_resume_kicks(ring))
				continue;
		}
		break;
	}
	if (room->capacity >= ROOM_MIN) {
		if (asked)
			vring_suspend_kicks(ring);
		return 0;
	}
	if (!asked) {
		vring_break(ring, "receive buffers are too small");
		return -EAGAIN;
	}
	card_cancel(card, room);
	return -EAGAIN;
}

static void card_commit(void *data, struct wire_room *room, struct net_vnet *vnet, const uint8_t *head,
			size_t head_len, size_t payload_len)
{
	struct card *card = data;
	struct vring *ring = vhost_ring(card->vhost, CARD_RX);
	size_t left = NET_VNET_LEN + head_len + payload_len;
	uint8_t start[NET_VNET_LEN];
	uint16_t used = 0;

	for (size_t sum = 0; sum < left && used < card->n_chains; used++)
		sum += card->chains[used].writable_len;
	vring_unpop(ring, (uint16_t)(card->n_chains - used));
	vnet->num_buffers = used;
	net_vnet_encode(vnet, start);
	guest_iov_write(room->iov, room->n_iov, 0, start, sizeof(start));
	guest_iov_write(room->iov, room->n_iov, NET_VNET_LEN, head, head_len);
	for (uint16_t i = 0; i < used; i++) {
		uint32_t n = left < card->chains[i].writable_len ? (uint32_t)left : card->chains[i].writable_len;

		vring_push(ring, &card->chains[i], n);
		left -= n;
	}
	card->n_chains = 0;
	card->stats.rx_packets++;
}

const struct wire_ops card_wire_ops = {
	.reserve = card_reserve,
	.commit = card_commit,
	.cancel = card_cancel,
	.sum = card_sum,
};

/* The frame comes from the guest's own addresses and goes to ours (NET-09). */
static bool addressed(const struct tcp *tcp, const struct net_frame *frame)
{
	static const uint8_t everybody[NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (memcmp(frame->src_mac, tcp->guest_mac, NET_MAC_LEN))
		return false;
	if (frame->kind == NET_KIND_ARP && !memcmp(frame->dst_mac, everybody, NET_MAC_LEN))
		return true;
	if (memcmp(frame->dst_mac, tcp->mac, NET_MAC_LEN))
		return false;
	return frame->kind == NET_KIND_ARP || (net_addr_equal(&frame->src, &tcp->guest_address) &&
					       net_addr_equal(&frame->dst, &tcp->address));
}

/* The TCP checksum, unless the guest left it to us (then nobody on the way could have damaged it). */
static bool checksum_ok(const struct net_vnet *vnet, const struct net_frame *frame, const struct vring_chain *chain)
{
	if (vnet->flags & NET_VNET_NEEDS_CSUM)
		return true;
	return net_fold(guest_sum(net_pseudo_sum(frame), chain->iov, chain->n_readable,
				  NET_VNET_LEN + (size_t)frame->l4_off, frame->l4_len)) == 0xffff;
}

static void serve_frame(struct card *card, const struct vring_chain *chain, const struct net_vnet *vnet,
			struct net_frame *frame, uint8_t *packet, size_t captured)
{
	struct wire_payload payload = {chain->iov, chain->n_readable, NET_VNET_LEN + (size_t)frame->payload_off,
				       frame->payload_len};
	size_t total = chain->readable_len - NET_VNET_LEN;

	if (!addressed(card->tcp, frame)) {
		card->stats.ignored++;
		return;
	}
	switch (frame->kind) {
	case NET_KIND_TCP:
		if (checksum_ok(vnet, frame, chain))
			tcp_segment(card->tcp, frame, &payload);
		else
			card->stats.bad_frames++;
		return;
	case NET_KIND_ARP:
		if (arp_answer(card->tcp, frame) < 0)
			card->stats.ignored++;
		return;
	case NET_KIND_ECHO:
		if (captured < total || arp_echo(card->tcp, frame, packet, total) < 0)
			card->stats.ignored++;
		return;
	default:
		card->stats.ignored++;
	}
}

static void take_frame(struct card *card, const struct vring_chain *chain)
{
	uint8_t capture[CAPTURE_MAX];
	struct net_vnet vnet;
	struct net_frame frame;
	size_t n, total = chain->readable_len;
	/* Only echo requests are wanted whole, and they are rare; small frames are small anyway. */
	size_t want = total <= CAPTURE_MAX ? total : NET_VNET_LEN + NET_HEAD_MAX;

	card->stats.tx_packets++;
	n = guest_iov_read(capture, want, chain->iov, chain->n_readable, 0);
	if (n < NET_VNET_LEN) {
		card->stats.bad_frames++;
		return;
	}
	net_vnet_decode(&vnet, capture);
	if (net_frame_parse(&frame, capture + NET_VNET_LEN, n - NET_VNET_LEN, total - NET_VNET_LEN) ||
	    net_vnet_check(&vnet, &frame)) {
		card->stats.bad_frames++;
		return;
	}
	serve_frame(card, chain, &vnet, &frame, capture + NET_VNET_LEN, n - NET_VNET_LEN);
}

bool card_drain(struct card *card)
{
	struct vring *ring = card->vhost ? vhost_ring(card->vhost, CARD_TX) : NULL;
	struct iovec iov[CARD_SEGMENTS_MAX];
	struct vring_chain chain;

	if (!ring || !card->tx_work)
		return false;
	for (int i = 0; i < CARD_TX_BUDGET; i++) {
		int r = vring_pop(ring, &chain, iov, CARD_SEGMENTS_MAX);

		if (r == VRING_E_CHAIN) {
			take_frame(card, &chain);
			vring_push(ring, &chain, 0);
		} else if (r != VRING_E_EMPTY || !vring_resume_kicks(ring)) {
			card->tx_work = false;
			return false;
		} else {
			vring_suspend_kicks(ring);
		}
	}
	return true;
}

void card_flush(struct card *card)
{
	if (!card->vhost)
		return;
	vring_flush(vhost_ring(card->vhost, CARD_TX));
	vring_flush(vhost_ring(card->vhost, CARD_RX));
}

void card_quiet(struct card *card)
{
	uint64_t frames = card->stats.rx_packets + card->stats.tx_packets;

	if (!card->vhost || frames - card->trimmed < CARD_TRIM_FRAMES)
		return;
	card->trimmed = frames;
	vhost_trim(card->vhost);
}

static void update_wire(struct card *card)
{
	uint64_t features = vhost_features(card->vhost);
	struct wire_caps caps = {
		.csum = features & VIRTIO_NET_GUEST_CSUM,
		.tso4 = features & VIRTIO_NET_GUEST_TSO4,
		.tso6 = features & VIRTIO_NET_GUEST_TSO6,
		.mtu = card->mtu,
	};

	card->mergeable = features & VIRTIO_NET_MRG_RXBUF;
	if (vring_running(vhost_ring(card->vhost, CARD_RX)))
		tcp_wire_up(card->tcp, &caps);
}

static void on_start(void *data, unsigned int queue)
{
	struct card *card = data;

	if (queue == CARD_RX) {
		update_wire(card);
		vring_suspend_kicks(vhost_ring(card->vhost, CARD_RX));
	}
}

static void on_stop(void *data, unsigned int queue)
{
	struct card *card = data;

	if (queue == CARD_RX)
		tcp_wire_down(card->tcp);
	else
		card->tx_work = false;
}

static void on_kick(void *data, unsigned int queue)
{
	struct card *card = data;
	struct vring *ring = vhost_ring(card->vhost, queue);

	vring_suspend_kicks(ring);
	if (queue == CARD_RX)
		card->tcp->starved = false;
	else
		card->tx_work = true;
}

static int on_mtu(void *data, uint16_t mtu)
{
	struct card *card = data;

	if (mtu < 576)
		return -EINVAL;
	card->mtu = mtu;
	update_wire(card);
	return 0;
}

static void on_broken(void *data, unsigned int queue, const char *reason)
{
	log_limited(LOG_WARNING, "the guest broke the rules of queue %u: %s", queue, reason);
}

static void on_disconnect(void *data, int code, const char *reason)
{
	struct card *card = data;

	card->ended = true;
	card->end_code = code;
	card->end_reason = reason;
}

int card_start(struct card *card, struct loop *loop, int fd, struct tcp *tcp, uint16_t mtu)
{
	static const struct vhost_ops ops = {
		.features = VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT_DESC | VIRTIO_NET_CSUM | VIRTIO_NET_GUEST_CSUM |
			    VIRTIO_NET_MTU | VIRTIO_NET_GUEST_TSO4 | VIRTIO_NET_GUEST_TSO6 | VIRTIO_NET_HOST_TSO4 |
			    VIRTIO_NET_HOST_TSO6 | VIRTIO_NET_MRG_RXBUF,
		.protocol_features = VHOST_USER_PROTOCOL_NET_MTU,
		.n_queues = CARD_QUEUES,
		.max_segments = CARD_SEGMENTS_MAX,
		.on_start = on_start,
		.on_stop = on_stop,
		.on_kick = on_kick,
		.on_mtu = on_mtu,
		.on_broken = on_broken,
		.on_disconnect = on_disconnect,
	};

	card->tcp = tcp;
	card->mtu = mtu;
	return vhost_new(loop, fd, &ops, card, &card->vhost);
}

void card_stop(struct card *card)
{
	card->vhost = vhost_free(card->vhost);
}
