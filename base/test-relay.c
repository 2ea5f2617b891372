/* SPDX-License-Identifier: Apache-2.0 */
/* test-relay: every byte, half-close, back-pressure, the end of a peer; and no descriptor left behind. */
#include <dirent.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/relay.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sock.h"

enum { BULK = 8 << 20 };

static struct loop *loop;
static struct relay_pool *pool;
static struct relay *relay;
static int left, right; /* the two peers' ends */
static int n_ended;

static void on_end(void *data, struct relay *r)
{
	n_ended++;
	relay = relay_free(r);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	int a[2], b[2];

	n_ended = 0;
	if (loop_new(&loop) < 0 || relay_pool_new(&pool) < 0)
		return -1;
	if (sock_pair(SOCK_STREAM | SOCK_NONBLOCK, a) < 0 || sock_pair(SOCK_STREAM | SOCK_NONBLOCK, b) < 0)
		return -1;
	left = a[0];
	right = b[0];
	return relay_start_consume(loop, pool, a[1], b[1], on_end, NULL, &relay);
}

static int teardown(void **state)
{
	relay = relay_free(relay);
	pool = relay_pool_free(pool);
	loop = loop_free(loop);
	left = fd_close(left);
	right = fd_close(right);
	return 0;
}

static void settle(void)
{
	for (int i = 0; i < 1000 && loop_step(loop, 5) > 0; i++)
		;
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 17 + (i >> 16));
}

/* Sends BULK bytes from A and reads them at B in odd pieces; the sender half-closes at its end. */
static void carry(int a, int b)
{
	static uint8_t buf[70001];
	size_t sent = 0, got = 0;

	while (got < BULK) {
		ssize_t n;

		if (sent < BULK) {
			size_t len = BULK - sent < sizeof(buf) ? BULK - sent : sizeof(buf);

			for (size_t i = 0; i < len; i++)
				buf[i] = pattern(sent + i);
			n = send(a, buf, len, MSG_NOSIGNAL);
			if (n > 0)
				sent += (size_t)n;
			if (sent == BULK)
				assert_int_equal(shutdown(a, SHUT_WR), 0);
		}
		(void)loop_step(loop, 0);
		n = recv(b, buf, 33333, 0);
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != pattern(got + (size_t)i))
				fail_msg("byte %zu", got + (size_t)i);
		if (n > 0)
			got += (size_t)n;
	}
	settle();
	assert_int_equal(recv(b, buf, 1, 0), 0);
}

static void bytes_and_half_close(void **state)
{
	carry(left, right);
	assert_int_equal(n_ended, 0);
	/* the other direction still works after the half-close */
	carry(right, left);
	assert_int_equal(n_ended, 1);
}

/* Fills the relay from A while B reads nothing. Return: bytes it took. */
static size_t stuff(int a)
{
	static uint8_t buf[4096];
	size_t total = 0;

	for (int idle = 0; idle < 3;) {
		ssize_t n = send(a, buf, sizeof(buf), MSG_NOSIGNAL);

		if (n > 0) {
			total += (size_t)n;
			idle = 0;
		} else {
			idle++;
		}
		settle();
	}
	return total;
}

static void back_pressure(void **state)
{
	char c = 'x';
	size_t taken = stuff(left), got = 0;
	uint8_t buf[8192];

	assert_true(taken < 4 << 20);
	/* nothing spins while it is stuck */
	assert_int_equal(loop_step(loop, 20), 0);
	/* and the other direction is free */
	assert_int_equal(send(right, &c, 1, 0), 1);
	settle();
	assert_int_equal(recv(left, buf, sizeof(buf), 0), 1);
	for (int i = 0; i < 100000 && got < taken; i++) {
		ssize_t n = recv(right, buf, sizeof(buf), 0);

		if (n > 0)
			got += (size_t)n;
		(void)loop_step(loop, 0);
	}
	assert_int_equal(got, taken);
}

static void peer_gone(void **state)
{
	char c = 'x';

	/* bytes sent before the close still arrive, then the end, and the survivor cannot write any more */
	assert_int_equal(send(left, "last", 4, 0), 4);
	left = fd_close(left);
	settle();
	char buf[8];
	assert_int_equal(recv(right, buf, sizeof(buf), 0), 4);
	assert_memory_equal(buf, "last", 4);
	assert_int_equal(recv(right, buf, sizeof(buf), 0), 0);
	assert_true(send(right, &c, 1, MSG_NOSIGNAL) < 0);
	settle();
	assert_int_equal(n_ended, 1);
}

static void peer_gone_while_stuck(void **state)
{
	size_t taken = stuff(left), got = 0;
	uint8_t buf[8192];

	left = fd_close(left);
	settle();
	assert_int_equal(loop_step(loop, 20), 0);
	for (int i = 0; i < 100000; i++) {
		ssize_t n = recv(right, buf, sizeof(buf), 0);

		if (n == 0)
			break;
		if (n > 0)
			got += (size_t)n;
		(void)loop_step(loop, 0);
	}
	assert_int_equal(got, taken);
	settle();
	assert_int_equal(n_ended, 1);
}

static void reader_gone_while_stuck(void **state)
{
	char c = 'x';

	(void)stuff(left);
	right = fd_close(right);
	settle();
	assert_true(send(left, &c, 1, MSG_NOSIGNAL) < 0);
	assert_int_equal(n_ended, 1);
}

static void silence_costs_nothing(void **state)
{
	assert_int_equal(loop_step(loop, 30), 0);
	assert_int_equal(shutdown(left, SHUT_WR), 0);
	settle();
	assert_int_equal(loop_step(loop, 30), 0);
	assert_int_equal(n_ended, 0);
}

static void no_descriptor_leaks(void **state)
{
	int before = count_fds();

	for (int i = 0; i < 50; i++) {
		assert_int_equal(setup(NULL), 0);
		assert_int_equal(send(left, "a", 1, 0), 1);
		settle();
		if (i & 1)
			left = fd_close(left);
		settle();
		teardown(NULL);
	}
	assert_int_equal(count_fds(), before);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(bytes_and_half_close), T(back_pressure), T(peer_gone), T(peer_gone_while_stuck), T(reader_gone_while_stuck),
		T(silence_costs_nothing), cmocka_unit_test(no_descriptor_leaks),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
