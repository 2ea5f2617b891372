/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: what the TCP engine knows of the host's side of a flow: one stream socket and a few operations.
 *
 * The socket (flow->fd) is non-blocking and owned by the flow. The engine itself sends (sendmsg straight from guest
 * memory) and closes; all that depends on the socket's family is here. host-unix.c implements it for the control card,
 * host-inet.c for the data card. Operations read flow->fd, key, host_kind and host_bits; they write the last two alone, and fd
 * in open. Who may call it: the parts of devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct flow;

/* What open says. PENDING: the socket is connecting, writability decides; the guest's SYN stays unanswered. */
enum host_open {
	HOST_OPEN_NOW,
	HOST_OPEN_PENDING,
	HOST_OPEN_REFUSED,     /* nobody listens there: RST */
	HOST_OPEN_UNREACHABLE, /* RET_ERROR says why: ICMP */
	HOST_OPEN_MAX,
};

/* What FLOW's socket is; zero is what the card's flows are as a rule. */
enum host_kind { HOST_KIND_USUAL, HOST_KIND_UNIX };

struct host_ops {
	/* The guest wants the connection FLOW->key. Sets FLOW->fd with NOW and PENDING; *RET_ERROR (positive) with UNREACHABLE. */
	enum host_open (*open)(void *host, struct flow *flow, int *ret_error);
	/* The pending socket reports an error. Return: 0 when it is connected all the same, -errno. */
	int (*opened)(void *host, const struct flow *flow);
	/* A flow that open() made has ended. */
	void (*closed)(void *host, const struct flow *flow);
	/* Prepares the socket, whatever opened it (buffer size, peeking). Return: 0 or -errno. */
	int (*prepare)(void *host, struct flow *flow);
	/* Copies bytes that wait in the socket into IOV without taking them, from OFFSET on: OFFSET is the number peeked since the
	 * last rewind minus the number discarded. *RET_MORE: a short count does not mean that nothing is left.
	 * Return: count; 0: end of stream; -EAGAIN; -errno: the connection is dead. */
	ssize_t (*peek)(void *host, struct flow *flow, size_t offset, const struct iovec *iov, size_t n_iov, bool *ret_more);
	/* The next peek is at OFFSET. Return: 0 or -errno. */
	int (*rewind)(void *host, struct flow *flow, size_t offset);
	/* Takes the first LEN bytes, which were peeked. Return: 0 or -errno. */
	int (*discard)(void *host, struct flow *flow, size_t len);
	/* Bytes that the socket will take now for sure. *RET_SMALL: so few that it is worth waiting for room. */
	uint32_t (*window)(void *host, const struct flow *flow, bool *ret_small);
	/* No more bytes will come from the guest. */
	void (*shutdown)(void *host, const struct flow *flow);
	/* The guest reset the connection; makes close() tell so where the family can. */
	void (*reset)(void *host, const struct flow *flow);
	/* The distance of the urgent byte from the first byte in the socket. Return: 0; -ENOENT: there is none; -errno. The next
	 * peek needs a rewind. NULL: the family has no urgent data, in neither direction. */
	int (*mark)(void *host, struct flow *flow, uint32_t *ret_distance);
	/* Finds out from now on whether the socket's peer lives; SOON: within minutes, not hours. NULL: nothing to find out. */
	void (*keep_alive)(void *host, const struct flow *flow, bool soon);
	/* What a new socket is known to take; 0: ask window(). */
	uint16_t first_window;
	/* Room is reported only when it was lacking, so that waiting for it need not be called off. */
	bool room_is_quiet;
};
