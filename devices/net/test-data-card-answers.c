/* SPDX-License-Identifier: Apache-2.0 */
/* test-data-card-answers: DHCP, neighbour discovery, router advertisements and ICMP errors, at every MTU (NET-07, NET-09, NET-16). */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"
#include "devices/net/data-card-rig.h"
#include "devices/net/ndp.h"
#include "proto/dhcp.h"

static uint8_t frame[2048];
static const uint16_t mtus[] = {68, 576, 1280, 1500, 65520};

/* Search domains as long as they can be. */
static void fill_search(void)
{
	struct netctl_resolvers resolvers = {.n_search = NETCTL_SEARCH_MAX};

	for (size_t i = 0; i < NETCTL_SEARCH_MAX; i++) {
		memset(resolvers.search[i], 'a' + (int)i, 253);
		resolvers.search[i][63] = resolvers.search[i][127] = resolvers.search[i][191] = '.';
		resolvers.search[i][253] = 0;
	}
	data_card_search(&rig.card, &resolvers);
}

static int dhcp(uint8_t type, const char *options, size_t n)
{
	rig_clear();
	return rig_frame(frame, rig_dhcp(frame, type, options, n));
}

/* Option CODE of the answer that was sent. Return: NULL: not there. */
static const uint8_t *option(uint8_t code, size_t *ret_len)
{
	const struct memory_frame *f = &rig.wire.sent[0];
	const uint8_t *p = f->data + f->parsed.payload_off;

	for (size_t i = DHCP_FIXED_LEN; i + 1 < f->parsed.payload_len && p[i] != 255;) {
		if (!p[i]) {
			i++;
			continue;
		}
		*ret_len = p[i + 1];
		if (p[i] == code)
			return p + i + 2;
		i += 2 + (size_t)p[i + 1];
	}
	return NULL;
}

static void answered(uint8_t type)
{
	size_t n;
	const uint8_t *p;

	assert_int_equal(rig.wire.n_sent, 1);
	p = option(53, &n);
	assert_non_null(p);
	assert_int_equal(p[0], type);
	assert_int_equal(rig.wire.sent[0].parsed.udp.src_port, 67);
	assert_int_equal(rig.wire.sent[0].parsed.udp.dst_port, 68);
	assert_true(net_addr_equal(&rig.wire.sent[0].parsed.src, &rig.card.gateway4));
}

#define IP3 "\xc0\xa8\x41\3"
#define IP9 "\xc0\xa8\x41\x9"
#define IP1 "\xc0\xa8\x41\1"

static void test_dhcp_refusals(void **state)
{
	size_t n;

	assert_int_equal(dhcp(DHCP_REQUEST, "\xff", 1), -ENOENT);			       /* asks for nothing */
	assert_int_equal(dhcp(DHCP_REQUEST, "\x32\4" IP3 "\x36\4" IP9 "\xff", 13), -ENOENT); /* another server */
	assert_int_equal(dhcp(DHCP_RELEASE, "\xff", 1), -ENOENT);
	assert_int_equal(dhcp(DHCP_DECLINE, "\x32\4" IP3 "\xff", 7), -ENOENT);
	assert_int_equal(dhcp(DHCP_INFORM, "\xff", 1), -ENOENT); /* from no address */
	assert_int_equal(dhcp(DHCP_OFFER, "\xff", 1), -EBADMSG);
	assert_int_equal(dhcp(DHCP_ACK, "\xff", 1), -EBADMSG);
	assert_int_equal(dhcp(DHCP_DISCOVER, "", 0), -EBADMSG);
	assert_int_equal(rig.wire.n_sent, 0);
	/* For another client. */
	n = rig_dhcp(frame, DHCP_DISCOVER, "\xff", 1);
	frame[NET_ETH_LEN + NET_IP4_LEN + NET_UDP_LEN + 33]++;
	be16_store(frame + NET_ETH_LEN + NET_IP4_LEN + 6, 0); /* no checksum */
	assert_int_equal(rig_frame(frame, n), -ENOENT);
	/* From another port, or a server's. */
	rig_dhcp(frame, DHCP_DISCOVER, "\xff", 1);
	be16_store(frame + NET_ETH_LEN + NET_IP4_LEN, 67);
	be16_store(frame + NET_ETH_LEN + NET_IP4_LEN + 6, 0);
	assert_int_equal(rig_frame(frame, n), -ENOENT);
	assert_int_equal(rig.wire.n_sent, 0);
	/* Addresses that are not the guest's. */
	assert_int_equal(dhcp(DHCP_REQUEST, "\x32\4" IP9 "\x36\4" IP1 "\xff", 13), 0);
	answered(DHCP_NAK);
	assert_int_equal(be32_load(rig.wire.sent[0].parsed.dst.byte + 12), 0xffffffff);
	assert_int_equal(dhcp(DHCP_REQUEST, "\x32\4" IP1 "\xff", 7), 0);
	answered(DHCP_NAK);
}

