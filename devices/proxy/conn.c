/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn: theory of operation.
 *
 * Every event does its part and ends in conn_run, which steps the state machine until nothing moves, then says to epoll what to wait
 * for. Only conn_run frees a connection, and only as the last thing its caller does. A descriptor whose peer hung up leaves the loop
 * (a hang-up cannot be masked); what it still holds is read when the other side can take it.
 *
 * Called by devices/proxy. Never blocks, never logs a field of a request.
 */
#include "devices/proxy/conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "devices/proxy/head.h"

enum { SENTENCE_MAX = 1024, DETAILS_MAX = 768, PAGE_ROOM = 4096 };
/* conn_run's sign that all is over. */
enum { CONN_OVER = CONN_STATE_MAX };

static struct http_head request; /* of the request that is being decoded; too large for the stack of a loop callback */

void conn_set_state(struct conn *c, enum conn_state state, uint64_t timeout_us)
{
	c->state = state;
	(void)loop_timer_set(c->timer, timeout_us);
}

static void side_done(struct conn_side *s)
{
	s->source = loop_source_free(s->source);
	s->fd = fd_close(s->fd);
	buffer_done(&s->in);
	buffer_done(&s->out);
	*s = (struct conn_side){.fd = -EBADF};
}

void conn_drop_server(struct conn *c)
{
	c->lookup = lookup_cancel(c->lookup);
	dial_stop(&c->dial);
	side_done(&c->server);
	buffer_done(&c->head);
}

struct conn *conn_free(struct conn *c)
{
	if (!c)
		return NULL;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	conn_drop_server(c);
	side_done(&c->client);
	c->relay = relay_free(c->relay);
	c->timer = loop_source_free(c->timer);
	c->proxy->stats.now--;
	explicit_bzero(&c->route.upstream, sizeof(c->route.upstream));
	free(c);
	return NULL;
}

void conn_way(const struct conn *c, char *dst, size_t size)
{
	static const char *const kinds[PROXYCTL_KIND_MAX] = {
		[PROXYCTL_HTTP] = "HTTP", [PROXYCTL_SOCKS5] = "SOCKS5", [PROXYCTL_SOCKS5H] = "SOCKS5"};
	const struct proxyctl_upstream *u = &c->route.upstream;
	char host[TARGET_TEXT_MAX];

	if (c->route.kind != ROUTE_UPSTREAM) {
		snprintf(dst, size, "directly (%s)", c->route.why);
		return;
	}
	target_text(u->host, u->port, 0, host);
	snprintf(dst, size, "through the %s proxy %s (%s)", kinds[u->kind], host, u->source);
}

void conn_fail(struct conn *c, unsigned int status, const char *format, ...)
{
	char sentence[SENTENCE_MAX], details[DETAILS_MAX], target[TARGET_TEXT_MAX] = "", room[PAGE_ROOM];
	struct bytes_writer w = bytes_writer(room, sizeof(room));
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	if (c->target.host[0])
		target_text(c->target.host, c->target.port, 0, target);
	log_limited(LOG_WARNING, "%s%s%s%u: %s", c->target.host[0] ? (c->target.connect ? "CONNECT " : "request for ") : "", target,
		    c->target.host[0] ? ": " : "", status, sentence);
	c->proxy->stats.failed++;
	conn_drop_server(c);
	if (c->response_begun) {
		c->state = (enum conn_state)CONN_OVER;
		return;
	}
	snprintf(details, sizeof(details), "%s%s%sThis is the HTTP proxy of the Caisson virtual machine. It "
			"follows the setting \"proxy\" "
		 "(caisson settings).\n", target[0] ? "Target: " : "", target, target[0] ? "\n" : "");
	head_page(&w, status, sentence, details, c->to_head);
	if (!w.ok || buffer_put(&c->client.out, room, w.off) < 0) {
		c->state = (enum conn_state)CONN_OVER;
		return;
	}
	conn_set_state(c, CONN_ANSWER, CONN_HEAD_US);
}

void conn_refused(struct conn *c)
{
	char host[TARGET_TEXT_MAX];

	target_text(c->target.host, c->target.port, 0, host);
	c->proxy->stats.refused_rule++;
	conn_fail(c, 403, "rule \"%s\" does not allow the VM to reach %s", rules_name(&c->proxy->rules, c->route.rule), host);
}

