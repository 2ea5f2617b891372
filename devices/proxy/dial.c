/* SPDX-License-Identifier: Apache-2.0 */
/* dial: see the header. Called by devices/proxy; never blocks. */
#include "devices/proxy/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"

static void end_try(struct dial_try *t)
{
	t->source = loop_source_free(t->source);
	if (t->fd >= 0)
		t->dial->n_open--;
	t->fd = fd_close(t->fd);
}

void dial_stop(struct dial *dial)
{
	if (!dial->loop)
		return;
	for (size_t i = 0; i < dial->next; i++)
		end_try(&dial->attempt[i]);
	dial->timer = loop_source_free(dial->timer);
	dial->loop = NULL;
}

static int connect_to(int fd, const struct net_addr *addr, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int r;

	memcpy(&v4.sin_addr, addr->byte + 12, 4);
	memcpy(&v6.sin6_addr, addr->byte, 16);
	if (net_addr_is_v4(addr))
		r = connect(fd, (const struct sockaddr *)&v4, sizeof(v4));
	else
		r = connect(fd, (const struct sockaddr *)&v6, sizeof(v6));
	return r < 0 && errno != EINPROGRESS ? error_errno() : 0;
}

static int on_connected(void *data, int fd, uint32_t events);

static int start_try(struct dial *dial, struct dial_try *t, const struct net_addr *addr)
{
	static const int on = 1;
	int r;

	*t = (struct dial_try){.dial = dial, .fd = -EBADF};
	t->fd = socket(net_addr_is_v4(addr) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return error_errno();
	dial->n_open++;
	(void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(t->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	r = connect_to(t->fd, addr, dial->port);
	if (r >= 0)
		r = loop_add_fd(dial->loop, t->fd, EPOLLOUT, on_connected, t, &t->source);
	if (r < 0)
		end_try(t);
	return r;
}

/* Starts the next address that can be started. Return: 0; -errno: none is left and none is open. */
static int go_on(struct dial *dial)
{
	while (dial->next < dial->n) {
		size_t i = dial->next++;
		int r = start_try(dial, &dial->attempt[i], &dial->addr[i]);

		if (r >= 0) {
			(void)loop_timer_set(dial->timer, dial->next < dial->n ? DIAL_STAGGER_US : UINT64_MAX);
			return 0;
		}
		if (!dial->r)
			dial->r = r;
	}
	return dial->n_open ? 0 : dial->r;
}

static void finish(struct dial *dial, int fd)
{
	dial_fn fn = dial->fn;
	void *data = dial->data;

	dial_stop(dial);
	fn(data, fd);
}

static int on_connected(void *data, int fd, uint32_t events)
{
	struct dial_try *t = data;
	struct dial *dial = t->dial;
	int error = 0, r;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (!error) {
		t->source = loop_source_free(t->source);
		t->fd = -EBADF;
		dial->n_open--;
		finish(dial, fd);
		return 0;
	}
	if (!dial->r)
		dial->r = -error;
	end_try(t);
	r = go_on(dial);
	if (r < 0)
		finish(dial, r);
	return 0;
}

static int on_timer(void *data)
{
	struct dial *dial = data;
	int r = go_on(dial);

	if (r < 0)
		finish(dial, r);
	return 0;
}

int dial_start(struct dial *dial, struct loop *loop, const struct net_addr *addrs, size_t n, uint16_t port, dial_fn fn, void *data)
{
	int r;

	if (!n)
		return trace(-EINVAL);
	*dial = (struct dial){.loop = loop, .port = port, .fn = fn, .data = data, .n = n < DIAL_MAX ? n : DIAL_MAX};
	memcpy(dial->addr, addrs, dial->n * sizeof(*addrs));
	r = loop_add_timer(loop, on_timer, dial, &dial->timer);
	if (r < 0) {
		dial->loop = NULL;
		return trace(r);
	}
	r = go_on(dial);
	if (r < 0)
		dial_stop(dial);
	return r;
}
