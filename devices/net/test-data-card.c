/* SPDX-License-Identifier: Apache-2.0 */
/* test-data-card: who may speak, to whom, and who answers (NET-02, NET-09, NET-20). Refusals first. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"
#include "devices/net/data-card-rig.h"

static uint8_t frame[65536 + 64];
static const uint8_t other_mac[NET_MAC_LEN] = {2, 0, 0, 0, 0, 9}, everybody[NET_MAC_LEN] = {255, 255, 255, 255, 255, 255};
static const uint8_t tcp_syn[20] = {0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, NET_SYN, 0xff, 0xff};
static const uint8_t udp_hi[10] = {0x10, 0, 0, 99, 0, 10, 0, 0, 'h', 'i'};
static const uint8_t echo4[12] = {8, 0, 0, 0, 1, 2, 0, 3, 'p', 'i', 'n', 'g'}, echo6[12] = {128, 0, 0, 0, 1, 2, 0, 3, 'p', 'i', 'n', 'g'};

static struct net_addr outside(bool v6)
{
	return v6 ? (struct net_addr){{0x26, 0, [15] = 5}} : net_addr4(0x08080808);
}

/* The three kinds that may leave, from SRC to DST. */
static struct rig_packet packet(unsigned int kind, bool v6, const struct net_addr *src, const struct net_addr *dst)
{
	struct rig_packet p = {.v6 = v6, .src = *src, .dst = *dst, .sum = true};

	p.proto = kind == 0 ? NET_IP_TCP : kind == 1 ? NET_IP_UDP : v6 ? NET_IP_ICMP6 : NET_IP_ICMP;
	p.l4 = kind == 0 ? tcp_syn : kind == 1 ? udp_hi : v6 ? echo6 : echo4;
	p.l4_len = kind == 0 ? sizeof(tcp_syn) : kind == 1 ? sizeof(udp_hi) : sizeof(echo4);
	return p;
}

static int give(const struct rig_packet *p)
{
	return rig_frame(frame, rig_build(frame, p));
}

static void refuse_source(bool v6, struct net_addr src)
{
	struct net_addr dst = outside(v6);

	for (unsigned int kind = 0; kind < 3; kind++) {
		struct rig_packet p = packet(kind, v6, &src, &dst);

		assert_int_equal(give(&p), -ENOENT);
		assert_true(rig_silent());
	}
}

static void test_spoofed_sources(void **state)
{
	static const uint32_t v4[] = {0, 0x00000001, 0x7f000001, 0x7fffffff, 0xe0000001, 0xf0000001, 0xffffffff,
				      DATA_SUBNET_DEFAULT + 1, DATA_SUBNET_DEFAULT + 254, DATA_SUBNET_DEFAULT + 255};
	uint64_t before = rig.card.spoofed;

	for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++)
		refuse_source(false, net_addr4(v4[i]));
	refuse_source(true, (struct net_addr){{0}});
	refuse_source(true, (struct net_addr){{[15] = 1}});
	refuse_source(true, (struct net_addr){{0xff, 2, [15] = 1}});
	refuse_source(true, rig.card.gateway6);
	refuse_source(true, rig.card.alias6);
	refuse_source(true, rig.card.link_local6);
	assert_int_equal(rig.card.spoofed - before, 16 * 3);
	refuse_source(true, net_addr4(0x0a000001)); /* mapped: not even a source */
}

/* The twins: the guest, and containers whose packets dockerd did not translate. */
static void test_good_sources(void **state)
{
	struct net_addr v4[] = {rig.card.guest4, net_addr4(0xac110002)};
	struct net_addr v6[] = {rig.card.guest6, {{0xfd, 0, [15] = 2}}};

	for (size_t i = 0; i < 4; i++) {
		struct net_addr dst = outside(i >= 2);

		for (unsigned int kind = 0; kind < 3; kind++) {
			struct rig_packet p = packet(kind, i >= 2, i >= 2 ? &v6[i - 2] : &v4[i], &dst);

			rig_clear();
			assert_int_equal(give(&p), 0);
			assert_int_equal(rig.n_tcp, kind == 0);
			assert_int_equal(rig.n_udp, kind == 1);
			assert_int_equal(rig.n_echo, kind == 2);
			assert_int_equal(rig.wire.n_sent, 0);
		}
	}
}

