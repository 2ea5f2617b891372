/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: what one direction of a relay holds between its source and its sink: one kernel pipe, fed and
 * emptied with splice(2), so that the bytes are never copied into this process.
 *
 * A store is EMPTY (no pipe, len 0: fill allowed) or HOLDING (a pipe, len bytes: drain or drop allowed).
 * Filling only an empty store makes EAGAIN unambiguous (source empty, never pipe full) and bounds what is
 * buffered. Pipes exist only while bytes wait in them; a few free ones are kept. Not thread-safe.
 * Who may call it: relay.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { STORE_SPARE_MAX = 64, STORE_FDS = 2 };

struct store {
	int rd_fd, wr_fd; /* valid only while len > 0 */
	size_t len;
};

struct store_pool {
	int spare[STORE_SPARE_MAX][2];
	uint32_t n_spare;
	uint32_t n_made; /* pipes that exist: spare and in use */
};

/* Moves what FD has into the EMPTY store S. Return: bytes (> 0); 0: end of input; -EAGAIN: nothing there;
 * -errno: FD failed, or no pipe could be made. */
ssize_t store_fill(struct store_pool *pool, struct store *s, int fd);
/* Moves bytes of the HOLDING store S to FD; S may become EMPTY. Return: bytes (> 0); -EAGAIN; -errno. */
ssize_t store_drain(struct store_pool *pool, struct store *s, int fd);
/* Forgets what S holds; S becomes EMPTY. */
void store_drop(struct store_pool *pool, struct store *s);
/* Closes the spare pipes; every store must be EMPTY. */
void store_pool_done(struct store_pool *pool);
