/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-random: ids of queries: ChaCha20 (RFC 8439) seeded once, so that no system call is needed when the process is locked.
 *
 * Each block's first half becomes the next key and is forgotten: what was given out cannot be computed from what is in
 * memory. Never seeds itself anew (the process does not fork). Who may call it: dns.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DNS_RANDOM_SEED = 32, DNS_RANDOM_IDS = 16 };

struct dns_random {
	uint32_t key[8];
	uint16_t ids[DNS_RANDOM_IDS];
	unsigned int n_left;
};

void dns_random_init(struct dns_random *random, const uint8_t seed[static DNS_RANDOM_SEED]);
uint16_t dns_random_id(struct dns_random *random);
/* One block of the cipher with nonce 0. */
void dns_random_block(uint32_t ret[static 16], const uint32_t key[static 8], uint32_t counter, const uint32_t nonce[static 3]);