static void test_mac(void **state)
{
	static const uint8_t group[NET_MAC_LEN] = {1, 0, 0x5e, 0, 0, 1};
	const uint8_t *const wrong[] = {other_mac, everybody, group, rig_guest_mac};

	for (int v6 = 0; v6 < 2; v6++) {
		struct net_addr dst = outside(v6);

		for (unsigned int kind = 0; kind < 3; kind++) {
			struct rig_packet p = packet(kind, v6, v6 ? &rig.card.guest6 : &rig.card.guest4, &dst);

			for (size_t i = 0; i < 4; i++) {
				p.dst_mac = wrong[i];
				assert_int_equal(give(&p), -ENOENT);
			}
			p.dst_mac = NULL;
			p.src_mac = other_mac;
			assert_int_equal(give(&p), -ENOENT);
			p.src_mac = rig_host_mac; /* as us */
			assert_int_equal(give(&p), -ENOENT);
		}
	}
	assert_true(rig_silent());
}

static void test_group_destinations(void **state)
{
	struct net_addr dst[] = {net_addr4(0xe00000fb), net_addr4(0xffffffff), net_addr4(DATA_SUBNET_DEFAULT + 255), net_addr4(0),
				 net_addr4(0xf1020304), {{0xff, 2, [15] = 0xfb}}, {{0xff, 5, [15] = 1}}, {{0}}};

	for (size_t i = 0; i < 8; i++) {
		for (unsigned int kind = 0; kind < 3; kind++) {
			struct rig_packet p = packet(kind, i >= 5, i >= 5 ? &rig.card.guest6 : &rig.card.guest4, &dst[i]);

			assert_int_equal(give(&p), -ENOENT);
		}
	}
	assert_true(rig_silent());
}

static void test_ethernet(void **state)
{
	struct net_addr dst = outside(false);
	struct rig_packet p = packet(1, false, &rig.card.guest4, &dst);
	size_t n = rig_build(frame, &p);

	/* A VLAN tag, or two, and types that are not ours: nobody looks behind them. */
	memmove(frame + 16, frame + 12, n - 12);
	be16_store(frame + 12, 0x8100);
	be16_store(frame + 14, 5);
	assert_int_equal(rig_frame(frame, n + 4), -ENOENT);
	be16_store(frame + 12, 0x88a8);
	assert_int_equal(rig_frame(frame, n + 4), -ENOENT);
	for (unsigned int type = 0; type < 65536; type++) {
		if (type == NET_ETH_IP4 || type == NET_ETH_IP6 || type == NET_ETH_ARP)
			continue;
		n = rig_build(frame, &p);
		be16_store(frame + 12, (uint16_t)type);
		assert_int_equal(rig_frame(frame, n), -ENOENT);
	}
	assert_true(rig_silent());
}

/* NET-20: no protocol but three leaves, whatever it is addressed to. */
static void test_protocols(void **state)
{
	static const uint8_t zeros[80];
	struct net_addr to[] = {outside(false), outside(true), rig.card.gateway4, rig.card.gateway6};

	for (unsigned int proto = 0; proto < 256; proto++) {
		for (size_t i = 0; i < 4; i++) {
			bool v6 = i & 1;
			struct rig_packet p = {.v6 = v6, .src = v6 ? rig.card.guest6 : rig.card.guest4, .dst = to[i],
					       .proto = (uint8_t)proto, .l4 = zeros, .l4_len = sizeof(zeros)};

			assert_true(give(&p) < 0);
			assert_true(rig_silent());
		}
	}
}

