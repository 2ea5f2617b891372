/* SPDX-License-Identifier: Apache-2.0 */
/* data-card-rig: see the header. */
#include "devices/net/data-card-rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/net/echo.h"
#include "devices/vhost/guest-memory.h"

enum { OLD_BYTE = 0xa5, OLD_RUN = 4, FRAME_MAX = NET_VNET_LEN + NET_FRAME_MAX };

struct card_rig rig;
const uint8_t rig_host_mac[NET_MAC_LEN] = DATA_HOST_MAC, rig_guest_mac[NET_MAC_LEN] = DATA_GUEST_MAC;

/* The engines. */
void tcp_segment(struct tcp *tcp, const struct net_frame *frame, const struct wire_payload *payload)
{
	struct iovec iov[4];

	if (payload->len && guest_iov_slice(iov, 4, payload->iov, payload->n_iov, payload->off, payload->len) < 0)
		abort();
	rig.n_tcp++;
}

void tcp_wire_up(struct tcp *tcp, const struct wire_caps *caps)
{
	rig.told = *caps;
}

void tcp_wire_down(struct tcp *tcp)
{
}

void tcp_set_mtu(struct tcp *tcp, uint16_t mtu)
{
}

int tcp_set_key(struct tcp *tcp, const uint64_t key[static 2])
{
	return 0;
}

void udp_datagram(struct udp *udp, const struct card_frame *frame)
{
	const struct net_frame *f = frame->frame;

	rig.n_udp++;
	rig.last_key = (struct flow_key){.host = f->dst, .guest = f->src, .host_port = f->udp.dst_port, .guest_port = f->udp.src_port};
	rig.last_len = guest_iov_read(rig.last, f->payload_len, frame->iov, frame->n_iov, NET_VNET_LEN + (size_t)f->payload_off);
	if (rig.last_len != f->payload_len)
		abort();
}

bool udp_answer(struct udp *udp, const struct card_frame *frame)
{
	return false;
}

void udp_batch_end(struct udp *udp)
{
	rig.n_batch_end++;
}

void udp_wire_up(struct udp *udp, const struct wire_caps *caps)
{
}

void udp_wire_down(struct udp *udp)
{
}

void udp_set_addresses(struct udp *udp, const struct udp_config *config)
{
}

void dns_query(struct dns *dns, const struct flow_key *key, const uint8_t *msg, size_t len)
{
	rig.n_dns++;
	rig.last_key = *key;
	memcpy(rig.last, msg, len);
	rig.last_len = len;
}

void dns_set_addresses(struct dns *dns, const struct net_addr *gateway4, const struct net_addr *alias4,
		       const struct net_addr *gateway6, const struct net_addr *alias6, enum netctl_dns_filter filter, bool ipv6,
		       uint16_t mtu)
{
}

void echo_request(struct echo *echo, const struct card_frame *frame, uint64_t now_us)
{
	rig.n_echo++;
}

void echo_set_mtu(struct echo *echo, uint16_t mtu)
{
}

/* The wire, which looks for old bytes. */
static void rig_commit(void *data, struct wire_room *room, struct net_vnet *vnet, const uint8_t *head, size_t head_len,
		       size_t payload_len)
{
	size_t run = 0;

	for (size_t i = 0; i < head_len; i++) {
		run = head[i] == OLD_BYTE ? run + 1 : 0;
		rig.n_dirty += run == OLD_RUN;
	}
	memory_wire_ops.commit(data, room, vnet, head, head_len, payload_len);
}

static int rig_reserve(void *data, size_t len, struct wire_room *room)
{
	return memory_wire_ops.reserve(data, len, room);
}

static void rig_cancel(void *data, struct wire_room *room)
{
	memory_wire_ops.cancel(data, room);
}

static uint64_t rig_sum(void *data, const struct wire_room *room, size_t off, size_t len)
{
	return memory_wire_ops.sum(data, room, off, len);
}

static const struct wire_ops rig_wire_ops = {rig_reserve, rig_commit, rig_cancel, rig_sum};

void rig_init(uint16_t mtu, bool ipv6)
{
	struct wire_caps caps = {.csum = true, .tso4 = true, .tso6 = true, .mergeable = true, .mtu = DATA_MTU_MAX};
	struct netctl_config config = {.subnet = DATA_SUBNET_DEFAULT, .mtu = mtu, .ipv6 = ipv6};

	memset(&rig, 0, sizeof(rig));
	memory_wire_init(&rig.wire, &caps);
	rig.wire.mtu = mtu;
	rig.card.wire = &rig_wire_ops;
	rig.card.wire_data = &rig.wire;
	rig.card.tcp = &rig.tcp;
	rig.card.now_us = 1000000;
	data_card_sink.up(&rig.card, &caps);
	data_card_configure(&rig.card, &config);
}

void rig_clear(void)
{
	memory_net_clear(&rig.wire);
	rig.n_tcp = rig.n_udp = rig.n_dns = rig.n_echo = rig.n_batch_end = 0;
	rig.last_len = 0;
}

void rig_done(void)
{
	rig_clear();
}

