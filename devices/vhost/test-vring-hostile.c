/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threats FS-17: every way to write a chain that a device must refuse, each with the twin that it must accept. A refusal
 * breaks this queue alone, is told once, and a restart of the queue heals it.
 */
#include "devices/vhost/test-rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum { N = 256, W = VIRTQ_DESC_WRITE, X = VIRTQ_DESC_NEXT, I = VIRTQ_DESC_INDIRECT };
#define FREE_ADDR UINT64_C(0x500000)   /* region 0, free for tests */
#define EDGE_ADDR UINT64_C(0x800000)   /* regions 0 and 1 adjoin here */
#define END_ADDR UINT64_C(0x900000)    /* end of region 1, then a hole */
#define TABLE_ADDR UINT64_C(0x600000)  /* indirect table */

struct desc_case {
	const char *what;
	struct virtq_desc desc[3]; /* descriptors 0, 1, 2; chain begins at 0 */
	struct virtq_desc table[3]; /* at TABLE_ADDR */
	bool allowed;
	uint16_t n_readable, n_writable; /* when allowed */
};

static const struct desc_case cases[] = {
	{"one readable", {{FREE_ADDR, 10, 0, 0}}, .allowed = true, .n_readable = 1},
	{"length 0", {{FREE_ADDR, 0, 0, 0}}},
	{"length 0 writable", {{FREE_ADDR, 0, W, 0}}},
	{"length 2^32-1", {{FREE_ADDR, UINT32_MAX, W, 0}}},
	{"length to the end", {{END_ADDR - 16, 16, W, 0}}, .allowed = true, .n_writable = 1},
	{"one byte beyond the end", {{END_ADDR - 16, 17, W, 0}}},
	{"in the hole", {{END_ADDR, 1, 0, 0}}},
	{"addr + len wraps", {{UINT64_MAX - 15, 32, 0, 0}}},
	{"addr + len wraps into region 0", {{UINT64_MAX - 15, UINT32_MAX, 0, 0}}},
	{"last address", {{UINT64_MAX, 1, 0, 0}}},
	{"across adjoining regions", {{EDGE_ADDR - 4, 8, 0, 0}}, .allowed = true, .n_readable = 2},
	{"readable then writable", {{FREE_ADDR, 8, X, 1}, {FREE_ADDR, 8, W, 0}}, .allowed = true, .n_readable = 1,
	 .n_writable = 1},
	{"writable then readable", {{FREE_ADDR, 8, X | W, 1}, {FREE_ADDR, 8, 0, 0}}},
	{"loop to itself", {{FREE_ADDR, 8, X, 0}}},
	{"loop of two", {{FREE_ADDR, 8, X, 1}, {FREE_ADDR, 8, X, 0}}},
	{"next out of the table", {{FREE_ADDR, 8, X, N}}},
	{"next far out", {{FREE_ADDR, 8, X, 65535}}},
	{"next at the last descriptor", {{FREE_ADDR, 8, X, 2}, {0}, {FREE_ADDR, 8, 0, 0}}, .allowed = true, .n_readable = 2},
	{"indirect", {{TABLE_ADDR, 32, I, 0}}, {{FREE_ADDR, 8, X, 1}, {FREE_ADDR, 8, W, 0}}, true, 1, 1},
	{"readable, then indirect", {{FREE_ADDR, 8, X, 1}, {TABLE_ADDR, 16, I, 0}}, {{FREE_ADDR, 8, W, 0}}, true, 1, 1},
	{"indirect in indirect", {{TABLE_ADDR, 16, I, 0}}, {{TABLE_ADDR, 16, I, 0}}},
	{"indirect with a successor", {{TABLE_ADDR, 16, I | X, 1}, {FREE_ADDR, 8, 0, 0}}, {{FREE_ADDR, 8, 0, 0}}},
	{"indirect of 0 bytes", {{TABLE_ADDR, 0, I, 0}}},
	{"indirect of 24 bytes", {{TABLE_ADDR, 24, I, 0}}, {{FREE_ADDR, 8, 0, 0}}},
	{"indirect larger than the ring", {{TABLE_ADDR, 16 * (N + 1), I, 0}}, {{FREE_ADDR, 8, 0, 0}}},
	{"indirect as large as the ring", {{TABLE_ADDR, 16 * N, I, 0}}, {{FREE_ADDR, 8, 0, 0}}, true, 1, 0},
	{"indirect next outside its table", {{TABLE_ADDR, 16, I, 0}}, {{FREE_ADDR, 8, X, 1}, {FREE_ADDR, 8, 0, 0}}},
	{"indirect loop", {{TABLE_ADDR, 32, I, 0}}, {{FREE_ADDR, 8, X, 1}, {FREE_ADDR, 8, X, 0}}},
	{"indirect table in the hole", {{END_ADDR, 16, I, 0}}},
	{"indirect table across regions", {{EDGE_ADDR - 16, 32, I, 0}}},
	{"indirect table at the wrap", {{UINT64_MAX - 7, 16, I, 0}}},
};

