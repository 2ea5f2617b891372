/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-engine-watch: conversations cut at every place: what is learnt, and when; every byte unchanged; hijacked streams and what is
 * not understood are left alone. Then the same through a relay with real sockets.
 */
#include "base/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/engine-watch.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sock.h"

#define PORTS(p) "{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"" p "\"}]}}}"
#define CREATE(len, body) "POST /v1.45/containers/create?name=a HTTP/1.1\r\nHost: d\r\nContent-Length: " len "\r\n\r\n" body
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static char seen[256];
static struct engine_watch_shared shared;
static struct relay_filter *filter;

static void note(void *data, const struct port_name *name)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%u ", name->first);
}

static int setup(void **state)
{
	seen[0] = '\0';
	shared = (struct engine_watch_shared){.named = note, .held = {.name = "held", .max = ENGINE_WATCH_HELD_MAX}};
	return engine_watch_new(&shared, &filter);
}

static int teardown(void **state)
{
	if (filter)
		filter->ops->free(filter);
	filter = NULL;
	return shared.held.used ? -1 : 0;
}

static char out[1 << 16];
static size_t out_len;

/* Takes what may be sent. */
static void pull(void)
{
	const char *p;
	size_t n;

	while ((n = filter->ops->pending(filter, &p)) > 0) {
		/* odd pieces */
		n = n > 7 ? 7 : n;
		assert_true(out_len + n <= sizeof(out));
		memcpy(out + out_len, p, n);
		out_len += n;
		filter->ops->sent(filter, n);
	}
}

/* Feeds TEXT in two parts, cut at CUT; splices what may be. */
static void feed(const char *text, size_t len, size_t cut)
{
	size_t ends[2] = {cut < len ? cut : len, len}, at = 0;

	for (int i = 0; i < 2; i++) {
		while (at < ends[i]) {
			uint64_t most;
			size_t n = ends[i] - at;

			if (filter->ops->is_held(filter))
				filter->ops->answer(filter, OK_ANSWER, strlen(OK_ANSWER));
			pull();
			most = filter->ops->splice(filter);
			if (most) {
				n = most < n ? (size_t)most : n;
				memcpy(out + out_len, text + at, n);
				out_len += n;
				filter->ops->spliced(filter, n);
			} else {
				assert_int_equal(engine_watch_feed(filter, text + at, n), 0);
			}
			at += n;
		}
		pull();
	}
	if (filter->ops->is_held(filter))
		filter->ops->answer(filter, OK_ANSWER, strlen(OK_ANSWER));
	pull();
	filter->ops->end(filter);
	pull();
}

struct talk {
	const char *text, *ports;
};

