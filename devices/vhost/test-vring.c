/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations between an honest driver and a device over one ring. */
#include "devices/vhost/test-rig.h"

#include <string.h>

#define READABLE(f, i, slot, n) {frontend_buffer(f, i, slot), n, false}
#define WRITABLE(f, i, slot, n) {frontend_buffer(f, i, slot), n, true}

static void test_chain(void **state)
{
	struct rig rig = {0};
	char text[6] = "";
	uint32_t head, len;

	rig_start(&rig, NULL);
	const struct frontend_segment segments[] = {
		READABLE(rig.f, 0, 0, 3), READABLE(rig.f, 0, 1, 2), WRITABLE(rig.f, 0, 2, 100)};

	memcpy(frontend_at(rig.f, segments[0].addr, 3), "abc", 3);
	memcpy(frontend_at(rig.f, segments[1].addr, 2), "de", 2);
	assert_int_equal(frontend_add(rig.f, 0, segments, 3), 0);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_EMPTY);
	frontend_kick(rig.f, 0);
	rig_run(&rig);
	assert_int_equal(rig.n_kick[0], 2); /* the one at the start, and this one */
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(rig.chain.n_readable, 2);
	assert_int_equal(rig.chain.n_writable, 1);
	assert_int_equal(rig.chain.readable_len, 5);
	assert_int_equal(rig.chain.writable_len, 100);
	assert_int_equal(guest_iov_read(text, 5, rig.iov, 2, 0), 5);
	assert_string_equal(text, "abcde");
	assert_int_equal(guest_iov_write(rig.iov + 2, 1, 10, "xyz", 3), 3);
	vring_push(rig_ring(&rig, 0), &rig.chain, 13);
	assert_false(frontend_used(rig.f, 0, &head, &len));
	vring_flush(rig_ring(&rig, 0));
	assert_true(frontend_used(rig.f, 0, &head, &len));
	assert_int_equal(head, 0);
	assert_int_equal(len, 13);
	assert_memory_equal((uint8_t *)frontend_at(rig.f, segments[2].addr, 13) + 10, "xyz", 3);
	assert_int_equal(frontend_calls(rig.f, 0), 1);
	rig_close(&rig);
}

