/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: theory of operation.
 *
 * A head is first delimited (CRLF CRLF within HTTP_HEAD_MAX, no bare CR or LF and no control byte before it), then its lines are
 * taken apart, then the fields that frame the body are judged together. Judging comes last because a contradiction
 * between two fields is only visible when all are known. Everything a sender and a second reader could understand
 * differently is an error, never a preference.
 */
#include "proto/http.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/error.h"

enum body_step { STEP_SIZE, STEP_SIZE_LF, STEP_DATA, STEP_DATA_CR, STEP_DATA_LF, STEP_TRAILER_START, STEP_TRAILER,
		 STEP_TRAILER_LF, STEP_END_LF };

static bool is_token(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_value(unsigned char c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static ssize_t refuse(ssize_t r, const char *why, const char **ret_why)
{
	if (ret_why)
		*ret_why = why;
	return r;
}

/* Finds the end of the head. Return: length including the empty line; 0: not yet; -EBADMSG; -EMSGSIZE. */
static ssize_t delimit(const char *src, size_t len, const char **ret_why)
{
	size_t limit = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;

	for (size_t i = 0; i < limit; i++) {
		unsigned char c = (unsigned char)src[i];

		if (c == '\n' && (i == 0 || src[i - 1] != '\r'))
			return refuse(-EBADMSG, "a line ends in a bare LF", ret_why);
		if (i > 0 && src[i - 1] == '\r' && c != '\n')
			return refuse(-EBADMSG, "a CR is not followed by LF", ret_why);
		if (c == '\n' && i == 1)
			return refuse(-EBADMSG, "the head begins with an empty line", ret_why);
		if (c == '\n' && i >= 3 && src[i - 2] == '\n')
			return (ssize_t)(i + 1);
		if (c != '\r' && c != '\n' && !is_value(c))
			return refuse(-EBADMSG, "a control character in the head", ret_why);
	}
	if (limit == HTTP_HEAD_MAX)
		return refuse(-EMSGSIZE, "the head is too long", ret_why);
	return 0;
}

bool http_slice_is(struct http_slice s, const char *text)
{
	return strlen(text) == s.len && !memcmp(s.p, text, s.len);
}

bool http_slice_is_nocase(struct http_slice s, const char *text)
{
	return strlen(text) == s.len && !strncasecmp(s.p, text, s.len);
}

const struct http_slice *http_field_find(const struct http_head *head, const char *name)
{
	const struct http_slice *found = NULL;

	for (size_t i = 0; i < head->n_fields; i++) {
		if (!http_slice_is_nocase(head->fields[i].name, name))
			continue;
		if (found)
			return NULL;
		found = &head->fields[i].value;
	}
	return found;
}

static size_t count_fields(const struct http_head *head, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < head->n_fields; i++)
		n += http_slice_is_nocase(head->fields[i].name, name);
	return n;
}

/* WORD is a member of the comma-separated list in any field NAME. */
static bool list_has(const struct http_head *head, const char *name, const char *word)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		struct http_slice v = head->fields[i].value;
		size_t at = 0;

		if (!http_slice_is_nocase(head->fields[i].name, name))
			continue;
		while (at < v.len) {
			struct http_slice item = {v.p + at, 0};

			while (at < v.len && v.p[at] != ',')
				at++;
			item.len = (size_t)(v.p + at - item.p);
			at++;
			while (item.len && (*item.p == ' ' || *item.p == '\t'))
				item.p++, item.len--;
			while (item.len && (item.p[item.len - 1] == ' ' || item.p[item.len - 1] == '\t'))
				item.len--;
			if (http_slice_is_nocase(item, word))
				return true;
		}
	}
	return false;
}

