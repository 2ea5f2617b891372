/* SPDX-License-Identifier: Apache-2.0 */
/* test-net-frame: round trips, and one vector for each way a header can lie (NET-06). */
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"
#include "proto/net-frame.h"

static const uint8_t host_mac[] = {2, 0, 0, 0, 0, 1}, guest_mac[] = {2, 0, 0, 0, 0, 2};
static uint8_t data[2048];

static size_t build(bool v6, uint32_t payload)
{
	struct net_tcp_out out = {
		.v6 = v6, .src_mac = guest_mac, .dst_mac = host_mac, .src_port = 4000, .dst_port = 80, .seq = 0x01020304,
		.ack = 0x05060708, .flags = NET_SYN | NET_ACK, .window = 1234, .mss = 1460, .scale = 7, .payload_len = payload,
	};
	size_t n;

	out.src = v6 ? (struct net_addr){{0xfd, 1, [15] = 2}} : net_addr4(0xc0000202);
	out.dst = v6 ? (struct net_addr){{0xfd, 1, [15] = 1}} : net_addr4(0xc0000201);
	memset(data, 0xa5, sizeof(data));
	n = net_frame_build_tcp(data, &out);
	for (uint32_t i = 0; i < payload; i++)
		data[n + i] = (uint8_t)(i * 7);
	net_frame_finish_tcp(data, n, v6, net_sum(0, data + n, payload));
	return n + payload;
}

static void round_trip(bool v6, uint32_t payload)
{
	size_t n = build(v6, payload);
	struct net_frame f;

	assert_int_equal(net_frame_parse(&f, data, n, n), 0);
	assert_int_equal(f.kind, NET_KIND_TCP);
	assert_int_equal(f.v6, v6);
	assert_int_equal(f.payload_len, payload);
	assert_int_equal(f.payload_off, n - payload);
	assert_int_equal(f.tcp.seq, 0x01020304);
	assert_int_equal(f.tcp.ack, 0x05060708);
	assert_int_equal(f.tcp.mss, 1460);
	assert_int_equal(f.tcp.scale, 7);
	assert_int_equal(f.tcp.window, 1234);
	assert_int_equal(f.tcp.flags, NET_SYN | NET_ACK);
	assert_memory_equal(f.src_mac, guest_mac, 6);
	/* The whole transport part with its pseudo-header sums to all ones. */
	assert_int_equal(net_fold(net_sum(net_pseudo_sum(&f), data + f.l4_off, f.l4_len)), 0xffff);
	data[n - 1] ^= 1;
	assert_int_not_equal(net_fold(net_sum(net_pseudo_sum(&f), data + f.l4_off, f.l4_len)), 0xffff);
}

static void test_round_trip(void **state)
{
	for (uint32_t n = 0; n < 40; n++) {
		round_trip(false, n);
		round_trip(true, n);
	}
}

static void fix_ip4(void)
{
	le16_store(data + NET_ETH_LEN + 10, 0);
	le16_store(data + NET_ETH_LEN + 10, (uint16_t)~net_fold(net_sum(0, data + NET_ETH_LEN, (data[NET_ETH_LEN] & 15) * 4u)));
}

/* Builds a good frame, stores BYTE at OFF (from the IP header on), mends the IP checksum, parses. */
static int with(size_t off, uint8_t byte)
{
	size_t n = build(false, 10);
	struct net_frame f;

	data[NET_ETH_LEN + off] = byte;
	fix_ip4();
	return net_frame_parse(&f, data, n, n);
}

static void test_lies(void **state)
{
	size_t n = build(false, 10);
	struct net_frame f;

	assert_int_equal(with(0, 0x45), 0); /* the twin: nothing changed */
	assert_int_equal(with(0, 0x44), NET_FRAME_E_LENGTH);   /* header below 20 */
	assert_int_equal(with(0, 0x65), NET_FRAME_E_LENGTH);   /* version 6 in an IPv4 frame */
	assert_int_equal(with(2, 0xff), NET_FRAME_E_LENGTH);   /* total length beyond the frame */
	assert_int_equal(with(3, 19), NET_FRAME_E_LENGTH);     /* total length below the header */
	assert_int_equal(with(3, 39), NET_FRAME_E_SHORT);      /* no room for TCP */
	assert_int_equal(with(3, 40), NET_FRAME_E_LENGTH);     /* no room for TCP's options */
	assert_int_equal(with(6, 0x20), NET_FRAME_E_FRAGMENT); /* more fragments */
	assert_int_equal(with(7, 1), NET_FRAME_E_FRAGMENT);    /* not the first */
	assert_int_equal(with(20 + 12, 0x40), NET_FRAME_E_LENGTH); /* data offset below 5 */
	assert_int_equal(with(20 + 12, 0xf0), NET_FRAME_E_LENGTH); /* beyond the packet */
	assert_int_equal(with(40 + 1, 0), NET_FRAME_E_LENGTH);	   /* option of no length */
	assert_int_equal(with(40 + 1, 1), NET_FRAME_E_LENGTH);
	assert_int_equal(with(40 + 1, 9), NET_FRAME_E_LENGTH);     /* option beyond the header */
	assert_int_equal(with(40 + 7, 200), 0);
	data[NET_ETH_LEN + 8] ^= 1; /* checksum of the IP header */
	assert_int_equal(net_frame_parse(&f, data, n, n), NET_FRAME_E_CHECKSUM);
	/* A header length beyond the packet. */
	build(false, 0);
	data[NET_ETH_LEN] = 0x4f;
	be16_store(data + NET_ETH_LEN + 2, 40);
	assert_int_equal(net_frame_parse(&f, data, n, n), NET_FRAME_E_LENGTH);
}

