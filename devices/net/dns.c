/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns: theory of operation.
 *
 * A query is decoded as a whole or refused. Then the first that knows the name answers: names of our own (dns-local), the host's
 * hosts file, the cache, a server of the host (dns-forward). While egress is denied, only the first two do. Local answers, cached
 * ones and those of servers exist in one form (proto/dns.h, "kept"), and one function makes the reply out of it, so limits,
 * TTLs, case and flags are right or wrong for all of them.
 *
 * An answer of a server counts only when it comes on the socket connected to that server, has the id, the question letter by
 * letter, and survives being read completely and written again. Each try has a socket of its own, whose port the kernel
 * chooses, and an id from a generator seeded by the kernel (dns-random): 32 bits that nobody off the path knows, and never two
 * questions of the same kind under way (RFC 5452, section 5).
 *
 * A name belongs to the most specific split domain that has it, or to the default servers, and is asked nowhere else.
 *
 * Time is what dns_now said. There is one deadline, a lower bound: when it is reached everything that waits is looked at.
 */
#include "devices/net/dns.h"

#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/log.h"
#include "devices/net/dns-parts.h"
#include "proto/data-card.h"

enum { IP4_UDP_HEAD = 28, IP6_UDP_HEAD = 48, HANDLE_CONN_BIT = 31, HANDLE_GENERATION = 0x0fffffff };

static struct dns the_dns; /* large, and zero until used */

struct dns *dns_init(const struct dns_config *config)
{
	struct dns *dns = &the_dns;
	uint8_t seed[DNS_RANDOM_SEED];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return NULL;
	memset(dns, 0, offsetof(struct dns, pending_slots));
	memset(dns->pending_slots, 0, sizeof(dns->pending_slots));
	memset(dns->conn_slots, 0, sizeof(dns->conn_slots));
	memset(dns->pending_hash, 0, sizeof(dns->pending_hash));
	dns->hosts[0].n = dns->hosts[1].n = 0;
	dns_cache_clear(dns);
	dns->config = *config;
	dns->mtu = DATA_MTU_DEFAULT;
	dns->deadline_us = UINT64_MAX;
	dns_random_init(&dns->random, seed);
	explicit_bzero(seed, sizeof(seed));
	table_init(&dns->pending_table, dns->pending_slots, DNS_PENDING_MAX);
	table_init(&dns->conn_table, dns->conn_slots, DNS_CONNS_MAX);
	dns_local_init(dns);
	return dns;
}

void dns_set_addresses(struct dns *dns, const struct net_addr *gateway4, const struct net_addr *alias4,
		       const struct net_addr *gateway6, const struct net_addr *alias6, enum netctl_dns_filter filter, bool ipv6,
		       uint16_t mtu)
{
	dns->gateway4 = *gateway4;
	dns->alias4 = *alias4;
	dns->gateway6 = *gateway6;
	dns->alias6 = *alias6;
	dns->filter = filter;
	dns->ipv6 = ipv6;
	dns->mtu = mtu;
	dns_local_addresses(dns);
}

void dns_set_resolvers(struct dns *dns, const struct netctl_resolvers *resolvers)
{
	dns->resolvers = *resolvers;
	for (unsigned int i = 0; i < NETCTL_DOMAINS_MAX; i++)
		if (i >= resolvers->n_domains || dns_name_parse(&dns->domain[i], resolvers->domains[i].name) < 0)
			dns->domain[i].len = 0;
	memset(dns->preferred, 0, sizeof(dns->preferred));
	dns_cache_clear(dns);
	dns_forward_again(dns);
}

void dns_set_hosts(struct dns *dns, const struct netctl_hosts *piece)
{
	struct dns_hosts *building = &dns->hosts[!dns->hosts_used];

	if (piece->first)
		building->n = 0;
	for (unsigned int i = 0; i < piece->n && i < NETCTL_HOSTS_PIECE_MAX && building->n < NETCTL_HOSTS_MAX; i++) {
		struct dns_query key = {0};

		if (dns_name_parse(&key.name, piece->entry[i].name) < 0)
			continue;
		building->hash[building->n] = dns_hash(&key);
		building->entry[building->n].addr = piece->entry[i].addr;
		memcpy(building->entry[building->n].name, piece->entry[i].name, NETCTL_DOMAIN_MAX);
		building->n++;
	}
	if (piece->last)
		dns->hosts_used = !dns->hosts_used;
}

