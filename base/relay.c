/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: theory of operation.
 *
 * Two directions, each: source socket -> pipe -> sink socket, by splice, so no byte is copied through this process.
 * A direction reads only while its pipe is empty and then writes until the pipe is empty or the sink is full; so at most
 * one pipe of bytes per direction is here, and back-pressure is the socket's own. The pipe returns to the pool when empty.
 *
 * Ends: end of file on the source is passed on by shutdown(SHUT_WR) once the pipe is empty. A sink that cannot be written any
 * more (EPIPE, ECONNRESET, hang-up) makes its source's peer get EPIPE too: shutdown(SHUT_RD) does that on Unix sockets.
 * A hang-up (EPOLLHUP: the peer has closed both ways) is level-triggered and cannot be masked, so the socket leaves the
 * loop then; what it still holds is read when the other side can take it.
 */
#include "base/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"

enum { POOL_MAX = 16, SPLICE_LEN = 1 << 16, ROUNDS_MAX = 16 };

struct relay_pool {
	unsigned int n;
	int pipe[POOL_MAX][2];
};

struct side {
	struct relay *relay;
	struct side *other;
	int fd;
	struct loop_source *source; /* NULL after a hang-up */
	uint32_t events;	    /* as registered */
	/* the direction that starts here */
	struct relay_filter *filter; /* NULL: nobody looks (any more) */
	int pipe[2];
	size_t in_pipe;
	bool read_end;	/* nothing more comes from here */
	bool write_end; /* nothing more can or will go to here */
};

struct relay {
	struct loop *loop;
	struct relay_pool *pool;
	struct side side[2];
	relay_end_fn on_end;
	void *data;
};

int relay_pool_new(struct relay_pool **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : trace(-ENOMEM);
}

struct relay_pool *relay_pool_free(struct relay_pool *pool)
{
	while (pool && pool->n) {
		pool->n--;
		fd_close(pool->pipe[pool->n][0]);
		fd_close(pool->pipe[pool->n][1]);
	}
	free(pool);
	return NULL;
}

static int take_pipe(struct side *s)
{
	struct relay_pool *pool = s->relay->pool;

	if (s->pipe[0] >= 0)
		return 0;
	if (pool->n) {
		pool->n--;
		s->pipe[0] = pool->pipe[pool->n][0];
		s->pipe[1] = pool->pipe[pool->n][1];
		return 0;
	}
	return pipe2(s->pipe, O_CLOEXEC | O_NONBLOCK) < 0 ? trace(error_errno()) : 0;
}

/* Returns an empty pipe to the pool; one with bytes in it is closed. */
static void put_pipe(struct side *s)
{
	struct relay_pool *pool = s->relay->pool;

	if (s->pipe[0] < 0)
		return;
	if (s->in_pipe == 0 && pool->n < POOL_MAX) {
		pool->pipe[pool->n][0] = take_fd(s->pipe[0]);
		pool->pipe[pool->n][1] = take_fd(s->pipe[1]);
		pool->n++;
	}
	s->pipe[0] = fd_close(s->pipe[0]);
	s->pipe[1] = fd_close(s->pipe[1]);
	s->in_pipe = 0;
}

static void drop_filter(struct side *s)
{
	if (s->filter)
		s->filter->ops->free(s->filter);
	s->filter = NULL;
}

static bool is_held(const struct side *s)
{
	return s->filter && s->filter->ops->is_held(s->filter);
}

/* Bytes of the direction wait for its sink. */
static bool has_waiting(const struct side *s)
{
	const char *p;

	return s->in_pipe || (s->filter && s->filter->ops->pending(s->filter, &p));
}

/* SINK takes no more: whoever feeds it learns that. */
static void cut_sink(struct side *sink)
{
	struct side *from = sink->other;

	sink->write_end = true;
	if (from->fd >= 0 && !from->read_end)
		(void)shutdown(from->fd, SHUT_RD);
	from->read_end = true;
	drop_filter(from);
	put_pipe(from);
}

/* Lets the filter read once. Return: as fill. */
static int take(struct side *from)
{
	ssize_t n = from->filter->ops->take(from->filter, from->fd);

	if (n > 0 || n == -EINTR)
		return 1;
	if (n == -EAGAIN && from->source)
		return 0;
	/* The end: what was held back goes out first. */
	from->filter->ops->end(from->filter);
	from->read_end = true;
	if (n < 0 && n != -EAGAIN)
		cut_sink(from);
	return has_waiting(from);
}

/* The filter of the other side waits for what FROM says first: nothing of it passes by unseen. Return: false: nothing yet. */
static bool show_answer(struct side *from)
{
	struct relay_filter *filter = from->other->filter;
	char buf[RELAY_ANSWER_MAX];
	ssize_t n = recv(from->fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n > 0)
		filter->ops->answer(filter, buf, (size_t)n);
	else
		filter->ops->end(filter);
	return true;
}