/* One field line without its CRLF. */
static int decode_field(struct http_head *head, const char *line, size_t len, const char **ret_why)
{
	struct http_field f = {{line, 0}, {NULL, 0}};
	size_t end = len;

	if (line[0] == ' ' || line[0] == '\t')
		return (int)refuse(-EBADMSG, "a folded field line", ret_why);
	while (f.name.len < len && is_token((unsigned char)line[f.name.len]))
		f.name.len++;
	if (f.name.len == 0 || f.name.len == len || line[f.name.len] != ':')
		return (int)refuse(-EBADMSG, "a malformed field name", ret_why);
	f.value.p = line + f.name.len + 1;
	while (f.value.p < line + len && (*f.value.p == ' ' || *f.value.p == '\t'))
		f.value.p++;
	while (line + end > f.value.p && (line[end - 1] == ' ' || line[end - 1] == '\t'))
		end--;
	f.value.len = (size_t)(line + end - f.value.p);
	if (head->n_fields == HTTP_FIELDS_MAX)
		return (int)refuse(-EMSGSIZE, "too many fields", ret_why);
	head->fields[head->n_fields++] = f;
	return 0;
}

static int decode_fields(struct http_head *head, const char *p, const char *end, const char **ret_why)
{
	while (p < end) {
		const char *eol = memchr(p, '\r', (size_t)(end - p));
		int r;

		if (!eol)
			return (int)refuse(-EBADMSG, "a line without an end", ret_why);
		r = decode_field(head, p, (size_t)(eol - p), ret_why);
		if (r < 0)
			return r;
		p = eol + 2;
	}
	return 0;
}

static int decode_length(struct http_slice v, uint64_t *ret)
{
	uint64_t n = 0;

	if (v.len == 0 || v.len > 19)
		return -EBADMSG;
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return -EBADMSG;
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	if (n > HTTP_LENGTH_MAX)
		return -EBADMSG;
	*ret = n;
	return 0;
}

/* Decides the framing from Content-Length and Transfer-Encoding alone; NONE when neither is there. */
static int decode_framing(struct http_head *head, const char **ret_why)
{
	size_t n_length = count_fields(head, "content-length");
	size_t n_coding = count_fields(head, "transfer-encoding");

	head->framing = HTTP_BODY_NONE;
	if (n_length + n_coding > 1)
		return (int)refuse(-EBADMSG, "Content-Length or Transfer-Encoding more than once, or both", ret_why);
	if (n_coding) {
		if (head->minor == 0 || !http_slice_is_nocase(*http_field_find(head, "transfer-encoding"), "chunked"))
			return (int)refuse(-EBADMSG, "an unknown Transfer-Encoding", ret_why);
		head->framing = HTTP_BODY_CHUNKED;
	}
	if (n_length) {
		if (decode_length(*http_field_find(head, "content-length"), &head->content_length) < 0)
			return (int)refuse(-EBADMSG, "a malformed Content-Length", ret_why);
		head->framing = HTTP_BODY_LENGTH;
	}
	if (list_has(head, "connection", "close"))
		head->keep_alive = false;
	else
		head->keep_alive = head->minor == 1 || list_has(head, "connection", "keep-alive");
	head->upgrade = list_has(head, "connection", "upgrade") && count_fields(head, "upgrade") == 1;
	return 0;
}

/* "HTTP/1.0" or "HTTP/1.1" at P. Return: 0 or 1; -EBADMSG. */
static int decode_version(const char *p, size_t len)
{
	if (len != 8 || memcmp(p, "HTTP/1.", 7) || (p[7] != '0' && p[7] != '1'))
		return -EBADMSG;
	return p[7] - '0';
}

static int classify_target(struct http_head *head)
{
	const struct http_slice *t = &head->target;

	if (t->len == 0)
		return -EBADMSG;
	for (size_t i = 0; i < t->len; i++)
		if ((unsigned char)t->p[i] <= 0x20 || (unsigned char)t->p[i] >= 0x7f || t->p[i] == '#')
			return -EBADMSG;
	if (http_slice_is(head->method, "CONNECT"))
		head->target_form = HTTP_TARGET_AUTHORITY;
	else if (t->p[0] == '/')
		head->target_form = HTTP_TARGET_ORIGIN;
	else if (http_slice_is(*t, "*") && http_slice_is(head->method, "OPTIONS"))
		head->target_form = HTTP_TARGET_ASTERISK;
	else if (t->len > 7 && !strncasecmp(t->p, "http://", 7))
		head->target_form = HTTP_TARGET_ABSOLUTE;
	else
		return -EBADMSG;
	return 0;
}

