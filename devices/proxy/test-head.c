/* SPDX-License-Identifier: Apache-2.0 */
/* test-head: what is sent on is framed by us, and holds nothing that was for this hop, nor a secret that was not for that one. */
#include "devices/proxy/head.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

static char text[8192];
static struct http_head head;
static struct target target;
static struct route route;

static const char *send_on(const char *request)
{
	struct bytes_writer w = bytes_writer(text, sizeof(text) - 1);
	struct http_head again;
	const char *why = "";

	if (http_request_decode(&head, request, strlen(request), &why) <= 0 || target_parse(&target, &head, &why) < 0)
		fail_msg("%s", why);
	head_request(&w, &head, &target, &route);
	assert_true(w.ok);
	text[w.off] = '\0';
	if (http_request_decode(&again, text, w.off, &why) != (ssize_t)w.off)
		fail_msg("does not decode: %s: %s", why, text);
	assert_int_equal(again.framing, head.framing);
	return text;
}

static void test_request(void **state)
{
	route = (struct route){.kind = ROUTE_DIRECT};
	assert_string_equal(send_on("GET http://A.test/x?y HTTP/1.1\r\nHost: other\r\nConnection: close, "
			"X-One\r\nX-One: 1\r\nX-Two: 2\r\n"
				    "Proxy-Authorization: Basic abc\r\nTE: x\r\nExpect: 100-continue\r\n\r\n"),
			    "GET /x?y HTTP/1.1\r\nHost: a.test\r\nX-Two: 2\r\nVia: 1.1 caisson\r\nExpect: "
					"100-continue\r\nConnection: close\r\n\r\n");
	assert_string_equal(send_on("POST http://[::5]:81?q HTTP/1.0\r\nContent-Length: 12\r\n\r\n"),
			    "POST /?q HTTP/1.1\r\nHost: [::5]:81\r\nVia: 1.0 caisson\r\nContent-Length: 12\r\n"
					"Connection: close\r\n\r\n");
	assert_string_equal(send_on("OPTIONS http://a.test HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n"),
			    "OPTIONS * HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 caisson\r\nTransfer-Encoding: "
					"chunked\r\nConnection: close\r\n\r\n");
	assert_string_equal(send_on("GET http://a.test/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
			    "GET / HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 caisson\r\nConnection: Upgrade\r\n"
					"Upgrade: websocket\r\n\r\n");
	/* A field named by Connection is gone even when it is one that we write. */
	assert_non_null(strstr(send_on("POST http://a.test/ HTTP/1.1\r\nHost: x\r\nConnection: Content-Length, "
			"Host\r\nContent-Length: 1\r\n\r\n"),
			       "Host: a.test\r\n"));
}

static void test_upstream(void **state)
{
	struct bytes_writer w = bytes_writer(text, sizeof(text) - 1);

	route = (struct route){.kind = ROUTE_UPSTREAM,
			       .upstream = {PROXYCTL_HTTP, 3128, "proxy.corp", "manual", "Aladdin", "open sesame"}};
	assert_string_equal(send_on("GET http://a.test:80/x HTTP/1.1\r\nHost: x\r\nProxy-Authorization: mine\r\n\r\n"),
			    "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 caisson\r\n"
			    "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(send_on("OPTIONS http://a.test HTTP/1.1\r\nHost: x\r\n\r\n"), "OPTIONS http://a.test HTTP/1.1\r\n"));
	target = (struct target){.host = "2001:db8::1", .port = 443};
	head_connect(&w, &target, &route);
	text[w.off] = '\0';
	assert_string_equal(text, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
				  "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
	/* SOCKS: the server is spoken to as it would be directly, and the password is not its business. */
	route.upstream.kind = PROXYCTL_SOCKS5;
	assert_null(strstr(send_on("GET http://a.test/x HTTP/1.1\r\nHost: x\r\n\r\n"), "Proxy-"));
	assert_non_null(strstr(text, "GET /x HTTP/1.1\r\n"));
}

static const char *answer(const char *response, bool to_head, enum http_framing framing, bool keep_alive, unsigned int minor)
{
	struct bytes_writer w = bytes_writer(text, sizeof(text) - 1);
	const char *why = "";

	if (http_response_decode(&head, response, strlen(response), to_head, &why) <= 0)
		fail_msg("%s", why);
	head_response(&w, &head, framing, keep_alive, minor);
	assert_true(w.ok);
	text[w.off] = '\0';
	return text;
}

static void test_response(void **state)
{
	assert_string_equal(answer("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nProxy-Authenticate: x\r\nA: b\r\n"
			"\r\n", false, HTTP_BODY_LENGTH, true, 1),
			    "HTTP/1.1 200 Fine\r\nA: b\r\nVia: 1.1 caisson\r\nContent-Length: 5\r\n\r\n");
	assert_string_equal(answer("HTTP/1.0 200 \r\n\r\n", false, HTTP_BODY_CHUNKED, true, 1),
			    "HTTP/1.1 200 \r\nVia: 1.0 caisson\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_string_equal(answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, HTTP_BODY_NONE, true, 0),
			    "HTTP/1.1 200 OK\r\nVia: 1.1 caisson\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
	assert_string_equal(answer("HTTP/1.1 204 No Content\r\n\r\n", false, HTTP_BODY_NONE, false, 1),
			    "HTTP/1.1 204 No Content\r\nVia: 1.1 caisson\r\nConnection: close\r\n\r\n");
}

static void test_page(void **state)
{
	struct bytes_writer w = bytes_writer(text, sizeof(text) - 1);
	char room[1024], reason[600];
	const char *why = "";

	memset(reason, 'r', sizeof(reason) - 1);
	memcpy(reason, "a\r\nX: y\x1b", 9);
	reason[8] = 'z';
	reason[sizeof(reason) - 1] = '\0';
	head_page(&w, 502, reason, "", false);
	assert_true(w.ok);
	if (http_response_decode(&head, text, w.off, false, &why) <= 0)
		fail_msg("%s", why);
	assert_null(http_field_find(&head, "x"));
	assert_true(head.reason.len < 256);
	w = bytes_writer(room, sizeof(room) - 1);
	head_page(&w, 400, "no", "details", true);
	room[w.off] = '\0';
	assert_null(strstr(room, "details"));
}

static void test_basic(void **state)
{
	static const struct {
		const char *user, *password, *text;
	} all[] = {{"a", "", "Basic YTo="}, {"a", "b", "Basic YTpi"}, {"a", "bc", "Basic YTpiYw=="}};
	char dst[HEAD_BASIC_MAX], user[256], password[256];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		head_basic(all[i].user, all[i].password, dst);
		assert_string_equal(dst, all[i].text);
	}
	memset(user, '\xff', 255);
	memset(password, '\xff', 255);
	user[255] = password[255] = '\0';
	head_basic(user, password, dst);
	assert_int_equal(strlen(dst), 6 + 684);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request), cmocka_unit_test(test_upstream), cmocka_unit_test(test_response),
		cmocka_unit_test(test_page),	cmocka_unit_test(test_basic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