static void write_case(struct rig *rig, const struct desc_case *c)
{
	struct frontend_queue *q = &rig->f->queues[0];

	memcpy(q->desc, c->desc, sizeof(c->desc));
	memcpy(frontend_at(rig->f, TABLE_ADDR, sizeof(c->table)), c->table, sizeof(c->table));
	q->avail[2 + (q->avail_idx++ & (N - 1))] = 0;
	frontend_kick(rig->f, 0);
}

static void test_chains(void **state)
{
	struct rig rig = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct desc_case *c = &cases[i];
		int r;

		rig_start(&rig, NULL);
		write_case(&rig, c);
		r = rig_pop(&rig, 0);
		if (r != (c->allowed ? VRING_E_CHAIN : -ESHUTDOWN))
			fail_msg("%s: %d (%s)", c->what, r, rig.broken_reason);
		assert_int_equal(rig.n_broken[0], !c->allowed);
		if (c->allowed) {
			assert_int_equal(rig.chain.n_readable, c->n_readable);
			assert_int_equal(rig.chain.n_writable, c->n_writable);
		}
		rig_close(&rig);
	}
}

static void test_indirect_not_negotiated(void **state)
{
	const struct frontend_config config = {.refuse = VIRTIO_RING_INDIRECT_DESC};
	static const struct desc_case c = {"", {{TABLE_ADDR, 16, I, 0}}, {{FREE_ADDR, 8, 0, 0}}};
	struct rig rig = {0};

	rig_start(&rig, &config);
	write_case(&rig, &c);
	assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN);
	rig_close(&rig);
}

/* The table's second half would be read from whatever the host has behind the region. */
static void test_indirect_table_across_regions(void **state)
{
	static const struct desc_case c = {"", {{EDGE_ADDR - 16, 32, I, 0}}}, twin = {"", {{EDGE_ADDR - 32, 32, I, 0}}};
	const struct virtq_desc table[2] = {{FREE_ADDR, 8, X, 1}, {FREE_ADDR, 8, 0, 0}};
	struct rig rig = {0};

	rig_start(&rig, NULL);
	memcpy(frontend_at(rig.f, EDGE_ADDR - 32, 32), table, 32);
	write_case(&rig, &twin);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	memcpy(frontend_at(rig.f, EDGE_ADDR - 16, 16), &table[0], 16);
	memcpy(frontend_at(rig.f, EDGE_ADDR, 16), &table[1], 16);
	write_case(&rig, &c);
	assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN);
	assert_string_equal(rig.broken_reason, "indirect table outside one memory region");
	rig_close(&rig);
}

/* Crossing adjoining regions gives both pieces in order. */
static void test_cross_region_content(void **state)
{
	static const struct desc_case c = {"", {{EDGE_ADDR - 4, 8, 0, 0}}};
	struct rig rig = {0};
	char text[9] = "";

	rig_start(&rig, NULL);
	memcpy(frontend_at(rig.f, EDGE_ADDR - 4, 4), "left", 4);
	memcpy(frontend_at(rig.f, EDGE_ADDR, 4), "rite", 4);
	write_case(&rig, &c);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(guest_iov_read(text, 8, rig.iov, 2, 0), 8);
	assert_string_equal(text, "leftrite");
	rig_close(&rig);
}

/* Told once; every later call is harmless; the other queue lives; stop and start heal. */
static void test_broken_is_told_once(void **state)
{
	const struct frontend_segment good = {FREE_ADDR, 10, false};
	static const struct desc_case bad = {"", {{END_ADDR, 8, 0, 0}}}, fine = {"", {{FREE_ADDR, 8, 0, 0}}};
	struct rig rig = {0};
	eventfd_t n = 0;

	rig_start(&rig, NULL);
	struct vring *ring = rig_ring(&rig, 0);
	write_case(&rig, &bad);
	rig_run(&rig);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN);
	vring_push(ring, &rig.chain, 0);
	vring_unpop(ring, 1);
	vring_flush(ring);
	vring_suspend_kicks(ring);
	assert_false(vring_resume_kicks(ring));
	assert_int_equal(vring_avail(ring), 0);
	assert_int_equal(rig.n_broken[0], 1);
	assert_int_equal(eventfd_read(rig.f->queues[0].err_fd, &n), 0);
	assert_int_equal(n, 1);
	rig.n_kick[0] = 0;
	eventfd_write(rig.f->queues[0].kick_fd, 1);
	rig_run(&rig);
	assert_int_equal(rig.n_kick[0], 0); /* no kick reaches the device */

	assert_true(frontend_add(rig.f, 1, &good, 1) >= 0);
	frontend_kick(rig.f, 1);
	assert_int_equal(rig_pop(&rig, 1), VRING_E_CHAIN);
	assert_int_equal(rig.n_disconnect, 0);

	assert_int_equal(frontend_stop_queue(rig.f, 0), 0);
	rig.f->queues[0].avail_idx = rig.f->queues[0].kicked_idx = 0;
	write_case(&rig, &fine);
	assert_int_equal(frontend_start_queue(rig.f, 0, 0), 0);
	assert_false(vring_broken(ring));
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	rig_close(&rig);
}

