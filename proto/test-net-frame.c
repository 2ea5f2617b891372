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
	assert_int_equal(with(6, 0x20), NET_FRAME_E_FRAGMENT); /* more fragments, but not in units of 8 */
	assert_int_equal(with(7, 1), 0);		       /* the last fragment */
	assert_int_equal(with(6, 0x1f), 0);		       /* of a packet as large as can be */
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

/* An IP packet of PROTO with the L4_LEN bytes of L4, IPv6 with HOP. Return: length of the frame. */
static size_t wrap(bool v6, uint8_t proto, uint8_t hop, const void *l4, size_t l4_len)
{
	struct net_ip_out out = {.v6 = v6, .proto = proto, .hop_limit = hop, .l4_len = (uint32_t)l4_len};
	size_t n;

	out.src = v6 ? (struct net_addr){{0xfe, 0x80, [15] = 2}} : net_addr4(0xc0000202);
	out.dst = v6 ? (struct net_addr){{0xff, 2, [15] = 1}} : net_addr4(0xc0000201);
	memcpy(data, host_mac, 6);
	memcpy(data + 6, guest_mac, 6);
	be16_store(data + 12, v6 ? NET_ETH_IP6 : NET_ETH_IP4);
	n = NET_ETH_LEN + net_frame_build_ip(data + NET_ETH_LEN, &out);
	memcpy(data + n, l4, l4_len);
	return n + l4_len;
}

static int parse(struct net_frame *f, size_t n)
{
	/* A copy of exactly this length, so that the sanitizer sees who reads on. */
	static uint8_t copy[sizeof(data)];
	uint8_t *end = copy + sizeof(copy) - n;

	memcpy(end, data, n);
	return net_frame_parse(f, end, n < NET_HEAD_MAX ? n : NET_HEAD_MAX, n);
}

static void test_echo(void **state)
{
	static const uint8_t request4[] = {8, 0, 0, 0, 1, 2, 0, 3, 'h', 'i'}, request6[] = {128, 0, 0, 0, 1, 2, 0, 3, 'h', 'i'};
	static const uint8_t reply4[] = {0, 0, 0, 0, 1, 2, 0, 3, 'h', 'i'}, code4[] = {8, 1, 0, 0, 1, 2, 0, 3, 'h', 'i'};
	struct net_frame f;

	for (int v6 = 0; v6 < 2; v6++) {
		uint8_t proto = v6 ? NET_IP_ICMP6 : NET_IP_ICMP;

		assert_int_equal(parse(&f, wrap(v6, proto, 64, v6 ? request6 : request4, 10)), 0);
		assert_int_equal(f.kind, NET_KIND_ECHO);
		assert_int_equal(f.v6, v6);
		assert_int_equal(f.echo.id, 0x102);
		assert_int_equal(f.echo.seq, 3);
		assert_int_equal(f.payload_len, 2);
		assert_int_equal(parse(&f, wrap(v6, proto, 64, reply4, 10)), 0);
		assert_int_equal(f.kind, NET_KIND_OTHER);
		assert_int_equal(f.ip_proto, proto);
		assert_int_equal(parse(&f, wrap(v6, proto, 64, code4, 10)), 0);
		assert_int_equal(f.kind, NET_KIND_OTHER);
		assert_int_equal(parse(&f, wrap(v6, proto, 64, request4, 7)), NET_FRAME_E_SHORT);
		/* The other family's protocol number. */
		assert_int_equal(parse(&f, wrap(v6, v6 ? NET_IP_ICMP : NET_IP_ICMP6, 64, v6 ? request6 : request4, 10)), 0);
		assert_int_equal(f.kind, NET_KIND_OTHER);
	}
}

static void test_udp(void **state)
{
	uint8_t udp[] = {0x10, 0, 0, 53, 0, 11, 1, 1, 'a', 'b', 'c', 'p'};
	struct net_frame f;

	for (int v6 = 0; v6 < 2; v6++) {
		assert_int_equal(parse(&f, wrap(v6, NET_IP_UDP, 64, udp, sizeof(udp))), 0);
		assert_int_equal(f.kind, NET_KIND_UDP);
		assert_int_equal(f.udp.src_port, 0x1000);
		assert_int_equal(f.udp.dst_port, 53);
		assert_int_equal(f.l4_len, 11);
		assert_int_equal(f.payload_len, 3); /* what lies behind it in the IP packet is not its */
		assert_false(f.udp.no_checksum);
		udp[5] = 13; /* beyond the packet */
		assert_int_equal(parse(&f, wrap(v6, NET_IP_UDP, 64, udp, sizeof(udp))), NET_FRAME_E_LENGTH);
		udp[5] = 7; /* below its own header */
		assert_int_equal(parse(&f, wrap(v6, NET_IP_UDP, 64, udp, sizeof(udp))), NET_FRAME_E_LENGTH);
		udp[5] = 0; /* RFC 2675 */
		assert_int_equal(parse(&f, wrap(v6, NET_IP_UDP, 64, udp, sizeof(udp))), NET_FRAME_E_LENGTH);
		udp[5] = 8;
		assert_int_equal(parse(&f, wrap(v6, NET_IP_UDP, 64, udp, 8)), 0);
		assert_int_equal(f.payload_len, 0);
		assert_int_equal(parse(&f, wrap(v6, NET_IP_UDP, 64, udp, 7)), NET_FRAME_E_SHORT);
		udp[5] = 11;
	}
	udp[6] = udp[7] = 0;
	assert_int_equal(parse(&f, wrap(false, NET_IP_UDP, 64, udp, sizeof(udp))), 0);
	assert_true(f.udp.no_checksum);
	assert_int_equal(parse(&f, wrap(true, NET_IP_UDP, 64, udp, sizeof(udp))), NET_FRAME_E_CHECKSUM);
}

