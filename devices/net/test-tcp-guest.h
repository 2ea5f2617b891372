/* SPDX-License-Identifier: Apache-2.0 */
/* test-tcp-guest: the guest's side of conversations with the engine over memory. For the tests of the engine only. */
#pragma once

#include "devices/net/memory-wire.h"
#include "devices/net/tcp-parts.h"

/* The guest's view of one connection. */
struct guest {
	uint16_t port, host_port;
	uint32_t seq, ack;
	uint16_t urgent;	  /* of the next segment, with NET_URG */
	struct net_addr from, to; /* all zero: the control card's */
};

extern struct memory_net m;
extern uint8_t buffer[1 << 20];
extern const struct wire_caps guest_caps;

/* cmocka fixtures: an engine of eight flows on the control card. */
int guest_set_up(void **state);
int guest_tear_down(void **state);
/* Sends a segment and lets the engine run; what it sent is in m.sent. */
void guest_say(struct guest *g, uint8_t flags, const void *payload, uint32_t len, uint16_t window);
/* Many at once: the engine does not run between them. */
void guest_send(struct guest *g, uint8_t flags, const void *payload, uint32_t len, uint16_t window);
/* The segment I of those sent since. */
const struct net_frame *guest_heard(size_t i);
/* A host program connects, the guest answers. Return: index of the host program's end. */
int guest_open(struct guest *g);
/* The one flow there is. */
struct flow *guest_only_flow(void);
