/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-dns-upstream: which server is asked, which answers count, and what happens when none comes (NET-03, NET-10). Run by
 * meson; skipped where no network namespace can be made.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/test.h"
#include "devices/net/fake-dns.h"

enum { STUDY = 10000 };

static struct fake_dns f;
static struct fake_query q;
static uint8_t msg[DNS_MESSAGE_MAX];

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

static void turn_until_quiet(void)
{
	for (int i = 0; i < 20; i++)
		fake_dns_turn(&f, 2);
}

static void test_answer_and_cache(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	fake_dns_ask(&f, "www.example.com", DNS_A);
	fake_dns_serve(&f, server, DNS_NOERROR, 2);
	assert_int_equal(f.n_answers, 1);
	assert_int_equal(be16_load(f.answer), FAKE_ID);
	assert_int_equal(fake_dns_count(&f, 0), 2);
	assert_true(fake_dns_has(&f, "\xc0\0\2\1", 4));
	/* from the cache, in another spelling, the time counted down */
	fake_dns_advance(&f, 25000000);
	fake_dns_ask(&f, "WWW.example.com", DNS_A);
	assert_int_equal(f.n_answers, 2);
	assert_true(fake_dns_has(&f, "\3WWW", 4));
	assert_int_equal(be32_load(f.answer + DNS_HEADER_LEN + 21 + 6), 35);
	assert_true(fake_dns_silent(server));
	fake_dns_advance(&f, 35000000);
	fake_dns_ask(&f, "www.example.com", DNS_A);
	assert_true(fake_dns_receive(server, &q));
	assert_int_equal(q.decoded.flags, DNS_RD);
	assert_false(q.decoded.edns);
	fd_close(server);
}

/* What is kept serves who asks in the same way, and only as long as the servers are the same ones. */
static void test_what_is_kept_for_whom(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	uint8_t ask[DNS_QUERY_MAX];

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	for (int i = 0; i < 3; i++) {
		size_t len = fake_dns_make(ask, "a.example", DNS_A, FAKE_ID, 1232);

		if (i == 1)
			ask[len - 4] |= 0x80; /* DNSSEC OK */
		if (i == 2)
			ask[3] |= DNS_CD;
		dns_query(f.dns, &f.key, ask, len);
		fake_dns_serve(&f, server, DNS_NOERROR, 1);
		assert_int_equal(f.n_answers, 2 * i + 1);
		dns_query(f.dns, &f.key, ask, len);
		assert_int_equal(f.n_answers, 2 * i + 2);
	}
	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	fake_dns_ask(&f, "a.example", DNS_A);
	assert_int_equal(f.n_answers, 6);
	fake_dns_serve(&f, server, DNS_NOERROR, 1);
	assert_int_equal(f.n_answers, 7);
	fd_close(server);
}

/* NET-10: wrong id, question, case, kind, cuts: dropped and counted; the right one still counts after them. */
static void test_answers_that_do_not_count(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM), other = fake_dns_bind("127.0.0.54", 53, SOCK_DGRAM);
	static const struct {
		size_t at;
		uint8_t flip;
	} wrong[] = {{0, 1}, {1, 1}, {2, 0x80}, {2, 0x08}, {5, 1}, {5, 3}, {13, 0x20}, {13, 1}, {30, 1}, {32, 2}};
	size_t len;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	fake_dns_ask(&f, "wWw.example.com", DNS_A);
	assert_true(fake_dns_receive(server, &q));
	assert_memory_equal(q.decoded.name.wire, "\3wWw", 4);
	len = fake_dns_answer(msg, &q, DNS_NOERROR, 1, 60);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		msg[wrong[i].at] ^= wrong[i].flip;
		fake_dns_send(server, &q, msg, len);
		msg[wrong[i].at] ^= wrong[i].flip;
	}
	for (size_t n = 0; n < len; n++)
		fake_dns_send(server, &q, msg, n);
	msg[7] = 200; /* more records than there are */
	fake_dns_send(server, &q, msg, len);
	msg[7] = 1;
	turn_until_quiet();
	assert_int_equal(f.n_answers, 0);
	assert_int_equal(f.dns->stats.refused_answers, ARRAY_SIZE(wrong) + len + 1);
	/* off the path: right in everything, but from another address */
	msg[DNS_HEADER_LEN + 21 + 15] = 66;
	fake_dns_send(other, &q, msg, len);
	turn_until_quiet();
	assert_int_equal(f.n_answers, 0);
	msg[DNS_HEADER_LEN + 21 + 15] = 1;
	fake_dns_send(server, &q, msg, len);
	fake_dns_turn(&f, FAKE_WAIT_MS);
	assert_int_equal(f.n_answers, 1);
	assert_true(fake_dns_has(&f, "\xc0\0\2\1", 4));
	/* and once more is once too often */
	fake_dns_send(server, &q, msg, len);
	turn_until_quiet();
	assert_int_equal(f.n_answers, 1);
	fd_close(server);
	fd_close(other);
}