static void test_ndp(void **state)
{
	uint8_t ns[32] = {135, [8] = 0xfe, [9] = 0x80, [23] = 1, [24] = 1, 1, 2, 0, 0, 0, 0, 2};
	uint8_t rs[16] = {133, [8] = 1, 1, 2, 0, 0, 0, 0, 2};
	struct net_frame f;

	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, ns, sizeof(ns))), 0);
	assert_int_equal(f.kind, NET_KIND_NDP);
	assert_int_equal(f.ndp.type, NET_NDP_NS);
	assert_int_equal(f.ndp.target.byte[15], 1);
	assert_true(f.ndp.has_mac);
	assert_memory_equal(f.ndp.mac, guest_mac, 6);
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, rs, sizeof(rs))), 0);
	assert_int_equal(f.kind, NET_KIND_NDP);
	assert_int_equal(f.ndp.type, NET_NDP_RS);
	assert_true(f.ndp.has_mac);
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, rs, 8)), 0);
	assert_false(f.ndp.has_mac);
	/* What is to be ignored. */
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 254, ns, sizeof(ns))), 0);
	assert_int_equal(f.kind, NET_KIND_OTHER);
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, ns, 23)), 0);
	assert_int_equal(f.kind, NET_KIND_OTHER);
	ns[8] = 0xff; /* a multicast target */
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, ns, sizeof(ns))), 0);
	assert_int_equal(f.kind, NET_KIND_OTHER);
	ns[8] = 0xfe;
	/* Options: of no length, beyond the packet, cut. */
	ns[25] = 0;
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, ns, sizeof(ns))), NET_FRAME_E_LENGTH);
	ns[25] = 2;
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, ns, sizeof(ns))), NET_FRAME_E_LENGTH);
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, ns, 25)), NET_FRAME_E_LENGTH);
	/* From nobody, with a link-layer address. */
	ns[25] = 1;
	wrap(true, NET_IP_ICMP6, 255, ns, sizeof(ns));
	memset(data + NET_ETH_LEN + 8, 0, 16);
	assert_int_equal(parse(&f, NET_ETH_LEN + NET_IP6_LEN + sizeof(ns)), 0);
	assert_int_equal(f.kind, NET_KIND_OTHER);
	/* An advertisement of a router is nobody's business here. */
	ns[0] = 134;
	assert_int_equal(parse(&f, wrap(true, NET_IP_ICMP6, 255, ns, sizeof(ns))), 0);
	assert_int_equal(f.kind, NET_KIND_OTHER);
}

