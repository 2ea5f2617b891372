/* SPDX-License-Identifier: Apache-2.0 */
/* The table of vhost-user requests: every row by itself, each bound from both sides. */
#include "base/test.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/vhost-user.h"

static const struct vhost_user_phase all = {.protocol_features = UINT64_MAX, .n_queues = 4, .owned = true};

static int check(uint32_t request, uint32_t flags, uint32_t size, const struct vhost_user_phase *phase)
{
	const struct vhost_user_header h = {request, flags, size};
	const char *reason = NULL;
	int r = vhost_user_check_header(&h, phase, &reason);

	assert_true(r == 0 || (r == -EPROTO && reason));
	return r;
}

static void test_rows(void **state)
{
	const struct vhost_user_phase none = {.n_queues = 4, .owned = true};
	const struct vhost_user_phase unowned = {.protocol_features = UINT64_MAX, .n_queues = 4};
	const struct vhost_user_phase running = {.protocol_features = UINT64_MAX, .n_queues = 4, .owned = true, .running = true};
	unsigned int n = 0;

	for (uint32_t i = 0; i < 2 * VHOST_USER_REQUEST_MAX; i++) {
		const struct vhost_user_rule *rule = i < VHOST_USER_REQUEST_MAX ? &vhost_user_rules[i] : NULL;

		if (!rule || !rule->name) {
			for (uint32_t size = 0; size < 64; size += 8)
				assert_int_equal(check(i, 1, size, &all), -EPROTO);
			continue;
		}
		n++;
		assert_true(rule->size_min <= rule->size_max);
		assert_true(rule->size_max <= VHOST_USER_BODY_MAX);
		assert_true(rule->body < VHOST_USER_BODY_KINDS);
		assert_true(rule->n_fds <= VHOST_USER_FDS_MAX);
		assert_int_equal(check(i, 1, rule->size_min, &all), 0);
		assert_int_equal(check(i, 9, rule->size_max, &all), 0);
		assert_int_equal(check(i, 1, rule->size_max + 1u, &all), -EPROTO);
		assert_int_equal(check(i, 1, UINT32_MAX, &all), -EPROTO);
		if (rule->size_min)
			assert_int_equal(check(i, 1, rule->size_min - 1u, &all), -EPROTO);
		assert_int_equal(check(i, 0, rule->size_min, &all), -EPROTO);  /* version 0 */
		assert_int_equal(check(i, 2, rule->size_min, &all), -EPROTO);  /* version 2 */
		assert_int_equal(check(i, 5, rule->size_min, &all), -EPROTO);  /* a reply */
		assert_int_equal(check(i, 1, rule->size_min, &none), rule->needs ? -EPROTO : 0);
		assert_int_equal(check(i, 1, rule->size_min, &unowned), rule->phase == VHOST_USER_WHEN_OWNED ? -EPROTO : 0);
		assert_int_equal(check(i, 1, rule->size_min, &running), rule->phase == VHOST_USER_WHEN_IDLE ? -EPROTO : 0);
	}
	assert_int_equal(n, 24);
}

static int decode(uint32_t request, const void *body, uint32_t size, size_t n_fds, struct vhost_user_message *ret)
{
	const struct vhost_user_header h = {request, 9, size};
	const char *reason = NULL;

	return vhost_user_decode(&h, body, n_fds, &all, ret, &reason);
}

static void test_state(void **state)
{
	struct vhost_user_message m = {0};
	uint32_t body[2] = {3, 256};

	assert_int_equal(decode(VHOST_USER_SET_VRING_NUM, body, 8, 0, &m), 0);
	assert_int_equal(m.index, 3);
	assert_int_equal(m.num, 256);
	assert_true(m.need_reply);
	assert_int_equal(decode(VHOST_USER_SET_VRING_NUM, body, 8, 1, &m), -EPROTO);
	body[0] = 4;
	assert_int_equal(decode(VHOST_USER_SET_VRING_NUM, body, 8, 0, &m), -EPROTO);
	assert_int_equal(m.index, 3); /* untouched */
}

static void test_ring_descriptors(void **state)
{
	struct vhost_user_message m;
	uint64_t body = 2;

	assert_int_equal(decode(VHOST_USER_SET_VRING_CALL, &body, 8, 1, &m), 0);
	assert_int_equal(m.index, 2);
	assert_false(m.no_fd);
	assert_int_equal(decode(VHOST_USER_SET_VRING_CALL, &body, 8, 0, &m), -EPROTO);
	assert_int_equal(decode(VHOST_USER_SET_VRING_CALL, &body, 8, 2, &m), -EPROTO);
	body = 0x102;
	assert_int_equal(decode(VHOST_USER_SET_VRING_CALL, &body, 8, 0, &m), 0);
	assert_true(m.no_fd);
	assert_int_equal(decode(VHOST_USER_SET_VRING_CALL, &body, 8, 1, &m), -EPROTO);
}

static void test_memory(void **state)
{
	uint8_t body[8 + 32 * 8] = {2};
	struct vhost_user_message m;

	for (size_t i = 0; i < 2; i++) {
		le64_store(body + 8 + 32 * i, i << 32);
		le64_store(body + 16 + 32 * i, 4096);
		le64_store(body + 24 + 32 * i, (i + 1) << 40);
		le64_store(body + 32 + 32 * i, i * 4096);
	}
	assert_int_equal(decode(VHOST_USER_SET_MEM_TABLE, body, 72, 2, &m), 0);
	assert_int_equal(m.n_regions, 2);
	assert_int_equal(m.regions[1].guest_addr, UINT64_C(1) << 32);
	assert_int_equal(m.regions[1].mmap_offset, 4096);
	assert_int_equal(decode(VHOST_USER_SET_MEM_TABLE, body, 72, 1, &m), -EPROTO);
	assert_int_equal(decode(VHOST_USER_SET_MEM_TABLE, body, 104, 2, &m), -EPROTO); /* count and size disagree */
	body[0] = 0;
	assert_int_equal(decode(VHOST_USER_SET_MEM_TABLE, body, 72, 0, &m), -EPROTO);
	body[0] = 9;
	assert_int_equal(decode(VHOST_USER_SET_MEM_TABLE, body, 264, 8, &m), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_ring_descriptors),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
