/* SPDX-License-Identifier: Apache-2.0 */
/* test-fragment: what is put together, and above all what is not (NET-06). */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"
#include "devices/net/fragment.h"

static struct fragments table;
static uint8_t data[70000];
static const uint8_t *packet;
static size_t packet_len;
static uint64_t now_us;

static int set_up(void **state)
{
	memset(&table, 0, sizeof(table));
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 256);
	now_us = 1000000;
	return 0;
}

static int give(bool v6, uint32_t id, uint8_t proto, uint32_t off, uint32_t len, bool more)
{
	struct net_frame frame = {
		.kind = NET_KIND_FRAGMENT, .v6 = v6, .ip = true, .src = net_addr4(0xc0a84103), .dst = net_addr4(0x08080808),
		.dst_mac = {2, 1}, .src_mac = {2, 2}, .payload_off = 34, .payload_len = len,
		.fragment = {.id = id, .offset = (uint16_t)off, .more = more, .proto = proto},
	};
	struct net_vnet vnet = {0};
	uint8_t head[NET_VNET_LEN + 34] = {0};
	struct iovec iov[2] = {{head, sizeof(head)}, {data + off, len}};
	struct card_frame card = {.vnet = &vnet, .frame = &frame, .iov = iov, .n_iov = 2, .total = 34 + len};

	if (v6) {
		frame.src = (struct net_addr){{0xfd, [15] = 3}};
		frame.dst = (struct net_addr){{0x20, 1, [15] = 1}};
	}
	return fragment_take(&table, &card, now_us, &packet, &packet_len);
}

static int udp4(uint32_t id, uint32_t off, uint32_t len, bool more)
{
	return give(false, id, NET_IP_UDP, off, len, more);
}

static void test_other_protocols(void **state)
{
	assert_int_equal(give(false, 1, NET_IP_TCP, 0, 1480, true), -ENOENT);
	assert_int_equal(give(false, 1, NET_IP_ICMP6, 0, 1480, true), -ENOENT);
	assert_int_equal(give(true, 1, NET_IP_ICMP, 0, 1480, true), -ENOENT);
	assert_int_equal(give(true, 1, NET_IP_FRAGMENT, 0, 1480, true), -ENOENT);
	assert_int_equal(table.dropped, 0);
}

