/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn-exchange: a plain request and its response, body by body, and the passage to a tunnel.
 *
 * A body is decoded and encoded again: what leaves is framed by us, so that no server can take for a request what the client sent as a
 * body, and the other way round. An answer that breaks off breaks off at the client too: its end is never made up.
 * Called by devices/proxy/conn. Never blocks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/text.h"
#include "devices/proxy/conn.h"
#include "devices/proxy/head.h"

enum { CHUNK_MAX = 8192, CHUNK_ROOM = 32, WAY_MAX = PROXYCTL_HOST_MAX + 160 };

/* One step of move_body: at most MOST bytes of FROM. Return: bytes taken; -EBADMSG; -ENOMEM. */
static ssize_t move_piece(struct http_body *body, struct buffer *from, struct buffer *to, bool chunked, size_t most)
{
	char out[CHUNK_MAX + CHUNK_ROOM];
	struct bytes_writer w = bytes_writer(out, sizeof(out));
	struct http_slice data;
	ssize_t n = http_body_decode(body, from->data + from->start, most, &data);
	int r;

	if (n < 0)
		return n;
	if (chunked && data.len) {
		http_put_chunk(&w, data.p, data.len);
		r = w.ok ? buffer_put(to, out, w.off) : -ENOMEM;
	} else if (data.len == buffer_len(from) && !buffer_len(to)) {
		/* All of it is payload: the memory itself changes hands. */
		buffer_done(to);
		*to = *from;
		*from = (struct buffer){0};
		return n;
	} else {
		r = buffer_put(to, data.p, data.len);
	}
	buffer_take(from, (size_t)n);
	return r < 0 ? -ENOMEM : n;
}

/* Moves FROM into TO through the decoder. Return: 1: something moved; 0: no room, or nothing to do; -EBADMSG; -ENOMEM. */
static int move_body(struct http_body *body, struct buffer *from, struct buffer *to, bool chunked, bool *last)
{
	bool moved = false;

	while (buffer_len(from) && !body->done) {
		size_t most = BUFFER_SIZE - buffer_len(to);
		ssize_t n;

		/* Room for a whole chunk and the last one, or it waits. */
		if (most < CHUNK_MAX + 2 * CHUNK_ROOM)
			break;
		if (chunked)
			most = CHUNK_MAX;
		n = move_piece(body, from, to, chunked, buffer_len(from) < most ? buffer_len(from) : most);
		if (n < 0)
			return (int)n;
		moved = true;
	}
	if (body->done && chunked && !*last) {
		if (buffer_put(to, "0\r\n\r\n", 5) < 0)
			return moved;
		*last = moved = true;
	}
	return moved;
}

/* Everything of FROM goes to TO, which is empty or has room. Return: 0; -ENOBUFS. */
static int move_all(struct buffer *from, struct buffer *to)
{
	int r = 0;

	if (!buffer_len(to)) {
		buffer_done(to);
		*to = *from;
		*from = (struct buffer){0};
		return 0;
	}
	if (buffer_len(from))
		r = buffer_put(to, from->data + from->start, buffer_len(from));
	buffer_done(from);
	return r;
}

/* HEAD_TEXT goes to the client, then whatever both sides send: what is here already follows it (conn's step_flush). */
static void become_tunnel(struct conn *c, const char *head_text, size_t len)
{
	int r = buffer_put(&c->client.out, head_text, len);

	c->response_begun = true;
	if (r < 0)
		conn_fail(c, 500, "out of memory");
	else
		conn_set_state(c, CONN_FLUSH, CONN_HEAD_US);
}

void conn_reached(struct conn *c)
{
	static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

	if (c->route.kind == ROUTE_UPSTREAM)
		c->proxy->stats.upstream++;
	else
		c->proxy->stats.direct++;
	if (c->target.connect) {
		become_tunnel(c, established, sizeof(established) - 1);
		return;
	}
	if (move_all(&c->head, &c->server.out) < 0)
		conn_fail(c, 500, "out of memory");
	else
		conn_set_state(c, CONN_EXCHANGE, UINT64_MAX);
}

/* Return: 0; -errno: the client is gone or breaks the rules (answered, then). */
static int pump_request(struct conn *c)
{
	for (;;) {
		int r = buffer_write(&c->server.out, c->server.fd);
		ssize_t n;

		if (r == -EAGAIN)
			return 0;
		if (r < 0) {
			/* The server reads no more; its answer may be here all the same. */
			c->request_gone = true;
			buffer_done(&c->server.out);
		}
		if (c->request_gone || (c->request.done && c->request_last))
			return 0;
		r = move_body(&c->request, &c->client.in, &c->server.out, c->request.framing == HTTP_BODY_CHUNKED,
			      &c->request_last);
		if (r < 0) {
			conn_fail(c, 400, "the body of the request is malformed");
			return 0;
		}
		if (r || (c->request.done && c->request_last))
			continue;
		n = buffer_read(&c->client.in, c->client.fd);
		if (n == -EAGAIN || n == -ENOBUFS)
			return 0;
		if (n <= 0)
			return n ? (int)n : -ECONNRESET;
	}
}

