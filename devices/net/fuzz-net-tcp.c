/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-net-tcp: a hostile guest and hostile host programs against the TCP engine.
 *
 * Input: records of an operation byte and its arguments. Segments are described relative to the state of a flow, so that
 * the fuzzer reaches deep states; raw frames are possible, too. After each record the engine's invariants must hold.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "devices/net/memory-wire.h"
#include "proto/control-link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLOWS = 12, RECORDS_MAX = 200 };
enum { OP_RAW, OP_SEGMENT, OP_CONNECT, OP_WRITE, OP_SHUTDOWN, OP_CLOSE, OP_READ, OP_TIME, OP_BUFFERS, OP_SYN, OP_MAX };

static struct memory_net m;
static uint8_t bytes[UINT16_MAX];

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
	if (f->state == FLOW_OPEN && f->snd_una != f->snd_max && !(f->flags & (FLOW_TIMED | FLOW_READY)))
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
	out.flags = flags & 0x1f;
	if (flags & 0x20)
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
	if (op == OP_WRITE && send(*fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
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
	struct wire_caps caps = {.csum = features & 1, .tso4 = features & 2, .mtu = features & 4 ? 1500 : 65520};

	memory_net_init(&m, FLOWS, &caps);
	for (int i = 0; i < RECORDS_MAX && r.ok && r.off < r.len; i++) {
		one_record(&r);
		for (unsigned int k = 0; k < FLOWS; k++)
			if (nth_flow(k))
				check_flow(nth_flow(k));
		if (m.n_malformed)
			abort();
		memory_net_clear(&m);
	}
	memory_net_done(&m);
	return 0;
}
