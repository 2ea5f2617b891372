/* SPDX-License-Identifier: Apache-2.0 */
/* local: see local.h. A connection waits in a fixed table until the container has accepted, then it is the relay's. */
#include "guest/port-proxy/local.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "guest/agent/relay.h"

enum { PENDING_MAX = 64, BACKLOG = 128, ACCEPT_BATCH = 32, LOCAL_LOOK_US = 100000 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct pending {
	struct local *local;
	struct loop_source *source;
	int client_fd, target_fd; /* -EBADF: the entry is free */
	uint64_t since_us;
};

struct local {
	struct loop *loop;
	struct loop_source *listener, *tick;
	struct relay_set *relays;
	int fd;
	bool paused;
	union address target;
	socklen_t target_len;
	struct pending pending[PENDING_MAX];
};

static socklen_t fill(union address *dst, const struct net_addr *addr, uint16_t port)
{
	memset(dst, 0, sizeof(*dst));
	if (net_addr_is_v4(addr)) {
		dst->v4.sin_family = AF_INET;
		dst->v4.sin_port = htons(port);
		memcpy(&dst->v4.sin_addr, addr->byte + 12, 4);
		return sizeof(dst->v4);
	}
	dst->v6.sin6_family = AF_INET6;
	dst->v6.sin6_port = htons(port);
	memcpy(&dst->v6.sin6_addr, addr->byte, 16);
	return sizeof(dst->v6);
}

static void release(struct pending *p)
{
	struct local *local = p->local;

	p->source = loop_source_free(p->source);
	p->client_fd = fd_close(p->client_fd);
	p->target_fd = fd_close(p->target_fd);
	if (local->paused) {
		local->paused = false;
		loop_source_set_events(local->listener, EPOLLIN);
	}
}

static int on_target(void *data, int fd, uint32_t events _unused_)
{
	struct pending *p = data;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
		struct linger now = {.l_onoff = 1};

		/* Refused there is a reset here. */
		(void)setsockopt(p->client_fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		release(p);
		return 0;
	}
	p->source = loop_source_free(p->source);
	(void)relay_join_consume(p->local->relays, take_fd(p->client_fd), take_fd(p->target_fd));
	release(p);
	return 0;
}

static void connect_target_consume(struct local *local, struct pending *p, int client_fd)
{
	p->local = local;
	p->client_fd = client_fd;
	p->since_us = loop_now_us();
	p->target_fd = socket(local->target.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->target_fd < 0 ||
	    (connect(p->target_fd, &local->target.any, local->target_len) < 0 && errno != EINPROGRESS) ||
	    loop_add_fd(local->loop, p->target_fd, EPOLLOUT, on_target, p, &p->source) < 0) {
		release(p);
		return;
	}
	loop_timer_set(local->tick, LOCAL_CONNECT_US);
}

static int on_tick(void *data)
{
	struct local *local = data;
	uint64_t now = loop_now_us();
	bool left = false;

	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &local->pending[i];

		if (p->target_fd < 0)
			continue;
		if (now - p->since_us >= LOCAL_CONNECT_US)
			release(p);
		else
			left = true;
	}
	if (local->paused && !relay_set_full(local->relays)) {
		local->paused = false;
		return loop_source_set_events(local->listener, EPOLLIN);
	}
	return left || local->paused ? loop_timer_set(local->tick, LOCAL_LOOK_US) : 0;
}

static int on_listener(void *data, int fd, uint32_t events _unused_)
{
	struct local *local = data;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		size_t k = 0;
		int client_fd;

		while (k < PENDING_MAX && local->pending[k].target_fd >= 0)
			k++;
		if (k == PENDING_MAX || relay_set_full(local->relays)) {
			/* They wait in the backlog. A full relay table is looked at again when one is released. */
			local->paused = true;
			loop_timer_set(local->tick, LOCAL_LOOK_US);
			return loop_source_set_events(local->listener, 0);
		}
		client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client_fd < 0)
			return 0;
		connect_target_consume(local, &local->pending[k], client_fd);
	}
	return 0;
}

/* The loopback address that stands for HOST. Return: false when there is none. */
static bool loopback_of(const struct net_addr *host, struct net_addr *ret)
{
	static const struct net_addr any6, loopback6 = {{[15] = 1}};

	if (net_addr_is_v4(host)) {
		*ret = net_addr4(INADDR_LOOPBACK);
		return !memcmp(host->byte + 12, any6.byte, 4) || net_addr_equal(host, ret);
	}
	*ret = loopback6;
	return net_addr_equal(host, &any6) || net_addr_equal(host, &loopback6);
}

static int listen_at(const struct net_addr *addr, uint16_t port)
{
	union address a;
	socklen_t len = fill(&a, addr, port);
	_cleanup_close_ int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || bind(fd, &a.any, len) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_errno();
	return take_fd(fd);
}

int local_new(struct loop *loop, const struct net_addr *host, uint16_t host_port, const struct net_addr *target,
	      uint16_t target_port, struct local **ret)
{
	struct net_addr addr;
	struct local *local;
	int r;

	if (!loopback_of(host, &addr))
		return LOCAL_E_NONE;
	local = calloc(1, sizeof(*local));
	if (!local)
		return trace(-ENOMEM);
	local->loop = loop;
	local->target_len = fill(&local->target, target, target_port);
	for (size_t i = 0; i < PENDING_MAX; i++)
		local->pending[i].client_fd = local->pending[i].target_fd = -EBADF;
	local->fd = listen_at(&addr, host_port);
	r = local->fd < 0 ? local->fd : relay_set_new(loop, LOCAL_MAX, RELAY_LINGER_US, &local->relays);
	if (r >= 0)
		r = loop_add_timer(loop, on_tick, local, &local->tick);
	if (r >= 0)
		r = loop_add_fd(loop, local->fd, EPOLLIN, on_listener, local, &local->listener);
	if (r < 0) {
		local_free(local);
		return r == -EADDRINUSE || r == -EADDRNOTAVAIL ? LOCAL_E_NONE : trace(r);
	}
	*ret = local;
	return 0;
}

struct local *local_free(struct local *local)
{
	if (!local)
		return NULL;
	for (size_t i = 0; i < PENDING_MAX; i++) {
		loop_source_free(local->pending[i].source);
		fd_close(local->pending[i].client_fd);
		fd_close(local->pending[i].target_fd);
	}
	loop_source_free(local->listener);
	loop_source_free(local->tick);
	relay_set_free(local->relays);
	fd_close(local->fd);
	free(local);
	return NULL;
}

bool local_pending(const struct local *local)
{
	return local && relay_set_pending(local->relays);
}

void local_run(struct local *local)
{
	if (local)
		relay_set_run(local->relays);
}
