/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: see relay.h.
 *
 * Theory of operation
 * -------------------
 * A relay has two sides (sockets; an echo has one) and two flows (directions; an echo has one). A flow is
 *   OPEN    reads its source whenever its store is empty and the source is readable
 *   ENDING  the source has ended; what the store holds still goes to the sink
 *   DONE    nothing more will be carried
 * Back-pressure: a flow reads only into an empty store, so at most one pipe is held per direction and a slow
 * sink fills the source's receive buffer, which closes the sender's window.
 *
 * Ends. End of input is carried as shutdown(SHUT_WR) once the store is empty. The relay is closed when both
 * flows are DONE.
 *
 * Resets. A side that reports an error, or that can no longer be written, has vanished: the relay is marked
 * `reset`, the flow towards that side is DONE at once, the flow from it still delivers what the peer sent
 * before (an engine that answers "400" and closes without having read the whole request must have its answer
 * delivered). Then the other side is closed with a zero linger time, which is a RST on TCP. RST discards what
 * TCP has not yet had acknowledged, hence the relay waits (LINGER_TICK_US) until the send queue is empty, at
 * most linger_us.
 *
 * Events are edge-triggered and registered once: `readable` and `writable` remember an edge until EAGAIN.
 * Callbacks only set flags and queue the relay; relay_set_run does the work, at most ROUND_MAX moves per
 * flow and round, so that one bulk transfer cannot starve the others. Freed slots go through base/table, and
 * nothing here allocates after relay_set_new except the loop's source objects.
 */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/table.h"
#include "guest/agent/relay.h"

enum { ROUND_MAX = 4, LINGER_TICK_US = 20000 };

enum flow_state { FLOW_OPEN, FLOW_ENDING, FLOW_DONE };

struct side {
	int fd; /* -EBADF or owned */
	struct loop_source *source;
	struct relay *relay;
	bool readable, writable;
	bool failed; /* the kernel reported an error: no use in waiting for its send queue */
	bool tcp;
};

struct flow {
	struct side *from, *to;
	struct store store;
	enum flow_state state;
};

struct relay {
	struct relay_set *set;
	uint64_t handle;
	struct side sides[2];
	struct flow flows[2];
	TAILQ_ENTRY(relay) ready;
	TAILQ_ENTRY(relay) lingering;
	bool is_ready, is_lingering;
	bool reset;
	uint64_t deadline_us; /* of the lingering */
};
TAILQ_HEAD(relay_list, relay);

struct relay_set {
	struct loop *loop;
	struct loop_source *tick;
	uint64_t linger_us;
	struct store_pool pool;
	struct relay_stats stats;
	struct table table;
	struct relay_list ready, lingering;
	struct table_slot slots[RELAY_MAX];
	struct relay relays[RELAY_MAX];
};

static void enqueue(struct relay *relay)
{
	if (relay->is_ready)
		return;
	relay->is_ready = true;
	TAILQ_INSERT_TAIL(&relay->set->ready, relay, ready);
}

/* Closes FD; with RST when it is a TCP socket. */
static void close_with_reset(int fd)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (fd < 0)
		return;
	/* Without effect on Unix sockets, whose peer sees the end (or ECONNRESET, if we left bytes unread). */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	fd_close(fd);
}

static void relay_close(struct relay *relay)
{
	struct relay_set *set = relay->set;

	for (size_t i = 0; i < ARRAY_SIZE(relay->sides); i++) {
		struct side *side = &relay->sides[i];

		side->source = loop_source_free(side->source);
		if (relay->reset)
			close_with_reset(side->fd);
		else
			fd_close(side->fd);
		side->fd = -EBADF;
		store_drop(&set->pool, &relay->flows[i].store);
	}
	if (relay->is_ready)
		TAILQ_REMOVE(&set->ready, relay, ready);
	if (relay->is_lingering)
		TAILQ_REMOVE(&set->lingering, relay, lingering);
	relay->is_ready = relay->is_lingering = false;
	if (relay->reset)
		set->stats.resets++;
	set->stats.now--;
	table_put(&set->table, relay->handle);
}

static void linger_start(struct relay *relay)
{
	struct relay_set *set = relay->set;

	if (relay->is_lingering)
		return;
	if (TAILQ_EMPTY(&set->lingering))
		loop_timer_set(set->tick, LINGER_TICK_US);
	relay->deadline_us = loop_now_us() + relay->set->linger_us;
	relay->is_lingering = true;
	TAILQ_INSERT_TAIL(&set->lingering, relay, lingering);
}

