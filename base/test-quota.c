/* SPDX-License-Identifier: Apache-2.0 */
/* test-quota: unit tests of base/quota. Run by meson; needs no network and no root. */
#include "base/quota.h"

#include "base/test.h"

static void test_quota(void **state)
{
	struct quota q = {.name = "connections", .max = 2};

	assert_true(quota_charge(&q, 2));
	assert_false(quota_charge(&q, 1));
	assert_false(quota_charge(&q, UINT64_MAX));
	assert_int_equal(q.refused, 2);
	quota_return(&q, 1);
	assert_true(quota_charge(&q, 1));
	quota_return(&q, 100);
	assert_int_equal(q.used, 0);
}

static void test_bucket(void **state)
{
	struct quota_bucket b = {.rate_per_s = 10, .burst = 2};
	uint64_t now = 1000000;

	assert_true(quota_bucket_take(&b, now));
	assert_true(quota_bucket_take(&b, now));
	assert_false(quota_bucket_take(&b, now));
	assert_false(quota_bucket_take(&b, now + 99999));
	assert_true(quota_bucket_take(&b, now + 100000));
	assert_false(quota_bucket_take(&b, now + 100001));
	assert_true(quota_bucket_take(&b, UINT64_MAX)); /* no overflow; never more than the burst */
	assert_true(quota_bucket_take(&b, UINT64_MAX));
	assert_false(quota_bucket_take(&b, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_quota), cmocka_unit_test(test_bucket)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
