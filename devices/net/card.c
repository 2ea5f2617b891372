/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: see the header.
 *
 * Rooms and chains. Chains of the receive ring complete in the order they were taken (vring.h), so rooms do, too. Those of all
 * outstanding rooms lie in one array, oldest first; it starts again at 0 when nothing is outstanding, which is at least once a
 * round, so little of it is ever touched.
 */
#include "devices/net/card.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "devices/vhost/guest-memory.h"
#include "proto/vhost-user.h"

enum { ROOM_MIN = NET_VNET_LEN + NET_HEAD_OUT_MAX + 1 /* a head and one byte */ };

static uint64_t card_sum(void *data, const struct wire_room *room, size_t off, size_t len)
{
	return wire_sum(0, room->iov, room->n_iov, off, len);
}

/* The youngest N chains are not wanted. */
static void give_back(struct card *card, uint16_t n)
{
	vring_unpop(vhost_ring(card->vhost, CARD_RX), n);
	card->end_chain = (uint16_t)(card->end_chain - n);
}

/* A room is over. */
static void room_done(struct card *card)
{
	if (--card->n_rooms)
		return;
	card->first_chain = 0;
	card->end_chain = 0;
}

static void card_cancel(void *data, struct wire_room *room)
{
	struct card *card = data;

	if (!card->n_rooms)
		return; /* the ring was stopped */
	give_back(card, room->n_chains);
	room_done(card);
}

/* Adds one chain to ROOM. Return: as vring_pop; -EPROTO: the ring is broken now. */
static int add_chain(struct card *card, struct vring *ring, struct wire_room *room)
{
	struct vring_chain *chain = &card->chains[card->end_chain];
	int r = vring_pop(ring, chain, room->iov + room->n_iov, WIRE_SEGMENTS_MAX - room->n_iov);

	if (r != VRING_E_CHAIN)
		return r;
	card->end_chain++;
	room->n_chains++;
	if (chain->n_readable || !chain->writable_len) {
		vring_break(ring, "a receive buffer is not writable");
		return -EPROTO;
	}
	room->n_iov += chain->n_writable;
	room->capacity += chain->writable_len;
	return r;
}

/* Takes chains until ROOM holds LEN bytes or there are no more. *RET_ASKED: the ring is empty, and the driver was asked to
 * kick. Return: 0; -EAGAIN: stopped or broken. */
static int fill_room(struct card *card, struct vring *ring, size_t len, struct wire_room *room, bool *ret_asked)
{
	while (room->capacity < len && room->n_chains < CARD_CHAINS_MAX) {
		int r = add_chain(card, ring, room);

		if (r < 0)
			return -EAGAIN;
		if (r == VRING_E_CHAIN && card->mergeable)
			continue;
		if (r == VRING_E_EMPTY && room->capacity < ROOM_MIN && !*ret_asked) {
			/* Nothing to send with: ask for a kick, and look once more behind that. */
			*ret_asked = true;
			if (vring_resume_kicks(ring))
				continue;
		}
		break;
	}
	return 0;
}

static int card_reserve(void *data, size_t len, struct wire_room *room)
{
	struct card *card = data;
	struct vring *ring = vhost_ring(card->vhost, CARD_RX);
	bool asked = false;

	room->n_iov = 0;
	room->capacity = 0;
	room->first_chain = card->end_chain;
	room->n_chains = 0;
	if (card->n_rooms == WIRE_ROOMS_MAX || card->end_chain > CARD_CHAINS_OUT_MAX - CARD_CHAINS_MAX)
		return -EAGAIN;
	if (fill_room(card, ring, len + NET_VNET_LEN, room, &asked) < 0) {
		card->end_chain = room->first_chain; /* whatever was taken is the library's again */
		return -EAGAIN;
	}
	if (room->capacity >= ROOM_MIN) {
		if (asked) {
			/* Whoever found nothing before waits for a kick that may not come any more. */
			vring_suspend_kicks(ring);
			card->sink->room(card->sink_data);
		}
		card->n_rooms++;
		return 0;
	}
	if (!asked)
		vring_break(ring, "receive buffers are too small");
	give_back(card, room->n_chains);
	card->stats.starved++;
	return -EAGAIN;
}

/* Writes HEAD behind the virtio-net header, both in one go when they are as small as usual. */
static void write_head(const struct wire_room *room, const struct net_vnet *vnet, const uint8_t *head, size_t head_len)
{
	uint8_t start[NET_VNET_LEN + NET_HEAD_OUT_MAX];
	size_t n = head_len <= NET_HEAD_OUT_MAX ? head_len : 0;

	net_vnet_encode(vnet, start);
	memcpy(start + NET_VNET_LEN, head, n);
	guest_iov_write(room->iov, room->n_iov, 0, start, NET_VNET_LEN + n);
	if (n < head_len)
		guest_iov_write(room->iov, room->n_iov, NET_VNET_LEN, head, head_len);
}

