/* SPDX-License-Identifier: Apache-2.0 */
/* memory-wire: see the header. */
#include "devices/net/memory-wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "devices/net/watch.h"
#include "proto/control-link.h"

static int memory_reserve(void *data, size_t len, struct wire_room *room)
{
	struct memory_net *m = data;
	size_t left = len + NET_VNET_LEN;

	if (!m->buffers)
		return -EAGAIN;
	room->n_iov = 0;
	room->capacity = 0;
	while (left && room->n_iov < m->buffers && room->n_iov < WIRE_SEGMENTS_MAX &&
	       room->capacity + m->buffer_size <= sizeof(m->room)) {
		room->iov[room->n_iov++] = (struct iovec){m->room + room->capacity, m->buffer_size};
		room->capacity += m->buffer_size;
		left -= left < m->buffer_size ? left : m->buffer_size;
	}
	return room->capacity > NET_VNET_LEN + NET_HEAD_OUT_MAX ? 0 : -EAGAIN;
}

static bool frame_ok(const struct memory_net *m, struct memory_frame *f, const struct net_frame *parsed)
{
	uint64_t sum;

	if (parsed->kind != NET_KIND_TCP || net_vnet_check(&f->vnet, parsed))
		return false;
	if (parsed->l4_off + parsed->l4_len != f->len)
		return false;
	sum = net_sum(0, f->data + parsed->l4_off, parsed->l4_len);
	/* With NEEDS_CSUM the field holds the pseudo-header's sum, which the rest must not be part of. */
	if (f->vnet.flags & NET_VNET_NEEDS_CSUM)
		return m->tcp.caps.csum;
	return net_fold(sum + net_pseudo_sum(parsed)) == 0xffff;
}

static void memory_commit(void *data, struct wire_room *room, struct net_vnet *vnet, const uint8_t *head,
			  size_t head_len, size_t payload_len)
{
	struct memory_net *m = data;
	struct memory_frame f = {.vnet = *vnet, .len = head_len + payload_len};

	if (NET_VNET_LEN + f.len > room->capacity)
		abort();
	m->buffers -= (unsigned int)((NET_VNET_LEN + f.len + m->buffer_size - 1) / m->buffer_size);
	memcpy(m->room + NET_VNET_LEN, head, head_len);
	f.data = malloc(f.len);
	if (!f.data)
		abort();
	memcpy(f.data, m->room + NET_VNET_LEN, f.len);
	if (net_frame_parse(&f.parsed, f.data, f.len, f.len) || !frame_ok(m, &f, &f.parsed))
		m->n_malformed++;
	if (m->n_sent == MEMORY_FRAMES_MAX)
		free(f.data);
	else
		m->sent[m->n_sent++] = f;
}

static void memory_cancel(void *data, struct wire_room *room)
{
}

static uint64_t memory_sum(void *data, const struct wire_room *room, size_t off, size_t len)
{
	struct memory_net *m = data;

	return net_sum(0, m->room + off, len);
}

static const struct wire_ops memory_ops = {memory_reserve, memory_commit, memory_cancel, memory_sum};

static int memory_deliver(void *data, uint16_t port, int fd)
{
	struct memory_net *m = data;

	if (m->n_peers == MEMORY_PEERS_MAX) {
		fd_close(fd);
		return -EAGAIN;
	}
	m->peers[m->n_peers++] = fd;
	return 0;
}

void memory_net_init(struct memory_net *m, uint32_t flows_max, const struct wire_caps *caps)
{
	struct tcp_config config = {
		.wire = &memory_ops,
		.wire_data = m,
		.host = &host_unix_ops,
		.host_data = &m->host,
		.flows_max = flows_max,
		.hash_key = {1, 2},
		.address = net_addr4(CONTROL_HOST_IP),
		.guest_address = net_addr4(CONTROL_GUEST_IP),
		.mac = CONTROL_HOST_MAC,
		.guest_mac = CONTROL_GUEST_MAC,
	};

	memset(m, 0, sizeof(*m));
	m->watch_fd = watch_new();
	config.watch_fd = m->watch_fd;
	m->buffers = 1u << 20;
	m->buffer_size = 2048;
	if (m->watch_fd < 0 || host_unix_init(&m->host) < 0)
		abort();
	m->host.deliver = memory_deliver;
	m->host.data = m;
	m->now_us = 1000000;
	tcp_init(&m->tcp, &config);
	tcp_now(&m->tcp, m->now_us);
	tcp_wire_up(&m->tcp, caps);
}

void memory_net_clear(struct memory_net *m)
{
	while (m->n_sent)
		free(m->sent[--m->n_sent].data);
}

void memory_net_done(struct memory_net *m)
{
	tcp_drop_all(&m->tcp);
	memory_net_clear(m);
	for (size_t i = 0; i < m->n_peers; i++)
		fd_close(m->peers[i]);
	fd_close(m->watch_fd);
}

int memory_net_connect(struct memory_net *m, uint16_t port)
{
	int fds[2];

	if (m->n_peers == MEMORY_PEERS_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	if (tcp_connect_guest(&m->tcp, fds[0], port) < 0) {
		fd_close(fds[1]);
		return -1;
	}
	m->peers[m->n_peers] = fds[1];
	return (int)m->n_peers++;
}

int memory_net_frame(struct memory_net *m, const uint8_t *data, size_t len)
{
	struct iovec iov = {(void *)data, len};
	struct wire_payload payload = {.iov = &iov, .n_iov = 1};
	struct net_frame frame;
	struct net_vnet vnet;
	size_t head = len - NET_VNET_LEN;
	int r;

	if (len < NET_VNET_LEN)
		return NET_FRAME_E_SHORT;
	net_vnet_decode(&vnet, data);
	r = net_frame_parse(&frame, data + NET_VNET_LEN, head < NET_HEAD_MAX ? head : NET_HEAD_MAX, head);
	if (!r)
		r = net_vnet_check(&vnet, &frame);
	if (r || frame.kind != NET_KIND_TCP)
		return r;
	payload.off = NET_VNET_LEN + (size_t)frame.payload_off;
	payload.len = frame.payload_len;
	tcp_segment(&m->tcp, &frame, &payload);
	return 0;
}

void memory_net_segment(struct memory_net *m, const struct net_tcp_out *out, const void *payload)
{
	static uint8_t data[NET_VNET_LEN + NET_HEAD_OUT_MAX + UINT16_MAX];
	struct net_vnet vnet = {.flags = NET_VNET_NEEDS_CSUM, .csum_start = NET_ETH_LEN + NET_IP4_LEN, .csum_offset = 16};
	size_t n = net_frame_build_tcp(data + NET_VNET_LEN, out);

	net_vnet_encode(&vnet, data);
	if (out->payload_len)
		memcpy(data + NET_VNET_LEN + n, payload, out->payload_len);
	if (memory_net_frame(m, data, NET_VNET_LEN + n + out->payload_len))
		abort();
}

void memory_net_run(struct memory_net *m)
{
	tcp_now(&m->tcp, m->now_us);
	m->tcp.starved = false;
	for (int i = 0; i < 100; i++) {
		watch_dispatch(m->watch_fd, tcp_host_event, &m->tcp);
		tcp_timers(&m->tcp);
		if (!tcp_run(&m->tcp) && i)
			break;
	}
}
