/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-link: the backend's frames and what they change; what a broken link takes away, and when it is the end.
 */
#include "devices/net/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/chan.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/sock.h"
#include "base/test.h"
#include "devices/net/echo.h"
#include "devices/net/memory-wire.h"
#include "devices/net/udp-table.h"
#include "devices/net/watch.h"
#include "proto/data-card.h"

static struct memory_net m;
static struct host_inet inet;
static struct policy policy;
static struct capture capture;
static struct data_card card;
static struct card rings; /* no connection */
static struct link link_; /* link() is a system call */
static struct loop *loop;
static int backend, watch_fd;
static struct netctl_message message;
static const struct wire_caps caps = {.mtu = 1500};

static int answer(void *data, const struct flow_key *key, const void *payload, size_t len)
{
	return 0;
}

static void set_up_card(void)
{
	struct udp_config udp = {.wire = &memory_wire_ops, .wire_data = &m, .watch_fd = watch_fd, .policy = &policy, .icmp = &card.icmp};
	struct echo_config echo = {.wire = &memory_wire_ops, .wire_data = &m, .watch_fd = watch_fd, .policy = &policy,
				   .icmp = &card.icmp};
	struct dns_config dns = {.watch_fd = watch_fd, .policy = &policy, .answer = answer};

	memset(&card, 0, sizeof(card));
	card.wire = &memory_wire_ops;
	card.wire_data = &m;
	card.tcp = &m.tcp;
	card.udp = udp_init(&udp);
	card.dns = dns_init(&dns);
	card.echo = echo_init(&echo);
	card.policy = &policy;
}

static int set_up(void **state)
{
	struct link_config config = {.rings = &rings, .card = &card, .host = &inet, .capture = &capture};
	int fds[2];

	memory_net_init(&m, 8, &caps);
	watch_fd = watch_new();
	memset(&policy, 0, sizeof(policy));
	memset(&capture, 0, sizeof(capture));
	set_up_card();
	assert_int_equal(host_inet_init(&inet), 0);
	inet.policy = &policy;
	inet.dns = card.dns;
	m.tcp.host = &host_inet_ops;
	m.tcp.host_data = &inet;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(sock_pair(SOCK_SEQPACKET, fds), 0);
	backend = fds[1];
	assert_int_equal(fd_set_nonblock(backend, true), 0);
	config.fd = fds[0];
	config.loop = loop;
	config.publish = publish_init(&(struct publish_config){watch_fd, &m.tcp, card.udp});
	assert_int_equal(link_start(&link_, &config, loop_now_us()), 0);
	return 0;
}

static int tear_down(void **state)
{
	link_stop(&link_);
	loop = loop_free(loop);
	backend = fd_close(backend);
	fd_close(inet.proxy_fd);
	fd_close(watch_fd);
	memory_net_done(&m);
	return 0;
}

static void start(enum netctl_type type)
{
	memset(&message, 0, sizeof(message));
	message.type = type;
}

/* Sends MESSAGE with FD (kept, -EBADF: none) and lets the link take it. */
static void tell(int fd)
{
	uint8_t frame[NETCTL_FRAME_MAX];
	int len = netctl_encode(&message, frame);

	assert_true(len > 0);
	assert_int_equal(chan_send(backend, frame, (size_t)len, &fd, fd >= 0), 0);
	assert_true(loop_step(loop, 0) >= 0);
	link_run(&link_);
}

/* The next frame to the backend, into MESSAGE. */
static void expect(enum netctl_type type)
{
	uint8_t frame[NETCTL_FRAME_MAX];
	size_t n_fds = 0;
	ssize_t n = chan_recv(backend, frame, sizeof(frame), NULL, &n_fds);

	assert_true(n > 0);
	assert_int_equal(netctl_decode(&message, NETCTL_TO_BACKEND, frame, (size_t)n, n_fds), 0);
	assert_int_equal(message.type, type);
}