/* Chains of ROOM that LEN bytes fill. Those behind go back, when that is possible. */
static uint16_t chains_for(struct card *card, const struct wire_room *room, size_t len)
{
	uint16_t used = 0;

	for (size_t sum = 0; sum < len && used < room->n_chains; used++)
		sum += card->chains[room->first_chain + used].writable_len;
	if (used == room->n_chains || card->n_rooms > 1)
		return room->n_chains;
	give_back(card, (uint16_t)(room->n_chains - used));
	return used;
}

static void card_commit(void *data, struct wire_room *room, struct net_vnet *vnet, const uint8_t *head,
			size_t head_len, size_t payload_len)
{
	struct card *card = data;
	size_t left = NET_VNET_LEN + head_len + payload_len;
	uint16_t used;

	if (!card->n_rooms || room->first_chain != card->first_chain)
		return; /* the ring was stopped */
	used = chains_for(card, room, left);
	vnet->num_buffers = used;
	if (card->capture && card->capture->on)
		capture_frame(card->capture, head, head_len, room->iov, room->n_iov, NET_VNET_LEN + head_len, payload_len);
	write_head(room, vnet, head, head_len);
	for (uint16_t i = 0; i < used; i++) {
		const struct vring_chain *chain = &card->chains[room->first_chain + i];
		uint32_t n = left < chain->writable_len ? (uint32_t)left : chain->writable_len;

		/* Padding, which IP ignores: all buffers but the last are full, and that holds something. */
		if (i + 1 < used)
			n = chain->writable_len;
		vring_push(vhost_ring(card->vhost, CARD_RX), chain, n ? n : 1);
		left -= n < left ? n : left;
	}
	card->first_chain = (uint16_t)(card->first_chain + used);
	room_done(card);
	card->stats.rx_packets++;
}

const struct wire_ops card_wire_ops = {
	.reserve = card_reserve,
	.commit = card_commit,
	.cancel = card_cancel,
	.sum = card_sum,
};

static void take_frame(struct card *card, const struct vring_chain *chain)
{
	int r;

	if (card->capture && card->capture->on && chain->readable_len > NET_VNET_LEN)
		capture_frame(card->capture, NULL, 0, chain->iov, chain->n_readable, NET_VNET_LEN, chain->readable_len - NET_VNET_LEN);
	r = frame_take(card->sink, card->sink_data, chain->iov, chain->n_readable, chain->readable_len);

	card->stats.tx_packets++;
	if (r == -EBADMSG)
		card->stats.bad_frames++;
	else if (r < 0)
		card->stats.ignored++;
}

static bool drain(struct card *card, struct vring *ring)
{
	struct iovec iov[CARD_SEGMENTS_MAX];
	struct vring_chain chain;

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

bool card_drain(struct card *card)
{
	struct vring *ring = card->vhost ? vhost_ring(card->vhost, CARD_TX) : NULL;
	bool more;

	if (!ring || !card->tx_work)
		return false;
	more = drain(card, ring);
	if (card->sink->batch_end)
		card->sink->batch_end(card->sink_data);
	return more;
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
		.uso = features & VIRTIO_NET_GUEST_USO4 && features & VIRTIO_NET_GUEST_USO6,
		.mergeable = features & VIRTIO_NET_MRG_RXBUF,
		.mtu = card->mtu,
	};

	card->mergeable = caps.mergeable;
	if (vring_running(vhost_ring(card->vhost, CARD_RX)))
		card->sink->up(card->sink_data, &caps);
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

	if (queue == CARD_TX) {
		card->tx_work = false;
		return;
	}
	card->n_rooms = 0;
	card->first_chain = 0;
	card->end_chain = 0;
	card->sink->down(card->sink_data);
}

static void on_kick(void *data, unsigned int queue)
{
	struct card *card = data;
	struct vring *ring = vhost_ring(card->vhost, queue);

	vring_suspend_kicks(ring);
	if (queue == CARD_RX)
		card->sink->room(card->sink_data);
	else
		card->tx_work = true;
}

static int on_mtu(void *data, uint16_t mtu)
{
	struct card *card = data;

	if (mtu < CARD_MTU_MIN)
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

int card_start(struct card *card, struct loop *loop, int fd, const struct frame_sink *sink, void *sink_data, uint64_t features,
	       uint16_t mtu)
{
	static struct vhost_ops ops = {
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

	ops.features = features; /* one card to a process */
	card->sink = sink;
	card->sink_data = sink_data;
	card->mtu = mtu;
	return vhost_new(loop, fd, &ops, card, &card->vhost);
}

void card_stop(struct card *card)
{
	card->vhost = vhost_free(card->vhost);
}