static void run_index(uint16_t idx, uint16_t entry, int expected)
{
	const struct desc_case fine = {"", {{FREE_ADDR, 8, 0, 0}}};
	struct rig rig = {0};

	rig_start(&rig, NULL);
	write_case(&rig, &fine);
	rig.f->queues[0].avail[1] = idx;
	rig.f->queues[0].avail[2] = entry;
	assert_int_equal(rig_pop(&rig, 0), expected);
	rig_close(&rig);
}

static void test_indices(void **state)
{
	run_index(1, 0, VRING_E_CHAIN);
	run_index(N, 0, VRING_E_CHAIN);
	run_index(N + 1, 0, -ESHUTDOWN);
	run_index(65535, 0, -ESHUTDOWN);
	run_index(1, N - 1, -ESHUTDOWN); /* that descriptor has length 0 */
	run_index(1, N, -ESHUTDOWN);
	run_index(1, 65535, -ESHUTDOWN);
}

/* The driver takes the index back below what the device already took. */
static void test_index_goes_back(void **state)
{
	const struct desc_case fine = {"", {{FREE_ADDR, 8, 0, 0}}};
	struct rig rig = {0};

	rig_start(&rig, NULL);
	write_case(&rig, &fine);
	write_case(&rig, &fine);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	rig.f->queues[0].avail[1] = 1;
	assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN);
	assert_string_equal(rig.broken_reason, "avail index out of range");
	rig_close(&rig);
}

/* A ring of the largest size: chains up to the device's segments, and one of 32768. */
static void run_long_chain(uint16_t n, int expected)
{
	const struct frontend_config config = {.queue_size = 32768, .buffer_size = 16};
	struct frontend_segment *segments = calloc(n, sizeof(*segments));
	struct rig rig = {0};

	assert_non_null(segments);
	rig_start(&rig, &config);
	for (uint16_t i = 0; i < n; i++)
		segments[i] = (struct frontend_segment){FREE_ADDR, 1, true};
	assert_true(frontend_add(rig.f, 0, segments, n) >= 0);
	frontend_kick(rig.f, 0);
	assert_int_equal(rig_pop(&rig, 0), expected);
	rig_close(&rig);
	free(segments);
}

static void test_long_chains(void **state)
{
	run_long_chain(RIG_SEGMENTS, VRING_E_CHAIN);
	run_long_chain(RIG_SEGMENTS + 1, -ESHUTDOWN);
	run_long_chain(32768, -ESHUTDOWN);
}

/* Chain of 4 GiB in total from legal descriptors is refused, half of it is not. */
static void run_large(unsigned int n, int expected)
{
	const struct frontend_config config = {.queue_size = 256, .buffer_size = 4 << 20};
	struct frontend_segment s[5];
	struct rig rig = {0};

	rig_start(&rig, &config);
	for (unsigned int i = 0; i < 5; i++)
		s[i] = (struct frontend_segment){frontend_buffer(rig.f, 0, 0), 1u << 30, true};
	assert_true(frontend_add(rig.f, 0, s, n) >= 0);
	frontend_kick(rig.f, 0);
	assert_int_equal(rig_pop(&rig, 0), expected);
	rig_close(&rig);
}

static void test_large_chains(void **state)
{
	run_large(3, VRING_E_CHAIN);
	run_large(4, -ESHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_indirect_not_negotiated),
		cmocka_unit_test(test_indirect_table_across_regions),
		cmocka_unit_test(test_cross_region_content),
		cmocka_unit_test(test_broken_is_told_once),
		cmocka_unit_test(test_indices),
		cmocka_unit_test(test_index_goes_back),
		cmocka_unit_test(test_long_chains),
		cmocka_unit_test(test_large_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
