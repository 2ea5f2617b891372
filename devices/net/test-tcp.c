/* SPDX-License-Identifier: Apache-2.0 */
/* test-tcp: the engine as conversations: segments in, segments out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/test.h"
#include "devices/net/memory-wire.h"
#include "proto/control-link.h"

static struct memory_net m;
static uint8_t buffer[1 << 20];
static const struct wire_caps full = {.csum = true, .tso4 = true, .mtu = 65520};

/* The guest's view of one connection. */
struct guest {
	uint16_t port, host_port;
	uint32_t seq, ack;
};

static void say(struct guest *g, uint8_t flags, const void *payload, uint32_t len, uint16_t window)
{
	static const uint8_t to[] = CONTROL_HOST_MAC, from[] = CONTROL_GUEST_MAC;
	struct net_tcp_out out = {
		.src_mac = from, .dst_mac = to, .src = net_addr4(CONTROL_GUEST_IP), .dst = net_addr4(CONTROL_HOST_IP),
		.src_port = g->port, .dst_port = g->host_port, .seq = g->seq, .ack = g->ack, .flags = flags,
		.window = window, .scale = -1, .payload_len = len,
	};

	if (flags & NET_SYN) {
		out.scale = 0;
		out.mss = 1460;
	}
	memory_net_clear(&m);
	memory_net_segment(&m, &out, payload);
	memory_net_run(&m);
	g->seq += len + !!(flags & (NET_SYN | NET_FIN));
}

static const struct net_frame *heard(size_t i)
{
	assert_true(i < m.n_sent);
	return &m.sent[i].parsed;
}

/* Host program connects, guest answers. Return: index of the host program's end. */
static int open_flow(struct guest *g)
{
	int peer;

	memory_net_clear(&m);
	peer = memory_net_connect(&m, CONTROL_PORT_ENGINE);
	assert_true(peer >= 0);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.flags, NET_SYN);
	assert_int_equal(heard(0)->tcp.dst_port, CONTROL_PORT_ENGINE);
	*g = (struct guest){CONTROL_PORT_ENGINE, heard(0)->tcp.src_port, 1000, heard(0)->tcp.seq + 1};
	say(g, NET_SYN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.flags, NET_ACK);
	assert_int_equal(heard(0)->tcp.ack, 1001);
	return peer;
}

static int set_up(void **state)
{
	memory_net_init(&m, 8, &full);
	return 0;
}

static int tear_down(void **state)
{
	int bad = (int)m.n_malformed;

	memory_net_done(&m);
	return bad;
}

static void test_host_to_guest(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "hello", 5), 5);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->payload_len, 5);
	assert_int_equal(heard(0)->tcp.seq, g.ack);
	assert_memory_equal(m.sent[0].data + heard(0)->payload_off, "hello", 5);
	/* Not acknowledged: again after a quarter of a second, twice as long after that. */
	memory_net_clear(&m);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 0);
	m.now_us += 250000;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_memory_equal(m.sent[0].data + heard(0)->payload_off, "hello", 5);
	assert_int_equal(tcp_deadline(&m.tcp), m.now_us + 500000);
	/* Acknowledged in part: the rest again. */
	g.ack += 2;
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 0);
	m.now_us += 2000000;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_memory_equal(m.sent[0].data + heard(0)->payload_off, "llo", 3);
	g.ack += 3;
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(tcp_deadline(&m.tcp), UINT64_MAX);
}

static void test_offload(void **state)
{
	struct guest g;
	int peer = open_flow(&g);
	size_t sum = 0;

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], buffer, 50000), 50000);
	memory_net_run(&m);
	for (size_t i = 0; i < m.n_sent; i++) {
		sum += heard(i)->payload_len;
		assert_int_equal(m.sent[i].vnet.flags, NET_VNET_NEEDS_CSUM);
		assert_int_equal(m.sent[i].vnet.gso_type, heard(i)->payload_len > 1460 ? NET_VNET_GSO_TCP4 : 0);
		assert_int_equal(m.sent[i].vnet.gso_size, heard(i)->payload_len > 1460 ? 1460 : 0);
	}
	assert_int_equal(sum, 50000);
	assert_true(m.n_sent < 8);
}

