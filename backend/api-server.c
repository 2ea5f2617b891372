/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api-server: theory of operation.
 *
 * A connection collects a whole request (head and body, bounded) in one buffer, has it answered by api_handle, and queues the
 * answer in another; the next request is looked at when the answer has left. One timer serves all deadlines and is armed for the
 * earliest only, so a server without connections sleeps. Streams and stats waiters are connections in other states.
 */
#include "backend/api-server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sock.h"

enum { REQUEST_US = 10000000, IDLE_US = 30000000, STATS_US = 300000, IN_MAX = HTTP_HEAD_MAX + 2 * API_BODY_MAX,
       IN_STEP = 4096, STREAM_QUEUE_MAX = 65536, LINGER_US = 2000000 };
/* Longer than the network process may take for all pieces of an answer. */
enum { QUERY_US = 30000000 };
enum phase { PHASE_READING, PHASE_WAITING, PHASE_ASKING, PHASE_WRITING, PHASE_CAPTURING, PHASE_STREAMING, PHASE_LINGERING };

struct conn {
	struct api_server *server;
	struct conn *prev, *next;
	int fd;
	struct loop_source *source;
	enum phase phase;
	bool close_after;
	bool linger; /* refused: what it still sends is dropped first, or the answer would become a reset */
	uint64_t deadline_us; /* UINT64_MAX: none */
	char *in;
	size_t in_len, in_size;
	char *out;
	size_t out_at, out_len;
	struct netctl_capture capture; /* CAPTURING */
};

struct api_server {
	struct loop *loop;
	const struct view *view;
	struct api_hooks hooks;
	int listen_fd;
	struct loop_source *listener, *timer;
	struct conn *conns;
	unsigned int n_conns;
};

static void close_conn(struct conn *c)
{
	struct api_server *s = c->server;

	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_conns--;
	if (c->phase == PHASE_ASKING)
		s->hooks.forget(s->hooks.data, c);
	loop_source_free(c->source);
	fd_close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
	if (s->hooks.ended)
		s->hooks.ended(s->hooks.data);
}

static void arm(struct api_server *s)
{
	uint64_t earliest = UINT64_MAX, now = loop_now_us();

	for (struct conn *c = s->conns; c; c = c->next)
		if (c->deadline_us < earliest)
			earliest = c->deadline_us;
	if (earliest != UINT64_MAX)
		earliest = earliest > now ? earliest - now : 0;
	(void)loop_timer_set(s->timer, earliest);
}

static void set_deadline(struct conn *c, uint64_t us)
{
	c->deadline_us = us == UINT64_MAX ? us : loop_now_us() + us;
	arm(c->server);
}

/* Appends to the output. Return: 0 or -ENOMEM. */
static int queue(struct conn *c, const void *data, size_t len)
{
	char *out;

	if (c->out_at) {
		memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
		c->out_len -= c->out_at;
		c->out_at = 0;
	}
	out = realloc(c->out, c->out_len + len);
	if (!out)
		return trace(-ENOMEM);
	c->out = out;
	memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
	return 0;
}

/* Sends what the socket takes. Return: 1 all gone; 0 some left; -errno. */
static int flush(struct conn *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return error_errno();
		c->out_at += (size_t)n;
	}
	free(take_ptr(c->out));
	c->out_at = c->out_len = 0;
	return 1;
}

static int queue_head(struct conn *c, unsigned int status, const char *allow, const char *type, size_t length)
{
	uint8_t buf[512];
	struct bytes_writer w = bytes_writer(buf, sizeof(buf));

	http_put_status(&w, status, http_reason(status));
	http_put_field(&w, "Content-Type", type);
	http_put_field(&w, "Cache-Control", "no-store");
	if (allow)
		http_put_field(&w, "Allow", allow);
	if (c->phase == PHASE_STREAMING)
		http_put_field(&w, "Transfer-Encoding", "chunked");
	else if (c->phase != PHASE_CAPTURING) /* a capture ends with the connection */
		http_put_field_u64(&w, "Content-Length", length);
	if (c->close_after)
		http_put_field(&w, "Connection", "close");
	http_put_end(&w);
	return w.ok ? queue(c, buf, w.off) : trace(-EMSGSIZE);
}

/* Queues BODY (consumed; NULL: out of memory) as an answer. Return: 0 or -errno. */
static int queue_answer(struct conn *c, unsigned int status, const char *allow, json_t *body)
{
	_cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int r;

	json_decref(body);
	if (!text)
		return trace(-ENOMEM);
	c->phase = PHASE_WRITING;
	r = queue_head(c, status, allow, "application/json", strlen(text) + 1);
	if (r >= 0)
		r = queue(c, text, strlen(text));
	if (r >= 0)
		r = queue(c, "\n", 1);
	set_deadline(c, REQUEST_US);
	return r;
}

