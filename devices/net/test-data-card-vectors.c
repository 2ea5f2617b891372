/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-data-card-vectors: one vector for each CVE of libslirp (NET-06), and every prefix of a valid packet.
 *
 * A rule holds for all: nothing is read beyond the frame (the sanitizer sees it), nothing of old buffers is sent, and an answer
 * is no longer than its request justifies.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"
#include "devices/net/data-card-rig.h"
#include "proto/dhcp.h"

static uint8_t frame[70000], l4[66000];

static size_t build(bool v6, uint8_t proto, const struct net_addr *to, size_t l4_len, bool sum)
{
	struct rig_packet p = {.v6 = v6, .src = v6 ? rig.card.guest6 : rig.card.guest4, .dst = *to, .proto = proto, .l4 = l4,
			       .l4_len = l4_len, .sum = sum};

	return rig_build(frame, &p);
}

static void fix_ip4(uint8_t *packet)
{
	uint8_t *p = packet + NET_ETH_LEN;

	be16_store(p + 10, 0);
	le16_store(p + 10, (uint16_t)~net_fold(net_sum(0, p, (size_t)(p[0] & 15) * 4)));
}

/* A piece of datagram ID at OFF with the LEN first bytes of l4. */
static int piece4(uint16_t id, size_t off, size_t len, bool more)
{
	size_t n = build(false, NET_IP_UDP, &(struct net_addr){.byte = {[10] = 0xff, 0xff, 8, 8, 8, 8}}, len, false);

	be16_store(frame + NET_ETH_LEN + 4, id);
	be16_store(frame + NET_ETH_LEN + 6, (uint16_t)(off / 8 | (more ? 0x2000 : 0)));
	fix_ip4(frame);
	return rig_frame(frame, n);
}

/* CVE-2020-1983, CVE-2019-15890: use of a reassembly queue after its end; CVE-2019-14378: pieces larger than their first. */
static void test_reassembly(void **state)
{
	unsigned int id = 1;

	memset(l4, 0x11, sizeof(l4));
	/* The last piece first, then overlapping, repeated, contained and adjoining ones, and one byte beyond 64 KiB. */
	(void)piece4((uint16_t)id, 1480, 9, false);
	(void)piece4((uint16_t)id, 0, 1480, true);
	rig_clear();
	for (size_t a = 0; a < 6; a++) {
		for (size_t b = 0; b < 6; b++) {
			id++;
			(void)piece4((uint16_t)id, 8 * a, 24, true);
			(void)piece4((uint16_t)id, 8 * b, 16, true);
			(void)piece4((uint16_t)id, 8 * b, 16, true);
			(void)piece4((uint16_t)id, 8 * (b > a ? b - a : a - b), 1, false);
			(void)piece4((uint16_t)id, 0, 65000, true);
		}
	}
	assert_int_equal(rig.n_udp, 0); /* whatever came together had no right checksum */
	for (unsigned int i = 0; i < 3000; i++) /* more than the table holds, one byte each */
		(void)piece4((uint16_t)(id + i), 8 * (i % 50), 1, false);
	assert_int_equal(piece4(9, 65528, 8, false), -EBADMSG);
	assert_true(rig_silent());
}

/* CVE-2020-7039, CVE-2020-8608, CVE-2019-6778, CVE-2019-9824: emulation of ident and IRC. There is none: such payload is payload. */
static void test_emulation(void **state)
{
	static const char irc[] = "\001DCC SEND file 2130706433 1024\001", ident[] = "1234,21";
	static const struct {
		uint16_t port;
		const char *text;
	} cases[] = {{6667, irc}, {6668, irc}, {113, ident}, {21, "PORT 1,2,3,4,5,6\r\n"}};
	struct net_addr to = net_addr4(0x08080808);

	for (size_t i = 0; i < 4; i++) {
		size_t n = strlen(cases[i].text);

		memset(l4, 0, 20);
		be16_store(l4, 1000);
		be16_store(l4 + 2, cases[i].port);
		l4[12] = 0x50;
		l4[13] = NET_ACK | NET_PSH;
		memcpy(l4 + 20, cases[i].text, n);
		assert_int_equal(rig_frame(frame, build(false, NET_IP_TCP, &to, 20 + n, true)), 0);
		assert_int_equal(rig.n_tcp, i + 1);
		assert_int_equal(rig.wire.n_sent, 0);
	}
}

/* CVE-2020-10756: an echo request over IPv6 whose length says more than there is: memory came back in the reply. */
static void test_echo6_length(void **state)
{
	size_t n;

	memset(l4, 0, 64);
	l4[0] = 128;
	n = build(true, NET_IP_ICMP6, &rig.card.gateway6, 16, true);
	for (unsigned int claimed = 17; claimed < 2000; claimed += 13) {
		be16_store(frame + NET_ETH_LEN + 4, (uint16_t)claimed);
		assert_int_equal(rig_frame(frame, n), -EBADMSG);
	}
	for (unsigned int claimed = 0; claimed < 16; claimed++) {
		be16_store(frame + NET_ETH_LEN + 4, (uint16_t)claimed);
		assert_int_equal(rig_frame(frame, n), -EBADMSG); /* short, or a wrong checksum */
	}
	assert_int_equal(rig.wire.n_sent, 0);
	be16_store(frame + NET_ETH_LEN + 4, 16);
	assert_int_equal(rig_frame(frame, n), 0);
	assert_int_equal(rig.wire.sent[0].parsed.l4_len, 16);
}