static void test_no_offload(void **state)
{
	static const struct wire_caps none = {.mtu = 1500};
	struct guest g;
	int peer = open_flow(&g);

	tcp_wire_up(&m.tcp, &none);
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], buffer, 5000), 5000);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 4); /* three full ones and the rest; checksums are looked at by memory-wire */
	assert_int_equal(heard(0)->payload_len, 1460);
	assert_int_equal(m.sent[0].vnet.flags, 0);
}

static void test_window(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	say(&g, NET_ACK, NULL, 0, 0); /* window closed */
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "abc", 3), 3);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 0);
	m.now_us += 1000000;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1); /* probe: a number the guest has had */
	assert_int_equal(heard(0)->payload_len, 0);
	assert_int_equal(heard(0)->tcp.seq, g.ack - 1);
	for (int i = 0; i < 3 * TCP_RETRIES_DATA; i++) { /* probes go on while they are answered */
		say(&g, NET_ACK, NULL, 0, 0);
		memory_net_clear(&m);
		m.now_us = tcp_deadline(&m.tcp);
		memory_net_run(&m);
		assert_int_equal(m.n_sent, 1);
		assert_int_equal(heard(0)->payload_len, 0);
	}
	say(&g, NET_ACK, NULL, 0, 2); /* opened for two: sent at once, without a gap */
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.seq, g.ack);
	assert_int_equal(heard(0)->payload_len, 2);
	g.ack += 2;
	say(&g, NET_ACK, NULL, 0, 2);
	assert_int_equal(m.n_sent, 1);
	assert_memory_equal(m.sent[0].data + heard(0)->payload_off, "c", 1);
}

static void test_fast_retransmit(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(m.tcp.stats.retransmits, 0);
		say(&g, NET_ACK, NULL, 0, 60000);
	}
	assert_int_equal(m.tcp.stats.retransmits, 1);
	assert_true(m.n_sent >= 1);
	assert_int_equal(heard(0)->tcp.seq, g.ack);
	for (int i = 0; i < 5; i++)
		say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.stats.retransmits, 1); /* not again before the first is answered */
}

/* A guest without memory drops a frame, says so with window 0, and opens later: no time-out is waited for. */
static void test_guest_drops(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	say(&g, NET_ACK, NULL, 0, 0);
	assert_int_equal(m.n_sent, 0);
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_true(m.n_sent >= 1);
	assert_int_equal(heard(0)->tcp.seq, g.ack);
	assert_int_equal(m.tcp.stats.retransmits, 1);
}

static void test_guest_to_host(void **state)
{
	struct guest g;
	int peer = open_flow(&g);
	uint32_t before = g.seq;

	say(&g, NET_ACK, "hello", 5, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.ack, g.seq);
	assert_true(heard(0)->tcp.window > 0);
	assert_int_equal(read(m.peers[peer], buffer, 10), 5);
	/* Again (a lost acknowledgement), overlapping, and with a gap. */
	g.seq = before;
	say(&g, NET_ACK, "hello", 5, 60000);
	assert_int_equal(heard(0)->tcp.ack, before + 5);
	g.seq = before + 3;
	say(&g, NET_ACK, "lo w", 4, 60000);
	assert_int_equal(heard(0)->tcp.ack, before + 7);
	g.seq = before + 9;
	say(&g, NET_ACK, "gap", 3, 60000);
	assert_int_equal(heard(0)->tcp.ack, before + 7);
	assert_int_equal(read(m.peers[peer], buffer, 10), 2);
	assert_memory_equal(buffer, " w", 2);
	/* Keep-alive: one behind, empty. */
	g.seq = before + 6;
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.ack, before + 7);
}

static void test_back_pressure(void **state)
{
	struct guest g;
	int peer = open_flow(&g);
	uint32_t acked = 0, window = 0;
	ssize_t n, total = 0;

	for (int i = 0; i < 60; i++) {
		say(&g, NET_ACK, buffer, 60000, 60000);
		assert_true(m.n_sent >= 1);
		acked = heard(m.n_sent - 1)->tcp.ack;
		window = heard(m.n_sent - 1)->tcp.window;
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
		assert_int_equal(heard(i)->tcp.ack, acked);
		assert_true(heard(i)->tcp.window > 0);
		assert_int_equal(heard(i)->tcp.window, heard(0)->tcp.window);
	}
}