static void test_fragments(void **state)
{
	uint8_t piece[24] = {17, 0, 0, 8 | 1, 1, 2, 3, 4, 0xaa};
	uint8_t whole[20] = {17, 0, 0, 0, 1, 2, 3, 4, 0x10, 0, 0, 53, 0, 12, 1, 1, 'a', 'b', 'c', 'd'};
	struct net_frame f;
	size_t n = wrap(false, NET_IP_UDP, 64, piece, 16);

	be16_store(data + NET_ETH_LEN + 4, 0x1234);
	be16_store(data + NET_ETH_LEN + 6, 0x2000 | 3);
	fix_ip4();
	assert_int_equal(parse(&f, n), 0);
	assert_int_equal(f.kind, NET_KIND_FRAGMENT);
	assert_int_equal(f.fragment.id, 0x1234);
	assert_int_equal(f.fragment.offset, 24);
	assert_true(f.fragment.more);
	assert_int_equal(f.fragment.proto, 17);
	assert_int_equal(f.payload_len, 16);
	assert_int_equal(f.payload_off, NET_ETH_LEN + NET_IP4_LEN);
	be16_store(data + NET_ETH_LEN + 6, 0x1fff); /* reaches beyond any packet */
	fix_ip4();
	assert_int_equal(parse(&f, n), NET_FRAME_E_FRAGMENT);
	be16_store(data + NET_ETH_LEN + 2, NET_IP4_LEN); /* empty */
	be16_store(data + NET_ETH_LEN + 6, 0x2000);
	fix_ip4();
	assert_int_equal(parse(&f, n), NET_FRAME_E_FRAGMENT);
	assert_int_equal(parse(&f, wrap(true, NET_IP_FRAGMENT, 64, piece, sizeof(piece))), 0);
	assert_int_equal(f.kind, NET_KIND_FRAGMENT);
	assert_int_equal(f.fragment.id, 0x01020304);
	assert_int_equal(f.fragment.offset, 8);
	assert_int_equal(f.fragment.proto, 17);
	assert_int_equal(f.payload_len, 16);
	assert_int_equal(data[f.payload_off], 0xaa);
	assert_int_equal(parse(&f, wrap(true, NET_IP_FRAGMENT, 64, piece, sizeof(piece) - 1)), NET_FRAME_E_FRAGMENT);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(parse(&f, wrap(true, NET_IP_FRAGMENT, 64, piece, i)), NET_FRAME_E_SHORT);
	assert_int_equal(parse(&f, wrap(true, NET_IP_FRAGMENT, 64, whole, sizeof(whole))), 0);
	assert_int_equal(f.kind, NET_KIND_UDP);
	assert_int_equal(f.payload_len, 4);
}

static void test_other_protocols(void **state)
{
	static const uint8_t zeros[64];
	struct net_frame f;

	/* Extension headers among them: not followed. */
	for (unsigned int proto = 0; proto < 256; proto++) {
		for (int v6 = 0; v6 < 2; v6++) {
			int r = parse(&f, wrap(v6, (uint8_t)proto, 64, zeros, sizeof(zeros)));

			if (proto == NET_IP_TCP || proto == NET_IP_UDP || (v6 && proto == NET_IP_FRAGMENT))
				continue;
			assert_int_equal(r, 0);
			assert_int_equal(f.kind, NET_KIND_OTHER);
			assert_int_equal(f.ip_proto, proto);
			assert_true(f.ip);
		}
	}
	/* Jumbograms: a length of 0. */
	wrap(true, 0, 64, zeros, sizeof(zeros));
	be16_store(data + NET_ETH_LEN + 4, 0);
	assert_int_equal(parse(&f, NET_ETH_LEN + NET_IP6_LEN + sizeof(zeros)), 0);
	assert_int_equal(f.kind, NET_KIND_OTHER);
	data[NET_ETH_LEN + 6] = NET_IP_UDP;
	assert_int_equal(parse(&f, NET_ETH_LEN + NET_IP6_LEN + sizeof(zeros)), NET_FRAME_E_SHORT);
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
	static const uint8_t udp[] = {0x10, 0, 0, 53, 0, 11, 1, 1, 'a', 'b', 'c'};
	struct net_vnet uso = {.flags = 1, .csum_start = 34, .csum_offset = 6, .gso_type = NET_VNET_GSO_UDP_L4, .gso_size = 100};
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
	assert_int_equal(net_vnet_check(&uso, &f), NET_FRAME_E_OFFLOAD);
	assert_int_equal(parse(&f, wrap(false, NET_IP_UDP, 64, udp, sizeof(udp))), 0);
	assert_int_equal(net_vnet_check(&uso, &f), 0);
	/* One frame is no more datagrams than a kernel would put into it. */
	f.payload_len = NET_VNET_SEGMENTS_MAX * 7;
	uso.gso_size = 7;
	assert_int_equal(net_vnet_check(&uso, &f), 0);
	f.payload_len++;
	assert_int_equal(net_vnet_check(&uso, &f), NET_FRAME_E_OFFLOAD);
	uso.gso_size = 0;
	assert_int_equal(net_vnet_check(&uso, &f), NET_FRAME_E_OFFLOAD);
	uso = (struct net_vnet){.flags = 1, .csum_start = 34, .csum_offset = 16};
	assert_int_equal(net_vnet_check(&uso, &f), NET_FRAME_E_OFFLOAD);
	uso = (struct net_vnet){.flags = 1, .csum_start = 34};
	assert_int_equal(parse(&f, wrap(false, NET_IP_ICMP, 64, "\10\0\0\0\0\0\0", 8)), 0);
	assert_int_equal(net_vnet_check(&uso, &f), NET_FRAME_E_OFFLOAD); /* nothing of the kind in ICMP */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_lies),	     cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_padding),	   cmocka_unit_test(test_mapped_v6), cmocka_unit_test(test_arp),
		cmocka_unit_test(test_echo),	   cmocka_unit_test(test_offload),   cmocka_unit_test(test_udp),
		cmocka_unit_test(test_ndp),	   cmocka_unit_test(test_fragments), cmocka_unit_test(test_other_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