/* CVE-2020-29129 (NC-SI), CVE-2020-29130 (ARP): frames shorter than their kind. */
static void test_short_frames(void **state)
{
	for (size_t n = 0; n < 64; n++) {
		memset(frame, 0xff, 6);
		memcpy(frame + 6, rig_guest_mac, 6);
		be16_store(frame + 12, 0x88f8);
		assert_true(rig_frame(frame, n) < 0);
		be16_store(frame + 12, NET_ETH_ARP);
		memset(frame + 14, 0, 60);
		memcpy(frame + 14, "\0\1\x08\0\6\4\0\1", 8);
		memcpy(frame + 22, rig_guest_mac, 6);
		be32_store(frame + 28, DATA_SUBNET_DEFAULT + 3);
		be32_store(frame + 38, DATA_SUBNET_DEFAULT + 1);
		rig_clear();
		assert_true((rig_frame(frame, n) == 0) == (n >= NET_ARP_FRAME_LEN));
		assert_int_equal(rig.wire.n_sent, n >= NET_ARP_FRAME_LEN);
	}
	/* Lengths and types that are not Ethernet's and IPv4's. */
	for (size_t at = 14; at < 20; at++) {
		frame[at]++;
		rig_clear();
		assert_int_equal(rig_frame(frame, NET_ARP_FRAME_LEN), -EBADMSG);
		frame[at]--;
	}
}

/* CVE-2021-3592 (BOOTP), CVE-2021-3593 (UDP over IPv6), CVE-2021-3594 (UDP), CVE-2021-3595 (TFTP): datagrams shorter than what
 * they carry, and UDP lengths that lie. */
static void test_short_datagrams(void **state)
{
	size_t whole = rig_dhcp(frame, DHCP_DISCOVER, "\xff", 1), off = NET_ETH_LEN + NET_IP4_LEN;

	for (size_t n = 0; n < whole - off; n++) {
		rig_dhcp(frame, DHCP_DISCOVER, "\xff", 1);
		be16_store(frame + NET_ETH_LEN + 2, (uint16_t)(NET_IP4_LEN + n));
		be16_store(frame + off + 4, (uint16_t)n);
		be16_store(frame + off + 6, 0);
		fix_ip4(frame);
		assert_int_equal(rig_frame(frame, off + n), -EBADMSG);
	}
	for (int v6 = 0; v6 < 2; v6++) {
		const struct net_addr *to = v6 ? &rig.card.gateway6 : &rig.card.gateway4;
		static const uint16_t ports[] = {53, 67, 69, 547};

		for (size_t i = 0; i < 4; i++) {
			for (unsigned int claimed = 0; claimed < 600; claimed++) {
				size_t n = rig_udp(frame, to, 68, ports[i], "\0\1file\0octet", 13);

				if (claimed == 21)
					continue;
				rig.card.now_us += 2000;
				be16_store(frame + n - 13 - 4, (uint16_t)claimed);
				assert_true(rig_frame(frame, n) == -EBADMSG);
			}
		}
	}
	assert_true(rig_silent());
	/* No TFTP, no DHCPv6. */
	assert_int_equal(rig_frame(frame, rig_udp(frame, &rig.card.gateway4, 1000, 69, "\0\1file\0octet", 13)), -ENOENT);
	assert_int_equal(rig_frame(frame, rig_udp(frame, &rig.card.gateway6, 546, 547, "\1\2\3\4\0\1\0\0", 8)), -ENOENT);
	assert_int_equal(rig.wire.n_sent, 2); /* port unreachable */
}

/* CVE-2026-95508: a reply builder that forgot a small MTU: test-data-card-answers, test_small_mtu. Here: the largest request. */
static void test_full_request(void **state)
{
	char options[300];

	memset(options, 0, sizeof(options));
	options[sizeof(options) - 1] = (char)0xff;
	for (uint16_t mtu = 68; mtu < 700; mtu++) {
		rig.card.mtu = mtu;
		rig.wire.mtu = mtu;
		rig_clear();
		(void)rig_frame(frame, rig_dhcp(frame, DHCP_DISCOVER, options, sizeof(options)));
		assert_int_equal(rig.wire.n_malformed, 0);
	}
}

/* CVE-2026-120830: an ICMP error that quotes as much as the request's length said. Ours quote 8 bytes, from the flow's key. */
static void test_quotation(void **state)
{
	size_t n = rig_udp(frame, &rig.card.gateway4, 1000, 2000, "abc", 3);

	be16_store(frame + NET_ETH_LEN + 2, 60000); /* says more than there is */
	fix_ip4(frame);
	assert_int_equal(rig_frame(frame, n), -EBADMSG);
	assert_int_equal(rig.wire.n_sent, 0);
	memset(l4, 'x', 60000);
	n = rig_udp(frame, &rig.card.gateway4, 1000, 2000, l4 + 100, 60000);
	assert_int_equal(rig_frame(frame, n), -ENOENT);
	assert_int_equal(rig.wire.n_sent, 1);
	assert_int_equal(rig.wire.sent[0].len, NET_ETH_LEN + NET_IP4_LEN + 8 + NET_IP4_LEN + 8);
	assert_null(memchr(rig.wire.sent[0].data, 'x', rig.wire.sent[0].len));
}