static void test_jumbogram(void **state)
{
	uint8_t l4[48] = {NET_IP_UDP, 0, 0xc2, 4, 0, 1, 0, 0};
	struct net_addr dst = outside(true);
	struct rig_packet p = {.v6 = true, .src = rig.card.guest6, .dst = dst, .proto = 0, .l4 = l4, .l4_len = sizeof(l4)};
	size_t n = rig_build(frame, &p);

	be16_store(frame + NET_ETH_LEN + 4, 0);
	assert_int_equal(rig_frame(frame, n), -ENOENT);
	assert_true(rig_silent());
}

static void test_bad_checksums(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct net_addr dst = outside(v6);

		for (unsigned int kind = 0; kind < 3; kind++) {
			struct rig_packet p = packet(kind, v6, v6 ? &rig.card.guest6 : &rig.card.guest4, &dst);
			size_t n = rig_build(frame, &p);

			frame[n - 1] ^= 0x55;
			assert_int_equal(rig_frame(frame, n), -EBADMSG);
		}
	}
	assert_true(rig_silent());
}

/* A checksum that is left to us need not be right. */
static void test_partial_checksum(void **state)
{
	struct net_addr dst = outside(false);
	struct rig_packet p = packet(1, false, &rig.card.guest4, &dst);
	struct net_vnet vnet = {.flags = NET_VNET_NEEDS_CSUM, .csum_start = NET_ETH_LEN + NET_IP4_LEN, .csum_offset = 6};
	size_t n = rig_build(frame, &p);

	frame[n - 1] ^= 0x55;
	assert_int_equal(rig_frame_vnet(&vnet, frame, n), 0);
	assert_int_equal(rig.n_udp, 1);
	vnet.csum_offset = 16;
	assert_int_equal(rig_frame_vnet(&vnet, frame, n), -EBADMSG);
}

static void test_before_config(void **state)
{
	struct net_addr dst = outside(false);
	struct rig_packet p = packet(0, false, &rig.card.guest4, &dst);

	rig.card.configured = false;
	assert_int_equal(give(&p), -ENOENT);
	assert_int_equal(rig_frame(frame, rig_dhcp(frame, 1, "\xff", 1)), -ENOENT);
	assert_true(rig_silent());
	assert_int_equal(data_card_deadline(&rig.card), UINT64_MAX);
}

static void test_ipv6_off(void **state)
{
	struct net_addr dst = outside(true);
	struct rig_packet p = packet(0, true, &rig.card.guest6, &dst);

	rig.card.ipv6 = false;
	assert_int_equal(give(&p), -ENOENT);
	p = packet(2, true, &rig.card.guest6, &rig.card.gateway6);
	assert_int_equal(give(&p), -ENOENT);
	assert_true(rig_silent());
	assert_int_equal(data_card_deadline(&rig.card), UINT64_MAX);
}

static size_t arp(uint16_t op, const uint8_t *mac, uint32_t sender, uint32_t target)
{
	memset(frame, 0, 60);
	memcpy(frame, everybody, 6);
	memcpy(frame + 6, rig_guest_mac, 6);
	memcpy(frame + 12, "\x08\x06\0\1\x08\0\6\4", 8);
	be16_store(frame + 20, op);
	memcpy(frame + 22, mac, 6);
	be32_store(frame + 28, sender);
	be32_store(frame + 38, target);
	return 60;
}