void dns_now(struct dns *dns, uint64_t now_us)
{
	dns->now_us = now_us;
}

void dns_wake_at(struct dns *dns, uint64_t deadline_us)
{
	if (deadline_us < dns->deadline_us)
		dns->deadline_us = deadline_us;
}

uint32_t dns_hash(const struct dns_query *query)
{
	uint32_t hash = 2166136261u ^ query->type;

	for (size_t i = 0; i < query->name.len; i++) {
		uint8_t c = query->name.wire[i];

		hash = (hash ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 16777619u;
	}
	return hash ? hash : 1;
}

/* The longest message that fits into one datagram to CLIENT. */
static size_t reply_limit(const struct dns *dns, const struct dns_client *client, const struct dns_query *query)
{
	size_t heads = net_addr_is_v4(&client->key.guest) ? IP4_UDP_HEAD : IP6_UDP_HEAD, limit = query->udp_size;

	if (client->via == DNS_VIA_TCP)
		return DNS_MESSAGE_MAX;
	if (limit > DNS_UDP_MAX)
		limit = DNS_UDP_MAX;
	if (dns->mtu < heads + limit)
		limit = dns->mtu > heads ? dns->mtu - heads : 0;
	return limit;
}

void dns_reply(struct dns *dns, const struct dns_client *client, const struct dns_query *query, const uint8_t *src, size_t len,
	       uint32_t age_s)
{
	size_t limit = reply_limit(dns, client, query);

	if (limit < DNS_HEADER_LEN)
		return;
	len = dns_answer_finish(dns->reply, limit, query, src, len, age_s);
	if (client->via == DNS_VIA_TCP)
		dns_conn_send(dns, client->conn, dns->reply, len);
	else
		(void)dns->config.answer(dns->config.data, &client->key, dns->reply, len);
}

void dns_reply_code(struct dns *dns, const struct dns_client *client, const struct dns_query *query, uint8_t rcode)
{
	uint8_t kept[DNS_QUERY_MAX];
	struct dns_writer w;

	if (rcode == DNS_SERVFAIL)
		dns->stats.failures++;
	dns_writer_start(&w, kept, sizeof(kept), query, 0, rcode);
	dns_reply(dns, client, query, kept, dns_writer_end(&w), 0);
}

/* Questions that are about the server, or that only a server of the zone could answer. */
static bool may_forward(const struct dns_query *query)
{
	return query->class == DNS_CLASS_IN && query->type && query->type != DNS_OPT &&
	       (query->type < DNS_META_FIRST || query->type > DNS_META_LAST || query->type == DNS_ANY);
}

static bool filtered(const struct dns *dns, uint16_t type)
{
	if (type == DNS_ANY)
		return dns->filter != NETCTL_DNS_ALL;
	return (type == DNS_A && dns->filter == NETCTL_DNS_NO_A) || (type == DNS_AAAA && dns->filter == NETCTL_DNS_NO_AAAA);
}

/* While nothing may leave, no question may either: a name can carry bytes. */
static bool may_leave(struct dns *dns, const struct dns_query *query)
{
	struct policy *policy = dns->config.policy;
	char text[DNS_TEXT_MAX];

	if (policy->configured && policy->rules.egress)
		return true;
	policy->refused[RULE_EGRESS]++;
	dns_name_text(&query->name, text);
	log_limited(LOG_INFO, "dns: %s refused by rule %s", text, rules_name(&policy->rules, RULE_EGRESS));
	return false;
}

static void resolve(struct dns *dns, const struct dns_client *client, const struct dns_query *query)
{
	struct dns_cached *cached;
	size_t len;

	if (!may_forward(query)) {
		dns_reply_code(dns, client, query, DNS_REFUSED);
		return;
	}
	if (filtered(dns, query->type)) {
		dns_reply_code(dns, client, query, DNS_NOERROR);
		return;
	}
	if (dns_local_answer(dns, query, &len)) {
		dns_reply(dns, client, query, dns->kept, len, 0);
		return;
	}
	if (!may_leave(dns, query)) {
		dns_reply_code(dns, client, query, DNS_REFUSED);
		return;
	}
	cached = dns_cache_find(dns, query);
	if (!cached) {
		dns_forward(dns, client, query);
		return;
	}
	dns->stats.hits++;
	dns_reply(dns, client, query, cached->message, cached->len, (uint32_t)((dns->now_us - cached->stored_us) / 1000000));
}

void dns_ask(struct dns *dns, const struct dns_client *client, const uint8_t *msg, size_t len)
{
	struct dns_query query;

	switch (dns_query_decode(&query, msg, len)) {
	case 0:
		break;
	case DNS_QUERY_E_FORMAT:
		dns_reply_code(dns, client, &query, DNS_FORMERR);
		return;
	case DNS_QUERY_E_OPCODE:
		dns_reply_code(dns, client, &query, DNS_NOTIMP);
		return;
	default:
		return;
	}
	dns->stats.queries++;
	if (query.edns && query.edns_version)
		dns_reply_code(dns, client, &query, DNS_NOERROR); /* becomes BADVERS in the OPT record */
	else
		resolve(dns, client, &query);
}

void dns_query(struct dns *dns, const struct flow_key *key, const uint8_t *msg, size_t len)
{
	struct dns_client client = {.via = DNS_VIA_UDP, .key = *key};

	dns_ask(dns, &client, msg, len);
}

uint64_t dns_watch_handle(uint64_t table_handle, bool conn)
{
	return DNS_HANDLE | (table_handle >> 32 & HANDLE_GENERATION) << 32 | (uint64_t)conn << HANDLE_CONN_BIT |
	       (uint32_t)table_handle;
}

void dns_host_event(void *data, uint64_t handle, uint32_t events)
{
	uint32_t number = (uint32_t)handle & ~(1u << HANDLE_CONN_BIT);
	bool conn = (uint32_t)handle >> HANDLE_CONN_BIT;
	struct dns *dns = data;
	uint64_t live = table_handle(conn ? &dns->conn_table : &dns->pending_table, number - 1);

	if (!number || !live || dns_watch_handle(live, conn) != handle)
		return;
	if (conn)
		dns_conn_event(dns, live);
	else
		dns_upstream_event(dns, &dns->pending[number - 1]);
}

void dns_timers(struct dns *dns)
{
	if (dns->now_us < dns->deadline_us)
		return;
	dns->deadline_us = UINT64_MAX;
	dns_forward_timers(dns);
	dns_conn_timers(dns);
}

uint64_t dns_deadline(const struct dns *dns)
{
	return dns->pending_table.n_used || dns->conn_table.n_used ? dns->deadline_us : UINT64_MAX;
}

void dns_get_stats(const struct dns *dns, struct dns_stats *ret)
{
	*ret = dns->stats;
}

size_t dns_list(const struct dns *dns, uint32_t *cursor, struct netctl_dns_entry *ret, size_t max)
{
	uint32_t i = *cursor;
	size_t n = 0;

	for (; i < DNS_CACHE_MAX && n < max; i++) {
		const struct dns_cached *c = &dns->cache[i];
		uint64_t age_s = (dns->now_us - c->stored_us) / 1000000;

		if (!dns->cache_hash[i] || age_s >= c->ttl_s)
			continue;
		ret[n] = (struct netctl_dns_entry){
			.type = c->key.type,
			.rcode = c->rcode,
			.answers = c->n_answers,
			.ttl_s = c->ttl_s - (uint32_t)age_s,
			.hits = c->hits,
		};
		dns_name_text(&c->key.name, ret[n++].name);
	}
	*cursor = i < DNS_CACHE_MAX ? i : 0;
	return n;
}