static void test_close(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "x", 1), 1);
	shutdown(m.peers[peer], SHUT_WR);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 2);
	assert_true(heard(1)->tcp.flags & NET_FIN);
	/* The other direction still works. */
	g.ack += 2;
	say(&g, NET_ACK, "answer", 6, 60000);
	assert_int_equal(read(m.peers[peer], buffer, 10), 6);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(heard(m.n_sent - 1)->tcp.ack, g.seq);
	assert_int_equal(read(m.peers[peer], buffer, 10), 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	/* FIN again finds nothing: RST. */
	g.seq--;
	say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_true(heard(0)->tcp.flags & NET_RST);
	assert_int_equal(heard(0)->tcp.seq, g.ack);
}

/* A host end that has finished sending (docker run with its input closed) hears what comes an hour later. */
static void test_half_closed_for_long(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	memory_net_clear(&m);
	assert_int_equal(shutdown(m.peers[peer], SHUT_WR), 0);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_true(heard(0)->tcp.flags & NET_FIN);
	g.ack++;
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
	m.now_us += UINT64_C(3600) * 1000000;
	memory_net_run(&m);
	say(&g, NET_ACK, "late", 4, 60000);
	assert_int_equal(recv(m.peers[peer], buffer, 10, MSG_DONTWAIT), 4);
	assert_memory_equal(buffer, "late", 4);
	say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(recv(m.peers[peer], buffer, 10, MSG_DONTWAIT), 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

/* A host end that is gone altogether: the guest has a minute to finish, and is told at once when it sends. */
static void test_host_gone(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	for (int sends = 0; sends < 2; sends++) {
		memory_net_clear(&m);
		m.peers[peer] = fd_close(m.peers[peer]);
		memory_net_run(&m);
		assert_int_equal(m.n_sent, 1);
		assert_true(heard(0)->tcp.flags & NET_FIN);
		g.ack++;
		say(&g, NET_ACK, NULL, 0, 60000);
		assert_int_equal(m.n_sent, 0);
		if (sends) {
			say(&g, NET_ACK, "late", 4, 60000);
		} else {
			m.now_us += UINT64_C(63) * 1000000;
			memory_net_run(&m);
			assert_int_equal(m.tcp.flows.slots.n_used, 1);
			assert_int_equal(m.n_sent, 0);
			m.now_us += 1000000;
			memory_net_run(&m);
		}
		assert_int_equal(m.n_sent, 1);
		assert_true(heard(0)->tcp.flags & NET_RST);
		assert_int_equal(heard(0)->tcp.seq, g.ack);
		assert_int_equal(m.tcp.flows.slots.n_used, 0);
		assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
		peer = open_flow(&g);
	}
}

/* FIN behind data of which a part is lost: all is sent again, and the end is still the end. */
static void test_fin_again(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "abc", 3), 3);
	assert_int_equal(shutdown(m.peers[peer], SHUT_WR), 0);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 2);
	g.ack += 2; /* in part */
	say(&g, NET_ACK, NULL, 0, 60000);
	memory_net_clear(&m);
	m.now_us += FLOW_TIMER_BASE_US;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 2);
	assert_int_equal(heard(0)->payload_len, 1);
	assert_true(heard(1)->tcp.flags & NET_FIN);
	assert_int_equal(heard(1)->tcp.seq, g.ack + 1);
	say(&g, NET_ACK, NULL, 0, 0); /* closed, and open again, with FIN on its way */
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 2);
	assert_true(heard(1)->tcp.flags & NET_FIN);
	assert_int_equal(heard(1)->tcp.seq, g.ack + 1);
	g.ack += 2;
	say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

/* One request of the guest, one answer of the host a millisecond later. Return: frames that took. */
static unsigned int exchange(struct guest *g, int peer)
{
	unsigned int n;

	say(g, NET_ACK, "question", 8, 60000);
	n = (unsigned int)m.n_sent;
	assert_int_equal(recv(m.peers[peer], buffer, 20, MSG_DONTWAIT), 8);
	m.now_us += 1000;
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], "answer", 6), 6);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->payload_len, 6);
	assert_int_equal(heard(0)->tcp.ack, g->seq); /* the answer acknowledges the question */
	g->ack += 6;
	return n + (unsigned int)m.n_sent;
}

