/* SPDX-License-Identifier: Apache-2.0 */
/* test-subnet: overlaps in both directions, what counts as a default route, the order of the others. */
#include "base/test.h"

#include <string.h>

#include "backend/subnet.h"
#include "base/cleanup.h"

#define A(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define HOME A(192, 168, 65, 0)

static void overlaps(void **state)
{
	static const struct { struct subnet_route route; bool overlaps; } cases[] = {
		{{A(192, 168, 65, 0), 24}, true},  {{A(192, 168, 65, 7), 32}, true},   {{A(192, 168, 64, 0), 23}, true},
		{{A(192, 168, 0, 0), 16}, true},   {{A(192, 0, 0, 0), 8}, true},       {{A(192, 168, 65, 128), 25}, true},
		{{A(192, 168, 66, 0), 24}, false}, {{A(192, 168, 64, 0), 24}, false},  {{A(192, 168, 66, 7), 32}, false},
		{{A(10, 0, 0, 0), 8}, false},      {{0, 0}, false},		       {{0, 1}, false},
		{{A(128, 0, 0, 0), 1}, false},	   {{A(192, 0, 0, 0), 7}, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (subnet_overlaps(HOME, &cases[i].route) != cases[i].overlaps)
			fail_msg("case %zu", i);
}

static void choice(void **state)
{
	const struct subnet_route near[] = {{0, 0}, {A(192, 168, 65, 0), 24}, {A(192, 168, 66, 0), 24}};
	const struct subnet_route office[] = {{A(192, 168, 0, 0), 16}};
	const struct subnet_route vpn[] = {{A(192, 168, 0, 0), 16}, {A(10, 0, 0, 0), 8}};
	const struct subnet_route all[] = {{A(192, 168, 0, 0), 16}, {A(10, 0, 0, 0), 8}, {A(172, 16, 0, 0), 12}};

	assert_int_equal(subnet_choose(HOME, NULL, 0), HOME);
	assert_int_equal(subnet_choose(HOME, near, ARRAY_SIZE(near)), A(192, 168, 67, 0));
	assert_int_equal(subnet_choose(HOME, office, ARRAY_SIZE(office)), A(10, 65, 65, 0));
	assert_int_equal(subnet_choose(HOME, vpn, ARRAY_SIZE(vpn)), A(172, 31, 65, 0));
	/* nothing is free: the user's choice stands */
	assert_int_equal(subnet_choose(A(10, 9, 8, 0), all, ARRAY_SIZE(all)), A(10, 9, 8, 0));
	/* another wish that is taken falls back to the standard one */
	assert_int_equal(subnet_choose(A(10, 9, 8, 0), vpn + 1, 1), HOME);
	assert_ptr_equal(subnet_conflict(HOME, near, ARRAY_SIZE(near)), &near[1]);
	assert_null(subnet_conflict(HOME, near, 1));
}

static void text(void **state)
{
	char dst[SUBNET_TEXT_MAX];

	assert_string_equal(subnet_text(dst, A(255, 255, 255, 255), 32), "255.255.255.255/32");
	assert_string_equal(subnet_text(dst, HOME, 24), "192.168.65.0/24");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(overlaps), cmocka_unit_test(choice), cmocka_unit_test(text)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
