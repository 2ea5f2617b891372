/* SPDX-License-Identifier: Apache-2.0 */
/* test-host-inet: the engine between a guest in memory and real sockets of the loopback interface. */
#include "devices/net/host-inet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sock.h"
#include "base/test.h"
#include "devices/net/test-tcp-guest.h"
#include "proto/data-card.h"

enum { NOBODY = 1 /* tcpmux: nothing listens there */, BULK = 300000 };

static struct host_inet inet;
static struct policy policy;
static struct rules_verdict verdict; /* of the policy; DIAL by family when allowed */
static struct icmp_error icmp;
static int icmp_error, icmp_result, dns_fd;
static struct icmp_subject icmp_subject;
static int listener, peer;
static uint16_t port;

/* ---- what surrounds host-inet ---- */

void policy_decide(struct policy *p, enum rules_proto proto, const struct net_addr *addr, uint16_t to, struct rules_verdict *ret)
{
	*ret = verdict;
	ret->dial = net_addr_is_v4(addr) ? net_addr4(INADDR_LOOPBACK) : (struct net_addr){{[15] = 1}};
}

int icmp_error_send(struct icmp_error *ctx, int error, const struct icmp_subject *subject, uint64_t now_us)
{
	icmp_error = error;
	icmp_subject = *subject;
	return icmp_result;
}

int dns_accept_consume(struct dns *dns, int fd)
{
	if (dns_fd != -EBADF) {
		close(fd);
		return -ENFILE;
	}
	dns_fd = fd;
	return 0;
}

static void set_up_listener(int family)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(in6);

	listener = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, family == AF_INET ? (void *)&in : (void *)&in6,
			      family == AF_INET ? sizeof(in) : sizeof(in6)), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in6, &len), 0);
	port = ntohs(in6.sin6_port); /* at the same place in both */
}

static int set_up(void **state)
{
	memory_net_init(&m, 16, &guest_caps);
	assert_int_equal(host_inet_init(&inet), 0);
	inet.policy = &policy;
	inet.dns = (struct dns *)&dns_fd; /* never looked into */
	inet.gateway4 = net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GATEWAY);
	m.tcp.host = &host_inet_ops;
	m.tcp.host_data = &inet;
	m.tcp.icmp = &icmp;
	verdict = (struct rules_verdict){.allow = true, .to_host = true};
	icmp_error = icmp_result = 0;
	dns_fd = listener = peer = -EBADF;
	return 0;
}

static int tear_down(void **state)
{
	int bad = (int)m.n_malformed;

	memory_net_done(&m);
	fd_close(listener);
	fd_close(peer);
	fd_close(dns_fd);
	fd_close(inet.proxy_fd);
	return bad;
}

static struct guest stranger(uint16_t to)
{
	return (struct guest){.port = 40000, .host_port = to, .seq = 5000,
			      .from = net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GUEST), .to = net_addr4(0x08080808)};
}

/* The guest connects to LISTENER. */
static struct guest opened(void)
{
	struct guest g;

	set_up_listener(AF_INET);
	g = stranger(port);
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_int_equal(guest_heard(0)->tcp.ack, g.seq);
	g.ack = guest_heard(0)->tcp.seq + 1;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 0);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	return g;
}

static void refused(struct guest *g)
{
	guest_say(g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_RST | NET_ACK);
	assert_int_equal(guest_heard(0)->tcp.ack, g->seq);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

/* ---- refusals ---- */

static void test_refused_is_refused(void **state)
{
	struct guest g = stranger(NOBODY);

	refused(&g);
	assert_int_equal(icmp_error, 0);
}

/* Out of descriptors: that is ours, not the destination's: RST, counted as refused, and no ICMP about somebody else. */
static void test_no_descriptors(void **state)
{
	struct guest g = stranger(80);
	struct rlimit before, none;
	int top = dup(0);

	fd_close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)top;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(icmp_error, 0);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_RST | NET_ACK);
	assert_int_equal(m.tcp.stats.flows_refused, 1);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

static void test_rule_refuses(void **state)
{
	struct guest g = stranger(80);

	verdict = (struct rules_verdict){.rule = RULE_EGRESS};
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 0);
	assert_int_equal(icmp_error, EACCES);
	assert_int_equal(icmp_subject.ip_proto, NET_IP_TCP);
	assert_int_equal(icmp_subject.tcp_seq, 5000);
	assert_int_equal(icmp_subject.key.host_port, 80);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	icmp_result = -EAGAIN; /* over the rate: RST rather than silence */
	g = stranger(81);
	refused(&g);
	verdict.rule = RULE_OWN; /* nobody listens on an address of ours */
	icmp_error = 0;
	g = stranger(82);
	refused(&g);
	assert_int_equal(icmp_error, 0);
}

static int late_result;

