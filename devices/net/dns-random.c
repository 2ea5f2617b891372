/* SPDX-License-Identifier: Apache-2.0 */
/* dns-random: see the header. */
#include "devices/net/dns-random.h"

#include <string.h>

#include "base/bytes.h"

static uint32_t rotate(uint32_t v, unsigned int n)
{
	return v << n | v >> (32 - n);
}

static void quarter(uint32_t *s, unsigned int a, unsigned int b, unsigned int c, unsigned int d)
{
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 12);
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 7);
}

void dns_random_block(uint32_t ret[static 16], const uint32_t key[static 8], uint32_t counter, const uint32_t nonce[static 3])
{
	uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, [12] = counter, nonce[0], nonce[1], nonce[2]};

	memcpy(start + 4, key, 32);
	memcpy(ret, start, sizeof(start));
	for (unsigned int i = 0; i < 10; i++) {
		for (unsigned int c = 0; c < 4; c++)
			quarter(ret, c, 4 + c, 8 + c, 12 + c);
		for (unsigned int c = 0; c < 4; c++)
			quarter(ret, c, 4 + (c + 1) % 4, 8 + (c + 2) % 4, 12 + (c + 3) % 4);
	}
	for (unsigned int i = 0; i < 16; i++)
		ret[i] += start[i];
}

void dns_random_init(struct dns_random *random, const uint8_t seed[static DNS_RANDOM_SEED])
{
	*random = (struct dns_random){0};
	for (unsigned int i = 0; i < 8; i++)
		random->key[i] = le32_load(seed + 4 * i);
}

uint16_t dns_random_id(struct dns_random *random)
{
	if (!random->n_left) {
		static const uint32_t nonce[3];
		uint32_t block[16];

		dns_random_block(block, random->key, 0, nonce);
		memcpy(random->key, block, sizeof(random->key));
		memcpy(random->ids, block + 8, sizeof(random->ids));
		explicit_bzero(block, sizeof(block));
		random->n_left = DNS_RANDOM_IDS;
	}
	return random->ids[--random->n_left];
}
