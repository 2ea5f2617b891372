/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-publish: published ports with real sockets of the loopback interface and a guest in memory: who is let in, as whom the
 * guest sees them (NET-11), and what is left when a port is gone.
 */
#include "devices/net/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sock.h"
#include "base/test.h"
#include "devices/net/host-inet.h"
#include "devices/net/memory-wire.h"
#include "devices/net/watch.h"
#include "proto/data-card.h"

static struct memory_net m;
static struct host_inet inet;
static struct publish *p;
static int watch_fd;
static const struct wire_caps caps = {.mtu = 1500};
static const struct net_addr gateway6 = {{0xfd, 0xca, 0x15, 0x50, 0x9b, 0x3e, 0, 1, [15] = 1}};

static int set_up(void **state)
{
	struct net_addr gateway4 = net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GATEWAY);
	struct udp_config udp = {.wire = &memory_wire_ops, .wire_data = &m};

	memory_net_init(&m, 8, &caps);
	assert_int_equal(host_inet_init(&inet), 0);
	m.tcp.host = &host_inet_ops;
	m.tcp.host_data = &inet;
	watch_fd = watch_new();
	udp.watch_fd = watch_fd;
	p = publish_init(&(struct publish_config){watch_fd, &m.tcp, udp_init(&udp)});
	publish_set_addresses(p, &gateway4, &gateway6);
	m.tcp.ended = publish_flow_ended;
	m.tcp.ended_data = p;
	return 0;
}

static int tear_down(void **state)
{
	publish_remove_all(p);
	memory_net_done(&m);
	fd_close(watch_fd);
	return 0;
}

static struct netctl_port port_of(uint32_t id)
{
	return (struct netctl_port){.id = id, .target = net_addr4(0xac110002), .target_port = 80, .bound = net_addr4(0),
				    .bound_port = 8080};
}

/* A listener on ADDRESS. Return: its descriptor, *RET_NAME is where to connect. */
static int listener(uint32_t address, struct sockaddr_in *ret_name)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
	socklen_t len = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	if (!address)
		name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*ret_name = name;
	return fd;
}

static int client(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof(*to)), 0);
	return fd;
}

/* One round: events, clients, frames. */
static bool go(bool up)
{
	bool more;

	assert_int_equal(watch_dispatch(watch_fd, publish_host_event, p), 0);
	more = publish_run(p, up, m.now_us);
	memory_net_run(&m);
	return more;
}

static struct netctl_port_count count_of(uint32_t id)
{
	struct netctl_port_count counts[NETCTL_PORTS_PIECE_MAX];
	uint32_t cursor = 0;
	size_t n = publish_counts(p, &cursor, counts, ARRAY_SIZE(counts));

	assert_int_equal(cursor, 0);
	for (size_t i = 0; i < n; i++)
		if (counts[i].id == id)
			return counts[i];
	fail_msg("port %u is not listed", id);
	return counts[0];
}

/* NET-11: a loopback client is the gateway for the container, with a port of ours. */
static void test_loopback_client(void **state)
{
	struct sockaddr_in name;
	struct netctl_port port = port_of(7);
	int fd = listener(INADDR_LOOPBACK, &name), c;
	struct net_addr gateway4 = net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GATEWAY);

	assert_int_equal(publish_add_consume(p, &port, fd), 0);
	c = client(&name);
	assert_false(go(true));
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(m.sent[0].parsed.tcp.flags, NET_SYN);
	assert_true(net_addr_equal(&m.sent[0].parsed.src, &gateway4));
	assert_true(net_addr_equal(&m.sent[0].parsed.dst, &port.target));
	assert_int_equal(m.sent[0].parsed.tcp.dst_port, 80);
	assert_int_equal(count_of(7).connections, 1);
	assert_int_equal(count_of(7).now, 1);
	fd_close(c);
}

/* The first address of this computer that is not loopback; 0: none. */
static uint32_t other_address(void)
{
	struct ifaddrs *list;
	uint32_t found = 0;

	assert_int_equal(getifaddrs(&list), 0);
	for (struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
		struct sockaddr_in in;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&in, i->ifa_addr, sizeof(in));
		found = ntohl(in.sin_addr.s_addr);
		if (found >> 24 == 127 || found >> 16 == 0xa9fe)
			found = 0;
	}
	freeifaddrs(list);
	return found;
}

/* NET-11: any other client is itself, address and port. */
static void test_real_client(void **state)
{
	struct sockaddr_in name, own;
	socklen_t len = sizeof(own);
	struct netctl_port port = port_of(7);
	uint32_t address = other_address();
	struct net_addr addr = net_addr4(address);
	int c;

	if (!address)
		skip();
	assert_int_equal(publish_add_consume(p, &port, listener(address, &name)), 0);
	c = client(&name);
	assert_int_equal(getsockname(c, (struct sockaddr *)&own, &len), 0);
	go(true);
	assert_int_equal(m.n_sent, 1);
	assert_true(net_addr_equal(&m.sent[0].parsed.src, &addr));
	assert_int_equal(m.sent[0].parsed.tcp.src_port, ntohs(own.sin_port));
	fd_close(c);
}