static void test_acknowledgements_wait_for_answers(void **state)
{
	struct guest g;
	int peer = open_flow(&g);
	uint64_t begun;

	memory_net_clear(&m);
	m.now_us += 5000000;
	memory_net_run(&m); /* the clock of a round is set before its segments */
	assert_int_equal(exchange(&g, peer), 2); /* nobody knows yet that an answer follows */
	assert_int_equal(exchange(&g, peer), 1);
	assert_int_equal(exchange(&g, peer), 1);
	/* No answer: acknowledged after a hundredth of a second, and the next one at once. */
	say(&g, NET_ACK, "hm", 2, 60000);
	assert_int_equal(m.n_sent, 0);
	begun = m.now_us;
	while (!m.n_sent && m.now_us < begun + 2 * TCP_LATER_US) {
		m.now_us = tcp_deadline(&m.tcp);
		memory_net_run(&m);
	}
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.ack, g.seq);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
	say(&g, NET_ACK, "hm", 2, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(recv(m.peers[peer], buffer, 20, MSG_DONTWAIT), 4);
	/* The second segment in a row never waits. */
	m.now_us += 5000000;
	memory_net_run(&m); /* the clock of a round is set before its segments */
	assert_int_equal(exchange(&g, peer), 2);
	say(&g, NET_ACK, "a", 1, 60000);
	assert_int_equal(m.n_sent, 0);
	say(&g, NET_ACK, "b", 1, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.ack, g.seq);
}

static void test_resets(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	/* In the window but not next: challenged; far away: dropped; exactly next: the end. */
	g.seq += 10;
	say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.flags, NET_ACK);
	g.seq += 1u << 30;
	say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.n_sent, 0);
	g.seq -= (1u << 30) + 10;
	say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(read(m.peers[peer], buffer, 1), 0);

	/* The host end dies with bytes unread: RST. */
	peer = open_flow(&g);
	say(&g, NET_ACK, "unread", 6, 60000);
	memory_net_clear(&m);
	close(m.peers[peer]);
	m.peers[peer] = -EBADF;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_true(heard(0)->tcp.flags & NET_RST);
	assert_int_equal(heard(0)->tcp.seq, g.ack);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

static void test_guest_opens(void **state)
{
	struct guest g = {40000, CONTROL_PORT_LOG, 5000, 0};
	struct guest bad = {40001, 22, 5000, 0};

	say(&bad, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.flags, NET_RST | NET_ACK);
	assert_int_equal(heard(0)->tcp.ack, 5001);
	say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_int_equal(heard(0)->tcp.ack, 5001);
	assert_int_equal(m.n_peers, 1);
	g.seq--; /* SYN again: the same answer, no second socket */
	say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_int_equal(m.n_peers, 1);
	g.ack = heard(0)->tcp.seq + 1;
	say(&g, NET_ACK, "line\n", 5, 60000);
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

static void test_no_buffers(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	memory_net_clear(&m);
	m.buffers = 0;
	assert_int_equal(write(m.peers[peer], "late", 4), 4);
	memory_net_run(&m);
	assert_true(m.tcp.starved);
	assert_int_equal(m.n_sent, 0);
	m.buffers = 10;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->payload_len, 4);
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

/* The one flow there is. */
static struct flow *only_flow(void)
{
	struct flow *flow = NULL;

	for (uint32_t i = 0; i < m.tcp.flows.slots.n_slots && !flow; i++)
		flow = flow_by_handle(&m.tcp.flows, table_handle(&m.tcp.flows.slots, i));
	assert_non_null(flow);
	return flow;
}

/* Loss is still seen by duplicates after 3 GiB without any: the mark of the last loss must not fall behind by half the
 * number space. Most of the bytes are skipped, not sent. */
static void test_loss_after_gigabytes(void **state)
{
	struct guest g;
	int peer = open_flow(&g);
	struct flow *flow = only_flow();

	for (int i = 0; i < 3; i++) {
		flow->snd_una += 1u << 30;
		flow->snd_nxt += 1u << 30;
		flow->snd_max += 1u << 30;
		assert_int_equal(write(m.peers[peer], "x", 1), 1);
		memory_net_run(&m);
		g.ack = flow->snd_max;
		say(&g, NET_ACK, NULL, 0, 60000);
	}
	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	for (int i = 0; i < TCP_DUPLICATES; i++)
		say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.stats.retransmits, 1);
	assert_true(m.n_sent >= 1);
	assert_int_equal(heard(0)->tcp.seq, g.ack);
}

