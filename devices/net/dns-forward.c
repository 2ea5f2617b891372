/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-forward: queries under way: to which server, how often, for whom, and what an answer means.
 *
 * Each try goes to the next server of the name's scope, two seconds later or at once when the host says that nobody
 * is there. Servers that answer come first the next time. Who may call it: dns.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "devices/net/dns-parts.h"

enum { SCOPE_DEFAULT = NETCTL_DOMAINS_MAX };

/* The most specific domain that has NAME. */
static uint8_t find_scope(const struct dns *dns, const struct dns_name *name)
{
	uint8_t best = SCOPE_DEFAULT;

	for (uint8_t i = 0; i < dns->resolvers.n_domains && i < NETCTL_DOMAINS_MAX; i++) {
		if (!dns->domain[i].len || !dns_name_below(name, &dns->domain[i]))
			continue;
		if (best == SCOPE_DEFAULT || dns_name_labels(&dns->domain[i]) > dns_name_labels(&dns->domain[best]))
			best = i;
	}
	return best;
}

static const struct netctl_server *scope_servers(const struct dns *dns, uint8_t scope, uint8_t *ret_n)
{
	if (scope == SCOPE_DEFAULT) {
		*ret_n = dns->resolvers.n_servers < NETCTL_RESOLVERS_MAX ? dns->resolvers.n_servers : NETCTL_RESOLVERS_MAX;
		return dns->resolvers.servers;
	}
	*ret_n = dns->resolvers.domains[scope].n_servers;
	if (*ret_n > NETCTL_DOMAIN_SERVERS_MAX)
		*ret_n = NETCTL_DOMAIN_SERVERS_MAX;
	return dns->resolvers.domains[scope].servers;
}

static uint32_t index_of(const struct dns *dns, const struct dns_pending *p)
{
	return (uint32_t)(p - dns->pending);
}

/* The next server for P, from which there is an answer to hope for. Return: NULL: there is none. */
static const struct netctl_server *pick_server(struct dns *dns, struct dns_pending *p)
{
	const struct netctl_server *servers;
	uint8_t n;

	servers = scope_servers(dns, p->scope, &n);
	for (uint8_t i = 0; i < n && p->tries < DNS_TRIES_MAX; i++) {
		p->server = (uint8_t)((p->first + p->tries) % n);
		p->tries++;
		if (rules_resolver(&dns->config.policy->rules, &servers[p->server].addr, servers[p->server].port))
			return &servers[p->server];
		log_limited(LOG_WARNING, "dns: a server that the rules do not allow was left out");
	}
	return NULL;
}

/* Answers everybody who waits for P: with LEN bytes of dns->kept, or with P's code when LEN is 0. */
static void conclude(struct dns *dns, struct dns_pending *p, size_t len)
{
	uint8_t rcode = p->rcode;
	uint32_t next = index_of(dns, p) + 1;

	dns_upstream_close(dns, p);
	while (next) {
		uint32_t at = next - 1;
		struct dns_client client = dns->pending[at].client;
		struct dns_query asked = dns->pending[at].asked;

		next = dns->pending[at].next;
		dns->pending_hash[at] = 0;
		table_put(&dns->pending_table, table_handle(&dns->pending_table, at));
		if (len)
			dns_reply(dns, &client, &asked, dns->kept, len, 0);
		else
			dns_reply_code(dns, &client, &asked, rcode);
	}
}

void dns_forward_next(struct dns *dns, struct dns_pending *p)
{
	const struct netctl_server *server;

	dns_upstream_close(dns, p);
	p->plain = false;
	do {
		server = p->tries < DNS_TRIES_MAX ? pick_server(dns, p) : NULL;
		if (!server) {
			conclude(dns, p, 0);
			return;
		}
	} while (dns_upstream_datagram(dns, p, server) < 0);
}

static bool same_client(const struct dns_client *a, const struct dns_client *b)
{
	return a->via == DNS_VIA_UDP && b->via == DNS_VIA_UDP && a->key.guest_port == b->key.guest_port &&
	       net_addr_equal(&a->key.guest, &b->key.guest);
}

/* The same question, to be asked in the same way. */
static bool same_question(const struct dns_query *a, const struct dns_query *b)
{
	return a->type == b->type && a->edns == b->edns && a->dnssec_ok == b->dnssec_ok &&
	       !((a->flags ^ b->flags) & (DNS_CD | DNS_AD)) && dns_name_equal(&a->name, &b->name);
}

