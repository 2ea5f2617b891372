/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-table: the fixed table of UDP flows, its two hashes, and its lists. Part of udp.
 *
 * The hashes are open addressing with linear probing, as in flow.c. Each list is in the order of last use (to a second), so
 * the next to expire is its head, and so is the one to end when the table is full: first who was never answered or was
 * refused, then clients of published ports that rest; flows that the guest opened and that were answered are left alone.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "devices/net/udp-private.h"

enum { PORT_HANDLE_SHIFT = 60, GENERATION_MASK = 0x0fffffff, EVICT_STEPS = 256 };

static const struct flow_key *key_of(const struct udp_flow *flow, enum udp_index index)
{
	return index == UDP_BY_KEY ? &flow->key : &flow->client;
}

static uint32_t home(const struct udp *udp, const struct flow_key *key)
{
	return (uint32_t)flow_hash(udp->config.hash_key, key) & (UDP_HASH_MAX - 1);
}

static uint32_t after(uint32_t at)
{
	return (at + 1) & (UDP_HASH_MAX - 1);
}

struct udp_flow *udp_flow_find(struct udp *udp, enum udp_index index, const struct flow_key *key)
{
	const uint32_t *cells = udp->cells[index];

	for (uint32_t at = home(udp, key); cells[at]; at = after(at)) {
		struct udp_flow *flow = &udp->flows[cells[at] - 1];

		if (!memcmp(key_of(flow, index), key, sizeof(*key)))
			return flow;
	}
	return NULL;
}

static void hash_in(struct udp *udp, struct udp_flow *flow, enum udp_index index)
{
	uint32_t at = home(udp, key_of(flow, index));

	while (udp->cells[index][at])
		at = after(at);
	udp->cells[index][at] = udp_flow_number(udp, flow);
}

static void hash_out(struct udp *udp, const struct udp_flow *flow, enum udp_index index)
{
	uint32_t *cells = udp->cells[index];
	uint32_t at = home(udp, key_of(flow, index));
	uint32_t hole;

	while (cells[at] != udp_flow_number(udp, flow))
		at = after(at);
	hole = at;
	for (at = after(at); cells[at]; at = after(at)) {
		uint32_t want = home(udp, key_of(&udp->flows[cells[at] - 1], index));

		/* The entry may move into the hole unless its home lies behind the hole. */
		if (((at - want) & (UDP_HASH_MAX - 1)) >= ((at - hole) & (UDP_HASH_MAX - 1))) {
			cells[hole] = cells[at];
			hole = at;
		}
	}
	cells[hole] = 0;
}

void udp_flow_index_client(struct udp *udp, struct udp_flow *flow)
{
	flow->flags |= UDP_INBOUND;
	hash_in(udp, flow, UDP_BY_CLIENT);
}

uint32_t udp_flow_number(const struct udp *udp, const struct udp_flow *flow)
{
	return (uint32_t)(flow - udp->flows) + 1;
}

static void unlist(struct udp *udp, struct udp_flow *flow)
{
	struct udp_list_ends *ends = &udp->lists[flow->list];

	*(flow->list_prev ? &udp->flows[flow->list_prev - 1].list_next : &ends->head) = flow->list_next;
	*(flow->list_next ? &udp->flows[flow->list_next - 1].list_prev : &ends->tail) = flow->list_prev;
}

static void enlist(struct udp *udp, struct udp_flow *flow, enum udp_list list)
{
	struct udp_list_ends *ends = &udp->lists[list];

	flow->list = (uint8_t)list;
	flow->touched_us = udp->now_us;
	flow->list_next = 0;
	flow->list_prev = ends->tail;
	*(ends->tail ? &udp->flows[ends->tail - 1].list_next : &ends->head) = udp_flow_number(udp, flow);
	ends->tail = udp_flow_number(udp, flow);
}

void udp_flow_touch(struct udp *udp, struct udp_flow *flow, enum udp_list list)
{
	if (flow->list == list && udp->now_us - flow->touched_us < UDP_TOUCH_US)
		return;
	unlist(udp, flow);
	enlist(udp, flow, list);
}

/* The flow of longest rest on the list of those never answered that has a socket of its own. Return: its number, 0: none. */
static uint32_t brief_with_socket(const struct udp *udp)
{
	uint32_t number = udp->lists[UDP_LIST_BRIEF].head;

	/* Clients of ports have none; there may be many of them in a row. */
	for (int i = 0; number && udp->flows[number - 1].source.fd < 0; i++)
		number = i < EVICT_STEPS ? udp->flows[number - 1].list_next : 0;
	return number;
}

