/* SPDX-License-Identifier: Apache-2.0 */
/* memory-wire: see the header. */
#include "devices/net/memory-wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One card at a time; not in the struct, which tests clear often. */
static uint8_t rooms[WIRE_ROOMS_MAX][MEMORY_FRAME_MAX];

static int memory_reserve(void *data, size_t len, struct wire_room *room)
{
	struct memory_net *m = data;
	size_t left = len + NET_VNET_LEN;
	uint8_t *base;

	if (m->n_rooms == WIRE_ROOMS_MAX)
		return -EAGAIN;
	base = rooms[(m->first_room + m->n_rooms) % WIRE_ROOMS_MAX];
	room->n_iov = 0;
	room->capacity = 0;
	while (left && room->n_iov < m->buffers && room->n_iov < WIRE_SEGMENTS_MAX &&
	       room->capacity + m->buffer_size <= MEMORY_FRAME_MAX) {
		room->iov[room->n_iov++] = (struct iovec){base + room->capacity, m->buffer_size};
		room->capacity += m->buffer_size;
		left -= left < m->buffer_size ? left : m->buffer_size;
	}
	if (room->capacity <= NET_VNET_LEN + NET_HEAD_OUT_MAX)
		return -EAGAIN;
	/* What was in the buffers before is of no use to anybody who builds a frame. */
	memset(base, 0xa5, room->capacity < NET_VNET_LEN + NET_HEAD_OUT_MAX + 64 ? room->capacity : NET_VNET_LEN + NET_HEAD_OUT_MAX + 64);
	room->first_chain = (uint16_t)((m->first_room + m->n_rooms) % WIRE_ROOMS_MAX);
	room->n_chains = (uint16_t)room->n_iov;
	m->buffers -= room->n_chains;
	m->n_rooms++;
	return 0;
}

static bool checksummed(const struct net_frame *f)
{
	return f->ip && f->kind != NET_KIND_FRAGMENT && (f->ip_proto == NET_IP_TCP || f->ip_proto == NET_IP_UDP ||
							 f->ip_proto == NET_IP_ICMP || f->ip_proto == NET_IP_ICMP6);
}

static bool frame_ok(const struct memory_net *m, struct memory_frame *f, const struct net_frame *parsed)
{
	uint64_t sum;

	if (net_vnet_check(&f->vnet, parsed) || (parsed->ip && parsed->l4_off + parsed->l4_len != f->len))
		return false;
	if (m->mtu && f->vnet.gso_type == NET_VNET_GSO_NONE && f->len > NET_ETH_LEN + (size_t)m->mtu)
		return false;
	if (!checksummed(parsed))
		return parsed->ip || parsed->kind == NET_KIND_ARP;
	/* With NEEDS_CSUM the field holds the pseudo-header's sum, which the rest must not be part of. */
	if (f->vnet.flags & NET_VNET_NEEDS_CSUM)
		return m->tcp.caps.csum;
	sum = net_sum(0, f->data + parsed->l4_off, parsed->l4_len);
	return net_fold(sum + net_pseudo_sum(parsed)) == 0xffff;
}

static void memory_commit(void *data, struct wire_room *room, struct net_vnet *vnet, const uint8_t *head,
			  size_t head_len, size_t payload_len)
{
	struct memory_net *m = data;
	struct memory_frame f = {.vnet = *vnet, .len = head_len + payload_len};
	uint8_t *base = rooms[room->first_chain];
	unsigned int used = (unsigned int)((NET_VNET_LEN + f.len + m->buffer_size - 1) / m->buffer_size);

	if (NET_VNET_LEN + f.len > room->capacity || !m->n_rooms || room->first_chain != m->first_room)
		abort();
	if (m->n_rooms == 1 && used < room->n_chains)
		m->buffers += room->n_chains - used;
	m->first_room = (m->first_room + 1) % WIRE_ROOMS_MAX;
	m->n_rooms--;
	memcpy(base + NET_VNET_LEN, head, head_len);
	f.data = malloc(f.len);
	if (!f.data)
		abort();
	memcpy(f.data, base + NET_VNET_LEN, f.len);
	if (net_frame_parse(&f.parsed, f.data, f.len, f.len) || !frame_ok(m, &f, &f.parsed))
		m->n_malformed++;
	if (m->n_sent == MEMORY_FRAMES_MAX)
		free(f.data);
	else
		m->sent[m->n_sent++] = f;
}

static void memory_cancel(void *data, struct wire_room *room)
{
	struct memory_net *m = data;

	if (!m->n_rooms || room->first_chain != (m->first_room + m->n_rooms - 1) % WIRE_ROOMS_MAX)
		abort();
	m->n_rooms--;
	m->buffers += room->n_chains;
}

static uint64_t memory_sum(void *data, const struct wire_room *room, size_t off, size_t len)
{
	return wire_sum(0, room->iov, room->n_iov, off, len);
}

const struct wire_ops memory_wire_ops = {memory_reserve, memory_commit, memory_cancel, memory_sum};

void memory_wire_init(struct memory_net *m, const struct wire_caps *caps)
{
	memset(m, 0, sizeof(*m));
	m->watch_fd = -EBADF;
	m->buffers = 1u << 20;
	m->buffer_size = 2048;
	m->tcp.caps = *caps;
}

void memory_net_clear(struct memory_net *m)
{
	while (m->n_sent)
		free(m->sent[--m->n_sent].data);
}
