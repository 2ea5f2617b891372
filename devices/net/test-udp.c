/* SPDX-License-Identifier: Apache-2.0 */
/* test-udp: flows that the guest opens: real sockets on loopback on one side, frames on the other. */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/test.h"
#include "devices/net/fragment.h"
#include "devices/net/udp-memory.h"
#include "proto/data-card.h"
#include "proto/netctl.h"

enum { BURST = 120 /* of full size, that socket buffers of a system as it comes can hold */ };

static struct udp_memory *const m = &udp_memory;
static struct flow_key key;
static struct sockaddr_in6 from; /* whom the server heard last */
static socklen_t from_len;
static int server = -1;
static uint8_t bytes[70000], got[70000];

static void serve(int family)
{
	struct sockaddr_in6 name;
	struct net_addr loopback = family == AF_INET ? net_addr4(INADDR_LOOPBACK) : (struct net_addr){{[15] = 1}};
	int size = 8 << 20;
	socklen_t len = udp_sockaddr(&name, family == AF_INET6, &loopback, 0, 0);

	if (server >= 0)
		close(server);
	server = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(server >= 0);
	setsockopt(server, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_int_equal(bind(server, (struct sockaddr *)&name, len), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&name, &len), 0);
	m->dial = loopback;
	key = (struct flow_key){.host = net_addr4(0x08080808), .guest = m->udp->config.guest4,
				.host_port = ntohs(name.sin6_port), .guest_port = 4000};
	if (family == AF_INET6) {
		key.host = (struct net_addr){{0x20, 1, [15] = 9}};
		key.guest = m->udp->config.guest6;
	}
}

static int set_up(void **state)
{
	udp_memory_init(*state);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	serve(AF_INET);
	return 0;
}

static int tear_down(void **state)
{
	int bad = (int)m->n_malformed;

	udp_memory_done();
	close(server);
	server = -1;
	return bad;
}

/* The server's next datagram. Return: its length, -1: none. */
static ssize_t hear(void)
{
	from_len = sizeof(from);
	return recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from, &from_len);
}

static void answer(const void *payload, size_t len)
{
	assert_int_equal(sendto(server, payload, len, 0, (struct sockaddr *)&from, from_len), len);
}

/* The flow exists, and the server knows it. */
static void meet(void)
{
	udp_memory_say(&key, "hello", 5, 0);
	udp_memory_run();
	assert_int_equal(hear(), 5);
	assert_memory_equal(got, "hello", 5);
}

static void expect(size_t i, const void *payload, size_t len)
{
	const struct udp_memory_frame *f = &m->sent[i];

	assert_true(i < m->n_sent);
	assert_int_equal(f->parsed.kind, NET_KIND_UDP);
	assert_int_equal(f->parsed.payload_len, len);
	assert_memory_equal(f->data + f->parsed.payload_off, payload, len);
	assert_true(net_addr_equal(&f->parsed.src, &key.host));
	assert_true(net_addr_equal(&f->parsed.dst, &key.guest));
	assert_int_equal(f->parsed.udp.src_port, key.host_port);
	assert_int_equal(f->parsed.udp.dst_port, key.guest_port);
}

static void test_refused_by_a_rule(void **state)
{
	struct udp_stats stats;

	m->refuse = true;
	for (int i = 0; i < 5; i++)
		udp_memory_say(&key, "hello", 5, 0);
	udp_memory_run();
	assert_int_equal(hear(), -1);
	assert_int_equal(m->decisions, 1);
	assert_int_equal(m->n_errors, 5);
	assert_int_equal(m->errors[0], EACCES);
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.drops, 5);
	/* Forgotten after a while, and asked again. */
	m->refuse = false;
	m->now_us += UDP_REFUSED_US;
	udp_memory_run();
	meet();
}

static void test_nobody_tells_many(void **state)
{
	m->refuse = true;
	key.host = net_addr4(0xe00000fb);
	udp_memory_say(&key, "hello", 5, 0);
	key.host = net_addr4(0xffffffff);
	udp_memory_say(&key, "hello", 5, 0);
	key.host_port = 0;
	udp_memory_say(&key, "hello", 5, 0);
	udp_memory_run();
	assert_int_equal(m->n_errors, 0);
}

