/* SPDX-License-Identifier: Apache-2.0 */
/* test-dns-conn: the guest asks by TCP (NET-05, NET-08, NET-10). Run by meson; skipped where no network namespace can be made. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/sock.h"
#include "base/test.h"
#include "devices/net/fake-dns.h"

static struct fake_dns f;
static struct fake_query q;
static uint8_t msg[2 + DNS_MESSAGE_MAX];

static int set_up(void **state)
{
	fake_dns_start(&f);
	return 0;
}

static int tear_down(void **state)
{
	fake_dns_end(&f);
	return 0;
}

/* The guest's end of a connection, blocking. */
static int open_conn(void)
{
	int fds[2];

	assert_int_equal(sock_pair(SOCK_STREAM, fds), 0);
	assert_int_equal(dns_accept_consume(f.dns, fds[1]), 0);
	return fds[0];
}

static size_t make(uint8_t *dst, const char *name, uint16_t type, uint16_t id)
{
	size_t len = fake_dns_make(dst + 2, name, type, id, 0);

	be16_store(dst, (uint16_t)len);
	return len + 2;
}

static void turns(int n)
{
	for (int i = 0; i < n; i++)
		fake_dns_turn(&f, 2);
}

/* One message of FD into msg. Return: length; 0: end of stream. */
static size_t take(int fd)
{
	size_t got = 0, want = 2;

	while (got < want) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		ssize_t n;

		for (int i = 0; i < 200 && poll(&poll_fd, 1, 5) == 0; i++)
			turns(1);
		n = recv(fd, msg + got, want - got, MSG_DONTWAIT);
		assert_true(n >= 0);
		if (!n)
			return 0;
		got += (size_t)n;
		if (got == 2)
			want += be16_load(msg);
	}
	return got - 2;
}

static void test_pipelined(void **state)
{
	int guest = open_conn();
	size_t len = 0;

	for (uint16_t id = 0; id < 100; id++)
		len += make(msg + len, id & 1 ? "host.docker.internal" : "x.docker.internal", DNS_A, id);
	/* in odd pieces */
	for (size_t at = 0; at < len; at += 37) {
		size_t n = len - at < 37 ? len - at : 37;

		assert_int_equal(write(guest, msg + at, n), (ssize_t)n);
		turns(1);
	}
	for (uint16_t id = 0; id < 100; id++) {
		assert_true(take(guest));
		assert_int_equal(be16_load(msg + 2), id);
		assert_int_equal(msg[5] & 15, id & 1 ? DNS_NOERROR : DNS_NXDOMAIN);
	}
	close(guest);
	turns(3);
	assert_int_equal(f.dns->conn_table.n_used, 0);
}

/* More than may be under way at a time: reading waits, nothing is lost; the guest has closed its half. */
static void test_many_under_way(void **state)
{
	int guest = open_conn(), server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	unsigned int n_seen = 0;
	bool seen[64] = {0};
	char name[] = "n00.example";
	size_t len = 0;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	for (uint16_t id = 0; id < 64; id++) {
		name[1] = (char)('0' + id / 10);
		name[2] = (char)('0' + id % 10);
		len += make(msg + len, name, DNS_A, id);
	}
	assert_int_equal(write(guest, msg, len), (ssize_t)len);
	shutdown(guest, SHUT_WR);
	turns(5);
	assert_int_equal(f.dns->pending_table.n_used, DNS_CONN_QUERIES_MAX);
	/* the guest reads nothing before everything was answered */
	for (unsigned int i = 0; i < 64; i++) {
		fake_dns_serve(&f, server, DNS_NOERROR, 1);
		turns(3);
	}
	while (n_seen < 64) {
		assert_true(take(guest));
		assert_true(be16_load(msg + 2) < 64 && !seen[be16_load(msg + 2)]);
		seen[be16_load(msg + 2)] = true;
		n_seen++;
	}
	assert_int_equal(take(guest), 0);
	assert_int_equal(f.dns->conn_table.n_used, 0);
	close(guest);
	fd_close(server);
}

/* What breaks the framing ends the connection. */
static void test_bad_framing(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {{"\0\0", 2}, {"\0\1x", 3}, {"\0\x0b" "01234567890", 13}, {"\0\x0c\1\2\x80\0\0\1\0\0\0\0\0\0", 14}};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int guest = open_conn();

		assert_int_equal(write(guest, bad[i].bytes, bad[i].len), (ssize_t)bad[i].len);
		assert_int_equal(take(guest), 0);
		assert_int_equal(f.dns->conn_table.n_used, 0);
		close(guest);
	}
}

