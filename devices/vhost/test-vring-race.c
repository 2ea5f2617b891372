/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threats FS-17: a second thread rewrites descriptors, indices and payload without pause while the device works. Run it
 * under ASan (nothing outside guest memory is touched) and under TSan (every access of ours is an atomic one).
 */
#include "devices/vhost/test-rig.h"

#include <pthread.h>
#include <string.h>

enum { RUN_US = 600 * 1000, SIZE = 16 };

struct mutator {
	struct frontend *f;
	bool stop;
};

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void put16(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, v, __ATOMIC_RELAXED);
}

/* Mostly plausible values, so that the device gets far, and some that are not. */
static void mutate(struct frontend *f, uint64_t *seed)
{
	static const uint64_t bases[] = {0x500000, 0x7ffff8, 0x8ffff0, UINT64_MAX - 100, UINT64_C(1) << 32, 0x600000,
					 0x500000, 0x500000, 0x500000, 0x500000, 0x500000, 0x500000};
	struct frontend_queue *q = &f->queues[0];
	uint64_t r = next(seed);
	struct virtq_desc *indirect = (struct virtq_desc *)frontend_at(f, 0x600000, 16 * SIZE);
	struct virtq_desc *d = (r & 1 ? q->desc : indirect) + (r >> 8) % SIZE;

	switch ((r >> 1) % 8) {
	case 0:
		__atomic_store_n(&d->addr, bases[(r >> 16) % 12] + (r >> 32) % 64, __ATOMIC_RELAXED);
		break;
	case 1:
		__atomic_store_n(&d->len, (r >> 48) % 32 ? 16 * (uint32_t)((r >> 32) % 4 + 1) : (uint32_t)(r >> 32), __ATOMIC_RELAXED);
		break;
	case 2:
		put16(&d->flags, (uint16_t)((r >> 48) % 8 ? 2 * ((r >> 16) % 2) : (r >> 16) % 8));
		break;
	case 3:
		put16(&d->next, (uint16_t)((r >> 16) % (SIZE + 1)));
		break;
	case 4:
		put16(&q->avail[1], (uint16_t)(__atomic_load_n(&q->used[1], __ATOMIC_RELAXED) + (r >> 16) % (SIZE + (r >> 40) % 64 / 63)));
		break;
	case 5:
		put16(&q->avail[2 + (r >> 16) % SIZE], (uint16_t)((r >> 32) % SIZE));
		break;
	case 6:
		__atomic_store_n((uint64_t *)frontend_at(f, 0x500000, 8), r, __ATOMIC_RELAXED);
		break;
	default:
		put16(&q->avail[2 + SIZE], (uint16_t)(r >> 16));
		break;
	}
}

static void *mutator_main(void *data)
{
	struct mutator *m = data;
	uint64_t seed = 88172645463325252;

	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED))
		mutate(m->f, &seed);
	return NULL;
}

/* What a network card does: header first, decide by its copy, then the payload by the kernel or by a copy. */
static void work(struct rig *rig, unsigned int *ret_chains)
{
	struct vring *ring = rig_ring(rig, 0);
	uint8_t header[12], payload[64];
	int budget = 64;

	vring_suspend_kicks(ring);
	while (budget-- && rig_pop(rig, 0) == VRING_E_CHAIN) {
		size_t n = guest_iov_read(header, sizeof(header), rig->iov, rig->chain.n_readable, 0);
		size_t want = n ? header[0] % sizeof(payload) : 0;

		guest_iov_read(payload, want, rig->iov, rig->chain.n_readable, n);
		if (budget % 7 == 0) {
			vring_unpop(ring, 1);
			continue;
		}
		guest_iov_write(rig->iov + rig->chain.n_readable, rig->chain.n_writable, 0, payload, want);
		vring_push(ring, &rig->chain, (uint32_t)want);
		++*ret_chains;
	}
	vring_flush(ring);
	vring_resume_kicks(ring);
}

static void test_mutator(void **state)
{
	const struct frontend_config config = {.queue_size = SIZE};
	struct rig rig = {0};
	struct mutator m = {0};
	unsigned int n_chains = 0, n_broken = 0;
	uint64_t until;
	pthread_t thread;

	rig_start(&rig, &config);
	assert_int_equal(frontend_start_log(rig.f), 0);
	m.f = rig.f;
	assert_int_equal(pthread_create(&thread, NULL, mutator_main, &m), 0);
	for (until = loop_now_us() + RUN_US; loop_now_us() < until;) {
		work(&rig, &n_chains);
		if (vring_broken(rig_ring(&rig, 0))) {
			n_broken++;
			assert_int_equal(rig.n_broken[0], n_broken);
			assert_true(frontend_stop_queue(rig.f, 0) >= 0);
			assert_int_equal(frontend_start_queue(rig.f, 0, 0), 0);
		}
	}
	__atomic_store_n(&m.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(rig.n_disconnect, 0);
	/* Both kinds must have happened, or the test tried nothing. */
	assert_true(n_chains > 100);
	assert_true(n_broken > 100);
	print_message("%u chains, %u violations\n", n_chains, n_broken);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutator)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
