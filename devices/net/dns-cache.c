/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-cache: answers of servers, kept as long as they say (bounded), negative ones as RFC 2308 has it.
 *
 * A fixed table, searched by hash; the entry that was used longest ago makes room. Who may call it: dns.
 */
#include <string.h>

#include "devices/net/dns-parts.h"

void dns_cache_clear(struct dns *dns)
{
	memset(dns->cache_hash, 0, sizeof(dns->cache_hash));
}

/* Seconds that are left; 0: over. */
static uint32_t left(const struct dns *dns, const struct dns_cached *c)
{
	uint64_t age_s = (dns->now_us - c->stored_us) / 1000000;

	return age_s < c->ttl_s ? c->ttl_s - (uint32_t)age_s : 0;
}

static bool same_key(const struct dns_query *a, const struct dns_query *b)
{
	return a->type == b->type && a->dnssec_ok == b->dnssec_ok && !((a->flags ^ b->flags) & DNS_CD) &&
	       dns_name_equal(&a->name, &b->name);
}

struct dns_cached *dns_cache_find(struct dns *dns, const struct dns_query *query)
{
	uint32_t hash = dns_hash(query);

	for (uint32_t i = 0; i < DNS_CACHE_MAX; i++) {
		struct dns_cached *c = &dns->cache[i];

		if (dns->cache_hash[i] != hash || !same_key(&c->key, query))
			continue;
		if (!left(dns, c)) {
			dns->cache_hash[i] = 0;
			return NULL;
		}
		c->hits++;
		c->used_us = dns->now_us;
		return c;
	}
	return NULL;
}

/* A free slot, one that is over, or the one that was used longest ago. */
static uint32_t make_room(struct dns *dns)
{
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < DNS_CACHE_MAX; i++) {
		if (!dns->cache_hash[i] || !left(dns, &dns->cache[i]))
			return i;
		if (dns->cache[i].used_us < dns->cache[oldest].used_us)
			oldest = i;
	}
	return oldest;
}

void dns_cache_put(struct dns *dns, const struct dns_query *query, const struct dns_answer *answer, const uint8_t *message)
{
	uint32_t limit = answer->rcode == DNS_NXDOMAIN || !answer->n_answers ? DNS_CACHE_NEGATIVE_MAX : DNS_CACHE_TTL_MAX, at;
	struct dns_cached *c;

	if (!answer->ttl_s || answer->len > DNS_UDP_MAX || query->type == DNS_ANY)
		return;
	at = make_room(dns);
	c = &dns->cache[at];
	*c = (struct dns_cached){
		.key = *query,
		.rcode = answer->rcode,
		.len = (uint16_t)answer->len,
		.n_answers = answer->n_answers,
		.ttl_s = answer->ttl_s < limit ? answer->ttl_s : limit,
		.stored_us = dns->now_us,
		.used_us = dns->now_us,
	};
	memcpy(c->message, message, answer->len);
	dns->cache_hash[at] = dns_hash(query);
}
