/* SPDX-License-Identifier: Apache-2.0 */
/* test-tcp-ends: how flows begin and end: opened, refused, closed, half-closed, reset, forgotten. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/test.h"
#include "devices/net/test-tcp-guest.h"
#include "proto/control-link.h"
#include "proto/netctl.h"

static void test_close(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "x", 1), 1);
	shutdown(m.peers[peer], SHUT_WR);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 2);
	assert_true(guest_heard(1)->tcp.flags & NET_FIN);
	/* The other direction still works. */
	g.ack += 2;
	guest_say(&g, NET_ACK, "answer", 6, 60000);
	assert_int_equal(read(m.peers[peer], buffer, 10), 6);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	guest_say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(guest_heard(m.n_sent - 1)->tcp.ack, g.seq);
	assert_int_equal(read(m.peers[peer], buffer, 10), 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	/* FIN again finds nothing: RST. */
	g.seq--;
	guest_say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_true(guest_heard(0)->tcp.flags & NET_RST);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
}

/* A host end that has finished sending (docker run with its input closed) hears what comes an hour later. */
static void test_half_closed_for_long(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	memory_net_clear(&m);
	assert_int_equal(shutdown(m.peers[peer], SHUT_WR), 0);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_true(guest_heard(0)->tcp.flags & NET_FIN);
	g.ack++;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
	m.now_us += UINT64_C(3600) * 1000000;
	memory_net_run(&m);
	guest_say(&g, NET_ACK, "late", 4, 60000);
	assert_int_equal(recv(m.peers[peer], buffer, 10, MSG_DONTWAIT), 4);
	assert_memory_equal(buffer, "late", 4);
	guest_say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(recv(m.peers[peer], buffer, 10, MSG_DONTWAIT), 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

/* A host end that is gone altogether: the guest has a minute to finish, and is told at once when it sends. */
static void test_host_gone(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	for (int sends = 0; sends < 2; sends++) {
		memory_net_clear(&m);
		m.peers[peer] = fd_close(m.peers[peer]);
		memory_net_run(&m);
		assert_int_equal(m.n_sent, 1);
		assert_true(guest_heard(0)->tcp.flags & NET_FIN);
		g.ack++;
		guest_say(&g, NET_ACK, NULL, 0, 60000);
		assert_int_equal(m.n_sent, 0);
		if (sends) {
			guest_say(&g, NET_ACK, "late", 4, 60000);
		} else {
			m.now_us += UINT64_C(63) * 1000000;
			memory_net_run(&m);
			assert_int_equal(m.tcp.flows.slots.n_used, 1);
			assert_int_equal(m.n_sent, 0);
			m.now_us += 1000000;
			memory_net_run(&m);
		}
		assert_int_equal(m.n_sent, 1);
		assert_true(guest_heard(0)->tcp.flags & NET_RST);
		assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
		assert_int_equal(m.tcp.flows.slots.n_used, 0);
		assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
		peer = guest_open(&g);
	}
}

static void test_resets(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	/* In the window but not next: challenged; far away: dropped; exactly next: the end. */
	g.seq += 10;
	guest_say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_ACK);
	g.seq += 1u << 30;
	guest_say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.n_sent, 0);
	g.seq -= (1u << 30) + 10;
	guest_say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(read(m.peers[peer], buffer, 1), 0);

	/* The host end dies with bytes unread: RST. */
	peer = guest_open(&g);
	guest_say(&g, NET_ACK, "unread", 6, 60000);
	memory_net_clear(&m);
	close(m.peers[peer]);
	m.peers[peer] = -EBADF;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_true(guest_heard(0)->tcp.flags & NET_RST);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

static void test_guest_opens(void **state)
{
	struct guest g = {.port = 40000, .host_port = CONTROL_PORT_LOG, .seq = 5000};
	struct guest bad = {.port = 40001, .host_port = 22, .seq = 5000};

	guest_say(&bad, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_RST | NET_ACK);
	assert_int_equal(guest_heard(0)->tcp.ack, 5001);
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_int_equal(guest_heard(0)->tcp.ack, 5001);
	assert_int_equal(m.n_peers, 1);
	g.seq--; /* SYN again: the same answer, no second socket */
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_int_equal(m.n_peers, 1);
	g.ack = guest_heard(0)->tcp.seq + 1;
	guest_say(&g, NET_ACK, "line\n", 5, 60000);
	assert_int_equal(read(m.peers[0], buffer, 10), 5);
}

static void test_full(void **state)
{
	int fds[2];

	for (int i = 0; i < 8; i++)
		assert_true(memory_net_connect(&m, CONTROL_PORT_ECHO) >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(tcp_connect_guest(&m.tcp, fds[0], CONTROL_PORT_ECHO), -ENFILE);
	assert_int_equal(m.tcp.stats.flows_refused, 1);
	assert_int_equal(read(fds[1], buffer, 1), 0);
	close(fds[1]);
}

/* A guest that resets while it opens is counted like any other. */
static void test_reset_while_opening(void **state)
{
	struct guest g = {.port = 40000, .host_port = CONTROL_PORT_LOG, .seq = 5000};

	guest_say(&g, NET_SYN, NULL, 0, 60000);
	guest_say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(m.host.n_guest_flows, 0);
	assert_int_equal(m.tcp.stats.resets, 1);
	assert_int_equal(read(m.peers[0], buffer, 1), 0);
}

static uint32_t ended_owner;
static uint64_t ended_rx, ended_tx;

static void on_ended(void *data, const struct flow *flow)
{
	assert_ptr_equal(data, &m);
	ended_owner = flow->owner;
	ended_rx = flow->rx_bytes;
	ended_tx = flow->tx_bytes;
}

/* Return: the other end. */
static int connect_as(const struct flow_key *key, uint32_t owner)
{
	const struct net_addr fallback = net_addr4(0xc0a84101);
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	memory_net_clear(&m);
	if (tcp_connect_guest_as(&m.tcp, fds[0], key, &fallback, owner) < 0) {
		close(fds[1]);
		return -1;
	}
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN);
	return fds[1];
}

/* A published port: the guest sees the client itself, or the gateway where that cannot be. */
static void test_client_is_seen(void **state)
{
	const struct flow_key key = {.host = net_addr4(0x0a000001), .guest = net_addr4(0xac110002), .host_port = 5555,
				     .guest_port = 80};
	struct flow_key unnamed = key;
	struct netctl_flow list[4];
	uint32_t cursor = 0;
	int one, two, three;

	one = connect_as(&key, 7);
	assert_true(net_addr_equal(&guest_heard(0)->src, &key.host));
	assert_true(net_addr_equal(&guest_heard(0)->dst, &key.guest));
	assert_int_equal(guest_heard(0)->tcp.src_port, 5555);
	assert_int_equal(guest_heard(0)->tcp.dst_port, 80);
	two = connect_as(&key, 8); /* the same client by another published port */
	assert_true(net_addr_equal(&guest_heard(0)->src, &(struct net_addr){{[10] = 255, 255, 192, 168, 65, 1}}));
	assert_int_not_equal(guest_heard(0)->tcp.src_port, 0);
	unnamed.host_port = 0;
	assert_int_equal(tcp_set_key(&m.tcp, (uint64_t[2]){3, 4}), -EBUSY);
	three = connect_as(&unnamed, 0);
	assert_false(net_addr_equal(&guest_heard(0)->src, &key.host));
	assert_int_equal(tcp_list(&m.tcp, &cursor, list, 2), 2);
	assert_int_not_equal(cursor, 0);
	assert_int_equal(tcp_list(&m.tcp, &cursor, list + 2, 2), 1);
	assert_int_equal(cursor, 0);
	assert_true(net_addr_equal(&list[0].host, &key.host));
	assert_int_equal(list[0].guest_port, 80);
	assert_true(list[0].inbound);
	assert_int_equal(list[0].state, FLOW_SYN_SENT);
	close(one);
	close(two);
	close(three);
}

static void test_owner_hears_the_end(void **state)
{
	const struct flow_key key = {.host = net_addr4(CONTROL_HOST_IP), .guest = net_addr4(CONTROL_GUEST_IP),
				     .host_port = 5555, .guest_port = 80};
	struct guest g = {.port = 80, .host_port = 5555, .seq = 1000};
	int peer;

	m.tcp.ended = on_ended;
	m.tcp.ended_data = &m;
	ended_owner = 0;
	peer = connect_as(&key, 7);
	g.ack = guest_heard(0)->tcp.seq + 1;
	guest_say(&g, NET_SYN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(write(peer, "hello", 5), 5);
	memory_net_run(&m);
	m.now_us += 1000000;
	memory_net_run(&m); /* sent twice, counted once */
	g.ack += 5;
	guest_say(&g, NET_ACK, "abc", 3, 60000);
	guest_say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(ended_owner, 7);
	assert_int_equal(ended_rx, 5);
	assert_int_equal(ended_tx, 3);
	close(peer);
}

/* Two hours of silence: the guest is asked; one that lives answers, one that knows nothing resets. */
static void test_quiet_guest_is_asked(void **state)
{
	struct guest g;
	int peer;

	m.tcp.looks_after = true;
	peer = guest_open(&g);
	for (int i = 0; i < 20; i++) {
		uint64_t deadline = tcp_deadline(&m.tcp);

		assert_true(deadline <= m.now_us + UINT64_C(1000000) * FLOW_IDLE_SECONDS);
		m.now_us = deadline;
		memory_net_clear(&m);
		memory_net_run(&m);
		if (!m.n_sent)
			continue;
		assert_int_equal(m.n_sent, 1);
		assert_int_equal(guest_heard(0)->tcp.seq, g.ack - 1);
		assert_int_equal(guest_heard(0)->payload_len, 0);
		guest_say(&g, NET_ACK, NULL, 0, 60000);
	}
	/* What is sent meanwhile has its own, shorter time. */
	assert_int_equal(write(m.peers[peer], "x", 1), 1);
	memory_net_run(&m);
	assert_true(tcp_deadline(&m.tcp) <= m.now_us + FLOW_TIMER_BASE_US);
	g.ack++;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	for (int i = 0; i < 20 && m.tcp.flows.slots.n_used; i++) {
		m.now_us = tcp_deadline(&m.tcp);
		memory_net_run(&m);
	}
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(recv(m.peers[peer], buffer, 1, MSG_DONTWAIT), 0);
}

/* A guest that has closed its side is asked every minute: its kernel forgets such a connection. */
static void test_half_closed_guest_is_asked(void **state)
{
	struct guest g;

	m.tcp.looks_after = true;
	guest_open(&g);
	guest_say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	m.now_us = tcp_deadline(&m.tcp);
	memory_net_clear(&m);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack - 1);
	g.seq = guest_heard(0)->tcp.ack;
	guest_say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

/* ---- as many as there may be ---- */

enum { MANY = 50000 };

static int many_fd; /* all flows are copies of one socket */

static enum host_open many_open(void *host, struct flow *flow, int *ret_error)
{
	flow->fd = fd_dup(many_fd);
	*ret_error = EMFILE;
	return flow->fd < 0 ? HOST_OPEN_REFUSED : HOST_OPEN_NOW;
}

/* Nothing that would wake 50,000 watchers of the one socket. */
static int many_prepare(void *host, struct flow *flow)
{
	return 0;
}

static void many_closed(void *host, const struct flow *flow)
{
}

static void test_fifty_thousand(void **state)
{
	struct rlimit limit, was;
	struct host_ops many = host_unix_ops;
	uint32_t want = MANY;
	int fds[2];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	limit = was;
	limit.rlim_cur = limit.rlim_max = MANY + 100;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) { /* no right to more: as many as there are */
		limit.rlim_max = limit.rlim_cur = was.rlim_max;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		want = limit.rlim_max - 100 < MANY ? (uint32_t)limit.rlim_max - 100 : MANY;
	}
	memory_net_done(&m);
	memory_net_init(&m, want, &guest_caps);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	many_fd = fds[0];
	many.open = many_open;
	many.prepare = many_prepare;
	many.closed = many_closed;
	m.tcp.host = &many;
	for (uint32_t i = 0; i <= want; i++) {
		struct guest g = {.port = (uint16_t)(1024 + i % 32768), .host_port = (uint16_t)(1 + i / 32768), .seq = i};

		guest_say(&g, NET_SYN, NULL, 0, 60000);
		assert_int_equal(m.n_sent, 1);
		assert_int_equal(guest_heard(0)->tcp.flags, i < want ? NET_SYN | NET_ACK : NET_RST | NET_ACK);
		assert_int_equal(guest_heard(0)->tcp.ack, i + 1);
	}
	assert_int_equal(m.tcp.flows.slots.n_used, want);
	assert_int_equal(m.tcp.stats.flows_refused, 1);
	tcp_drop_all(&m.tcp);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	m.tcp.host = &host_unix_ops;
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, guest_set_up, guest_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_close),
		T(test_half_closed_for_long),
		T(test_host_gone),
		T(test_resets),
		T(test_guest_opens),
		T(test_full),
		T(test_reset_while_opening),
		T(test_client_is_seen),
		T(test_owner_hears_the_end),
		T(test_quiet_guest_is_asked),
		T(test_half_closed_guest_is_asked),
		T(test_fifty_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