static void fail_response(struct conn *c, const char *what)
{
	char way[WAY_MAX];

	conn_way(c, way, sizeof(way));
	conn_fail(c, 502, "no usable answer from %s, reached %s: %s", c->target.host, way, what);
}

/* A final response head: decides how its body travels on. */
static void begin_response(struct conn *c, const struct http_head *head, struct bytes_writer *w)
{
	enum http_framing framing = head->framing;

	http_body_start(&c->response, head);
	c->response_begun = true;
	c->keep_alive = c->keep_alive && c->request.done && !c->request_gone;
	if (framing == HTTP_BODY_TO_END || framing == HTTP_BODY_CHUNKED) {
		framing = c->minor ? HTTP_BODY_CHUNKED : HTTP_BODY_TO_END;
		c->keep_alive = c->keep_alive && c->minor;
	}
	c->response_chunked = framing == HTTP_BODY_CHUNKED;
	c->response_last = !c->response_chunked;
	head_response(w, head, framing, c->keep_alive, c->minor);
}

/* Return: 1: a head was dealt with, or the state has changed; 0: not whole yet; -errno: over. */
static int take_head(struct conn *c)
{
	static struct http_head head;
	static char room[BUFFER_SIZE];
	struct bytes_writer w = bytes_writer(room, sizeof(room));
	struct buffer *in = &c->server.in;
	const char *why = "";
	ssize_t n = http_response_decode(&head, in->data + in->start, buffer_len(in), c->to_head, &why);

	if (!n && buffer_len(in) < BUFFER_SIZE)
		return 0;
	if (n <= 0) {
		fail_response(c, n ? why : "its head is too long");
		return 1;
	}
	if (head.status == 407) {
		fail_response(c, c->route.kind != ROUTE_UPSTREAM || c->route.upstream.kind != PROXYCTL_HTTP
					 ? "it answered 407, which is a proxy's answer"
				 : c->route.upstream.user[0] ? "407, the proxy refused the user name or password"
							     : "407, the proxy wants a user name and password");
		return 1;
	}
	if (head.status == 101 && !c->upgrade) {
		fail_response(c, "it switched protocols without being asked");
		return 1;
	}
	if (head.status == 101) {
		head_response(&w, &head, HTTP_BODY_RAW, false, c->minor);
		if (!w.ok)
			return -ENOMEM;
		buffer_take(in, (size_t)n);
		become_tunnel(c, room, w.off);
		return 1;
	}
	if (head.status == 100 && c->minor) {
		http_put_status(&w, 100, "Continue");
		http_put_end(&w);
	} else if (head.status >= 200) {
		begin_response(c, &head, &w);
	}
	buffer_take(in, (size_t)n);
	return w.ok && buffer_put(&c->client.out, room, w.off) >= 0 ? 1 : -ENOMEM;
}

/* The server's bytes are over. Return: 0; -ECONNRESET: too early. */
static int end_of_server(struct conn *c, int r)
{
	if (!c->response_begun) {
		fail_response(c, r ? strerror(-r) : "it closed the connection without an answer");
		return 0;
	}
	if (r || c->response.framing != HTTP_BODY_TO_END)
		return -ECONNRESET;
	c->response.done = true;
	return 0;
}

/* Return: 1: the response is with the client; 0: wait, or the state has changed; -errno. */
static int pump_response(struct conn *c)
{
	while (c->state == CONN_EXCHANGE) {
		int r = buffer_write(&c->client.out, c->client.fd);
		ssize_t n;

		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		if (c->response_begun && c->response.done && c->response_last)
			return 1;
		r = 0;
		if (c->response_begun)
			r = move_body(&c->response, &c->server.in, &c->client.out, c->response_chunked, &c->response_last);
		else if (buffer_len(&c->server.in))
			r = take_head(c);
		if (r < 0)
			return r;
		if (r || (c->response_begun && c->response.done))
			continue;
		n = buffer_read(&c->server.in, c->server.fd);
		if (n == -EAGAIN && !c->server.hung_up)
			return 0;
		if (n > 0)
			continue;
		r = end_of_server(c, n == -EAGAIN ? -ECONNRESET : (int)n);
		if (r < 0)
			return r;
	}
	return 0;
}

int conn_exchange(struct conn *c)
{
	int r = pump_request(c);

	if (r >= 0 && c->state == CONN_EXCHANGE)
		r = pump_response(c);
	if (r <= 0)
		return r;
	conn_drop_server(c);
	if (c->keep_alive && c->request.done) {
		/* The next request has had no answer yet, and no target. */
		c->response_begun = c->to_head = false;
		memset(&c->target, 0, sizeof(c->target));
		conn_set_state(c, CONN_HEAD, buffer_len(&c->client.in) ? CONN_HEAD_US : CONN_IDLE_US);
		return 0;
	}
	(void)shutdown(c->client.fd, SHUT_WR);
	buffer_done(&c->client.in);
	conn_set_state(c, CONN_DRAIN, CONN_DRAIN_US);
	return 0;
}