static void test_closed_port(void **state)
{
	struct flow_key closed = key;

	meet();
	udp_memory_clear();
	close(server);
	server = -1;
	udp_memory_say(&closed, "anybody?", 8, 0);
	udp_memory_run();
	assert_int_equal(m->n_errors, 1);
	assert_int_equal(m->errors[0], ECONNREFUSED);
	/* The flow outlives it: what is said next is sent and refused again. */
	udp_memory_say(&closed, "anybody?", 8, 0);
	udp_memory_run();
	assert_int_equal(m->n_errors, 2);
	assert_int_equal(m->decisions, 1);
}

static void test_unreachable(void **state)
{
	m->dial = net_addr4(0xf0000001); /* 240.0.0.1 */
	udp_memory_say(&key, "hello", 5, 0);
	udp_memory_run();
	if (m->n_errors) /* a host with a default route tries */
		assert_true(m->errors[0] == ENETUNREACH || m->errors[0] == EHOSTUNREACH || m->errors[0] == EACCES);
}

static void test_back_and_forth(void **state)
{
	struct udp_stats stats;

	meet();
	answer("hello back", 10);
	answer("", 0);
	udp_memory_run();
	assert_int_equal(m->n_sent, 2);
	expect(0, "hello back", 10);
	expect(1, "", 0);
	udp_memory_say(&key, "", 0, 0);
	udp_memory_say(&key, "x", 1, 0);
	udp_memory_run();
	assert_int_equal(hear(), 0);
	assert_int_equal(hear(), 1);
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.now, 1);
	assert_int_equal(stats.drops, 0);
	assert_int_equal(stats.tx_bytes, 6);
	assert_int_equal(stats.rx_bytes, 10);
	assert_int_equal(stats.tx_packets, 3);
}

static void test_ipv6(void **state)
{
	serve(AF_INET6);
	meet();
	answer(bytes, 1452);
	answer(bytes, 1453);
	udp_memory_run();
	assert_int_equal(m->n_sent, 3); /* the second in two pieces */
	expect(0, bytes, 1452);
	assert_int_equal(m->sent[1].parsed.kind, NET_KIND_FRAGMENT);
	assert_int_equal(m->sent[2].parsed.kind, NET_KIND_FRAGMENT);
}

/* The server hears N datagrams, with the lengths of the pattern. */
static void hear_all(unsigned int n, size_t (*length)(unsigned int i))
{
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(hear(), length(i));
		assert_memory_equal(got, bytes + i, length(i));
	}
	assert_int_equal(hear(), -1);
}

static size_t equal(unsigned int i)
{
	return 1400;
}

static size_t mixed(unsigned int i)
{
	return i % 10 == 3 ? 100 : i % 10 == 4 ? 0 : i % 10 == 5 ? 1472 : i < 70 ? 1200 : 1 + i;
}

static void say_all(unsigned int n, size_t (*length)(unsigned int i))
{
	for (unsigned int i = 0; i < n; i++)
		udp_memory_say(&key, bytes + i, length(i), 0);
	udp_memory_run();
}

static void test_batches(void **state)
{
	for (int groups = 0; groups < 2; groups++) {
		m->udp->groups = m->udp->groups && groups;
		say_all(BURST, equal);
		hear_all(BURST, equal);
		say_all(BURST, mixed);
		hear_all(BURST, mixed);
	}
	udp_memory_say(&key, bytes, 65507, 0);
	udp_memory_run();
	assert_int_equal(hear(), 65507);
}

static void test_flows_side_by_side(void **state)
{
	uint16_t ports[256];

	for (unsigned int i = 0; i < 200; i++) {
		key.guest_port = (uint16_t)(5000 + i % 3);
		udp_memory_say(&key, &i, sizeof(i), 0);
	}
	udp_memory_run();
	unsigned int next[3] = {0, 1, 2};
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int value;

		assert_int_equal(hear(), sizeof(value));
		memcpy(&value, got, sizeof(value));
		assert_int_equal(value, next[value % 3]);
		next[value % 3] += 3;
		ports[value] = from.sin6_port;
	}
	for (unsigned int i = 3; i < 200; i++)
		assert_int_equal(ports[i], ports[i % 3]);
	assert_int_not_equal(ports[0], ports[1]);
}

