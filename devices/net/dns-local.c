/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-local: answers that need nobody: names of the card, localhost (RFC 6761), the host's hosts file, reverse names.
 *
 * A loopback address in the hosts file means the host there and would mean the guest here, so it becomes the host alias.
 * Reverse names are known for the card's own addresses only: nothing of the host's names or addresses can be asked for
 * backwards. Who may call it: dns.
 */
#include <stdio.h>
#include <string.h>

#include "devices/net/dns-parts.h"
#include "proto/data-card.h"

enum { REVERSE_TEXT_MAX = 80 };

static const char *const own_names[DNS_OWN_MAX] = {
	[DNS_OWN_HOST] = DATA_NAME_HOST,
	[DNS_OWN_GATEWAY] = DATA_NAME_GATEWAY,
	[DNS_OWN_KUBERNETES] = DATA_NAME_KUBERNETES,
	[DNS_OWN_PROXY] = DATA_NAME_PROXY,
	[DNS_OWN_LOCALHOST] = "1.0.0.127.in-addr.arpa",
};
static const char *const zone_names[DNS_ZONE_MAX] = {
	[DNS_ZONE_DOCKER] = "docker.internal",
	[DNS_ZONE_LOCALHOST] = "localhost",
	[DNS_ZONE_INVALID] = "invalid",
	[DNS_ZONE_ONION] = "onion",
	[DNS_ZONE_LOOPBACK4] = "127.in-addr.arpa",
};

/* What a reverse name of ours leads to. */
static const char *reverse_target(enum dns_own own)
{
	switch (own) {
	case DNS_OWN_LOCALHOST:
		return "localhost";
	case DNS_OWN_REVERSE_GATEWAY4:
	case DNS_OWN_REVERSE_GATEWAY6:
		return DATA_NAME_GATEWAY;
	case DNS_OWN_REVERSE_HOST4:
	case DNS_OWN_REVERSE_HOST6:
		return DATA_NAME_HOST;
	default:
		return NULL;
	}
}

void dns_local_init(struct dns *dns)
{
	for (unsigned int i = 0; i < DNS_OWN_MAX; i++)
		if (own_names[i])
			(void)dns_name_parse(&dns->own[i], own_names[i]);
	for (unsigned int i = 0; i < DNS_ZONE_MAX; i++)
		if (zone_names[i])
			(void)dns_name_parse(&dns->zone[i], zone_names[i]);
}

/* The reverse name of the first N bytes (of 4 or 16) of ADDR. */
static void reverse(struct dns_name *ret, const struct net_addr *addr, unsigned int n)
{
	char text[REVERSE_TEXT_MAX];
	size_t at = 0;

	if (net_addr_is_v4(addr)) {
		while (n--)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%u.", addr->byte[12 + n]);
		snprintf(text + at, sizeof(text) - at, "in-addr.arpa");
	} else {
		while (n--)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%x.%x.", addr->byte[n] & 15, addr->byte[n] >> 4);
		snprintf(text + at, sizeof(text) - at, "ip6.arpa");
	}
	if (dns_name_parse(ret, text) < 0)
		ret->len = 0;
}

void dns_local_addresses(struct dns *dns)
{
	reverse(&dns->own[DNS_OWN_REVERSE_GATEWAY4], &dns->gateway4, 4);
	reverse(&dns->own[DNS_OWN_REVERSE_HOST4], &dns->alias4, 4);
	reverse(&dns->zone[DNS_ZONE_REVERSE4], &dns->gateway4, 3);
	reverse(&dns->own[DNS_OWN_REVERSE_GATEWAY6], &dns->gateway6, 16);
	reverse(&dns->own[DNS_OWN_REVERSE_HOST6], &dns->alias6, 16);
	reverse(&dns->zone[DNS_ZONE_REVERSE6], &dns->gateway6, 8);
}

/* Adds ADDR when QUERY asks for its family and the guest has it. */
static void put_address(const struct dns *dns, struct dns_writer *w, const struct dns_query *query, const struct net_addr *addr,
			uint32_t ttl)
{
	bool v4 = net_addr_is_v4(addr);
	uint16_t type = v4 ? DNS_A : DNS_AAAA;

	if ((query->type != type && query->type != DNS_ANY) || (!v4 && !dns->ipv6))
		return;
	dns_writer_answer(w, type, ttl, v4 ? addr->byte + 12 : addr->byte, v4 ? 4 : 16);
}

static void put_reverse(struct dns_writer *w, const struct dns_query *query, const char *target)
{
	struct dns_name name;

	if ((query->type == DNS_PTR || query->type == DNS_ANY) && dns_name_parse(&name, target) == 0)
		dns_writer_answer(w, DNS_PTR, DNS_BUILT_IN_TTL, name.wire, name.len);
}