static int queue_event(struct conn *c, const json_t *event)
{
	_cleanup_free_ char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
	_cleanup_free_ uint8_t *chunk = NULL;
	struct bytes_writer w;
	size_t len;

	if (!text)
		return trace(-ENOMEM);
	len = strlen(text);
	if (c->out_len - c->out_at + len > STREAM_QUEUE_MAX)
		return -ENOBUFS;
	text[len] = '\n'; /* in place of the NUL: the line is sent by length */
	chunk = malloc(len + 32);
	if (!chunk)
		return trace(-ENOMEM);
	w = bytes_writer(chunk, len + 32);
	http_put_chunk(&w, text, len + 1);
	return w.ok ? queue(c, chunk, w.off) : trace(-EMSGSIZE);
}

static int queue_event_consume(struct conn *c, json_t *event)
{
	int r = queue_event(c, event);

	json_decref(event);
	return r;
}

/* Answers with the head and everything that has happened so far. */
static int start_stream(struct conn *c)
{
	const struct view *view = c->server->view;
	int r;

	c->phase = PHASE_STREAMING;
	c->close_after = true;
	set_deadline(c, UINT64_MAX);
	r = queue_head(c, 200, NULL, "application/x-ndjson", 0);
	if (r >= 0)
		r = queue_event_consume(c, view_event_state(view));
	for (unsigned int i = 0; i < view->n_stages && r >= 0; i++)
		r = queue_event_consume(c, view_event_stage(&view->stage[i]));
	if (r >= 0 && view->context && view->context->warning[0])
		r = queue_event_consume(c, json_pack("{s:s, s:s}", "event", "warning", "message", view->context->warning));
	if (r >= 0 && view->fault_code[0])
		r = queue_event_consume(c, view_event_fault(view));
	return r;
}

static int answer_status(struct conn *c)
{
	if (c->server->hooks.refresh)
		c->server->hooks.refresh(c->server->hooks.data);
	return queue_answer(c, 200, NULL, view_status(c->server->view));
}

static int start_capture(struct conn *c, const struct netctl_capture *capture)
{
	c->phase = PHASE_CAPTURING;
	c->close_after = true;
	c->capture = *capture;
	set_deadline(c, REQUEST_US);
	return queue_head(c, 200, NULL, "application/vnd.tcpdump.pcap", 0);
}

static int answer(struct conn *c, struct api_answer *a)
{
	const struct api_hooks *hooks = &c->server->hooks;

	switch (a->action) {
	case API_STREAM_EVENTS:
		return start_stream(c);
	case API_STATUS:
		if (!hooks->want_stats || !hooks->want_stats(hooks->data))
			return answer_status(c);
		c->phase = PHASE_WAITING;
		set_deadline(c, STATS_US);
		return 0;
	case API_STOP:
		if (hooks->stop)
			hooks->stop(hooks->data, a->force, a->timeout_s);
		break;
	case API_SETTINGS:
		if (hooks->settings)
			hooks->settings(hooks->data);
		break;
	case API_QUERY:
		if (!hooks->query || hooks->query(hooks->data, &a->query, c) < 0)
			return -ECONNRESET;
		c->phase = PHASE_ASKING;
		set_deadline(c, QUERY_US);
		return 0;
	case API_CAPTURE:
		return start_capture(c, &a->capture);
	case API_NOTHING:
		break;
	}
	return queue_answer(c, a->status, a->allow, a->body);
}

static int refuse(struct conn *c, unsigned int status, const char *code, const char *text)
{
	struct api_answer a;

	c->close_after = true;
	c->linger = true;
	api_refuse(&a, status, code, "%s", text);
	return answer(c, &a);
}

static int unanswered(struct conn *c)
{
	c->server->hooks.forget(c->server->hooks.data, c);
	return refuse(c, 503, "NO_NETWORK", "The network process does not answer.");
}

/* Decodes the body behind a head of HEAD_LEN bytes in place. Return: 1 with *RET_LEN and *RET_TAKEN; 0: more;
 * -EBADMSG; -EMSGSIZE. */
static int collect_body(struct conn *c, const struct http_head *head, size_t head_len, size_t *ret_len, size_t *ret_taken)
{
	struct http_body body;
	size_t at = head_len, len = 0;

	if (head->framing == HTTP_BODY_LENGTH && head->content_length > API_BODY_MAX)
		return -EMSGSIZE;
	/* A chunked body is only moved together once it is whole: until then the buffer is left as it came. */
	for (int pass = 0; pass < 2; pass++) {
		at = head_len;
		len = 0;
		http_body_start(&body, head);
		while (!body.done && at < c->in_len) {
			struct http_slice data;
			ssize_t n = http_body_decode(&body, c->in + at, c->in_len - at, &data);

			if (n < 0)
				return (int)n;
			if (data.len > API_BODY_MAX - len)
				return -EMSGSIZE;
			if (pass)
				memmove(c->in + head_len + len, data.p, data.len);
			len += data.len;
			at += (size_t)n;
		}
		if (!body.done)
			return 0;
	}
	*ret_len = len;
	*ret_taken = at;
	return 1;
}

