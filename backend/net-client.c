/* SPDX-License-Identifier: Apache-2.0 */
/* net-client: kept messages in slots, a queue of encoded frames for what the socket does not take at once. */
#include "backend/net-client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

enum { ROUND_MAX = 64 };
/* In the order in which a fresh process hears them: the rules, last of what they need, open the card. */
enum slot { SLOT_CONFIG, SLOT_HOST_ADDRS, SLOT_RULES, SLOT_RESOLVERS, SLOT_GUEST_NETS, SLOT_MAX };

struct frame {
	struct frame *next;
	int fd; /* owned, -EBADF: none */
	size_t len;
	uint8_t data[];
};

struct net_client {
	struct loop *loop;
	struct net_client_hooks hooks;
	int fd;
	struct loop_source *source;
	struct frame *first, **last;
	size_t queued;
	bool kept[SLOT_MAX];
	struct netctl_message slot[SLOT_MAX];
	struct netctl_hosts *hosts;
	size_t n_hosts;
	int proxy_fd;
	struct netctl_message in;
};

static void drop_first(struct net_client *c)
{
	struct frame *f = c->first;

	c->first = f->next;
	if (!c->first)
		c->last = &c->first;
	c->queued -= f->len;
	fd_close(f->fd);
	free(f);
}

void net_client_unlink(struct net_client *c)
{
	if (c->fd < 0)
		return;
	c->source = loop_source_free(c->source);
	c->fd = fd_close(c->fd);
	while (c->first)
		drop_first(c);
	c->hooks.lost(c->hooks.data);
}

static int send_frame(int fd, const void *data, size_t len, int passed_fd)
{
	return chan_send(fd, data, len, passed_fd >= 0 ? &passed_fd : NULL, passed_fd >= 0);
}

/* Sends what waits. Return: 0; -errno: the link is broken. */
static int flush(struct net_client *c)
{
	while (c->first) {
		int r = send_frame(c->fd, c->first->data, c->first->len, c->first->fd);

		if (r == -EAGAIN)
			break;
		if (r < 0)
			return r;
		drop_first(c);
	}
	return loop_source_set_events(c->source, EPOLLIN | (c->first ? EPOLLOUT : 0));
}

static int queue(struct net_client *c, const void *data, size_t len, int passed_fd)
{
	struct frame *f = c->queued + len <= NET_QUEUE_MAX ? malloc(sizeof(*f) + len) : NULL;

	if (!f)
		return trace(-ENOBUFS);
	*f = (struct frame){.fd = -EBADF, .len = len};
	if (passed_fd >= 0) {
		f->fd = fd_dup(passed_fd);
		if (f->fd < 0) {
			int r = f->fd;

			free(f);
			return trace(r);
		}
	}
	memcpy(f->data, data, len);
	*c->last = f;
	c->last = &f->next;
	c->queued += len;
	return loop_source_set_events(c->source, EPOLLIN | EPOLLOUT);
}

int net_client_send(struct net_client *c, const struct netctl_message *message, int fd)
{
	uint8_t buf[NETCTL_FRAME_MAX];
	int len, r = -EAGAIN;

	if (c->fd < 0)
		return -ENOTCONN;
	len = netctl_encode(message, buf);
	if (len < 0)
		return trace(len);
	if (!c->first)
		r = send_frame(c->fd, buf, (size_t)len, fd);
	if (r == -EAGAIN)
		r = queue(c, buf, (size_t)len, fd);
	if (r < 0) {
		log_limited(LOG_WARNING, "net: the link is broken: %s", strerror(-r));
		net_client_unlink(c);
	}
	return r;
}

static enum slot slot_of(enum netctl_type type)
{
	switch (type) {
	case NETCTL_CONFIG:
		return SLOT_CONFIG;
	case NETCTL_RULES:
		return SLOT_RULES;
	case NETCTL_HOST_ADDRS:
		return SLOT_HOST_ADDRS;
	case NETCTL_RESOLVERS:
		return SLOT_RESOLVERS;
	case NETCTL_GUEST_NETS:
		return SLOT_GUEST_NETS;
	default:
		return SLOT_MAX;
	}
}

/* Without a link there is nobody to tell; the next one will be. */
static int told(int r)
{
	return r == -ENOTCONN ? 0 : r;
}