static int decode_request_line(struct http_head *head, const char *line, size_t len, const char **ret_why)
{
	const char *sp1 = memchr(line, ' ', len), *sp2;
	int minor;

	if (!sp1)
		return (int)refuse(-EBADMSG, "a malformed request line", ret_why);
	sp2 = memchr(sp1 + 1, ' ', len - (size_t)(sp1 + 1 - line));
	if (!sp2)
		return (int)refuse(-EBADMSG, "a malformed request line", ret_why);
	head->method = (struct http_slice){line, (size_t)(sp1 - line)};
	head->target = (struct http_slice){sp1 + 1, (size_t)(sp2 - sp1 - 1)};
	minor = decode_version(sp2 + 1, len - (size_t)(sp2 + 1 - line));
	if (minor < 0)
		return (int)refuse(-EBADMSG, "not HTTP/1.0 or HTTP/1.1", ret_why);
	head->minor = (unsigned int)minor;
	if (head->method.len == 0 || head->method.len > HTTP_METHOD_MAX)
		return (int)refuse(-EBADMSG, "a malformed method", ret_why);
	for (size_t i = 0; i < head->method.len; i++)
		if (!is_token((unsigned char)head->method.p[i]))
			return (int)refuse(-EBADMSG, "a malformed method", ret_why);
	if (head->target.len > HTTP_TARGET_MAX)
		return (int)refuse(-EMSGSIZE, "the request target is too long", ret_why);
	if (classify_target(head) < 0)
		return (int)refuse(-EBADMSG, "a malformed request target", ret_why);
	return 0;
}

static int decode_status_line(struct http_head *head, const char *line, size_t len, const char **ret_why)
{
	int minor = decode_version(line, len < 8 ? len : 8);

	if (minor < 0 || len < 13 || line[8] != ' ' || line[12] != ' ')
		return (int)refuse(-EBADMSG, "a malformed status line", ret_why);
	head->minor = (unsigned int)minor;
	for (size_t i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return (int)refuse(-EBADMSG, "a malformed status", ret_why);
		head->status = head->status * 10 + (unsigned int)(line[i] - '0');
	}
	if (head->status < 100 || head->status > 599)
		return (int)refuse(-EBADMSG, "a status out of range", ret_why);
	head->reason = (struct http_slice){line + 13, len - 13};
	return 0;
}

typedef int (*start_line_fn)(struct http_head *head, const char *line, size_t len, const char **ret_why);

/* The common part: delimits, then start line, fields and framing. Return: head length; 0; -errno. */
static ssize_t decode_head(struct http_head *head, const char *src, size_t len, start_line_fn start,
			   const char **ret_why)
{
	ssize_t total = delimit(src, len, ret_why);
	const char *eol;
	int r;

	if (total <= 0)
		return total;
	/* fields[] beyond n_fields is never read. */
	memset(head, 0, offsetof(struct http_head, fields));
	head->content_length = 0;
	head->expect_continue = false;
	eol = memchr(src, '\r', (size_t)total);
	r = start(head, src, (size_t)(eol - src), ret_why);
	if (r >= 0)
		r = decode_fields(head, eol + 2, src + total - 2, ret_why);
	if (r >= 0)
		r = decode_framing(head, ret_why);
	return r < 0 ? r : total;
}