/* Several chains are taken, some filled; the rest goes back and comes again; the driver sees all at once. */
static void test_merge_and_unpop(void **state)
{
	struct vring_chain chains[4];
	struct iovec iov[4];
	struct rig rig = {0};
	uint32_t head, len;

	rig_start(&rig, NULL);
	struct vring *ring = rig_ring(&rig, 0);
	for (uint16_t i = 0; i < 4; i++) {
		const struct frontend_segment s = WRITABLE(rig.f, 0, i, 1500);

		assert_int_equal(frontend_add(rig.f, 0, &s, 1), i);
	}
	frontend_kick(rig.f, 0);
	assert_int_equal(vring_avail(ring), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(vring_pop(ring, &chains[i], &iov[i], 1), VRING_E_CHAIN);
	assert_int_equal(vring_outstanding(ring), 4);
	vring_unpop(ring, 2);
	vring_push(ring, &chains[0], 1500);
	vring_push(ring, &chains[1], 200);
	assert_int_equal(vring_outstanding(ring), 0);
	vring_flush(ring);
	vring_flush(ring);
	assert_int_equal(frontend_calls(rig.f, 0), 1);
	assert_true(frontend_used(rig.f, 0, &head, &len));
	assert_int_equal(len, 1500);
	assert_true(frontend_used(rig.f, 0, &head, &len));
	assert_int_equal(len, 200);
	assert_false(frontend_used(rig.f, 0, &head, &len));
	assert_int_equal(vring_avail(ring), 2);
	assert_int_equal(vring_pop(ring, &chains[0], &iov[0], 1), VRING_E_CHAIN);
	assert_int_equal(chains[0].head, 2);
	rig_close(&rig);
}

static void test_out_of_order_is_a_bug(void **state)
{
	struct vring_chain chains[2];
	struct iovec iov[2];
	struct rig rig = {0};

	rig_start(&rig, NULL);
	for (uint16_t i = 0; i < 2; i++) {
		const struct frontend_segment s = WRITABLE(rig.f, 0, i, 10);

		frontend_add(rig.f, 0, &s, 1);
	}
	frontend_kick(rig.f, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(vring_pop(rig_ring(&rig, 0), &chains[i], &iov[i], 1), VRING_E_CHAIN);
	vring_push(rig_ring(&rig, 0), &chains[1], 0);
	assert_true(vring_broken(rig_ring(&rig, 0)));
	assert_int_equal(rig.n_broken[0], 1);
	rig_close(&rig);
}

static void echo(struct rig *rig, unsigned int queue)
{
	struct vring *ring = rig_ring(rig, queue);

	vring_suspend_kicks(ring);
	do {
		while (rig_pop(rig, queue) == VRING_E_CHAIN)
			vring_push(ring, &rig->chain, rig->chain.writable_len);
		vring_flush(ring);
	} while (vring_resume_kicks(ring));
}

/* Enough chains to wrap every index, with each combination of suppression and indirect descriptors. */
static void run_echo(uint64_t refuse)
{
	const struct frontend_config config = {.refuse = refuse, .queue_size = 64};
	struct rig rig = {.kick = echo};
	uint32_t head, len, n_used = 0;

	rig_start(&rig, &config);
	for (unsigned int round = 0; round < 70000 / 40; round++) {
		for (uint16_t i = 0; i < 40; i++) {
			const struct frontend_segment s = WRITABLE(rig.f, 1, i, 8 + i);

			assert_true(frontend_add(rig.f, 1, &s, 1) >= 0);
		}
		frontend_kick(rig.f, 1);
		assert_int_equal(frontend_wait_used(rig.f, 1, 2000), 0);
		for (uint16_t i = 0; i < 40; i++, n_used++) {
			assert_true(frontend_used(rig.f, 1, &head, &len));
			assert_int_equal(len, 8 + i);
		}
	}
	assert_int_equal(n_used, 70000);
	assert_int_equal(rig.f->queues[1].n_kicks, 70000 / 40);
	assert_int_equal(rig.n_broken[1], 0);
	rig_close(&rig);
}

static void test_echo_event_idx(void **state)
{
	run_echo(0);
}

static void test_echo_flags(void **state)
{
	run_echo(VIRTIO_RING_EVENT_IDX);
}

static void add_and_kick(struct rig *rig, uint16_t slot)
{
	const struct frontend_segment s = WRITABLE(rig->f, 0, slot, 64);

	assert_true(frontend_add(rig->f, 0, &s, 1) >= 0);
	frontend_kick(rig->f, 0);
}

/* Kicks: wanted at the start, not while suspended, wanted again after resume, which sees what came meanwhile. */
static void run_kicks(uint64_t refuse)
{
	const struct frontend_config config = {.refuse = refuse};
	struct rig rig = {0};

	rig_start(&rig, &config);
	struct vring *ring = rig_ring(&rig, 0);
	add_and_kick(&rig, 0);
	assert_int_equal(rig.f->queues[0].n_kicks, 1);
	vring_suspend_kicks(ring);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	add_and_kick(&rig, 1);
	add_and_kick(&rig, 2);
	assert_int_equal(rig.f->queues[0].n_kicks, 1);
	assert_true(vring_resume_kicks(ring));
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_EMPTY);
	assert_false(vring_resume_kicks(ring));
	add_and_kick(&rig, 3);
	assert_int_equal(rig.f->queues[0].n_kicks, 2);
	rig_close(&rig);
}

static void test_kicks_event_idx(void **state)
{
	run_kicks(0);
}

static void test_kicks_flags(void **state)
{
	run_kicks(VIRTIO_RING_EVENT_IDX);
}

static void complete(struct rig *rig, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(rig_pop(rig, 0), VRING_E_CHAIN);
		vring_push(rig_ring(rig, 0), &rig->chain, 0);
	}
	vring_flush(rig_ring(rig, 0));
}

/* used_event cells: what was published before, what is published now, which event, notified or not. */
static void test_call_cells(void **state)
{
	static const struct {
		uint16_t before, now, event;
		bool called;
	} cells[] = {
		{1, 1, 1, true},   /* exactly the next one */
		{1, 1, 0, false},  /* long past */
		{1, 1, 2, false},  /* later */
		{1, 3, 3, true},   /* inside the batch, last */
		{1, 3, 2, true},   /* inside the batch, middle */
		{1, 3, 4, false},  /* one behind the batch */
		{5, 2, 65535, false},
	};

	for (size_t c = 0; c < sizeof(cells) / sizeof(cells[0]); c++) {
		struct rig rig = {0};

		rig_start(&rig, NULL);
		struct frontend_queue *q = &rig.f->queues[0];
		for (uint16_t i = 0; i < 8; i++)
			add_and_kick(&rig, i);
		complete(&rig, cells[c].before);
		assert_int_equal(frontend_calls(rig.f, 0), 1); /* the first batch always notifies */
		q->avail[2 + q->size] = cells[c].event;
		complete(&rig, cells[c].now);
		assert_int_equal(frontend_calls(rig.f, 0), cells[c].called);
		rig_close(&rig);
	}
}