static void test_superframe(void **state)
{
	for (int groups = 1; groups >= 0; groups--) {
		m->udp->groups = m->udp->groups && groups;
		udp_memory_say(&key, bytes, 60001, 1200);
		udp_memory_say(&key, bytes, 5000, 40);
		udp_memory_run();
		for (unsigned int i = 0; i < 60001; i += 1200) {
			size_t n = 60001 - i < 1200 ? 60001 - i : 1200;

			assert_int_equal(hear(), n);
			assert_memory_equal(got, bytes + i, n);
		}
		for (unsigned int i = 0; i < 5000; i += 40)
			assert_int_equal(hear(), 40);
		assert_int_equal(hear(), -1);
	}
}

static void test_straight_into_guest_buffers(void **state)
{
	meet();
	for (int round = 0; round < 5; round++) {
		udp_memory_clear();
		for (unsigned int i = 0; i < BURST; i++)
			answer(bytes + i, i % 7 ? 1472 : i);
		udp_memory_run();
		assert_int_equal(m->n_sent, BURST);
		for (unsigned int i = 0; i < BURST; i++)
			expect(i, bytes + i, i % 7 ? 1472 : i);
	}
	assert_int_equal(m->buffers, (1u << 20) - 5 * BURST);
}

/* Puts together what frame I and its followers hold. Return: index behind them. */
static size_t whole(struct fragments *fragments, size_t i, const uint8_t **ret, size_t *ret_len)
{
	for (; i < m->n_sent; i++) {
		struct udp_memory_frame *f = &m->sent[i];
		static uint8_t vnet[NET_VNET_LEN];
		struct iovec iov[2] = {{vnet, sizeof(vnet)}, {f->data, f->len}};
		struct card_frame card = {.vnet = &f->vnet, .frame = &f->parsed, .iov = iov, .n_iov = 2, .total = f->len};
		int r;

		assert_int_equal(f->parsed.kind, NET_KIND_FRAGMENT);
		r = fragment_take(fragments, &card, 0, ret, ret_len);
		assert_true(r >= 0);
		if (r == FRAGMENT_WHOLE)
			return i + 1;
	}
	fail();
	return 0;
}

static void test_larger_than_the_mtu(void **state)
{
	static const size_t lengths[] = {1473, 1480, 1481, 3000, 8000, 20000, 65487};
	static struct fragments fragments;
	size_t at = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		serve(v6 ? AF_INET6 : AF_INET);
		meet();
		udp_memory_clear();
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
			answer(bytes + i, lengths[i]);
		udp_memory_run();
		at = 0;
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			struct net_frame frame;
			const uint8_t *packet;
			size_t len;

			at = whole(&fragments, at, &packet, &len);
			assert_int_equal(net_frame_parse(&frame, packet, len, len), 0);
			assert_int_equal(frame.kind, NET_KIND_UDP);
			assert_int_equal(frame.payload_len, lengths[i]);
			assert_memory_equal(packet + frame.payload_off, bytes + i, lengths[i]);
			assert_int_equal(net_fold(net_sum(net_pseudo_sum(&frame), packet + frame.l4_off, frame.l4_len)), 0xffff);
		}
		assert_int_equal(at, m->n_sent);
	}
}