/* A guest that sends something again acknowledges anew and tells its window with an old number: the window belongs to
 * that acknowledgement, the earlier one would reach beyond what the guest has room for. */
static void test_window_of_retransmission(void **state)
{
	struct guest g;
	int peer = open_flow(&g);
	uint32_t first = g.seq;

	assert_int_equal(write(m.peers[peer], buffer, 4000), 4000);
	memory_net_run(&m);
	g.seq = first + 100; /* its first segment is lost, the second arrives */
	say(&g, NET_ACK, "later", 5, 8000);
	g.seq = first;
	g.ack += 4000;
	say(&g, NET_ACK, "again", 5, 1000);
	memory_net_clear(&m);
	assert_int_equal(write(m.peers[peer], buffer, 8000), 8000);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->payload_len, 1000);
}

/* A window that was closed for long leaves a slow timer behind; what is sent when it opens must not wait for that one. */
static void test_loss_after_closed_window(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

	say(&g, NET_ACK, NULL, 0, 0);
	assert_int_equal(write(m.peers[peer], "abc", 3), 3);
	memory_net_run(&m);
	for (int i = 0; i < 12; i++) {
		m.now_us = tcp_deadline(&m.tcp);
		memory_net_run(&m);
		say(&g, NET_ACK, NULL, 0, 0);
	}
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_true(tcp_deadline(&m.tcp) <= m.now_us + FLOW_TIMER_BASE_US);
	memory_net_clear(&m);
	m.now_us += FLOW_TIMER_BASE_US;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->payload_len, 3);
}

/* A guest that resets while it opens is counted like any other. */
static void test_reset_while_opening(void **state)
{
	struct guest g = {40000, CONTROL_PORT_LOG, 5000, 0};

	say(&g, NET_SYN, NULL, 0, 60000);
	say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(m.host.n_guest_flows, 0);
	assert_int_equal(m.tcp.stats.resets, 1);
	assert_int_equal(read(m.peers[0], buffer, 1), 0);
}

/* Rings stop for a while (memory changes, the machine moves): nothing is sent or lost meanwhile, no clock is wanted. */
static void test_rings_stop(void **state)
{
	struct guest g;
	int peer = open_flow(&g);

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
	tcp_wire_up(&m.tcp, &full);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1); /* from the first byte not acknowledged on */
	assert_int_equal(heard(0)->payload_len, 6);
	g.ack += 6;
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
}

/* Sequence numbers pass zero in both directions, with loss on the way. */
static void test_numbers_wrap(void **state)
{
	struct guest g;
	int peer = open_flow(&g);
	struct flow *flow = only_flow();
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
	say(&g, NET_ACK, "0123456789", 10, 60000);
	assert_int_equal(heard(m.n_sent - 1)->tcp.ack, 5);
	assert_int_equal(read(m.peers[peer], buffer, 100), 10);
	memory_net_clear(&m);
	m.now_us += FLOW_TIMER_BASE_US;
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(heard(0)->tcp.seq, 0u - 10);
	assert_int_equal(heard(0)->payload_len, 100);
	g.ack += 60; /* in part, beyond zero */
	say(&g, NET_ACK, NULL, 0, 60000);
	g.ack += 40;
	say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(flow->snd_una, 90);
	assert_true(tcp_deadline(&m.tcp) == UINT64_MAX);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_host_to_guest), T(test_offload),	   T(test_no_offload),	T(test_window),
		T(test_fast_retransmit), T(test_guest_to_host), T(test_back_pressure), T(test_close),
		T(test_half_closed_for_long),
		T(test_acknowledgements_wait_for_answers),
		T(test_resets),	       T(test_guest_opens), T(test_full),	T(test_no_buffers),
		T(test_silent_guest), T(test_guest_drops), T(test_loss_after_gigabytes),
		T(test_window_of_retransmission), T(test_loss_after_closed_window), T(test_reset_while_opening),
		T(test_rings_stop), T(test_numbers_wrap), T(test_host_gone), T(test_fin_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
