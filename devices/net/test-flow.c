/* SPDX-License-Identifier: Apache-2.0 */
/* test-flow: the table against a plain model, its lists and timers. */
#include <errno.h>
#include <string.h>

#include "base/test.h"
#include "devices/net/flow.h"
#include "proto/control-link.h"

enum { FEW = 64, STEPS = 20000 };

static struct flow_table t;
static const uint64_t hash_key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static struct flow_key key_of(uint16_t port)
{
	return (struct flow_key){net_addr4(CONTROL_HOST_IP), net_addr4(CONTROL_GUEST_IP), port, CONTROL_PORT_ENGINE};
}

static struct flow *new_flow(uint16_t port)
{
	struct flow_key key = key_of(port);
	struct flow *flow = flow_new(&t, &key);

	assert_non_null(flow);
	assert_int_equal(flow->fd, -EBADF);
	assert_int_equal(flow->flags, 0);
	flow->state = FLOW_OPEN;
	return flow;
}

static uint32_t next_random(void)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	return x ^= x << 5;
}

static void test_fills_and_empties(void **state)
{
	struct flow_key key = key_of(FEW);
	uint64_t handle;

	flow_table_init(&t, FEW, hash_key);
	for (uint16_t i = 0; i < FEW; i++)
		new_flow(i);
	assert_null(flow_new(&t, &key));
	for (uint16_t i = 0; i < FEW; i++) {
		struct flow_key have = key_of(i);

		assert_non_null(flow_find(&t, &have));
		assert_memory_equal(&flow_find(&t, &have)->key, &have, sizeof(have));
	}
	assert_null(flow_find(&t, &key));
	key = key_of(7);
	handle = flow_handle(&t, flow_find(&t, &key));
	assert_ptr_equal(flow_by_handle(&t, handle), flow_find(&t, &key));
	flow_end(&t, flow_find(&t, &key));
	assert_null(flow_find(&t, &key));
	assert_null(flow_by_handle(&t, handle));
	new_flow(7); /* the slot again, under another handle */
	assert_null(flow_by_handle(&t, handle));
}

/* Keys that share a cell: whatever leaves first, the others are still found, and no absent one is. */
static void test_collisions(void **state)
{
	uint16_t ports[8];
	size_t n = 0;

	flow_table_init(&t, FEW, hash_key);
	/* In the last cells, so that the runs pass the end of the array. */
	for (uint32_t port = 0; port <= UINT16_MAX && n < 8; port++) {
		struct flow_key key = key_of((uint16_t)port);

		if ((flow_hash(hash_key, &key) & t.mask) == t.mask - n % 2)
			ports[n++] = (uint16_t)port;
	}
	assert_int_equal(n, 8);
	for (size_t gone = 0; gone < 8; gone++) {
		for (size_t i = 0; i < 8; i++)
			new_flow(ports[i]);
		for (size_t i = 0; i < 8; i++) {
			struct flow_key key = key_of(ports[(gone + i * 3) % 8]);

			flow_end(&t, flow_find(&t, &key));
			for (size_t k = 0; k < 8; k++) {
				struct flow_key other = key_of(ports[(gone + k * 3) % 8]);

				assert_int_equal(flow_find(&t, &other) != NULL, k > i);
			}
		}
	}
	assert_int_equal(t.slots.n_used, 0);
}

static void test_against_model(void **state)
{
	bool have[256] = {false};
	unsigned int n = 0;

	flow_table_init(&t, FEW, hash_key);
	for (int step = 0; step < STEPS; step++) {
		uint16_t port = (uint16_t)(next_random() % 256);
		struct flow_key key = key_of(port);
		struct flow *flow = flow_find(&t, &key);

		assert_int_equal(flow != NULL, have[port]);
		if (flow) {
			flow_end(&t, flow);
			n--;
		} else if (n == FEW) {
			assert_null(flow_new(&t, &key));
			continue;
		} else {
			new_flow(port);
			n++;
		}
		have[port] = !have[port];
		assert_int_equal(t.slots.n_used, n);
	}
}

static void test_ready(void **state)
{
	struct flow *f[4];

	flow_table_init(&t, FEW, hash_key);
	for (uint16_t i = 0; i < 4; i++)
		f[i] = new_flow(i);
	assert_null(flow_ready_take(&t));
	for (int i = 0; i < 3; i++)
		flow_ready(&t, f[i]);
	flow_ready(&t, f[0]); /* on it already: keeps its place */
	flow_ready_first(&t, f[3]);
	flow_end(&t, f[1]); /* from the middle */
	assert_ptr_equal(flow_ready_take(&t), f[3]);
	assert_ptr_equal(flow_ready_take(&t), f[0]);
	assert_ptr_equal(flow_ready_take(&t), f[2]);
	assert_null(flow_ready_take(&t));
	flow_ready(&t, f[0]);
	flow_end(&t, f[0]); /* the only one */
	assert_null(flow_ready_take(&t));
	flow_ready(&t, f[2]);
	assert_ptr_equal(flow_ready_take(&t), f[2]);
}

