/* SPDX-License-Identifier: Apache-2.0 */
/* test-tcp-guest: see the header. */
#include "devices/net/test-tcp-guest.h"

#include <string.h>

#include "base/test.h"
#include "proto/control-link.h"

struct memory_net m;
uint8_t buffer[1 << 20];
const struct wire_caps guest_caps = {.csum = true, .tso4 = true, .mtu = 65520};

void guest_send(struct guest *g, uint8_t flags, const void *payload, uint32_t len, uint16_t window)
{
	static const uint8_t to[] = CONTROL_HOST_MAC, from[] = CONTROL_GUEST_MAC;
	static uint8_t data[NET_VNET_LEN + NET_HEAD_OUT_MAX + UINT16_MAX];
	static const struct net_addr none;
	bool given = !net_addr_equal(&g->to, &none);
	struct net_tcp_out out = {
		.src_mac = from, .dst_mac = to,
		.src = given ? g->from : net_addr4(CONTROL_GUEST_IP), .dst = given ? g->to : net_addr4(CONTROL_HOST_IP),
		.src_port = g->port, .dst_port = g->host_port, .seq = g->seq, .ack = g->ack, .flags = flags,
		.window = window, .urgent = g->urgent, .scale = -1, .payload_len = len,
	};
	struct net_vnet vnet = {.flags = NET_VNET_NEEDS_CSUM, .csum_offset = 16};
	size_t n;

	out.v6 = !net_addr_is_v4(&out.dst);
	if (flags & NET_SYN) {
		out.scale = 0;
		out.mss = 1460;
	}
	vnet.csum_start = NET_ETH_LEN + (out.v6 ? NET_IP6_LEN : NET_IP4_LEN);
	net_vnet_encode(&vnet, data);
	n = NET_VNET_LEN + net_frame_build_tcp(data + NET_VNET_LEN, &out);
	if (len)
		memcpy(data + n, payload, len);
	assert_int_equal(memory_net_frame(&m, data, n + len), 0);
	g->seq += len + !!(flags & (NET_SYN | NET_FIN));
}

void guest_say(struct guest *g, uint8_t flags, const void *payload, uint32_t len, uint16_t window)
{
	memory_net_clear(&m);
	guest_send(g, flags, payload, len, window);
	memory_net_run(&m);
}

const struct net_frame *guest_heard(size_t i)
{
	assert_true(i < m.n_sent);
	return &m.sent[i].parsed;
}

int guest_open(struct guest *g)
{
	int peer;

	memory_net_clear(&m);
	peer = memory_net_connect(&m, CONTROL_PORT_ENGINE);
	assert_true(peer >= 0);
	memory_net_run(&m);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_SYN);
	assert_int_equal(guest_heard(0)->tcp.dst_port, CONTROL_PORT_ENGINE);
	*g = (struct guest){.port = CONTROL_PORT_ENGINE, .host_port = guest_heard(0)->tcp.src_port, .seq = 1000,
			    .ack = guest_heard(0)->tcp.seq + 1};
	guest_say(g, NET_SYN | NET_ACK, NULL, 0, 60000);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(guest_heard(0)->tcp.flags, NET_ACK);
	assert_int_equal(guest_heard(0)->tcp.ack, 1001);
	return peer;
}

int guest_set_up(void **state)
{
	memory_net_init(&m, 8, &guest_caps);
	return 0;
}

int guest_tear_down(void **state)
{
	int bad = (int)m.n_malformed;

	memory_net_done(&m);
	return bad;
}

struct flow *guest_only_flow(void)
{
	uint32_t cursor = 0;
	struct flow *flow = flow_next(&m.tcp.flows, &cursor);

	assert_non_null(flow);
	return flow;
}
