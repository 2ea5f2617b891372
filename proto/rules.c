/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules: see the header. An address has up to two faces: the outer one that will be dialled, and the IPv4 address inside
 * it. What is judged is the inner one, so that no spelling of an address gets another verdict than the address.
 *
 * Called by devices/net, devices/proxy and backend. Never does I/O, never allocates.
 */
#include "proto/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

enum { V4_BITS = 96, SUBNET_BITS = V4_BITS + 24, PREFIX6_BITS = 64, TEXT_MAX = 160, WORDS_MAX = 6 };

struct range {
	struct net_addr net;
	uint8_t prefix_len;
	uint8_t rule;
};

#define V4(a, b, c, d) {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}}

/* All that no setting opens. */
static const struct range built_in[] = {
	{V4(127, 0, 0, 0), V4_BITS + 8, RULE_LOOPBACK},
	{V4(0, 0, 0, 0), V4_BITS + 8, RULE_LOOPBACK}, /* 0.0.0.0 is this host, RFC 1122 */
	{{{0}}, 128, RULE_LOOPBACK},
	{{{[15] = 1}}, 128, RULE_LOOPBACK},
	{V4(169, 254, 0, 0), V4_BITS + 16, RULE_LINK_LOCAL},
	{{{0xfe, 0x80}}, 10, RULE_LINK_LOCAL},
	{{{0xfd, 0x00, 0x0e, 0xc2}}, 32, RULE_METADATA},	       /* AWS: instance data, time, pod identity */
	{{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54}}, 128, RULE_METADATA}, /* Google */
	{{{0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe}}, 128, RULE_METADATA}, /* Oracle */
	{V4(100, 100, 100, 200), 128, RULE_METADATA}, /* Alibaba */
	{V4(168, 63, 129, 16), 128, RULE_METADATA},   /* Azure's host agent */
	{V4(192, 0, 0, 192), 128, RULE_METADATA},     /* Oracle, classic */
	{V4(224, 0, 0, 0), V4_BITS + 4, RULE_RESERVED},
	{V4(240, 0, 0, 0), V4_BITS + 4, RULE_RESERVED},
	{{{0xff}}, 8, RULE_RESERVED},
};

static const char *const built_in_names[RULES_USER] = {
	[RULE_OWN] = "own-address",	      [RULE_HOST_ALIAS] = "host-alias", [RULE_HOST_ADDRESS] = "host-address",
	[RULE_LOOPBACK] = "loopback",	      [RULE_LINK_LOCAL] = "link-local", [RULE_METADATA] = "metadata",
	[RULE_RESERVED] = "reserved",	      [RULE_EGRESS] = "egress",
};

static bool same_bits(const struct net_addr *a, const struct net_addr *b, unsigned int n)
{
	unsigned int rest = n % 8;

	if (memcmp(a->byte, b->byte, n / 8))
		return false;
	return !rest || !((a->byte[n / 8] ^ b->byte[n / 8]) & (0xff << (8 - rest)));
}

bool rules_in_net(const struct net_addr *addr, const struct net_addr *net, unsigned int prefix_len)
{
	return prefix_len <= 128 && same_bits(addr, net, prefix_len);
}

