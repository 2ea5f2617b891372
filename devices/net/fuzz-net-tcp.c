/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-net-tcp: a hostile guest and hostile host programs against the TCP engine.
 *
 * Input: records of an operation byte and its arguments. Segments are described relative to the state of a flow, so that
 * the fuzzer reaches deep states; raw frames are possible, too. After each record the engine's invariants must hold.
 * The host's side are Unix sockets, or real TCP sockets of the loopback interface (urgent data, resets).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "devices/net/host-inet.h"
#include "devices/net/memory-wire.h"
#include "devices/net/tcp-parts.h"
#include "proto/control-link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLOWS = 12, RECORDS_MAX = 200 };
enum { OP_RAW, OP_SEGMENT, OP_CONNECT, OP_WRITE, OP_SHUTDOWN, OP_CLOSE, OP_READ, OP_TIME, OP_BUFFERS, OP_SYN, OP_MAX };
enum { PEER_URGENT = 0x80 };
enum { FEATURE_CSUM = 1, FEATURE_TSO = 2, FEATURE_SMALL = 4, FEATURE_INET = 8, FEATURE_LOOKS_AFTER = 16, FEATURE_NO_OFFSET = 32 };

static struct memory_net m;
static uint8_t bytes[UINT16_MAX];
static struct host_inet inet;
static struct sockaddr_in listening = {.sin_family = AF_INET};
static int listener = -EBADF;
static bool by_inet;

/* What surrounds host-inet: every destination is the one listener. */
void policy_decide(struct policy *p, enum rules_proto proto, const struct net_addr *addr, uint16_t port, struct rules_verdict *ret)
{
	*ret = (struct rules_verdict){.allow = true, .dial = net_addr4(INADDR_LOOPBACK)};
}

int dns_accept_consume(struct dns *dns, int fd)
{
	fd_close(fd);
	return -ENFILE;
}

int icmp_error_send(struct icmp_error *ctx, int error, const struct icmp_subject *subject, uint64_t now_us)
{
	return -EAGAIN;
}

static void start_inet(bool offset)
{
	socklen_t len = sizeof(listening);

	if (listener < 0) {
		listening.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (listener < 0 || bind(listener, (struct sockaddr *)&listening, len) < 0 || listen(listener, 16) < 0 ||
		    getsockname(listener, (struct sockaddr *)&listening, &len) < 0)
			abort();
	}
	if (host_inet_init(&inet) < 0)
		abort();
	inet.peek_offset = inet.peek_offset && offset;
	m.tcp.host = &host_inet_ops;
	m.tcp.host_data = &inet;
}

/* The host program takes what the engine dialled. */
static void accept_peers(void)
{
	static const struct linger hard = {.l_onoff = 1}; /* no TIME_WAIT: there are many runs */
	int fd;

	while (m.n_peers < MEMORY_PEERS_MAX && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		m.peers[m.n_peers++] = fd;
	}
}

static struct flow *nth_flow(unsigned int n)
{
	return flow_by_handle(&m.tcp.flows, table_handle(&m.tcp.flows.slots, n % FLOWS));
}

static void check_flow(const struct flow *f)
{
	if (seq_before(f->snd_nxt, f->snd_una) || seq_before(f->snd_max, f->snd_nxt) ||
	    (f->state == FLOW_OPEN && seq_before(f->rcv_adv, f->rcv_nxt)))
		abort();
	if (!(f->flags & FLOW_RST_DUE) && f->fd < 0)
		abort();
	/* What is on its way to the guest has somebody who waits for the answer. */
	if (f->state == FLOW_OPEN && f->snd_una != f->snd_max && !flow_awaits(f) && !(f->flags & FLOW_READY))
		abort();
}

static void send_segment(struct bytes_reader *r)
{
	struct flow *f = nth_flow(bytes_get8(r));
	uint8_t flags = bytes_get8(r);
	uint32_t seq = (uint32_t)(int32_t)(int16_t)bytes_get16(r), ack = (uint32_t)(int32_t)(int16_t)bytes_get16(r);
	uint16_t window = bytes_get16(r), len = bytes_get16(r);
	static const uint8_t to[] = CONTROL_HOST_MAC, from[] = CONTROL_GUEST_MAC;
	struct net_tcp_out out = {.src_mac = from, .dst_mac = to, .window = window, .scale = -1};

	if (!f)
		return;
	out.src = f->key.guest;
	out.dst = f->key.host;
	out.src_port = f->key.guest_port;
	out.dst_port = f->key.host_port;
	out.seq = f->rcv_nxt + seq;
	out.ack = f->snd_max + ack;
	out.flags = flags & (flags & NET_SYN ? 0x1f : 0x3f);
	out.urgent = flags & 0x80 ? len : 1 + (len & 7);
	if ((flags & (0x20 | NET_SYN)) == (0x20 | NET_SYN))
		out.scale = (int8_t)(flags >> 6);
	if (flags & 0x40)
		out.mss = window;
	out.payload_len = len < 65000 ? len : 65000;
	memory_net_segment(&m, &out, bytes);
}

