/* SPDX-License-Identifier: Apache-2.0 */
/* quota: see the header. Arithmetic saturates instead of wrapping. */
#include "base/quota.h"

bool quota_charge(struct quota *q, uint64_t n)
{
	if (q->used > q->max || n > q->max - q->used) {
		q->refused++;
		return false;
	}
	q->used += n;
	return true;
}

void quota_return(struct quota *q, uint64_t n)
{
	q->used = n > q->used ? 0 : q->used - n;
}

bool quota_bucket_take(struct quota_bucket *b, uint64_t now_us)
{
	uint64_t elapsed = now_us > b->last_us ? now_us - b->last_us : 0;
	uint64_t fresh;

	if (!b->last_us) {
		b->last_us = now_us;
		b->tokens = b->burst;
	} else if (b->rate_per_s && elapsed > UINT64_MAX / b->rate_per_s) {
		b->tokens = b->burst;
		b->last_us = now_us;
	} else {
		fresh = elapsed * b->rate_per_s / 1000000;
		if (fresh) {
			b->tokens = fresh >= b->burst - b->tokens ? b->burst : b->tokens + fresh;
			b->last_us = now_us;
		}
	}
	if (!b->tokens)
		return false;
	b->tokens--;
	return true;
}