/* The longest message there is: 64 KiB of options. */
static void test_longest_query(void **state)
{
	int guest = open_conn();
	size_t len = fake_dns_make(msg + 2, "host.docker.internal", DNS_A, 7, 1232), sent = 0;

	be16_store(msg, DNS_MESSAGE_MAX);
	be16_store(msg + len, (uint16_t)(DNS_MESSAGE_MAX - len)); /* of the OPT record */
	memset(msg + 2 + len, 0, sizeof(msg) - 2 - len);
	be16_store(msg + 2 + len + 2, (uint16_t)(DNS_MESSAGE_MAX - len - 4)); /* of its only option */
	fd_set_nonblock(guest, true);
	while (sent < sizeof(msg)) {
		ssize_t n = write(guest, msg + sent, sizeof(msg) - sent);

		sent += n > 0 ? (size_t)n : 0;
		turns(1);
	}
	assert_true(take(guest));
	assert_int_equal(msg[5] & 15, DNS_NOERROR);
	assert_int_equal(be16_load(msg + 8), 1);
	close(guest);
}

static void test_idle(void **state)
{
	int guest = open_conn(), server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	size_t len;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	assert_int_equal(write(guest, "\0", 1), 1);
	turns(3);
	assert_true(dns_deadline(f.dns) <= f.now_us + DNS_CONN_IDLE_US);
	fake_dns_advance(&f, DNS_CONN_IDLE_US);
	assert_int_equal(f.dns->conn_table.n_used, 0);
	assert_int_equal(take(guest), 0);
	close(guest);
	assert_true(dns_deadline(f.dns) == UINT64_MAX);
	/* a query under way keeps it, and finds nobody when the guest has gone */
	guest = open_conn();
	len = make(msg, "a.example", DNS_A, 1);
	assert_int_equal(write(guest, msg, len), (ssize_t)len);
	turns(3);
	assert_true(fake_dns_receive(server, &q));
	close(guest);
	turns(3);
	fake_dns_send(server, &q, msg, fake_dns_answer(msg, &q, DNS_NOERROR, 1, 60));
	turns(3);
	assert_int_equal(f.dns->pending_table.n_used, 0);
	assert_int_equal(f.dns->conn_table.n_used, 0);
	fd_close(server);
}

static void test_too_many(void **state)
{
	int guests[DNS_CONNS_MAX], fds[2];
	char c;

	for (int i = 0; i < DNS_CONNS_MAX; i++)
		guests[i] = open_conn();
	assert_int_equal(sock_pair(SOCK_STREAM, fds), 0);
	assert_int_equal(dns_accept_consume(f.dns, fds[1]), -ENFILE);
	assert_int_equal(read(fds[0], &c, 1), 0); /* consumed */
	close(fds[0]);
	close(guests[5]);
	turns(3);
	guests[5] = open_conn();
	for (int i = 0; i < DNS_CONNS_MAX; i++)
		close(guests[i]);
	turns(5);
	assert_int_equal(f.dns->conn_table.n_used, 0);
}

/* Who asks and never reads loses the connection; the memory it can hold is one buffer. */
static void test_never_reads(void **state)
{
	int guest = open_conn();
	size_t len = 0;

	for (uint16_t id = 0; id < 1000; id++)
		len += make(msg + len, "host.docker.internal", DNS_A, id);
	fd_set_nonblock(guest, true);
	for (int i = 0; i < 200; i++) {
		(void)!write(guest, msg, len);
		turns(1);
	}
	assert_true(f.dns->conn[0].out_len > 0 || f.dns->conn_table.n_used == 0);
	fake_dns_advance(&f, 2 * DNS_CONN_IDLE_US);
	assert_int_equal(f.dns->conn_table.n_used, 0);
	close(guest);
}

/* 64 KB answers, which only fit here. */
static void test_long_answer(void **state)
{
	int guest = open_conn(), server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	size_t len = make(msg, "big.example", DNS_A, 9), n = 0;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	assert_int_equal(write(guest, msg, len), (ssize_t)len);
	turns(3);
	assert_true(fake_dns_receive(server, &q));
	n = fake_dns_answer(msg, &q, DNS_NOERROR, DNS_RECORDS_MAX, 60);
	assert_true(n > 16000);
	fake_dns_send(server, &q, msg, n);
	turns(3);
	assert_int_equal(take(guest), n);
	assert_int_equal(be16_load(msg + 8), DNS_RECORDS_MAX);
	assert_false(msg[4] & (DNS_TC >> 8));
	close(guest);
	fd_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pipelined, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_under_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_framing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_longest_query, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_idle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_never_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_answer, set_up, tear_down),
	};

	return fake_dns_namespace() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