static void test_dhcp(void **state)
{
	const struct memory_frame *f = rig.wire.sent;
	const uint8_t *p;
	size_t n;

	assert_int_equal(dhcp(DHCP_DISCOVER, "\xff", 1), 0);
	answered(DHCP_OFFER);
	p = f->data + f->parsed.payload_off;
	assert_memory_equal(p + 16, IP3, 4);
	assert_int_equal(be32_load(p + 4), 0x01020304);
	assert_memory_equal(f->data, rig_guest_mac, 6);
	assert_memory_equal(option(1, &n), "\xff\xff\xff\0", 4);
	assert_memory_equal(option(3, &n), IP1, 4);
	assert_memory_equal(option(6, &n), IP1, 4);
	assert_memory_equal(option(54, &n), IP1, 4);
	assert_memory_equal(option(51, &n), "\xff\xff\xff\xff", 4);
	assert_memory_equal(option(26, &n), "\x05\xdc", 2);
	assert_null(option(12, &n)); /* host name */
	assert_null(option(15, &n)); /* domain name */
	assert_null(option(66, &n));
	assert_int_equal(be32_load(p + 20), 0); /* next server */
	assert_int_equal(dhcp(DHCP_REQUEST, "\x32\4" IP3 "\x36\4" IP1 "\xff", 13), 0);
	answered(DHCP_ACK);
	assert_int_equal(dhcp(DHCP_REQUEST, "\x32\4" IP3 "\xff", 7), 0); /* after a reboot */
	answered(DHCP_ACK);
}

/* Renewing, to the server alone, and INFORM. */
static void test_dhcp_unicast(void **state)
{
	size_t n, off = NET_ETH_LEN + NET_IP4_LEN + NET_UDP_LEN;

	for (int i = 0; i < 2; i++) {
		rig_clear();
		n = rig_dhcp(frame, i ? DHCP_INFORM : DHCP_REQUEST, "\xff", 1);
		memcpy(frame + off + 12, IP3, 4);
		n = rig_udp(frame, &rig.card.gateway4, 68, 67, memcpy((uint8_t[600]){0}, frame + off, n - off), n - off);
		assert_int_equal(rig_frame(frame, n), 0);
		answered(DHCP_ACK);
		assert_true(net_addr_equal(&rig.wire.sent[0].parsed.dst, &rig.card.guest4));
		assert_int_equal(option(51, &n) ? 0 : 1, i); /* no lease in the answer to INFORM */
	}
}

static void test_dhcp_search(void **state)
{
	struct netctl_resolvers resolvers = {.n_search = 1, .search = {"corp.example"}};
	size_t n = 0;
	const uint8_t *p;

	data_card_search(&rig.card, &resolvers);
	assert_int_equal(dhcp(DHCP_DISCOVER, "\xff", 1), 0);
	p = option(119, &n);
	assert_non_null(p);
	assert_int_equal(n, 14);
	assert_memory_equal(p, "\4corp\7example", 14);
}

static size_t ndp(uint8_t type, const struct net_addr *src, const struct net_addr *dst, const struct net_addr *target, bool with_mac)
{
	uint8_t l4[32] = {type};
	size_t n = type == NET_NDP_RS ? 8 : 24;
	struct rig_packet p = {.v6 = true, .src = *src, .dst = *dst, .proto = NET_IP_ICMP6, .hop_limit = 255, .l4 = l4, .sum = true};

	if (target)
		memcpy(l4 + 8, target->byte, 16);
	if (with_mac) {
		l4[n] = 1;
		l4[n + 1] = 1;
		memcpy(l4 + n + 2, rig_guest_mac, 6);
		n += 8;
	}
	p.l4_len = n;
	return rig_build(frame, &p);
}