bool rules_prefix_ok(const struct net_addr *addr, unsigned int prefix_len)
{
	if (prefix_len > 128)
		return false;
	for (unsigned int bit = prefix_len; bit < 128; bit++)
		if (addr->byte[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

/* The IPv4 address inside OUTER. Return: true with *RET. */
static bool inner_address(const struct net_addr *outer, struct net_addr *ret)
{
	static const struct {
		struct net_addr net;
		uint8_t prefix_len, at;
	} forms[] = {
		{{{0}}, 96, 12},				  /* compatible, RFC 4291 2.5.5.1 */
		{{{[8] = 0xff, 0xff}}, 96, 12},			  /* translated, RFC 2765 */
		{{{0x20, 0x02}}, 16, 2},			  /* 6to4, RFC 3056 */
		{{{0x00, 0x64, 0xff, 0x9b}}, 96, 12},		  /* NAT64, RFC 6052 */
		{{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}}, 48, 12}, /* NAT64, RFC 8215 */
	};
	static const struct net_addr unspecified, loopback = {{[15] = 1}};

	if (net_addr_equal(outer, &unspecified) || net_addr_equal(outer, &loopback))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (!same_bits(outer, &forms[i].net, forms[i].prefix_len))
			continue;
		*ret = net_addr4(be32_load(outer->byte + forms[i].at));
		return true;
	}
	return false;
}

static bool own_address(const struct rules *rules, const struct net_addr *addr)
{
	static const struct net_addr unset;

	if (net_addr_equal(addr, &rules->gateway4) || net_addr_equal(addr, &rules->gateway6))
		return !net_addr_equal(addr, &unset);
	if (net_addr_is_v4(addr))
		return net_addr_is_v4(&rules->subnet4) && same_bits(addr, &rules->subnet4, SUBNET_BITS);
	return !net_addr_equal(&rules->gateway6, &unset) && same_bits(addr, &rules->gateway6, PREFIX6_BITS);
}

static bool is_alias(const struct rules *rules, const struct net_addr *addr)
{
	static const struct net_addr unset;

	return (net_addr_equal(addr, &rules->alias4) || net_addr_equal(addr, &rules->alias6)) && !net_addr_equal(addr, &unset);
}

static bool is_host(const struct rules *rules, const struct net_addr *addr)
{
	for (size_t i = 0; i < rules->n_host_addrs && i < RULES_HOST_ADDRS_MAX; i++)
		if (net_addr_equal(addr, &rules->host_addrs[i]))
			return true;
	return false;
}

/* As the setting says. A ping names no port: it passes as soon as any port does. */
static bool host_allows(const struct rules *rules, enum rules_proto proto, uint16_t port)
{
	if (rules->host != RULES_HOST_PORTS || (proto == RULES_ECHO && rules->n_host_ports))
		return rules->host != RULES_HOST_NONE;
	for (size_t i = 0; i < rules->n_host_ports && i < RULES_HOST_PORTS_MAX; i++)
		if (port >= rules->host_ports[i].first && port <= rules->host_ports[i].last)
			return true;
	return false;
}

static const struct range *find_built_in(const struct net_addr *addr)
{
	for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
		if (same_bits(addr, &built_in[i].net, built_in[i].prefix_len))
			return &built_in[i];
	return NULL;
}

static bool rule_covers(const struct rules_user *rule, const struct net_addr *addr)
{
	/* A short IPv6 prefix is not meant for the mapped form, which is our spelling and nobody else's. */
	if (rule->prefix_len && rule->prefix_len < V4_BITS && net_addr_is_v4(addr))
		return false;
	return rules_in_net(addr, &rule->addr, rule->prefix_len);
}

/* The first of the user's rules about it, else the default; ONLY_DENY: allow rules and the default do not count.
 * Return: true when something was decided. */
static bool decide_user(const struct rules *rules, enum rules_proto proto, const struct net_addr *outer,
			const struct net_addr *addr, uint16_t port, bool only_deny, struct rules_verdict *ret)
{
	for (size_t i = 0; i < rules->n_user && i < RULES_USER_MAX; i++) {
		const struct rules_user *rule = &rules->user[i];

		if (!(rule->protocols & proto) || port < rule->ports.first || port > rule->ports.last)
			continue;
		if (!rule_covers(rule, addr) && (rule->allow || !rule_covers(rule, outer)))
			continue;
		if (only_deny && rule->allow)
			return false;
		ret->allow = rule->allow;
		ret->rule = RULES_USER + (unsigned int)i;
		return true;
	}
	if (only_deny)
		return false;
	ret->allow = rules->egress;
	ret->rule = RULE_EGRESS;
	return true;
}

/* The alias and the host's addresses: the setting, then deny rules. */
static void decide_host(const struct rules *rules, enum rules_proto proto, const struct net_addr *outer, const struct net_addr *addr,
			uint16_t port, unsigned int rule, struct rules_verdict *ret)
{
	static const struct net_addr loopback6 = {{[15] = 1}};

	ret->rule = rule;
	ret->to_host = true;
	ret->allow = host_allows(rules, proto, port);
	if (rule == RULE_HOST_ALIAS)
		ret->dial = net_addr_is_v4(addr) ? net_addr4(INADDR_LOOPBACK) : loopback6;
	if (ret->allow)
		decide_user(rules, proto, outer, addr, port, true, ret);
}

void rules_decide(const struct rules *rules, enum rules_proto proto, const struct net_addr *addr, uint16_t port,
		  struct rules_verdict *ret)
{
	struct net_addr judged = *addr;
	bool hidden = inner_address(addr, &judged);
	const struct range *range;

	*ret = (struct rules_verdict){.dial = *addr};
	if (is_alias(rules, &judged)) {
		/* Only its own spelling opens the host. */
		ret->rule = RULE_HOST_ALIAS;
		if (!hidden)
			decide_host(rules, proto, addr, &judged, port, RULE_HOST_ALIAS, ret);
		return;
	}
	if (own_address(rules, &judged)) {
		ret->rule = RULE_OWN;
		return;
	}
	range = find_built_in(&judged);
	if (!range)
		range = find_built_in(addr);
	if (range) {
		ret->rule = range->rule;
		return;
	}
	if (is_host(rules, &judged) || is_host(rules, addr))
		decide_host(rules, proto, addr, &judged, port, RULE_HOST_ADDRESS, ret);
	else
		decide_user(rules, proto, addr, &judged, port, false, ret);
}

/* Ranges closed to the guest in which a resolver of the host may live: a stub, or a cloud's own (Azure). */
static bool resolver_range(const struct range *range, const struct net_addr *addr)
{
	static const struct net_addr stub6 = {{[15] = 1}}, azure = V4(168, 63, 129, 16);

	if (range->rule == RULE_LOOPBACK)
		return net_addr_equal(addr, &stub6) || (net_addr_is_v4(addr) && addr->byte[12] == 127);
	return net_addr_equal(addr, &azure);
}

bool rules_resolver(const struct rules *rules, const struct net_addr *addr, uint16_t port)
{
	struct net_addr judged = *addr;
	struct rules_verdict verdict = {0};
	bool hidden = inner_address(addr, &judged);
	const struct range *range = find_built_in(&judged);

	if (!port || is_alias(rules, &judged) || own_address(rules, &judged) || (range && hidden) ||
	    (range && !resolver_range(range, &judged)))
		return false;
	if ((range || is_host(rules, &judged)) && port != 53)
		return false;
	decide_user(rules, RULES_UDP, addr, &judged, port, false, &verdict);
	return verdict.allow;
}

const char *rules_name(const struct rules *rules, unsigned int number)
{
	if (number < RULES_USER)
		return built_in_names[number];
	number -= RULES_USER;
	return number < rules->n_user && number < RULES_USER_MAX ? rules->user[number].name : "";
}

static bool name_ok(const char *name, size_t size)
{
	size_t len = strnlen(name, size);

	if (!len || len == size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-'))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(built_in_names); i++)
		if (!strcmp(name, built_in_names[i]))
			return false;
	return true;
}

bool rules_user_ok(const struct rules_user *rule)
{
	bool any_port = rule->ports.first == 0 && rule->ports.last == UINT16_MAX;

	if (!name_ok(rule->name, sizeof(rule->name)) || !rule->protocols || rule->protocols & ~RULES_ANY)
		return false;
	if (!rules_prefix_ok(&rule->addr, rule->prefix_len))
		return false;
	if (any_port)
		return true;
	return rule->protocols != RULES_ECHO && rule->ports.first && rule->ports.first <= rule->ports.last;
}

/* Return: NULL, or why TEXT is none. */
static const char *parse_address(struct rules_user *rule, char *text)
{
	char *slash = strchr(text, '/');
	unsigned int most = 128;
	struct in_addr v4;
	uint64_t len;

	if (!strcmp(text, "all")) {
		rule->prefix_len = 0;
		return NULL;
	}
	if (slash)
		*slash++ = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		rule->addr = net_addr4(ntohl(v4.s_addr));
		most = 32;
	} else if (inet_pton(AF_INET6, text, rule->addr.byte) != 1) {
		return "the address is neither IPv4 nor IPv6; names are not possible here";
	}
	len = most;
	if (slash && text_parse_u64(slash, most, &len) < 0)
		return "the prefix length is not a number, or too large";
	rule->prefix_len = (uint8_t)(len + 128 - most);
	if (!rule->prefix_len)
		return "::/0 is not possible: 'all' is every address, 2000::/3 the IPv6 Internet";
	if (!rules_prefix_ok(&rule->addr, rule->prefix_len))
		return "the address has bits beyond its prefix length";
	return NULL;
}

static const char *parse_ports(struct rules_user *rule, char *text)
{
	char *dash = strchr(text, '-');
	uint64_t first, last;

	if (rule->protocols == RULES_ECHO)
		return "icmp has no ports";
	if (dash)
		*dash++ = '\0';
	if (text_parse_u64(text, UINT16_MAX, &first) < 0 || !first)
		return "a port is a number from 1 to 65535, or two with '-' between";
	last = first;
	if (dash && (text_parse_u64(dash, UINT16_MAX, &last) < 0 || last < first))
		return "the second port is not a number from the first one to 65535";
	rule->ports = (struct rules_range){(uint16_t)first, (uint16_t)last};
	return NULL;
}

static const char *parse_name(struct rules_user *rule, const char *text)
{
	size_t len = strlen(text);

	if (len >= sizeof(rule->name))
		return "the name has more than 31 characters";
	memcpy(rule->name, text, len + 1);
	if (!name_ok(rule->name, sizeof(rule->name)))
		return "a name has the characters a-z, 0-9 and '-', and is not one of the built-in rules'";
	return NULL;
}

/* Return: number of words, WORDS_MAX + 1 when there are more. */
static size_t split(char *text, char *words[static WORDS_MAX])
{
	size_t n = 0;
	char *word;

	while ((word = strsep(&text, " \t"))) {
		if (!*word)
			continue;
		if (n == WORDS_MAX)
			return WORDS_MAX + 1;
		words[n++] = word;
	}
	return n;
}

static const char *parse(struct rules_user *rule, char *text)
{
	static const struct {
		const char *word;
		uint8_t protocols;
	} protocols[] = {{"tcp", RULES_TCP}, {"udp", RULES_UDP}, {"icmp", RULES_ECHO}, {"any", RULES_ANY}};
	char *words[WORDS_MAX];
	const char *bad = NULL;
	size_t n = split(text, words), at = 1;

	if (!n || (strcmp(words[0], "allow") && strcmp(words[0], "deny")))
		return "a rule begins with 'allow' or 'deny'";
	rule->allow = words[0][0] == 'a';
	for (size_t i = 0; i < ARRAY_SIZE(protocols) && at == 1 && n > 1; i++) {
		if (strcmp(words[1], protocols[i].word))
			continue;
		rule->protocols = protocols[i].protocols;
		at++;
		break;
	}
	if (at >= n)
		return "the rule names no address";
	bad = parse_address(rule, words[at++]);
	if (!bad && at < n && !text_after(words[at], "name="))
		bad = parse_ports(rule, words[at++]);
	if (!bad && at < n && text_after(words[at], "name="))
		bad = parse_name(rule, text_after(words[at++], "name="));
	if (!bad && at < n)
		bad = "there is something behind the rule's end: ACTION [PROTOCOL] ADDRESS[/LEN] [PORT[-PORT]] [name=NAME]";
	return bad;
}

int rules_parse(struct rules_user *ret, const char *text, unsigned int number, const char **reason)
{
	struct rules_user rule = {.protocols = RULES_ANY, .ports = {0, UINT16_MAX}};
	char copy[TEXT_MAX];
	size_t len = strnlen(text, TEXT_MAX);
	const char *bad;

	snprintf(rule.name, sizeof(rule.name), "rule-%u", number);
	if (len == TEXT_MAX) {
		*reason = "the rule is too long";
		return -EINVAL;
	}
	memcpy(copy, text, len + 1);
	bad = parse(&rule, copy);
	if (bad) {
		*reason = bad;
		return -EINVAL;
	}
	*ret = rule;
	return 0;
}