bool udp_flow_evict(struct udp *udp, bool socket)
{
	uint32_t number = socket ? brief_with_socket(udp) : udp->lists[UDP_LIST_REFUSED].head;

	if (!number && !socket)
		number = udp->lists[UDP_LIST_BRIEF].head;
	if (!number && !socket) {
		number = udp->lists[UDP_LIST_INBOUND].head;
		if (number && udp->now_us - udp->flows[number - 1].touched_us < UDP_EVICT_IDLE_US)
			return false;
	}
	if (!number)
		return false;
	udp_flow_end(udp, &udp->flows[number - 1]);
	return true;
}

struct udp_flow *udp_flow_new(struct udp *udp, const struct flow_key *key)
{
	struct udp_flow *flow;
	uint64_t handle;
	uint32_t index;

	if (!table_take(&udp->slots, &handle) &&
	    (!udp_flow_evict(udp, false) || !table_take(&udp->slots, &handle))) {
		udp->stats.refused++;
		return NULL;
	}
	if (!table_find(&udp->slots, handle, &index))
		return NULL;
	flow = &udp->flows[index];
	*flow = (struct udp_flow){.key = *key, .source = {.fd = -EBADF}};
	hash_in(udp, flow, UDP_BY_KEY);
	enlist(udp, flow, UDP_LIST_BRIEF);
	udp->stats.total++;
	return flow;
}

static void leave_port(struct udp *udp, struct udp_flow *flow)
{
	struct udp_port *port = &udp->ports[flow->port - 1];

	*(flow->port_prev ? &udp->flows[flow->port_prev - 1].port_next : &port->first_flow) = flow->port_next;
	if (flow->port_next)
		udp->flows[flow->port_next - 1].port_prev = flow->port_prev;
	port->now--;
}

void udp_flow_end(struct udp *udp, struct udp_flow *flow)
{
	uint32_t number = udp_flow_number(udp, flow);

	if (flow->out_first)
		udp_send_all(udp);
	udp_unready(udp, number);
	if (flow->port)
		leave_port(udp, flow);
	if (flow->flags & UDP_INBOUND)
		hash_out(udp, flow, UDP_BY_CLIENT);
	hash_out(udp, flow, UDP_BY_KEY);
	unlist(udp, flow);
	if (flow->source.fd >= 0)
		fd_close(take_fd(flow->source.fd));
	if (udp->last == number)
		udp->last = 0;
	table_put(&udp->slots, table_handle(&udp->slots, number - 1));
}

struct udp_source *udp_source(struct udp *udp, uint32_t number)
{
	return number > UDP_FLOWS_MAX ? &udp->ports[number - UDP_FLOWS_MAX - 1].source : &udp->flows[number - 1].source;
}

/* Generations are cut to leave the upper bits to the kinds of handles. */
uint64_t udp_handle(const struct udp *udp, uint32_t number)
{
	bool port = number > UDP_FLOWS_MAX;
	uint64_t handle = port ? table_handle(&udp->port_slots, number - UDP_FLOWS_MAX - 1) : table_handle(&udp->slots, number - 1);

	if (!handle)
		return 0;
	return UDP_HANDLE | (uint64_t)port << PORT_HANDLE_SHIFT | (handle >> 32 & GENERATION_MASK) << 32 | number;
}

struct udp_source *udp_source_by_handle(struct udp *udp, uint64_t handle, uint32_t *ret_number)
{
	uint32_t number = (uint32_t)handle;

	if (!number || number > UDP_FLOWS_MAX + UDP_PORTS_MAX || !handle || udp_handle(udp, number) != handle)
		return NULL;
	*ret_number = number;
	return udp_source(udp, number);
}

void udp_ready(struct udp *udp, uint32_t number)
{
	struct udp_source *source = udp_source(udp, number);

	source->readable = true;
	if (source->listed)
		return;
	source->listed = true;
	source->ready_next = 0;
	source->ready_prev = udp->ready.tail;
	*(udp->ready.tail ? &udp_source(udp, udp->ready.tail)->ready_next : &udp->ready.head) = number;
	udp->ready.tail = number;
}

void udp_unready(struct udp *udp, uint32_t number)
{
	struct udp_source *source = udp_source(udp, number);

	if (!source->listed)
		return;
	source->listed = false;
	*(source->ready_prev ? &udp_source(udp, source->ready_prev)->ready_next : &udp->ready.head) = source->ready_next;
	*(source->ready_next ? &udp_source(udp, source->ready_next)->ready_prev : &udp->ready.tail) = source->ready_prev;
}