/* NET-10: loops, pointers past the end, 10,000 records. */
static void test_malformed_answers(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	uint64_t refused;
	size_t len;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	fake_dns_ask(&f, "www.example.com", DNS_A);
	assert_true(fake_dns_receive(server, &q));
	for (int i = 0; i < 4; i++) {
		static const uint8_t pointers[][2] = {{0xc0, 33}, {0xff, 0xff}, {0xc0, 40}, {0xc0, 2}};

		len = fake_dns_answer(msg, &q, DNS_NOERROR, 1, 60);
		memcpy(msg + DNS_HEADER_LEN + 21, pointers[i], 2);
		fake_dns_send(server, &q, msg, len);
	}
	len = fake_dns_answer(msg, &q, DNS_NOERROR, 4000, 60);
	be16_store(msg + 6, 10000);
	fake_dns_send(server, &q, msg, len);
	refused = f.dns->stats.refused_answers;
	turn_until_quiet();
	assert_int_equal(f.dns->stats.refused_answers, refused + 5);
	assert_int_equal(f.n_answers, 0);
	fake_dns_advance(&f, DNS_TRY_US);
	fake_dns_serve(&f, server, DNS_NOERROR, 1);
	assert_int_equal(fake_dns_count(&f, 0), 1);
	fd_close(server);
}

/* A name of a split domain never reaches the default servers, and the reverse (NET-10). */
static void test_split_domains(void **state)
{
	struct netctl_resolvers resolvers = {
		.n_servers = 1,
		.servers = {{fake_dns_addr("10.1.1.1"), 53}},
		.n_domains = 3,
		.domains = {{.name = "corp.example", .n_servers = 1, .servers = {{fake_dns_addr("10.1.1.2"), 53}}},
			    {.name = "lab.corp.example", .n_servers = 1, .servers = {{fake_dns_addr("10.1.1.3"), 5353}}},
			    {.name = "nobody.example", .n_servers = 0}},
	};
	int fds[] = {fake_dns_bind("10.1.1.1", 53, SOCK_DGRAM), fake_dns_bind("10.1.1.2", 53, SOCK_DGRAM),
		     fake_dns_bind("10.1.1.3", 5353, SOCK_DGRAM)};
	static const struct {
		const char *name;
		int server;
	} cases[] = {{"www.example.com", 0}, {"corp.example", 1},	{"a.b.CORP.example", 1}, {"lab.corp.example", 2},
		     {"x.Lab.corp.example", 2}, {"xcorp.example", 0}, {"corp.example.com", 0}, {"xlab.corp.example", 1}};

	dns_set_resolvers(f.dns, &resolvers);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_dns_ask(&f, cases[i].name, DNS_A);
		fake_dns_serve(&f, fds[cases[i].server], DNS_NOERROR, 1);
		assert_int_equal(fake_dns_rcode(&f), DNS_NOERROR);
		for (int s = 0; s < 3; s++)
			assert_true(fake_dns_silent(fds[s]));
	}
	fake_dns_ask(&f, "a.nobody.example", DNS_A);
	assert_int_equal(fake_dns_rcode(&f), DNS_SERVFAIL);
	/* its server fails: nobody else is asked */
	fake_dns_ask(&f, "down.corp.example", DNS_A);
	for (int i = 0; i < DNS_TRIES_MAX; i++) {
		assert_true(fake_dns_receive(fds[1], &q));
		fake_dns_advance(&f, DNS_TRY_US);
	}
	assert_int_equal(fake_dns_rcode(&f), DNS_SERVFAIL);
	assert_true(fake_dns_silent(fds[0]) && fake_dns_silent(fds[2]));
	for (int s = 0; s < 3; s++)
		fd_close(fds[s]);
}