/* The flow cannot reach its sink any more. */
static void flow_break(struct relay *relay, struct flow *flow)
{
	store_drop(&relay->set->pool, &flow->store);
	flow->state = FLOW_DONE;
	relay->reset = true;
}

/* SIDE reported an error: nothing can be sent to it; what it sent before may still be read. */
static void side_failed(struct side *side)
{
	struct relay *relay = side->relay;

	side->failed = true;
	relay->reset = true;
	for (size_t i = 0; i < ARRAY_SIZE(relay->flows); i++)
		if (relay->flows[i].to == side)
			flow_break(relay, &relay->flows[i]);
	linger_start(relay);
}

/* Moves once from the source to the store. Return: true when something changed. */
static bool flow_fill(struct relay *relay, struct flow *flow)
{
	ssize_t n;

	if (flow->state != FLOW_OPEN || flow->store.len > 0 || !flow->from->readable)
		return false;
	n = store_fill(&relay->set->pool, &flow->store, flow->from->fd);
	if (n > 0)
		return true;
	if (n == -EAGAIN) {
		flow->from->readable = false;
		return false;
	}
	flow->state = FLOW_ENDING;
	if (n < 0)
		side_failed(flow->from);
	return true;
}

/* Moves once from the store to the sink. Return: true when something changed. */
static bool flow_drain(struct relay *relay, struct flow *flow)
{
	ssize_t n;

	if (flow->state == FLOW_DONE)
		return false;
	if (flow->store.len > 0) {
		if (!flow->to->writable)
			return false;
		n = store_drain(&relay->set->pool, &flow->store, flow->to->fd);
		if (n == -EAGAIN) {
			flow->to->writable = false;
			return false;
		}
		/* EPIPE: it reads no more, but may still be sending; anything else: it is gone. */
		if (n == -EPIPE) {
			flow_break(relay, flow);
			return true;
		}
		if (n < 0) {
			side_failed(flow->to);
			return true;
		}
		relay->set->stats.bytes += (uint64_t)n;
		return true;
	}
	if (flow->state == FLOW_ENDING) {
		/* After a failure of the source no orderly end is faked. */
		if (!flow->from->failed)
			shutdown(flow->to->fd, SHUT_WR);
		flow->state = FLOW_DONE;
		return true;
	}
	return false;
}

static bool flow_move(struct relay *relay, struct flow *flow)
{
	bool filled = flow_fill(relay, flow);

	return flow_drain(relay, flow) || filled;
}

/* Return: true when every byte given to SIDE has been acknowledged, or nobody is there to do it. */
static bool side_flushed(const struct side *side)
{
	int queued = 0;

	/* What a Unix peer has not read stays readable after our close. */
	if (side->fd < 0 || side->failed || !side->tcp)
		return true;
	return ioctl(side->fd, SIOCOUTQ, &queued) < 0 || queued == 0;
}

/* Closes the relay when nothing is left to carry. */
static void relay_check_end(struct relay *relay)
{
	if (relay->flows[0].state != FLOW_DONE || relay->flows[1].state != FLOW_DONE)
		return;
	if (!relay->reset || (side_flushed(&relay->sides[0]) && side_flushed(&relay->sides[1])))
		relay_close(relay);
	else
		linger_start(relay);
}

static void relay_pump(struct relay *relay)
{
	bool more = false;

	for (size_t i = 0; i < ARRAY_SIZE(relay->flows); i++) {
		struct flow *flow = &relay->flows[i];
		int round = 0;

		while (round < ROUND_MAX && flow_move(relay, flow))
			round++;
		more = more || round == ROUND_MAX;
	}
	if (more)
		enqueue(relay);
	relay_check_end(relay);
}

static int on_side(void *data, int fd _unused_, uint32_t events)
{
	struct side *side = data;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		side->writable = true;
	if (events & EPOLLERR)
		side_failed(side);
	enqueue(side->relay);
	return 0;
}

static int on_tick(void *data)
{
	struct relay_set *set = data;
	uint64_t now = loop_now_us();
	struct relay *relay = TAILQ_FIRST(&set->lingering);

	while (relay) {
		struct relay *next = TAILQ_NEXT(relay, lingering);

		if (now >= relay->deadline_us)
			relay_close(relay);
		else
			relay_check_end(relay);
		relay = next;
	}
	if (!TAILQ_EMPTY(&set->lingering))
		loop_timer_set(set->tick, LINGER_TICK_US);
	return 0;
}