static void test_neighbour_refusals(void **state)
{
	struct net_addr foreign = rig.card.prefix6, all = {{0xff, 2, [15] = 1}}, none = {{0}};

	foreign.byte[15] = 0x77;
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_NS, &rig.card.guest6, &all, &foreign, true)), -ENOENT);
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_NS, &none, &all, &rig.card.guest6, false)), -ENOENT); /* its own DAD */
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_NS, &none, &all, &rig.card.gateway6, true)), -ENOENT);
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_NS, &rig.card.gateway6, &all, &rig.card.alias6, true)), -ENOENT); /* as us */
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_NA, &rig.card.guest6, &all, &rig.card.gateway6, false)), -ENOENT);
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_NA, &rig.card.link_local6, &all, &rig.card.link_local6, false)), -ENOENT);
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_RA, &rig.card.guest6, &all, &rig.card.gateway6, false)), -ENOENT);
	ndp(NET_NDP_NS, &rig.card.guest6, &all, &rig.card.gateway6, true);
	frame[60] ^= 1;
	assert_int_equal(rig_frame(frame, NET_ETH_LEN + NET_IP6_LEN + 32), -EBADMSG);
	assert_true(rig_silent());
}

static void test_neighbour(void **state)
{
	struct net_addr own[] = {rig.card.gateway6, rig.card.alias6, rig.card.link_local6};
	struct net_addr all = {{0xff, 2, [15] = 1}}, none = {{0}};
	const struct memory_frame *f = rig.wire.sent;

	for (size_t i = 0; i < 3; i++) {
		const uint8_t *p;

		rig_clear();
		assert_int_equal(rig_frame(frame, ndp(NET_NDP_NS, &rig.card.guest6, &all, &own[i], true)), 0);
		assert_int_equal(rig.wire.n_sent, 1);
		assert_int_equal(f->parsed.kind, NET_KIND_NDP);
		assert_int_equal(f->parsed.ndp.type, NET_NDP_NA);
		assert_true(net_addr_equal(&f->parsed.ndp.target, &own[i]));
		assert_true(net_addr_equal(&f->parsed.dst, &rig.card.guest6));
		p = f->data + f->parsed.l4_off;
		assert_int_equal(p[4], 0xe0); /* router, solicited, override */
		assert_int_equal(p[24], 2);
		assert_memory_equal(p + 26, rig_host_mac, 6);
		/* The guest must not take our address for free. */
		rig_clear();
		assert_int_equal(rig_frame(frame, ndp(NET_NDP_NS, &none, &all, &own[i], false)), 0);
		assert_true(net_addr_equal(&f->parsed.dst, &all));
		assert_memory_equal(f->data, "\x33\x33\0\0\0\1", 6);
		assert_int_equal(f->data[f->parsed.l4_off + 4], 0xa0);
	}
}

/* Option TYPE of the advertisement that was sent. Return: NULL: not there. */
static const uint8_t *ra_option(uint8_t type)
{
	const struct memory_frame *f = &rig.wire.sent[0];
	const uint8_t *p = f->data + f->parsed.l4_off;

	for (size_t i = 16; i < f->parsed.l4_len; i += (size_t)p[i + 1] * 8) {
		assert_true(p[i + 1] && i + (size_t)p[i + 1] * 8 <= f->parsed.l4_len);
		if (p[i] == type)
			return p + i;
	}
	return NULL;
}

static void test_router(void **state)
{
	struct net_addr routers = {{0xff, 2, [15] = 2}}, none = {{0}}, local = {{0xfe, 0x80, [8] = 0, 0xca, 0x15, 0xff, 0xfe, 0x50, 1, 2}};
	struct netctl_resolvers resolvers = {.n_search = 2, .search = {"corp.example", "example"}};
	const struct memory_frame *f = rig.wire.sent;
	const uint8_t *p;

	data_card_search(&rig.card, &resolvers);
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_RS, &local, &routers, NULL, true)), 0);
	assert_int_equal(rig.wire.n_sent, 1);
	p = f->data + f->parsed.l4_off;
	assert_int_equal(p[0], NET_NDP_RA);
	assert_int_equal(f->data[NET_ETH_LEN + 7], 255);
	assert_true(net_addr_equal(&f->parsed.src, &rig.card.link_local6));
	assert_true(net_addr_equal(&f->parsed.dst, &local));
	assert_int_equal(p[5], 0); /* neither managed nor other: no DHCPv6 */
	assert_true(be16_load(p + 6) > 0);
	assert_memory_equal(ra_option(1) + 2, rig_host_mac, 6);
	assert_int_equal(be32_load(ra_option(5) + 4), 1500);
	assert_int_equal(ra_option(3)[2], 64);
	assert_int_equal(ra_option(3)[3], 0xc0);
	assert_memory_equal(ra_option(3) + 16, rig.card.prefix6.byte, 16);
	assert_memory_equal(ra_option(25) + 8, rig.card.gateway6.byte, 16);
	assert_memory_equal(ra_option(31) + 8, "\4corp\7example\0\7example", 23);
	rig_clear();
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_RS, &none, &routers, NULL, false)), 0);
	assert_true(net_addr_equal(&f->parsed.dst, &ndp_all_nodes));
}

