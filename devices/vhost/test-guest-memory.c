/* SPDX-License-Identifier: Apache-2.0 */
/* test-guest-memory: the copies, at every alignment and over segment borders. */
#include "base/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "devices/vhost/guest-memory.h"

/* Every alignment and length, from and to exact allocations, so that ASan sees a step beyond. */
static void test_copies(void **state)
{
	for (size_t off = 0; off < 9; off++) {
		for (size_t len = 0; len < 40; len++) {
			_cleanup_free_ uint8_t *guest = malloc(off + len + 1), *back = malloc(len + 1);
			uint8_t src[40];

			assert_true(guest && back);
			for (size_t i = 0; i < len; i++)
				src[i] = (uint8_t)(i * 7 + off);
			guest[off + len] = 0xaa;
			back[len] = 0xbb;
			guest_copy_out(guest + off, src, len);
			guest_copy_in(back, guest + off, len);
			assert_memory_equal(back, src, len);
			assert_int_equal(guest[off + len], 0xaa);
			assert_int_equal(back[len], 0xbb);
		}
	}
}

static void test_iov(void **state)
{
	char a[4] = "abc", b[3] = "de", c[5] = "fghi", out[16] = "";
	const struct iovec iov[] = {{a, 3}, {b, 2}, {c, 4}};
	struct iovec part[3];

	assert_int_equal(guest_iov_read(out, 16, iov, 3, 0), 9);
	assert_string_equal(out, "abcdefghi");
	memset(out, 0, sizeof(out));
	assert_int_equal(guest_iov_read(out, 4, iov, 3, 2), 4);
	assert_string_equal(out, "cdef");
	assert_int_equal(guest_iov_read(out, 4, iov, 3, 9), 0);
	assert_int_equal(guest_iov_read(out, 4, iov, 3, SIZE_MAX), 0);
	assert_int_equal(guest_iov_write(iov, 3, 2, "CDEFG", 5), 5);
	assert_string_equal(a, "abC");
	assert_string_equal(b, "DE");
	assert_string_equal(c, "FGhi");
	assert_int_equal(guest_iov_write(iov, 3, 8, "xyz", 3), 1);

	assert_int_equal(guest_iov_slice(part, 3, iov, 3, 1, 5), 3);
	assert_ptr_equal(part[0].iov_base, a + 1);
	assert_int_equal(part[0].iov_len, 2);
	assert_int_equal(part[2].iov_len, 1);
	assert_int_equal(guest_iov_slice(part, 3, iov, 3, 3, 2), 1);
	assert_int_equal(guest_iov_slice(part, 3, iov, 3, 0, 0), 0);
	assert_int_equal(guest_iov_slice(part, 2, iov, 3, 1, 5), -ENOBUFS);
	assert_int_equal(guest_iov_slice(part, 3, iov, 3, 1, 9), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_copies), cmocka_unit_test(test_iov)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