static void test_timers(void **state)
{
	struct flow *f[4];

	flow_table_init(&t, FEW, hash_key);
	assert_true(flow_timer_next(&t) == UINT64_MAX);
	for (uint16_t i = 0; i < 4; i++)
		f[i] = new_flow(i);
	flow_timer_arm(&t, f[0], FLOW_TIMER_SECOND, 0);
	flow_timer_arm(&t, f[1], 0, 100);
	flow_timer_arm(&t, f[2], 0, 200);
	flow_timer_arm(&t, f[3], 200, 300); /* beyond the last level */
	assert_int_equal(flow_timer_next(&t), 100 + FLOW_TIMER_BASE_US);
	assert_null(flow_timer_take(&t, 100 + FLOW_TIMER_BASE_US - 1));
	assert_ptr_equal(flow_timer_take(&t, 100 + FLOW_TIMER_BASE_US), f[1]);
	assert_null(flow_timer_take(&t, 100 + FLOW_TIMER_BASE_US));
	assert_int_equal(flow_timer_next(&t), 200 + FLOW_TIMER_BASE_US);
	flow_timer_arm(&t, f[2], 1, 400); /* moved to another list */
	assert_int_equal(flow_timer_next(&t), 400 + 2 * FLOW_TIMER_BASE_US);
	flow_timer_cancel(&t, f[2]);
	flow_timer_cancel(&t, f[2]);
	assert_int_equal(flow_timer_next(&t), 1000000);
	flow_end(&t, f[0]);
	assert_int_equal(flow_timer_next(&t), 300 + UINT64_C(64) * 1000000);
	assert_ptr_equal(flow_timer_take(&t, UINT64_MAX), f[3]);
	assert_true(flow_timer_next(&t) == UINT64_MAX);
}

/* Every part of the key counts, and so does the secret. */
static void test_hash(void **state)
{
	static const uint64_t other[2] = {1, 2};
	struct flow_key key = key_of(1);
	uint64_t first = flow_hash(hash_key, &key);

	assert_true(first != flow_hash(other, &key));
	for (size_t i = 0; i < sizeof(key); i++) {
		struct flow_key changed = key;

		((uint8_t *)&changed)[i] ^= 1;
		assert_true(flow_hash(hash_key, &changed) != first);
	}
	assert_true(flow_hash(hash_key, &key) == first);
}

/* The highest bits of handles belong to others, however often a slot was used. */
static void test_handles_keep_clear(void **state)
{
	static const uint32_t generations[] = {1, 0x1ffffffe, 0x20000000, 0x7ffffffe, 0xfffffffe};
	struct flow *flow;
	uint64_t handle;

	for (size_t i = 0; i < sizeof(generations) / sizeof(generations[0]); i++) {
		flow_table_init(&t, FEW, hash_key);
		t.slots.slots[0].generation = generations[i] & ~1u;
		flow = new_flow(1);
		handle = flow_handle(&t, flow);
		assert_int_equal(handle >> 61, 0);
		assert_ptr_equal(flow_by_handle(&t, handle), flow);
		flow_end(&t, flow);
		assert_null(flow_by_handle(&t, handle));
		new_flow(2);
		assert_null(flow_by_handle(&t, handle)); /* the same slot, another flow */
	}
	assert_null(flow_by_handle(&t, 0));
	assert_null(flow_by_handle(&t, UINT64_MAX));
}

static void test_walk(void **state)
{
	uint32_t cursor = 0;
	int n = 0;

	flow_table_init(&t, FEW, hash_key);
	assert_null(flow_next(&t, &cursor));
	new_flow(1);
	flow_end(&t, new_flow(2));
	new_flow(3);
	while (flow_next(&t, &cursor))
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(cursor, 0);
}

/* A flow that rests has a timer, but awaits nothing. */
static void test_rest(void **state)
{
	struct flow *flow;

	flow_table_init(&t, FEW, hash_key);
	flow = new_flow(1);
	flow_timer_rest(&t, flow, FLOW_TIMER_IDLE, 5);
	assert_false(flow_awaits(flow));
	assert_true(flow_timer_next(&t) == 5 + UINT64_C(1000000) * FLOW_IDLE_SECONDS);
	flow_timer_arm(&t, flow, 99, 5);
	assert_true(flow_awaits(flow));
	assert_true(flow_timer_next(&t) == 5 + ((uint64_t)FLOW_TIMER_BASE_US << (FLOW_TIMER_LEVELS - 1)));
	flow_timer_rest(&t, flow, 1, 5);
	assert_false(flow_awaits(flow));
	assert_null(flow_timer_take(&t, 5 + 2 * FLOW_TIMER_BASE_US - 1));
	assert_ptr_equal(flow_timer_take(&t, 5 + 2 * FLOW_TIMER_BASE_US), flow);
	assert_true(flow_timer_next(&t) == UINT64_MAX);
}

/* The whole table: every flow is found, the next one is refused, the nearest timer is the oldest. */
static void test_full_table(void **state)
{
	struct flow_key key = key_of(0);

	flow_table_init(&t, FLOW_MAX, hash_key);
	for (uint32_t i = 0; i < FLOW_MAX; i++) {
		key.guest_port = (uint16_t)i;
		assert_non_null(flow_new(&t, &key));
		flow_timer_arm(&t, flow_find(&t, &key), 0, i);
	}
	key.host_port = 1;
	assert_null(flow_new(&t, &key));
	key.host_port = 0;
	for (uint32_t i = 0; i < FLOW_MAX; i++) {
		key.guest_port = (uint16_t)i;
		assert_int_equal(flow_timer_next(&t), FLOW_TIMER_BASE_US + i);
		assert_non_null(flow_find(&t, &key));
		flow_end(&t, flow_find(&t, &key));
		assert_null(flow_find(&t, &key));
	}
	assert_int_equal(t.slots.n_used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fills_and_empties), cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_against_model),	  cmocka_unit_test(test_ready),
		cmocka_unit_test(test_timers),		  cmocka_unit_test(test_hash),
		cmocka_unit_test(test_handles_keep_clear), cmocka_unit_test(test_walk),
		cmocka_unit_test(test_rest), cmocka_unit_test(test_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