/* NET-03: which servers may be asked at all. */
static void test_servers_that_may_not_be_asked(void **state)
{
	static const struct {
		const char *addr;
		uint16_t port;
	} bad[] = {{"127.0.0.1", 5353}, {"::1", 8053},	       {"169.254.169.254", 53},
		   {"192.168.65.1", 53}, {"192.168.65.254", 53}, {"0.0.0.0", 53}};
	struct netctl_resolvers resolvers = {.n_servers = 1};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		resolvers.servers[0] = (struct netctl_server){fake_dns_addr(bad[i].addr), bad[i].port};
		dns_set_resolvers(f.dns, &resolvers);
		fake_dns_ask(&f, "www.example.com", DNS_A);
		assert_int_equal(fake_dns_rcode(&f), DNS_SERVFAIL);
		assert_int_equal(f.dns->pending_table.n_used, 0);
	}
}

static void test_next_server(void **state)
{
	int one = fake_dns_bind("10.1.1.1", 53, SOCK_DGRAM), three = fake_dns_bind("10.1.1.3", 53, SOCK_DGRAM);

	/* .1 is silent, .2 has nobody, .3 answers */
	fake_dns_servers(&f, (const char *const[]){"10.1.1.1", "10.1.1.2", "10.1.1.3", NULL});
	fake_dns_ask(&f, "a.example", DNS_A);
	assert_true(fake_dns_receive(one, &q));
	assert_true(dns_deadline(f.dns) == f.now_us + DNS_TRY_US);
	fake_dns_advance(&f, DNS_TRY_US - 1);
	assert_true(fake_dns_silent(three));
	fake_dns_advance(&f, 1);
	fake_dns_turn(&f, FAKE_WAIT_MS); /* refused by .2: no waiting */
	fake_dns_serve(&f, three, DNS_NOERROR, 1);
	assert_int_equal(f.n_answers, 1);
	assert_true(dns_deadline(f.dns) == UINT64_MAX);
	/* who answered is asked first now */
	fake_dns_ask(&f, "b.example", DNS_A);
	fake_dns_serve(&f, three, DNS_NOERROR, 1);
	assert_int_equal(f.n_answers, 2);
	/* an answer to the first try, too late */
	fake_dns_send(one, &q, msg, fake_dns_answer(msg, &q, DNS_NOERROR, 1, 60));
	turn_until_quiet();
	assert_int_equal(f.n_answers, 2);
	fd_close(one);
	fd_close(three);
}

static void test_codes_of_servers(void **state)
{
	int one = fake_dns_bind("10.1.1.1", 53, SOCK_DGRAM), two = fake_dns_bind("10.1.1.2", 53, SOCK_DGRAM);

	fake_dns_servers(&f, (const char *const[]){"10.1.1.1", "10.1.1.2", NULL});
	fake_dns_ask(&f, "a.example", DNS_A);
	fake_dns_serve(&f, one, DNS_SERVFAIL, 0); /* the other one may know */
	assert_int_equal(f.n_answers, 0);
	fake_dns_serve(&f, two, DNS_REFUSED, 0);
	fake_dns_serve(&f, one, DNS_REFUSED, 0);
	assert_int_equal(fake_dns_rcode(&f), DNS_REFUSED);
	fake_dns_ask(&f, "b.example", DNS_A);
	fake_dns_serve(&f, one, DNS_NXDOMAIN, 0); /* a no is an answer */
	assert_int_equal(fake_dns_rcode(&f), DNS_NXDOMAIN);
	assert_true(fake_dns_silent(two));
	fd_close(one);
	fd_close(two);
}

static void test_no_server(void **state)
{
	int server;

	fake_dns_ask(&f, "a.example", DNS_A);
	assert_int_equal(fake_dns_rcode(&f), DNS_SERVFAIL);
	fake_dns_servers(&f, (const char *const[]){"10.1.1.1", NULL}); /* nobody listens: no waiting either */
	fake_dns_ask(&f, "a.example", DNS_A);
	for (int i = 0; i < DNS_TRIES_MAX; i++)
		fake_dns_turn(&f, FAKE_WAIT_MS);
	assert_int_equal(f.n_answers, 2);
	assert_int_equal(fake_dns_rcode(&f), DNS_SERVFAIL);
	fake_dns_servers(&f, (const char *const[]){"172.16.1.1", NULL}); /* no route */
	fake_dns_ask(&f, "a.example", DNS_A);
	assert_int_equal(f.n_answers, 3);
	/* service is back with the servers, also for what waits */
	server = fake_dns_bind("10.1.1.1", 53, SOCK_DGRAM);
	fake_dns_servers(&f, (const char *const[]){"10.1.1.4", NULL});
	fd_close(fake_dns_bind("10.1.1.4", 53, SOCK_DGRAM));
	fake_dns_ask(&f, "b.example", DNS_A);
	fake_dns_servers(&f, (const char *const[]){"10.1.1.1", NULL});
	fake_dns_serve(&f, server, DNS_NOERROR, 1);
	assert_int_equal(f.n_answers, 4);
	assert_int_equal(fake_dns_rcode(&f), DNS_NOERROR);
	fd_close(server);
}

