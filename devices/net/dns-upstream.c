/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-upstream: the sockets that ask servers: connected, one for each try, so that the kernel lets nobody else's datagrams in.
 *
 * System calls: socket, connect, sendmsg, recvmsg, close and the watch. Who may call it: dns-forward.
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fd.h"
#include "devices/net/dns-parts.h"
#include "devices/net/watch.h"

/* A socket of TYPE that is connected to SERVER, or will be. Return: descriptor or -errno. */
static int dial(const struct netctl_server *server, int type)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(server->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(server->port)};
	bool v4 = net_addr_is_v4(&server->addr);
	_cleanup_close_ int fd = -EBADF;
	int r;

	memcpy(&in4.sin_addr, server->addr.byte + 12, 4);
	memcpy(&in6.sin6_addr, server->addr.byte, 16);
	fd = socket(v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno();
	r = v4 ? connect(fd, (struct sockaddr *)&in4, sizeof(in4)) : connect(fd, (struct sockaddr *)&in6, sizeof(in6));
	if (r < 0 && errno != EINPROGRESS)
		return error_errno();
	return take_fd(fd);
}

/* The watch's handle of P. */
static uint64_t handle_of(const struct dns *dns, const struct dns_pending *p)
{
	return dns_watch_handle(table_handle(&dns->pending_table, (uint32_t)(p - dns->pending)), false);
}

/* Sends the query of P, as a stream with its length before it. Return: 0 or -errno. */
static int send_query(const struct dns *dns, const struct dns_pending *p)
{
	struct dns_query query = p->asked;
	uint8_t msg[2 + DNS_QUERY_MAX];
	struct iovec iov;
	const struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t skip = p->stream ? 0 : 2, len;
	ssize_t n;

	query.id = p->id;
	if (p->plain)
		query.edns = false;
	len = dns_query_encode(msg + 2, &query);
	be16_store(msg, (uint16_t)len);
	iov = (struct iovec){.iov_base = msg + skip, .iov_len = len + 2 - skip};
	n = sendmsg(p->fd, &head, MSG_NOSIGNAL);
	if (n < 0)
		return error_errno();
	/* A fresh stream has room for a few hundred bytes. */
	return (size_t)n == iov.iov_len ? 0 : -EIO;
}

int dns_upstream_datagram(struct dns *dns, struct dns_pending *p, const struct netctl_server *server)
{
	int r;

	p->id = dns_random_id(&dns->random);
	p->fd = dial(server, SOCK_DGRAM);
	if (p->fd < 0)
		return p->fd;
	r = watch_add(dns->config.watch_fd, p->fd, handle_of(dns, p), false);
	if (r >= 0)
		r = send_query(dns, p);
	if (r < 0) {
		p->fd = fd_close(p->fd);
		return r;
	}
	p->deadline_us = dns->now_us + DNS_TRY_US;
	dns_wake_at(dns, p->deadline_us);
	return 0;
}

int dns_upstream_stream(struct dns *dns, struct dns_pending *p, const struct netctl_server *server)
{
	uint8_t free_at = 0;
	int r;

	while (free_at < DNS_STREAMS_MAX && dns->streams_used >> free_at & 1)
		free_at++;
	if (free_at == DNS_STREAMS_MAX)
		return -EBUSY;
	p->id = dns_random_id(&dns->random);
	p->fd = dial(server, SOCK_STREAM);
	if (p->fd < 0)
		return p->fd;
	r = watch_add(dns->config.watch_fd, p->fd, handle_of(dns, p), true);
	if (r < 0) {
		p->fd = fd_close(p->fd);
		return r;
	}
	dns->streams_used |= 1ull << free_at;
	dns->stream_got[free_at] = 0;
	p->stream = free_at + 1;
	p->stream_sent = false;
	p->deadline_us = dns->now_us + DNS_STREAM_US;
	dns_wake_at(dns, p->deadline_us);
	return 0;
}

void dns_upstream_close(struct dns *dns, struct dns_pending *p)
{
	p->fd = fd_close(p->fd);
	if (p->stream)
		dns->streams_used &= ~(1ull << (p->stream - 1));
	p->stream = 0;
}

/* Takes what one server sent, at most DNS_READS_MAX datagrams in a turn: others wait too. */
static void read_datagrams(struct dns *dns, struct dns_pending *p)
{
	for (unsigned int i = 0; i < DNS_READS_MAX; i++) {
		struct iovec iov = {.iov_base = dns->received, .iov_len = sizeof(dns->received)};
		struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recvmsg(p->fd, &head, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			/* Nobody listens there, says the host: no need to wait. */
			dns_forward_next(dns, p);
			return;
		}
		if (dns_forward_message(dns, p, dns->received, (size_t)n))
			return;
	}
	if (watch_set(dns->config.watch_fd, p->fd, handle_of(dns, p), false) < 0)
		dns_forward_next(dns, p);
}

/* Hands over whole messages of the stream. Return: true when P is done. */
static bool take_messages(struct dns *dns, struct dns_pending *p)
{
	uint8_t *buffer = dns->stream[p->stream - 1];
	uint32_t *got = &dns->stream_got[p->stream - 1];

	while (*got >= 2 && *got - 2 >= be16_load(buffer)) {
		uint32_t len = be16_load(buffer);

		if (dns_forward_message(dns, p, buffer + 2, len))
			return true;
		*got -= len + 2;
		memmove(buffer, buffer + 2 + len, *got);
	}
	return false;
}

static void read_stream(struct dns *dns, struct dns_pending *p)
{
	uint8_t *buffer = dns->stream[p->stream - 1];
	uint32_t *got = &dns->stream_got[p->stream - 1];

	for (unsigned int i = 0; i < DNS_READS_MAX; i++) {
		struct iovec iov = {.iov_base = buffer + *got, .iov_len = DNS_STREAM_BUFFER - *got};
		struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recvmsg(p->fd, &head, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			dns_forward_next(dns, p);
			return;
		}
		*got += (uint32_t)n;
		if (take_messages(dns, p))
			return;
	}
	if (watch_set(dns->config.watch_fd, p->fd, handle_of(dns, p), false) < 0)
		dns_forward_next(dns, p);
}

void dns_upstream_event(struct dns *dns, struct dns_pending *p)
{
	if (p->fd < 0)
		return;
	if (!p->stream) {
		read_datagrams(dns, p);
		return;
	}
	if (!p->stream_sent) {
		int r = send_query(dns, p);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			dns_forward_next(dns, p);
			return;
		}
		p->stream_sent = true;
	}
	read_stream(dns, p);
}
