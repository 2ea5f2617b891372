/* SPDX-License-Identifier: Apache-2.0 */
/* test-modules: the module list's parser, and the order in which entries are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "guest/init/modules.h"

static int parse(struct modules *m, const char *text)
{
	return modules_parse(m, text, strlen(text));
}

static void accepts(void **state)
{
	static struct modules m;

	assert_int_equal(parse(&m, "stage1 erofs.ko\nboot overlay.ko\nboot veth.ko\nlater tun.ko\n"), 0);
	assert_int_equal(m.n, 4);
	assert_string_equal(m.entries[0].file, "erofs.ko");
	assert_int_equal(m.entries[0].stage, MODULES_STAGE1);
	assert_int_equal(m.entries[3].stage, MODULES_LATER);
	assert_int_equal(parse(&m, "boot a.ko"), 0);
	assert_int_equal(m.n, 1);
	assert_int_equal(parse(&m, ""), 0);
	assert_int_equal(m.n, 0);
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"boot ../../evil.ko\n", "boot .hidden.ko\n", "boot sub/x.ko\n", "boot \n", "boot\n", "\n", " x.ko\n",
		"never x.ko\n", "boot x.ko param=1\n", "later x.ko\nboot y.ko\n", "Boot x.ko\n",
		"boot aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.ko\n",
	};
	static struct modules m;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(&m, bad[i]) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(modules_parse(&m, "boot a\0b.ko\n", 12), -EINVAL);
}

static void too_many(void **state)
{
	static char text[(MODULES_MAX + 1) * 10 + 1];
	static struct modules m;
	int i;

	for (i = 0; i < MODULES_MAX + 1; i++)
		memcpy(text + i * 10, "boot x.ko\n", 10);
	assert_int_equal(modules_parse(&m, text, MODULES_MAX * 10), 0);
	assert_int_equal(modules_parse(&m, text, (MODULES_MAX + 1) * 10), -E2BIG);
}

static void order(void **state)
{
	static struct modules m;
	uint32_t index = 99;

	assert_int_equal(parse(&m, "stage1 a.ko\nboot b.ko\nlater c.ko\n"), 0);
	/* No such files here: each is tried once, in its stage only, and named by its index. */
	assert_int_equal(modules_load_next(&m, MODULES_BOOT, "/nonexistent", &index), -ENOENT);
	assert_int_equal(index, 1);
	assert_int_equal(modules_load_next(&m, MODULES_BOOT, "/nonexistent", &index), MODULES_E_DONE);
	assert_int_equal(modules_load_next(&m, MODULES_LATER, "/nonexistent", &index), -ENOENT);
	assert_int_equal(index, 2);
	assert_int_equal(modules_load_next(&m, MODULES_LATER, "/nonexistent", &index), MODULES_E_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts), cmocka_unit_test(refuses),
		cmocka_unit_test(too_many), cmocka_unit_test(order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