/* What is being asked is not asked again: not for a repeated datagram, nor for another client (RFC 5452). */
static void test_same_question(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	uint16_t port = f.key.guest_port;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	fake_dns_ask(&f, "a.example", DNS_A);
	fake_dns_ask(&f, "a.example", DNS_A);
	assert_int_equal(f.dns->pending_table.n_used, 1);
	f.key.guest_port++;
	fake_dns_ask(&f, "A.example", DNS_A);
	f.key.guest_port++;
	fake_dns_ask(&f, "a.EXAMPLE", DNS_A);
	assert_int_equal(f.dns->pending_table.n_used, 3);
	fake_dns_serve(&f, server, DNS_NOERROR, 1);
	assert_int_equal(f.n_answers, 3);
	assert_true(fake_dns_silent(server));
	assert_int_equal(f.dns->pending_table.n_used, 0);
	f.key.guest_port = port;
	fd_close(server);
}

static void test_table_full(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	char name[32];

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	for (unsigned int i = 0; i < DNS_PENDING_MAX + 10; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		fake_dns_ask(&f, name, DNS_A);
	}
	assert_int_equal(f.n_answers, 10);
	assert_int_equal(fake_dns_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(f.dns->stats.failures, 10);
	for (int i = 0; i < DNS_TRIES_MAX; i++)
		fake_dns_advance(&f, DNS_TRY_US);
	assert_int_equal(f.dns->pending_table.n_used, 0);
	assert_int_equal(f.n_answers, DNS_PENDING_MAX + 10);
	fd_close(server);
}

/* A stream server's side: takes one query of the connection, answers with N text records of 200 bytes. */
static void serve_stream(int listener, unsigned int n, bool garbage_first)
{
	static uint8_t out[2 + DNS_MESSAGE_MAX], text[200] = {199};
	struct dns_writer w;
	size_t len, got = 0;
	int fd;

	fake_dns_turn(&f, FAKE_WAIT_MS);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	fake_dns_turn(&f, FAKE_WAIT_MS);
	while (got < 2 || got < 2u + be16_load(q.data)) {
		ssize_t r = read(fd, q.data + got, 2);

		assert_true(r > 0);
		got += (size_t)r;
	}
	memmove(q.data, q.data + 2, got - 2);
	assert_int_equal(dns_query_decode(&q.decoded, q.data, got - 2), 0);
	if (garbage_first)
		assert_int_equal(write(fd, "\0\5hello\0\0", 9), 9);
	dns_writer_start(&w, out + 2, DNS_MESSAGE_MAX, &q.decoded, 0, DNS_NOERROR);
	for (unsigned int i = 0; i < n; i++)
		dns_writer_answer(&w, DNS_TXT, 60, text, 200);
	len = dns_writer_end(&w);
	be16_store(out, (uint16_t)len);
	be16_store(out + 2, q.decoded.id);
	/* in pieces */
	assert_int_equal(write(fd, out, 1), 1);
	fake_dns_turn(&f, FAKE_WAIT_MS);
	assert_int_equal(write(fd, out + 1, len + 1), (ssize_t)len + 1);
	turn_until_quiet();
	close(fd);
	turn_until_quiet();
}

static void test_truncated_by_server(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM), listener = fake_dns_bind("127.0.0.53", 53, SOCK_STREAM);
	size_t len;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	for (unsigned int n = 1; n <= 200; n += 199) {
		dns_cache_clear(f.dns);
		fake_dns_ask(&f, "big.example", DNS_TXT);
		assert_true(fake_dns_receive(server, &q));
		len = fake_dns_answer(msg, &q, DNS_NOERROR, 0, 60);
		msg[2] |= DNS_TC >> 8;
		fake_dns_send(server, &q, msg, len);
		f.n_answers = 0;
		serve_stream(listener, n, n > 1);
		assert_int_equal(f.n_answers, 1);
		assert_true(!!(f.answer[2] & (DNS_TC >> 8)) == (n > 1));
		assert_int_equal(fake_dns_count(&f, 0), n > 1 ? 2 : 1); /* what fits into 512 bytes */
		assert_int_equal(f.dns->streams_used, 0);
	}
	/* the stream closes without an answer, then the server is silent */
	dns_cache_clear(f.dns);
	f.n_answers = 0;
	fake_dns_ask(&f, "big.example", DNS_TXT);
	assert_true(fake_dns_receive(server, &q));
	len = fake_dns_answer(msg, &q, DNS_NOERROR, 0, 60);
	msg[2] |= DNS_TC >> 8;
	fake_dns_send(server, &q, msg, len);
	fake_dns_turn(&f, FAKE_WAIT_MS);
	close(accept(listener, NULL, NULL));
	turn_until_quiet();
	assert_true(fake_dns_receive(server, &q)); /* the second try */
	fake_dns_advance(&f, DNS_TRY_US);
	fake_dns_advance(&f, DNS_TRY_US);
	assert_int_equal(f.n_answers, 1);
	assert_int_equal(fake_dns_rcode(&f), DNS_SERVFAIL);
	assert_int_equal(f.dns->streams_used, 0);
	fd_close(server);
	fd_close(listener);
}