int rig_set_up(void **state)
{
	rig_init(1500, true);
	return 0;
}

int rig_tear_down(void **state)
{
	bool right = !rig.wire.n_malformed && !rig.n_dirty;

	rig_done();
	return right ? 0 : -1;
}

bool rig_silent(void)
{
	return !rig.wire.n_sent && !rig.n_tcp && !rig.n_udp && !rig.n_dns && !rig.n_echo;
}

int rig_frame_vnet(const struct net_vnet *vnet, const uint8_t *frame, size_t len)
{
	size_t cut = len / 3;
	uint8_t *first = malloc(NET_VNET_LEN + cut), *second = malloc(len - cut + !(len - cut));
	struct iovec iov[2] = {{first, NET_VNET_LEN + cut}, {second, len - cut}};
	int r;

	if (!first || !second)
		abort();
	net_vnet_encode(vnet, first);
	memcpy(first + NET_VNET_LEN, frame, cut);
	memcpy(second, frame + cut, len - cut);
	r = frame_take(&data_card_sink, &rig.card, iov, 2, NET_VNET_LEN + len);
	data_card_sink.batch_end(&rig.card);
	free(first);
	free(second);
	return r;
}

int rig_frame(const uint8_t *frame, size_t len)
{
	const struct net_vnet vnet = {0};

	return rig_frame_vnet(&vnet, frame, len);
}

/* Where the checksum lies in a transport header of PROTO; 0: nowhere. */
static size_t sum_offset(uint8_t proto)
{
	switch (proto) {
	case NET_IP_TCP:
		return 16;
	case NET_IP_UDP:
		return 6;
	case NET_IP_ICMP:
	case NET_IP_ICMP6:
		return 2;
	default:
		return 0;
	}
}

size_t rig_build(uint8_t *dst, const struct rig_packet *packet)
{
	struct net_ip_out ip = {.v6 = packet->v6, .src = packet->src, .dst = packet->dst, .proto = packet->proto,
				.hop_limit = packet->hop_limit, .l4_len = (uint32_t)packet->l4_len};
	size_t n, at = sum_offset(packet->proto);
	uint64_t sum = 0;

	memcpy(dst, packet->dst_mac ? packet->dst_mac : rig_host_mac, NET_MAC_LEN);
	memcpy(dst + NET_MAC_LEN, packet->src_mac ? packet->src_mac : rig_guest_mac, NET_MAC_LEN);
	be16_store(dst + 12, packet->v6 ? NET_ETH_IP6 : NET_ETH_IP4);
	n = NET_ETH_LEN + net_frame_build_ip(dst + NET_ETH_LEN, &ip);
	memcpy(dst + n, packet->l4, packet->l4_len);
	if (packet->sum && at && at + 2 <= packet->l4_len) {
		le16_store(dst + n + at, 0);
		if (packet->proto != NET_IP_ICMP)
			sum = net_pseudo_sum_of(&packet->src, &packet->dst, packet->v6, packet->proto, (uint32_t)packet->l4_len);
		sum = net_sum(sum, dst + n, packet->l4_len);
		le16_store(dst + n + at, (uint16_t)~net_fold(sum));
		if (packet->proto == NET_IP_UDP && !le16_load(dst + n + at))
			le16_store(dst + n + at, 0xffff);
	}
	return n + packet->l4_len;
}

size_t rig_udp(uint8_t *dst, const struct net_addr *to, uint16_t src_port, uint16_t dst_port, const void *payload, size_t len)
{
	static uint8_t l4[65536];
	struct rig_packet packet = {.v6 = !net_addr_is_v4(to), .dst = *to, .proto = NET_IP_UDP, .l4 = l4,
				    .l4_len = NET_UDP_LEN + len, .sum = true};

	packet.src = packet.v6 ? rig.card.guest6 : rig.card.guest4;
	be16_store(l4, src_port);
	be16_store(l4 + 2, dst_port);
	be16_store(l4 + 4, (uint16_t)packet.l4_len);
	memcpy(l4 + NET_UDP_LEN, payload, len);
	return rig_build(dst, &packet);
}

size_t rig_dhcp(uint8_t *dst, uint8_t type, const char *options, size_t n_options)
{
	static const uint8_t everybody[NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t l4[NET_UDP_LEN + 600] = {0, 68, 0, 67};
	uint8_t *p = l4 + NET_UDP_LEN;
	struct rig_packet packet = {.src = net_addr4(0), .dst = net_addr4(0xffffffff), .proto = NET_IP_UDP, .dst_mac = everybody,
				    .l4 = l4, .l4_len = NET_UDP_LEN + 243 + n_options, .sum = true};

	be16_store(l4 + 4, (uint16_t)packet.l4_len);
	memcpy(p, "\1\1\6\0\1\2\3\4", 8);
	memcpy(p + 28, rig_guest_mac, NET_MAC_LEN);
	memcpy(p + 236, "\x63\x82\x53\x63\x35\1", 6);
	p[242] = type;
	memcpy(p + 243, options, n_options);
	return rig_build(dst, &packet);
}
