/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-relay: the relay between real sockets (loopback TCP, Unix pairs), one thread, no VM.
 *
 * Every test drives the loop itself; `outer` ends are the test's, `inner` ends belong to the relay.
 */
#include "base/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "guest/agent/relay.h"

enum { MIB = 1 << 20, BULK = 5 * MIB + 12345, MANY = 2000, STEPS_MAX = 200000, LINGER_US = 200000 };
enum kind { UNIX, TCP };

struct fixture {
	struct loop *loop;
	struct relay_set *set;
};

static void tcp_pair(int fds[static 2])
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&sin, sizeof(sin)), 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	close(listener);
}

static void pair(enum kind kind, int fds[static 2])
{
	if (kind == TCP)
		tcp_pair(fds);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fd_set_nonblock(fds[0], true);
}

static int setup(void **state)
{
	struct rlimit limit;
	struct fixture *f = calloc(1, sizeof(*f));

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(relay_set_new(f->loop, RELAY_MAX, LINGER_US, &f->set), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	relay_set_free(f->set);
	loop_free(f->loop);
	free(f);
	return 0;
}

/* Runs what is ready now. */
static void settle(struct fixture *f)
{
	for (int quiet = 0; quiet < 3;) {
		int r = loop_step(f->loop, relay_set_pending(f->set) ? 0 : 1);

		assert_true(r >= 0);
		quiet = r == 0 && !relay_set_pending(f->set) ? quiet + 1 : 0;
		relay_set_run(f->set);
	}
}

static struct relay_stats stats(struct fixture *f)
{
	struct relay_stats s;

	relay_set_stats(f->set, &s);
	return s;
}

/* The bytes of stream STREAM at OFF: unlike under any shift that occurs here. */
static void pattern(uint8_t *dst, size_t len, uint64_t off, unsigned int stream)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = (uint8_t)(((off + i) * 2654435761u >> 13) + stream * 101);
}

/* One direction of a transfer between two outer ends. */
struct transfer {
	int from, to;
	uint64_t sent, got, total;
	unsigned int stream;
};

static void transfer_step(struct transfer *t)
{
	static uint8_t buf[65536], want[65536];
	ssize_t n;

	if (t->sent < t->total) {
		size_t len = t->total - t->sent < sizeof(buf) ? (size_t)(t->total - t->sent) : sizeof(buf);

		pattern(buf, len, t->sent, t->stream);
		n = send(t->from, buf, len, MSG_NOSIGNAL);
		assert_true(n > 0 || errno == EAGAIN);
		if (n > 0)
			t->sent += (uint64_t)n;
		if (t->sent == t->total)
			shutdown(t->from, SHUT_WR);
	}
	n = recv(t->to, buf, sizeof(buf), 0);
	if (n > 0) {
		pattern(want, (size_t)n, t->got, t->stream);
		assert_memory_equal(buf, want, (size_t)n);
		t->got += (uint64_t)n;
	} else {
		assert_true(n < 0 ? errno == EAGAIN : t->got == t->total);
	}
}

static void check_both_ways(struct fixture *f, enum kind a_kind, enum kind b_kind)
{
	int a[2], b[2];
	struct transfer up, down;

	pair(a_kind, a);
	pair(b_kind, b);
	assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
	up = (struct transfer){.from = a[0], .to = b[0], .total = BULK, .stream = 1};
	down = (struct transfer){.from = b[0], .to = a[0], .total = BULK - MIB, .stream = 2};
	for (int i = 0; i < STEPS_MAX && (up.got < up.total || down.got < down.total); i++) {
		transfer_step(&up);
		transfer_step(&down);
		assert_true(loop_step(f->loop, 0) >= 0);
		relay_set_run(f->set);
	}
	assert_int_equal(up.got, up.total);
	assert_int_equal(down.got, down.total);
	settle(f);
	assert_int_equal(stats(f).now, 0);
	assert_int_equal(stats(f).resets, 0);
	assert_int_equal(stats(f).bytes, up.total + down.total);
	assert_int_equal(recv(a[0], (uint8_t[1]){0}, 1, 0), 0);
	assert_int_equal(recv(b[0], (uint8_t[1]){0}, 1, 0), 0);
	close(a[0]);
	close(b[0]);
}

static void test_bytes_tcp_unix(void **state)
{
	check_both_ways(*state, TCP, UNIX);
}

static void test_bytes_tcp_tcp(void **state)
{
	check_both_ways(*state, TCP, TCP);
}

static void test_bytes_unix_unix(void **state)
{
	check_both_ways(*state, UNIX, UNIX);
}