/* A busy flow of small datagrams, and suddenly a large one: nothing lost, nothing reordered. */
static void test_large_among_small(void **state)
{
	static struct fragments fragments;
	struct net_frame frame;
	const uint8_t *packet;
	size_t len, at;

	meet();
	for (int i = 0; i < 60; i++)
		answer(bytes, 1000);
	udp_memory_run();
	assert_true(m->udp->flows[0].source.hint >= UDP_DIRECT_MIN);
	udp_memory_clear();
	for (unsigned int i = 0; i < 20; i++)
		answer(bytes + i, i == 7 ? 5000 : 100 + i);
	udp_memory_run();
	for (unsigned int i = 0; i < 7; i++)
		expect(i, bytes + i, 100 + i);
	at = whole(&fragments, 7, &packet, &len);
	assert_int_equal(net_frame_parse(&frame, packet, len, len), 0);
	assert_int_equal(frame.payload_len, 5000);
	assert_memory_equal(packet + frame.payload_off, bytes + 7, 5000);
	for (unsigned int i = 8; i < 20; i++)
		expect(at + i - 8, bytes + i, 100 + i);
}

static void test_no_buffers(void **state)
{
	meet();
	for (unsigned int buffers = 0; buffers < 3; buffers++) {
		udp_memory_clear();
		for (unsigned int i = 0; i < 100; i++)
			answer(bytes + i, 500);
		m->buffers = buffers;
		udp_memory_run();
		assert_int_equal(m->n_sent, buffers);
		m->buffers = 50;
		udp_memory_run();
		m->buffers = 1000;
		udp_memory_run();
		assert_int_equal(m->n_sent, 100);
		for (unsigned int i = 0; i < 100; i++)
			expect(i, bytes + i, 500);
	}
}

static void test_small_buffers(void **state)
{
	meet();
	m->buffer_size = 256;
	for (unsigned int i = 0; i < 100; i++)
		answer(bytes + i, 1472);
	udp_memory_run();
	assert_int_equal(m->n_sent, 100);
	for (unsigned int i = 0; i < 100; i++)
		expect(i, bytes + i, 1472);
}

static void answer_group(const void *payload, size_t len, uint16_t size)
{
	setsockopt(server, SOL_UDP, UDP_SEGMENT, &(int){size}, sizeof(int));
	answer(payload, len);
	setsockopt(server, SOL_UDP, UDP_SEGMENT, &(int){0}, sizeof(int));
}

static void test_groups_to_the_guest(void **state)
{
	meet();
	if (!m->udp->flows[0].source.gro)
		skip();
	answer_group(bytes, 50000, 1400);
	answer(bytes, 9);
	udp_memory_run();
	assert_int_equal(m->n_sent, 2);
	expect(0, bytes, 50000);
	assert_int_equal(m->sent[0].vnet.gso_type, NET_VNET_GSO_UDP_L4);
	assert_int_equal(m->sent[0].vnet.gso_size, 1400);
	expect(1, bytes, 9);
	assert_int_equal(m->sent[1].vnet.gso_type, 0);
	/* A guest that comes back without it. */
	m->caps.uso = false;
	udp_wire_up(m->udp, &m->caps);
	udp_memory_clear();
	answer_group(bytes, 50000, 1400);
	udp_memory_run();
	assert_int_equal(m->n_sent, 36);
	for (unsigned int i = 0; i < 36; i++)
		expect(i, bytes + 1400 * i, i == 35 ? 1000 : 1400);
}

/* What the kernel hands over as a superframe is several datagrams, even when all of it fits where one was expected. */
static void test_groups_keep_their_boundaries(void **state)
{
	unsigned int n = 0;

	meet();
	if (!m->udp->flows[0].source.gro)
		skip();
	for (unsigned int i = 0; i < 20; i++)
		answer(bytes, 1400);
	udp_memory_run();
	assert_true(m->udp->flows[0].source.hint >= UDP_DIRECT_MIN);
	udp_memory_clear();
	answer_group(bytes, 1000, 500);
	answer_group(bytes, 1400, 700);
	udp_memory_run();
	for (size_t i = 0; i < m->n_sent; i++) {
		const struct udp_memory_frame *f = &m->sent[i];
		uint32_t size = f->vnet.gso_type ? f->vnet.gso_size : f->parsed.payload_len;

		assert_true(size == 500 || size == 700);
		n += f->parsed.payload_len / size;
	}
	assert_int_equal(n, 4);
}

