/* SPDX-License-Identifier: Apache-2.0 */
/* test-net-frame-build: what is built parses as what was asked for, with the checksums of the RFCs. */
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"
#include "proto/net-frame.h"

static const uint8_t host_mac[] = {2, 0, 0, 0, 0, 1}, guest_mac[] = {2, 0, 0, 0, 0, 2};
static uint8_t data[2048];

static struct net_addr address(bool v6, uint8_t last)
{
	return v6 ? (struct net_addr){{0xfd, 1, [15] = last}} : net_addr4(0xc0000200u + last);
}

static void whole(struct net_frame *f, size_t n)
{
	assert_int_equal(net_frame_parse(f, data, n, n), 0);
	assert_int_equal(f->l4_off + f->l4_len, n);
	assert_int_equal(net_fold(net_sum(net_pseudo_sum(f), data + f->l4_off, f->l4_len)), 0xffff);
	assert_memory_equal(f->dst_mac, guest_mac, 6);
	assert_memory_equal(f->src_mac, host_mac, 6);
	assert_int_equal(data[n], 0xa5); /* nothing beyond it was written */
}

static void fill_payload(size_t n, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		data[n + i] = (uint8_t)(i * 7);
}

static void one_udp(bool v6, uint32_t len)
{
	struct net_udp_out out = {.v6 = v6, .src_mac = host_mac, .dst_mac = guest_mac, .src = address(v6, 1), .dst = address(v6, 2),
				  .src_port = 53, .dst_port = 40000, .payload_len = len};
	struct net_frame f;
	size_t n;

	memset(data, 0xa5, sizeof(data));
	n = net_frame_build_udp(data, &out);
	fill_payload(n, len);
	net_frame_finish_udp(data, n, v6, net_sum(0, data + n, len));
	whole(&f, n + len);
	assert_int_equal(f.kind, NET_KIND_UDP);
	assert_int_equal(f.udp.src_port, 53);
	assert_int_equal(f.udp.dst_port, 40000);
	assert_false(f.udp.no_checksum);
	assert_int_equal(f.payload_len, len);
}

static void test_udp(void **state)
{
	for (uint32_t n = 0; n < 70; n++) {
		one_udp(false, n);
		one_udp(true, n);
	}
}

/* A datagram whose sum is 0 must not say that it has none. */
static void test_udp_zero_sum(void **state)
{
	struct net_udp_out out = {.v6 = true, .src_mac = host_mac, .dst_mac = guest_mac, .src = address(true, 1),
				  .dst = address(true, 2), .src_port = 1, .dst_port = 2, .payload_len = 2};
	struct net_frame f;
	size_t n;

	memset(data, 0xa5, sizeof(data));
	n = net_frame_build_udp(data, &out);
	/* The payload completes the rest to all ones. */
	le16_store(data + n, (uint16_t)~net_fold(net_sum(0, data + n - NET_UDP_LEN, NET_UDP_LEN)));
	net_frame_finish_udp(data, n, true, net_sum(0, data + n, 2));
	assert_int_equal(le16_load(data + n - 2), 0xffff);
	whole(&f, n + 2);
}

static void test_icmp(void **state)
{
	struct net_icmp_out out = {.src_mac = host_mac, .dst_mac = guest_mac, .rest = 0x01020304};
	struct net_frame f;

	for (uint32_t len = 0; len < 70; len++) {
		for (int v6 = 0; v6 < 2; v6++) {
			size_t n = NET_ETH_LEN + (v6 ? NET_IP6_LEN : NET_IP4_LEN) + NET_ICMP_LEN;

			memset(data, 0xa5, sizeof(data));
			fill_payload(n, len);
			out.v6 = v6;
			out.src = address(v6, 1);
			out.dst = address(v6, 2);
			out.type = v6 ? 128 : 8;
			out.payload_len = len;
			assert_int_equal(net_frame_build_icmp(data, &out, net_sum(0, data + n, len)), n);
			whole(&f, n + len);
			assert_int_equal(f.kind, NET_KIND_ECHO);
			assert_int_equal(f.echo.id, 0x102);
			assert_int_equal(f.echo.seq, 0x304);
			assert_int_equal(data[NET_ETH_LEN + (v6 ? 7 : 8)], 64);
		}
	}
	out.hop_limit = 255;
	(void)net_frame_build_icmp(data, &out, 0);
	assert_int_equal(data[NET_ETH_LEN + 7], 255);
}

static void test_tcp_urgent(void **state)
{
	struct net_tcp_out out = {.src_mac = host_mac, .dst_mac = guest_mac, .src = address(false, 1), .dst = address(false, 2),
				  .src_port = 1, .dst_port = 2, .scale = -1, .urgent = 77, .flags = NET_ACK};
	struct net_frame f;
	size_t n;

	for (int i = 0; i < 2; i++) {
		memset(data, 0xa5, sizeof(data));
		n = net_frame_build_tcp(data, &out);
		net_frame_finish_tcp(data, n, false, 0);
		whole(&f, n);
		assert_int_equal(f.tcp.urgent, i ? 77 : 0); /* only with the flag */
		assert_int_equal(f.tcp.flags, out.flags);
		out.flags |= NET_URG;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_udp_zero_sum),
		cmocka_unit_test(test_icmp),
		cmocka_unit_test(test_tcp_urgent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
