/* SPDX-License-Identifier: Apache-2.0 */
/* head: see the header. Called by devices/proxy; never does I/O, never allocates. */
#include "devices/proxy/head.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/text.h"

enum { REASON_MAX = 240, PAGE_MAX = 2048 };

static void put_text(struct bytes_writer *w, const char *text)
{
	bytes_put(w, text, strlen(text));
}

/* A field whose bytes the decoder has checked. */
static void put_field(struct bytes_writer *w, const char *name, size_t name_len, struct http_slice value)
{
	bytes_put(w, name, name_len);
	put_text(w, ": ");
	bytes_put(w, value.p, value.len);
	put_text(w, "\r\n");
}

void head_basic(const char *user, const char *password, char dst[static HEAD_BASIC_MAX])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[2 * PROXYCTL_SECRET_MAX];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s:%s", user, password), n = 6;

	memcpy(dst, "Basic ", 6);
	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)(unsigned char)text[i] << 16;

		if (i + 1 < len)
			v |= (uint32_t)(unsigned char)text[i + 1] << 8;
		if (i + 2 < len)
			v |= (unsigned char)text[i + 2];
		for (size_t k = 0; k < 4; k++)
			dst[n++] = i + k > len ? '=' : digits[v >> (18 - 6 * k) & 63];
	}
	dst[n] = '\0';
	explicit_bzero(text, sizeof(text));
}

static void put_upstream_auth(struct bytes_writer *w, const struct route *route)
{
	char basic[HEAD_BASIC_MAX];

	if (!route->upstream.user[0])
		return;
	head_basic(route->upstream.user, route->upstream.password, basic);
	http_put_field(w, "Proxy-Authorization", basic);
	explicit_bzero(basic, sizeof(basic));
}

/* NAME is in the Connection list of HEAD. */
static bool named_by_connection(const struct http_head *head, struct http_slice name)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		struct http_slice v = head->fields[i].value;

		if (!http_slice_is_nocase(head->fields[i].name, "connection"))
			continue;
		for (size_t at = 0; at < v.len;) {
			size_t start, end;

			start = at;
			while (at < v.len && v.p[at] != ',')
				at++;
			end = at++;
			while (start < end && (v.p[start] == ' ' || v.p[start] == '\t'))
				start++;
			while (end > start && (v.p[end - 1] == ' ' || v.p[end - 1] == '\t'))
				end--;
			if (end - start == name.len && !strncasecmp(v.p + start, name.p, name.len))
				return true;
		}
	}
	return false;
}

static bool ends_here(const struct http_head *head, struct http_slice name)
{
	static const char *const all[] = {"connection", "keep-alive", "te", "trailer", "transfer-encoding",
			"content-length", "upgrade",
					  "http2-settings", "expect"};

	if (name.len > 6 && !strncasecmp(name.p, "proxy-", 6))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (http_slice_is_nocase(name, all[i]))
			return true;
	return named_by_connection(head, name);
}

static void put_fields(struct bytes_writer *w, const struct http_head *head, bool request)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http_field *f = &head->fields[i];

		if (ends_here(head, f->name) || (request && http_slice_is_nocase(f->name, "host")))
			continue;
		put_field(w, f->name.p, f->name.len, f->value);
	}
	http_put_field(w, "Via", head->minor ? "1.1 caisson" : "1.0 caisson");
}

static void put_framing(struct bytes_writer *w, const struct http_head *head, enum http_framing framing)
{
	if (framing == HTTP_BODY_LENGTH)
		http_put_field_u64(w, "Content-Length", head->content_length);
	else if (framing == HTTP_BODY_CHUNKED)
		http_put_field(w, "Transfer-Encoding", "chunked");
}

static void put_upgrade(struct bytes_writer *w, const struct http_head *head)
{
	const struct http_slice *upgrade = http_field_find(head, "upgrade");

	http_put_field(w, "Connection", "Upgrade");
	if (upgrade)
		put_field(w, "Upgrade", 7, *upgrade);
}

void head_request(struct bytes_writer *w, const struct http_head *head, const struct target *target, const struct route *route)
{
	bool absolute = route->kind == ROUTE_UPSTREAM && route->upstream.kind == PROXYCTL_HTTP;
	char host[TARGET_TEXT_MAX];

	target_text(target->host, target->port, 80, host);
	bytes_put(w, head->method.p, head->method.len);
	put_text(w, " ");
	if (absolute) {
		put_text(w, "http://");
		put_text(w, host);
	}
	/* OPTIONS without a path is about the server as a whole (RFC 9112, 3.2.4). */
	if (!target->path.len && http_slice_is(head->method, "OPTIONS"))
		put_text(w, absolute ? "" : "*");
	else if (!target->path.len || target->path.p[0] != '/')
		put_text(w, "/");
	bytes_put(w, target->path.p, target->path.len);
	put_text(w, " HTTP/1.1\r\n");
	http_put_field(w, "Host", host);
	put_fields(w, head, true);
	if (absolute)
		put_upstream_auth(w, route);
	put_framing(w, head, head->framing);
	if (head->expect_continue)
		http_put_field(w, "Expect", "100-continue");
	if (head->upgrade)
		put_upgrade(w, head);
	else
		http_put_field(w, "Connection", "close");
	http_put_end(w);
}

void head_connect(struct bytes_writer *w, const struct target *target, const struct route *route)
{
	char text[TARGET_TEXT_MAX];

	target_text(target->host, target->port, 0, text);
	http_put_request(w, "CONNECT", text);
	http_put_field(w, "Host", text);
	put_upstream_auth(w, route);
	http_put_end(w);
}

void head_response(struct bytes_writer *w, const struct http_head *head, enum http_framing framing,
		bool keep_alive, unsigned int minor)
{
	const struct http_slice *length;
	char line[32];

	snprintf(line, sizeof(line), "HTTP/1.1 %03u ", head->status % 1000);
	put_text(w, line);
	bytes_put(w, head->reason.p, head->reason.len);
	put_text(w, "\r\n");
	put_fields(w, head, false);
	if (head->status == 101) {
		put_upgrade(w, head);
		http_put_end(w);
		return;
	}
	/* The answer to HEAD, or 304: the length it would have. */
	length = head->framing == HTTP_BODY_NONE && head->status >= 200 && head->status != 204 ? http_field_find(head, "content-length")
												: NULL;
	if (length)
		put_field(w, "Content-Length", 14, *length);
	put_framing(w, head, framing);
	if (!keep_alive)
		http_put_field(w, "Connection", "close");
	else if (!minor)
		http_put_field(w, "Connection", "keep-alive");
	http_put_end(w);
}

void head_page(struct bytes_writer *w, unsigned int status, const char *reason, const char *details, bool to_head)
{
	char phrase[REASON_MAX], page[PAGE_MAX];
	size_t len;

	text_escape(phrase, sizeof(phrase), reason, strlen(reason));
	snprintf(page, sizeof(page), "caisson: %s\n\n%s", reason, details);
	len = strlen(page);
	http_put_status(w, status, phrase);
	http_put_field(w, "Content-Type", "text/plain; charset=utf-8");
	http_put_field(w, "Cache-Control", "no-store");
	http_put_field_u64(w, "Content-Length", len);
	http_put_field(w, "Connection", "close");
	http_put_end(w);
	if (!to_head)
		bytes_put(w, page, len);
}
