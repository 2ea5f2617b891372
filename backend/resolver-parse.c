/* SPDX-License-Identifier: Apache-2.0 */
/* resolver-parse: see the header. Words are cut out of the text by position; nothing is changed in place. */
#include "backend/resolver-parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "proto/netctl.h"

enum { ADDRESS_TEXT_MAX = 64, PORT_DNS = 53 };

/* A piece of text that is walked through. */
struct slice {
	const char *p, *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static struct slice next_line(struct slice *text)
{
	const char *end = memchr(text->p, '\n', (size_t)(text->end - text->p));
	struct slice line = {text->p, end ? end : text->end};

	text->p = end ? end + 1 : text->end;
	return line;
}

/* Return: the next word of LINE, empty at its end. */
static struct slice next_word(struct slice *line)
{
	struct slice word;

	while (line->p < line->end && is_blank(*line->p))
		line->p++;
	word.p = line->p;
	while (line->p < line->end && !is_blank(*line->p))
		line->p++;
	word.end = line->p;
	return word;
}

static bool is_word(struct slice word, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(word.end - word.p) == len && !memcmp(word.p, text, len);
}

/* WORD as a string. Return: false when it is longer or has a NUL in it. */
static bool copy_word(char *dst, size_t size, struct slice word)
{
	size_t len = (size_t)(word.end - word.p);

	if (len >= size || memchr(word.p, 0, len))
		return false;
	memcpy(dst, word.p, len);
	dst[len] = '\0';
	return true;
}

static bool parse_address(struct net_addr *ret, const char *text)
{
	struct in_addr in4;
	struct in6_addr in6;

	if (inet_pton(AF_INET, text, &in4) == 1) {
		*ret = net_addr4(ntohl(in4.s_addr));
		return true;
	}
	/* An address with a scope ("fe80::1%eth0") fails here. */
	if (inet_pton(AF_INET6, text, &in6) != 1)
		return false;
	memcpy(ret->byte, in6.s6_addr, sizeof(ret->byte));
	return true;
}

static bool word_address(struct net_addr *ret, struct slice word)
{
	char text[ADDRESS_TEXT_MAX];

	return copy_word(text, sizeof(text), word) && parse_address(ret, text);
}

/* Lower case, without trailing dot. Return: false when it is not a name of a host. */
static bool word_name(char dst[static NETCTL_DOMAIN_MAX], struct slice word)
{
	if (word.end > word.p && word.end[-1] == '.')
		word.end--;
	if (!copy_word(dst, NETCTL_DOMAIN_MAX, word))
		return false;
	for (char *c = dst; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	return netctl_name_ok(dst);
}

static bool is_multicast(const struct net_addr *addr)
{
	return net_addr_is_v4(addr) ? addr->byte[12] >= 224 : addr->byte[0] == 0xff;
}

static bool is_link_local(const struct net_addr *addr)
{
	return net_addr_is_v4(addr) ? addr->byte[12] == 169 && addr->byte[13] == 254 :
				      addr->byte[0] == 0xfe && (addr->byte[1] & 0xc0) == 0x80;
}

static bool is_loopback(const struct net_addr *addr)
{
	static const struct net_addr loopback6 = {{[15] = 1}};

	return net_addr_is_v4(addr) ? addr->byte[12] == 127 : net_addr_equal(addr, &loopback6);
}

static bool is_unspecified(const struct net_addr *addr)
{
	static const struct net_addr any6;

	return net_addr_is_v4(addr) ? !addr->byte[12] : net_addr_equal(addr, &any6);
}

/* A server that can be asked: not a group, not nobody, nothing that means another thing on each link. */
static bool is_server(const struct net_addr *addr)
{
	return !is_multicast(addr) && !is_link_local(addr) && !is_unspecified(addr);
}

static void parse_nameserver(struct netctl_resolvers *ret, struct resolver_skipped *skipped, struct slice word)
{
	struct net_addr addr;

	if (!word_address(&addr, word) || !is_server(&addr)) {
		skipped->bad++;
		return;
	}
	for (unsigned int i = 0; i < ret->n_servers; i++)
		if (net_addr_equal(&ret->servers[i].addr, &addr))
			return;
	if (ret->n_servers == NETCTL_RESOLVERS_MAX)
		skipped->too_many++;
	else
		ret->servers[ret->n_servers++] = (struct netctl_server){.addr = addr, .port = PORT_DNS};
}

/* The last such line counts. */
static void parse_search(struct netctl_resolvers *ret, struct resolver_skipped *skipped, struct slice line, unsigned int max)
{
	struct slice word;

	memset(ret->search, 0, sizeof(ret->search));
	ret->n_search = 0;
	while (word = next_word(&line), word.p < word.end && max--) {
		char name[NETCTL_DOMAIN_MAX] = "";

		if (is_word(word, "."))
			continue;
		if (!word_name(name, word))
			skipped->bad++;
		else if (ret->n_search == NETCTL_SEARCH_MAX)
			skipped->too_many++;
		else
			memcpy(ret->search[ret->n_search++], name, strlen(name) + 1);
	}
}

void resolver_parse_conf(struct netctl_resolvers *ret, struct resolver_skipped *skipped, const char *text, size_t len)
{
	struct slice rest = {text, text + len};

	memset(ret, 0, sizeof(*ret));
	*skipped = (struct resolver_skipped){0};
	while (rest.p < rest.end) {
		struct slice line = next_line(&rest), key;

		/* A keyword stands at the start of its line. */
		if (line.p == line.end || is_blank(*line.p) || *line.p == '#' || *line.p == ';')
			continue;
		key = next_word(&line);
		if (is_word(key, "nameserver"))
			parse_nameserver(ret, skipped, next_word(&line));
		else if (is_word(key, "search"))
			parse_search(ret, skipped, line, UINT32_MAX);
		else if (is_word(key, "domain"))
			parse_search(ret, skipped, line, 1);
	}
}

/* NAME is ZONE or below it. */
static bool in_zone(const char *name, const char *zone)
{
	size_t n = strlen(name), z = strlen(zone);

	return n >= z && !strcmp(name + n - z, zone) && (n == z || name[n - z - 1] == '.');
}

/* Names that mean whoever looks them up. */
static bool is_self(const char *name)
{
	static const char *const zones[] = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "localhost4",
					    "localhost6", "localhost4.localdomain4", "localhost6.localdomain6"};

	for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
		if (in_zone(name, zones[i]))
			return true;
	return false;
}

/* One line of hosts(5) into PIECES, of which *N entries are filled. */
static void parse_hosts_line(struct netctl_hosts *pieces, size_t *n, struct resolver_skipped *skipped, struct slice line)
{
	const char *comment = memchr(line.p, '#', (size_t)(line.end - line.p));
	struct net_addr addr;
	struct slice word;

	if (comment)
		line.end = comment;
	word = next_word(&line);
	if (word.p == word.end)
		return;
	if (!word_address(&addr, word) || is_multicast(&addr) || is_link_local(&addr)) {
		skipped->bad++;
		return;
	}
	while (word = next_word(&line), word.p < word.end) {
		struct netctl_hosts *piece = &pieces[*n / NETCTL_HOSTS_PIECE_MAX];
		char name[NETCTL_DOMAIN_MAX] = "";

		if (!word_name(name, word)) {
			skipped->bad++;
		} else if (is_self(name)) {
			continue;
		} else if (*n == NETCTL_HOSTS_MAX) {
			skipped->too_many++;
		} else {
			piece->entry[piece->n].addr = addr;
			memcpy(piece->entry[piece->n].name, name, strlen(name) + 1);
			piece->n++;
			++*n;
		}
	}
}

size_t resolver_parse_hosts(struct netctl_hosts pieces[static RESOLVER_PIECES_MAX], struct resolver_skipped *skipped,
			    const char *text, size_t len)
{
	struct slice rest = {text, text + len};
	size_t n = 0, n_pieces;

	memset(pieces, 0, RESOLVER_PIECES_MAX * sizeof(*pieces));
	*skipped = (struct resolver_skipped){0};
	while (rest.p < rest.end)
		parse_hosts_line(pieces, &n, skipped, next_line(&rest));
	n_pieces = n ? (n + NETCTL_HOSTS_PIECE_MAX - 1) / NETCTL_HOSTS_PIECE_MAX : 1;
	pieces[0].first = true;
	pieces[n_pieces - 1].last = true;
	return n_pieces;
}

static int refuse(const char **reason, const char *sentence)
{
	*reason = sentence;
	return -EINVAL;
}

/* Cuts "ADDRESS", "ADDRESS:PORT", "[ADDRESS]:PORT" in two; *RET_PORT is empty when there is none. */
static bool split_port(struct slice text, struct slice *ret_address, struct slice *ret_port)
{
	const char *colon = memchr(text.p, ':', (size_t)(text.end - text.p)), *close;

	*ret_address = text;
	*ret_port = (struct slice){text.end, text.end};
	if (text.p < text.end && *text.p == '[') {
		close = memchr(text.p, ']', (size_t)(text.end - text.p));
		if (!close || (close + 1 < text.end && close[1] != ':') || close + 2 == text.end)
			return false;
		*ret_address = (struct slice){text.p + 1, close};
		if (close + 1 < text.end)
			ret_port->p = close + 2;
		return memchr(text.p, ':', (size_t)(close - text.p));
	}
	/* Two colons: an IPv6 address without a port. */
	if (!colon || memchr(colon + 1, ':', (size_t)(text.end - colon - 1)))
		return true;
	*ret_address = (struct slice){text.p, colon};
	ret_port->p = colon + 1;
	return colon + 1 < text.end;
}

static int parse_server(struct slice text, struct netctl_server *ret, const char **reason)
{
	struct slice address, port;
	uint64_t number = PORT_DNS;
	struct net_addr addr;
	char digits[8];

	if (!split_port(text, &address, &port) || memchr(address.p, '%', (size_t)(address.end - address.p)))
		return refuse(reason, "a DNS server is written as 10.0.0.1, 10.0.0.1:5353, fd00::1 or [fd00::1]:5353; scopes (%eth0) are "
				      "not supported");
	if (!word_address(&addr, address))
		return refuse(reason, "a DNS server is an IP address, optionally with a port");
	if (port.p < port.end && (!copy_word(digits, sizeof(digits), port) || text_parse_u64(digits, UINT16_MAX, &number) < 0 || !number))
		return refuse(reason, "the port of a DNS server is a number from 1 to 65535");
	if (!is_server(&addr))
		return refuse(reason, "a DNS server cannot be an unspecified, multicast or link-local address");
	if (is_loopback(&addr) && number != PORT_DNS)
		return refuse(reason, "a DNS server on the host's loopback is used on port 53 only");
	*ret = (struct netctl_server){.addr = addr, .port = (uint16_t)number};
	return 0;
}

int resolver_parse_server(const char *text, struct netctl_server *ret, const char **reason)
{
	return parse_server((struct slice){text, text + strlen(text)}, ret, reason);
}

int resolver_parse_domain(const char *text, struct netctl_domain *ret, const char **reason)
{
	struct slice rest = {text, text + strlen(text)};
	const char *equals = strchr(text, '=');
	struct netctl_domain domain = {.n_servers = 0};

	if (!equals)
		return refuse(reason, "a DNS domain is written as corp.example=10.0.0.1,10.0.0.2:5353");
	if (!word_name(domain.name, (struct slice){text, equals}))
		return refuse(reason, "a DNS domain is a name of letters, digits, '-', '_' and dots");
	if (in_zone(domain.name, "docker.internal") || is_self(domain.name))
		return refuse(reason, "docker.internal and localhost are answered by Caisson itself");
	rest.p = equals + 1;
	do {
		const char *comma = memchr(rest.p, ',', (size_t)(rest.end - rest.p));
		struct slice word = {rest.p, comma ? comma : rest.end};
		int r;

		if (domain.n_servers == NETCTL_DOMAIN_SERVERS_MAX)
			return refuse(reason, "a DNS domain has at most 4 servers");
		r = parse_server(word, &domain.servers[domain.n_servers], reason);
		if (r < 0)
			return r;
		domain.n_servers++;
		rest.p = comma ? comma + 1 : NULL;
	} while (rest.p);
	*ret = domain;
	return 0;
}