static enum host_open late_open(void *host, struct flow *flow, int *ret_error)
{
	flow->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return HOST_OPEN_PENDING;
}

static int late_opened(void *host, const struct flow *flow)
{
	return late_result;
}

/* What connect() finds out later: ICMP, RST, or nothing at all. An unconnected socket reports EPOLLHUP. */
static void test_late_answers(void **state)
{
	static const struct { int error; bool rst, icmp; } cases[] = {
		{ECONNREFUSED, true, false}, {ECONNRESET, true, false}, {ETIMEDOUT, false, false}, {EHOSTUNREACH, false, true},
		{ENETUNREACH, false, true},  {EACCES, false, true},	{EPERM, false, true},
	};
	struct host_ops late = host_inet_ops;

	late.open = late_open;
	late.opened = late_opened;
	m.tcp.host = &late;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guest g = stranger((uint16_t)(100 + i));

		icmp_error = 0;
		late_result = -cases[i].error;
		guest_say(&g, NET_SYN, NULL, 0, 60000);
		assert_int_equal(m.tcp.flows.slots.n_used, 0);
		assert_int_equal(icmp_error, cases[i].icmp ? cases[i].error : 0);
		if (cases[i].icmp)
			assert_int_equal(icmp_subject.tcp_seq, 5000);
		assert_int_equal(m.n_sent, cases[i].rst);
		if (cases[i].rst)
			assert_int_equal(guest_heard(0)->tcp.flags, NET_RST | NET_ACK);
	}
	m.tcp.host = &host_inet_ops;
}