static void expect(int fd, const char *text)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void expect_nothing(int fd)
{
	assert_int_equal(recv(fd, (uint8_t[1]){0}, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void expect_end(int fd)
{
	assert_int_equal(recv(fd, (uint8_t[1]){0}, 1, 0), 0);
}

static void expect_reset(int fd)
{
	assert_int_equal(recv(fd, (uint8_t[1]){0}, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The request ends, the answer still flows: what `docker load` and every hijacked stream need. */
static void test_half_close(void **state)
{
	struct fixture *f = *state;
	int a[2], b[2];

	for (int turn = 0; turn < 2; turn++) {
		pair(turn ? UNIX : TCP, a);
		pair(turn ? TCP : UNIX, b);
		assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
		say(a[0], "request");
		settle(f);
		expect(b[0], "request");
		expect_nothing(b[0]);
		shutdown(a[0], SHUT_WR);
		settle(f);
		expect_end(b[0]);
		for (int i = 0; i < 3; i++) {
			expect_nothing(a[0]);
			say(b[0], "answer");
			settle(f);
			expect(a[0], "answer");
		}
		assert_int_equal(stats(f).now, 1);
		shutdown(b[0], SHUT_WR);
		settle(f);
		expect_end(a[0]);
		assert_int_equal(stats(f).now, 0);
		assert_int_equal(stats(f).resets, 0);
		close(a[0]);
		close(b[0]);
	}
}

static void reset_close(int fd)
{
	struct linger hard = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

static void test_reset_tcp_to_tcp(void **state)
{
	struct fixture *f = *state;
	int a[2], b[2];

	pair(TCP, a);
	pair(TCP, b);
	assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
	settle(f);
	reset_close(a[0]);
	settle(f);
	expect_reset(b[0]);
	assert_int_equal(stats(f).now, 0);
	assert_int_equal(stats(f).resets, 1);
	close(b[0]);
}

static void test_reset_tcp_to_unix(void **state)
{
	struct fixture *f = *state;
	int a[2], b[2];

	pair(TCP, a);
	pair(UNIX, b);
	assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
	settle(f);
	reset_close(a[0]);
	settle(f);
	expect_end(b[0]);
	assert_int_equal(send(b[0], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(stats(f).now, 0);
	close(b[0]);
}

/* A Unix peer that closes with our bytes unread resets; what it said before arrives first. */
static void test_reset_unix_to_tcp(void **state)
{
	struct fixture *f = *state;
	int a[2], b[2];

	pair(TCP, a);
	pair(UNIX, b);
	assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
	say(a[0], "a long request");
	settle(f);
	say(b[0], "400 no");
	close(b[0]);
	settle(f);
	expect(a[0], "400 no");
	for (int i = 0; i < 200 && stats(f).now; i++)
		settle(f);
	expect_reset(a[0]);
	assert_int_equal(stats(f).resets, 1);
	close(a[0]);
}

/* An orderly close of the Unix peer is an end, not a reset, until somebody writes to it. */
static void test_vanished_unix(void **state)
{
	struct fixture *f = *state;
	int a[2], b[2];

	pair(TCP, a);
	pair(UNIX, b);
	assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
	say(b[0], "bye");
	close(b[0]);
	settle(f);
	expect(a[0], "bye");
	expect_end(a[0]);
	assert_int_equal(stats(f).now, 1);
	say(a[0], "anybody there?");
	for (int i = 0; i < 200 && stats(f).now; i++)
		settle(f);
	/* Behind the end of input a reset shows only to the writer. */
	assert_int_equal(send(a[0], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(stats(f).now, 0);
	assert_int_equal(stats(f).resets, 1);
	close(a[0]);
}

/* The sender stalls, the relay holds no more than a pipe, another relay goes on, then all arrives. */
static void test_back_pressure(void **state)
{
	struct fixture *f = *state;
	int a[2], b[2], c[2], size = 65536;
	struct transfer t;
	uint64_t stalled_at;

	pair(UNIX, a);
	pair(UNIX, b);
	pair(TCP, c);
	setsockopt(b[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
	assert_int_equal(relay_echo_consume(f->set, c[1]), 0);
	t = (struct transfer){.from = a[0], .to = b[0], .total = BULK, .stream = 3};
	for (int i = 0; i < 1000; i++) {
		static uint8_t buf[65536];
		ssize_t n;

		pattern(buf, sizeof(buf), t.sent, t.stream);
		n = send(t.from, buf, sizeof(buf), MSG_NOSIGNAL);
		if (n > 0)
			t.sent += (uint64_t)n;
		assert_true(t.sent < MIB); /* else it would be buffered without bound */
		if (n < 0)
			break;
		settle(f);
	}
	settle(f);
	stalled_at = t.sent;
	assert_true(stats(f).bytes < stalled_at);
	assert_false(relay_set_pending(f->set)); /* no spinning on the stalled relay */
	say(c[0], "still here");
	settle(f);
	expect(c[0], "still here");
	for (int i = 0; i < STEPS_MAX && t.got < t.total; i++) {
		transfer_step(&t);
		assert_true(loop_step(f->loop, 0) >= 0);
		relay_set_run(f->set);
	}
	assert_int_equal(t.got, t.total);
	close(a[0]);
	close(b[0]);
	close(c[0]);
	settle(f);
	assert_int_equal(stats(f).now, 0);
}

/* A reset while its bytes wait for a stalled reader ends the relay within the linger time. */
static void test_reset_while_stalled(void **state)
{
	struct fixture *f = *state;
	static uint8_t buf[65536];
	uint64_t start;
	int a[2], b[2];

	pair(TCP, a);
	pair(TCP, b);
	assert_int_equal(relay_join_consume(f->set, a[1], b[1]), 0);
	for (int quiet = 0; quiet < 3;) {
		quiet = send(a[0], buf, sizeof(buf), MSG_NOSIGNAL) < 0 ? quiet + 1 : 0;
		settle(f);
	}
	reset_close(a[0]);
	settle(f);
	assert_int_equal(stats(f).now, 1);
	start = loop_now_us();
	while (stats(f).now && loop_now_us() - start < 4 * LINGER_US) {
		assert_true(loop_step(f->loop, 20) >= 0);
		relay_set_run(f->set);
	}
	assert_int_equal(stats(f).now, 0);
	assert_true(loop_now_us() - start < LINGER_US + 200000);
	close(b[0]);
}

static void test_echo(void **state)
{
	struct fixture *f = *state;
	struct transfer t;
	int a[2];

	pair(TCP, a);
	assert_int_equal(relay_echo_consume(f->set, a[1]), 0);
	t = (struct transfer){.from = a[0], .to = a[0], .total = BULK, .stream = 4};
	for (int i = 0; i < STEPS_MAX && t.got < t.total; i++) {
		transfer_step(&t);
		assert_true(loop_step(f->loop, 0) >= 0);
		relay_set_run(f->set);
	}
	assert_int_equal(t.got, t.total);
	settle(f);
	expect_end(a[0]);
	assert_int_equal(stats(f).now, 0);
	close(a[0]);
}

static void test_many(void **state)
{
	static int a[MANY][2], b[MANY][2];
	struct fixture *f = *state;

	for (int i = 0; i < MANY; i++) {
		pair(UNIX, a[i]);
		pair(UNIX, b[i]);
		assert_int_equal(relay_join_consume(f->set, a[i][1], b[i][1]), 0);
	}
	assert_int_equal(stats(f).now, MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(send(a[i][0], &i, sizeof(i), MSG_NOSIGNAL), sizeof(i));
	settle(f);
	for (int i = 0; i < MANY; i++) {
		int got = -1;

		assert_int_equal(recv(b[i][0], &got, sizeof(got), 0), sizeof(got));
		assert_int_equal(got, i);
		close(i % 2 ? a[i][0] : b[i][0]);
	}
	settle(f);
	for (int i = 0; i < MANY; i++)
		close(i % 2 ? b[i][0] : a[i][0]);
	settle(f);
	assert_int_equal(stats(f).now, 0);
	assert_int_equal(stats(f).total, MANY);
}

static void test_full(void **state)
{
	struct fixture *f = *state;
	struct relay_set *small = NULL;
	int a[3][2];
	struct relay_stats s;

	assert_int_equal(relay_set_new(f->loop, 2, LINGER_US, &small), 0);
	for (int i = 0; i < 3; i++) {
		pair(TCP, a[i]);
		assert_int_equal(relay_set_full(small), i == 2);
		assert_int_equal(relay_echo_consume(small, a[i][1]), i == 2 ? RELAY_E_FULL : 0);
	}
	expect_reset(a[2][0]);
	relay_set_stats(small, &s);
	assert_int_equal(s.now, 2);
	assert_int_equal(s.refused, 1);
	/* The end of the table resets those that live. */
	relay_set_free(small);
	expect_reset(a[0][0]);
	for (int i = 0; i < 3; i++)
		close(a[i][0]);
}

static void test_bad_arguments(void **state)
{
	struct fixture *f = *state;
	struct relay_set *set = NULL;
	int a[2];

	assert_int_equal(relay_set_new(f->loop, 0, LINGER_US, &set), -EINVAL);
	assert_int_equal(relay_set_new(f->loop, RELAY_MAX + 1, LINGER_US, &set), -EINVAL);
	pair(TCP, a);
	assert_int_equal(relay_join_consume(f->set, a[1], -EBADF), -EBADF);
	expect_reset(a[0]);
	close(a[0]);
	/* Not a socket at all. */
	assert_int_equal(pipe(a), 0);
	assert_int_equal(relay_echo_consume(f->set, a[0]), -ENOTSOCK);
	assert_int_equal(stats(f).now, 0);
	close(a[1]);
}

#define RELAY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(test_bytes_tcp_unix),  RELAY_TEST(test_bytes_tcp_tcp),
		RELAY_TEST(test_bytes_unix_unix), RELAY_TEST(test_half_close),
		RELAY_TEST(test_reset_tcp_to_tcp), RELAY_TEST(test_reset_tcp_to_unix),
		RELAY_TEST(test_reset_unix_to_tcp), RELAY_TEST(test_vanished_unix),
		RELAY_TEST(test_back_pressure),	  RELAY_TEST(test_reset_while_stalled),
		RELAY_TEST(test_echo),		  RELAY_TEST(test_many),
		RELAY_TEST(test_full),		  RELAY_TEST(test_bad_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