int relay_set_new(struct loop *loop, uint32_t max, uint64_t linger_us, struct relay_set **ret)
{
	_cleanup_(relay_set_freep) struct relay_set *set = NULL;
	int r;

	if (max == 0 || max > RELAY_MAX)
		return trace(-EINVAL);
	/* Large and zeroed: pages of relays that are never used are never touched. */
	set = calloc(1, sizeof(*set));
	if (!set)
		return trace(-ENOMEM);
	set->loop = loop;
	set->linger_us = linger_us;
	TAILQ_INIT(&set->ready);
	TAILQ_INIT(&set->lingering);
	table_init(&set->table, set->slots, max);
	r = loop_add_timer(loop, on_tick, set, &set->tick);
	if (r < 0)
		return trace(r);
	*ret = take_ptr(set);
	return 0;
}

struct relay_set *relay_set_free(struct relay_set *set)
{
	if (!set)
		return NULL;
	for (uint32_t i = 0; i < set->table.n_slots; i++) {
		if (!table_handle(&set->table, i))
			continue;
		set->relays[i].reset = true;
		relay_close(&set->relays[i]);
	}
	loop_source_free(set->tick);
	store_pool_done(&set->pool);
	free(set);
	return NULL;
}

bool relay_set_full(const struct relay_set *set)
{
	return set->table.n_used >= set->table.n_slots;
}

static int side_open(struct relay *relay, struct side *side)
{
	socklen_t len = sizeof(int);
	int domain = 0, on = 1, r;

	if (getsockopt(side->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return trace(error_errno());
	side->tcp = domain == AF_INET || domain == AF_INET6;
	if (side->tcp && setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return trace(error_errno());
	r = fd_set_nonblock(side->fd, true);
	if (r < 0)
		return trace(r);
	/* What is already there to be read is the first edge. */
	side->writable = true;
	return loop_add_fd(relay->set->loop, side->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_side, side,
			   &side->source);
}

/* B_FD is -EBADF for an echo. */
static int relay_open(struct relay_set *set, int a_fd, int b_fd)
{
	bool echo = b_fd < 0;
	struct relay *relay;
	uint64_t handle;
	uint32_t index;
	int r;

	if (!table_take(&set->table, &handle) || !table_find(&set->table, handle, &index)) {
		relay_refuse_consume(set, a_fd);
		close_with_reset(b_fd);
		return RELAY_E_FULL;
	}
	relay = &set->relays[index];
	*relay = (struct relay){.set = set, .handle = handle};
	relay->sides[0] = (struct side){.fd = a_fd, .relay = relay};
	relay->sides[1] = (struct side){.fd = echo ? -EBADF : b_fd, .relay = relay};
	relay->flows[0] = (struct flow){.from = &relay->sides[0], .to = &relay->sides[echo ? 0 : 1]};
	relay->flows[1] = (struct flow){.from = &relay->sides[1], .to = &relay->sides[0]};
	if (echo)
		relay->flows[1].state = FLOW_DONE;
	set->stats.now++;
	set->stats.total++;

	r = side_open(relay, &relay->sides[0]);
	if (r >= 0 && !echo)
		r = side_open(relay, &relay->sides[1]);
	if (r < 0) {
		relay->reset = true;
		relay_close(relay);
		return trace(r);
	}
	enqueue(relay);
	return 0;
}

int relay_join_consume(struct relay_set *set, int a_fd, int b_fd)
{
	if (b_fd < 0) {
		relay_refuse_consume(set, a_fd);
		return trace(-EBADF);
	}
	return relay_open(set, a_fd, b_fd);
}

int relay_echo_consume(struct relay_set *set, int fd)
{
	return relay_open(set, fd, -EBADF);
}

void relay_refuse_consume(struct relay_set *set, int fd)
{
	set->stats.refused++;
	close_with_reset(fd);
}

bool relay_set_pending(const struct relay_set *set)
{
	return !TAILQ_EMPTY(&set->ready);
}

void relay_set_run(struct relay_set *set)
{
	struct relay_list round = TAILQ_HEAD_INITIALIZER(round);

	/* A relay that is queued again during this round waits for the next. */
	TAILQ_CONCAT(&round, &set->ready, ready);
	while (!TAILQ_EMPTY(&round)) {
		struct relay *relay = TAILQ_FIRST(&round);

		TAILQ_REMOVE(&round, relay, ready);
		relay->is_ready = false;
		relay_pump(relay);
	}
}

void relay_set_stats(const struct relay_set *set, struct relay_stats *ret)
{
	*ret = set->stats;
}
