/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine-watch: theory of operation.
 *
 * One buffer: [sent, out) may go to the engine, [out, len) is held or not yet looked at. A head is let go as soon as it is decoded (a
 * client that expects "100 Continue" sends its body only then); of a body that is collected nothing is let go before its last byte was
 * learnt, so the engine cannot act on it earlier. The buffer is freed whenever it is empty: an idle connection has none.
 */
#include "backend/engine-watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "proto/http.h"

enum { READ_MAX = 16384, READ_FRAMING = 1024 };
enum watch_state { WATCH_HEAD, WATCH_BODY, WATCH_COLLECT, WATCH_ANSWER, WATCH_RAW };

struct engine_watch {
	struct relay_filter filter;
	struct engine_watch_shared *shared;
	enum watch_state state;
	char *buf;
	size_t sent, out, len, size;
	/* of the request whose body comes */
	struct http_body body;
	bool may_hijack, keep_alive;
	enum port_learn_kind kind;
	size_t scan; /* COLLECT: [out, scan) is decoded */
	char *text;  /* its payload */
	size_t text_len, text_size;
	uint64_t charged; /* of shared->held */
};

static void drop_text(struct engine_watch *w)
{
	free(take_ptr(w->text));
	w->text_len = w->text_size = 0;
	quota_return(&w->shared->held, w->charged);
	w->charged = 0;
}

/* Ends the watching; everything goes on as it is. */
static void give_up(struct engine_watch *w)
{
	w->state = WATCH_RAW;
	w->out = w->len;
	drop_text(w);
}

/* Does the path let the engine take the connection over without being asked to by Upgrade? Odd spellings count as yes. */
static bool path_may_hijack(struct http_slice target)
{
	static const char *const ends[] = {"/attach", "/start", "/session", "/grpc"};
	const char *query = memchr(target.p, '?', target.len);
	size_t len = query ? (size_t)(query - target.p) : target.len;

	if (memchr(target.p, '%', len) || memmem(target.p, len, "//", 2) || memmem(target.p, len, "/.", 2))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t n = strlen(ends[i]);

		if (len >= n && !memcmp(target.p + len - n, ends[i], n))
			return true;
	}
	return false;
}

static void request_over(struct engine_watch *w)
{
	if (w->may_hijack)
		w->state = WATCH_ANSWER;
	else if (!w->keep_alive)
		give_up(w);
	else
		w->state = WATCH_HEAD;
}

/* Return: true when there is more to do. */
static bool step_head(struct engine_watch *w)
{
	struct http_head head;
	const char *why = NULL;
	ssize_t n = http_request_decode(&head, w->buf + w->out, w->len - w->out, &why);

	if (n == 0)
		return false;
	if (n < 0) {
		log_limited(LOG_DEBUG, "engine: a request is not looked at: %s", why ? why : "");
		give_up(w);
		return false;
	}
	w->kind = port_learn_kind(head.method.p, head.method.len, head.target.p, head.target.len);
	w->may_hijack = head.upgrade || path_may_hijack(head.target);
	w->keep_alive = head.keep_alive;
	http_body_start(&w->body, &head);
	w->out += (size_t)n;
	w->scan = w->out;
	w->state = w->kind == PORT_LEARN_NOTHING ? WATCH_BODY : WATCH_COLLECT;
	return true;
}

static bool step_body(struct engine_watch *w)
{
	struct http_slice data;

	while (!w->body.done && w->out < w->len) {
		ssize_t n = http_body_decode(&w->body, w->buf + w->out, w->len - w->out, &data);

		if (n < 0) {
			give_up(w);
			return false;
		}
		w->out += (size_t)n;
	}
	if (!w->body.done)
		return false;
	request_over(w);
	return true;
}

/* Keeps DATA for learning. Return: false when there is no room. */
static bool keep(struct engine_watch *w, struct http_slice data)
{
	if (data.len > ENGINE_WATCH_BODY_MAX - w->text_len)
		return false;
	if (w->text_len + data.len > w->text_size) {
		size_t size = w->text_size ? 2 * w->text_size : 4096;
		char *text;

		while (size < w->text_len + data.len)
			size *= 2;
		/* The held bytes themselves are as many again. */
		if (!quota_charge(&w->shared->held, 2 * (size - w->text_size)))
			return false;
		w->charged += 2 * (size - w->text_size);
		text = realloc(w->text, size);
		if (!text)
			return false;
		w->text = text;
		w->text_size = size;
	}
	if (data.len)
		memcpy(w->text + w->text_len, data.p, data.len);
	w->text_len += data.len;
	return true;
}

static void learn(struct engine_watch *w)
{
	int n = port_learn(w->kind, w->text ? w->text : "", w->text_len, w->shared->named, w->shared->data);

	if (n < 0 && w->text_len)
		log_limited(LOG_WARNING, "engine: the body of a request that can publish ports is not JSON; no port is learnt");
	drop_text(w);
}

static bool step_collect(struct engine_watch *w)
{
	struct http_slice data;

	while (!w->body.done && w->scan < w->len) {
		ssize_t n = http_body_decode(&w->body, w->buf + w->scan, w->len - w->scan, &data);

		if (n < 0) {
			give_up(w);
			return false;
		}
		w->scan += (size_t)n;
		if (keep(w, data))
			continue;
		log_limited(LOG_WARNING, "engine: a request that can publish ports is larger than %d bytes; no port is learnt from it",
			    ENGINE_WATCH_BODY_MAX);
		drop_text(w);
		w->out = w->scan;
		w->state = WATCH_BODY;
		return true;
	}
	if (!w->body.done)
		return false;
	learn(w);
	w->out = w->scan;
	request_over(w);
	return true;
}

