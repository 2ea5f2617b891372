/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-dns: what the card's resolver answers by itself, what it refuses, and what it keeps (NET-07, NET-10, NET-16, NET-19). Run
 * by meson; skipped where no network namespace can be made.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/test.h"
#include "devices/net/fake-dns.h"

static struct fake_dns f;

static const uint8_t alias4[] = {192, 168, 65, 254}, gateway4[] = {192, 168, 65, 1};
static const uint8_t alias6[] = {0xfd, 0xca, 0x15, 0x50, 0x9b, 0x3e, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xfe};

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

/* NAME has the one answer BYTES. */
static void answers(const char *name, uint16_t type, const void *bytes, size_t len)
{
	fake_dns_ask(&f, name, type);
	assert_int_equal(fake_dns_rcode(&f), DNS_NOERROR);
	assert_int_equal(fake_dns_count(&f, 0), 1);
	assert_true(fake_dns_has(&f, bytes, len));
}

/* NAME gets CODE and no record. */
static void empty(const char *name, uint16_t type, uint8_t rcode)
{
	fake_dns_ask(&f, name, type);
	assert_int_equal(fake_dns_rcode(&f), rcode);
	assert_int_equal(fake_dns_count(&f, 0), 0);
}

static void test_built_in_names(void **state)
{
	answers("host.docker.internal", DNS_A, alias4, 4);
	answers("HOST.Docker.INTERNAL", DNS_A, alias4, 4);
	answers("kubernetes.docker.internal", DNS_A, alias4, 4);
	answers("gateway.docker.internal", DNS_A, gateway4, 4);
	answers("http.docker.internal", DNS_A, gateway4, 4);
	answers("host.docker.internal", DNS_AAAA, alias6, 16);
	empty("host.docker.internal", DNS_TXT, DNS_NOERROR);
	empty("host.docker.internal", DNS_HTTPS, DNS_NOERROR);
	empty("other.docker.internal", DNS_A, DNS_NXDOMAIN);
	empty("x.host.docker.internal", DNS_A, DNS_NXDOMAIN);
	empty("docker.internal", DNS_A, DNS_NOERROR);
	fake_dns_ask(&f, "host.docker.internal", DNS_ANY);
	assert_int_equal(fake_dns_count(&f, 0), 2);
	assert_memory_equal(&f.answer_key, &f.key, sizeof(f.key));
	assert_int_equal(f.dns->pending_table.n_used, 0);
}