static void test_disguise(void **state)
{
	static const struct {
		struct net_addr client;
		bool v6_target, disguised;
	} rows[] = {
		{{{[10] = 0xff, 0xff, 10, 0, 0, 9}}, false, false},
		{{{[10] = 0xff, 0xff, 127, 0, 0, 1}}, false, true},
		{{{[10] = 0xff, 0xff, 127, 9, 9, 9}}, false, true},
		{{{[10] = 0xff, 0xff, 192, 168, 65, 7}}, false, true}, /* the card's own network */
		{{{[10] = 0xff, 0xff, 192, 168, 66, 7}}, false, false},
		{{{[10] = 0xff, 0xff, 172, 17, 3, 4}}, false, true}, /* a network of the VM */
		{{{[10] = 0xff, 0xff, 172, 18, 3, 4}}, false, false},
		{{{[10] = 0xff, 0xff, 169, 254, 3, 4}}, false, true},
		{{{[15] = 1}}, false, true},
		{{{0x20, 1, 0x0d, 0xb8, [15] = 1}}, false, true}, /* the other family */
		{{{0x20, 1, 0x0d, 0xb8, [15] = 1}}, true, false},
		{{{[15] = 1}}, true, true},
		{{{0xfe, 0x80, [15] = 9}}, true, true},
		{{{0xfd, 0xca, 0x15, 0x50, 0x9b, 0x3e, 0, 1, [15] = 9}}, true, true},
		{{{0xfd, 0xca, 0x15, 0x50, 0x9b, 0x3e, 0, 2, [15] = 9}}, true, false},
		{{{0xfd, 0x99, [15] = 9}}, true, true}, /* a network of the VM */
		{{{[10] = 0xff, 0xff, 10, 0, 0, 9}}, true, true},
	};
	struct netctl_net nets[] = {{net_addr4(0xac110000), 112}, {{{0xfd, 0x99}}, 32}};
	struct net_addr gateway4 = net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GATEWAY);

	publish_nets(p, nets, ARRAY_SIZE(nets));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_addr target = rows[i].v6_target ? (struct net_addr){{0xfd, 5, [15] = 2}} : net_addr4(0xac110002), seen = {{9}};
		bool disguised = publish_disguise(&rows[i].client, &target, &seen);

		if (disguised != rows[i].disguised)
			fail_msg("row %zu: %d", i, disguised);
		if (disguised)
			assert_true(net_addr_equal(&seen, rows[i].v6_target ? &gateway6 : &gateway4));
		else
			assert_int_equal(seen.byte[0], 9);
	}
	publish_nets(p, nets, 0);
	assert_false(publish_disguise(&rows[5].client, &nets[0].addr, &gateway4));
}