static void send_syn(struct bytes_reader *r)
{
	static const uint8_t to[] = CONTROL_HOST_MAC, from[] = CONTROL_GUEST_MAC;
	struct net_tcp_out out = {.src_mac = from, .dst_mac = to, .flags = NET_SYN, .mss = 1460, .scale = 7};

	out.src = net_addr4(CONTROL_GUEST_IP);
	out.dst = net_addr4(CONTROL_HOST_IP);
	out.dst_port = bytes_get8(r) & 1 ? CONTROL_PORT_LOG : 80;
	if (by_inet)
		out.dst_port = ntohs(listening.sin_port);
	out.src_port = bytes_get8(r);
	out.seq = bytes_get32(r);
	memory_net_segment(&m, &out, NULL);
}

static void touch_peer(uint8_t op, struct bytes_reader *r)
{
	size_t i = bytes_get8(r);
	uint16_t n = bytes_get16(r);
	int *fd = &m.peers[i % MEMORY_PEERS_MAX];

	if (i % MEMORY_PEERS_MAX >= m.n_peers || *fd < 0)
		return;
	if (op == OP_WRITE && send(*fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL | (i & PEER_URGENT && by_inet ? MSG_OOB : 0)) < 0)
		return;
	if (op == OP_READ && recv(*fd, bytes, n, MSG_DONTWAIT) < 0)
		return;
	if (op == OP_SHUTDOWN)
		(void)shutdown(*fd, SHUT_WR);
	if (op == OP_CLOSE)
		*fd = fd_close(*fd);
}

static void send_raw(struct bytes_reader *r)
{
	size_t left = r->len - r->off, n = bytes_get16(r);
	const uint8_t *data;

	n = n < left ? n : left;
	data = bytes_get(r, n);
	if (data)
		memory_net_frame(&m, data, n);
}

static void one_record(struct bytes_reader *r)
{
	uint8_t op = bytes_get8(r);

	switch (op % OP_MAX) {
	case OP_RAW:
		send_raw(r);
		break;
	case OP_SEGMENT:
		send_segment(r);
		break;
	case OP_CONNECT:
		if (by_inet)
			accept_peers();
		else
			memory_net_connect(&m, CONTROL_PORT_ENGINE);
		break;
	case OP_TIME:
		m.now_us += (uint64_t)bytes_get16(r) << 10;
		break;
	case OP_BUFFERS:
		m.buffers = bytes_get16(r);
		m.buffer_size = 256 + bytes_get8(r) * 16u;
		break;
	case OP_SYN:
		send_syn(r);
		break;
	default:
		touch_peer(op % OP_MAX, r);
	}
	/* The low half of the operations run together with the next one, as batches do. */
	if (op < 128)
		memory_net_run(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes_reader r = bytes_reader(data, size);
	uint8_t features = bytes_get8(&r);
	struct wire_caps caps = {.csum = features & FEATURE_CSUM, .tso4 = features & FEATURE_TSO,
				 .mtu = features & FEATURE_SMALL ? 1500 : 65520};

	log_open("fuzz", STDERR_FILENO, LOG_ERROR);
	memory_net_init(&m, FLOWS, &caps);
	by_inet = features & FEATURE_INET;
	m.tcp.looks_after = features & FEATURE_LOOKS_AFTER;
	if (by_inet)
		start_inet(!(features & FEATURE_NO_OFFSET));
	for (int i = 0; i < RECORDS_MAX && r.ok && r.off < r.len; i++) {
		one_record(&r);
		for (unsigned int k = 0; k < FLOWS; k++)
			if (nth_flow(k))
				check_flow(nth_flow(k));
		if (m.n_malformed)
			abort();
		memory_net_clear(&m);
	}
	if (by_inet)
		accept_peers(); /* none is left for the next run */
	memory_net_done(&m);
	return 0;
}
