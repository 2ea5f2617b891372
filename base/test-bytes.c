/* SPDX-License-Identifier: Apache-2.0 */
/* test-bytes: unit tests of base/bytes. Run by meson; needs no network and no root. */
#include "base/bytes.h"

#include "base/test.h"

static void test_round_trip(void **state)
{
	uint8_t buf[15];
	struct bytes_writer w = bytes_writer(buf, sizeof(buf));
	struct bytes_reader r;

	bytes_put8(&w, 0xab);
	bytes_put16(&w, 0x1234);
	bytes_put32(&w, 0xdeadbeef);
	bytes_put64(&w, 0x0102030405060708);
	assert_true(w.ok);
	assert_int_equal(w.off, 15);
	assert_int_equal(buf[1], 0x34); /* little-endian */
	r = bytes_reader(buf, sizeof(buf));
	assert_int_equal(bytes_get8(&r), 0xab);
	assert_int_equal(bytes_get16(&r), 0x1234);
	assert_int_equal(bytes_get32(&r), 0xdeadbeef);
	assert_true(bytes_get64(&r) == 0x0102030405060708);
	assert_true(r.ok);
}

static void test_sticky_failure(void **state)
{
	uint8_t buf[3] = {1, 2, 3};
	struct bytes_reader r = bytes_reader(buf, sizeof(buf));
	struct bytes_writer w = bytes_writer(buf, sizeof(buf));

	assert_int_equal(bytes_get32(&r), 0);
	assert_false(r.ok);
	assert_int_equal(bytes_get8(&r), 0); /* would fit, but the reader is broken */
	bytes_put32(&w, 0xffffffff);
	assert_false(w.ok);
	bytes_put8(&w, 9);
	assert_int_equal(buf[0], 1);
	r = bytes_reader(buf, sizeof(buf));
	assert_null(bytes_get(&r, SIZE_MAX));
	assert_false(r.ok);
}

static void test_big_endian(void **state)
{
	uint8_t buf[8];

	be32_store(buf, 0x01020304);
	assert_int_equal(buf[0], 1);
	assert_int_equal(be32_load(buf), 0x01020304);
	be16_store(buf, 0x0102);
	assert_int_equal(buf[1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sticky_failure),
		cmocka_unit_test(test_big_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