static void test_arp_refusals(void **state)
{
	const uint32_t net = DATA_SUBNET_DEFAULT;

	for (uint32_t i = 0; i < 256; i++) {
		if (i == 1 || i == 254)
			continue;
		assert_int_equal(rig_frame(frame, arp(1, rig_guest_mac, net + 3, net + i)), -ENOENT);
	}
	assert_int_equal(rig_frame(frame, arp(1, rig_guest_mac, net + 3, 0x08080808)), -ENOENT);
	assert_int_equal(rig_frame(frame, arp(2, rig_guest_mac, net + 1, net + 3)), -ENOENT);   /* "the gateway is here" */
	assert_int_equal(rig_frame(frame, arp(2, rig_guest_mac, net + 3, net + 1)), -ENOENT);
	assert_int_equal(rig_frame(frame, arp(1, rig_guest_mac, net + 1, net + 1)), -ENOENT);   /* gratuitous, as us */
	assert_int_equal(rig_frame(frame, arp(1, rig_guest_mac, net + 254, net + 1)), -ENOENT);
	assert_int_equal(rig_frame(frame, arp(1, rig_guest_mac, 0xac110002, net + 1)), -ENOENT);
	assert_int_equal(rig_frame(frame, arp(1, other_mac, net + 3, net + 1)), -ENOENT);
	arp(1, rig_guest_mac, net + 3, net + 1);
	memcpy(frame, other_mac, 6);
	assert_int_equal(rig_frame(frame, 60), -ENOENT);
	assert_true(rig_silent());
}

static void test_arp(void **state)
{
	const uint32_t net = DATA_SUBNET_DEFAULT, targets[] = {net + 1, net + 254};

	for (size_t i = 0; i < 4; i++) {
		const struct memory_frame *sent = rig.wire.sent;

		rig_clear();
		assert_int_equal(rig_frame(frame, arp(1, rig_guest_mac, i & 2 ? 0 : net + 3, targets[i & 1])), 0);
		assert_int_equal(rig.wire.n_sent, 1);
		assert_int_equal(sent->len, NET_ARP_FRAME_LEN);
		assert_false(sent->parsed.arp.request);
		assert_memory_equal(sent->parsed.arp.sender_mac, rig_host_mac, 6);
		assert_int_equal(be32_load(sent->parsed.arp.sender.byte + 12), targets[i & 1]);
		assert_memory_equal(sent->data, rig_guest_mac, 6);
	}
}

/* NET-02: the card's own addresses serve DNS, DHCP and echo over UDP and ICMP, and nothing else. */
static void test_own_ports(void **state)
{
	struct net_addr own[] = {rig.card.gateway4, rig.card.gateway6, rig.card.link_local6};

	for (size_t i = 0; i < 3; i++) {
		for (unsigned int port = 0; port < 65536; port++) {
			rig.card.now_us += 2000; /* below the rate of ICMP errors */
			rig_clear();
			(void)rig_frame(frame, rig_udp(frame, &own[i], 4000, (uint16_t)port, "abc", 3));
			assert_int_equal(rig.n_udp, 0);
			if (port == DATA_PORT_DNS && i < 2) {
				assert_int_equal(rig.n_dns, 1);
				assert_int_equal(rig.last_len, 3);
				assert_int_equal(rig.last_key.guest_port, 4000);
				continue;
			}
			assert_int_equal(rig.n_dns, 0);
			if (port == DATA_PORT_DHCP && i == 0) {
				assert_int_equal(rig.wire.n_sent, 0);
				continue;
			}
			assert_int_equal(rig.wire.n_sent, 1);
			assert_int_equal(rig.wire.sent[0].data[rig.wire.sent[0].parsed.l4_off], i ? 1 : 3);
			assert_int_equal(rig.wire.sent[0].data[rig.wire.sent[0].parsed.l4_off + 1], i ? 4 : 3);
		}
	}
}

static void test_dns_limits(void **state)
{
	struct net_vnet gso = {.flags = NET_VNET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6, .gso_type = NET_VNET_GSO_UDP_L4,
			       .gso_size = 100};
	static uint8_t text[5000];

	assert_int_equal(rig_frame(frame, rig_udp(frame, &rig.card.gateway4, 1, 53, text, sizeof(text))), -ENOENT);
	assert_int_equal(rig_frame_vnet(&gso, frame, rig_udp(frame, &rig.card.gateway4, 1, 53, text, 300)), -ENOENT);
	assert_true(rig_silent());
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	assert_int_equal(rig_frame(frame, rig_udp(frame, &rig.card.gateway4, 1, 53, text, 4096)), 0);
	assert_int_equal(rig.last_len, 4096);
	assert_memory_equal(rig.last, text, 4096);
}

