/* SPDX-License-Identifier: Apache-2.0 */
/* route: see the header. Called by devices/proxy; never does I/O, never allocates. */
#include "devices/proxy/route.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/data-card.h"

/* "*" is any run of bytes, "?" any one. */
static bool glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *mark = text;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++mark;
		} else {
			return false;
		}
	}
	pattern += strspn(pattern, "*");
	return !*pattern;
}

static bool ends_in(const char *host, const char *suffix)
{
	size_t host_len = strlen(host), len = strlen(suffix);

	return host_len > len && !strcmp(host + host_len - len, suffix);
}

static bool matches(const struct proxyctl_exclude *e, const struct target *t)
{
	size_t len = strlen(e->text);
	char name[PROXYCTL_HOST_MAX];

	if (e->port && e->port != t->port)
		return false;
	switch (e->kind) {
	case PROXYCTL_EXCLUDE_NET:
		return t->is_addr && rules_in_net(&t->addr, &e->addr, e->prefix_len);
	case PROXYCTL_EXCLUDE_LOCAL:
		return !t->is_addr && !strchr(t->host, '.');
	case PROXYCTL_EXCLUDE_GLOB:
		return glob_match(e->text, t->host);
	case PROXYCTL_EXCLUDE_SUFFIX:
		return !t->is_addr && ends_in(t->host, e->text);
	default:
		/* "corp.example." and "corp.example" are one name. */
		snprintf(name, sizeof(name), "%s", e->text);
		if (len && name[len - 1] == '.')
			name[--len] = '\0';
		if (!strcmp(t->host, name))
			return true;
		return !t->is_addr && ends_in(t->host, name) && t->host[strlen(t->host) - len - 1] == '.';
	}
}

const struct proxyctl_exclude *route_excluded(const struct proxyctl_settings *settings, const struct target *target)
{
	for (size_t i = 0; i < settings->n_excludes; i++)
		if (matches(&settings->exclude[i], target))
			return &settings->exclude[i];
	return NULL;
}

/* Keeps those of ADDRS that the rules allow. None: refused, by the rule that refused the first. */
static void judge(const struct rules *rules, const struct target *t, const struct net_addr *addrs, size_t n, struct route *route)
{
	bool first = true;

	route->n_addrs = 0;
	for (size_t i = 0; i < n && route->n_addrs < ROUTE_ADDRS_MAX; i++) {
		struct rules_verdict verdict;

		rules_decide(rules, RULES_TCP, &addrs[i], t->port, &verdict);
		if (verdict.allow)
			route->addr[route->n_addrs++] = verdict.dial;
		else if (first)
			route->rule = verdict.rule;
		first = first && verdict.allow;
	}
	if (!route->n_addrs)
		route->kind = ROUTE_REFUSED;
}

static bool is_set(const struct net_addr *addr)
{
	static const struct net_addr unset;

	return !net_addr_equal(addr, &unset);
}

/* Addresses of the names that our DNS answers itself, and of localhost, which in the VM is not the host. Return: their number. */
static size_t built_in(const struct rules *rules, const char *host, struct net_addr addrs[static 2])
{
	static const struct net_addr loopback6 = {{[15] = 1}};
	const struct net_addr *v6 = NULL;
	size_t n = 1;

	if (!strcmp(host, DATA_NAME_HOST) || !strcmp(host, DATA_NAME_KUBERNETES)) {
		addrs[0] = rules->alias4;
		v6 = &rules->alias6;
	} else if (!strcmp(host, DATA_NAME_GATEWAY) || !strcmp(host, DATA_NAME_PROXY)) {
		addrs[0] = rules->gateway4;
		v6 = &rules->gateway6;
	} else if (!strcmp(host, "localhost") || ends_in(host, ".localhost")) {
		addrs[0] = net_addr4(INADDR_LOOPBACK);
		v6 = &loopback6;
	} else {
		return 0;
	}
	if (is_set(v6))
		addrs[n++] = *v6;
	return n;
}

/* Could a rule refuse an address that is not looked at? */
static bool rules_matter(const struct rules *rules)
{
	return !rules->egress || rules->n_user;
}

bool route_is_here(const struct rules *rules, const struct net_addr *addrs, size_t n, uint16_t port)
{
	for (size_t i = 0; i < n; i++) {
		struct rules_verdict verdict;

		rules_decide(rules, RULES_TCP, &addrs[i], port, &verdict);
		if (verdict.to_host || verdict.rule == RULE_LOOPBACK)
			return true;
	}
	return false;
}

