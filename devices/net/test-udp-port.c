/* SPDX-License-Identifier: Apache-2.0 */
/* test-udp-port: published UDP ports: clients on loopback, answers of the guest, and what must not happen (features N-33). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/test.h"
#include "devices/net/udp-memory.h"
#include "proto/netctl.h"

enum { CLIENTS = 8 };

static struct udp_memory *const m = &udp_memory;
static struct udp_port *port;
static struct net_addr target;
static uint16_t bound;
static int clients[CLIENTS];
static char got[70000];

/* A bound socket, as the backend hands it over. */
static int bound_socket(int family, const struct net_addr *addr)
{
	struct sockaddr_in6 name;
	socklen_t len = udp_sockaddr(&name, family == AF_INET6, addr, 0, 0);
	int fd = socket(family, SOCK_DGRAM, 0), off = 0;

	assert_true(fd >= 0);
	if (family == AF_INET6)
		assert_int_equal(setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	bound = ntohs(name.sin6_port);
	return fd;
}

/* A client's connected socket: it hears answers from the very address it spoke to only. */
static int client(uint32_t server)
{
	struct net_addr addr = net_addr4(server);
	struct sockaddr_in6 name;
	socklen_t len = udp_sockaddr(&name, false, &addr, bound, 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return ntohs(name.sin_port);
}

static void publish(int family)
{
	struct net_addr any = family == AF_INET ? net_addr4(INADDR_ANY) : (struct net_addr){{0}};

	target = net_addr4(0xac110002); /* 172.17.0.2 */
	assert_int_equal(udp_port_add_consume(m->udp, bound_socket(family, &any), &target, 53, 7, &port), 0);
}

static int set_up(void **state)
{
	udp_memory_init(NULL);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = -1;
	publish(AF_INET);
	return 0;
}

static int tear_down(void **state)
{
	int bad = (int)m->n_malformed;

	for (int i = 0; i < CLIENTS; i++)
		if (clients[i] >= 0)
			close(clients[i]);
	udp_memory_done();
	return bad;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void expect_text(int fd, const char *text)
{
	ssize_t n = recv(fd, got, sizeof(got), 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* Frame I went to the target with TEXT. Return: whom the guest sees. */
static struct flow_key seen(size_t i, const char *text)
{
	const struct udp_memory_frame *f = &m->sent[i];
	struct flow_key key = {.host = f->parsed.src, .guest = f->parsed.dst, .host_port = f->parsed.udp.src_port,
			       .guest_port = f->parsed.udp.dst_port};

	assert_true(i < m->n_sent);
	assert_int_equal(f->parsed.payload_len, strlen(text));
	assert_memory_equal(f->data + f->parsed.payload_off, text, strlen(text));
	assert_true(net_addr_equal(&key.guest, &target));
	assert_int_equal(key.guest_port, 53);
	return key;
}

static void guest_says(const struct flow_key *key, const char *text)
{
	udp_memory_say(key, text, strlen(text), 0);
	udp_memory_run();
}

static void test_not_a_udp_socket(void **state)
{
	struct udp_port *other;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(udp_port_add_consume(m->udp, fd, &target, 1, 1, &other), -EINVAL);
	assert_int_equal(close(fd), -1); /* consumed all the same */
	assert_int_equal(udp_port_add_consume(m->udp, -EBADF, &target, 1, 1, &other), -EINVAL);
}

static void test_real_client(void **state)
{
	struct netctl_port_count count;
	struct flow_key key;

	/* Bound to all addresses: the answer comes from the one that was asked. */
	clients[0] = client(0x7f000002);
	send_text(clients[0], "question");
	udp_memory_run();
	key = seen(0, "question");
	assert_true(net_addr_equal(&key.host, &(struct net_addr){{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}) ||
		    net_addr_equal(&key.host, &(struct net_addr){{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 2}}));
	assert_int_equal(key.host_port, port_of(clients[0]));
	guest_says(&key, "answer");
	expect_text(clients[0], "answer");
	assert_int_equal(m->decisions, 0);
	udp_port_count(port, &count);
	assert_int_equal(count.id, 7);
	assert_int_equal(count.connections, 1);
	assert_int_equal(count.now, 1);
	assert_int_equal(count.rx_bytes, 8);
	assert_int_equal(count.tx_bytes, 6);
}

static void test_gateway_with_ports_of_its_own(void **state)
{
	struct flow_key key[CLIENTS];
	char text[16];

	m->disguise = true;
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client(0x7f000001);
		snprintf(text, sizeof(text), "question %d", i);
		send_text(clients[i], text);
	}
	udp_memory_run();
	for (int i = 0; i < CLIENTS; i++) {
		snprintf(text, sizeof(text), "question %d", i);
		key[i] = seen((size_t)i, text);
		assert_true(net_addr_equal(&key[i].host, &m->udp->config.gateway4));
		for (int j = 0; j < i; j++)
			assert_int_not_equal(key[i].host_port, key[j].host_port);
	}
	for (int i = CLIENTS - 1; i >= 0; i--) {
		snprintf(text, sizeof(text), "answer %d", i);
		udp_memory_say(&key[i], text, strlen(text), 0);
	}
	udp_memory_run();
	for (int i = 0; i < CLIENTS; i++) {
		snprintf(text, sizeof(text), "answer %d", i);
		expect_text(clients[i], text);
	}
	/* Another port of the gateway is nobody's: not even the rules are asked. */
	udp_memory_say(&(struct flow_key){.host = key[0].host, .guest = target, .host_port = 9, .guest_port = 53}, "x", 1, 0);
	assert_int_equal(m->decisions, 0);
	assert_int_equal(m->udp->slots.n_used, CLIENTS);
	/* The same client keeps its pair. */
	udp_memory_clear();
	send_text(clients[3], "again");
	udp_memory_run();
	assert_int_equal(seen(0, "again").host_port, key[3].host_port);
}

/* One client, two ports of the same container: two pairs. */
static void test_same_pair_twice(void **state)
{
	struct net_addr any = net_addr4(INADDR_ANY);
	struct udp_port *second;
	struct sockaddr_in6 name;
	struct net_addr loopback = net_addr4(INADDR_LOOPBACK);
	struct flow_key a, b;
	uint16_t first = bound;

	clients[0] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(udp_port_add_consume(m->udp, bound_socket(AF_INET, &any), &target, 53, 8, &second), 0);
	for (int i = 0; i < 2; i++) {
		socklen_t len = udp_sockaddr(&name, false, &loopback, i ? bound : first, 0);

		assert_int_equal(sendto(clients[0], i ? "b" : "a", 1, 0, (struct sockaddr *)&name, len), 1);
		udp_memory_run();
	}
	a = seen(0, "a");
	b = seen(1, "b");
	assert_int_not_equal(a.host_port, b.host_port);
	assert_true(net_addr_equal(&b.host, &m->udp->config.gateway4));
	for (int i = 0; i < 2; i++) {
		socklen_t len = sizeof(name);

		guest_says(i ? &b : &a, "x");
		assert_int_equal(recvfrom(clients[0], got, sizeof(got), 0, (struct sockaddr *)&name, &len), 1);
		assert_int_equal(ntohs(name.sin6_port), i ? bound : first);
	}
}

/* A client that is gone, a guest that is slow, silence: the port stays (N-33). */
static void test_no_eager_close(void **state)
{
	struct flow_key key;

	clients[0] = client(0x7f000001);
	send_text(clients[0], "one");
	udp_memory_run();
	key = seen(0, "one");
	close(clients[0]);
	clients[0] = -1;
	guest_says(&key, "nobody is there");
	guest_says(&key, "nobody is there");
	m->now_us += UDP_IDLE_US - 1;
	udp_memory_run();
	udp_memory_clear();
	clients[1] = client(0x7f000001);
	send_text(clients[1], "");
	send_text(clients[1], "two");
	udp_memory_run();
	seen(0, "");
	key = seen(1, "two");
	m->now_us += UDP_IDLE_UNANSWERED_US - 1;
	guest_says(&key, "late");
	expect_text(clients[1], "late");
	m->now_us += UDP_IDLE_US + 1;
	udp_memory_run();
	/* The flow has gone, the port has not, and the client begins anew with the same pair. */
	udp_memory_clear();
	send_text(clients[1], "three");
	udp_memory_run();
	assert_int_equal(seen(0, "three").host_port, key.host_port);
	guest_says(&key, "answer");
	expect_text(clients[1], "answer");
}

static void test_removed(void **state)
{
	struct udp_stats stats;
	struct flow_key key;

	clients[0] = client(0x7f000001);
	send_text(clients[0], "one");
	udp_memory_run();
	key = seen(0, "one");
	udp_memory_say(&key, "on its way", 10, 0);
	udp_port_remove(m->udp, port);
	udp_memory_run();
	expect_text(clients[0], "on its way");
	udp_get_stats(m->udp, &stats);
	assert_int_equal(stats.now, 0);
	assert_int_equal(send(clients[0], "x", 1, 0), 1);
	assert_int_equal(recv(clients[0], got, sizeof(got), 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	/* What the guest says to it now is a flow of the guest's: for the rules. */
	m->refuse = true;
	guest_says(&key, "x");
	assert_int_equal(m->decisions, 1);
}

static void test_both_families(void **state)
{
	struct flow_key key;

	publish(AF_INET6);
	clients[0] = client(0x7f000003);
	send_text(clients[0], "through ::");
	udp_memory_run();
	key = seen(0, "through ::");
	assert_true(net_addr_is_v4(&key.host));
	guest_says(&key, "answer");
	expect_text(clients[0], "answer");
}

static void test_busy(void **state)
{
	static char payload[1400];
	struct flow_key key;

	clients[0] = client(0x7f000001);
	for (int round = 0; round < 4; round++) {
		udp_memory_clear();
		for (int i = 0; i < 100; i++)
			assert_int_equal(send(clients[0], payload, sizeof(payload), 0), sizeof(payload));
		udp_memory_run();
		assert_int_equal(m->n_sent, 100);
	}
	key = (struct flow_key){.host = m->sent[0].parsed.src, .guest = target,
				.host_port = m->sent[0].parsed.udp.src_port, .guest_port = 53};
	for (int i = 0; i < 60; i++)
		udp_memory_say(&key, payload, sizeof(payload), 0);
	udp_memory_run();
	for (int i = 0; i < 60; i++)
		assert_int_equal(recv(clients[0], got, sizeof(got), 0), sizeof(payload));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_not_a_udp_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_real_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gateway_with_ports_of_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_pair_twice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_eager_close, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_both_families, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_busy, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
