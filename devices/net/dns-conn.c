/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-conn: TCP connections of the guest to port 53 (RFC 7766): messages with their length before them, several under way.
 *
 * Reading pauses while DNS_CONN_QUERIES_MAX queries wait for answers or an answer waits for room; who lets more than one
 * buffer of answers wait loses the connection, and so does who is silent for DNS_CONN_IDLE_US. Who may call it: dns.
 */
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fd.h"
#include "devices/net/dns-parts.h"
#include "devices/net/watch.h"

static void conn_close(struct dns *dns, struct dns_conn *conn)
{
	uint32_t at = (uint32_t)(conn - dns->conn);

	/* Queries of it that are under way find nobody when they are answered. */
	conn->fd = fd_close(conn->fd);
	table_put(&dns->conn_table, table_handle(&dns->conn_table, at));
}

static void conn_alive(struct dns *dns, struct dns_conn *conn)
{
	conn->deadline_us = dns->now_us + DNS_CONN_IDLE_US;
	dns_wake_at(dns, conn->deadline_us);
}

int dns_accept_consume(struct dns *dns, int fd)
{
	_cleanup_close_ int own = fd;
	struct dns_conn *conn;
	uint64_t handle;
	uint32_t at;
	int r;

	/* Whether it waits is said in each call. */
	if (!table_take(&dns->conn_table, &handle) || !table_find(&dns->conn_table, handle, &at))
		return -ENFILE;
	r = watch_add(dns->config.watch_fd, own, dns_watch_handle(handle, true), true);
	if (r < 0) {
		table_put(&dns->conn_table, handle);
		return trace(r);
	}
	conn = &dns->conn[at];
	*conn = (struct dns_conn){.fd = take_fd(own)};
	conn_alive(dns, conn);
	return 0;
}

/* Sends what waits. Return: 0, also when not all could go; -errno: the connection is dead. */
static int flush(struct dns *dns, struct dns_conn *conn)
{
	const uint8_t *out = dns->conn_buffers[conn - dns->conn].out;

	while (conn->out_len) {
		struct iovec iov = {.iov_base = (void *)(out + conn->out_off), .iov_len = conn->out_len};
		const struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = sendmsg(conn->fd, &head, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : error_errno();
		conn->out_off += (size_t)n;
		conn->out_len -= (size_t)n;
		conn_alive(dns, conn);
	}
	conn->out_off = 0;
	return 0;
}

/* The bytes of the next message that CONN holds whole. Return: NULL: none. */
static const uint8_t *next_message(struct dns *dns, struct dns_conn *conn, size_t *ret_len)
{
	const uint8_t *in = dns->conn_buffers[conn - dns->conn].in + conn->in_off;

	if (conn->in_len < 2 || conn->in_len - 2 < be16_load(in))
		return NULL;
	*ret_len = be16_load(in);
	conn->in_off += 2 + *ret_len;
	conn->in_len -= 2 + *ret_len;
	return in + 2;
}

/* Asks what CONN holds. Return: 1: it may read more; 0: it has to wait, or is closed. */
static int take_queries(struct dns *dns, struct dns_conn *conn)
{
	uint64_t handle = table_handle(&dns->conn_table, (uint32_t)(conn - dns->conn));
	const struct dns_client client = {.via = DNS_VIA_TCP, .conn = handle};
	const uint8_t *msg;
	uint32_t at;
	size_t len;

	for (;;) {
		if (conn->n_queries >= DNS_CONN_QUERIES_MAX || conn->out_len)
			return 0;
		msg = next_message(dns, conn, &len);
		if (!msg)
			return 1;
		if (len < DNS_HEADER_LEN || msg[2] & 0x80) {
			/* Not a query: there would be no answer, and the two sides would count differently. */
			conn_close(dns, conn);
			return 0;
		}
		conn->n_queries++;
		dns_ask(dns, &client, msg, len);
		if (!table_find(&dns->conn_table, handle, &at))
			return 0;
	}
}

/* Reads into the free room. Return: count; 0: end or nothing now; -errno: the connection is dead. */
static ssize_t fill(struct dns *dns, struct dns_conn *conn)
{
	uint8_t *in = dns->conn_buffers[conn - dns->conn].in;
	struct iovec iov;
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (conn->in_off) {
		memmove(in, in + conn->in_off, conn->in_len);
		conn->in_off = 0;
	}
	/* A whole message was taken out, so there is room. */
	iov = (struct iovec){.iov_base = in + conn->in_len, .iov_len = DNS_STREAM_BUFFER - conn->in_len};
	n = recvmsg(conn->fd, &head, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : error_errno();
	if (!n)
		conn->eof = true;
	conn->in_len += (size_t)n;
	return n;
}

void dns_conn_event(struct dns *dns, uint64_t handle)
{
	struct dns_conn *conn;
	uint32_t at;
	ssize_t n;

	if (!table_find(&dns->conn_table, handle, &at))
		return;
	conn = &dns->conn[at];
	if (flush(dns, conn) < 0) {
		conn_close(dns, conn);
		return;
	}
	do {
		if (!take_queries(dns, conn))
			return;
		n = conn->eof ? 0 : fill(dns, conn);
		if (n > 0)
			conn_alive(dns, conn);
	} while (n > 0);
	if (n < 0 || (conn->eof && !conn->n_queries && !conn->out_len))
		conn_close(dns, conn);
}

void dns_conn_send(struct dns *dns, uint64_t handle, const uint8_t *msg, size_t len)
{
	struct dns_conn_buffers *buffers;
	struct dns_conn *conn;
	bool paused;
	uint32_t at;

	if (!table_find(&dns->conn_table, handle, &at))
		return;
	conn = &dns->conn[at];
	buffers = &dns->conn_buffers[at];
	paused = conn->n_queries >= DNS_CONN_QUERIES_MAX || conn->eof;
	conn->n_queries--;
	if (DNS_STREAM_BUFFER - conn->out_off - conn->out_len < len + 2) {
		memmove(buffers->out, buffers->out + conn->out_off, conn->out_len);
		conn->out_off = 0;
	}
	if (DNS_STREAM_BUFFER - conn->out_len < len + 2) {
		conn_close(dns, conn);
		return;
	}
	be16_store(buffers->out + conn->out_off + conn->out_len, (uint16_t)len);
	memcpy(buffers->out + conn->out_off + conn->out_len + 2, msg, len);
	conn->out_len += len + 2;
	conn_alive(dns, conn);
	/* What was not read while it was paused is reported again. */
	if (flush(dns, conn) < 0 ||
	    (paused && watch_set(dns->config.watch_fd, conn->fd, dns_watch_handle(handle, true), true) < 0))
		conn_close(dns, conn);
}

void dns_conn_timers(struct dns *dns)
{
	for (uint32_t i = 0; i < dns->conn_table.fresh; i++) {
		struct dns_conn *conn = &dns->conn[i];

		if (!table_handle(&dns->conn_table, i))
			continue;
		if (dns->now_us < conn->deadline_us)
			dns_wake_at(dns, conn->deadline_us);
		else if (conn->n_queries)
			conn_alive(dns, conn);
		else
			conn_close(dns, conn);
	}
}
