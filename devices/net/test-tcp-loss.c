/* SPDX-License-Identifier: Apache-2.0 */
/* test-tcp-loss: the engine and a guest that loses segments, closes its window or stays silent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/test.h"
#include "devices/net/test-tcp-guest.h"
#include "proto/control-link.h"

static void test_window(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	guest_say(&g, NET_ACK, NULL, 0, 0); /* window closed */
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "abc", 3), 3);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 0);
	m.now_us += 1000000;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1); /* probe: a number the guest has had */
	assert_int_equal(guest_heard(0)->payload_len, 0);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack - 1);
	for (int i = 0; i < 3 * TCP_RETRIES_DATA; i++) { /* probes go on while they are answered */
		guest_say(&g, NET_ACK, NULL, 0, 0);
		memory_net_clear(&m);
		m.now_us = tcp_deadline(&m.tcp);
		memory_net_run(&m);
		assert_int_equal(m.n_sent, 1);
		assert_int_equal(guest_heard(0)->payload_len, 0);
	}
	guest_say(&g, NET_ACK, NULL, 0, 2); /* opened for two: sent at once, without a gap */
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
	assert_int_equal(guest_heard(0)->payload_len, 2);
	g.ack += 2;
	guest_say(&g, NET_ACK, NULL, 0, 2);
	assert_int_equal(m.n_sent, 1);
	assert_memory_equal(m.sent[0].data + guest_heard(0)->payload_off, "c", 1);
}

static void test_fast_retransmit(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(m.tcp.stats.retransmits, 0);
		guest_say(&g, NET_ACK, NULL, 0, 60000);
	}
	assert_int_equal(m.tcp.stats.retransmits, 1);
	assert_true(m.n_sent >= 1);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
	for (int i = 0; i < 5; i++)
		guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.stats.retransmits, 1); /* not again before the first is answered */
}

/* A guest without memory drops a frame, says so with window 0, and opens later: no time-out is waited for. */
static void test_guest_drops(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	guest_say(&g, NET_ACK, NULL, 0, 0);
	assert_int_equal(m.n_sent, 0);
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_true(m.n_sent >= 1);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
	assert_int_equal(m.tcp.stats.retransmits, 1);
}

/* Loss is still seen by duplicates after 3 GiB without any: the mark of the last loss must not fall behind by half the
 * number space. Most of the bytes are skipped, not sent. */
static void test_loss_after_gigabytes(void **state)
{
	struct guest g;
	int peer = guest_open(&g);
	struct flow *flow = guest_only_flow();

	for (int i = 0; i < 3; i++) {
		flow->snd_una += 1u << 30;
		flow->snd_nxt += 1u << 30;
		flow->snd_max += 1u << 30;
		assert_int_equal(write(m.peers[peer], "x", 1), 1);
		memory_net_run(&m);
		g.ack = flow->snd_max;
		guest_say(&g, NET_ACK, NULL, 0, 60000);
	}
	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	for (int i = 0; i < TCP_DUPLICATES; i++)
		guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.stats.retransmits, 1);
	assert_true(m.n_sent >= 1);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
}

/* A guest that sends something again acknowledges anew and tells its window with an old number: the window belongs to
 * that acknowledgement, the earlier one would reach beyond what the guest has room for. */
static void test_window_of_retransmission(void **state)
{
	struct guest g;
	int peer = guest_open(&g);
	uint32_t first = g.seq;

	assert_int_equal(write(m.peers[peer], buffer, 4000), 4000);
	memory_net_run(&m);
	g.seq = first + 100; /* its first segment is lost, the second arrives */
	guest_say(&g, NET_ACK, "later", 5, 8000);
	g.seq = first;
	g.ack += 4000;
	guest_say(&g, NET_ACK, "again", 5, 1000);
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->payload_len, 1000);
}

/* A window that was closed for long leaves a slow timer behind; what is sent when it opens must not wait for that one. */
static void test_loss_after_closed_window(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	guest_say(&g, NET_ACK, NULL, 0, 0);
	assert_int_equal(write(m.peers[peer], "abc", 3), 3);
	memory_net_run(&m);
	for (int i = 0; i < 12; i++) {
		m.now_us = tcp_deadline(&m.tcp);
		memory_net_run(&m);
		guest_say(&g, NET_ACK, NULL, 0, 0);
	}
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_true(tcp_deadline(&m.tcp) <= m.now_us + FLOW_TIMER_BASE_US);
	memory_net_clear(&m);
	m.now_us += FLOW_TIMER_BASE_US;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->payload_len, 3);
}

/* FIN behind data of which a part is lost: all is sent again, and the end is still the end. */
static void test_fin_again(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "abc", 3), 3);
	assert_int_equal(shutdown(m.peers[peer], SHUT_WR), 0);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 2);
	g.ack += 2; /* in part */
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	memory_net_clear(&m);
	m.now_us += FLOW_TIMER_BASE_US;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 2);
	assert_int_equal(guest_heard(0)->payload_len, 1);
	assert_true(guest_heard(1)->tcp.flags & NET_FIN);
	assert_int_equal(guest_heard(1)->tcp.seq, g.ack + 1);
	guest_say(&g, NET_ACK, NULL, 0, 0); /* closed, and open again, with FIN on its way */
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 2);
	assert_true(guest_heard(1)->tcp.flags & NET_FIN);
	assert_int_equal(guest_heard(1)->tcp.seq, g.ack + 1);
	g.ack += 2;
	guest_say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

static void test_silent_guest(void **state)
{
	int peer = memory_net_connect(&m, CONTROL_PORT_ENGINE);

	for (int i = 0; i <= TCP_RETRIES_SYN; i++) {
		memory_net_run(&m);
		assert_int_equal(m.tcp.flows.slots.n_used, 1);
		m.now_us = tcp_deadline(&m.tcp);
	}
	memory_net_run(&m);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(read(m.peers[peer], buffer, 1), 0);
	assert_int_equal(tcp_deadline(&m.tcp), UINT64_MAX);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, guest_set_up, guest_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_window),
		T(test_fast_retransmit),
		T(test_guest_drops),
		T(test_loss_after_gigabytes),
		T(test_window_of_retransmission),
		T(test_loss_after_closed_window),
		T(test_fin_again),
		T(test_silent_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
