/* SPDX-License-Identifier: Apache-2.0 */
/* test-http: conversations; every refused head has an accepted twin that differs in the one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "proto/http.h"

static struct http_head head;

static ssize_t request(const char *text)
{
	return http_request_decode(&head, text, strlen(text), NULL);
}

static void request_accepted(void **state)
{
	const char *text = "POST /v1.45/containers/create?name=a HTTP/1.1\r\nHost: docker\r\nContent-Length: 12\r\n"
			   "Connection: Upgrade\r\nUpgrade: tcp\r\nX-Empty:\r\n\r\nrest";
	const struct http_slice *v;

	assert_int_equal(request(text), strlen(text) - 4);
	assert_true(http_slice_is(head.method, "POST"));
	assert_true(http_slice_is(head.target, "/v1.45/containers/create?name=a"));
	assert_int_equal(head.framing, HTTP_BODY_LENGTH);
	assert_int_equal(head.content_length, 12);
	assert_true(head.upgrade);
	assert_true(head.keep_alive);
	v = http_field_find(&head, "x-empty");
	assert_non_null(v);
	assert_int_equal(v->len, 0);
	/* every shorter input asks for more and never reads beyond its end */
	for (size_t n = 0; n + 4 < strlen(text); n++)
		assert_int_equal(http_request_decode(&head, text, n, NULL), 0);
}

#define H "GET / HTTP/1.1\r\nHost: x\r\n"
static const char *const accepted[] = {
	H "\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
	"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
	H "Content-Length: 0\r\n\r\n",
	H "Transfer-Encoding: Chunked\r\n\r\n",
	H "A: \x80 text\t\r\n\r\n",
	H "Expect: 100-continue\r\n\r\n",
};
static const char *const refused[] = {
	"GET / HTTP/1.1\nHost: x\n\n",			       /* bare LF */
	"GET / HTTP/1.1\r\nHost: x\n\r\n",		       /* bare LF in a field */
	"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",	       /* bare CR */
	"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",	       /* leading empty line */
	H " folded\r\n\r\n",				       /* obs-fold */
	H "A: b\r\n\tc\r\n\r\n",			       /* obs-fold */
	H "A : b\r\n\r\n",				       /* space before the colon */
	H ": b\r\n\r\n",				       /* no name */
	H "noname\r\n\r\n",				       /* no colon */
	H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",    /* twice, even equal */
	H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	H "Transfer-Encoding: gzip, chunked\r\n\r\n",
	H "Transfer-Encoding: xchunked\r\n\r\n",
	H "Content-Length: +1\r\n\r\n",
	H "Content-Length: 1, 1\r\n\r\n",
	H "Content-Length: 0x1\r\n\r\n",
	H "Content-Length:\r\n\r\n",
	H "Content-Length: 99999999999999999999\r\n\r\n",
	H "Content-Length: 4611686018427387905\r\n\r\n",
	H "Host: y\r\n\r\n",				       /* two hosts */
	"GET / HTTP/1.1\r\n\r\n",			       /* none */
	"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
	"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",		       /* two spaces */
	"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
	"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
	"GET / http/1.1\r\nHost: x\r\n\r\n",
	"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
	"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
	H "Expect: 200-ok\r\n\r\n",
	"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
};

static void request_table(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++)
		if (request(accepted[i]) != (ssize_t)strlen(accepted[i]))
			fail_msg("refused: %s", accepted[i]);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (request(refused[i]) >= 0)
			fail_msg("accepted: %s", refused[i]);
}

