/* SPDX-License-Identifier: Apache-2.0 */
/* test-table: unit tests of base/table. Run by meson; needs no network and no root. */
#include "base/table.h"

#include "base/test.h"

static void test_take_and_put(void **state)
{
	struct table_slot slots[3] = {0};
	struct table t;
	uint64_t h[4];
	uint32_t index;

	table_init(&t, slots, 3);
	for (int i = 0; i < 3; i++)
		assert_true(table_take(&t, &h[i]));
	assert_false(table_take(&t, &h[3]));
	assert_int_equal(t.n_used, 3);
	assert_true(table_find(&t, h[1], &index));
	assert_int_equal(index, 1);
	assert_true(table_handle(&t, 1) == h[1]);
	assert_true(table_put(&t, h[1]));
	assert_false(table_put(&t, h[1]));
	assert_false(table_find(&t, h[1], &index));
	assert_true(table_handle(&t, 1) == 0);
	assert_true(table_take(&t, &h[3]));
	assert_true(h[3] != h[1]); /* same slot, other generation */
	assert_false(table_find(&t, h[1], &index));
	assert_true(table_find(&t, h[3], &index));
	assert_int_equal(index, 1);
}

static void test_forged_handles(void **state)
{
	struct table_slot slots[2] = {0};
	struct table t;
	uint32_t index;
	uint64_t h;

	table_init(&t, slots, 2);
	assert_true(table_take(&t, &h));
	assert_false(table_find(&t, 0, &index));
	assert_false(table_find(&t, UINT64_MAX, &index));
	assert_false(table_find(&t, h + 1, &index));			 /* slot never used */
	assert_false(table_find(&t, h + (UINT64_C(1) << 32), &index)); /* other generation */
	assert_true(table_find(&t, h, &index));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_and_put),
		cmocka_unit_test(test_forged_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