/* Clients wait in the kernel while the card is down, and are taken when it comes up. */
static void test_card_down(void **state)
{
	struct sockaddr_in name;
	struct netctl_port port = port_of(7);
	int fd = listener(INADDR_LOOPBACK, &name), c;

	assert_int_equal(publish_add_consume(p, &port, fd), 0);
	c = client(&name);
	assert_false(go(false));
	assert_int_equal(m.n_sent, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_false(go(true));
	assert_int_equal(m.n_sent, 1);
	fd_close(c);
}

static void test_table_full(void **state)
{
	struct sockaddr_in name;
	struct netctl_port port = port_of(7);
	int fd = listener(INADDR_LOOPBACK, &name), c[10];
	char byte;

	assert_int_equal(publish_add_consume(p, &port, fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = client(&name);
	go(true);
	assert_int_equal(count_of(7).connections, 8);
	assert_int_equal(count_of(7).now, 8);
	assert_int_equal(count_of(7).refused, 2);
	/* refused clients are told */
	assert_true(recv(c[9], &byte, 1, 0) <= 0);
	tcp_drop_all(&m.tcp);
	assert_int_equal(count_of(7).now, 0);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		fd_close(c[i]);
}

/* Out of descriptors: the process lives, does not spin, and takes the client when it can. */
static void test_no_descriptors(void **state)
{
	struct rlimit before, none;
	struct sockaddr_in name;
	struct netctl_port port = port_of(7);
	int fd = listener(INADDR_LOOPBACK, &name), c, top;
	bool more;

	assert_int_equal(publish_add_consume(p, &port, fd), 0);
	c = client(&name);
	top = dup(c);
	fd_close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)top;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	more = go(true);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(more);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_true(publish_deadline(p) == m.now_us + PUBLISH_PAUSE_US);
	assert_false(go(true));
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	m.now_us += PUBLISH_PAUSE_US;
	assert_false(go(true));
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	assert_true(publish_deadline(p) == UINT64_MAX);
	fd_close(c);
}

/* A listener that somebody has shut down: nothing can be accepted, and nothing is tried for ever. */
static void test_listens_no_more(void **state)
{
	struct sockaddr_in name;
	struct netctl_port port = port_of(7);
	int fd = listener(INADDR_LOOPBACK, &name), copy = dup(fd);

	assert_int_equal(publish_add_consume(p, &port, fd), 0);
	assert_int_equal(shutdown(copy, SHUT_RDWR), 0);
	assert_false(go(true));
	fd_close(copy);
	publish_remove(p, 7);
}

/* The backend keeps a copy of every socket: a removed port must not be heard of again, its flows live on. */
static void test_removed(void **state)
{
	struct sockaddr_in name;
	struct netctl_port port = port_of(7);
	int fd = listener(INADDR_LOOPBACK, &name), copy = dup(fd), c;
	uint32_t cursor = 0;
	struct netctl_port_count counts[4];

	assert_int_equal(publish_add_consume(p, &port, fd), 0);
	c = client(&name);
	go(true);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	fd_close(c);
	c = client(&name);
	publish_remove(p, 7);
	publish_remove(p, 8); /* unknown: nothing */
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	go(true);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	assert_int_equal(publish_counts(p, &cursor, counts, 4), 0);
	/* the same id and socket again; the client that waits is taken, the old flow counts for nobody */
	assert_int_equal(publish_add_consume(p, &port, copy), 0);
	go(true);
	assert_int_equal(m.tcp.flows.slots.n_used, 2);
	assert_int_equal(count_of(7).now, 1);
	tcp_drop_all(&m.tcp);
	assert_int_equal(count_of(7).now, 0);
	fd_close(c);
}

/* Ports are served in turn: one with many clients does not keep another waiting. */
static void test_fair(void **state)
{
	struct sockaddr_in names[2];
	struct netctl_port ports[] = {port_of(1), port_of(2)};
	int c[PUBLISH_BATCH + 6];

	for (int i = 0; i < 2; i++)
		assert_int_equal(publish_add_consume(p, &ports[i], listener(INADDR_LOOPBACK, &names[i])), 0);
	for (size_t i = 0; i < ARRAY_SIZE(c) - 1; i++)
		c[i] = client(&names[0]);
	c[ARRAY_SIZE(c) - 1] = client(&names[1]);
	assert_int_equal(watch_dispatch(watch_fd, publish_host_event, p), 0);
	assert_false(publish_run(p, true, m.now_us));
	assert_int_equal(count_of(1).connections + count_of(1).refused, PUBLISH_BATCH + 5);
	assert_int_equal(count_of(2).connections + count_of(2).refused, 1);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		fd_close(c[i]);
}

static void test_refused_descriptors(void **state)
{
	struct netctl_port port = port_of(7);
	struct sockaddr_in name;
	int pair[2], fd;

	assert_int_equal(publish_add_consume(p, &port, -EBADF), -EINVAL);
	fd = socket(AF_INET, SOCK_STREAM, 0); /* does not listen */
	assert_int_equal(publish_add_consume(p, &port, fd), -EINVAL);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(publish_add_consume(p, &port, pair[0]), -EINVAL);
	port.udp = true;
	assert_int_equal(publish_add_consume(p, &port, pair[1]), -EINVAL);
	assert_int_equal(fcntl(pair[1], F_GETFD), -1);
	assert_int_equal(publish_add_consume(p, &port, listener(INADDR_LOOPBACK, &name)), -EINVAL);
	port.udp = false;
	assert_int_equal(publish_add_consume(p, &port, listener(INADDR_LOOPBACK, &name)), 0);
	fd = listener(INADDR_LOOPBACK, &name);
	assert_int_equal(publish_add_consume(p, &port, fd), -EEXIST);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_udp(void **state)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct netctl_port port = port_of(9);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	port.udp = true;
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(publish_add_consume(p, &port, fd), 0);
	assert_int_equal(count_of(9).connections, 0);
	publish_remove_all(p);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* The table's limit, and the pieces of a long list. */
static void test_many(void **state)
{
	struct netctl_port_count counts[NETCTL_PORTS_PIECE_MAX];
	struct sockaddr_in name;
	uint32_t cursor = 0;
	size_t n = 0;

	for (uint32_t id = 1; id <= 300; id++) {
		struct netctl_port port = port_of(id);

		assert_int_equal(publish_add_consume(p, &port, listener(INADDR_LOOPBACK, &name)), 0);
	}
	for (uint32_t id = 2; id <= 300; id += 2)
		publish_remove(p, id);
	do {
		size_t got = publish_counts(p, &cursor, counts, 60);

		for (size_t i = 0; i < got; i++)
			assert_int_equal(counts[i].id % 2, 1);
		n += got;
	} while (cursor);
	assert_int_equal(n, 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_loopback_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_real_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disguise, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_card_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_table_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_listens_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fair, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused_descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_udp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
