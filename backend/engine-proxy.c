/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine-proxy: theory of operation.
 *
 * Each accepted connection is a client in one of four phases: HELD (waits for the gate or for room in the link's backlog; nothing
 * is read from it, so its bytes stay in its socket), PASSING (a relay owns the descriptor), ASKED (will be refused: waits for the
 * request's first bytes), TOLD (has its 503; what it still sends is read and dropped for a moment, because closing a Unix socket
 * with unread bytes would turn the answer into a reset). At ENGINE_CLIENTS_MAX accepting pauses.
 */
#include "backend/engine-proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/relay.h"
#include "base/sock.h"
#include "proto/http.h"

enum { LISTENERS_MAX = 2, ACCEPT_BATCH = 64, RETRY_US = 20000, LINGER_US = 5000000, DISCARD_MAX = 1 << 20 };
enum phase { PHASE_HELD, PHASE_PASSING, PHASE_ASKED, PHASE_TOLD };

struct client {
	struct engine_proxy *proxy;
	struct client *prev, *next;
	enum phase phase;
	int fd; /* -EBADF while PASSING */
	struct loop_source *source;
	struct relay *relay;
	uint64_t deadline_us; /* TOLD */
	size_t discarded;
};

struct engine_proxy {
	struct loop *loop;
	struct relay_pool *pool;
	int upstream_dir_fd;
	const char *upstream_name;
	struct engine_watch_shared watch;
	enum engine_gate gate;
	char reason[FAULT_TEXT_MAX];
	int listen_fd[LISTENERS_MAX];
	struct loop_source *listener[LISTENERS_MAX];
	unsigned int n_listeners;
	bool paused;
	uint32_t n_clients, n_told;
	struct client *clients;
	struct loop_source *retry_timer, *linger_timer;
};

static void drop(struct client *c)
{
	struct engine_proxy *p = c->proxy;

	if (c->prev)
		c->prev->next = c->next;
	else
		p->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	p->n_told -= c->phase == PHASE_TOLD;
	c->source = loop_source_free(c->source);
	c->relay = relay_free(c->relay);
	fd_close(c->fd);
	free(c);
	p->n_clients--;
	if (p->paused && p->n_clients < ENGINE_CLIENTS_MAX) {
		p->paused = false;
		for (unsigned int i = 0; i < p->n_listeners; i++)
			(void)loop_source_set_events(p->listener[i], EPOLLIN);
	}
}

static void on_relay_end(void *data, struct relay *relay)
{
	drop(data);
}

/* Writes the 503 and stops sending. One write: a fresh socket's buffer holds it. */
static void tell(struct client *c)
{
	char body[2 * FAULT_TEXT_MAX + 64];
	uint8_t buf[sizeof(body) + 256];
	struct bytes_writer w = bytes_writer(buf, sizeof(buf));
	size_t n = (size_t)snprintf(body, sizeof(body), "{\"message\":\"");

	/* The reason has no control characters (fault_set); quotes and backslashes are JSON's own. */
	for (const char *p = c->proxy->reason; *p; p++) {
		if (*p == '"' || *p == '\\')
			body[n++] = '\\';
		body[n++] = *p;
	}
	memcpy(body + n, "\"}\n", 4);
	http_put_status(&w, 503, http_reason(503));
	http_put_field(&w, "Content-Type", "application/json");
	http_put_field_u64(&w, "Content-Length", n + 3);
	http_put_field(&w, "Connection", "close");
	http_put_end(&w);
	bytes_put(&w, body, n + 3);
	if (w.ok)
		(void)!send(c->fd, buf, w.off, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(c->fd, SHUT_WR);
	c->phase = PHASE_TOLD;
	c->deadline_us = loop_now_us() + LINGER_US;
	if (c->proxy->n_told++ == 0)
		(void)loop_timer_set(c->proxy->linger_timer, LINGER_US);
}

/* ASKED, TOLD: reads and drops. */
static int on_refused(void *data, int fd, uint32_t events)
{
	struct client *c = data;
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN && !(events & (EPOLLHUP | EPOLLERR)))
		return 0;
	if (n > 0 && c->phase == PHASE_ASKED)
		tell(c);
	if (n > 0)
		c->discarded += (size_t)n;
	if (n <= 0 || c->discarded > DISCARD_MAX)
		drop(c);
	return 0;
}

static void refuse(struct client *c)
{
	c->source = loop_source_free(c->source);
	c->phase = PHASE_ASKED;
	if (loop_add_fd(c->proxy->loop, c->fd, EPOLLIN, on_refused, c, &c->source) < 0)
		drop(c);
}

/* The one place where a client meets the engine. Return: false when nobody can be connected at the moment. */
static bool connect_client(struct client *c)
{
	struct engine_proxy *p = c->proxy;
	struct relay_filter *filter = NULL;
	int upstream_fd, r;

	upstream_fd = sock_connect_at(p->upstream_dir_fd, p->upstream_name, SOCK_STREAM | SOCK_NONBLOCK);
	if (upstream_fd == -EAGAIN) {
		/* The link's backlog is full: this one stays held. */
		(void)loop_timer_set(p->retry_timer, RETRY_US);
		return false;
	}
	if (upstream_fd < 0) {
		log_limited(LOG_WARNING, "engine: the control link cannot be reached: %s", strerror(-upstream_fd));
		refuse(c);
		return true;
	}
	c->source = loop_source_free(c->source);
	c->phase = PHASE_PASSING;
	/* Without memory for a watch the client is served all the same: its ports are refused later, in words. */
	if (p->watch.named)
		(void)engine_watch_new(&p->watch, &filter);
	r = relay_start_filtered_consume(p->loop, p->pool, take_fd(c->fd), upstream_fd, filter, on_relay_end, c, &c->relay);
	if (r < 0) {
		log_limited(LOG_WARNING, "engine: a connection cannot be relayed: %s", strerror(-r));
		drop(c);
	}
	return true;
}