static void test_call_flag(void **state)
{
	const struct frontend_config config = {.refuse = VIRTIO_RING_EVENT_IDX};
	struct rig rig = {0};

	rig_start(&rig, &config);
	for (uint16_t i = 0; i < 3; i++)
		add_and_kick(&rig, i);
	complete(&rig, 1);
	assert_int_equal(frontend_calls(rig.f, 0), 1);
	rig.f->queues[0].avail[0] = VIRTQ_AVAIL_NO_INTERRUPT;
	complete(&rig, 1);
	assert_int_equal(frontend_calls(rig.f, 0), 0);
	rig_close(&rig);
}

/* A chain that needs more room than the caller has stays in the ring. */
static void test_space(void **state)
{
	struct vring_chain chain;
	struct iovec iov[3];
	struct rig rig = {0};

	rig_start(&rig, NULL);
	const struct frontend_segment segments[] = {
		READABLE(rig.f, 0, 0, 3), READABLE(rig.f, 0, 1, 2), WRITABLE(rig.f, 0, 2, 100)};

	frontend_add(rig.f, 0, segments, 3);
	frontend_kick(rig.f, 0);
	assert_int_equal(vring_pop(rig_ring(&rig, 0), &chain, iov, 2), VRING_E_SPACE);
	assert_int_equal(vring_pop(rig_ring(&rig, 0), &chain, iov, 3), VRING_E_CHAIN);
	assert_false(vring_broken(rig_ring(&rig, 0)));
	rig_close(&rig);
}

static void test_dirty_log(void **state)
{
	struct rig rig = {0};
	const struct frontend_config config = {.buffer_size = 4096};

	rig_start(&rig, &config);
	add_and_kick(&rig, 0);
	complete(&rig, 1);
	assert_int_equal(frontend_start_log(rig.f), 0);
	assert_int_equal(rig.n_stop[0], 0); /* switched on under a running ring */
	assert_false(frontend_log_marked(rig.f, rig.f->queues[0].used_addr));
	const struct frontend_segment segments[] = {READABLE(rig.f, 0, 1, 4096), WRITABLE(rig.f, 0, 2, 4096),
						    WRITABLE(rig.f, 0, 3, 4096)};

	frontend_add(rig.f, 0, segments, 3);
	frontend_kick(rig.f, 0);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	vring_push(rig_ring(&rig, 0), &rig.chain, 100);
	vring_flush(rig_ring(&rig, 0));
	assert_true(frontend_log_marked(rig.f, rig.f->queues[0].used_addr));
	assert_false(frontend_log_marked(rig.f, rig.f->queues[1].used_addr));
	assert_false(frontend_log_marked(rig.f, segments[0].addr)); /* only read */
	assert_true(frontend_log_marked(rig.f, segments[1].addr));
	assert_false(frontend_log_marked(rig.f, segments[2].addr)); /* not reached by 100 bytes */
	rig_close(&rig);
}

/* A restart of the device process: what was taken and not completed comes again, nothing else does. */
static void test_restart_resumes(void **state)
{
	struct rig rig = {0};
	uint32_t head, len;

	rig_start(&rig, NULL);
	for (uint16_t i = 0; i < 4; i++)
		add_and_kick(&rig, i);
	complete(&rig, 1);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	rig_reopen(&rig); /* dies with two chains in hand; QEMU now takes the used index */
	assert_int_equal(frontend_negotiate(rig.f), 0);
	assert_int_equal(frontend_start_queue(rig.f, 0, 1), 0);
	assert_int_equal(vring_avail(rig_ring(&rig, 0)), 3);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(rig.chain.head, 1);
	vring_push(rig_ring(&rig, 0), &rig.chain, 7);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(frontend_stop_queue(rig.f, 0), 2); /* publishes one, returns one */
	assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN);
	assert_true(frontend_used(rig.f, 0, &head, &len));
	assert_true(frontend_used(rig.f, 0, &head, &len));
	assert_int_equal(len, 7);
	assert_false(frontend_used(rig.f, 0, &head, &len));
	assert_int_equal(frontend_start_queue(rig.f, 0, 2), 0);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(rig.chain.head, 2);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_merge_and_unpop),
		cmocka_unit_test(test_out_of_order_is_a_bug),
		cmocka_unit_test(test_echo_event_idx),
		cmocka_unit_test(test_echo_flags),
		cmocka_unit_test(test_kicks_event_idx),
		cmocka_unit_test(test_kicks_flags),
		cmocka_unit_test(test_call_cells),
		cmocka_unit_test(test_call_flag),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_dirty_log),
		cmocka_unit_test(test_restart_resumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
