/* SPDX-License-Identifier: Apache-2.0 */
/* udp-memory: see the header. */
#include "devices/net/udp-memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/net/publish.h"
#include "devices/net/watch.h"
#include "proto/data-card.h"

enum { ROOM_SIZE = 70000 };

struct udp_memory udp_memory;
static uint8_t store[WIRE_ROOMS_MAX][ROOM_SIZE];

static int memory_reserve(void *data, size_t len, struct wire_room *room)
{
	struct udp_memory *m = data;
	uint8_t *bytes = store[(m->first_room + m->n_rooms) % WIRE_ROOMS_MAX];

	if (!m->buffers || m->n_rooms == WIRE_ROOMS_MAX)
		return -EAGAIN;
	room->n_iov = 0;
	room->capacity = 0;
	room->first_chain = (uint16_t)(m->first_room + m->n_rooms);
	while (m->buffers && room->capacity < len + NET_VNET_LEN && room->n_iov < WIRE_SEGMENTS_MAX &&
	       room->capacity + m->buffer_size <= ROOM_SIZE && (!room->n_iov || m->caps.mergeable)) {
		room->iov[room->n_iov++] = (struct iovec){bytes + room->capacity, m->buffer_size};
		room->capacity += m->buffer_size;
		m->buffers--;
	}
	room->n_chains = (uint16_t)room->n_iov;
	memset(bytes, 0xa5, room->capacity);
	m->n_rooms++;
	return 0;
}

static void memory_cancel(void *data, struct wire_room *room)
{
	struct udp_memory *m = data;

	if (!m->n_rooms || room->first_chain != (uint16_t)(m->first_room + m->n_rooms - 1))
		abort();
	m->n_rooms--;
	m->buffers += room->n_chains;
}

static bool frame_ok(const struct udp_memory *m, const struct udp_memory_frame *f)
{
	if (f->parsed.kind == NET_KIND_FRAGMENT)
		return !f->vnet.flags && !f->vnet.gso_type && f->len <= NET_ETH_LEN + (size_t)m->caps.mtu;
	if (f->parsed.kind != NET_KIND_UDP || net_vnet_check(&f->vnet, &f->parsed) || f->parsed.l4_off + f->parsed.l4_len != f->len)
		return false;
	if (f->vnet.gso_type)
		return m->caps.uso && f->vnet.gso_size + 28 <= m->caps.mtu;
	if (f->len > NET_ETH_LEN + (size_t)m->caps.mtu)
		return false;
	if (f->vnet.flags & NET_VNET_NEEDS_CSUM)
		return m->caps.csum;
	return net_fold(net_sum(net_pseudo_sum(&f->parsed), f->data + f->parsed.l4_off, f->parsed.l4_len)) == 0xffff;
}

static void memory_commit(void *data, struct wire_room *room, struct net_vnet *vnet, const uint8_t *head, size_t head_len,
			  size_t payload_len)
{
	struct udp_memory *m = data;
	struct udp_memory_frame f = {.vnet = *vnet, .len = head_len + payload_len};
	uint8_t *bytes = room->iov[0].iov_base;
	size_t used = (NET_VNET_LEN + f.len + m->buffer_size - 1) / m->buffer_size;

	if (NET_VNET_LEN + f.len > room->capacity || !m->n_rooms || room->first_chain != (uint16_t)m->first_room ||
	    (m->n_rooms > 1 && used != room->n_chains))
		abort();
	m->n_rooms--;
	m->first_room++;
	m->buffers += (unsigned int)(room->n_chains - used);
	memcpy(bytes + NET_VNET_LEN, head, head_len);
	f.data = malloc(f.len);
	if (!f.data)
		abort();
	memcpy(f.data, bytes + NET_VNET_LEN, f.len);
	if (net_frame_parse(&f.parsed, f.data, f.len, f.len) || !frame_ok(m, &f))
		m->n_malformed++;
	if (m->n_sent == UDP_MEMORY_FRAMES_MAX)
		free(f.data);
	else
		m->sent[m->n_sent++] = f;
}

static uint64_t memory_sum(void *data, const struct wire_room *room, size_t off, size_t len)
{
	return net_sum(0, (const uint8_t *)room->iov[0].iov_base + off, len);
}

static const struct wire_ops memory_ops = {memory_reserve, memory_commit, memory_cancel, memory_sum};

/* The neighbours' functions, as the test wants them. */
void policy_decide(struct policy *policy, enum rules_proto proto, const struct net_addr *addr, uint16_t port, struct rules_verdict *ret)
{
	udp_memory.decisions++;
	*ret = (struct rules_verdict){.allow = !udp_memory.refuse, .dial = udp_memory.dial};
}

bool publish_disguise(const struct net_addr *client, const struct net_addr *target, struct net_addr *ret)
{
	if (udp_memory.disguise)
		*ret = net_addr_is_v4(target) ? udp_memory.udp->config.gateway4 : udp_memory.udp->config.gateway6;
	return udp_memory.disguise;
}