/* HELD: only a hang-up is watched. */
static int on_held(void *data, int fd, uint32_t events)
{
	drop(data);
	return 0;
}

/* Return: false when the rest must wait. */
static bool admit(struct client *c)
{
	if (c->proxy->gate == ENGINE_PASS)
		return connect_client(c);
	if (c->proxy->gate == ENGINE_REFUSE)
		refuse(c);
	return true;
}

/* Adds a client for FD (consumed). */
static int add_client_consume(struct engine_proxy *p, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		fd_close(fd);
		return trace(-ENOMEM);
	}
	*c = (struct client){.proxy = p, .phase = PHASE_HELD, .fd = fd, .next = p->clients};
	r = loop_add_fd(p->loop, fd, 0, on_held, c, &c->source);
	if (r < 0) {
		fd_close(fd);
		free(c);
		return r;
	}
	if (c->next)
		c->next->prev = c;
	p->clients = c;
	p->n_clients++;
	(void)admit(c);
	return 0;
}

static void pause_accepting(struct engine_proxy *p, const char *why)
{
	log_limited(LOG_WARNING, "engine: accepting pauses at %u clients: %s", p->n_clients, why);
	p->paused = true;
	for (unsigned int i = 0; i < p->n_listeners; i++)
		(void)loop_source_set_events(p->listener[i], 0);
}

static int on_accept(void *data, int fd, uint32_t events)
{
	struct engine_proxy *p = data;
	struct sock_peer peer;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int client_fd;

		if (p->n_clients >= ENGINE_CLIENTS_MAX) {
			pause_accepting(p, "the limit is reached");
			return 0;
		}
		client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client_fd < 0 && (errno == EMFILE || errno == ENFILE) && p->n_clients)
			pause_accepting(p, "no descriptor is free");
		if (client_fd < 0)
			return 0;
		/* The directory and the mode already keep others out; root may use the engine of a user. */
		if (sock_peer(client_fd, &peer) < 0 || (peer.uid != geteuid() && peer.uid != 0)) {
			log_limited(LOG_WARNING, "engine: a client of another user was refused");
			fd_close(client_fd);
			continue;
		}
		if (add_client_consume(p, client_fd) < 0)
			return 0;
	}
	return 0;
}

static int on_retry(void *data)
{
	struct engine_proxy *p = data;

	for (struct client *c = p->clients, *next; c; c = next) {
		next = c->next;
		if (c->phase == PHASE_HELD && !admit(c))
			break;
	}
	return 0;
}

static int on_linger(void *data)
{
	struct engine_proxy *p = data;
	uint64_t now = loop_now_us();

	for (struct client *c = p->clients, *next; c; c = next) {
		next = c->next;
		if (c->phase == PHASE_TOLD && c->deadline_us <= now)
			drop(c);
	}
	if (p->n_told)
		(void)loop_timer_set(p->linger_timer, LINGER_US);
	return 0;
}

int engine_proxy_new(struct loop *loop, int upstream_dir_fd, const char *upstream_name, struct engine_proxy **ret)
{
	struct engine_proxy *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return trace(-ENOMEM);
	p->loop = loop;
	p->upstream_dir_fd = upstream_dir_fd;
	p->upstream_name = upstream_name;
	r = relay_pool_new(&p->pool);
	if (r >= 0)
		r = loop_add_timer(loop, on_retry, p, &p->retry_timer);
	if (r >= 0)
		r = loop_add_timer(loop, on_linger, p, &p->linger_timer);
	if (r < 0) {
		engine_proxy_free(p);
		return trace(r);
	}
	*ret = p;
	return 0;
}

void engine_proxy_watch(struct engine_proxy *p, port_learn_fn named, void *data)
{
	p->watch = (struct engine_watch_shared){
		.named = named, .data = data, .held = {.name = "held requests", .max = ENGINE_WATCH_HELD_MAX}};
}

int engine_proxy_listen_consume(struct engine_proxy *p, int listen_fd)
{
	int r = p->n_listeners < LISTENERS_MAX ? 0 : -ENOSPC;

	if (r >= 0)
		r = loop_add_fd(p->loop, listen_fd, EPOLLIN, on_accept, p, &p->listener[p->n_listeners]);
	if (r < 0) {
		fd_close(listen_fd);
		return trace(r);
	}
	p->listen_fd[p->n_listeners++] = listen_fd;
	return 0;
}

void engine_proxy_set(struct engine_proxy *p, enum engine_gate gate, const char *reason)
{
	p->gate = gate;
	snprintf(p->reason, sizeof(p->reason), "%s", reason);
	if (gate != ENGINE_WAIT)
		(void)on_retry(p);
}

uint32_t engine_proxy_count(const struct engine_proxy *p)
{
	return p->n_clients;
}

struct engine_proxy *engine_proxy_free(struct engine_proxy *p)
{
	if (!p)
		return NULL;
	while (p->clients)
		drop(p->clients);
	for (unsigned int i = 0; i < p->n_listeners; i++) {
		loop_source_free(p->listener[i]);
		fd_close(p->listen_fd[i]);
	}
	loop_source_free(p->retry_timer);
	loop_source_free(p->linger_timer);
	relay_pool_free(p->pool);
	free(p);
	return NULL;
}