/* SYN again while the host still dials: one socket, no answer; RST ends it. */
static void test_pending(void **state)
{
	struct host_ops late = host_inet_ops;
	struct guest g = stranger(80);

	late.open = late_open;
	m.tcp.host = &late;
	guest_send(&g, NET_SYN, NULL, 0, 60000);
	g.seq--;
	guest_send(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	assert_int_equal(m.n_sent, 0);
	guest_send(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	m.tcp.host = &host_inet_ops;
}

/* ---- bytes ---- */

static void test_both_ways(void **state)
{
	struct guest g = opened();
	int on = 0;
	socklen_t len = sizeof(on);

	guest_say(&g, NET_ACK | NET_PSH, "hello", 5, 60000);
	assert_int_equal(recv(peer, buffer, 10, 0), 5);
	assert_int_equal(guest_heard(0)->tcp.ack, g.seq);
	assert_int_equal(send(peer, "world!", 6, 0), 6);
	memory_net_clear(&m);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_memory_equal(m.sent[0].data + guest_heard(0)->payload_off, "world!", 6);
	assert_int_equal(getsockopt(guest_only_flow()->fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_equal(on, 1);
	assert_int_equal(guest_only_flow()->rx_bytes, 6);
	assert_int_equal(guest_only_flow()->tx_bytes, 5);
}

static void test_ip6(void **state)
{
	struct guest g;

	verdict.to_host = false; /* as if far away: the answer comes as an event */
	set_up_listener(AF_INET6);
	g = stranger(port);
	g.from = (struct net_addr){DATA_PREFIX6};
	g.to = (struct net_addr){{0x20, 0x01, [15] = 9}};
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_true(guest_heard(0)->v6);
	g.ack = guest_heard(0)->tcp.seq + 1;
	guest_say(&g, NET_ACK, "six", 3, 60000);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(recv(peer, buffer, 10, 0), 3);
}

/* Checks what was sent against TEXT and acknowledges it, all but the last LAG bytes. Return: bytes in order. */
static uint32_t take_frames(struct guest *g, uint32_t base, const uint8_t *text, uint32_t lag)
{
	uint32_t end = g->ack;

	for (size_t i = 0; i < m.n_sent; i++) {
		const struct net_frame *f = guest_heard(i);

		if (!f->payload_len)
			continue;
		assert_memory_equal(m.sent[i].data + f->payload_off, text + (f->tcp.seq - base), f->payload_len);
		if (seq_before(end, f->tcp.seq + f->payload_len))
			end = f->tcp.seq + f->payload_len;
	}
	if (end - g->ack > lag)
		g->ack = end - lag;
	return end - base;
}

/* Many windows, with bytes on their way all the time, losses in between. */
static void bulk(bool offset)
{
	static uint8_t text[BULK];
	struct guest g = opened();
	uint32_t base = g.ack, written = 0;
	bool fin = false;

	inet.peek_offset = inet.peek_offset && offset;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + i / 251);
	for (int round = 0; g.ack - base < BULK; round++) {
		ssize_t n = written < BULK ? send(peer, text + written, BULK - written, MSG_DONTWAIT) : 0;

		assert_true(round < 1000);
		written += n > 0 ? (uint32_t)n : 0;
		if (n > 0 && written == BULK)
			assert_int_equal(shutdown(peer, SHUT_WR), 0);
		if (round % 7 == 3) {
			memory_net_clear(&m); /* lost */
			m.now_us += 1000000;
			memory_net_run(&m);
		}
		for (size_t i = 0; i < m.n_sent; i++)
			fin |= guest_heard(i)->tcp.flags & NET_FIN;
		take_frames(&g, base, text, written == BULK && round % 2 ? 0 : 3000);
		guest_say(&g, NET_ACK, NULL, 0, 60000);
	}
	for (size_t i = 0; i < m.n_sent; i++)
		fin |= guest_heard(i)->tcp.flags & NET_FIN;
	assert_true(fin);
	g.ack++;
	guest_say(&g, NET_FIN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(m.tcp.stats.resets, 0);
}

static void test_bulk(void **state)
{
	bulk(true);
}

/* As on kernels before 6.11. */
static void test_bulk_without_offset(void **state)
{
	bulk(false);
}

static void test_back_pressure(void **state)
{
	static uint8_t text[60000];
	struct guest g = opened();
	uint64_t acked = 0, got = 0;
	uint32_t first = g.seq;

	for (int i = 0; i < 1000 && m.n_sent < 64; i++) {
		uint32_t before = g.seq;

		guest_say(&g, NET_ACK, text, sizeof(text), 60000);
		assert_true(m.n_sent >= 1);
		acked = guest_heard(m.n_sent - 1)->tcp.ack - first;
		if (acked != (uint64_t)(g.seq - first)) {
			g.seq = before;
			break;
		}
	}
	assert_true(acked < (uint64_t)60000 * 1000);
	assert_int_equal(guest_heard(m.n_sent - 1)->tcp.window, 0);
	/* Read, and told of it by itself. */
	memory_net_clear(&m);
	while (got < acked) {
		ssize_t n = recv(peer, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n > 0)
			got += (uint64_t)n;
		memory_net_run(&m);
	}
	assert_int_equal(got, acked);
	memory_net_run(&m);
	assert_true(m.n_sent >= 1);
	assert_true(guest_heard(m.n_sent - 1)->tcp.window > 0);
	assert_int_equal(guest_heard(m.n_sent - 1)->tcp.ack, first + (uint32_t)acked);
}

/* ---- ends ---- */

static void test_half_close(void **state)
{
	struct guest g = opened();

	guest_say(&g, NET_FIN | NET_ACK, "bye", 3, 60000);
	g.seq = guest_heard(0)->tcp.ack;
	assert_int_equal(recv(peer, buffer, 10, 0), 3);
	assert_int_equal(recv(peer, buffer, 10, 0), 0);
	assert_int_equal(send(peer, "still here", 10, 0), 10);
	memory_net_clear(&m);
	memory_net_run(&m);
	assert_int_equal(guest_heard(0)->payload_len, 10);
	g.ack += 10;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	memory_net_clear(&m);
	peer = fd_close(peer);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_true(guest_heard(0)->tcp.flags & NET_FIN);
	g.ack++;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(m.tcp.stats.resets, 0);
}

static void test_simultaneous_close(void **state)
{
	struct guest g = opened();

	memory_net_clear(&m);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	memory_net_run(&m);
	assert_true(guest_heard(0)->tcp.flags & NET_FIN);
	guest_say(&g, NET_FIN | NET_ACK, NULL, 0, 60000); /* has not seen ours */
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.ack, g.seq);
	g.ack++;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(recv(peer, buffer, 10, 0), 0);
}

static void test_resets(void **state)
{
	static const struct linger hard = {.l_onoff = 1};
	struct guest g = opened();

	guest_say(&g, NET_RST, NULL, 0, 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(recv(peer, buffer, 10, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	fd_close(peer);
	fd_close(listener);
	g = opened();
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	memory_net_clear(&m);
	peer = fd_close(peer);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_true(guest_heard(0)->tcp.flags & NET_RST);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
}

/* ---- urgent data, keep-alive ---- */

static void test_urgent_from_guest(void **state)
{
	struct guest g = opened();

	g.urgent = 3; /* the byte before: "c" */
	guest_say(&g, NET_ACK | NET_URG, "abcde", 5, 60000);
	assert_int_equal(guest_heard(0)->tcp.ack, g.seq);
	assert_int_equal(recv(peer, buffer, 1, MSG_OOB), 1);
	assert_int_equal(buffer[0], 'c');
	assert_int_equal(recv(peer, buffer, 10, 0), 2);
	assert_int_equal(recv(peer, buffer + 2, 10, 0), 2);
	assert_memory_equal(buffer, "abde", 4);
	g.urgent = 9; /* lies in a later segment */
	guest_say(&g, NET_ACK | NET_URG, "fg", 2, 60000);
	assert_int_equal(recv(peer, buffer, 10, 0), 2);
	g.urgent = 0; /* means nothing */
	guest_say(&g, NET_ACK | NET_URG, "hi", 2, 60000);
	assert_int_equal(recv(peer, buffer, 10, 0), 2);
	assert_int_equal(recv(peer, buffer, 1, MSG_OOB), -1);
}

static void test_urgent_to_guest(void **state)
{
	struct guest g = opened();
	uint32_t first = g.ack, urgent = 0;
	uint8_t text[16] = {0};

	assert_int_equal(send(peer, "abc", 3, 0), 3);
	assert_int_equal(send(peer, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(peer, "def", 3, 0), 3);
	for (int again = 0; again < 2; again++) { /* the second time after a loss */
		memory_net_clear(&m);
		m.now_us += again ? 1000000 : 0;
		memory_net_run(&m);
		assert_true(m.n_sent >= 2);
		for (size_t i = 0; i < m.n_sent; i++) {
			const struct net_frame *f = guest_heard(i);

			memcpy(text + (f->tcp.seq - first), m.sent[i].data + f->payload_off, f->payload_len);
			if (f->tcp.flags & NET_URG)
				urgent = f->tcp.seq + f->tcp.urgent - 1 - first;
		}
		assert_string_equal((char *)text, "abc!def");
		assert_int_equal(urgent, 3);
		urgent = 0;
	}
	g.ack += 7;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	/* The next one, all by itself. */
	memory_net_clear(&m);
	assert_int_equal(send(peer, "?", 1, MSG_OOB), 1);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_true(guest_heard(0)->tcp.flags & NET_URG);
	assert_int_equal(guest_heard(0)->tcp.urgent, 1);
	g.ack++;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_false(guest_only_flow()->flags & (FLOW_URGENT | FLOW_PRI));
}

static void test_keep_alive(void **state)
{
	struct guest g = opened();
	int fd = guest_only_flow()->fd, on = 0;
	socklen_t len = sizeof(on);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
	assert_int_equal(on, 0);
	g.seq--;
	guest_say(&g, NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
	assert_int_equal(on, 1);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &on, &len), 0);
	assert_int_equal(on, HOST_INET_KEEP_IDLE_S);
}

/* ---- the card's own services ---- */

static void test_dns(void **state)
{
	struct guest g = stranger(DATA_PORT_DNS);

	verdict.allow = false;
	g.to = inet.gateway4;
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_true(dns_fd >= 0);
	g.ack = guest_heard(0)->tcp.seq + 1;
	guest_say(&g, NET_ACK, "query", 5, 60000);
	assert_int_equal(recv(dns_fd, buffer, 10, 0), 5);
	memory_net_clear(&m);
	assert_int_equal(send(dns_fd, "answer", 6, 0), 6);
	memory_net_run(&m);
	assert_int_equal(guest_heard(0)->payload_len, 6);
	g = (struct guest){.port = 3, .host_port = DATA_PORT_DNS, .seq = 5000, .from = g.from, .to = g.to};
	guest_say(&g, NET_SYN, NULL, 0, 60000); /* dns has no room for another one */
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_RST | NET_ACK);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
}

static void test_proxy(void **state)
{
	struct guest g = stranger(DATA_PORT_PROXY);
	struct cmsghdr *c;
	int fds[2], fd;
	uint8_t byte, space[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};

	g.to = inet.gateway4;
	refused(&g); /* there is none */
	assert_int_equal(sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds), 0);
	inet.proxy_fd = fds[0];
	g = stranger(DATA_PORT_PROXY);
	g.to = inet.gateway4;
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN | NET_ACK);
	assert_int_equal(recvmsg(fds[1], &msg, 0), 1);
	c = CMSG_FIRSTHDR(&msg);
	assert_non_null(c);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	g.ack = guest_heard(0)->tcp.seq + 1;
	guest_say(&g, NET_ACK, "GET", 3, 60000);
	assert_int_equal(recv(fd, buffer, 10, 0), 3);
	close(fd);
	close(fds[1]); /* the proxy died: refused again */
	g = stranger(DATA_PORT_PROXY);
	g.to = inet.gateway4;
	g.port++;
	guest_say(&g, NET_SYN, NULL, 0, 60000);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_RST | NET_ACK);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_refused_is_refused), T(test_no_descriptors), T(test_rule_refuses), T(test_late_answers), T(test_pending),
		T(test_both_ways), T(test_ip6), T(test_bulk), T(test_bulk_without_offset), T(test_back_pressure), T(test_half_close),
		T(test_simultaneous_close), T(test_resets), T(test_urgent_from_guest), T(test_urgent_to_guest),
		T(test_keep_alive), T(test_dns), T(test_proxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