/* Datagrams that came one by one leave as superframes while they are of one size. */
static void test_groups_made_here(void **state)
{
	static uint8_t all[400000];
	size_t n_all = 0, at = 0, n_frames;

	meet();
	for (int round = 0; round < 4; round++) {
		udp_memory_clear();
		for (n_all = 0; n_all < BURST * 1400; n_all += 1400)
			answer(bytes + n_all % 50000, 1400);
		udp_memory_run();
	}
	n_frames = m->n_sent;
	for (size_t i = 0; i < m->n_sent; i++) {
		const struct udp_memory_frame *f = &m->sent[i];

		memcpy(all + at, f->data + f->parsed.payload_off, f->parsed.payload_len);
		at += f->parsed.payload_len;
	}
	assert_int_equal(at, n_all);
	for (size_t i = 0; i < n_all; i += 1400)
		assert_memory_equal(all + i, bytes + i % 50000, 1400);
	if (m->udp->flows[0].source.gro)
		assert_true(n_frames < 10);
	/* Other sizes: the boundaries stay. */
	udp_memory_clear();
	for (unsigned int i = 0; i < 60; i++)
		answer(bytes + i, i < 10 ? 1400 : i < 20 ? 1000 : i == 30 ? 0 : i == 40 ? 4000 : 1000 + i);
	udp_memory_run();
	at = 0;
	for (size_t i = 0; i < m->n_sent; i++) {
		const struct udp_memory_frame *f = &m->sent[i];
		size_t left = f->parsed.payload_len, size = f->vnet.gso_type ? f->vnet.gso_size : left;

		if (f->parsed.kind == NET_KIND_FRAGMENT) {
			at += !f->parsed.fragment.more;
			continue;
		}
		do {
			size_t n = left < size ? left : size;

			assert_int_equal(n, at < 10 ? 1400 : at < 20 ? 1000 : at == 30 ? 0 : 1000 + at);
			assert_memory_equal(f->data + f->parsed.payload_off + f->parsed.payload_len - left, bytes + at, n);
			left -= n;
			at++;
		} while (left);
	}
	assert_int_equal(at, 60);
}

static void test_life(void **state)
{
	struct udp_stats stats;

	meet();
	assert_int_equal(udp_deadline(m->udp), m->now_us + UDP_IDLE_UNANSWERED_US);
	answer("x", 1);
	udp_memory_run();
	assert_int_equal(udp_deadline(m->udp), m->now_us + UDP_IDLE_US);
	m->now_us += UDP_IDLE_US - 1;
	udp_memory_run();
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.now, 1);
	answer("y", 1);
	udp_memory_run();
	assert_int_equal(m->n_sent, 2);
	m->now_us += UDP_IDLE_US;
	udp_memory_run();
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.now, 0);
	assert_int_equal(udp_deadline(m->udp), UINT64_MAX);
}

/* NET-08: more flows than there is room for. */
static void test_many_flows(void **state)
{
	struct rlimit limit;
	struct udp_stats stats;
	struct netctl_flow list[100];
	uint32_t cursor = 0;
	uint16_t answered = 0;
	unsigned int n = 12000, listed = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < n + 64)
		n = (unsigned int)limit.rlim_cur - 64;
	meet();
	answer("x", 1);
	udp_memory_run();
	answered = key.guest_port;
	for (unsigned int i = 0; i < n; i++) {
		key.guest_port = (uint16_t)(10000 + i);
		udp_memory_say(&key, &i, sizeof(i), 0);
		while (hear() >= 0)
			;
	}
	udp_memory_run();
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.refused, 0);
	assert_int_equal(stats.now, n + 1);
	do
		listed += (unsigned int)udp_list(m->udp, &cursor, list, 100);
	while (cursor);
	assert_int_equal(listed, n + 1);
	/* Out of descriptors: those never answered make room, the answered one stays. A refused one has no descriptor to give. */
	m->refuse = true;
	key.guest_port = 9;
	udp_memory_say(&key, "x", 1, 0);
	m->refuse = false;
	limit.rlim_cur = (rlim_t)m->udp->flows[n].source.fd; /* none is left below */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	key.guest_port = 10;
	udp_memory_say(&key, "x", 1, 0);
	assert_non_null(udp_flow_find(m->udp, UDP_BY_KEY, &key));
	udp_memory_run();
	limit.rlim_cur = n / 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned int i = 0; i < 100; i++) {
		key.guest_port = (uint16_t)(30000 + i);
		udp_memory_say(&key, &i, sizeof(i), 0);
	}
	udp_memory_run();
	udp_get_stats(m->udp, &stats);
	assert_true(stats.now <= n + 2);
	key.guest_port = answered;
	assert_non_null(udp_flow_find(m->udp, UDP_BY_KEY, &key));
}