/* The alias stands for the host's loopback: the engines ask the policy. */
static void test_alias(void **state)
{
	struct rig_packet p = packet(0, false, &rig.card.guest4, &rig.card.alias4);

	assert_int_equal(give(&p), 0);
	assert_int_equal(rig.n_tcp, 1);
	assert_int_equal(rig_frame(frame, rig_udp(frame, &rig.card.alias4, 1, 53, "abc", 3)), 0);
	assert_int_equal(rig.n_udp, 1);
	assert_int_equal(rig.n_dns, 0);
	p = packet(0, false, &rig.card.guest4, &rig.card.gateway4);
	assert_int_equal(give(&p), 0);
	assert_int_equal(rig.n_tcp, 2); /* host-inet refuses what is not DNS or the proxy */
}

static void test_echo(void **state)
{
	struct net_addr own[] = {rig.card.gateway4, rig.card.alias4, rig.card.gateway6, rig.card.alias6, rig.card.link_local6};

	for (size_t i = 0; i < 5; i++) {
		bool v6 = i >= 2;
		struct rig_packet p = packet(2, v6, v6 ? &rig.card.guest6 : &rig.card.guest4, &own[i]);
		const struct memory_frame *sent = rig.wire.sent;

		rig_clear();
		assert_int_equal(give(&p), 0);
		assert_int_equal(rig.n_echo, 0);
		assert_int_equal(rig.wire.n_sent, 1);
		assert_int_equal(sent->data[sent->parsed.l4_off], v6 ? 129 : 0);
		assert_memory_equal(sent->data + sent->parsed.l4_off + 4, echo4 + 4, 8);
		assert_true(net_addr_equal(&sent->parsed.src, &own[i]));
		assert_int_equal(sent->parsed.l4_len, sizeof(echo4)); /* as long as the request */
	}
}

/* A packet in pieces of N bytes. Return: pieces given. */
static unsigned int give_pieces(const uint8_t *whole, size_t len, size_t n)
{
	static uint8_t piece[65600];
	bool v6 = whole[12] == 0x86;
	size_t head = NET_ETH_LEN + (v6 ? NET_IP6_LEN : NET_IP4_LEN), l4_len = len - head;
	unsigned int count = 0;

	for (size_t off = 0; off < l4_len; off += n, count++) {
		size_t m = l4_len - off < n ? l4_len - off : n;
		bool more = off + m < l4_len;
		uint8_t *p = piece + NET_ETH_LEN;

		memcpy(piece, whole, head);
		if (v6) {
			p[6] = NET_IP_FRAGMENT;
			be16_store(p + 4, (uint16_t)(m + 8));
			memset(p + 40, 0, 8);
			p[40] = whole[NET_ETH_LEN + 6];
			be16_store(p + 42, (uint16_t)(off | more));
			p[47] = 7;
			memcpy(p + 48, whole + head + off, m);
			(void)rig_frame(piece, head + 8 + m);
			continue;
		}
		be16_store(p + 2, (uint16_t)(NET_IP4_LEN + m));
		be16_store(p + 4, 77);
		be16_store(p + 6, (uint16_t)(off / 8 | (more ? 0x2000 : 0)));
		be16_store(p + 10, 0);
		le16_store(p + 10, (uint16_t)~net_fold(net_sum(0, p, NET_IP4_LEN)));
		memcpy(p + NET_IP4_LEN, whole + head + off, m);
		(void)rig_frame(piece, head + m);
	}
	return count;
}

static void test_fragments(void **state)
{
	static uint8_t text[6000], whole[7000];
	struct net_addr to[] = {net_addr4(0x08080808), {{0x26, [15] = 1}}};

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 11);
	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = rig_udp(whole, &to[v6], 1000, 2000, text, sizeof(text));

		rig_clear();
		assert_true(give_pieces(whole, n, 1400) > 4);
		assert_int_equal(rig.n_udp, 1);
		assert_int_equal(rig.last_len, sizeof(text));
		assert_memory_equal(rig.last, text, sizeof(text));
		assert_true(rig.n_batch_end > 5); /* once more for the packet, which lives no longer */
	}
	/* A wrong checksum shows only in the whole. */
	rig_clear();
	whole[100] ^= 1;
	(void)give_pieces(whole, 6000 + NET_ETH_LEN + NET_IP6_LEN + NET_UDP_LEN, 1400);
	assert_true(rig_silent());
}

