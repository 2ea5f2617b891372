/* SPDX-License-Identifier: Apache-2.0 */
/* test-tcp: the engine as conversations, segments in, segments out: bytes both ways while all goes well. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/test.h"
#include "devices/net/test-tcp-guest.h"
#include "proto/control-link.h"

static void test_host_to_guest(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "hello", 5), 5);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->payload_len, 5);
	assert_int_equal(guest_heard(0)->tcp.seq, g.ack);
	assert_memory_equal(m.sent[0].data + guest_heard(0)->payload_off, "hello", 5);
	/* Not acknowledged: again after a quarter of a second, twice as long after that. */
	memory_net_clear(&m);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 0);
	m.now_us += 250000;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_memory_equal(m.sent[0].data + guest_heard(0)->payload_off, "hello", 5);
	assert_int_equal(tcp_deadline(&m.tcp), m.now_us + 500000);
	/* Acknowledged in part: the rest again. */
	g.ack += 2;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 0);
	m.now_us += 2000000;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_memory_equal(m.sent[0].data + guest_heard(0)->payload_off, "llo", 3);
	g.ack += 3;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(tcp_deadline(&m.tcp), UINT64_MAX);
}

static void test_offload(void **state)
{
	struct guest g;
	int peer = guest_open(&g);
	size_t sum = 0;

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], buffer, 50000), 50000);
	memory_net_run(&m);
	for (size_t i = 0; i < m.n_sent; i++) {
		sum += guest_heard(i)->payload_len;
		assert_int_equal(m.sent[i].vnet.flags, NET_VNET_NEEDS_CSUM);
		assert_int_equal(m.sent[i].vnet.gso_type, guest_heard(i)->payload_len > 1460 ? NET_VNET_GSO_TCP4 : 0);
		assert_int_equal(m.sent[i].vnet.gso_size, guest_heard(i)->payload_len > 1460 ? 1460 : 0);
	}
	assert_int_equal(sum, 50000);
	assert_true(m.n_sent < 8);
}

static void test_no_offload(void **state)
{
	static const struct wire_caps none = {.mtu = 1500};
	struct guest g;
	int peer = guest_open(&g);

	tcp_wire_up(&m.tcp, &none);
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], buffer, 5000), 5000);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 4); /* three full ones and the rest; checksums are looked at by memory-wire */
	assert_int_equal(guest_heard(0)->payload_len, 1460);
	assert_int_equal(m.sent[0].vnet.flags, 0);
}

static void test_guest_to_host(void **state)
{
	struct guest g;
	int peer = guest_open(&g);
	uint32_t before = g.seq;

	guest_say(&g, NET_ACK, "hello", 5, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.ack, g.seq);
	assert_true(guest_heard(0)->tcp.window > 0);
	assert_int_equal(read(m.peers[peer], buffer, 10), 5);
	/* Again (a lost acknowledgement), overlapping, and with a gap. */
	g.seq = before;
	guest_say(&g, NET_ACK, "hello", 5, 60000);
	assert_int_equal(guest_heard(0)->tcp.ack, before + 5);
	g.seq = before + 3;
	guest_say(&g, NET_ACK, "lo w", 4, 60000);
	assert_int_equal(guest_heard(0)->tcp.ack, before + 7);
	g.seq = before + 9;
	guest_say(&g, NET_ACK, "gap", 3, 60000);
	assert_int_equal(guest_heard(0)->tcp.ack, before + 7);
	assert_int_equal(read(m.peers[peer], buffer, 10), 2);
	assert_memory_equal(buffer, " w", 2);
	/* Keep-alive: one behind, empty. */
	g.seq = before + 6;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.ack, before + 7);
}

static void test_back_pressure(void **state)
{
	struct guest g;
	int peer = guest_open(&g);
	uint32_t acked = 0, window = 0;
	ssize_t n, total = 0;

	for (int i = 0; i < 60; i++) {
		guest_say(&g, NET_ACK, buffer, 60000, 60000);
		assert_true(m.n_sent >= 1);
		acked = guest_heard(m.n_sent - 1)->tcp.ack;
		window = guest_heard(m.n_sent - 1)->tcp.window;
		if (acked != g.seq)
			break;
	}
	assert_true(acked != g.seq); /* the socket is full, bytes were dropped */
	assert_int_equal(window, 0);
	memory_net_clear(&m);
	while ((n = read(m.peers[peer], buffer, sizeof(buffer))) > 0)
		total += n;
	assert_int_equal(total, acked - 1001);
	memory_net_run(&m);
	/* Room again: told, with enough duplicates to make the guest send what was dropped. */
	assert_int_equal(m.n_sent, 1 + TCP_DUPLICATES);
	for (size_t i = 0; i < m.n_sent; i++) {
		assert_int_equal(guest_heard(i)->tcp.ack, acked);
		assert_true(guest_heard(i)->tcp.window > 0);
		assert_int_equal(guest_heard(i)->tcp.window, guest_heard(0)->tcp.window);
	}
}