static void conversations(void **state)
{
	static const struct talk talks[] = {
		{"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" CREATE("64", PORTS("8080")), "8080 "},
		{CREATE("64", PORTS("8080")) CREATE("64", PORTS("8081")), "8080 8081 "},
		{"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "1f\r\n{\"HostConfig\":{\"PortBindings\":{\r\n21\r\n\"80/tcp\":[{\"HostPort\":\"8080\"}]}}}\r\n0\r\n\r\n"
		 "GET /info HTTP/1.1\r\nHost: d\r\n\r\n" CREATE("64", PORTS("8081")), "8080 8081 "},
		{"POST /containers/create HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 64\r\n\r\n" PORTS("8080"),
		 "8080 "},
		{"POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Length: 48\r\n\r\n"
		 "{\"EndpointSpec\":{\"Ports\":[{\"PublishedPort\":8}]}}", "8 "},
		/* a request in the body of another one is no request */
		{"POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 142\r\n\r\n" CREATE("64", PORTS("8080")), ""},
		{"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n8e\r\n" CREATE("64", PORTS("8080"))
		 "\r\n0\r\n\r\n" CREATE("64", PORTS("8081")), "8081 "},
		/* what is not understood is not learnt, and nothing after it */
		{"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 64\r\nContent-Length: 64\r\n\r\n" PORTS("8080"), ""},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" CREATE("64", PORTS("8080")), ""},
		{"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\n{{{{" CREATE("64", PORTS("8081")), "8081 "},
		/* HTTP/1.0 and "close" end the watching with the request */
		{"GET /_ping HTTP/1.0\r\n\r\n" CREATE("64", PORTS("8080")), ""},
		{"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n" CREATE("64", PORTS("8080")), ""},
		/* an upgrade that the engine refuses (answer: 200 with a length) is a request like any other */
		{"POST /containers/a/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
		 CREATE("64", PORTS("8080")), "8080 "},
		/* never complete: never learnt */
		{"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 65\r\n\r\n" PORTS("8080"), ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(talks); i++) {
		size_t len = strlen(talks[i].text);

		for (size_t cut = 0; cut <= len; cut++) {
			out_len = 0;
			assert_int_equal(teardown(NULL), 0);
			setup(NULL);
			feed(talks[i].text, len, cut);
			if (strcmp(seen, talks[i].ports))
				fail_msg("talk %zu cut at %zu: \"%s\"", i, cut, seen);
			assert_int_equal(out_len, len);
			assert_memory_equal(out, talks[i].text, len);
			assert_true(filter->ops->is_over(filter));
		}
	}
}

static void learnt_before_the_last_byte(void **state)
{
	const char *text = CREATE("64", PORTS("8080")), *body = strstr(text, "{");
	const char *p;

	assert_int_equal(engine_watch_feed(filter, text, (size_t)(body - text)), 0);
	/* the head goes at once: the client may wait for "100 Continue" */
	assert_int_equal(filter->ops->pending(filter, &p), body - text);
	filter->ops->sent(filter, (size_t)(body - text));
	assert_int_equal(engine_watch_feed(filter, body, strlen(body) - 1), 0);
	assert_int_equal(filter->ops->pending(filter, &p), 0);
	assert_int_equal(filter->ops->splice(filter), 0);
	assert_string_equal(seen, "");
	assert_int_equal(engine_watch_feed(filter, "}", 1), 0);
	assert_string_equal(seen, "8080 ");
	assert_int_equal(filter->ops->pending(filter, &p), strlen(body));
}

static void bodies_go_by_splice(void **state)
{
	const char *head = "POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1073741824\r\n\r\n";
	const char *chunked = "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\n";

	assert_int_equal(engine_watch_feed(filter, head, strlen(head)), 0);
	assert_int_equal(filter->ops->splice(filter), 0); /* the head first */
	pull();
	assert_int_equal(filter->ops->splice(filter), 1 << 30);
	filter->ops->spliced(filter, 1 << 30);
	assert_int_equal(engine_watch_feed(filter, chunked, strlen(chunked)), 0);
	pull();
	assert_int_equal(filter->ops->splice(filter), 0x8000);
	filter->ops->spliced(filter, 0x8000);
	assert_int_equal(filter->ops->splice(filter), 0);
	assert_int_equal(engine_watch_feed(filter, "\r\n0\r\n\r\n", 7), 0);
	pull();
	assert_int_equal(engine_watch_feed(filter, CREATE("64", PORTS("8080")), strlen(CREATE("64", PORTS("8080")))), 0);
	assert_string_equal(seen, "8080 ");
	pull();
}

static void hijacked(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
		"HTTP/1.1 2", "garbage", "",
	};
	static const char *const requests[] = {
		"POST /v1.45/containers/a/attach?stdin=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
		"POST /exec/1/start HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}",
		"POST /session HTTP/1.1\r\nHost: d\r\n\r\n",
		"POST /%63ontainers/a/attach/x HTTP/1.1\r\nHost: d\r\n\r\n",
	};
	const char *p;

	for (size_t i = 0; i < ARRAY_SIZE(answers) * ARRAY_SIZE(requests); i++) {
		const char *answer = answers[i % ARRAY_SIZE(answers)];

		assert_int_equal(teardown(NULL), 0);
		setup(NULL);
		out_len = 0;
		assert_int_equal(engine_watch_feed(filter, requests[i / ARRAY_SIZE(answers)],
						   strlen(requests[i / ARRAY_SIZE(answers)])), 0);
		/* what a container is to be fed waits for the answer */
		assert_int_equal(engine_watch_feed(filter, CREATE("64", PORTS("8080")), strlen(CREATE("64", PORTS("8080")))), 0);
		pull();
		assert_int_equal(out_len, strlen(requests[i / ARRAY_SIZE(answers)]));
		assert_true(filter->ops->is_held(filter));
		assert_int_equal(filter->ops->splice(filter), 0);
		filter->ops->answer(filter, answer, strlen(answer));
		assert_false(filter->ops->is_held(filter));
		assert_true(filter->ops->pending(filter, &p) > 0);
		pull();
		assert_true(filter->ops->splice(filter) == UINT64_MAX);
		assert_true(filter->ops->is_over(filter));
		assert_string_equal(seen, "");
	}
}

static void too_large_is_not_learnt(void **state)
{
	static char body[ENGINE_WATCH_BODY_MAX + 4096];
	char head[128];
	size_t total = 0;
	const char *p;

	memset(body, ' ', sizeof(body));
	memcpy(body, PORTS("8080"), strlen(PORTS("8080")));
	snprintf(head, sizeof(head), "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: %zu\r\n\r\n", sizeof(body));
	assert_int_equal(engine_watch_feed(filter, head, strlen(head)), 0);
	for (size_t at = 0; at < sizeof(body); at += 4096) {
		size_t n;

		assert_int_equal(engine_watch_feed(filter, body + at, 4096), 0);
		while ((n = filter->ops->pending(filter, &p)) > 0) {
			total += n;
			filter->ops->sent(filter, n);
		}
	}
	assert_int_equal(total, strlen(head) + sizeof(body));
	assert_string_equal(seen, "");
	/* and the next one is */
	assert_int_equal(engine_watch_feed(filter, CREATE("64", PORTS("8081")), strlen(CREATE("64", PORTS("8081")))), 0);
	assert_string_equal(seen, "8081 ");
}

static void all_held_together_are_bounded(void **state)
{
	const char *head = "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 64\r\n\r\n";
	const char *p;

	shared.held.max = 100;
	assert_int_equal(engine_watch_feed(filter, head, strlen(head)), 0);
	assert_int_equal(engine_watch_feed(filter, PORTS("8080"), 64), 0);
	assert_string_equal(seen, "");
	assert_int_equal(filter->ops->pending(filter, &p), strlen(head) + 64);
}

/* Through a relay. */
static int n_ended;
static struct relay *relay;

static void on_end(void *data, struct relay *r)
{
	n_ended++;
	relay = relay_free(r);
}

static size_t read_all(struct loop *loop, int fd, char *dst, size_t size)
{
	size_t got = 0;

	for (int idle = 0; idle < 3;) {
		ssize_t n;

		for (int i = 0; i < 100 && loop_step(loop, 1) > 0; i++)
			;
		n = recv(fd, dst + got, size - got, MSG_DONTWAIT);
		if (n > 0) {
			got += (size_t)n;
			idle = 0;
		} else {
			idle++;
		}
	}
	return got;
}

static void through_a_relay(void **state)
{
	const char *attach = "POST /containers/a/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
	const char *yes = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
	static char got[1 << 20];
	struct relay_pool *pool = NULL;
	struct loop *loop = NULL;
	int a[2], b[2];

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(relay_pool_new(&pool), 0);
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, a), 0);
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, b), 0);
	assert_int_equal(relay_start_filtered_consume(loop, pool, a[1], b[1], take_ptr(filter), on_end, NULL, &relay), 0);

	assert_true(send(a[0], CREATE("64", PORTS("8080")), strlen(CREATE("64", PORTS("8080"))), 0) > 0);
	assert_int_equal(read_all(loop, b[0], got, sizeof(got)), strlen(CREATE("64", PORTS("8080"))));
	assert_string_equal(seen, "8080 ");
	assert_true(send(b[0], OK_ANSWER, strlen(OK_ANSWER), 0) > 0);
	assert_int_equal(read_all(loop, a[0], got, sizeof(got)), strlen(OK_ANSWER));

	/* held while the engine has not answered, and nothing spins */
	assert_true(send(a[0], attach, strlen(attach), 0) > 0);
	assert_int_equal(read_all(loop, b[0], got, sizeof(got)), strlen(attach));
	assert_true(send(a[0], CREATE("64", PORTS("8081")), 142, 0) > 0);
	assert_int_equal(loop_step(loop, 20), 0);
	assert_true(send(b[0], yes, strlen(yes), 0) > 0);
	assert_int_equal(read_all(loop, a[0], got, sizeof(got)), strlen(yes));
	assert_int_equal(read_all(loop, b[0], got, sizeof(got)), 142);
	assert_string_equal(seen, "8080 ");
	fd_close(a[0]);
	(void)read_all(loop, b[0], got, sizeof(got));
	fd_close(b[0]);
	(void)read_all(loop, b[0], got, sizeof(got));
	assert_int_equal(n_ended, 1);
	relay_pool_free(pool);
	loop_free(loop);
}