static size_t answer_own(struct dns *dns, const struct dns_query *query, enum dns_own own)
{
	bool gateway = own == DNS_OWN_GATEWAY || own == DNS_OWN_PROXY;
	const char *target = reverse_target(own);
	struct dns_writer w;

	dns_writer_start(&w, dns->kept, sizeof(dns->kept), query, DNS_AA, DNS_NOERROR);
	if (target) {
		put_reverse(&w, query, target);
		return dns_writer_end(&w);
	}
	put_address(dns, &w, query, gateway ? &dns->gateway4 : &dns->alias4, DNS_BUILT_IN_TTL);
	put_address(dns, &w, query, gateway ? &dns->gateway6 : &dns->alias6, DNS_BUILT_IN_TTL);
	return dns_writer_end(&w);
}

/* NAME lies in ZONE, which is nobody else's, and is none of our names. */
static size_t answer_zone(struct dns *dns, const struct dns_query *query, enum dns_zone zone)
{
	static const struct net_addr loopback6 = {{[15] = 1}};
	const struct net_addr loopback4 = net_addr4(0x7f000001);
	bool exists = zone == DNS_ZONE_LOCALHOST || dns_name_equal(&query->name, &dns->zone[zone]);
	struct dns_writer w;

	dns_writer_start(&w, dns->kept, sizeof(dns->kept), query, DNS_AA, exists ? DNS_NOERROR : DNS_NXDOMAIN);
	if (zone == DNS_ZONE_LOCALHOST) {
		put_address(dns, &w, query, &loopback4, DNS_BUILT_IN_TTL);
		put_address(dns, &w, query, &loopback6, DNS_BUILT_IN_TTL);
	}
	return dns_writer_end(&w);
}

static bool is_loopback(const struct net_addr *addr)
{
	static const struct net_addr loopback6 = {{[15] = 1}};

	return net_addr_equal(addr, &loopback6) || (net_addr_is_v4(addr) && addr->byte[12] == 127);
}

/* The addresses of the hosts file for QUERY's name. Return: length of the answer; 0: the file does not have the name. */
static size_t answer_hosts(struct dns *dns, const struct dns_query *query)
{
	const struct dns_hosts *hosts = &dns->hosts[dns->hosts_used];
	const struct dns_query key = {.name = query->name};
	uint32_t hash = dns_hash(&key);
	struct net_addr seen[DNS_HOST_ADDRESSES_MAX];
	unsigned int n_seen = 0, k;
	char text[DNS_TEXT_MAX];
	bool known = false;
	struct dns_writer w;

	dns_name_text(&query->name, text);
	dns_writer_start(&w, dns->kept, sizeof(dns->kept), query, DNS_AA, DNS_NOERROR);
	for (uint32_t i = 0; i < hosts->n; i++) {
		struct net_addr addr = hosts->entry[i].addr;

		if (hosts->hash[i] != hash || strcmp(hosts->entry[i].name, text))
			continue;
		known = true;
		if (is_loopback(&addr))
			addr = net_addr_is_v4(&addr) ? dns->alias4 : dns->alias6;
		for (k = 0; k < n_seen && !net_addr_equal(&seen[k], &addr); k++)
			;
		if (k < n_seen || n_seen == DNS_HOST_ADDRESSES_MAX)
			continue;
		seen[n_seen++] = addr;
		put_address(dns, &w, query, &addr, DNS_HOSTS_TTL);
	}
	return known ? dns_writer_end(&w) : 0;
}

/* Types that the hosts file speaks for: with an address of its own a name must not be reached by another way. */
static bool is_address_type(uint16_t type)
{
	return type == DNS_A || type == DNS_AAAA || type == DNS_SVCB || type == DNS_HTTPS || type == DNS_ANY;
}

bool dns_local_answer(struct dns *dns, const struct dns_query *query, size_t *ret_len)
{
	size_t len;

	for (unsigned int i = 0; i < DNS_OWN_MAX; i++)
		if (dns->own[i].len && dns_name_equal(&query->name, &dns->own[i])) {
			*ret_len = answer_own(dns, query, (enum dns_own)i);
			return true;
		}
	for (unsigned int i = 0; i < DNS_ZONE_MAX; i++)
		if (dns->zone[i].len && dns_name_below(&query->name, &dns->zone[i])) {
			*ret_len = answer_zone(dns, query, (enum dns_zone)i);
			return true;
		}
	len = is_address_type(query->type) ? answer_hosts(dns, query) : 0;
	*ret_len = len;
	return len;
}
