/* SPDX-License-Identifier: Apache-2.0 */
/* test-verity: the kernel command line's parameter and the device-mapper table made from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "guest/init/verity.h"

#define H32 "0123456789abcdef0123456789abcdef"
#define H64 H32 H32

static void accepts(void **state)
{
	struct verity_params v;

	assert_int_equal(verity_parse_cmdline(&v, "quiet caisson.verity=100:100:aabb:" H64 " panic=-1\n"), 0);
	assert_int_equal(v.data_blocks, 100);
	assert_int_equal(v.hash_start_block, 100);
	assert_string_equal(v.salt, "aabb");
	assert_string_equal(v.root_hash, H64);
	assert_int_equal(verity_parse_cmdline(&v, "caisson.verity=1:2:-:" H64 H64), 0);
	assert_string_equal(v.salt, "-");
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"caisson.verity=0:0:-:" H64,			/* no data */
		"caisson.verity=100:99:-:" H64,			/* the tree inside the data */
		"caisson.verity=100:100:-:" H32,		/* a hash of no known algorithm */
		"caisson.verity=100:100:abc:" H64,		/* half a byte of salt */
		"caisson.verity=100:100:AABB:" H64,		/* upper case */
		"caisson.verity=100:100::" H64,			/* empty salt */
		"caisson.verity=100:100:-:" H64 ":",		/* something behind */
		"caisson.verity=100:100:-:" H64 " caisson.verity=100:100:-:" H64, /* twice */
		"caisson.verity=0100:100:-:" H64,		/* leading zero */
		"caisson.verity=-1:100:-:" H64,
		"caisson.verity=99999999999999999999:1:-:" H64,
		"caisson.verity=100:100:-",
		"caisson.verity=",
		"caisson.verity=100:100:- 1 0:" H64,		/* a space must not reach the table */
	};
	struct verity_params v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (verity_parse_cmdline(&v, bad[i]) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(verity_parse_cmdline(&v, "quiet xcaisson.verity=1:1:-:" H64), -ENOENT);
	assert_int_equal(verity_parse_cmdline(&v, ""), -ENOENT);
}

static void table(void **state)
{
	struct verity_params v;
	char line[VERITY_TABLE_MAX];
	int n;

	assert_int_equal(verity_parse_cmdline(&v, "caisson.verity=7:8:cafe:" H64), 0);
	n = verity_table(line, sizeof(line), &v, 254, 0);
	assert_int_equal(n, strlen(line));
	assert_string_equal(line, "1 254:0 254:0 4096 4096 7 8 sha256 " H64 " cafe");
	assert_int_equal(verity_table(line, 40, &v, 254, 0), -E2BIG);
	assert_int_equal(verity_parse_cmdline(&v, "caisson.verity=7:8:-:" H64 H64), 0);
	assert_true(verity_table(line, sizeof(line), &v, 254, 16) > 0);
	assert_string_equal(line, "1 254:16 254:16 4096 4096 7 8 sha512 " H64 H64 " -");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts), cmocka_unit_test(refuses), cmocka_unit_test(table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