/* The answer is there before anybody looks for it: it is seen all the same. */
static void answered_at_once(void **state)
{
	const char *attach = "POST /containers/a/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nrest";
	const char *yes = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
	static char got[4096];
	struct relay_pool *pool = NULL;
	struct loop *loop = NULL;
	int a[2], b[2];

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(relay_pool_new(&pool), 0);
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, a), 0);
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, b), 0);
	assert_int_equal(relay_start_filtered_consume(loop, pool, a[1], b[1], take_ptr(filter), on_end, NULL, &relay), 0);
	assert_true(send(a[0], attach, strlen(attach), 0) > 0);
	assert_true(send(b[0], yes, strlen(yes), 0) > 0);
	assert_int_equal(read_all(loop, b[0], got, sizeof(got)), strlen(attach));
	assert_int_equal(read_all(loop, a[0], got, sizeof(got)), strlen(yes));
	relay = relay_free(relay);
	fd_close(a[0]);
	fd_close(b[0]);
	relay_pool_free(pool);
	loop_free(loop);
}

/* A client that leaves while it is held, and an engine that does. */
static void gone_while_held(void **state)
{
	const char *attach = "POST /containers/a/attach HTTP/1.1\r\nHost: d\r\n\r\nrest";
	static char got[4096];

	for (int engine = 0; engine < 2; engine++) {
		struct relay_pool *pool = NULL;
		struct loop *loop = NULL;
		int a[2], b[2];

		if (!filter)
			setup(NULL);
		n_ended = 0;
		assert_int_equal(loop_new(&loop), 0);
		assert_int_equal(relay_pool_new(&pool), 0);
		assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, a), 0);
		assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, b), 0);
		assert_int_equal(relay_start_filtered_consume(loop, pool, a[1], b[1], take_ptr(filter), on_end, NULL, &relay), 0);
		assert_true(send(a[0], attach, strlen(attach), 0) > 0);
		assert_int_equal(read_all(loop, b[0], got, sizeof(got)), strlen(attach) - 4);
		fd_close(engine ? b[0] : a[0]);
		if (!engine)
			assert_int_equal(read_all(loop, b[0], got, sizeof(got)), 4);
		else
			(void)read_all(loop, a[0], got, sizeof(got));
		assert_int_equal(loop_step(loop, 20), 0);
		fd_close(engine ? a[0] : b[0]);
		for (int i = 0; i < 50; i++)
			(void)loop_step(loop, 1);
		assert_int_equal(n_ended, 1);
		relay_pool_free(pool);
		loop_free(loop);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(conversations), T(learnt_before_the_last_byte), T(bodies_go_by_splice), T(hijacked), T(too_large_is_not_learnt),
		T(all_held_together_are_bounded), T(through_a_relay), T(answered_at_once), T(gone_while_held),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