/* Who already asks for QUERY. *RET_REPEATED: CLIENT itself, by an earlier datagram. Return: NULL: nobody. */
static struct dns_pending *find_leader(struct dns *dns, const struct dns_client *client, const struct dns_query *query,
				       uint32_t hash, bool *ret_repeated)
{
	struct dns_pending *leader = NULL;

	*ret_repeated = false;
	for (uint32_t i = 0; i < dns->pending_table.fresh; i++) {
		struct dns_pending *p = &dns->pending[i];

		if (dns->pending_hash[i] != hash || !same_question(&p->asked, query))
			continue;
		if (!p->leader)
			leader = p;
		if (p->asked.id == query->id && same_client(&p->client, client))
			*ret_repeated = true;
	}
	return leader;
}

void dns_forward(struct dns *dns, const struct dns_client *client, const struct dns_query *query)
{
	struct dns_pending *leader, *p;
	uint32_t hash = dns_hash(query), at;
	uint64_t handle;
	bool repeated;

	leader = find_leader(dns, client, query, hash, &repeated);
	if (repeated)
		return;
	if (!table_take(&dns->pending_table, &handle) || !table_find(&dns->pending_table, handle, &at)) {
		log_limited(LOG_WARNING, "dns: more than %d queries under way, one was refused", DNS_PENDING_MAX);
		dns_reply_code(dns, client, query, DNS_SERVFAIL);
		return;
	}
	p = &dns->pending[at];
	*p = (struct dns_pending){
		.client = *client,
		.asked = *query,
		.fd = -EBADF,
		.scope = find_scope(dns, &query->name),
		.rcode = DNS_SERVFAIL,
		.deadline_us = UINT64_MAX,
	};
	p->first = dns->preferred[p->scope];
	dns->pending_hash[at] = hash;
	if (leader) {
		p->leader = index_of(dns, leader) + 1;
		p->next = leader->next;
		leader->next = at + 1;
		return;
	}
	dns_forward_next(dns, p);
}

void dns_forward_again(struct dns *dns)
{
	for (uint32_t i = 0; i < dns->pending_table.fresh; i++) {
		struct dns_pending *p = &dns->pending[i];

		if (!table_handle(&dns->pending_table, i))
			continue;
		p->scope = find_scope(dns, &p->asked.name);
		p->first = p->tries = 0;
		p->rcode = DNS_SERVFAIL;
		if (!p->leader)
			dns_forward_next(dns, p);
	}
}

void dns_forward_timers(struct dns *dns)
{
	for (uint32_t i = 0; i < dns->pending_table.fresh; i++) {
		struct dns_pending *p = &dns->pending[i];
		uint8_t n;

		if (!table_handle(&dns->pending_table, i) || p->leader)
			continue;
		if (dns->now_us < p->deadline_us) {
			dns_wake_at(dns, p->deadline_us);
			continue;
		}
		(void)scope_servers(dns, p->scope, &n);
		if (n && dns->preferred[p->scope] == p->server)
			dns->preferred[p->scope] = (uint8_t)((p->server + 1) % n);
		dns_forward_next(dns, p);
	}
}

/* Asks the server of P once more, by TCP, or without EDNS. */
static void same_server_again(struct dns *dns, struct dns_pending *p, bool stream)
{
	const struct netctl_server *servers;
	uint8_t n;
	int r = -ENOENT;

	dns_upstream_close(dns, p);
	servers = scope_servers(dns, p->scope, &n);
	if (p->server < n)
		r = stream ? dns_upstream_stream(dns, p, &servers[p->server]) :
			     dns_upstream_datagram(dns, p, &servers[p->server]);
	if (r < 0)
		dns_forward_next(dns, p);
}

static void refuse_answer(struct dns *dns, const char *why)
{
	dns->stats.refused_answers++;
	log_limited(LOG_INFO, "dns: an answer was dropped: %s", why);
}

bool dns_forward_message(struct dns *dns, struct dns_pending *p, const uint8_t *msg, size_t len)
{
	struct dns_query sent = p->asked;
	struct dns_answer answer;

	sent.id = p->id;
	if (!dns_answer_matches(&sent, msg, len)) {
		refuse_answer(dns, "it matches no question of ours");
		return false;
	}
	if (dns_answer_truncated(msg) && !p->stream) {
		same_server_again(dns, p, true);
		return true;
	}
	if (dns_answer_rewrite(&answer, dns->kept, sizeof(dns->kept), &sent, msg, len) < 0) {
		refuse_answer(dns, "it is malformed");
		return false;
	}
	if (answer.rcode == DNS_FORMERR && sent.edns && !p->plain) {
		/* A server from before EDNS (RFC 6891, section 6.2.2). */
		p->plain = true;
		same_server_again(dns, p, false);
		return true;
	}
	if (answer.rcode != DNS_NOERROR && answer.rcode != DNS_NXDOMAIN) {
		p->rcode = answer.rcode;
		dns_forward_next(dns, p);
		return true;
	}
	dns->preferred[p->scope] = p->server;
	dns_cache_put(dns, &p->asked, &answer, dns->kept);
	conclude(dns, p, answer.len);
	return true;
}