/* The request in `request` is whole: decides and sets off. LEN bytes of the buffer are its head. */
static void begin_request(struct conn *c, size_t len)
{
	char encoded[BUFFER_SIZE];
	struct bytes_writer w = bytes_writer(encoded, sizeof(encoded));
	const char *why = "";

	c->to_head = http_slice_is(request.method, "HEAD");
	c->minor = request.minor;
	c->keep_alive = request.keep_alive;
	c->upgrade = request.upgrade && request.framing == HTTP_BODY_NONE;
	request.upgrade = c->upgrade;
	c->response_begun = c->response_chunked = c->response_last = c->request_gone = false;
	c->request_last = request.framing != HTTP_BODY_CHUNKED;
	c->proxy->stats.requests++;
	memset(&c->target, 0, sizeof(c->target));
	if (target_parse(&c->target, &request, &why) < 0) {
		conn_fail(c, 400, "%s", why);
		return;
	}
	route_decide(&c->proxy->settings, &c->proxy->rules, &c->target, &c->route);
	http_body_start(&c->request, &request);
	if (!c->target.connect) {
		head_request(&w, &request, &c->target, &c->route);
		if (!w.ok || buffer_put(&c->head, encoded, w.off) < 0) {
			conn_fail(c, 431, "the request's head is too long");
			return;
		}
		explicit_bzero(encoded, w.off);
	}
	c->target.path = (struct http_slice){NULL, 0};
	buffer_take(&c->client.in, len);
	if (c->route.kind == ROUTE_REFUSED) {
		conn_refused(c);
		return;
	}
	conn_set_state(c, CONN_LOOKUP, CONN_CONNECT_US);
	conn_reach(c);
	if (c->route.kind == ROUTE_REFUSED)
		conn_refused(c);
}

/* Reads and decodes. Return: 0: wait; -errno: over. */
static int step_head(struct conn *c)
{
	struct buffer *in = &c->client.in;

	for (;;) {
		const char *why = "";
		ssize_t n = 0;

		if (buffer_len(in))
			n = http_request_decode(&request, in->data + in->start, buffer_len(in), &why);
		if (n > 0) {
			begin_request(c, (size_t)n);
			return 0;
		}
		if (n < 0) {
			conn_fail(c, n == -EMSGSIZE ? 431 : 400, "not acceptable as an HTTP request: %s", why);
			return 0;
		}
		n = buffer_len(in);
		ssize_t got = buffer_read(in, c->client.fd);
		if (got == -EAGAIN)
			return 0;
		if (got == -ENOBUFS) {
			conn_fail(c, 431, "the request's head is longer than %d bytes", BUFFER_SIZE);
			return 0;
		}
		if (got <= 0)
			return -EPIPE;
		if (!n)
			(void)loop_timer_set(c->timer, CONN_HEAD_US);
	}
}

static void on_relay_end(void *data, struct relay *relay)
{
	conn_free(data);
}

/* Both ways' first bytes are out: the relay takes over. */
static int start_tunnel(struct conn *c)
{
	int client_fd = take_fd(c->client.fd), server_fd = take_fd(c->server.fd);

	c->client.source = loop_source_free(c->client.source);
	c->server.source = loop_source_free(c->server.source);
	c->timer = loop_source_free(c->timer);
	c->state = CONN_TUNNEL;
	c->proxy->stats.tunnels++;
	return relay_start_consume(c->proxy->loop, c->proxy->pool, client_fd, server_fd, on_relay_end, c, &c->relay);
}

/* What waits for TO, then what FROM had sent behind its head. Return: 0; -errno. */
static int flush_side(struct conn_side *from, struct conn_side *to)
{
	int r = buffer_write(&to->out, to->fd);

	if (r >= 0 && buffer_len(&from->in)) {
		to->out = from->in;
		from->in = (struct buffer){0};
		r = buffer_write(&to->out, to->fd);
	}
	return r == -EAGAIN ? 0 : r;
}

static int step_flush(struct conn *c)
{
	int r = flush_side(&c->server, &c->client);

	if (r >= 0)
		r = flush_side(&c->client, &c->server);
	if (r < 0)
		return r;
	if (buffer_len(&c->client.out) || buffer_len(&c->server.out))
		return 0;
	return start_tunnel(c);
}

static int step_answer(struct conn *c)
{
	int r = buffer_write(&c->client.out, c->client.fd);

	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	(void)shutdown(c->client.fd, SHUT_WR);
	buffer_done(&c->client.in);
	conn_set_state(c, CONN_DRAIN, CONN_DRAIN_US);
	return 0;
}

static int step_drain(struct conn *c)
{
	ssize_t n;

	do {
		n = buffer_read(&c->client.in, c->client.fd);
		buffer_done(&c->client.in);
	} while (n > 0);
	return n == -EAGAIN ? 0 : -EPIPE;
}

static int step(struct conn *c)
{
	switch (c->state) {
	case CONN_HEAD:
		return step_head(c);
	case CONN_HANDSHAKE:
		conn_handshake(c);
		return 0;
	case CONN_EXCHANGE:
		return conn_exchange(c);
	case CONN_FLUSH:
		return step_flush(c);
	case CONN_ANSWER:
		return step_answer(c);
	case CONN_DRAIN:
		return step_drain(c);
	default:
		return 0;
	}
}

static int set_events(struct conn_side *s, uint32_t events)
{
	int r = 0;

	if (s->source && s->events != events) {
		r = loop_source_set_events(s->source, events);
		s->events = events;
	}
	return r;
}

