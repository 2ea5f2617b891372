/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment: puts the guest's IPv4 and IPv6 fragments together again, for UDP and ICMP echo.
 *
 * A fixed table of FRAGMENT_DATAGRAMS, strict: a datagram with a fragment that overlaps or repeats another, that lies beyond
 * 65535 bytes or the end already told, or that is not the last and not a multiple of eight bytes, is dropped whole, and
 * counted, with all that follows of it. What is not whole after FRAGMENT_TIMEOUT_US is dropped. A full table gives up its oldest.
 * Who may call it: data-card. It never allocates; the frame it returns is its own memory, not the guest's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net/frame-sink.h"

enum {
	FRAGMENT_DATAGRAMS = 16,
	FRAGMENT_TIMEOUT_US = 5000000,
	FRAGMENT_UNITS = 65536 / 8, /* of eight bytes, that a packet can have */
	FRAGMENT_HEAD_MAX = NET_ETH_LEN + NET_IP6_LEN,
};

struct fragment_datagram {
	bool used, broken, v6;
	uint8_t proto;
	struct net_addr src, dst;
	uint32_t id;
	uint64_t since_us;
	uint32_t end; /* bytes in all, 0: the last fragment has not come */
	uint32_t have; /* bytes */
	uint32_t reach; /* end of the farthest fragment */
	uint64_t map[FRAGMENT_UNITS / 64]; /* units that are there */
	uint8_t bytes[FRAGMENT_HEAD_MAX + 65536]; /* the frame's head ends at FRAGMENT_HEAD_MAX */
};

struct fragments {
	struct fragment_datagram datagram[FRAGMENT_DATAGRAMS];
	uint64_t put_together, dropped; /* datagrams */
};

enum { FRAGMENT_MORE = 0, FRAGMENT_WHOLE = 1 };

/* FRAME is NET_KIND_FRAGMENT. Return: FRAGMENT_MORE: taken, there is more to come; FRAGMENT_WHOLE: *RET_PACKET is the whole
 * frame of *RET_LEN bytes, from the Ethernet header on, valid until the next call (so what is gathered from it is sent before);
 * -EBADMSG: it breaks a rule, its datagram is dropped; -ENOENT: a protocol that is not put together here. */
int fragment_take(struct fragments *fragments, const struct card_frame *frame, uint64_t now_us, const uint8_t **ret_packet,
		  size_t *ret_len);