int icmp_error_send(struct icmp_error *ctx, int error, const struct icmp_subject *subject, uint64_t now_us)
{
	if (subject->ip_proto != NET_IP_UDP)
		abort();
	if (udp_memory.n_errors < UDP_MEMORY_ERRORS_MAX)
		udp_memory.errors[udp_memory.n_errors++] = error;
	udp_memory.error_mtu = subject->mtu;
	return 0;
}

void udp_memory_init(const struct wire_caps *caps)
{
	static const struct wire_caps linux_guest = {.csum = true, .tso4 = true, .tso6 = true, .mergeable = true, .mtu = 1500};
	struct udp_memory *m = &udp_memory;
	struct udp_config config = {
		.wire = &memory_ops,
		.wire_data = m,
		.policy = &m->policy,
		.icmp = &m->icmp,
		.hash_key = {3, 4},
		.gateway4 = net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GATEWAY),
		.gateway6 = {{0xfd, 0xca, [15] = 1}},
		.guest4 = net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GUEST),
		.guest6 = {{0xfd, 0xca, [15] = 3}},
		.mac = DATA_HOST_MAC,
		.guest_mac = DATA_GUEST_MAC,
	};

	memset(m, 0, sizeof(*m));
	m->watch_fd = config.watch_fd = watch_new();
	m->caps = caps ? *caps : linux_guest;
	m->buffers = 1u << 20;
	m->buffer_size = 1536;
	m->dial = net_addr4(INADDR_LOOPBACK);
	m->now_us = 1000000;
	if (m->watch_fd < 0)
		abort();
	m->udp = udp_init(&config);
	udp_now(m->udp, m->now_us);
	udp_wire_up(m->udp, &m->caps);
}

void udp_memory_clear(void)
{
	while (udp_memory.n_sent)
		free(udp_memory.sent[--udp_memory.n_sent].data);
	udp_memory.n_errors = 0;
}

void udp_memory_done(void)
{
	udp_memory_clear();
	udp_init(&udp_memory.udp->config); /* closes all sockets */
	close(udp_memory.watch_fd);
}

void udp_memory_frame(const uint8_t *data, size_t len, const struct net_vnet *vnet)
{
	/* What is gathered is sent at the end of the batch: each frame has memory of its own until then. */
	static uint8_t frames[4][UDP_OUT_MAX][ROOM_SIZE / 16];
	static uint8_t large[ROOM_SIZE];
	static unsigned int next;
	uint8_t *bytes = len + NET_VNET_LEN <= sizeof(frames[0][0]) ? frames[next / UDP_OUT_MAX % 4][next % UDP_OUT_MAX] : large;
	struct net_frame frame;
	/* In two segments, as drivers do. */
	struct iovec iov[2] = {{bytes, NET_VNET_LEN}, {bytes + NET_VNET_LEN, len}};
	struct card_frame card = {.vnet = vnet, .frame = &frame, .iov = iov, .n_iov = 2, .total = len};

	next++;
	if (bytes == large)
		udp_batch_end(udp_memory.udp);
	memcpy(bytes + NET_VNET_LEN, data, len);
	card.packet = bytes + NET_VNET_LEN;
	card.captured = len < NET_HEAD_MAX ? len : NET_HEAD_MAX;
	if (net_frame_parse(&frame, card.packet, card.captured, len) || net_vnet_check(vnet, &frame) || frame.kind != NET_KIND_UDP)
		return;
	/* As data-card does it. */
	if (net_addr_equal(&frame.dst, &udp_memory.udp->config.gateway4))
		(void)udp_answer(udp_memory.udp, &card);
	else
		udp_datagram(udp_memory.udp, &card);
	if (bytes == large)
		udp_batch_end(udp_memory.udp);
}

void udp_memory_say(const struct flow_key *key, const void *payload, size_t len, uint16_t gso)
{
	static const uint8_t to[] = DATA_HOST_MAC, from[] = DATA_GUEST_MAC;
	static uint8_t data[ROOM_SIZE];
	struct net_udp_out out = {
		.v6 = !net_addr_is_v4(&key->guest), .src_mac = from, .dst_mac = to, .src = key->guest, .dst = key->host,
		.src_port = key->guest_port, .dst_port = key->host_port, .payload_len = (uint32_t)len,
	};
	size_t n = net_frame_build_udp(data, &out);
	struct net_vnet vnet = {
		.flags = NET_VNET_NEEDS_CSUM, .csum_start = (uint16_t)(n - NET_UDP_LEN), .csum_offset = 6,
		.gso_type = gso ? NET_VNET_GSO_UDP_L4 : 0, .gso_size = gso, .hdr_len = (uint16_t)n,
	};

	if (len)
		memcpy(data + n, payload, len);
	udp_memory_frame(data, n + len, &vnet);
}

void udp_memory_run(void)
{
	struct udp_memory *m = &udp_memory;

	udp_now(m->udp, m->now_us);
	udp_batch_end(m->udp);
	for (int i = 0; i < 100; i++) {
		watch_dispatch(m->watch_fd, udp_host_event, m->udp);
		udp_timers(m->udp);
		if (!udp_run(m->udp) && i > 1)
			break;
	}
	if (m->n_rooms)
		abort();
}