/* A proxy on this computer stands inside: what it dials is as near to the host's loopback as the host alias. */
static bool on_this_host(const struct rules *rules, const struct proxyctl_upstream *upstream)
{
	struct net_addr addr;

	if (!proxyctl_address_parse(upstream->host, &addr))
		return !strcmp(upstream->host, "localhost") || ends_in(upstream->host, ".localhost");
	return route_is_here(rules, &addr, 1, upstream->port);
}

static void set_direct(struct route *route, const char *why)
{
	route->kind = ROUTE_DIRECT;
	snprintf(route->why, sizeof(route->why), "%s", why);
}

static void describe_exclusion(struct route *route, const struct proxyctl_exclude *e)
{
	char text[PROXYCTL_HOST_MAX];

	snprintf(text, sizeof(text), "%s", e->kind == PROXYCTL_EXCLUDE_LOCAL ? "<local>" : e->text);
	if (e->kind == PROXYCTL_EXCLUDE_NET) {
		bool v4 = net_addr_is_v4(&e->addr) && e->prefix_len >= 96;

		inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? e->addr.byte + 12 : e->addr.byte, text, sizeof(text) - 8);
		snprintf(text + strlen(text), 8, "/%u", v4 ? e->prefix_len - 96 : e->prefix_len);
	}
	snprintf(route->why, sizeof(route->why), "excluded by \"%s\"", text);
}

void route_decide(const struct proxyctl_settings *settings, const struct rules *rules, const struct target *target,
		  struct route *ret)
{
	const struct proxyctl_upstream *upstream = target->connect ? &settings->https : &settings->http;
	const struct proxyctl_exclude *exclude;
	struct rules_verdict verdict = {0};
	struct net_addr addrs[2];
	size_t n = built_in(rules, target->host, addrs);

	memset(ret, 0, sizeof(*ret));
	if (n) {
		set_direct(ret, "a name of the VM's own network");
		judge(rules, target, addrs, n, ret);
		return;
	}
	if (target->is_addr) {
		rules_decide(rules, RULES_TCP, &target->addr, target->port, &verdict);
		set_direct(ret, verdict.to_host ? "the host itself" : upstream->source);
		judge(rules, target, &target->addr, 1, ret);
		if (ret->kind == ROUTE_REFUSED || verdict.to_host)
			return;
	}
	exclude = route_excluded(settings, target);
	if (exclude || upstream->kind == PROXYCTL_DIRECT) {
		set_direct(ret, upstream->source);
		if (exclude)
			describe_exclusion(ret, exclude);
		ret->lookup = ret->lookup_needed = !target->is_addr;
		return;
	}
	ret->kind = ROUTE_UPSTREAM;
	ret->upstream = *upstream;
	ret->lookup_needed = !target->is_addr && (upstream->kind == PROXYCTL_SOCKS5 || !rules->egress);
	ret->lookup = ret->lookup_needed || (!target->is_addr && (rules_matter(rules) || on_this_host(rules, upstream)));
}

/* One of the addresses is the alias or the host's own: what is dialled for it means nothing to another computer. */
static bool names_host(const struct rules *rules, const struct target *target, const struct net_addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct rules_verdict verdict;

		rules_decide(rules, RULES_TCP, &addrs[i], target->port, &verdict);
		if (verdict.allow && verdict.to_host)
			return true;
	}
	return false;
}

void route_judge(const struct rules *rules, const struct target *target, const struct net_addr *addrs, size_t n,
		struct route *route)
{
	enum route_kind kind = route->kind;
	size_t asked = n;

	route->lookup = false;
	if (!n && !route->lookup_needed)
		return;
	judge(rules, target, addrs, n, route);
	/* A SOCKS5 proxy is given an address, and would take "127.0.0.1" for itself. */
	if (kind == ROUTE_UPSTREAM && route->kind != ROUTE_REFUSED && route->upstream.kind == PROXYCTL_SOCKS5 &&
	    names_host(rules, target, addrs, n)) {
		set_direct(route, "the host itself");
		return;
	}
	/* Another resolver may give the upstream another of the name's addresses: all must be allowed. */
	if (kind == ROUTE_UPSTREAM && route->n_addrs < (asked < ROUTE_ADDRS_MAX ? asked : ROUTE_ADDRS_MAX)) {
		route->kind = ROUTE_REFUSED;
		route->n_addrs = 0;
	}
}
