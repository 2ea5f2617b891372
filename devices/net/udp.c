/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp: see the header. This file: set-up, clock, counters.
 *
 * Theory of operation
 *
 * A flow joins one pair of the guest (address and port of its own, address and port it talks to) to one peer of the host's
 * world. There are two kinds:
 *   - the guest spoke first: a connected socket of the flow's own. The rules are asked once, at the first datagram; a refused
 *     flow is remembered without a socket, so that what follows costs a look-up and an ICMP answer. The socket's own errors
 *     become ICMP: port unreachable is port unreachable, a path's MTU is "fragmentation needed";
 *   - a client of a published port spoke first (udp-port.c): no socket of its own, it shares the port's.
 *
 *   guest --udp_datagram--> gathered --udp_batch_end--> sendmmsg, UDP_SEGMENT      (udp-in.c, udp-send.c)
 *   guest <--frames-- udp_run <--recvmmsg-- socket <--udp_host_event: it is ready   (udp-out.c, udp-emit.c)
 *
 * Bytes are copied by the kernel, from and into guest memory; only what is rare passes through memory of ours. Nothing waits:
 * what a socket does not take is lost and counted, what the guest has no buffers for stays in the socket.
 *
 * Life. The table is fixed; four lists, each in order of last use, hold the flows by how long they may rest (udp-table.c):
 * refused ones (5 s), those that were not answered and single exchanges on well-known ports (30 s), clients of ports and the
 * rest (180 s; RFC 4787, REQ-5). A full table ends the flow that rests longest among those never answered, then among clients
 * that rest 10 s; else the new flow is refused and counted. Nothing else ends a flow: no error, no empty datagram, no silence.
 *
 * The host picks the source port of each flow, so one port of the guest looks like several from outside, one for each peer
 * (address and port dependent mapping, RFC 4787). That is the price of a process that never binds; docs/decisions/0010-udp.md.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "devices/net/udp-private.h"
#include "proto/netctl.h"

enum { EXPIRED_PER_ROUND = 256 };

/* One process serves one card; memory of slots never used is never touched. */
static struct udp the_udp;
static bool used; /* tests begin anew */

static const uint64_t idle_us[UDP_LISTS] = {
	[UDP_LIST_REFUSED] = UDP_REFUSED_US,
	[UDP_LIST_BRIEF] = UDP_IDLE_UNANSWERED_US,
	[UDP_LIST_INBOUND] = UDP_IDLE_US,
	[UDP_LIST_LONG] = UDP_IDLE_US,
};

/* Does the kernel cut messages into datagrams? */
static bool probe_groups(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	int size = 0;

	return fd >= 0 && !setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
}

void udp_drop_all(struct udp *udp)
{
	for (uint32_t i = 0; i < udp->slots.fresh; i++)
		if (table_handle(&udp->slots, i))
			udp_flow_end(udp, &udp->flows[i]);
}

static void forget_all(struct udp *udp)
{
	for (uint32_t i = 0; i < udp->port_slots.fresh; i++)
		if (table_handle(&udp->port_slots, i))
			udp_port_remove(udp, &udp->ports[i]);
	udp_drop_all(udp);
	memset(udp, 0, offsetof(struct udp, bounce));
}

struct udp *udp_init(const struct udp_config *config)
{
	struct udp *udp = &the_udp;

	if (used)
		forget_all(udp);
	used = true;
	udp->config = *config;
	udp->groups = probe_groups();
	table_init(&udp->slots, udp->flow_slots, UDP_FLOWS_MAX);
	table_init(&udp->port_slots, udp->port_slot, UDP_PORTS_MAX);
	/* A number that others cannot guess to begin with; without it, any. */
	if (getrandom(&udp->fragment_id, sizeof(udp->fragment_id), GRND_NONBLOCK) < 0)
		trace(error_errno());
	return udp;
}

