/* SPDX-License-Identifier: Apache-2.0 */
/* test-dns-random: the cipher is the one of RFC 8439 (section 2.3.2), and its key does not stay. */
#include "devices/net/dns-random.h"

#include <string.h>

#include "base/bytes.h"
#include "base/test.h"

static void test_block(void **state)
{
	static const uint8_t nonce_bytes[] = {0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0};
	uint32_t key[8], nonce[3], block[16];

	for (unsigned int i = 0; i < 8; i++)
		key[i] = 0x03020100u + 0x04040404u * i;
	for (unsigned int i = 0; i < 3; i++)
		nonce[i] = le32_load(nonce_bytes + 4 * i);
	dns_random_block(block, key, 1, nonce);
	assert_true(block[0] == 0xe4e7f110 && block[1] == 0x15593bd1 && block[14] == 0xe883d0cb && block[15] == 0x4e3c50a2);
}

static void test_ids(void **state)
{
	uint8_t seed[DNS_RANDOM_SEED] = {1};
	struct dns_random a, b;
	unsigned int equal = 0;

	dns_random_init(&a, seed);
	dns_random_init(&b, seed);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(dns_random_id(&a), dns_random_id(&b));
	assert_int_not_equal(le32_load(seed), a.key[0]);
	seed[31] = 1;
	dns_random_init(&b, seed);
	for (int i = 0; i < 1000; i++)
		equal += dns_random_id(&a) == dns_random_id(&b);
	assert_true(equal < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_block), cmocka_unit_test(test_ids)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
