/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial: connects to the first of some addresses that answers: in their order, the next one after a failure or 250 ms
 * (RFC 8305, simplified).
 *
 * Judges nothing: whoever gives the addresses has asked the rules. States: idle, dialling. Who may call it: devices/proxy.
 */
#pragma once

#include "base/loop.h"
#include "proto/net-frame.h"

enum { DIAL_MAX = 8, DIAL_STAGGER_US = 250000 };

/* FD >= 0: connected, the receiver's now; else -errno of the first failure. */
typedef void (*dial_fn)(void *data, int fd);

struct dial;
struct dial_try {
	struct dial *dial;
	int fd; /* -EBADF: not open */
	struct loop_source *source;
};
struct dial {
	struct loop *loop;
	struct loop_source *timer;
	dial_fn fn;
	void *data;
	uint16_t port;
	size_t n, next, n_open;
	int r; /* first failure */
	struct net_addr addr[DIAL_MAX];
	struct dial_try attempt[DIAL_MAX];
};

/* Starts on N addresses. FN is called from the loop, never from here. Return: 0; -errno: nothing is under way. */
int dial_start(struct dial *dial, struct loop *loop, const struct net_addr *addrs, size_t n, uint16_t port, dial_fn fn, void *data);
/* Ends it without a call; harmless when idle (zeroed). */
void dial_stop(struct dial *dial);
