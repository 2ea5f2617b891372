/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: carries bytes between two stream sockets until both directions have ended.
 *
 * Half-close is carried, a peer that is gone ends the other side, a slow reader stops the reader of the other side and
 * nothing else, silence lasts as long as the peers like. An idle relay has two descriptors and no buffer: a
 * direction borrows a pipe only while bytes are in it. Knows no protocol.
 * States: running, ended (on_end was called, once). Who may call it: backend/engine-proxy.
 */
#pragma once

#include "base/loop.h"

struct relay;
struct relay_pool; /* shared by relays: spare pipes */

typedef void (*relay_end_fn)(void *data, struct relay *relay);

int relay_pool_new(struct relay_pool **ret);
struct relay_pool *relay_pool_free(struct relay_pool *pool);

/* Starts on A and B, both non-blocking; both are consumed, also on failure. ON_END is called from the loop when
 * it is over; the relay is freed by its owner, there or later. Return: 0 or -errno. */
int relay_start_consume(struct loop *loop, struct relay_pool *pool, int a_fd, int b_fd, relay_end_fn on_end,
			void *data, struct relay **ret);
/* Ends it at once. Return: NULL. */
struct relay *relay_free(struct relay *relay);
