/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota: a named maximum with a defined behaviour when it is reached, and a token bucket.
 *
 * Who may call it: every room; charge before the resource is made, return it when it is gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct quota {
	const char *name;
	uint64_t max;
	uint64_t used;
	uint64_t refused;
};
/* Return: true and charged, or false and counted as refused. */
bool quota_charge(struct quota *q, uint64_t n);
void quota_return(struct quota *q, uint64_t n);

struct quota_bucket {
	uint64_t rate_per_s;
	uint64_t burst;
	uint64_t tokens;
	uint64_t last_us;
};
/* Takes one token at time NOW_US. Return: true, or false when empty. */
bool quota_bucket_take(struct quota_bucket *b, uint64_t now_us);