static void test_router_timer(void **state)
{
	assert_int_equal(data_card_deadline(&rig.card), rig.card.now_us); /* one at once */
	data_card_timers(&rig.card);
	data_card_timers(&rig.card);
	assert_int_equal(rig.wire.n_sent, 1);
	assert_int_equal(data_card_deadline(&rig.card), rig.card.now_us + NDP_RA_INTERVAL_US);
	data_card_now(&rig.card, rig.card.now_us + NDP_RA_INTERVAL_US);
	rig.wire.buffers = 0;
	data_card_timers(&rig.card);
	assert_int_equal(rig.wire.n_sent, 1);
	assert_true(data_card_deadline(&rig.card) <= rig.card.now_us + 1000000); /* soon again */
	data_card_sink.down(&rig.card);
	assert_int_equal(data_card_deadline(&rig.card), UINT64_MAX);
}

/* NET-07: no answer is longer than the MTU (memory-wire counts those that are as malformed). */
static void test_small_mtu(void **state)
{
	static const int errors[] = {ECONNREFUSED, EMSGSIZE, EACCES};
	struct net_addr routers = {{0xff, 2, [15] = 2}};

	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		rig_init(mtus[i], true);
		fill_search();
		assert_int_equal(dhcp(DHCP_DISCOVER, "\x39\2\xff\xff\xff", 5), mtus[i] < 576 ? -EMSGSIZE : 0);
		assert_int_equal(dhcp(DHCP_REQUEST, "\x32\4" IP3 "\x39\2\xff\xff\xff", 11), mtus[i] < 576 ? -EMSGSIZE : 0);
		rig_clear();
		(void)rig_frame(frame, ndp(NET_NDP_RS, &rig.card.guest6, &routers, NULL, true));
		assert_int_equal(rig.wire.n_sent, mtus[i] >= 1280);
		for (size_t k = 0; k < 3; k++) {
			struct icmp_subject subject = {.key = {.host = net_addr4(0x08080808), .guest = rig.card.guest4}, .ip_proto = 17};

			rig_clear();
			assert_int_equal(icmp_error_send(&rig.card.icmp, errors[k], &subject, 1), 0);
			assert_int_equal(rig.wire.n_sent, 1);
		}
		for (size_t len = 0; len < 1400; len += 100) {
			static uint8_t ping[1400] = {8, 0, 0, 0, 1, 2, 0, 3};
			struct rig_packet p = {.src = rig.card.guest4, .dst = rig.card.gateway4, .proto = NET_IP_ICMP, .l4 = ping,
					       .l4_len = 8 + len % 1392, .sum = true};

			rig_clear();
			(void)rig_frame(frame, rig_build(frame, &p));
			assert_true(rig.wire.n_sent > 0);
		}
		assert_int_equal(rig.wire.n_malformed, 0);
		assert_int_equal(rig.n_dirty, 0);
		rig_done();
	}
}

/* UDP sockets of Linux hear of these only. */
static void test_icmp_errors_udp(void **state)
{
	static const struct {
		int error;
		uint8_t code;
	} cases[] = {{ECONNREFUSED, 3}, {ENETUNREACH, 6}, {EHOSTUNREACH, 10}, {EACCES, 13}, {EMSGSIZE, 4}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct icmp_subject subject = {.key = {.host = net_addr4(0x08080808), .guest = rig.card.guest4}, .ip_proto = NET_IP_UDP};

		rig_clear();
		assert_int_equal(icmp_error_send(&rig.card.icmp, cases[i].error, &subject, 1), 0);
		assert_int_equal(rig.wire.sent[0].data[rig.wire.sent[0].parsed.l4_off + 1], cases[i].code);
	}
}