/* Reads once into the empty pipe. Return: 1 progress, 0 nothing there now, or the end. */
static int fill(struct side *from)
{
	uint64_t most = UINT64_MAX;
	ssize_t n;

	if (is_held(from) || (is_held(from->other) && !show_answer(from)))
		return 0;
	if (from->filter && from->filter->ops->is_over(from->filter))
		drop_filter(from);
	if (from->filter)
		most = from->filter->ops->splice(from->filter);
	if (most == 0)
		return take(from);
	if (take_pipe(from) < 0) {
		/* No descriptor left for a pipe: this connection ends rather than spins. */
		cut_sink(from->other);
		cut_sink(from);
		return 0;
	}
	n = splice(from->fd, NULL, from->pipe[1], NULL, most < SPLICE_LEN ? (size_t)most : SPLICE_LEN,
		   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0) {
		from->in_pipe = (size_t)n;
		if (from->filter)
			from->filter->ops->spliced(from->filter, (uint64_t)n);
		return 1;
	}
	/* After a hang-up nothing can come later: "nothing there now" is the end then. */
	if (n < 0 && (errno == EINTR || (errno == EAGAIN && from->source))) {
		put_pipe(from);
		return errno == EINTR;
	}
	/* 0: end of file. Anything else: the peer is gone, nothing can be sent to it either. */
	put_pipe(from);
	from->read_end = true;
	if (n < 0)
		cut_sink(from);
	return 0;
}

/* Writes what is in the pipe. Return: 1 when it is empty, 0 when the sink is full or gone. */
static int drain(struct side *from)
{
	const char *p;
	size_t len;

	/* Never both: the filter lets nothing go unseen while it has bytes. */
	while (!from->in_pipe && from->filter && (len = from->filter->ops->pending(from->filter, &p)) > 0) {
		ssize_t n = send(from->other->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0) {
			cut_sink(from->other);
			return 0;
		}
		from->filter->ops->sent(from->filter, (size_t)n);
	}
	while (from->in_pipe) {
		ssize_t n = splice(from->pipe[0], NULL, from->other->fd, NULL, from->in_pipe,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n > 0) {
			from->in_pipe -= (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		cut_sink(from->other);
		return 0;
	}
	return 1;
}

/* Moves bytes of one direction for a bounded while, then passes on its end. */
static void pump(struct side *from)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		if (!drain(from))
			break;
		if (from->read_end || !fill(from))
			break;
	}
	if (!from->in_pipe)
		put_pipe(from);
	if (from->read_end && !has_waiting(from) && !from->other->write_end) {
		(void)shutdown(from->other->fd, SHUT_WR);
		from->other->write_end = true;
	}
}

static void update(struct side *s)
{
	uint32_t events = 0;

	if (!s->source)
		return;
	if (!s->read_end && !has_waiting(s) && !is_held(s))
		events |= EPOLLIN;
	/* After its source hung up, room at the sink is the only thing that drives the direction. */
	if (has_waiting(s->other) || (!s->other->source && !s->other->read_end))
		events |= EPOLLOUT;
	if (events != s->events && loop_source_set_events(s->source, events) == 0)
		s->events = events;
}

static int on_event(void *data, int fd, uint32_t events)
{
	struct side *s = data;
	struct relay *relay = s->relay;

	/* Whom it waits for is gone, or who waits. */
	if ((events & (EPOLLHUP | EPOLLERR)) && (is_held(s) || is_held(s->other)))
		relay->side[0].filter->ops->end(relay->side[0].filter);
	if (events & (EPOLLHUP | EPOLLERR)) {
		s->source = loop_source_free(s->source);
		cut_sink(s);
	}
	pump(s);
	pump(s->other);
	if (s->read_end && s->write_end && s->other->read_end && s->other->write_end) {
		relay->on_end(relay->data, relay);
		return 0;
	}
	update(&relay->side[0]);
	update(&relay->side[1]);
	return 0;
}

int relay_start_filtered_consume(struct loop *loop, struct relay_pool *pool, int a_fd, int b_fd, struct relay_filter *filter,
				 relay_end_fn on_end, void *data, struct relay **ret)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	int r = 0;

	if (!relay) {
		if (filter)
			filter->ops->free(filter);
		fd_close(a_fd);
		fd_close(b_fd);
		return trace(-ENOMEM);
	}
	*relay = (struct relay){.loop = loop, .pool = pool, .on_end = on_end, .data = data};
	for (int i = 0; i < 2; i++)
		relay->side[i] = (struct side){.relay = relay, .other = &relay->side[!i], .fd = i ? b_fd : a_fd,
					       .events = EPOLLIN, .pipe = {-EBADF, -EBADF}};
	relay->side[0].filter = filter;
	for (int i = 0; i < 2 && r >= 0; i++)
		r = loop_add_fd(loop, relay->side[i].fd, EPOLLIN, on_event, &relay->side[i], &relay->side[i].source);
	if (r < 0) {
		relay_free(relay);
		return trace(r);
	}
	*ret = relay;
	return 0;
}

int relay_start_consume(struct loop *loop, struct relay_pool *pool, int a_fd, int b_fd, relay_end_fn on_end, void *data,
			struct relay **ret)
{
	return relay_start_filtered_consume(loop, pool, a_fd, b_fd, NULL, on_end, data, ret);
}

struct relay *relay_free(struct relay *relay)
{
	if (!relay)
		return NULL;
	for (int i = 0; i < 2; i++) {
		struct side *s = &relay->side[i];

		s->source = loop_source_free(s->source);
		drop_filter(s);
		put_pipe(s);
		s->fd = fd_close(s->fd);
	}
	free(relay);
	return NULL;
}
