/* SPDX-License-Identifier: Apache-2.0 */
/* tcp: the life of the engine and of its flows: beginning, end, and what both directions share. */
#include "devices/net/tcp.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "devices/net/tcp-parts.h"
#include "devices/net/watch.h"
#include "proto/netctl.h"

enum {
	PORT_FIRST = 16384, /* of flows that the host opens, up to 65535 */
	FULL_LOG_US = 1000000,
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
		.looks_after = config->looks_after,
		.icmp = config->icmp,
		.ended = config->ended,
		.ended_data = config->ended_data,
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

void tcp_set_mtu(struct tcp *tcp, uint16_t mtu)
{
	tcp->caps.mtu = mtu;
}

int tcp_set_key(struct tcp *tcp, const uint64_t key[static 2])
{
	if (tcp->flows.slots.n_used)
		return -EBUSY;
	tcp->flows.key[0] = key[0];
	tcp->flows.key[1] = key[1];
	return 0;
}

void tcp_drop_all(struct tcp *tcp)
{
	struct flow *flow;
	uint32_t cursor = 0;

	while ((flow = flow_next(&tcp->flows, &cursor)))
		tcp_end(tcp, flow, true);
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
		tcp->host->reset(tcp->host_data, flow);
	flow->fd = fd_close(flow->fd);
	if (flow->flags & FLOW_BY_GUEST)
		tcp->host->closed(tcp->host_data, flow);
	if (flow->owner && tcp->ended)
		tcp->ended(tcp->ended_data, flow);
	flow_end(&tcp->flows, flow);
}

void tcp_abort(struct tcp *tcp, struct flow *flow)
{
	if (flow->fd >= 0)
		tcp->host->reset(tcp->host_data, flow);
	flow->fd = fd_close(flow->fd);
	flow->flags |= FLOW_RST_DUE;
	flow_timer_cancel(&tcp->flows, flow);
	flow_ready(&tcp->flows, flow);
}

void tcp_fail(struct tcp *tcp, struct flow *flow, int error)
{
	struct icmp_subject subject = {.key = flow->key, .ip_proto = NET_IP_TCP, .tcp_seq = flow->rcv_nxt - 1};

	/* A guest that was told nothing gives up by itself, about when the host did. */
	if (error == ETIMEDOUT) {
		tcp_end(tcp, flow, false);
		return;
	}
	if (error == ECONNREFUSED || error == ECONNRESET || !tcp->icmp || !tcp->up ||
	    icmp_error_send(tcp->icmp, error, &subject, tcp->now_us) < 0) {
		tcp_abort(tcp, flow);
		return;
	}
	tcp->stats.unreachable++;
	tcp_end(tcp, flow, false);
}

void tcp_rest(struct tcp *tcp, struct flow *flow)
{
	unsigned int level = flow->flags & FLOW_GUEST_FIN ? FLOW_TIMER_LEVELS - 1 : FLOW_TIMER_IDLE;

	if (tcp->looks_after)
		flow_timer_rest(&tcp->flows, flow, level, tcp->now_us);
	else
		flow_timer_cancel(&tcp->flows, flow);
}

void tcp_want_room(struct tcp *tcp, struct flow *flow, bool want)
{
	if (!!(flow->flags & FLOW_OUT) == want)
		return;
	if (want)
		flow->flags |= FLOW_OUT;
	else
		flow->flags &= ~FLOW_OUT;
	if (!want && tcp->host->room_is_quiet && flow->host_kind == HOST_KIND_USUAL)
		return;
	if (watch_set(tcp->watch_fd, flow->fd, flow_handle(&tcp->flows, flow), want) < 0)
		tcp_abort(tcp, flow);
}

void tcp_refuse(struct tcp *tcp)
{
	tcp->stats.flows_refused++;
	if (tcp->full_us && tcp->now_us - tcp->full_us < FULL_LOG_US)
		return;
	tcp->full_us = tcp->now_us;
	log_warning("tcp: %u connections, no more; %llu refused so far", tcp->flows.slots.n_used,
		    (unsigned long long)tcp->stats.flows_refused);
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

static struct flow *new_inbound(struct tcp *tcp, struct flow_key *key, const struct net_addr *fallback)
{
	if (!key->host_port || flow_find(&tcp->flows, key)) {
		key->host = *fallback;
		if (tcp->flows.slots.n_used == tcp->flows.slots.n_slots || !pick_port(tcp, key))
			return NULL;
	}
	return flow_new(&tcp->flows, key);
}

int tcp_connect_guest_as(struct tcp *tcp, int fd, const struct flow_key *wanted, const struct net_addr *fallback,
			 uint32_t owner)
{
	struct flow_key key = *wanted;
	struct flow *flow = new_inbound(tcp, &key, fallback);
	int r;

	if (!flow) {
		tcp_refuse(tcp);
		fd_close(fd);
		return -ENFILE;
	}
	flow->fd = fd;
	r = tcp->host->prepare(tcp->host_data, flow);
	if (r >= 0)
		r = watch_add(tcp->watch_fd, fd, flow_handle(&tcp->flows, flow), false);
	if (r < 0) {
		tcp_end(tcp, flow, false);
		return trace(r);
	}
	tcp->stats.flows_total++;
	flow->owner = owner;
	flow->active_us = tcp->now_us;
	flow->state = FLOW_SYN_SENT;
	flow->snd_una = tcp_initial_seq(tcp, &key);
	flow->snd_nxt = flow->snd_una;
	flow->snd_max = flow->snd_una + 1;
	flow->flags = FLOW_SYN_DUE | FLOW_READABLE;
	flow->hint = TCP_PEEK_MIN;
	flow->mss = TCP_MSS_UNSAID;
	flow_ready(&tcp->flows, flow);
	return 0;
}

int tcp_connect_guest(struct tcp *tcp, int fd, uint16_t port)
{
	struct flow_key key = {.host = tcp->address, .guest = tcp->guest_address, .guest_port = port};

	return tcp_connect_guest_as(tcp, fd, &key, &tcp->address, 0);
}

static void describe(const struct tcp *tcp, const struct flow *flow, struct netctl_flow *ret)
{
	*ret = (struct netctl_flow){
		.proto = RULES_TCP,
		.state = flow->state,
		.inbound = !(flow->flags & FLOW_BY_GUEST),
		.guest = flow->key.guest,
		.host = flow->key.host,
		.guest_port = flow->key.guest_port,
		.host_port = flow->key.host_port,
		.rx_bytes = flow->rx_bytes,
		.tx_bytes = flow->tx_bytes,
	};
	if (tcp->now_us > flow->active_us)
		ret->idle_ms = (uint32_t)((tcp->now_us - flow->active_us) / 1000);
}

size_t tcp_list(const struct tcp *tcp, uint32_t *cursor, struct netctl_flow *ret, size_t max)
{
	const struct flow *flow;
	size_t n = 0;

	while (n < max && (flow = flow_next(&tcp->flows, cursor)))
		describe(tcp, flow, &ret[n++]);
	return n;
}
