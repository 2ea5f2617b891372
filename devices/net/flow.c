/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow: see the header. The hash is open addressing with linear probing; removal shifts later entries
 * back, so there are no tombstones and a lookup ends at the first empty cell. It is twice as large as the table
 * can be full, so that cell exists.
 */
#include "devices/net/flow.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define HANDLE_MASK (UINT64_MAX >> 3)

/* One process serves one card, so there is one table; untouched pages cost nothing. */
static struct flow flows[FLOW_MAX];
static struct table_slot flow_slots[FLOW_MAX];
static uint32_t flow_cells[FLOW_HASH_MAX]; /* index + 1, 0: empty */

static const char *const state_names[] = {
	[FLOW_FREE] = "free",	      [FLOW_OPENING] = "opening", [FLOW_SYN_SENT] = "syn-sent",
	[FLOW_SYN_RCVD] = "syn-rcvd", [FLOW_OPEN] = "open",
};
_Static_assert(ARRAY_SIZE(state_names) == FLOW_STATE_MAX, "a name for every state");
_Static_assert(sizeof(struct flow_key) == 36, "no padding: keys are hashed and compared as bytes");

const char *flow_state_name(enum flow_state state)
{
	return (unsigned int)state < FLOW_STATE_MAX ? state_names[state] : "?";
}