ssize_t http_request_decode(struct http_head *ret, const char *src, size_t len, const char **ret_why)
{
	ssize_t total = decode_head(ret, src, len, decode_request_line, ret_why);
	const struct http_slice *expect;
	size_t n_host;

	if (total <= 0)
		return total;
	n_host = count_fields(ret, "host");
	if (n_host > 1 || (n_host == 0 && ret->minor == 1))
		return refuse(-EBADMSG, "not exactly one Host field", ret_why);
	if (http_slice_is(ret->method, "CONNECT") && ret->framing != HTTP_BODY_NONE)
		return refuse(-EBADMSG, "a CONNECT with a body", ret_why);
	if (count_fields(ret, "expect")) {
		expect = http_field_find(ret, "expect");
		if (!expect || !http_slice_is_nocase(*expect, "100-continue"))
			return refuse(-EBADMSG, "an unknown Expect", ret_why);
		ret->expect_continue = true;
	}
	return total;
}

ssize_t http_response_decode(struct http_head *ret, const char *src, size_t len, bool to_head, const char **ret_why)
{
	ssize_t total = decode_head(ret, src, len, decode_status_line, ret_why);

	if (total <= 0)
		return total;
	if (ret->status < 200 || ret->status == 204) {
		if (ret->framing == HTTP_BODY_CHUNKED || (ret->framing == HTTP_BODY_LENGTH && ret->content_length))
			return refuse(-EBADMSG, "a body where none may be", ret_why);
		ret->framing = ret->status == 101 ? HTTP_BODY_RAW : HTTP_BODY_NONE;
	} else if (to_head || ret->status == 304) {
		ret->framing = HTTP_BODY_NONE;
	} else if (ret->framing == HTTP_BODY_NONE) {
		ret->framing = HTTP_BODY_TO_END;
		ret->keep_alive = false;
	}
	return total;
}

void http_body_start(struct http_body *body, const struct http_head *head)
{
	*body = (struct http_body){.framing = head->framing, .step = STEP_SIZE};
	if (head->framing == HTTP_BODY_LENGTH)
		body->remaining = head->content_length;
	body->done = head->framing == HTTP_BODY_NONE || (head->framing == HTTP_BODY_LENGTH && !body->remaining);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* A byte of the chunk size line. */
static int step_size(struct http_body *body, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		/* 15 digits fit 60 bits. */
		if (body->n_digits == 15)
			return -EBADMSG;
		body->n_digits++;
		body->remaining = body->remaining << 4 | (unsigned int)digit;
		return 0;
	}
	if (c != '\r' || !body->n_digits)
		return -EBADMSG;
	body->step = STEP_SIZE_LF;
	return 0;
}

/* A byte of the trailer section: "name: value" lines, closed by an empty one. Content is dropped. */
static int step_trailer(struct http_body *body, char c)
{
	if (++body->n_trailer > HTTP_TRAILERS_MAX)
		return -EBADMSG;
	switch (body->step) {
	case STEP_TRAILER_START:
		if (c == '\r')
			body->step = STEP_END_LF;
		else if (is_token((unsigned char)c))
			body->step = STEP_TRAILER;
		else
			return -EBADMSG;
		return 0;
	case STEP_TRAILER:
		if (c == '\r')
			body->step = STEP_TRAILER_LF;
		else if (!is_value((unsigned char)c))
			return -EBADMSG;
		return 0;
	case STEP_TRAILER_LF:
		body->step = STEP_TRAILER_START;
		return c == '\n' ? 0 : -EBADMSG;
	default:
		body->done = true;
		return c == '\n' ? 0 : -EBADMSG;
	}
}

/* One byte that is not payload. */
static int step_chunked(struct http_body *body, char c)
{
	switch (body->step) {
	case STEP_SIZE:
		return step_size(body, c);
	case STEP_SIZE_LF:
		body->step = body->remaining ? STEP_DATA : STEP_TRAILER_START;
		return c == '\n' ? 0 : -EBADMSG;
	case STEP_DATA_CR:
		body->step = STEP_DATA_LF;
		return c == '\r' ? 0 : -EBADMSG;
	case STEP_DATA_LF:
		body->step = STEP_SIZE;
		body->n_digits = 0;
		return c == '\n' ? 0 : -EBADMSG;
	default:
		return step_trailer(body, c);
	}
}