static void test_server_without_edns(void **state)
{
	int server = fake_dns_bind("::1", 53, SOCK_DGRAM);
	uint8_t ask[DNS_QUERY_MAX];

	fake_dns_servers(&f, (const char *const[]){"::1", NULL});
	dns_query(f.dns, &f.key, ask, fake_dns_make(ask, "a.example", DNS_A, FAKE_ID, 4096));
	assert_true(fake_dns_receive(server, &q));
	assert_int_equal(q.decoded.udp_size, DNS_UDP_MAX);
	fake_dns_send(server, &q, msg, fake_dns_answer(msg, &q, DNS_FORMERR, 0, 60));
	fake_dns_turn(&f, FAKE_WAIT_MS);
	assert_true(fake_dns_receive(server, &q));
	assert_false(q.decoded.edns);
	fake_dns_send(server, &q, msg, fake_dns_answer(msg, &q, DNS_NOERROR, 1, 60));
	fake_dns_turn(&f, FAKE_WAIT_MS);
	assert_int_equal(f.n_answers, 1);
	assert_int_equal(fake_dns_count(&f, 2), 1); /* the guest gets its OPT all the same */
	fd_close(server);
}

/* NET-10: 10,000 ids and ports are not told from even ones: chi-square over 256 cells, 255 degrees of freedom. */
static void test_ids_and_ports(void **state)
{
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	static unsigned int cells[4][256];
	double chi[4] = {0}, mean = STUDY / 256.0;
	unsigned int same_port = 0;
	uint16_t last = 0;
	char name[32];

	memset(cells, 0, sizeof(cells));
	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	for (unsigned int i = 0; i < STUDY; i++) {
		uint16_t port;

		snprintf(name, sizeof(name), "n%u.example", i);
		fake_dns_ask(&f, name, DNS_A);
		assert_true(fake_dns_receive(server, &q));
		port = be16_load((uint8_t *)&q.from + 2);
		same_port += port == last;
		last = port;
		cells[0][q.decoded.id >> 8]++;
		cells[1][q.decoded.id & 255]++;
		/* Linux hands out ports of one parity first; what is left is even. */
		cells[2][port >> 1 & 255]++;
		cells[3][(uint8_t)(q.decoded.id ^ port >> 1)]++;
		fake_dns_send(server, &q, msg, fake_dns_answer(msg, &q, DNS_NOERROR, 0, 60));
		fake_dns_turn(&f, FAKE_WAIT_MS);
	}
	for (int t = 0; t < 4; t++)
		for (int i = 0; i < 256; i++)
			chi[t] += (cells[t][i] - mean) * (cells[t][i] - mean) / mean;
	/* Mean 255, deviation 22.6: beyond 400 once in a hundred million runs. */
	for (int t = 0; t < 4; t++)
		if (!(chi[t] < 400 && chi[t] > 130))
			fail_msg("chi-square %d is %f", t, chi[t]);
	assert_true(same_port < 20);
	fd_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answer_and_cache, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_kept_for_whom, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers_that_do_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_malformed_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_split_domains, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_servers_that_may_not_be_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_next_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_codes_of_servers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_question, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_table_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_truncated_by_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_server_without_edns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ids_and_ports, set_up, tear_down),
	};

	return fake_dns_namespace() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