static bool has_room(const struct buffer *b)
{
	return buffer_len(b) < BUFFER_SIZE;
}

static int wait_for(struct conn *c)
{
	uint32_t client = buffer_len(&c->client.out) ? EPOLLOUT : 0, server = buffer_len(&c->server.out) ? EPOLLOUT : 0;
	int r;

	switch (c->state) {
	case CONN_HEAD:
	case CONN_DRAIN:
		client |= EPOLLIN;
		break;
	case CONN_HANDSHAKE:
		server |= EPOLLIN;
		break;
	case CONN_EXCHANGE:
		/* Nothing is read for a side that is full: bytes that nobody takes would wake us for ever. */
		if (!c->request.done && !c->request_gone && !buffer_len(&c->server.out) && has_room(&c->client.in))
			client |= EPOLLIN;
		if (!buffer_len(&c->client.out) && has_room(&c->server.in))
			server |= EPOLLIN;
		break;
	default:
		break;
	}
	r = set_events(&c->client, client);
	return r < 0 ? r : set_events(&c->server, server);
}

bool conn_run(struct conn *c)
{
	enum conn_state before;
	int r;

	do {
		before = c->state;
		r = (int)c->state == CONN_OVER ? -EPIPE : step(c);
	} while (r >= 0 && c->state != before);
	/* A relay that could not start has closed the descriptors. */
	if (r >= 0 && c->state != CONN_TUNNEL)
		r = wait_for(c);
	if (r < 0)
		conn_free(c);
	return r >= 0;
}

static int on_client(void *data, int fd, uint32_t events)
{
	struct conn *c = data;

	if (events & (EPOLLHUP | EPOLLERR))
		conn_free(c);
	else
		conn_run(c);
	return 0;
}

static int on_server(void *data, int fd, uint32_t events)
{
	struct conn *c = data;

	if (events & (EPOLLHUP | EPOLLERR)) {
		c->server.source = loop_source_free(c->server.source);
		c->server.hung_up = true;
	}
	conn_run(c);
	return 0;
}

int conn_add_server(struct conn *c, int consume_fd)
{
	int r;

	c->server.fd = consume_fd;
	c->server.events = EPOLLIN;
	r = loop_add_fd(c->proxy->loop, consume_fd, EPOLLIN, on_server, c, &c->server.source);
	if (r < 0)
		side_done(&c->server);
	return r;
}

static int on_timer(void *data)
{
	struct conn *c = data;
	char way[PROXYCTL_HOST_MAX + 160];

	switch (c->state) {
	case CONN_HEAD:
		if (buffer_len(&c->client.in))
			conn_fail(c, 408, "the request did not come within %d seconds", CONN_HEAD_US / 1000000);
		else
			c->state = (enum conn_state)CONN_OVER;
		break;
	case CONN_LOOKUP:
	case CONN_DIAL:
	case CONN_HANDSHAKE:
		conn_way(c, way, sizeof(way));
		conn_fail(c, 504, "no connection %s within %d seconds", way, CONN_CONNECT_US / 1000000);
		break;
	default:
		c->state = (enum conn_state)CONN_OVER;
	}
	conn_run(c);
	return 0;
}

/* The table is full: says so, as well as that can be said without keeping anything. */
static void refuse_full(struct proxy *proxy, int fd)
{
	char room[PAGE_ROOM], sink[4096];
	struct bytes_writer w = bytes_writer(room, sizeof(room));

	proxy->stats.refused_full++;
	log_limited(LOG_WARNING, "refused a connection: %u are open, which is the limit", proxy->conns_max);
	head_page(&w, 503, "too many connections through the proxy are open", "", false);
	for (int i = 0; i < 8 && recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0; i++)
		;
	(void)!send(fd, room, w.off, MSG_NOSIGNAL | MSG_DONTWAIT);
	fd_close(fd);
}

void conn_start_consume(struct proxy *proxy, int fd)
{
	struct conn *c;
	int r = fd_set_nonblock(fd, true);

	proxy->stats.total++;
	if (proxy->stats.now >= proxy->conns_max) {
		refuse_full(proxy, fd);
		return;
	}
	c = r < 0 ? NULL : calloc(1, sizeof(*c));
	if (!c) {
		fd_close(fd);
		return;
	}
	*c = (struct conn){.proxy = proxy, .client.fd = fd, .server.fd = -EBADF, .client.events = EPOLLIN};
	c->next = proxy->conns;
	c->link = &proxy->conns;
	if (c->next)
		c->next->link = &c->next;
	proxy->conns = c;
	proxy->stats.now++;
	r = loop_add_timer(proxy->loop, on_timer, c, &c->timer);
	if (r >= 0)
		r = loop_add_fd(proxy->loop, fd, EPOLLIN, on_client, c, &c->client.source);
	if (r < 0) {
		conn_free(c);
		return;
	}
	conn_set_state(c, CONN_HEAD, CONN_HEAD_US);
	conn_run(c);
}