static void test_localhost(void **state)
{
	answers("localhost", DNS_A, "\x7f\0\0\1", 4);
	answers("a.localhost", DNS_A, "\x7f\0\0\1", 4);
	answers("localhost", DNS_AAAA, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	empty("a.invalid", DNS_A, DNS_NXDOMAIN);
	empty("a.onion", DNS_A, DNS_NXDOMAIN);
}

/* NET-16: backwards only our own names can be asked for, and nothing of the card's network is asked of anyone. */
static void test_reverse(void **state)
{
	answers("254.65.168.192.in-addr.arpa", DNS_PTR, "\4host\6docker\x08internal", 22);
	answers("1.65.168.192.in-addr.arpa", DNS_PTR, "\7gateway\6docker", 15);
	answers("1.0.0.127.in-addr.arpa", DNS_PTR, "\x09localhost", 10);
	answers("e.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.e.3.b.9.0.5.5.1.a.c.d.f.ip6.arpa", DNS_PTR, "\4host\6docker", 12);
	empty("3.65.168.192.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN);
	empty("5.0.0.127.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN);
	empty("1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.0.0.0.e.3.b.9.0.5.5.1.a.c.d.f.ip6.arpa", DNS_PTR, DNS_NXDOMAIN);
	empty("7.66.168.192.in-addr.arpa", DNS_PTR, DNS_SERVFAIL); /* not ours: forwarded, and there is no server */
}

static void add_host(struct netctl_hosts *piece, const char *addr, const char *name)
{
	piece->entry[piece->n].addr = fake_dns_addr(addr);
	memcpy(piece->entry[piece->n++].name, name, strlen(name) + 1);
}

static void test_hosts(void **state)
{
	struct netctl_hosts one = {.first = true}, two = {.last = true}, none = {.first = true, .last = true};

	add_host(&one, "127.0.0.1", "dev.example");
	add_host(&one, "10.9.9.9", "nas.example");
	add_host(&one, "10.9.9.9", "nas.example");
	add_host(&two, "::1", "dev.example");
	add_host(&two, "127.0.1.1", "dev.example");
	add_host(&two, "10.9.9.9", "host.docker.internal");
	dns_set_hosts(f.dns, &one);
	empty("dev.example", DNS_A, DNS_SERVFAIL); /* not in force before it is complete */
	dns_set_hosts(f.dns, &two);
	answers("Dev.Example", DNS_A, alias4, 4);
	answers("dev.example", DNS_AAAA, alias6, 16);
	answers("nas.example", DNS_A, "\x0a\x09\x09\x09", 4);
	empty("nas.example", DNS_AAAA, DNS_NOERROR); /* the file speaks for the name */
	empty("nas.example", DNS_HTTPS, DNS_NOERROR);
	empty("nas.example", DNS_MX, DNS_SERVFAIL); /* but for addresses only */
	empty("a.nas.example", DNS_A, DNS_SERVFAIL);
	empty("9.9.9.10.in-addr.arpa", DNS_PTR, DNS_SERVFAIL);
	answers("host.docker.internal", DNS_A, alias4, 4);
	dns_set_hosts(f.dns, &none);
	empty("dev.example", DNS_A, DNS_SERVFAIL);
}

static void test_too_many_hosts(void **state)
{
	static struct netctl_hosts piece = {.first = true};

	for (unsigned int i = 0; i < NETCTL_HOSTS_PIECE_MAX; i++)
		add_host(&piece, "10.9.9.9", "a.example");
	for (unsigned int i = 0; i <= NETCTL_HOSTS_MAX / NETCTL_HOSTS_PIECE_MAX + 1; i++) {
		dns_set_hosts(f.dns, &piece);
		piece.first = false;
	}
	piece.last = true;
	dns_set_hosts(f.dns, &piece);
	assert_int_equal(f.dns->hosts[f.dns->hosts_used].n, NETCTL_HOSTS_MAX);
	answers("a.example", DNS_A, "\x0a\x09\x09\x09", 4);
}

static void set_addresses(enum netctl_dns_filter filter, bool ipv6, uint16_t mtu)
{
	dns_set_addresses(f.dns, &f.dns->gateway4, &f.dns->alias4, &f.dns->gateway6, &f.dns->alias6, filter, ipv6, mtu);
}

static void test_filter_and_ipv6(void **state)
{
	set_addresses(NETCTL_DNS_ALL, false, FAKE_MTU);
	empty("host.docker.internal", DNS_AAAA, DNS_NOERROR);
	empty("localhost", DNS_AAAA, DNS_NOERROR);
	answers("host.docker.internal", DNS_A, alias4, 4);
	set_addresses(NETCTL_DNS_NO_AAAA, true, FAKE_MTU);
	empty("host.docker.internal", DNS_AAAA, DNS_NOERROR);
	empty("www.example.com", DNS_AAAA, DNS_NOERROR);
	empty("www.example.com", DNS_ANY, DNS_NOERROR);
	empty("www.example.com", DNS_A, DNS_SERVFAIL);
	set_addresses(NETCTL_DNS_NO_A, true, FAKE_MTU);
	empty("www.example.com", DNS_A, DNS_NOERROR);
	empty("www.example.com", DNS_AAAA, DNS_SERVFAIL);
	answers("host.docker.internal", DNS_AAAA, alias6, 16);
}

static void ask_raw(const void *msg, size_t len)
{
	f.answer_len = 0;
	dns_query(f.dns, &f.key, msg, len);
}

static void test_bad_queries(void **state)
{
	uint8_t msg[DNS_QUERY_MAX];
	size_t len = fake_dns_make(msg, "host.docker.internal", DNS_A, FAKE_ID, 1232);

	for (size_t n = 0; n < len; n++) {
		ask_raw(msg, n);
		assert_true(f.answer_len <= (n < DNS_HEADER_LEN ? 0 : n + DNS_OPT_LEN));
		if (n >= DNS_HEADER_LEN)
			assert_int_equal(fake_dns_rcode(&f), DNS_FORMERR);
	}
	msg[2] = 0x29; /* UPDATE */
	ask_raw(msg, len);
	assert_int_equal(fake_dns_rcode(&f), DNS_NOTIMP);
	msg[2] = 0x81; /* an answer */
	ask_raw(msg, len);
	assert_int_equal(f.answer_len, 0);
	msg[2] = 1;
	msg[len - 5] = 3; /* a version of EDNS that does not exist */
	ask_raw(msg, len);
	assert_int_equal(f.answer[f.answer_len - 6], 1);
	assert_int_equal(fake_dns_count(&f, 0), 0);
	msg[len - 5] = 0;
	msg[len - DNS_OPT_LEN - 1] = 3; /* CHAOS: about the server, not the network (NET-16) */
	ask_raw(msg, len);
	assert_int_equal(fake_dns_rcode(&f), DNS_REFUSED);
	empty("www.example.com", 252, DNS_REFUSED); /* AXFR */
	empty("www.example.com", 251, DNS_REFUSED);
	empty("www.example.com", DNS_OPT, DNS_REFUSED);
	empty("www.example.com", 0, DNS_REFUSED);
}

/* NET-19: while nothing may leave, no question does, whatever its type; names of our own stay. */
static void test_no_egress(void **state)
{
	static const uint16_t types[] = {DNS_A, DNS_AAAA, DNS_TXT, 10, DNS_MX, DNS_SRV, DNS_ANY, DNS_PTR, DNS_HTTPS};
	struct netctl_hosts hosts = {.first = true, .last = true};
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);

	add_host(&hosts, "127.0.0.1", "dev.example");
	dns_set_hosts(f.dns, &hosts);
	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	fake_dns_ask(&f, "kept.example.com", DNS_A);
	fake_dns_serve(&f, server, DNS_NOERROR, 1);
	fake_dns_ask(&f, "kept.example.com", DNS_A);
	assert_int_equal(fake_dns_count(&f, 0), 1);
	f.policy.rules.egress = false;
	empty("kept.example.com", DNS_A, DNS_REFUSED);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		empty("secret-bytes.example.com", types[i], DNS_REFUSED);
	answers("host.docker.internal", DNS_A, alias4, 4);
	answers("dev.example", DNS_A, alias4, 4);
	assert_int_equal(f.policy.refused[RULE_EGRESS], 1 + ARRAY_SIZE(types));
	assert_true(fake_dns_silent(server));
	f.policy.rules.egress = true;
	fake_dns_ask(&f, "secret-bytes.example.com", DNS_A);
	fake_dns_serve(&f, server, DNS_NOERROR, 1);
	assert_int_equal(fake_dns_rcode(&f), DNS_NOERROR);
	f.policy.configured = false;
	empty("secret-bytes.example.com", DNS_A, DNS_REFUSED);
	fd_close(server);
}

/* NET-07: no answer is longer than the guest's buffer and the wire allow. */
static void test_sizes(void **state)
{
	static const uint16_t mtus[] = {20, 40, 68, 576, 1280, 1500, 65520}, sizes[] = {0, 100, 512, 1232, 4096, 65535};
	struct netctl_hosts hosts = {.first = true, .last = true};
	uint8_t msg[DNS_QUERY_MAX];

	for (unsigned int i = 0; i < DNS_HOST_ADDRESSES_MAX + 4; i++) {
		add_host(&hosts, "fd00::1", "many.example");
		hosts.entry[i].addr.byte[15] = (uint8_t)(2 * i + 2);
		add_host(&hosts, "10.0.0.1", "many.example");
		hosts.entry[2 * i + 1].addr.byte[15] = (uint8_t)i;
	}
	dns_set_hosts(f.dns, &hosts);
	for (size_t i = 0; i < ARRAY_SIZE(mtus); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			size_t len = fake_dns_make(msg, "many.example", DNS_ANY, FAKE_ID, sizes[j]);

			set_addresses(NETCTL_DNS_ALL, true, mtus[i]);
			ask_raw(msg, len);
			assert_true(!f.answer_len || f.answer_len + 28 <= mtus[i]);
			assert_true(f.answer_len <= (sizes[j] < 512 ? 512u : sizes[j]));
			assert_true(f.answer_len <= DNS_UDP_MAX);
		}
	}
	/* IPv6 heads are longer */
	f.key.guest = fake_dns_addr("fdca:1550:9b3e:1::3");
	for (uint16_t mtu = 200; mtu < 600; mtu++) {
		set_addresses(NETCTL_DNS_ALL, true, mtu);
		ask_raw(msg, fake_dns_make(msg, "many.example", DNS_ANY, FAKE_ID, 1232));
		assert_true(f.answer_len + 48 <= mtu);
		assert_true(f.answer_len + 28 + 48 >= mtu || !(f.answer[2] & (DNS_TC >> 8)));
	}
}

static void test_list(void **state)
{
	struct netctl_dns_entry entries[4];
	int server = fake_dns_bind("127.0.0.53", 53, SOCK_DGRAM);
	struct dns_stats stats;
	uint32_t cursor = 0;
	unsigned int n = 0;

	fake_dns_servers(&f, (const char *const[]){"127.0.0.53", NULL});
	for (unsigned int i = 0; i < 6; i++) {
		fake_dns_ask(&f, (const char *const[]){"a.x", "b.x", "c.x", "d.x", "e.x", "F.x"}[i], DNS_A);
		fake_dns_serve(&f, server, DNS_NOERROR, 2);
	}
	fake_dns_advance(&f, 20000000);
	fake_dns_ask(&f, "f.X", DNS_A);
	do {
		size_t got = dns_list(f.dns, &cursor, entries, 4);

		for (size_t i = 0; i < got; i++, n++) {
			assert_int_equal(entries[i].ttl_s, 40);
			assert_int_equal(entries[i].answers, 2);
			assert_int_equal(entries[i].hits, entries[i].name[0] == 'f');
			assert_string_equal(entries[i].name + 1, ".x");
		}
	} while (cursor);
	assert_int_equal(n, 6);
	fake_dns_advance(&f, 40000000);
	assert_int_equal(dns_list(f.dns, &cursor, entries, 4), 0);
	dns_get_stats(f.dns, &stats);
	assert_int_equal(stats.queries, 7);
	assert_int_equal(stats.hits, 1);
	fd_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_built_in_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_localhost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reverse, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hosts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_hosts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_filter_and_ipv6, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_queries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_egress, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
	};

	return fake_dns_namespace() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
