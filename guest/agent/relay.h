/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: carries bytes between pairs of stream sockets (TCP or Unix), and back to the sender for an echo.
 *
 * Half-close, reset and back-pressure pass through; see the theory in relay.c. The table is fixed: beyond
 * its maximum a connection is reset and counted. Drives nothing by itself: the owner runs
 *     loop_step(loop, relay_set_pending(set) ? 0 : -1); relay_set_run(set);
 * SIGPIPE must be ignored: splice(2) has no MSG_NOSIGNAL.
 * Who may call it: guest/agent. It never connects, accepts, or looks at a byte.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "guest/agent/store.h"

enum {
	RELAY_MAX = 4096,
	/* Descriptors one relay can need at once: two sockets and a pipe for each direction. */
	RELAY_FDS = 2 + 2 * STORE_FDS,
	RELAY_LINGER_US = 2000000,
};

struct relay_stats {
	uint64_t now, total, refused, resets;
	uint64_t bytes; /* both directions */
};

struct relay_set;

/* MAX relays (1 to RELAY_MAX). A reset follows the bytes that went before it; a peer that does not take them
 * within LINGER_US is cut off. LOOP is borrowed and must live longer. Return: 0 or -errno. */
int relay_set_new(struct loop *loop, uint32_t max, uint64_t linger_us, struct relay_set **ret);
/* Resets every relay. Return: NULL. */
struct relay_set *relay_set_free(struct relay_set *set);
DEFINE_CLEANUP(struct relay_set *, relay_set_free)

/* True when the table is full: refuse before making the other socket. */
bool relay_set_full(const struct relay_set *set);
/* Relays between A_FD and B_FD, connected stream sockets; both consumed, even on failure (then reset).
 * Return: 0; RELAY_E_FULL: table full; -errno. */
enum { RELAY_E_FULL = 1 };
int relay_join_consume(struct relay_set *set, int a_fd, int b_fd);
/* Sends back what FD sends; FD is consumed. Return: as relay_join_consume. */
int relay_echo_consume(struct relay_set *set, int fd);
/* Closes FD so that a TCP peer gets a reset, and counts it as refused. */
void relay_refuse_consume(struct relay_set *set, int fd);

/* Relays have work that needs no event: call relay_set_run again before sleeping. */
bool relay_set_pending(const struct relay_set *set);
/* One fair round over the relays that have work. */
void relay_set_run(struct relay_set *set);
void relay_set_stats(const struct relay_set *set, struct relay_stats *ret);
