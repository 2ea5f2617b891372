/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment: see the header. Sources: RFC 791, 3.2; RFC 815; RFC 8200, 4.5; RFC 5722 (no overlap); RFC 8900.
 *
 * Bytes are copied once, from guest memory to their place in the datagram; a map of eight-byte units tells which are there, so
 * that overlap, repetition and completeness are questions of bits and sums. Datagrams expire when somebody looks.
 */
#include "devices/net/fragment.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/vhost/guest-memory.h"

enum { HOP_LIMIT = 64, ETH_IP4 = 0x0800, ETH_IP6 = 0x86dd, UNIT = 8, IP_MAX = 65535 };

static bool served(const struct net_frame *frame)
{
	uint8_t proto = frame->fragment.proto;

	return proto == NET_IP_UDP || proto == (frame->v6 ? NET_IP_ICMP6 : NET_IP_ICMP);
}

/* Most bytes that a packet may carry behind the header we give it: a frame holds 65535 bytes of packet (NET_FRAME_MAX). */
static uint32_t most(bool v6)
{
	return IP_MAX - (v6 ? NET_IP6_LEN : NET_IP4_LEN);
}

static bool same(const struct fragment_datagram *d, const struct net_frame *frame)
{
	return d->used && d->v6 == frame->v6 && d->id == frame->fragment.id && d->proto == frame->fragment.proto &&
	       net_addr_equal(&d->src, &frame->src) && net_addr_equal(&d->dst, &frame->dst);
}

static void expire(struct fragments *f, struct fragment_datagram *d, uint64_t now_us)
{
	if (!d->used || now_us - d->since_us < FRAGMENT_TIMEOUT_US)
		return;
	if (!d->broken)
		f->dropped++;
	d->used = false;
}

static void begin(struct fragment_datagram *d, const struct net_frame *frame, uint64_t now_us)
{
	d->used = true;
	d->broken = false;
	d->v6 = frame->v6;
	d->proto = frame->fragment.proto;
	d->src = frame->src;
	d->dst = frame->dst;
	d->id = frame->fragment.id;
	d->since_us = now_us;
	d->end = d->have = d->reach = 0;
	memset(d->map, 0, sizeof(d->map));
}

/* The datagram that FRAME belongs to; a new one in the place of the oldest when there is no other. */
static struct fragment_datagram *find(struct fragments *f, const struct net_frame *frame, uint64_t now_us)
{
	struct fragment_datagram *place = &f->datagram[0];

	for (size_t i = 0; i < FRAGMENT_DATAGRAMS; i++) {
		struct fragment_datagram *d = &f->datagram[i];

		expire(f, d, now_us);
		if (same(d, frame))
			return d;
		if (place->used && (!d->used || d->since_us < place->since_us))
			place = d;
	}
	if (place->used && !place->broken)
		f->dropped++;
	begin(place, frame, now_us);
	return place;
}

/* Marks the units of [OFF, OFF + LEN). Return: false when one was there. */
static bool mark(struct fragment_datagram *d, uint32_t off, uint32_t len)
{
	bool fresh = true;

	for (uint32_t unit = off / UNIT; unit < (off + len + UNIT - 1) / UNIT; unit++) {
		uint64_t bit = 1ull << unit % 64;

		fresh = fresh && !(d->map[unit / 64] & bit);
		d->map[unit / 64] |= bit;
	}
	return fresh;
}

/* Return: false when the fragment contradicts the rules or the others. */
static bool fits(struct fragment_datagram *d, const struct net_frame *frame)
{
	uint32_t off = frame->fragment.offset, len = frame->payload_len;

	if (!len || off > most(d->v6) || len > most(d->v6) - off || off % UNIT || (frame->fragment.more && len % UNIT))
		return false;
	if (frame->fragment.more ? d->end && off + len >= d->end : d->end || d->reach > off + len)
		return false;
	return mark(d, off, len);
}

/* Writes the head before the bytes. Return: where the frame begins. */
static const uint8_t *finish(struct fragment_datagram *d, const struct net_frame *frame, size_t *ret_len)
{
	size_t ip_len = d->v6 ? NET_IP6_LEN : NET_IP4_LEN;
	uint8_t *ip = d->bytes + FRAGMENT_HEAD_MAX - ip_len;
	uint8_t *eth = ip - NET_ETH_LEN;
	struct net_ip_out out = {
		.v6 = d->v6,
		.src = d->src,
		.dst = d->dst,
		.proto = d->proto,
		.hop_limit = HOP_LIMIT,
		.l4_len = d->end,
	};
	uint8_t head[NET_IP6_LEN];

	memcpy(ip, head, net_frame_build_ip(head, &out));
	if (!d->v6) {
		/* Not "do not fragment": it was. */
		be16_store(ip + 6, 0);
		le16_store(ip + 10, 0);
		le16_store(ip + 10, (uint16_t)~net_fold(net_sum(0, ip, NET_IP4_LEN)));
	}
	memcpy(eth, frame->dst_mac, NET_MAC_LEN);
	memcpy(eth + NET_MAC_LEN, frame->src_mac, NET_MAC_LEN);
	be16_store(eth + 2 * NET_MAC_LEN, d->v6 ? ETH_IP6 : ETH_IP4);
	*ret_len = NET_ETH_LEN + ip_len + d->end;
	return eth;
}

int fragment_take(struct fragments *fragments, const struct card_frame *card, uint64_t now_us, const uint8_t **ret_packet,
		  size_t *ret_len)
{
	const struct net_frame *frame = card->frame;
	struct fragment_datagram *d;
	uint32_t off = frame->fragment.offset, len = frame->payload_len;

	if (!served(frame))
		return -ENOENT;
	d = find(fragments, frame, now_us);
	if (d->broken)
		return -EBADMSG;
	if (!fits(d, frame) || guest_iov_read(d->bytes + FRAGMENT_HEAD_MAX + off, len, card->iov, card->n_iov,
					      NET_VNET_LEN + (size_t)frame->payload_off) != len) {
		d->broken = true;
		fragments->dropped++;
		return -EBADMSG;
	}
	d->have += len;
	if (d->reach < off + len)
		d->reach = off + len;
	if (!frame->fragment.more)
		d->end = off + len;
	if (!d->end || d->have != d->end)
		return FRAGMENT_MORE;
	d->used = false;
	fragments->put_together++;
	*ret_packet = finish(d, frame, ret_len);
	return FRAGMENT_WHOLE;
}
