/* SPDX-License-Identifier: Apache-2.0 */
/* tcp: the life of the engine and of its flows: beginning, end, and what both directions share. */
#include "devices/net/tcp.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "devices/net/watch.h"

enum {
	PORT_FIRST = 16384, /* of flows that the host opens, up to 65535 */
};

void tcp_init(struct tcp *tcp, const struct tcp_config *config)
{
	*tcp = (struct tcp){
		.wire = config->wire,
		.wire_data = config->wire_data,
		.host = config->host,
		.host_data = config->host_data,
		.watch_fd = config->watch_fd,
		.address = config->address,
		.guest_address = config->guest_address,
		.next_port = PORT_FIRST,
	};
	memcpy(tcp->mac, config->mac, NET_MAC_LEN);
	memcpy(tcp->guest_mac, config->guest_mac, NET_MAC_LEN);
	flow_table_init(&tcp->flows, config->flows_max, config->hash_key);
}

void tcp_wire_up(struct tcp *tcp, const struct wire_caps *caps)
{
	tcp->caps = *caps;
	tcp->up = true;
	tcp->starved = false;
}

void tcp_wire_down(struct tcp *tcp)
{
	tcp->up = false;
}

void tcp_drop_all(struct tcp *tcp)
{
	for (uint32_t i = 0; i < tcp->flows.slots.n_slots && tcp->flows.slots.n_used; i++) {
		struct flow *flow = flow_by_handle(&tcp->flows, table_handle(&tcp->flows.slots, i));

		if (flow)
			tcp_end(tcp, flow, true);
	}
}

void tcp_now(struct tcp *tcp, uint64_t now_us)
{
	tcp->now_us = now_us;
}

uint32_t tcp_initial_seq(const struct tcp *tcp, const struct flow_key *key)
{
	/* One step per 1/16 microsecond: no host socket delivers bytes faster than that for long. */
	return (uint32_t)(flow_hash(tcp->flows.key, key) >> 32) + (uint32_t)(tcp->now_us * 16);
}

uint16_t tcp_mss(const struct tcp *tcp, const struct flow *flow)
{
	uint16_t heads = net_addr_is_v4(&flow->key.guest) ? NET_IP4_LEN + NET_TCP_LEN : NET_IP6_LEN + NET_TCP_LEN;

	return (uint16_t)(tcp->caps.mtu - heads);
}

void tcp_end(struct tcp *tcp, struct flow *flow, bool hard)
{
	if (hard && flow->fd >= 0)
		tcp->host->reset(tcp->host_data, flow->fd);
	flow->fd = fd_close(flow->fd);
	if (flow->flags & FLOW_BY_GUEST)
		tcp->host->closed(tcp->host_data, &flow->key);
	flow_end(&tcp->flows, flow);
}

void tcp_abort(struct tcp *tcp, struct flow *flow)
{
	if (flow->fd >= 0)
		tcp->host->reset(tcp->host_data, flow->fd);
	flow->fd = fd_close(flow->fd);
	flow->flags |= FLOW_RST_DUE;
	flow_timer_cancel(&tcp->flows, flow);
	flow_ready(&tcp->flows, flow);
}

void tcp_want_room(struct tcp *tcp, struct flow *flow, bool want)
{
	if (!!(flow->flags & FLOW_OUT) == want)
		return;
	if (want)
		flow->flags |= FLOW_OUT;
	else
		flow->flags &= ~FLOW_OUT;
	if (watch_set(tcp->watch_fd, flow->fd, flow_handle(&tcp->flows, flow), want) < 0)
		tcp_abort(tcp, flow);
}

/* A port of ours that no flow between these two uses. Return: 0 when all are in use. */
static uint16_t pick_port(struct tcp *tcp, struct flow_key *key)
{
	for (unsigned int i = 0; i <= UINT16_MAX - PORT_FIRST; i++) {
		key->host_port = tcp->next_port;
		tcp->next_port = tcp->next_port == UINT16_MAX ? PORT_FIRST : (uint16_t)(tcp->next_port + 1);
		if (!flow_find(&tcp->flows, key))
			return key->host_port;
	}
	return 0;
}

int tcp_connect_guest(struct tcp *tcp, int fd, uint16_t port)
{
	struct flow_key key = {.host = tcp->address, .guest = tcp->guest_address, .guest_port = port};
	struct flow *flow = pick_port(tcp, &key) ? flow_new(&tcp->flows, &key) : NULL;
	int r;

	if (!flow) {
		tcp->stats.flows_refused++;
		fd_close(fd);
		return -ENFILE;
	}
	flow->fd = fd;
	r = tcp->host->prepare(tcp->host_data, fd);
	if (r >= 0)
		r = watch_add(tcp->watch_fd, fd, flow_handle(&tcp->flows, flow), false);
	if (r < 0) {
		tcp_end(tcp, flow, false);
		return trace(r);
	}
	tcp->stats.flows_total++;
	flow->state = FLOW_SYN_SENT;
	flow->snd_una = tcp_initial_seq(tcp, &key);
	flow->snd_nxt = flow->snd_una;
	flow->snd_max = flow->snd_una + 1;
	flow->flags = FLOW_SYN_DUE | FLOW_READABLE;
	flow->hint = TCP_PEEK_MIN;
	flow->mss = TCP_MSS_DEFAULT;
	flow_ready(&tcp->flows, flow);
	return 0;
}
