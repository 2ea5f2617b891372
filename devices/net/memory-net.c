/* SPDX-License-Identifier: Apache-2.0 */
/* memory-net: the engine behind memory-wire, see memory-wire.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "devices/net/memory-wire.h"
#include "devices/net/watch.h"
#include "proto/control-link.h"

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
		.wire = &memory_wire_ops,
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

	memory_wire_init(m, caps);
	m->watch_fd = watch_new();
	config.watch_fd = m->watch_fd;
	if (m->watch_fd < 0 || host_unix_init(&m->host) < 0)
		abort();
	m->host.deliver = memory_deliver;
	m->host.data = m;
	m->now_us = 1000000;
	tcp_init(&m->tcp, &config);
	tcp_now(&m->tcp, m->now_us);
	tcp_wire_up(&m->tcp, caps);
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