/* CVE-2026-115449: the reply kept the request's length field, and bytes of the host's answer with it. */
static void test_reply_length(void **state)
{
	for (size_t len = 8; len < 100; len++) {
		size_t n;

		memset(l4, 0x42, len);
		memcpy(l4, "\x08\0\0\0\0\1\0\1", 8);
		n = build(false, NET_IP_ICMP, &rig.card.gateway4, len, true);
		memset(frame + n, 0x99, 100); /* padding, which is not echoed */
		rig_clear();
		assert_int_equal(rig_frame(frame, n + 60), 0);
		assert_int_equal(rig.wire.sent[0].len, n);
		assert_null(memmem(rig.wire.sent[0].data, n, "\x99\x99", 2));
	}
}

/* Every prefix of valid packets, given as the whole frame: no answer but to what is whole. */
static void check_prefixes(size_t n)
{
	static uint8_t copy[2048];
	unsigned int whole_sent, whole_calls;

	memcpy(copy, frame, n);
	rig_clear();
	(void)rig_frame(copy, n);
	whole_sent = (unsigned int)rig.wire.n_sent;
	whole_calls = rig.n_tcp + rig.n_udp + rig.n_dns + rig.n_echo;
	assert_true(whole_sent + whole_calls == 1);
	for (size_t i = 0; i < n; i++) {
		rig_clear();
		assert_true(rig_frame(copy, i) < 0);
		assert_true(rig_silent());
	}
}

static void test_prefixes(void **state)
{
	struct net_addr out4 = net_addr4(0x08080808), out6 = {{0x26, [15] = 1}};
	static const uint8_t ns[32] = {135, [8] = 0xfe, [9] = 0x80, [23] = 1, [24] = 1, 1, 2, 0xca, 0x15, 0x50, 1, 2};
	struct rig_packet p = {.v6 = true, .src = rig.card.guest6, .dst = rig.card.link_local6, .proto = NET_IP_ICMP6,
			       .hop_limit = 255, .l4 = ns, .l4_len = sizeof(ns), .sum = true};

	check_prefixes(rig_udp(frame, &out4, 1, 2, "hello", 5));
	check_prefixes(rig_udp(frame, &out6, 1, 2, "hello", 5));
	check_prefixes(rig_udp(frame, &rig.card.gateway4, 1, 53, "hello", 5));
	check_prefixes(rig_dhcp(frame, DHCP_DISCOVER, "\xff", 1));
	memset(l4, 0, 64);
	l4[12] = 0x60;
	l4[13] = NET_SYN;
	memcpy(l4 + 20, "\2\4\5\xb4", 4);
	check_prefixes(build(false, NET_IP_TCP, &out4, 24, true));
	check_prefixes(build(true, NET_IP_TCP, &out6, 24, true));
	memcpy(l4, "\x08\0\0\0\0\1\0\1abcdef\0\0\0\0\0\0\0\0\0\0", 24);
	check_prefixes(build(false, NET_IP_ICMP, &rig.card.gateway4, 16, true));
	check_prefixes(build(false, NET_IP_ICMP, &out4, 16, true));
	l4[0] = 128;
	check_prefixes(build(true, NET_IP_ICMP6, &rig.card.gateway6, 16, true));
	check_prefixes(rig_build(frame, &p));
}

/* Every bit of the headers of valid packets, turned: no report, and no answer longer than the MTU. */
static void test_bits(void **state)
{
	struct net_addr out4 = net_addr4(0x08080808);
	static uint8_t copy[2048];

	for (int kind = 0; kind < 4; kind++) {
		size_t n = kind == 0   ? rig_udp(frame, &rig.card.gateway4, 1, 53, "hello", 5)
			   : kind == 1 ? rig_dhcp(frame, DHCP_DISCOVER, "\xff", 1)
			   : kind == 2 ? rig_udp(frame, &rig.card.gateway6, 1, 99, "hello", 5)
				       : rig_udp(frame, &out4, 1, 2, "hello", 5);

		memcpy(copy, frame, n);
		for (size_t bit = 0; bit < (n < 80 ? n : 80) * 8; bit++) {
			rig_clear();
			copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
			(void)rig_frame(copy, n);
			copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_true(rig.wire.n_sent <= 1);
		}
	}
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIGGED(test_reassembly),      RIGGED(test_emulation),	 RIGGED(test_echo6_length), RIGGED(test_short_frames),
		RIGGED(test_short_datagrams), RIGGED(test_full_request), RIGGED(test_quotation),    RIGGED(test_reply_length),
		RIGGED(test_prefixes),	      RIGGED(test_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