static void expect_silence(void)
{
	uint8_t byte;

	assert_int_equal(recv(backend, &byte, 1, MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

static void config(void)
{
	start(NETCTL_CONFIG);
	message.config = (struct netctl_config){0x0a140a00, 1400, true, NETCTL_DNS_ALL, {1, 2}};
	tell(-EBADF);
}

static void rules(bool egress)
{
	start(NETCTL_RULES);
	message.rules.host = RULES_HOST_ALL;
	message.rules.egress = egress;
	tell(-EBADF);
}

static void ready(void)
{
	config();
	rules(true);
	expect(NETCTL_READY);
}

/* Nothing is allowed before both are there, in either order, and READY is said once. */
static void test_ready(void **state)
{
	struct rules_verdict verdict;
	struct net_addr addr = net_addr4(0x08080808), alias = net_addr4(0x0a140afe);

	rules(true);
	expect_silence();
	policy_decide(&policy, RULES_TCP, &addr, 80, &verdict);
	assert_false(verdict.allow);
	assert_false(card.configured);
	config();
	expect(NETCTL_READY);
	assert_int_equal(message.ready.version, NETCTL_VERSION);
	policy_decide(&policy, RULES_TCP, &addr, 80, &verdict);
	assert_true(verdict.allow);
	policy_decide(&policy, RULES_TCP, &alias, 80, &verdict);
	assert_true(verdict.allow && verdict.to_host && verdict.rule == RULE_HOST_ALIAS);
	assert_int_equal(card.mtu, 1400);
	addr = net_addr4(0x0a140a01);
	assert_true(net_addr_equal(&inet.gateway4, &addr));
	rules(true);
	config();
	expect_silence();
}

static void test_rules_at_once(void **state)
{
	struct rules_verdict verdict;
	struct net_addr addr = net_addr4(0xcb007109);

	ready();
	start(NETCTL_HOST_ADDRS);
	message.host_addrs.n = 1;
	message.host_addrs.addr[0] = addr;
	tell(-EBADF);
	policy_decide(&policy, RULES_UDP, &addr, 80, &verdict);
	assert_true(verdict.allow && verdict.rule == RULE_HOST_ADDRESS);
	start(NETCTL_RULES);
	message.rules.host = RULES_HOST_NONE;
	tell(-EBADF);
	policy_decide(&policy, RULES_UDP, &addr, 80, &verdict);
	assert_false(verdict.allow);
	start(NETCTL_HOST_ADDRS);
	tell(-EBADF);
	policy_decide(&policy, RULES_UDP, &addr, 80, &verdict);
	assert_false(verdict.allow);
	assert_int_equal(verdict.rule, RULE_EGRESS);
}

/* A running flow of the guest that the new rules refuse ends; one that they allow goes on. */
static void test_rules_end_flows(void **state)
{
	static const uint32_t to[] = {0x08080808, 0x08080404, 0x0a140a01};
	struct net_addr guest = net_addr4(0x0a140a03);

	ready();
	for (uint16_t i = 0; i < ARRAY_SIZE(to); i++) {
		struct flow_key key = {net_addr4(to[i]), guest, 53, (uint16_t)(40000 + i)};
		struct flow *flow = flow_new(&m.tcp.flows, &key);

		flow->flags |= FLOW_BY_GUEST;
		flow->state = FLOW_OPEN;
		flow->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	start(NETCTL_RULES);
	message.rules.egress = true;
	message.rules.n_user = 1;
	message.rules.user[0] = (struct rules_user){"no", false, RULES_ANY, 128, net_addr4(to[0]), {0, 65535}};
	tell(-EBADF);
	memory_net_run(&m);
	assert_int_equal(m.tcp.flows.slots.n_used, 2);
	assert_null(flow_find(&m.tcp.flows, &(struct flow_key){net_addr4(to[0]), guest, 53, 40000}));
}

static int make_listener(void)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static uint16_t ports_listed(void)
{
	start(NETCTL_GET);
	message.get.what = NETCTL_GET_PORTS;
	tell(-EBADF);
	expect(NETCTL_PORT_COUNTS);
	return message.port_counts.n;
}

static void add_port(uint32_t id, int fd)
{
	start(NETCTL_PORT_ADD);
	message.port = (struct netctl_port){id, false, net_addr4(0xac110002), 80, net_addr4(INADDR_LOOPBACK), 8080};
	tell(fd);
}

/* A CONFIG that says the same again ends nothing, another subnet does. */
static void test_config_again(void **state)
{
	struct flow_key key = {net_addr4(0x08080808), net_addr4(0x0a140a03), 53, 40000};
	struct udp_stats udp;
	struct flow *flow;

	ready();
	assert_non_null(udp_flow_new(card.udp, &key));
	flow = flow_new(&m.tcp.flows, &key);
	flow->state = FLOW_OPEN;
	flow->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	config();
	start(NETCTL_CONFIG);
	message.config = (struct netctl_config){0x0a140a00, 1400, true, NETCTL_DNS_NO_A, {3, 4}};
	tell(-EBADF);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	udp_get_stats(card.udp, &udp);
	assert_int_equal(udp.now, 1);
	start(NETCTL_CONFIG);
	message.config = (struct netctl_config){0x0a140b00, 1400, true, NETCTL_DNS_NO_A, {3, 4}};
	tell(-EBADF);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	udp_get_stats(card.udp, &udp);
	assert_int_equal(udp.now, 0);
	assert_true(net_addr_equal(&policy.rules.gateway4, &card.gateway4));
}

static void test_ports(void **state)
{
	int fd = make_listener();

	ready();
	add_port(7, fd);
	assert_int_equal(ports_listed(), 1);
	assert_int_equal(message.port_counts.port[0].id, 7);
	add_port(7, fd); /* a mistake of the backend is a log line, not the end */
	assert_int_equal(ports_listed(), 1);
	start(NETCTL_PORT_REMOVE);
	message.port_remove.id = 7;
	tell(-EBADF);
	assert_int_equal(ports_listed(), 0);
	assert_false(link_.ended);
	fd_close(fd);
}

static void test_answers(void **state)
{
	static const struct {
		enum netctl_what what;
		enum netctl_type type;
	} rows[] = {
		{NETCTL_GET_STATS, NETCTL_STATS},	   {NETCTL_GET_FLOWS, NETCTL_FLOWS},
		{NETCTL_GET_RULES, NETCTL_RULE_COUNTS},	   {NETCTL_GET_PORTS, NETCTL_PORT_COUNTS},
		{NETCTL_GET_DNS, NETCTL_DNS_CACHE},
	};

	ready();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(NETCTL_GET);
		message.get.what = rows[i].what;
		tell(-EBADF);
		expect(rows[i].type);
	}
	start(NETCTL_GET);
	message.get = (struct netctl_get){NETCTL_GET_FLOWS, UINT32_MAX};
	tell(-EBADF);
	expect(NETCTL_FLOWS);
	assert_int_equal(message.flows.n, 0);
	assert_int_equal(message.flows.next, 0);
}

/* Many flows come in pieces, each once. */
static void test_flow_pieces(void **state)
{
	uint32_t cursor = 0, n = 0;

	tear_down(state);
	set_up(state);
	memory_net_done(&m);
	memory_net_init(&m, 400, &caps);
	for (uint16_t i = 0; i < 300; i++) {
		struct flow_key key = {net_addr4(0x08080808), net_addr4(0x0a140a03), 80, (uint16_t)(40000 + i)};

		assert_non_null(flow_new(&m.tcp.flows, &key));
	}
	do {
		start(NETCTL_GET);
		message.get = (struct netctl_get){NETCTL_GET_FLOWS, cursor};
		tell(-EBADF);
		expect(NETCTL_FLOWS);
		cursor = message.flows.next;
		n += message.flows.n;
	} while (cursor);
	assert_int_equal(n, 300);
}

static void test_proxy(void **state)
{
	int fds[2];
	char byte;

	ready();
	assert_int_equal(inet.proxy_fd, -EBADF);
	for (int i = 0; i < 2; i++) { /* the second takes the place of the first */
		assert_int_equal(sock_pair(SOCK_SEQPACKET, fds), 0);
		start(NETCTL_PROXY);
		tell(fds[1]);
		fd_close(fds[1]);
		assert_int_equal(send(inet.proxy_fd, "x", 1, 0), 1);
		assert_int_equal(recv(fds[0], &byte, 1, 0), 1);
		fd_close(fds[0]);
	}
}

static void test_capture(void **state)
{
	int fd = memfd_create("pcap", MFD_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ready();
	start(NETCTL_CAPTURE);
	message.capture = (struct netctl_capture){1500, 1 << 20, 0};
	tell(fd);
	assert_true(capture.on);
	start(NETCTL_CAPTURE_STOP);
	tell(-EBADF);
	capture_timers(&capture, loop_now_us());
	link_run(&link_);
	expect(NETCTL_CAPTURE_END);
	assert_int_equal(message.capture_end.why, NETCTL_CAPTURE_STOPPED);
	assert_int_equal(message.capture_end.bytes, 24);
	assert_int_equal(lseek(fd, 0, SEEK_END), 24);
	/* a descriptor that will not do */
	start(NETCTL_CAPTURE);
	message.capture = (struct netctl_capture){1500, 1 << 20, 0};
	tell(null);
	expect(NETCTL_CAPTURE_END);
	assert_int_equal(message.capture_end.why, NETCTL_CAPTURE_CLOSED);
	fd_close(fd);
	fd_close(null);
}

/* The backend dies: ports are gone at once, and this process has nothing more to do. */
static void test_backend_gone(void **state)
{
	int fd = make_listener();
	struct rules_verdict verdict;
	struct net_addr addr = net_addr4(0x08080808);
	struct netctl_port_count counts[1];
	uint32_t cursor = 0;

	ready();
	add_port(7, fd);
	assert_false(link_is_over(&link_));
	backend = fd_close(backend);
	assert_true(loop_step(loop, 0) >= 0);
	assert_true(link_.ended && link_is_over(&link_));
	assert_string_equal(link_.reason, "the backend is gone");
	assert_int_equal(publish_counts(link_.config.publish, &cursor, counts, 1), 0);
	policy_decide(&policy, RULES_TCP, &addr, 80, &verdict);
	assert_true(verdict.allow && card.configured);
	assert_int_equal(loop_step(loop, 0), 0); /* and no event comes again and again */
	link_run(&link_);
	fd_close(fd);
}

/* Not configured yet, or half: such a process serves nothing and waits; the machine knows better when to start anew. */
static void test_backend_gone_early(void **state)
{
	for (int i = 0; i < 3; i++) {
		tear_down(state);
		set_up(state);
		if (i == 1)
			config();
		if (i == 2)
			rules(true);
		backend = fd_close(backend);
		assert_true(loop_step(loop, 0) >= 0);
		assert_true(link_.ended);
		assert_false(link_is_over(&link_));
		assert_int_equal(loop_step(loop, 0), 0);
	}
}

/* Each of these ends the link; the same frame unbroken does not (the other tests). */
static void test_broken_frames(void **state)
{
	for (int i = 0; i < 5; i++) {
		uint8_t frame[NETCTL_FRAME_MAX + 1] = {0};
		int len, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		size_t n_fds = 0;

		tear_down(state);
		set_up(state);
		ready();
		start(i == 4 ? NETCTL_PROXY : NETCTL_CAPTURE_STOP);
		len = netctl_encode(&message, frame);
		if (i == 0)
			le16_store(frame, NETCTL_READY); /* the other direction */
		else if (i == 1)
			n_fds = 1;
		else if (i == 2)
			len--;
		else if (i == 3)
			len = sizeof(frame);
		assert_int_equal(chan_send(backend, frame, (size_t)len, &null, n_fds), 0);
		assert_true(loop_step(loop, 0) >= 0);
		assert_true(link_.ended && link_is_over(&link_));
		assert_string_not_equal(link_.reason, "the backend is gone");
		fd_close(null);
	}
}

/* The backend does not read: answers are dropped, nothing waits. */
static void test_deaf_backend(void **state)
{
	ready();
	for (int i = 0; i < 2000; i++) {
		start(NETCTL_GET);
		message.get.what = NETCTL_GET_RULES;
		tell(-EBADF);
	}
	assert_false(link_.ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rules_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rules_end_flows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_config_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flow_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_proxy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_capture, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backend_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backend_gone_early, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_frames, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deaf_backend, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
