/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data-card: see the header.
 *
 * A frame passes: configured? from the guest's MAC address? an IP source that can be the guest's or a container's? to our MAC
 * address, and no multicast or broadcast but what DHCP and neighbour discovery need? Then by kind. All else is dropped and
 * counted; so no protocol leaves that is not named in serve(). Whether the guest may talk to a destination is not judged here
 * but where the socket is made (policy.h), with one exception: ports of the gateway that serve nothing are refused here, since
 * they are nobody's business but ours.
 */
#include "devices/net/data-card.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/net/arp.h"
#include "devices/net/dhcp.h"
#include "devices/net/echo-reply.h"
#include "devices/net/echo.h"
#include "devices/net/fragment.h"
#include "devices/net/ndp.h"
#include "proto/data-card.h"

enum {
	DNS_QUERY_MAX = 4096,
	RETRY_US = 1000000, /* of an advertisement that the guest had no buffer for */
	IP6_MTU_MIN = 1280,
};
#define EVERYBODY4 0xffffffffu

static const uint8_t everybody[NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static struct fragments fragments; /* large, and zero until used */

/* The smaller of what the wire and the settings say. */
static uint16_t effective_mtu(const struct data_card *card)
{
	return card->up && card->caps.mtu < card->mtu ? card->caps.mtu : card->mtu;
}

bool data_card_own(const struct data_card *card, const struct net_addr *addr)
{
	if (net_addr_is_v4(addr))
		return net_addr_equal(addr, &card->gateway4) || net_addr_equal(addr, &card->alias4);
	return net_addr_equal(addr, &card->gateway6) || net_addr_equal(addr, &card->alias6) ||
	       net_addr_equal(addr, &card->link_local6);
}

static bool is_gateway(const struct data_card *card, const struct net_addr *addr)
{
	return net_addr_equal(addr, &card->gateway4) || net_addr_equal(addr, &card->gateway6) ||
	       net_addr_equal(addr, &card->link_local6);
}

static bool is_none(const struct net_addr *addr, bool v6)
{
	static const struct net_addr none;

	return v6 ? net_addr_equal(addr, &none) : !be32_load(addr->byte + 12);
}

/* Multicast, reserved (240/4 with the limited broadcast) or the subnet's broadcast: nobody's source, and no single one to
 * talk to. */
static bool is_group(const struct data_card *card, const struct net_addr *addr, bool v6)
{
	uint32_t host;

	if (v6)
		return addr->byte[0] == 0xff;
	host = be32_load(addr->byte + 12);
	return host >= 0xe0000000u || host == (be32_load(card->gateway4.byte + 12) | 0xff);
}

static bool is_loopback(const struct net_addr *addr, bool v6)
{
	static const struct net_addr loopback6 = {{[15] = 1}};

	return v6 ? net_addr_equal(addr, &loopback6) : addr->byte[12] == 127 || addr->byte[12] == 0;
}

/* Duplicate address detection and the first router solicitation come from no address, and so does DHCP. */
static bool source_ok(const struct data_card *card, const struct net_frame *frame)
{
	if (is_none(&frame->src, frame->v6))
		return frame->v6 ? frame->kind == NET_KIND_NDP
				 : frame->kind == NET_KIND_UDP && frame->udp.dst_port == DATA_PORT_DHCP;
	return !is_group(card, &frame->src, frame->v6) && !is_loopback(&frame->src, frame->v6) &&
	       !data_card_own(card, &frame->src);
}

/* Return: true when the frame is addressed to us as a station, or is one of the few that go to all. */
static bool destination_ok(const struct data_card *card, const struct net_frame *frame)
{
	bool to_us = !memcmp(frame->dst_mac, card->mac, NET_MAC_LEN);

	if (frame->v6) {
		if (frame->kind == NET_KIND_NDP)
			return to_us || (frame->dst_mac[0] == 0x33 && frame->dst_mac[1] == 0x33);
		return to_us && !is_group(card, &frame->dst, true) && !is_none(&frame->dst, true);
	}
	if (be32_load(frame->dst.byte + 12) == EVERYBODY4)
		return frame->kind == NET_KIND_UDP && frame->udp.dst_port == DATA_PORT_DHCP &&
		       (to_us || !memcmp(frame->dst_mac, everybody, NET_MAC_LEN));
	return to_us && !is_group(card, &frame->dst, false) && !is_none(&frame->dst, false);
}

static int serve_arp(struct data_card *card, const struct net_frame *frame)
{
	const struct net_addr *sender = &frame->arp.sender;

	if (memcmp(frame->dst_mac, everybody, NET_MAC_LEN) && memcmp(frame->dst_mac, card->mac, NET_MAC_LEN))
		return -ENOENT;
	/* The guest asks as itself, or as nobody yet (probe, RFC 5227); whoever speaks as us is not answered (NET-09). */
	if (!is_none(sender, false) && !net_addr_equal(sender, &card->guest4)) {
		card->spoofed++;
		return -ENOENT;
	}
	if (!data_card_own(card, &frame->arp.target))
		return -ENOENT;
	return arp_answer(card->wire, card->wire_data, frame, card->mac, card->guest_mac) < 0 ? -ENOENT : 0;
}

static struct flow_key key_of(const struct net_frame *frame)
{
	return (struct flow_key){.host = frame->dst, .guest = frame->src, .host_port = frame->udp.dst_port,
				 .guest_port = frame->udp.src_port};
}

static int serve_dns(struct data_card *card, const struct card_frame *card_frame)
{
	const struct net_frame *frame = card_frame->frame;
	struct flow_key key = key_of(frame);
	uint8_t text[DNS_QUERY_MAX];

	if (frame->payload_len > sizeof(text) || card_frame->vnet->gso_type != NET_VNET_GSO_NONE)
		return -ENOENT;
	if (frame_read(card_frame, frame->payload_off, text, frame->payload_len) != frame->payload_len)
		return -EBADMSG;
	dns_query(card->dns, &key, text, frame->payload_len);
	return 0;
}

static int refuse_udp(struct data_card *card, const struct net_frame *frame)
{
	struct icmp_subject subject = {.key = key_of(frame), .ip_proto = NET_IP_UDP};

	card->own_refused++;
	(void)icmp_error_send(&card->icmp, ECONNREFUSED, &subject, card->now_us);
	return -ENOENT;
}

static int serve_udp(struct data_card *card, const struct card_frame *card_frame)
{
	const struct net_frame *frame = card_frame->frame;

	if (!frame_checksum_ok(card_frame))
		return -EBADMSG;
	if (be32_load(frame->dst.byte + 12) == EVERYBODY4 && !frame->v6)
		return dhcp_serve(card, card_frame);
	if (!is_gateway(card, &frame->dst)) {
		udp_datagram(card->udp, card_frame);
		return 0;
	}
	if (frame->udp.dst_port == DATA_PORT_DHCP && !frame->v6)
		return dhcp_serve(card, card_frame);
	if (frame->udp.dst_port == DATA_PORT_DNS && !net_addr_equal(&frame->dst, &card->link_local6))
		return serve_dns(card, card_frame);
	return udp_answer(card->udp, card_frame) ? 0 : refuse_udp(card, frame);
}

static int serve_echo(struct data_card *card, const struct card_frame *frame)
{
	if (!frame_checksum_ok(frame))
		return -EBADMSG;
	if (!data_card_own(card, &frame->frame->dst)) {
		echo_request(card->echo, frame, card->now_us);
		return 0;
	}
	return echo_reply(card->wire, card->wire_data, frame, card->mac, effective_mtu(card)) < 0 ? -ENOENT : 0;
}

/* A whole packet of UDP or echo, put together: it passes the rest of the way as if it had come so. */
static int serve_whole(struct data_card *card, const uint8_t *packet, size_t len)
{
	static uint8_t no_vnet[NET_VNET_LEN];
	const struct net_vnet vnet = {0};
	struct iovec iov[2] = {{no_vnet, sizeof(no_vnet)}, {(void *)packet, len}};
	struct net_frame frame;
	struct card_frame card_frame = {.vnet = &vnet, .frame = &frame, .iov = iov, .n_iov = 2, .packet = packet,
					.captured = len, .total = len};
	int r;

	if (net_frame_parse(&frame, packet, len, len))
		return -EBADMSG;
	if (frame.kind == NET_KIND_ECHO)
		return serve_echo(card, &card_frame);
	if (frame.kind != NET_KIND_UDP)
		return -ENOENT;
	r = serve_udp(card, &card_frame);
	udp_batch_end(card->udp); /* the packet lives only until the next fragment */
	return r;
}

static int serve_fragment(struct data_card *card, const struct card_frame *frame)
{
	const uint8_t *packet;
	size_t len;
	int r;

	card->fragments_seen++;
	r = fragment_take(card->fragments, frame, card->now_us, &packet, &len);
	return r == FRAGMENT_WHOLE ? serve_whole(card, packet, len) : r;
}

static int serve_tcp(struct data_card *card, const struct card_frame *frame)
{
	struct wire_payload payload;

	if (!frame_checksum_ok(frame))
		return -EBADMSG;
	payload = frame_payload(frame);
	tcp_segment(card->tcp, frame->frame, &payload);
	return 0;
}

static int serve(struct data_card *card, const struct card_frame *frame)
{
	switch (frame->frame->kind) {
	case NET_KIND_TCP:
		return serve_tcp(card, frame);
	case NET_KIND_UDP:
		return serve_udp(card, frame);
	case NET_KIND_ECHO:
		return serve_echo(card, frame);
	case NET_KIND_NDP:
		if (!frame_checksum_ok(frame))
			return -EBADMSG;
		return ndp_serve(card, frame) < 0 ? -ENOENT : 0;
	case NET_KIND_FRAGMENT:
		return serve_fragment(card, frame);
	default:
		return -ENOENT;
	}
}

static int take(void *data, const struct card_frame *card_frame)
{
	struct data_card *card = data;
	const struct net_frame *frame = card_frame->frame;

	if (!card->configured)
		return -ENOENT;
	if (memcmp(frame->src_mac, card->guest_mac, NET_MAC_LEN)) {
		card->spoofed++;
		return -ENOENT;
	}
	if (frame->kind == NET_KIND_ARP)
		return serve_arp(card, frame);
	if (frame->kind == NET_KIND_OTHER || (frame->v6 && !card->ipv6))
		return -ENOENT;
	if (!source_ok(card, frame)) {
		card->spoofed++;
		return -ENOENT;
	}
	return destination_ok(card, frame) ? serve(card, card_frame) : -ENOENT;
}

static void batch_end(void *data)
{
	struct data_card *card = data;

	udp_batch_end(card->udp);
}

/* The wire's capabilities, with the smaller of the two MTUs. */
static void tell_caps(struct data_card *card)
{
	struct wire_caps caps = card->caps;

	caps.mtu = effective_mtu(card);
	tcp_wire_up(card->tcp, &caps);
	udp_wire_up(card->udp, &caps);
	echo_set_mtu(card->echo, caps.mtu);
}

static void up(void *data, const struct wire_caps *caps)
{
	struct data_card *card = data;

	card->caps = *caps;
	card->up = true;
	card->next_ra_us = card->now_us;
	tell_caps(card);
}

static void down(void *data)
{
	struct data_card *card = data;

	card->up = false;
	tcp_wire_down(card->tcp);
	udp_wire_down(card->udp);
}

static void room(void *data)
{
	struct data_card *card = data;

	card->tcp->starved = false;
}

const struct frame_sink data_card_sink = {.frame = take, .batch_end = batch_end, .up = up, .down = down, .room = room};

static struct net_addr in_prefix6(const struct data_card *card, uint8_t last)
{
	struct net_addr addr = card->prefix6;

	addr.byte[15] = last;
	return addr;
}

/* The interface identifier that follows from the guest's MAC address, RFC 4291, appendix A. */
static struct net_addr eui64(const struct data_card *card)
{
	const uint8_t *m = card->guest_mac;
	struct net_addr addr = card->prefix6;

	memcpy(addr.byte + 8, (const uint8_t[]){m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}, 8);
	return addr;
}

static void set_addresses(struct data_card *card, uint32_t subnet)
{
	static const uint8_t mac[] = DATA_HOST_MAC, guest_mac[] = DATA_GUEST_MAC;
	static const struct net_addr prefix6 = {DATA_PREFIX6}, link_local6 = {{0xfe, 0x80, [15] = 1}};

	memcpy(card->mac, mac, NET_MAC_LEN);
	memcpy(card->guest_mac, guest_mac, NET_MAC_LEN);
	card->subnet4 = net_addr4(subnet);
	card->gateway4 = net_addr4(subnet + DATA_OCTET_GATEWAY);
	card->alias4 = net_addr4(subnet + DATA_OCTET_ALIAS);
	card->guest4 = net_addr4(subnet + DATA_OCTET_GUEST);
	card->prefix6 = prefix6;
	card->gateway6 = in_prefix6(card, 1);
	card->alias6 = in_prefix6(card, 0xfe);
	card->guest6 = eui64(card);
	card->link_local6 = link_local6;
}

static void tell_parts(struct data_card *card, const struct netctl_config *config)
{
	struct udp_config udp = {.gateway4 = card->gateway4, .gateway6 = card->gateway6, .guest4 = card->guest4, .guest6 = card->guest6};

	memcpy(udp.mac, card->mac, NET_MAC_LEN);
	memcpy(udp.guest_mac, card->guest_mac, NET_MAC_LEN);
	udp_set_addresses(card->udp, &udp);
	tcp_set_mtu(card->tcp, effective_mtu(card));
	echo_set_mtu(card->echo, effective_mtu(card));
	(void)tcp_set_key(card->tcp, config->hash_key); /* a later CONFIG: flows keep the key they were made with */
	dns_set_addresses(card->dns, &card->gateway4, &card->alias4, &card->gateway6, &card->alias6, config->dns_filter, card->ipv6,
			  card->mtu);
	card->icmp.wire = card->wire;
	card->icmp.wire_data = card->wire_data;
	card->icmp.gateway4 = card->gateway4;
	card->icmp.gateway6 = card->gateway6;
	memcpy(card->icmp.mac, card->mac, NET_MAC_LEN);
	memcpy(card->icmp.guest_mac, card->guest_mac, NET_MAC_LEN);
}

void data_card_configure(struct data_card *card, const struct netctl_config *config)
{
	card->fragments = &fragments;
	card->mtu = config->mtu;
	card->ipv6 = config->ipv6 && config->mtu >= IP6_MTU_MIN;
	set_addresses(card, config->subnet);
	card->configured = true;
	tell_parts(card, config);
	card->next_ra_us = card->now_us;
	if (card->up)
		tell_caps(card);
}

void data_card_search(struct data_card *card, const struct netctl_resolvers *resolvers)
{
	card->n_search = resolvers->n_search < NETCTL_SEARCH_MAX ? resolvers->n_search : NETCTL_SEARCH_MAX;
	memcpy(card->search, resolvers->search, sizeof(card->search));
	card->next_ra_us = card->now_us; /* IPv6 learns it at once, IPv4 with its next request */
}

void data_card_now(struct data_card *card, uint64_t now_us)
{
	card->now_us = now_us;
}

void data_card_timers(struct data_card *card)
{
	if (data_card_deadline(card) > card->now_us)
		return;
	card->next_ra_us = card->now_us + (ndp_advertise(card, &ndp_all_nodes) == -EAGAIN ? RETRY_US : NDP_RA_INTERVAL_US);
}

uint64_t data_card_deadline(const struct data_card *card)
{
	return card->configured && card->ipv6 && card->up ? card->next_ra_us : UINT64_MAX;
}