/* One request of the guest, one answer of the host a millisecond later. Return: frames that took. */
static unsigned int exchange(struct guest *g, int peer)
{
	unsigned int n;

	guest_say(g, NET_ACK, "question", 8, 60000);
	n = (unsigned int)m.n_sent;
	assert_int_equal(recv(m.peers[peer], buffer, 20, MSG_DONTWAIT), 8);
	m.now_us += 1000;
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "answer", 6), 6);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->payload_len, 6);
	assert_int_equal(guest_heard(0)->tcp.ack, g->seq); /* the answer acknowledges the question */
	g->ack += 6;
	return n + (unsigned int)m.n_sent;
}

static void test_acknowledgements_wait_for_answers(void **state)
{
	struct guest g;
	int peer = guest_open(&g);
	uint64_t begun;

	memory_net_clear(&m);
	m.now_us += 5000000;
	memory_net_run(&m); /* the clock of a round is set before its segments */
	assert_int_equal(exchange(&g, peer), 2); /* nobody knows yet that an answer follows */
	assert_int_equal(exchange(&g, peer), 1);
	assert_int_equal(exchange(&g, peer), 1);
	/* No answer: acknowledged after a hundredth of a second, and the next one at once. */
	guest_say(&g, NET_ACK, "hm", 2, 60000);
	assert_int_equal(m.n_sent, 0);
	begun = m.now_us;
	while (!m.n_sent && m.now_us < begun + 2 * TCP_LATER_US) {
		m.now_us = tcp_deadline(&m.tcp);
		memory_net_run(&m);
	}
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.ack, g.seq);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
	guest_say(&g, NET_ACK, "hm", 2, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(recv(m.peers[peer], buffer, 20, MSG_DONTWAIT), 4);
	/* The second segment in a row never waits. */
	m.now_us += 5000000;
	memory_net_run(&m); /* the clock of a round is set before its segments */
	assert_int_equal(exchange(&g, peer), 2);
	guest_say(&g, NET_ACK, "a", 1, 60000);
	assert_int_equal(m.n_sent, 0);
	guest_say(&g, NET_ACK, "b", 1, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.ack, g.seq);
}

static void test_no_buffers(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	memory_net_clear(&m);
	m.buffers = 0;
	assert_int_equal(write(m.peers[peer], "late", 4), 4);
	memory_net_run(&m);
	assert_true(m.tcp.starved);
	assert_int_equal(m.n_sent, 0);
	m.buffers = 10;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->payload_len, 4);
}

/* Rings stop for a while (memory changes, the machine moves): nothing is sent or lost meanwhile, no clock is wanted. */
static void test_rings_stop(void **state)
{
	struct guest g;
	int peer = guest_open(&g);

	assert_int_equal(write(m.peers[peer], "one", 3), 3);
	memory_net_run(&m);
	tcp_wire_down(&m.tcp);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "two", 3), 3);
	m.now_us += UINT64_C(3600) * 1000000;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	tcp_wire_up(&m.tcp, &guest_caps);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1); /* from the first byte not acknowledged on */
	assert_int_equal(guest_heard(0)->payload_len, 6);
	g.ack += 6;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
}

/* Sequence numbers pass zero in both directions, with loss on the way. */
static void test_numbers_wrap(void **state)
{
	struct guest g;
	int peer = guest_open(&g);
	struct flow *flow = guest_only_flow();
	uint32_t n = 0u - 10 - flow->snd_una;

	flow->snd_una += n;
	flow->snd_nxt += n;
	flow->snd_max += n;
	flow->recover += n;
	g.ack += n;
	flow->rcv_adv = 0u - 5 + (flow->rcv_adv - flow->rcv_nxt);
	flow->rcv_nxt = flow->snd_wl1 = g.seq = 0u - 5;
	assert_int_equal(write(m.peers[peer], buffer, 100), 100);
	memory_net_run(&m);
	guest_say(&g, NET_ACK, "0123456789", 10, 60000);
	assert_int_equal(guest_heard(m.n_sent - 1)->tcp.ack, 5);
	assert_int_equal(read(m.peers[peer], buffer, 100), 10);
	memory_net_clear(&m);
	m.now_us += FLOW_TIMER_BASE_US;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.seq, 0u - 10);
	assert_int_equal(guest_heard(0)->payload_len, 100);
	g.ack += 60; /* in part, beyond zero */
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	g.ack += 40;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(flow->snd_una, 90);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, guest_set_up, guest_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_host_to_guest),
		T(test_offload),
		T(test_no_offload),
		T(test_guest_to_host),
		T(test_back_pressure),
		T(test_acknowledgements_wait_for_answers),
		T(test_no_buffers),
		T(test_rings_stop),
		T(test_numbers_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