static void limits(void **state)
{
	_cleanup_free_ char *big = malloc(HTTP_HEAD_MAX * 2);
	size_t n = 0;

	n = (size_t)sprintf(big, H);
	for (int i = 0; i < HTTP_FIELDS_MAX - 1; i++)
		n += (size_t)sprintf(big + n, "a: b\r\n");
	memcpy(big + n, "\r\n", 3);
	assert_true(request(big) > 0);
	memcpy(big + n, "a: b\r\n\r\n", 9);
	assert_int_equal(request(big), -EMSGSIZE);
	n = (size_t)sprintf(big, H "a: ");
	memset(big + n, 'x', HTTP_HEAD_MAX);
	assert_int_equal(http_request_decode(&head, big, HTTP_HEAD_MAX - 1, NULL), 0);
	assert_int_equal(http_request_decode(&head, big, HTTP_HEAD_MAX, NULL), -EMSGSIZE);
	memcpy(big + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(http_request_decode(&head, big, HTTP_HEAD_MAX * 2, NULL), HTTP_HEAD_MAX);
}

static enum http_framing response(const char *text, bool to_head)
{
	ssize_t r = http_response_decode(&head, text, strlen(text), to_head, NULL);

	return r == (ssize_t)strlen(text) ? head.framing : (enum http_framing)999;
}

static void response_framing(void **state)
{
	assert_int_equal(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false), HTTP_BODY_LENGTH);
	assert_int_equal(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true), HTTP_BODY_NONE);
	assert_int_equal(response("HTTP/1.1 200 \r\n\r\n", false), HTTP_BODY_TO_END);
	assert_false(head.keep_alive);
	assert_int_equal(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false), HTTP_BODY_CHUNKED);
	assert_int_equal(response("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", false),
			 HTTP_BODY_RAW);
	assert_int_equal(response("HTTP/1.1 204 No Content\r\n\r\n", false), HTTP_BODY_NONE);
	assert_int_equal(response("HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\n", false), 999);
	assert_int_equal(response("HTTP/1.1 304 X\r\nContent-Length: 1\r\n\r\n", false), HTTP_BODY_NONE);
	assert_int_equal(response("HTTP/1.1 200\r\n\r\n", false), 999);
	assert_int_equal(response("HTTP/1.1 600 X\r\n\r\n", false), 999);
	assert_int_equal(response("HTTP/1.1 2x0 X\r\n\r\n", false), 999);
	assert_int_equal(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false), 999);
}

/* Decodes BODY in pieces of STEP. Return: payload bytes in OUT, or -1; *LEFT: bytes behind the body. */
static int chunked(const char *text, size_t step, char *out, size_t *left)
{
	struct http_head h = {.framing = HTTP_BODY_CHUNKED};
	size_t at = 0, len = strlen(text);
	struct http_body body;
	int n_out = 0;

	http_body_start(&body, &h);
	while (at < len && !body.done) {
		struct http_slice data;
		ssize_t n = http_body_decode(&body, text + at, len - at < step ? len - at : step, &data);

		if (n < 0)
			return -1;
		memcpy(out + n_out, data.p, data.len);
		n_out += (int)data.len;
		at += (size_t)n;
	}
	*left = len - at;
	return body.done ? n_out : -2;
}

static void chunked_bodies(void **state)
{
	static const char *const bad[] = {"\r\n", "g\r\n", "5;a=b\r\nhello\r\n", "5\nhello\r\n", "5\r\nhelloX\r\n", "5 \r\n",
					  "0\r\nX\x01: y\r\n", "0\r\n : y\r\n", "0\r\n\rX", "-1\r\n", "0x5\r\n",
					  "1000000000000000\r\n"};
	char out[64];
	size_t left;

	for (size_t step = 1; step < 40; step++) {
		assert_int_equal(chunked("5\r\nhello\r\nA\r\n world 123\r\n0\r\n\r\nNEXT", step, out, &left), 15);
		assert_memory_equal(out, "hello world 123", 15);
		assert_int_equal(left, 4);
		assert_int_equal(chunked("1\r\nx\r\n0\r\nTrailer: v\r\n\r\n", step, out, &left), 1);
		assert_int_equal(chunked("5\r\nhel", step, out, &left), -2);
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
			assert_int_equal(chunked(bad[i], step, out, &left), -1);
	}
}

static void encoders(void **state)
{
	uint8_t buf[256];
	struct bytes_writer w = bytes_writer(buf, sizeof(buf));

	http_put_request(&w, "GET", "/v1/status");
	http_put_field(&w, "Host", "caisson");
	http_put_field_u64(&w, "Content-Length", 7);
	http_put_end(&w);
	assert_true(w.ok);
	assert_int_equal(http_request_decode(&head, (char *)buf, w.off, NULL), w.off);
	assert_int_equal(head.content_length, 7);
	w = bytes_writer(buf, sizeof(buf));
	http_put_field(&w, "A", "b\r\nInjected: yes");
	assert_false(w.ok);
	w = bytes_writer(buf, sizeof(buf));
	http_put_field(&w, "A b", "c");
	assert_false(w.ok);
	w = bytes_writer(buf, sizeof(buf));
	http_put_request(&w, "GET", "/a b");
	assert_false(w.ok);
	w = bytes_writer(buf, 8);
	http_put_status(&w, 200, "OK");
	assert_false(w.ok);
	w = bytes_writer(buf, sizeof(buf));
	http_put_chunk(&w, "hello", 5);
	http_put_chunk(&w, NULL, 0);
	assert_int_equal(w.off, 15);
	assert_memory_equal(buf, "5\r\nhello\r\n0\r\n\r\n", 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_accepted), cmocka_unit_test(request_table), cmocka_unit_test(limits),
		cmocka_unit_test(response_framing), cmocka_unit_test(chunked_bodies), cmocka_unit_test(encoders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