uint64_t http_body_plain(const struct http_body *body)
{
	if (body->done || (body->framing == HTTP_BODY_CHUNKED && body->step != STEP_DATA))
		return 0;
	return body->remaining;
}

void http_body_skip(struct http_body *body, uint64_t n)
{
	body->remaining -= n;
	if (!body->remaining && body->framing == HTTP_BODY_CHUNKED)
		body->step = STEP_DATA_CR;
	else if (!body->remaining)
		body->done = true;
}

ssize_t http_body_decode(struct http_body *body, const char *src, size_t len, struct http_slice *ret_data)
{
	size_t at = 0;

	*ret_data = (struct http_slice){src, 0};
	if (body->done)
		return 0;
	if (body->framing == HTTP_BODY_TO_END || body->framing == HTTP_BODY_RAW) {
		ret_data->len = len;
		return (ssize_t)len;
	}
	while (body->framing == HTTP_BODY_CHUNKED && body->step != STEP_DATA && at < len && !body->done) {
		int r = step_chunked(body, src[at++]);

		if (r < 0)
			return r;
	}
	if (body->done || at == len)
		return (ssize_t)at;
	ret_data->p = src + at;
	ret_data->len = len - at < body->remaining ? len - at : (size_t)body->remaining;
	http_body_skip(body, ret_data->len);
	return (ssize_t)(at + ret_data->len);
}

static void put_text(struct bytes_writer *w, const char *text)
{
	bytes_put(w, text, strlen(text));
}

void http_put_request(struct bytes_writer *w, const char *method, const char *target)
{
	struct http_head head = {.method = {method, strlen(method)}, .target = {target, strlen(target)}};

	for (const char *p = method; *p; p++)
		if (!is_token((unsigned char)*p))
			w->ok = false;
	if (!*method || strlen(method) > HTTP_METHOD_MAX || classify_target(&head) < 0)
		w->ok = false;
	put_text(w, method);
	put_text(w, " ");
	put_text(w, target);
	put_text(w, " HTTP/1.1\r\n");
}

void http_put_status(struct bytes_writer *w, unsigned int status, const char *reason)
{
	char line[32];

	if (status < 100 || status > 599)
		w->ok = false;
	snprintf(line, sizeof(line), "HTTP/1.1 %03u ", status % 1000);
	put_text(w, line);
	for (const char *p = reason; *p; p++)
		if (!is_value((unsigned char)*p))
			w->ok = false;
	put_text(w, reason);
	put_text(w, "\r\n");
}

void http_put_field(struct bytes_writer *w, const char *name, const char *value)
{
	if (!*name)
		w->ok = false;
	for (const char *p = name; *p; p++)
		if (!is_token((unsigned char)*p))
			w->ok = false;
	for (const char *p = value; *p; p++)
		if (!is_value((unsigned char)*p))
			w->ok = false;
	put_text(w, name);
	put_text(w, ": ");
	put_text(w, value);
	put_text(w, "\r\n");
}

void http_put_field_u64(struct bytes_writer *w, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	http_put_field(w, name, text);
}

void http_put_end(struct bytes_writer *w)
{
	put_text(w, "\r\n");
}

void http_put_chunk(struct bytes_writer *w, const void *data, size_t len)
{
	char line[24];

	snprintf(line, sizeof(line), "%zx\r\n", len);
	put_text(w, line);
	bytes_put(w, data, len);
	put_text(w, "\r\n");
}

const char *http_reason(unsigned int status)
{
	switch (status) {
	case 200: return "OK";
	case 202: return "Accepted";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 413: return "Content Too Large";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 503: return "Service Unavailable";
	default: return "";
	}
}