static inline uint64_t rotate(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

static inline void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t flow_hash(const uint64_t key[static 2], const struct flow_key *of)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
			 key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
	uint8_t data[40] = {0};

	memcpy(data, of, sizeof(*of));
	data[39] = sizeof(*of);
	for (size_t i = 0; i < sizeof(data); i += 8) {
		uint64_t m = le64_load(data + i);

		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void flow_table_init(struct flow_table *t, uint32_t max, const uint64_t key[static 2])
{
	static bool used; /* tests begin anew; the process begins once, with memory that is zero untouched */
	uint32_t cells = 2;

	if (max > FLOW_MAX)
		max = FLOW_MAX;
	while (cells < 2 * max)
		cells *= 2;
	*t = (struct flow_table){.mask = cells - 1, .key = {key[0], key[1]}};
	if (used) {
		memset(flow_slots, 0, sizeof(flow_slots));
		memset(flow_cells, 0, sizeof(flow_cells));
	}
	used = true;
	table_init(&t->slots, flow_slots, max);
}

static uint32_t flow_index(const struct flow *flow)
{
	return (uint32_t)(flow - flows);
}

static uint32_t home(const struct flow_table *t, const struct flow_key *key)
{
	return (uint32_t)flow_hash(t->key, key) & t->mask;
}

struct flow *flow_find(const struct flow_table *t, const struct flow_key *key)
{
	for (uint32_t at = home(t, key); flow_cells[at]; at = (at + 1) & t->mask) {
		struct flow *flow = &flows[flow_cells[at] - 1];

		if (!memcmp(&flow->key, key, sizeof(*key)))
			return flow;
	}
	return NULL;
}

struct flow *flow_new(struct flow_table *t, const struct flow_key *key)
{
	uint32_t at, index;
	uint64_t handle;

	if (!table_take(&t->slots, &handle) || !table_find(&t->slots, handle, &index))
		return NULL;
	flows[index] = (struct flow){.key = *key, .fd = -EBADF};
	for (at = home(t, key); flow_cells[at]; at = (at + 1) & t->mask)
		;
	flow_cells[at] = index + 1;
	return &flows[index];
}

static void unhash(struct flow_table *t, const struct flow *flow)
{
	uint32_t at = home(t, &flow->key);
	uint32_t hole;

	while (flow_cells[at] != flow_index(flow) + 1)
		at = (at + 1) & t->mask;
	hole = at;
	for (at = (at + 1) & t->mask; flow_cells[at]; at = (at + 1) & t->mask) {
		uint32_t want = home(t, &flows[flow_cells[at] - 1].key);

		/* The entry may move into the hole unless its home lies behind the hole. */
		if (((at - want) & t->mask) >= ((at - hole) & t->mask)) {
			flow_cells[hole] = flow_cells[at];
			hole = at;
		}
	}
	flow_cells[hole] = 0;
}

uint64_t flow_handle(const struct flow_table *t, const struct flow *flow)
{
	return table_handle(&t->slots, flow_index(flow)) & HANDLE_MASK;
}

/* A slot's generation comes round after 2^28 flows: no event of the first can still be under way then. */
struct flow *flow_by_handle(const struct flow_table *t, uint64_t handle)
{
	uint32_t index = (uint32_t)handle - 1;
	uint64_t full = (uint32_t)handle ? table_handle(&t->slots, index) : 0;

	return full && (full & HANDLE_MASK) == handle ? &flows[index] : NULL;
}

struct flow *flow_next(const struct flow_table *t, uint32_t *cursor)
{
	while (*cursor < t->slots.fresh) {
		uint32_t index = (*cursor)++;

		if (table_handle(&t->slots, index))
			return &flows[index];
	}
	*cursor = 0;
	return NULL;
}

static void ready_remove(struct flow_table *t, struct flow *flow)
{
	if (!(flow->flags & FLOW_READY))
		return;
	*(flow->ready_prev ? &flows[flow->ready_prev - 1].ready_next : &t->ready.head) = flow->ready_next;
	*(flow->ready_next ? &flows[flow->ready_next - 1].ready_prev : &t->ready.tail) = flow->ready_prev;
	flow->flags &= ~FLOW_READY;
}

void flow_ready(struct flow_table *t, struct flow *flow)
{
	uint32_t self = flow_index(flow) + 1;

	if (flow->flags & FLOW_READY)
		return;
	flow->flags |= FLOW_READY;
	flow->ready_next = 0;
	flow->ready_prev = t->ready.tail;
	*(t->ready.tail ? &flows[t->ready.tail - 1].ready_next : &t->ready.head) = self;
	t->ready.tail = self;
}

void flow_ready_first(struct flow_table *t, struct flow *flow)
{
	uint32_t self = flow_index(flow) + 1;

	if (flow->flags & FLOW_READY)
		return;
	flow->flags |= FLOW_READY;
	flow->ready_prev = 0;
	flow->ready_next = t->ready.head;
	*(t->ready.head ? &flows[t->ready.head - 1].ready_prev : &t->ready.tail) = self;
	t->ready.head = self;
}

struct flow *flow_ready_take(struct flow_table *t)
{
	struct flow *flow;

	if (!t->ready.head)
		return NULL;
	flow = &flows[t->ready.head - 1];
	ready_remove(t, flow);
	return flow;
}

void flow_timer_cancel(struct flow_table *t, struct flow *flow)
{
	struct flow_list *list = &t->timers[flow->timer_level];

	if (!(flow->flags & FLOW_TIMED))
		return;
	*(flow->timer_prev ? &flows[flow->timer_prev - 1].timer_next : &list->head) = flow->timer_next;
	*(flow->timer_next ? &flows[flow->timer_next - 1].timer_prev : &list->tail) = flow->timer_prev;
	flow->flags &= ~FLOW_TIMED;
}

static void timer_append(struct flow_table *t, struct flow *flow, unsigned int level, uint64_t deadline_us)
{
	uint32_t self = flow_index(flow) + 1;
	struct flow_list *list = &t->timers[level];

	flow_timer_cancel(t, flow);
	flow->timer_level = (uint8_t)level;
	flow->deadline_us = deadline_us;
	flow->flags |= FLOW_TIMED;
	flow->timer_next = 0;
	flow->timer_prev = list->tail;
	*(list->tail ? &flows[list->tail - 1].timer_next : &list->head) = self;
	list->tail = self;
}

void flow_timer_arm(struct flow_table *t, struct flow *flow, unsigned int level, uint64_t now_us)
{
	if (level >= FLOW_TIMER_LEVELS)
		level = FLOW_TIMER_LEVELS - 1;
	timer_append(t, flow, level, now_us + ((uint64_t)FLOW_TIMER_BASE_US << level));
	flow->flags &= ~FLOW_RESTING;
}

void flow_timer_rest(struct flow_table *t, struct flow *flow, unsigned int level, uint64_t now_us)
{
	if (level < FLOW_TIMER_IDLE)
		flow_timer_arm(t, flow, level, now_us);
	else
		timer_append(t, flow, FLOW_TIMER_IDLE, now_us + (uint64_t)FLOW_IDLE_SECONDS * 1000000);
	flow->flags |= FLOW_RESTING;
}

struct flow *flow_timer_take(struct flow_table *t, uint64_t now_us)
{
	for (int i = 0; i < FLOW_TIMER_LISTS; i++) {
		struct flow *flow;

		if (!t->timers[i].head)
			continue;
		flow = &flows[t->timers[i].head - 1];
		if (flow->deadline_us <= now_us) {
			flow_timer_cancel(t, flow);
			return flow;
		}
	}
	return NULL;
}

uint64_t flow_timer_next(const struct flow_table *t)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < FLOW_TIMER_LISTS; i++)
		if (t->timers[i].head && flows[t->timers[i].head - 1].deadline_us < next)
			next = flows[t->timers[i].head - 1].deadline_us;
	return next;
}

void flow_end(struct flow_table *t, struct flow *flow)
{
	uint64_t handle = table_handle(&t->slots, flow_index(flow));

	ready_remove(t, flow);
	flow_timer_cancel(t, flow);
	unhash(t, flow);
	flow->state = FLOW_FREE;
	table_put(&t->slots, handle);
}