/* A ping larger than the MTU is answered as it came: in pieces, none larger than the MTU. */
static void test_large_echo(void **state)
{
	static uint8_t l4[5000], whole[6000], got[6000];

	for (int v6 = 0; v6 < 2; v6++) {
		struct rig_packet p = packet(2, v6, v6 ? &rig.card.guest6 : &rig.card.guest4, v6 ? &rig.card.gateway6 : &rig.card.gateway4);
		uint64_t sum;
		size_t n = 0;

		for (size_t i = 0; i < sizeof(l4); i++)
			l4[i] = (uint8_t)(i * 13);
		memcpy(l4, v6 ? echo6 : echo4, 8);
		p.l4 = l4;
		p.l4_len = sizeof(l4);
		rig_clear();
		(void)give_pieces(whole, rig_build(whole, &p), 1480);
		assert_true(rig.wire.n_sent >= 4);
		for (size_t i = 0; i < rig.wire.n_sent; i++) {
			const struct memory_frame *f = &rig.wire.sent[i];

			assert_int_equal(f->parsed.kind, NET_KIND_FRAGMENT);
			assert_int_equal(f->parsed.fragment.offset, n);
			assert_int_equal(f->parsed.fragment.more, i + 1 < rig.wire.n_sent);
			memcpy(got + n, f->data + f->parsed.payload_off, f->parsed.payload_len);
			n += f->parsed.payload_len;
		}
		assert_int_equal(n, sizeof(l4));
		assert_int_equal(got[0], v6 ? 129 : 0);
		assert_memory_equal(got + 4, l4 + 4, n - 4);
		sum = v6 ? net_pseudo_sum_of(&p.dst, &p.src, true, NET_IP_ICMP6, (uint32_t)n) : 0;
		assert_int_equal(net_fold(net_sum(sum, got, n)), 0xffff);
	}
}

static void test_mtu_told(void **state)
{
	struct wire_caps caps = {.mtu = 1400};
	struct netctl_config config = {.subnet = 0x0a000000, .mtu = 9000, .ipv6 = true};

	assert_int_equal(rig.told.mtu, 1500);
	data_card_configure(&rig.card, &config);
	assert_int_equal(rig.told.mtu, 9000);
	assert_int_equal(be32_load(rig.card.gateway4.byte + 12), 0x0a000001);
	data_card_sink.up(&rig.card, &caps);
	assert_int_equal(rig.told.mtu, 1400);
}

static void test_guest6(void **state)
{
	static const struct net_addr want = {{0xfd, 0xca, 0x15, 0x50, 0x9b, 0x3e, 0, 1, 0, 0xca, 0x15, 0xff, 0xfe, 0x50, 1, 2}};

	assert_memory_equal(&rig.card.guest6, &want, sizeof(want)); /* DATA_GUEST6_TEXT */
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIGGED(test_spoofed_sources), RIGGED(test_good_sources), RIGGED(test_mac),	      RIGGED(test_group_destinations),
		RIGGED(test_ethernet),	      RIGGED(test_protocols),	 RIGGED(test_jumbogram),      RIGGED(test_bad_checksums),
		RIGGED(test_partial_checksum), RIGGED(test_before_config), RIGGED(test_ipv6_off),     RIGGED(test_arp_refusals),
		RIGGED(test_arp),	      RIGGED(test_own_ports),	 RIGGED(test_dns_limits),     RIGGED(test_alias),
		RIGGED(test_echo),	      RIGGED(test_fragments),	 RIGGED(test_large_echo),     RIGGED(test_mtu_told),
		RIGGED(test_guest6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