/* Answers one request when it is complete. Return: 0 or -errno (the connection ends). */
static int try_request(struct conn *c)
{
	size_t len = 0, taken = 0;
	struct api_answer a = {0};
	struct http_head head;
	const char *why = NULL;
	ssize_t n;
	int r;

	n = http_request_decode(&head, c->in, c->in_len, &why);
	if (n == -EMSGSIZE)
		return refuse(c, 431, "TOO_LARGE", why);
	if (n < 0)
		return refuse(c, 400, "BAD_REQUEST", why);
	if (n == 0)
		return 0;
	r = collect_body(c, &head, (size_t)n, &len, &taken);
	if (r == -EMSGSIZE)
		return refuse(c, 413, "TOO_LARGE", "The body is too large.");
	if (r < 0)
		return refuse(c, 400, "BAD_REQUEST", "The body is not valid chunked coding.");
	if (r == 0)
		return 0;
	c->close_after = !head.keep_alive;
	api_handle(c->server->view, &head, c->in + n, len, &a);
	memmove(c->in, c->in + taken, c->in_len - taken);
	c->in_len -= taken;
	return answer(c, &a);
}

/* Moves the connection on until it must wait. Return: 0; -errno: it ends. */
static int advance(struct conn *c)
{
	for (;;) {
		uint32_t events = EPOLLIN;
		int r;

		if (c->phase == PHASE_READING && c->in_len) {
			r = try_request(c);
			if (r < 0)
				return r;
		}
		r = flush(c);
		if (r < 0)
			return r;
		if (r > 0 && c->phase == PHASE_WRITING && c->linger) {
			(void)shutdown(c->fd, SHUT_WR);
			c->phase = PHASE_LINGERING;
			set_deadline(c, LINGER_US);
		} else if (r > 0 && c->phase == PHASE_CAPTURING) {
			if (c->server->hooks.capture)
				c->server->hooks.capture(c->server->hooks.data, &c->capture, c->fd);
			return -ECONNRESET; /* our copy; the network process has its own */
		} else if (r > 0 && c->phase == PHASE_WRITING) {
			if (c->close_after)
				return -ECONNRESET;
			c->phase = PHASE_READING;
			set_deadline(c, IDLE_US);
			if (c->in_len)
				continue;
		}
		if (r == 0)
			events |= EPOLLOUT;
		/* With an answer on its way nothing new is read: back-pressure. A stream's input is only its end. */
		if (c->phase != PHASE_READING && c->phase != PHASE_STREAMING && c->phase != PHASE_LINGERING)
			events &= ~(uint32_t)EPOLLIN;
		return loop_source_set_events(c->source, events);
	}
}

static int read_some(struct conn *c)
{
	ssize_t n;

	if (c->phase == PHASE_STREAMING || c->phase == PHASE_LINGERING) {
		char drop[4096];

		n = recv(c->fd, drop, sizeof(drop), MSG_DONTWAIT);
		return n == 0 || (n < 0 && errno != EAGAIN) ? -ECONNRESET : 0;
	}
	if (c->in_len == c->in_size) {
		char *in = c->in_size < IN_MAX ? realloc(c->in, c->in_size + IN_STEP) : NULL;

		if (!in)
			return refuse(c, 413, "TOO_LARGE", "The request is too large.");
		c->in = in;
		c->in_size += IN_STEP;
	}
	n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -ECONNRESET;
	if (c->in_len == 0)
		set_deadline(c, REQUEST_US);
	c->in_len += (size_t)n;
	return 0;
}