void udp_set_addresses(struct udp *udp, const struct udp_config *config)
{
	udp->config.gateway4 = config->gateway4;
	udp->config.gateway6 = config->gateway6;
	udp->config.guest4 = config->guest4;
	udp->config.guest6 = config->guest6;
	memcpy(udp->config.mac, config->mac, sizeof(config->mac));
	memcpy(udp->config.guest_mac, config->guest_mac, sizeof(config->guest_mac));
}

void udp_wire_up(struct udp *udp, const struct wire_caps *caps)
{
	bool groups_before = udp->caps.uso;

	udp->caps = *caps;
	udp->up = true;
	udp->starved = 0;
	if (groups_before != caps->uso)
		for (uint32_t i = 0; i < udp->port_slots.fresh; i++)
			if (table_handle(&udp->port_slots, i))
				udp_socket_groups(udp, &udp->ports[i].source);
}

void udp_wire_down(struct udp *udp)
{
	/* The guest's memory may go away behind this. */
	udp_batch_end(udp);
	udp->held.source = 0;
	udp->up = false;
}

void udp_now(struct udp *udp, uint64_t now_us)
{
	udp->now_us = now_us;
}

void udp_rules_changed(struct udp *udp)
{
	for (uint32_t i = 0; i < udp->slots.fresh; i++) {
		struct udp_flow *flow = &udp->flows[i];
		struct rules_verdict verdict;

		if (!table_handle(&udp->slots, i) || flow->flags & UDP_INBOUND)
			continue;
		rules_decide(&udp->config.policy->rules, RULES_UDP, &flow->key.host, flow->key.host_port, &verdict);
		if (verdict.allow == !!(flow->flags & UDP_REFUSED))
			udp_flow_end(udp, flow);
	}
}

void udp_timers(struct udp *udp)
{
	unsigned int n = 0;

	for (int list = 0; list < UDP_LISTS; list++)
		while (udp->lists[list].head && n < EXPIRED_PER_ROUND &&
		       udp->flows[udp->lists[list].head - 1].touched_us + idle_us[list] <= udp->now_us) {
			udp_flow_end(udp, &udp->flows[udp->lists[list].head - 1]);
			n++;
		}
}

uint64_t udp_deadline(const struct udp *udp)
{
	uint64_t next = UINT64_MAX;

	for (int list = 0; list < UDP_LISTS; list++) {
		uint32_t head = udp->lists[list].head;

		if (head && udp->flows[head - 1].touched_us + idle_us[list] < next)
			next = udp->flows[head - 1].touched_us + idle_us[list];
	}
	return next;
}

int udp_send_local(struct udp *udp, const struct flow_key *key, const void *payload, size_t len)
{
	int r = udp_emit(udp, key, payload, len);

	if (r < 0)
		udp->stats.drops++;
	return r < 0 ? trace(r) : 0;
}

void udp_get_stats(const struct udp *udp, struct udp_stats *ret)
{
	*ret = udp->stats;
	ret->now = udp->slots.n_used;
}

size_t udp_list(const struct udp *udp, uint32_t *cursor, struct netctl_flow *ret, size_t max)
{
	size_t n = 0;
	uint32_t i;

	for (i = *cursor; i < udp->slots.fresh && n < max; i++) {
		const struct udp_flow *flow = &udp->flows[i];

		if (!table_handle(&udp->slots, i))
			continue;
		ret[n++] = (struct netctl_flow){
			.proto = RULES_UDP,
			.inbound = flow->flags & UDP_INBOUND,
			.guest = flow->key.guest,
			.host = flow->key.host,
			.guest_port = flow->key.guest_port,
			.host_port = flow->key.host_port,
			.rx_bytes = flow->rx_bytes,
			.tx_bytes = flow->tx_bytes,
			.idle_ms = (uint32_t)((udp->now_us - flow->touched_us) / 1000),
		};
	}
	*cursor = i < udp->slots.fresh ? i : 0;
	return n;
}