static void test_table_is_full(void **state)
{
	struct udp_stats stats;

	/* Refused flows need no descriptor and are the first to go. */
	m->refuse = true;
	for (unsigned int i = 0; i < UDP_FLOWS_MAX + 100; i++) {
		key.guest_port = (uint16_t)(1 + i);
		udp_memory_say(&key, "x", 1, 0);
	}
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.now, UDP_FLOWS_MAX);
	assert_int_equal(m->decisions, UDP_FLOWS_MAX + 100);
	key.guest_port = 1;
	assert_null(udp_flow_find(m->udp, UDP_BY_KEY, &key));
	/* A table of nothing but flows in use refuses. */
	for (uint32_t i = 0; i < UDP_FLOWS_MAX; i++)
		udp_flow_touch(m->udp, &m->udp->flows[i], UDP_LIST_LONG);
	m->refuse = false;
	udp_memory_say(&key, "x", 1, 0);
	assert_null(udp_flow_find(m->udp, UDP_BY_KEY, &key));
}

static void test_rules_change(void **state)
{
	struct udp_stats stats;

	meet();
	m->policy.rules = (struct rules){.egress = true};
	udp_rules_changed(m->udp);
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.now, 1);
	m->policy.rules.egress = false;
	udp_rules_changed(m->udp);
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.now, 0);
}

static void test_local(void **state)
{
	struct flow_key dns = {.host = m->udp->config.gateway4, .guest = m->udp->config.guest4, .host_port = 53, .guest_port = 777};

	key = dns;
	assert_int_equal(udp_send_local(m->udp, &dns, "answer", 6), 0);
	expect(0, "answer", 6);
	m->buffers = 0;
	assert_int_equal(udp_send_local(m->udp, &dns, "answer", 6), -EAGAIN);
	udp_wire_down(m->udp);
	assert_int_equal(udp_send_local(m->udp, &dns, "answer", 6), -EAGAIN);
}

int main(void)
{
	static struct wire_caps plain = {.mtu = 1500}, groups = {.csum = true, .uso = true, .mergeable = true, .mtu = 1500};
	static struct wire_caps large = {.csum = true, .mergeable = true, .mtu = 65520};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused_by_a_rule, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_tells_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreachable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_back_and_forth, set_up, tear_down),
		cmocka_unit_test_prestate_setup_teardown(test_back_and_forth, set_up, tear_down, &plain),
		cmocka_unit_test_setup_teardown(test_ipv6, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_batches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flows_side_by_side, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_superframe, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_straight_into_guest_buffers, set_up, tear_down),
		cmocka_unit_test_prestate_setup_teardown(test_straight_into_guest_buffers, set_up, tear_down, &plain),
		cmocka_unit_test_prestate_setup_teardown(test_groups_made_here, set_up, tear_down, &groups),
		cmocka_unit_test_setup_teardown(test_larger_than_the_mtu, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large_among_small, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_buffers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_small_buffers, set_up, tear_down),
		cmocka_unit_test_prestate_setup_teardown(test_small_buffers, set_up, tear_down, &large),
		cmocka_unit_test_prestate_setup_teardown(test_groups_to_the_guest, set_up, tear_down, &groups),
		cmocka_unit_test_prestate_setup_teardown(test_groups_keep_their_boundaries, set_up, tear_down, &groups),
		cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_flows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_table_is_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rules_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_local, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