static int on_conn(void *data, int fd, uint32_t events)
{
	struct conn *c = data;
	int r = 0;

	if (events & EPOLLIN)
		r = read_some(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		r = -ECONNRESET;
	if (r >= 0)
		r = advance(c);
	if (r < 0) {
		struct api_server *s = c->server;

		close_conn(c);
		arm(s);
	}
	return 0;
}

static int on_timer(void *data)
{
	struct api_server *s = data;
	uint64_t now = loop_now_us();

	for (struct conn *c = s->conns, *next; c; c = next) {
		int r = -ETIMEDOUT;

		next = c->next;
		if (c->deadline_us > now)
			continue;
		if (c->phase == PHASE_WAITING)
			r = answer_status(c);
		else if (c->phase == PHASE_ASKING)
			r = unanswered(c);
		else if (c->phase == PHASE_READING && c->in_len)
			r = refuse(c, 408, "TIMEOUT", "The request took longer than 10 seconds.");
		if (r >= 0)
			r = advance(c);
		if (r < 0)
			close_conn(c);
	}
	arm(s);
	return 0;
}

static int add_conn_consume(struct api_server *s, int fd, struct conn **ret)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		fd_close(fd);
		return trace(-ENOMEM);
	}
	*c = (struct conn){.server = s, .fd = fd, .next = s->conns, .deadline_us = loop_now_us() + IDLE_US};
	r = loop_add_fd(s->loop, fd, EPOLLIN, on_conn, c, &c->source);
	if (r < 0) {
		fd_close(fd);
		free(c);
		return r;
	}
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	s->n_conns++;
	arm(s);
	*ret = c;
	return 0;
}

static int on_accept(void *data, int fd, uint32_t events)
{
	struct api_server *s = data;
	struct sock_peer peer;
	struct conn *c;
	int r, conn_fd;

	conn_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn_fd < 0 || add_conn_consume(s, conn_fd, &c) < 0)
		return 0;
	r = sock_peer(conn_fd, &peer);
	if (r < 0 || peer.uid != geteuid()) {
		log_limited(LOG_WARNING, "api: a client of uid %d was refused", r < 0 ? -1 : (int)peer.uid);
		r = refuse(c, 403, "FORBIDDEN", "This socket belongs to another user.");
	} else if (s->n_conns > API_CONNECTIONS_MAX) {
		r = refuse(c, 503, "BUSY", "Too many connections.");
	}
	if (r >= 0)
		r = advance(c);
	if (r < 0)
		close_conn(c);
	return 0;
}

int api_server_new(struct loop *loop, const struct view *view, const struct api_hooks *hooks, struct api_server **ret)
{
	struct api_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return trace(-ENOMEM);
	*s = (struct api_server){.loop = loop, .view = view, .hooks = *hooks, .listen_fd = -EBADF};
	r = loop_add_timer(loop, on_timer, s, &s->timer);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int api_server_listen_consume(struct api_server *s, int listen_fd)
{
	s->listen_fd = listen_fd;
	return loop_add_fd(s->loop, listen_fd, EPOLLIN, on_accept, s, &s->listener);
}

int api_server_serve_consume(struct api_server *s, int fd)
{
	struct conn *c;

	return add_conn_consume(s, fd, &c);
}

void api_server_event(struct api_server *s, json_t *event)
{
	for (struct conn *c = s->conns, *next; event && c; c = next) {
		next = c->next;
		if (c->phase == PHASE_STREAMING && (queue_event(c, event) < 0 || advance(c) < 0))
			close_conn(c);
	}
	json_decref(event);
}

void api_server_answer(struct api_server *s, void *token, json_t *body)
{
	struct conn *c = s->conns;

	while (c && c != token)
		c = c->next;
	if (!c || c->phase != PHASE_ASKING)
		json_decref(body);
	else if (queue_answer(c, 200, NULL, body) < 0 || advance(c) < 0)
		close_conn(c);
	arm(s);
}

void api_server_have_stats(struct api_server *s)
{
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->phase == PHASE_WAITING && (answer_status(c) < 0 || advance(c) < 0))
			close_conn(c);
	}
	arm(s);
}

void api_server_finish(struct api_server *s)
{
	s->listener = loop_source_free(s->listener);
	s->listen_fd = fd_close(s->listen_fd);
	for (struct conn *c = s->conns, *next; c; c = next) {
		int r = 0;

		next = c->next;
		if (c->phase == PHASE_STREAMING) {
			r = queue(c, "0\r\n\r\n", 5);
			c->phase = PHASE_WRITING;
			set_deadline(c, REQUEST_US);
		} else if (c->phase == PHASE_READING) {
			r = -ESHUTDOWN;
		} else if (c->phase == PHASE_WAITING) {
			r = answer_status(c);
		} else if (c->phase == PHASE_ASKING) {
			r = unanswered(c);
		}
		c->close_after = true;
		if (r < 0 || advance(c) < 0)
			close_conn(c);
	}
}

bool api_server_is_draining(const struct api_server *s)
{
	return s->conns != NULL;
}

struct api_server *api_server_free(struct api_server *s)
{
	if (!s)
		return NULL;
	s->hooks.ended = NULL;
	while (s->conns)
		close_conn(s->conns);
	loop_source_free(s->listener);
	loop_source_free(s->timer);
	fd_close(s->listen_fd);
	free(s);
	return NULL;
}