/* Whatever breaks a rule takes its datagram with it, and the pieces that would have made it whole. */
static void test_overlap(void **state)
{
	assert_int_equal(udp4(1, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(udp4(1, 1472, 1480, true), -EBADMSG);
	assert_int_equal(udp4(1, 1480, 100, false), -EBADMSG);
	assert_int_equal(table.dropped, 1);
	/* A repetition is an overlap. */
	assert_int_equal(udp4(2, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(udp4(2, 0, 1480, true), -EBADMSG);
	assert_int_equal(udp4(2, 1480, 100, false), -EBADMSG);
	/* One within another. */
	assert_int_equal(udp4(3, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(udp4(3, 8, 8, true), -EBADMSG);
	/* An end within, or a second end. */
	assert_int_equal(udp4(4, 1480, 1480, true), FRAGMENT_MORE);
	assert_int_equal(udp4(4, 0, 100, false), -EBADMSG);
	assert_int_equal(udp4(5, 1480, 100, false), FRAGMENT_MORE);
	assert_int_equal(udp4(5, 2960, 100, false), -EBADMSG);
	/* Beyond the end. */
	assert_int_equal(udp4(6, 1480, 100, false), FRAGMENT_MORE);
	assert_int_equal(udp4(6, 1584, 8, true), -EBADMSG);
	assert_int_equal(table.dropped, 6);
	assert_int_equal(table.put_together, 0);
}

static void test_lengths(void **state)
{
	assert_int_equal(udp4(1, 0, 0, true), -EBADMSG);
	assert_int_equal(udp4(2, 0, 1, true), -EBADMSG);
	assert_int_equal(udp4(3, 0, 1479, true), -EBADMSG);
	assert_int_equal(udp4(4, 3, 8, true), -EBADMSG);
	assert_int_equal(udp4(5, 65528, 8, true), -EBADMSG);
	assert_int_equal(udp4(6, 65504, 12, false), -EBADMSG);
	assert_int_equal(udp4(7, 65504, 11, false), FRAGMENT_MORE); /* the largest there is */
	assert_int_equal(give(true, 1, NET_IP_UDP, 65488, 8, false), -EBADMSG);
	assert_int_equal(give(true, 2, NET_IP_UDP, 65488, 7, false), FRAGMENT_MORE);
	assert_int_equal(table.dropped, 7);
}

/* The frame tells more bytes than the guest's buffers hold. */
static void test_short_memory(void **state)
{
	struct net_frame frame = {.kind = NET_KIND_FRAGMENT, .payload_off = 34, .payload_len = 1480,
				  .fragment = {.more = true, .proto = NET_IP_UDP}};
	struct iovec iov = {data, 1000};
	struct card_frame card = {.frame = &frame, .iov = &iov, .n_iov = 1};

	assert_int_equal(fragment_take(&table, &card, now_us, &packet, &packet_len), -EBADMSG);
}

static void test_time_out(void **state)
{
	assert_int_equal(udp4(1, 0, 1480, true), FRAGMENT_MORE);
	now_us += FRAGMENT_TIMEOUT_US;
	assert_int_equal(udp4(1, 1480, 100, false), FRAGMENT_MORE); /* the beginning of another */
	assert_int_equal(table.dropped, 1);
}

static void test_full_table(void **state)
{
	for (uint32_t i = 0; i < FRAGMENT_DATAGRAMS; i++, now_us++)
		assert_int_equal(udp4(i, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(udp4(100, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(table.dropped, 1);
	assert_int_equal(udp4(1, 1480, 1, false), FRAGMENT_WHOLE);
	assert_int_equal(udp4(0, 1480, 1, false), FRAGMENT_MORE); /* that was the oldest */
}

static void check(bool v6, uint8_t proto, uint32_t len)
{
	size_t ip_len = v6 ? NET_IP6_LEN : NET_IP4_LEN;
	struct net_frame frame;

	assert_int_equal(packet_len, NET_ETH_LEN + ip_len + len);
	assert_memory_equal(packet + NET_ETH_LEN + ip_len, data, len);
	assert_int_equal(net_frame_parse(&frame, packet, packet_len, packet_len), 0);
	assert_int_not_equal(frame.kind, NET_KIND_FRAGMENT);
	assert_int_equal(frame.v6, v6);
	assert_int_equal(frame.ip_proto, proto);
	assert_int_equal(frame.src.byte[15], 3);
	assert_int_equal(frame.src_mac[1], 2);
}

/* In any order. Length and no further look: the bytes are judged as those of any frame. */
static void test_orders(void **state)
{
	static const uint8_t orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};

	be16_store(data + 4, 4 * 1480 - 80);
	for (uint32_t i = 0; i < 8; i++) {
		bool v6 = i & 4;

		for (int j = 0; j < 4; j++) {
			uint32_t part = orders[i % 4][j];
			int r = give(v6, i, NET_IP_UDP, part * 1480, part == 3 ? 1400 : 1480, part != 3);

			assert_int_equal(r, j == 3 ? FRAGMENT_WHOLE : FRAGMENT_MORE);
		}
		check(v6, NET_IP_UDP, 3 * 1480 + 1400);
	}
	assert_int_equal(table.put_together, 8);
	assert_int_equal(table.dropped, 0);
}

static void test_largest(void **state)
{
	uint32_t off;

	memset(data, 0, 8);
	for (off = 0; off + 1480 < 65515; off += 1480)
		assert_int_equal(give(false, 1, NET_IP_ICMP, off, 1480, true), FRAGMENT_MORE);
	assert_int_equal(give(false, 1, NET_IP_ICMP, off, 65515 - off, false), FRAGMENT_WHOLE);
	check(false, NET_IP_ICMP, 65515);
}

static void test_side_by_side(void **state)
{
	be16_store(data + 4, 1500);
	assert_int_equal(udp4(1, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(udp4(2, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(give(false, 1, NET_IP_ICMP, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(give(true, 1, NET_IP_UDP, 0, 1480, true), FRAGMENT_MORE);
	assert_int_equal(udp4(2, 1480, 20, false), FRAGMENT_WHOLE);
	assert_int_equal(udp4(1, 1480, 20, false), FRAGMENT_WHOLE);
	check(false, NET_IP_UDP, 1500);
	assert_int_equal(give(true, 1, NET_IP_UDP, 1480, 20, false), FRAGMENT_WHOLE);
	check(true, NET_IP_UDP, 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_other_protocols, set_up), cmocka_unit_test_setup(test_overlap, set_up),
		cmocka_unit_test_setup(test_lengths, set_up),	      cmocka_unit_test_setup(test_short_memory, set_up),
		cmocka_unit_test_setup(test_time_out, set_up),	      cmocka_unit_test_setup(test_full_table, set_up),
		cmocka_unit_test_setup(test_orders, set_up),	      cmocka_unit_test_setup(test_largest, set_up),
		cmocka_unit_test_setup(test_side_by_side, set_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