int net_client_set(struct net_client *c, const struct netctl_message *message)
{
	enum slot slot = slot_of(message->type);

	if (slot == SLOT_MAX)
		return trace(-EINVAL);
	c->slot[slot] = *message;
	c->kept[slot] = true;
	return told(net_client_send(c, message, -EBADF));
}

static int send_hosts(struct net_client *c)
{
	_cleanup_free_ struct netctl_message *message = calloc(1, sizeof(*message));
	int r = message ? 0 : -ENOMEM;

	for (size_t i = 0; i < c->n_hosts && r >= 0; i++) {
		message->type = NETCTL_HOSTS;
		message->hosts = c->hosts[i];
		r = net_client_send(c, message, -EBADF);
	}
	return told(r);
}

int net_client_set_hosts(struct net_client *c, const struct netctl_hosts *pieces, size_t n)
{
	struct netctl_hosts *copy = calloc(n ? n : 1, sizeof(*copy));

	if (!copy)
		return trace(-ENOMEM);
	memcpy(copy, pieces, n * sizeof(*copy));
	free(c->hosts);
	c->hosts = copy;
	c->n_hosts = n;
	return send_hosts(c);
}

static void send_proxy(struct net_client *c)
{
	_cleanup_free_ struct netctl_message *message = calloc(1, sizeof(*message));

	if (!message || c->proxy_fd < 0)
		return;
	message->type = NETCTL_PROXY;
	(void)net_client_send(c, message, c->proxy_fd);
}

void net_client_set_proxy_consume(struct net_client *c, int fd)
{
	fd_close(c->proxy_fd);
	c->proxy_fd = fd;
	send_proxy(c);
}

/* Reads one frame. Return: 1; 0 nothing there; -errno: the link ends. */
static int receive(struct net_client *c)
{
	uint8_t buf[NETCTL_FRAME_MAX];
	size_t n_fds = 0;
	ssize_t n = chan_recv(c->fd, buf, sizeof(buf), NULL, &n_fds);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -EPIPE;
	if (netctl_decode(&c->in, NETCTL_TO_BACKEND, buf, (size_t)n, n_fds) < 0) {
		log_error("net: the network process sent what is not in the protocol; the link ends");
		return -EBADMSG;
	}
	c->hooks.message(c->hooks.data, &c->in);
	return 1;
}

static int on_event(void *data, int fd, uint32_t events)
{
	struct net_client *c = data;
	int r = 1;

	for (int i = 0; i < ROUND_MAX && r > 0 && c->fd == fd; i++)
		r = receive(c);
	if (c->fd != fd)
		return 0; /* a hook ended the link */
	if (r >= 0)
		r = flush(c);
	if (r < 0)
		net_client_unlink(c);
	return 0;
}

void net_client_link_consume(struct net_client *c, int fd)
{
	int r;

	net_client_unlink(c);
	r = fd_set_nonblock(fd, true);
	if (r >= 0)
		r = loop_add_fd(c->loop, fd, EPOLLIN, on_event, c, &c->source);
	if (r < 0) {
		log_error("net: the link cannot be used: %s", strerror(-r));
		fd_close(fd);
		return;
	}
	c->fd = fd;
	for (unsigned int i = 0; i < SLOT_MAX; i++)
		if (c->kept[i])
			(void)net_client_send(c, &c->slot[i], -EBADF);
	(void)send_hosts(c);
	send_proxy(c);
	if (c->fd >= 0)
		c->hooks.linked(c->hooks.data);
}

bool net_client_is_linked(const struct net_client *c)
{
	return c->fd >= 0;
}

int net_client_new(struct loop *loop, const struct net_client_hooks *hooks, struct net_client **ret)
{
	struct net_client *c = calloc(1, sizeof(*c));

	if (!c)
		return trace(-ENOMEM);
	c->loop = loop;
	c->hooks = *hooks;
	c->fd = c->proxy_fd = -EBADF;
	c->last = &c->first;
	*ret = c;
	return 0;
}

struct net_client *net_client_free(struct net_client *c)
{
	if (!c)
		return NULL;
	c->source = loop_source_free(c->source);
	while (c->first)
		drop_first(c);
	fd_close(c->fd);
	fd_close(c->proxy_fd);
	free(c->hosts);
	free(c);
	return NULL;
}
