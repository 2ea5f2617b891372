/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: carries bytes between two stream sockets until both directions have ended.
 *
 * Half-close is carried, a peer that is gone ends the other side, a slow reader stops the reader of the other side and
 * nothing else, silence lasts as long as the peers like. An idle relay has two descriptors and no buffer: a
 * direction borrows a pipe only while bytes are in it. Knows no protocol; a filter may look at what A sends and says how
 * much of it may go unseen.
 * States: running, ended (on_end was called, once). Who may call it: every room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct relay;
struct relay_filter;

/* Looks at what A sends to B; never changes a byte. */
struct relay_filter_ops {
	/* Bytes that may go unseen now; UINT64_MAX: all. 0: take() reads them. */
	uint64_t (*splice)(const struct relay_filter *filter);
	void (*spliced)(struct relay_filter *filter, uint64_t n);
	/* Reads from FD once. Return: as recv(), errno in negative form. */
	ssize_t (*take)(struct relay_filter *filter, int fd);
	/* What must be sent before anything else. Return: number of bytes. */
	size_t (*pending)(const struct relay_filter *filter, const char **ret);
	void (*sent)(struct relay_filter *filter, size_t n);
	/* Nothing may be read from A until answer() has seen the next bytes that B sends. */
	bool (*is_held)(const struct relay_filter *filter);
	void (*answer)(struct relay_filter *filter, const char *src, size_t len);
	/* A sends nothing more: what is held back goes on as it is. */
	void (*end)(struct relay_filter *filter);
	/* It wants to see nothing more and has nothing pending: it can be freed. */
	bool (*is_over)(const struct relay_filter *filter);
	void (*free)(struct relay_filter *filter);
};
/* First member of whatever implements it. */
struct relay_filter {
	const struct relay_filter_ops *ops;
};
enum { RELAY_ANSWER_MAX = 4096 };

struct relay_pool; /* shared by relays: spare pipes */

typedef void (*relay_end_fn)(void *data, struct relay *relay);

int relay_pool_new(struct relay_pool **ret);
struct relay_pool *relay_pool_free(struct relay_pool *pool);

/* Starts on A and B, both non-blocking; both are consumed, also on failure. ON_END is called from the loop when
 * it is over; the relay is freed by its owner, there or later. Return: 0 or -errno. */
int relay_start_consume(struct loop *loop, struct relay_pool *pool, int a_fd, int b_fd, relay_end_fn on_end,
			void *data, struct relay **ret);
/* As above with FILTER (consumed, also on failure; NULL: none) on what A sends. */
int relay_start_filtered_consume(struct loop *loop, struct relay_pool *pool, int a_fd, int b_fd, struct relay_filter *filter,
				 relay_end_fn on_end, void *data, struct relay **ret);
/* Ends it at once. Return: NULL. */
struct relay *relay_free(struct relay *relay);