static void test_prefixes(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = build(v6, 0);
		struct net_frame f;

		for (size_t i = 0; i < n; i++)
			assert_true(net_frame_parse(&f, data, i, i) > 0);
		assert_int_equal(net_frame_parse(&f, data, n, n), 0);
	}
}

static void test_padding(void **state)
{
	size_t n = build(false, 3);
	struct net_frame f;

	assert_int_equal(net_frame_parse(&f, data, n, n + 40), 0);
	assert_int_equal(f.payload_len, 3);
	assert_int_equal(net_frame_parse(&f, data, n, NET_FRAME_MAX + 1), NET_FRAME_E_LENGTH);
}

static void test_mapped_v6(void **state)
{
	size_t n = build(true, 3);
	struct net_addr mapped = net_addr4(0xc0000202);
	struct net_frame f;

	memcpy(data + NET_ETH_LEN + 8, mapped.byte, 16);
	assert_int_equal(net_frame_parse(&f, data, n, n), 0);
	assert_int_equal(f.kind, NET_KIND_OTHER);
}

static void test_arp(void **state)
{
	uint8_t request[NET_ARP_FRAME_LEN] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
					      2, 0, 0, 0, 0, 2, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1};
	uint8_t reply[NET_ARP_FRAME_LEN] = {0};
	struct net_frame f;

	assert_int_equal(net_frame_parse(&f, request, sizeof(request), sizeof(request)), 0);
	assert_int_equal(f.kind, NET_KIND_ARP);
	assert_true(f.arp.request);
	net_frame_build_arp(reply, &f, host_mac);
	assert_int_equal(net_frame_parse(&f, reply, sizeof(reply), sizeof(reply)), 0);
	assert_false(f.arp.request);
	assert_memory_equal(f.dst_mac, guest_mac, 6);
	assert_memory_equal(f.arp.sender_mac, host_mac, 6);
	assert_memory_equal(f.arp.sender.byte + 12, "\xc0\0\2\1", 4);
	for (size_t i = 0; i < sizeof(request); i++)
		assert_true(net_frame_parse(&f, request, i, i) > 0);
	request[18] = 7; /* hardware address length */
	assert_true(net_frame_parse(&f, request, sizeof(request), sizeof(request)) > 0);
}

static void test_echo(void **state)
{
	uint8_t packet[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 33, 0, 0, 0, 0, 64, 1, 0, 0,
			      192, 0, 2, 2, 192, 0, 2, 1, 8, 0, 0, 0, 1, 2, 0, 3, 'h', 'e', 'l', 'l', 'o'};
	struct net_frame f;
	size_t n;

	memcpy(data, packet, sizeof(packet));
	fix_ip4();
	assert_int_equal(net_frame_parse(&f, data, sizeof(packet), sizeof(packet)), 0);
	assert_int_equal(f.kind, NET_KIND_ECHO);
	n = net_frame_build_echo(data, sizeof(packet), &f, host_mac);
	assert_int_equal(n, NET_ETH_LEN + 33); /* padding is not echoed */
	assert_int_equal(data[NET_ETH_LEN + 20], 0);
	assert_int_equal(net_fold(net_sum(0, data + NET_ETH_LEN + 20, 13)), 0xffff);
	assert_int_equal(net_fold(net_sum(0, data + NET_ETH_LEN, 20)), 0xffff);
	assert_memory_equal(data + NET_ETH_LEN + 12, "\xc0\0\2\1\xc0\0\2\2", 8);
}

static void test_offload(void **state)
{
	static const struct {
		struct net_vnet vnet;
		int want;
	} cases[] = {
		{{0}, 0},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16}, 0},
		{{.flags = 1, .csum_start = 35, .csum_offset = 16}, NET_FRAME_E_OFFLOAD},
		{{.flags = 1, .csum_start = 34, .csum_offset = 6}, NET_FRAME_E_OFFLOAD},
		{{.flags = 4}, NET_FRAME_E_OFFLOAD},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 1460}, 0},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1}, NET_FRAME_E_OFFLOAD},
		{{.gso_type = 1, .gso_size = 1460}, NET_FRAME_E_OFFLOAD},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 4, .gso_size = 9}, NET_FRAME_E_OFFLOAD},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 3, .gso_size = 9}, NET_FRAME_E_OFFLOAD},
	};
	size_t n = build(false, 10);
	struct net_frame f;
	uint8_t raw[NET_VNET_LEN];
	struct net_vnet back;

	assert_int_equal(net_frame_parse(&f, data, n, n), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		net_vnet_encode(&cases[i].vnet, raw);
		net_vnet_decode(&back, raw);
		assert_memory_equal(&back, &cases[i].vnet, sizeof(back));
		assert_int_equal(net_vnet_check(&back, &f), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_lies),	     cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_padding),	   cmocka_unit_test(test_mapped_v6), cmocka_unit_test(test_arp),
		cmocka_unit_test(test_echo),	   cmocka_unit_test(test_offload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