static void run(struct engine_watch *w)
{
	bool more = true;

	while (more) {
		switch (w->state) {
		case WATCH_HEAD:
			more = w->out < w->len && step_head(w);
			break;
		case WATCH_BODY:
			more = step_body(w);
			break;
		case WATCH_COLLECT:
			more = step_collect(w);
			break;
		case WATCH_ANSWER:
			more = false;
			break;
		case WATCH_RAW:
			w->out = w->len;
			more = false;
			break;
		}
	}
}

static uint64_t watch_splice(const struct relay_filter *filter)
{
	const struct engine_watch *w = (const struct engine_watch *)filter;

	if (w->sent < w->len || w->state == WATCH_ANSWER)
		return 0;
	if (w->state == WATCH_RAW)
		return UINT64_MAX;
	return w->state == WATCH_BODY ? http_body_plain(&w->body) : 0;
}

static void watch_spliced(struct relay_filter *filter, uint64_t n)
{
	struct engine_watch *w = (struct engine_watch *)filter;

	if (w->state != WATCH_BODY)
		return;
	http_body_skip(&w->body, n);
	run(w);
}

/* Room for N more bytes. */
static int reserve(struct engine_watch *w, size_t n)
{
	char *buf;

	if (w->sent) {
		memmove(w->buf, w->buf + w->sent, w->len - w->sent);
		w->len -= w->sent;
		w->out -= w->sent;
		w->scan -= w->scan < w->sent ? w->scan : w->sent;
		w->sent = 0;
	}
	if (w->len + n <= w->size)
		return 0;
	/* Grows by half: a body of megabytes is not moved for every piece. */
	buf = realloc(w->buf, w->len + w->len / 2 + n);
	if (!buf)
		return trace(-ENOMEM);
	w->buf = buf;
	w->size = w->len + w->len / 2 + n;
	return 0;
}

int engine_watch_feed(struct relay_filter *filter, const void *src, size_t len)
{
	struct engine_watch *w = (struct engine_watch *)filter;
	int r = len ? reserve(w, len) : 0;

	if (r < 0) {
		give_up(w);
		return r;
	}
	if (len)
		memcpy(w->buf + w->len, src, len);
	w->len += len;
	run(w);
	return 0;
}

static ssize_t watch_take(struct relay_filter *filter, int fd)
{
	struct engine_watch *w = (struct engine_watch *)filter;
	/* Between chunks little is read, so that their content can go by splice. */
	size_t want = w->state == WATCH_BODY ? READ_FRAMING : READ_MAX;
	ssize_t n;
	int r = reserve(w, want);

	if (r < 0) {
		give_up(w);
		return r;
	}
	n = recv(fd, w->buf + w->len, want, MSG_DONTWAIT);
	r = n < 0 ? error_errno() : 0;
	if (n > 0) {
		w->len += (size_t)n;
		run(w);
	}
	if (w->len == 0) {
		free(take_ptr(w->buf));
		w->size = 0;
	}
	return n < 0 ? r : n;
}

static size_t watch_pending(const struct relay_filter *filter, const char **ret)
{
	const struct engine_watch *w = (const struct engine_watch *)filter;

	*ret = w->buf ? w->buf + w->sent : "";
	return w->out - w->sent;
}

static void watch_sent(struct relay_filter *filter, size_t n)
{
	struct engine_watch *w = (struct engine_watch *)filter;

	w->sent += n;
	if (w->sent < w->len)
		return;
	free(take_ptr(w->buf));
	w->sent = w->out = w->len = w->size = w->scan = 0;
}

static bool watch_is_held(const struct relay_filter *filter)
{
	const struct engine_watch *w = (const struct engine_watch *)filter;

	return w->state == WATCH_ANSWER;
}

static void watch_answer(struct relay_filter *filter, const char *src, size_t len)
{
	struct engine_watch *w = (struct engine_watch *)filter;
	struct http_head head;
	ssize_t n;

	if (w->state != WATCH_ANSWER)
		return;
	n = http_response_decode(&head, src, len, false, NULL);
	if (n <= 0 || head.status < 200 || !head.keep_alive || !w->keep_alive || head.framing == HTTP_BODY_TO_END ||
	    head.framing == HTTP_BODY_RAW) {
		give_up(w);
		return;
	}
	w->state = WATCH_HEAD;
	run(w);
}

static void watch_end(struct relay_filter *filter)
{
	struct engine_watch *w = (struct engine_watch *)filter;

	give_up(w);
}

static bool watch_is_over(const struct relay_filter *filter)
{
	const struct engine_watch *w = (const struct engine_watch *)filter;

	return w->state == WATCH_RAW && w->sent == w->len;
}

static void watch_free(struct relay_filter *filter)
{
	struct engine_watch *w = (struct engine_watch *)filter;

	drop_text(w);
	free(w->buf);
	free(w);
}

static const struct relay_filter_ops watch_ops = {
	.splice = watch_splice, .spliced = watch_spliced, .take = watch_take, .pending = watch_pending, .sent = watch_sent,
	.is_held = watch_is_held, .answer = watch_answer, .end = watch_end, .is_over = watch_is_over, .free = watch_free,
};

int engine_watch_new(struct engine_watch_shared *shared, struct relay_filter **ret)
{
	struct engine_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return trace(-ENOMEM);
	w->filter.ops = &watch_ops;
	w->shared = shared;
	*ret = &w->filter;
	return 0;
}