/* What is quoted is what the guest must have sent, and no more. */
static void test_icmp_errors(void **state)
{
	static const struct {
		int error;
		uint8_t code4, type6, code6;
	} cases[] = {
		{ECONNREFUSED, 3, 1, 4}, {ENETUNREACH, 0, 1, 0}, {EHOSTUNREACH, 1, 1, 3}, {EACCES, 13, 1, 1},
		{EPERM, 13, 1, 1},	 {EMSGSIZE, 4, 2, 0},	 {ETIMEDOUT, 1, 1, 3},	  {EIO, 1, 1, 3},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct icmp_subject subject = {
				.key = {.host = v6 ? (struct net_addr){{0x26, [15] = 1}} : net_addr4(0x08080808),
					.guest = v6 ? rig.card.guest6 : rig.card.guest4, .host_port = 443, .guest_port = 40000},
				.ip_proto = NET_IP_TCP, .tcp_seq = 0x01020304, .mtu = 1400,
			};
			const struct memory_frame *f = rig.wire.sent;
			const uint8_t *p;
			struct net_frame inner;
			uint8_t copy[100] = {0};
			size_t ip_len = v6 ? 40 : 20;

			rig_clear();
			assert_int_equal(icmp_error_send(&rig.card.icmp, cases[i].error, &subject, i), 0);
			p = f->data + f->parsed.l4_off;
			assert_int_equal(p[0], v6 ? cases[i].type6 : 3);
			assert_int_equal(p[1], v6 ? cases[i].code6 : cases[i].code4);
			assert_int_equal(be32_load(p + 4), cases[i].error == EMSGSIZE ? 1400 : 0);
			assert_true(net_addr_equal(&f->parsed.src, v6 ? &rig.card.gateway6 : &rig.card.gateway4));
			assert_int_equal(f->parsed.l4_len, 8 + ip_len + 8);
			be16_store(copy + 12, v6 ? NET_ETH_IP6 : NET_ETH_IP4);
			memcpy(copy + NET_ETH_LEN, p + 8, ip_len + 8);
			copy[NET_ETH_LEN + ip_len + 12] = 0x50;
			assert_int_equal(net_frame_parse(&inner, copy, NET_ETH_LEN + ip_len + 20, NET_ETH_LEN + ip_len + 20), 0);
			assert_true(net_addr_equal(&inner.src, &subject.key.guest));
			assert_true(net_addr_equal(&inner.dst, &subject.key.host));
			assert_int_equal(inner.tcp.src_port, 40000);
			assert_int_equal(inner.tcp.dst_port, 443);
			assert_int_equal(inner.tcp.seq, 0x01020304);
		}
	}
}

static void test_icmp_rate(void **state)
{
	struct icmp_subject subject = {.key = {.host = net_addr4(0x08080808), .guest = rig.card.guest4}, .ip_proto = 17};
	unsigned int n = 0;

	for (unsigned int i = 0; i < 5000; i++) {
		n += icmp_error_send(&rig.card.icmp, EACCES, &subject, 7000000) == 0;
		memory_net_clear(&rig.wire);
	}
	assert_int_equal(n, ICMP_ERRORS_PER_SECOND);
	assert_int_equal(rig.card.icmp.suppressed, 4000);
	assert_int_equal(icmp_error_send(&rig.card.icmp, EACCES, &subject, 8000000), 0);
}

/* No buffers: nothing is lost but the answer. */
static void test_no_buffers(void **state)
{
	struct net_addr all = {{0xff, 2, [15] = 1}};

	rig.wire.buffers = 0;
	assert_int_equal(dhcp(DHCP_DISCOVER, "\xff", 1), -EAGAIN);
	assert_int_equal(rig_frame(frame, ndp(NET_NDP_NS, &rig.card.guest6, &all, &rig.card.gateway6, true)), -ENOENT);
	rig.wire.buffers = 100;
	rig.wire.buffer_size = 128; /* small ones, several to a frame */
	assert_int_equal(dhcp(DHCP_DISCOVER, "\xff", 1), 0);
	rig.wire.buffers = 1;
	assert_int_equal(dhcp(DHCP_DISCOVER, "\xff", 1), -EMSGSIZE);
	assert_int_equal(rig.wire.n_rooms, 0);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIGGED(test_dhcp_refusals), RIGGED(test_dhcp),	       RIGGED(test_dhcp_unicast), RIGGED(test_dhcp_search),
		RIGGED(test_neighbour_refusals), RIGGED(test_neighbour), RIGGED(test_router),	  RIGGED(test_router_timer),
		cmocka_unit_test(test_small_mtu), RIGGED(test_icmp_errors),
		RIGGED(test_icmp_errors_udp), RIGGED(test_icmp_rate), RIGGED(test_no_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
