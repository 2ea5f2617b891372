/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netctl: codec of the frames between backend and network process; see netctl.h and docs/protocol/netctl.md.
 *
 * One row of the table per message type: direction, descriptors, and one function that walks over the body's fields, in
 * their order on the wire, and either reads or writes each. So both directions agree by construction, and every check holds for
 * both: what could not be decoded is not encoded. Called by backend and devices/net. Never does I/O, never allocates.
 */
#include "proto/netctl.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "proto/data-card.h"

struct walk {
	bool writing, ok;
	struct bytes_reader r;
	struct bytes_writer w;
};

typedef void (*walk_fn)(struct walk *w, struct netctl_message *m);

struct netctl_row {
	walk_fn walk; /* NULL: no such type */
	enum netctl_direction direction;
	size_t n_fds;
};

/* ---- fields */

static void need(struct walk *w, bool condition)
{
	w->ok = w->ok && condition;
}

static void f8(struct walk *w, uint8_t *v)
{
	if (w->writing)
		bytes_put8(&w->w, *v);
	else
		*v = bytes_get8(&w->r);
}

static void f16(struct walk *w, uint16_t *v)
{
	if (w->writing)
		bytes_put16(&w->w, *v);
	else
		*v = bytes_get16(&w->r);
}

static void f32(struct walk *w, uint32_t *v)
{
	if (w->writing)
		bytes_put32(&w->w, *v);
	else
		*v = bytes_get32(&w->r);
}

static void f64(struct walk *w, uint64_t *v)
{
	if (w->writing)
		bytes_put64(&w->w, *v);
	else
		*v = bytes_get64(&w->r);
}

static void fields(struct walk *w, uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		f64(w, &v[i]);
}

static void flag(struct walk *w, bool *v)
{
	uint8_t byte = *v;

	f8(w, &byte);
	need(w, byte <= 1);
	*v = byte == 1;
}

/* One byte, from FIRST to LAST. Return: the value. */
static unsigned int choice(struct walk *w, unsigned int v, unsigned int first, unsigned int last)
{
	uint8_t byte = v <= UINT8_MAX ? (uint8_t)v : UINT8_MAX;

	f8(w, &byte);
	need(w, byte >= first && byte <= last);
	return byte;
}

/* Number of entries that follow, at most MAX. Return: that number, 0 when it is wrong. */
static uint16_t count(struct walk *w, size_t n, size_t max)
{
	uint16_t v = n <= UINT16_MAX ? (uint16_t)n : UINT16_MAX;

	f16(w, &v);
	need(w, v <= max);
	return w->ok ? v : 0;
}

static void address(struct walk *w, struct net_addr *addr)
{
	const void *p;

	if (w->writing) {
		bytes_put(&w->w, addr->byte, sizeof(addr->byte));
		return;
	}
	p = bytes_get(&w->r, sizeof(addr->byte));
	if (p)
		memcpy(addr->byte, p, sizeof(addr->byte));
}

/* Text of SIZE bytes with its NUL, at most 256: a length byte and that many bytes, none of them NUL. */
static void text(struct walk *w, char *dst, size_t size)
{
	uint8_t len = 0;
	const void *p;

	if (w->writing) {
		size_t n = strnlen(dst, size);

		need(w, n < size);
		len = (uint8_t)n;
	}
	f8(w, &len);
	need(w, len < size);
	if (!w->ok)
		return;
	if (w->writing) {
		bytes_put(&w->w, dst, len);
		return;
	}
	p = bytes_get(&w->r, len);
	need(w, p != NULL && !memchr(p, 0, len));
	if (!w->ok)
		return;
	memcpy(dst, p, len);
	dst[len] = '\0';
}

bool netctl_name_ok(const char *name)
{
	size_t len = strnlen(name, NETCTL_DOMAIN_MAX), label = 0;

	if (!len || len > 253)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = name[i];

		if (c == '.' || !c) {
			if (!label || label > 63)
				return false;
			label = 0;
		} else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
			label++;
		} else {
			return false;
		}
	}
	return true;
}

static void name(struct walk *w, char dst[static NETCTL_DOMAIN_MAX])
{
	text(w, dst, NETCTL_DOMAIN_MAX);
	need(w, w->ok && netctl_name_ok(dst));
}

static bool is_unset(const struct net_addr *addr)
{
	static const struct net_addr unset6;
	struct net_addr unset4 = net_addr4(0);

	return net_addr_equal(addr, &unset6) || net_addr_equal(addr, &unset4);
}

static void server(struct walk *w, struct netctl_server *s)
{
	address(w, &s->addr);
	f16(w, &s->port);
	need(w, s->port && !is_unset(&s->addr));
}

/* 0 to 65535 is any port. */
static void range(struct walk *w, struct rules_range *range)
{
	f16(w, &range->first);
	f16(w, &range->last);
	need(w, range->first <= range->last);
}

/* ---- to the process */

static bool subnet_ok(uint32_t subnet)
{
	return !(subnet & 0xff) && (subnet >> 24 == 10 || subnet >> 20 == 0xac1 || subnet >> 16 == 0xc0a8);
}

static void walk_config(struct walk *w, struct netctl_message *m)
{
	struct netctl_config *c = &m->config;

	f32(w, &c->subnet);
	f16(w, &c->mtu);
	flag(w, &c->ipv6);
	c->dns_filter = choice(w, c->dns_filter, 0, NETCTL_DNS_FILTER_MAX - 1);
	fields(w, c->hash_key, ARRAY_SIZE(c->hash_key));
	need(w, subnet_ok(c->subnet) && c->mtu >= DATA_MTU_MIN && c->mtu <= DATA_MTU_MAX);
}

static void walk_rule(struct walk *w, struct rules_user *rule)
{
	text(w, rule->name, sizeof(rule->name));
	flag(w, &rule->allow);
	f8(w, &rule->protocols);
	f8(w, &rule->prefix_len);
	address(w, &rule->addr);
	range(w, &rule->ports);
	need(w, w->ok && rules_user_ok(rule));
}

static void walk_rules(struct walk *w, struct netctl_message *m)
{
	struct netctl_rules *rules = &m->rules;

	rules->host = choice(w, rules->host, RULES_HOST_NONE, RULES_HOST_PORTS);
	flag(w, &rules->egress);
	rules->n_host_ports = (uint8_t)count(w, rules->n_host_ports, RULES_HOST_PORTS_MAX);
	for (size_t i = 0; i < rules->n_host_ports; i++) {
		range(w, &rules->host_ports[i]);
		need(w, rules->host_ports[i].first != 0);
	}
	need(w, (rules->host == RULES_HOST_PORTS) == (rules->n_host_ports > 0));
	rules->n_user = count(w, rules->n_user, RULES_USER_MAX);
	for (size_t i = 0; i < rules->n_user; i++)
		walk_rule(w, &rules->user[i]);
}

static void walk_host_addrs(struct walk *w, struct netctl_message *m)
{
	m->host_addrs.n = count(w, m->host_addrs.n, RULES_HOST_ADDRS_MAX);
	for (size_t i = 0; i < m->host_addrs.n; i++) {
		address(w, &m->host_addrs.addr[i]);
		need(w, !is_unset(&m->host_addrs.addr[i]));
	}
}

static void walk_resolvers(struct walk *w, struct netctl_message *m)
{
	struct netctl_resolvers *r = &m->resolvers;

	r->n_servers = (uint8_t)count(w, r->n_servers, NETCTL_RESOLVERS_MAX);
	for (size_t i = 0; i < r->n_servers; i++)
		server(w, &r->servers[i]);
	r->n_domains = (uint8_t)count(w, r->n_domains, NETCTL_DOMAINS_MAX);
	for (size_t i = 0; i < r->n_domains; i++) {
		struct netctl_domain *domain = &r->domains[i];

		name(w, domain->name);
		domain->n_servers = (uint8_t)count(w, domain->n_servers, NETCTL_DOMAIN_SERVERS_MAX);
		need(w, domain->n_servers > 0);
		for (size_t k = 0; k < domain->n_servers; k++)
			server(w, &domain->servers[k]);
	}
	r->n_search = (uint8_t)count(w, r->n_search, NETCTL_SEARCH_MAX);
	for (size_t i = 0; i < r->n_search; i++)
		name(w, r->search[i]);
}

static void walk_hosts(struct walk *w, struct netctl_message *m)
{
	flag(w, &m->hosts.first);
	flag(w, &m->hosts.last);
	m->hosts.n = (uint8_t)count(w, m->hosts.n, NETCTL_HOSTS_PIECE_MAX);
	for (size_t i = 0; i < m->hosts.n; i++) {
		address(w, &m->hosts.entry[i].addr); /* any: 0.0.0.0 is common there */
		name(w, m->hosts.entry[i].name);
	}
}

static void walk_guest_nets(struct walk *w, struct netctl_message *m)
{
	m->guest_nets.n = count(w, m->guest_nets.n, NETCTL_NETS_MAX);
	for (size_t i = 0; i < m->guest_nets.n; i++) {
		struct netctl_net *net = &m->guest_nets.net[i];

		address(w, &net->addr);
		f8(w, &net->prefix_len);
		/* a network that holds a whole family would disguise every client */
		need(w, net->prefix_len > (net_addr_is_v4(&net->addr) ? 96 : 0) && rules_prefix_ok(&net->addr, net->prefix_len));
	}
}

static bool target_ok(const struct net_addr *addr)
{
	static const struct net_addr loopback6 = {{[15] = 1}};

	if (is_unset(addr) || net_addr_equal(addr, &loopback6))
		return false;
	if (net_addr_is_v4(addr))
		return addr->byte[12] && addr->byte[12] != 127 && addr->byte[12] < 224;
	return addr->byte[0] != 0xff;
}

static void walk_port(struct walk *w, struct netctl_message *m)
{
	f32(w, &m->port.id);
	flag(w, &m->port.udp);
	address(w, &m->port.target);
	f16(w, &m->port.target_port);
	address(w, &m->port.bound);
	f16(w, &m->port.bound_port);
	need(w, m->port.id && m->port.target_port && m->port.bound_port && target_ok(&m->port.target));
}

static void walk_port_remove(struct walk *w, struct netctl_message *m)
{
	f32(w, &m->port_remove.id);
	need(w, m->port_remove.id != 0);
}

static void walk_nothing(struct walk *w, struct netctl_message *m)
{
}

static void walk_capture(struct walk *w, struct netctl_message *m)
{
	f32(w, &m->capture.snap_len);
	f64(w, &m->capture.max_bytes);
	f32(w, &m->capture.max_ms);
	need(w, m->capture.snap_len >= NETCTL_SNAP_MIN && m->capture.snap_len <= NETCTL_SNAP_MAX && m->capture.max_bytes);
}

static void walk_get(struct walk *w, struct netctl_message *m)
{
	m->get.what = choice(w, m->get.what, NETCTL_GET_STATS, NETCTL_GET_MAX - 1);
	f32(w, &m->get.cursor);
}

/* ---- to the backend */

static void walk_ready(struct walk *w, struct netctl_message *m)
{
	f32(w, &m->ready.version);
}

static void walk_stats(struct walk *w, struct netctl_message *m)
{
	uint64_t values[sizeof(struct netctl_stats) / sizeof(uint64_t)];

	_Static_assert(sizeof(values) == sizeof(struct netctl_stats), "counters of 64 bits, nothing else");
	_Static_assert(sizeof(values) == 33 * sizeof(uint64_t), "a counter more or less: the page counts them too");
	memcpy(values, &m->stats, sizeof(values));
	fields(w, values, ARRAY_SIZE(values));
	memcpy(&m->stats, values, sizeof(values));
}

static void walk_flows(struct walk *w, struct netctl_message *m)
{
	f32(w, &m->flows.next);
	m->flows.n = count(w, m->flows.n, NETCTL_FLOWS_PIECE_MAX);
	for (size_t i = 0; i < m->flows.n; i++) {
		struct netctl_flow *flow = &m->flows.flow[i];

		f8(w, &flow->proto);
		f8(w, &flow->state);
		flag(w, &flow->inbound);
		address(w, &flow->guest);
		address(w, &flow->host);
		f16(w, &flow->guest_port);
		f16(w, &flow->host_port);
		f64(w, &flow->rx_bytes);
		f64(w, &flow->tx_bytes);
		f32(w, &flow->idle_ms);
		need(w, flow->proto == RULES_TCP || flow->proto == RULES_UDP || flow->proto == RULES_ECHO);
	}
}

static void walk_rule_counts(struct walk *w, struct netctl_message *m)
{
	m->rule_counts.n = count(w, m->rule_counts.n, RULES_MAX);
	for (size_t i = 0; i < m->rule_counts.n; i++) {
		f64(w, &m->rule_counts.allowed[i]);
		f64(w, &m->rule_counts.refused[i]);
	}
}

static void walk_port_counts(struct walk *w, struct netctl_message *m)
{
	f32(w, &m->port_counts.next);
	m->port_counts.n = count(w, m->port_counts.n, NETCTL_PORTS_PIECE_MAX);
	for (size_t i = 0; i < m->port_counts.n; i++) {
		struct netctl_port_count *port = &m->port_counts.port[i];

		f32(w, &port->id);
		f64(w, &port->connections);
		f64(w, &port->rx_bytes);
		f64(w, &port->tx_bytes);
		f64(w, &port->now);
		f64(w, &port->refused);
	}
}

static void printable(struct walk *w, const char *s)
{
	need(w, *s != '\0');
	for (; w->ok && *s; s++)
		need(w, *s > ' ' && *s < 0x7f);
}

static void walk_dns(struct walk *w, struct netctl_message *m)
{
	f32(w, &m->dns.next);
	m->dns.n = count(w, m->dns.n, NETCTL_DNS_PIECE_MAX);
	for (size_t i = 0; i < m->dns.n; i++) {
		struct netctl_dns_entry *entry = &m->dns.entry[i];

		text(w, entry->name, sizeof(entry->name));
		if (w->ok)
			printable(w, entry->name);
		f16(w, &entry->type);
		f8(w, &entry->rcode);
		f16(w, &entry->answers);
		f32(w, &entry->ttl_s);
		f32(w, &entry->hits);
	}
}

static void walk_capture_end(struct walk *w, struct netctl_message *m)
{
	m->capture_end.why = choice(w, m->capture_end.why, NETCTL_CAPTURE_LIMIT, NETCTL_CAPTURE_STOPPED);
	f64(w, &m->capture_end.bytes);
	f64(w, &m->capture_end.drops);
}

/* ---- the table */

static const struct netctl_row rows[NETCTL_TYPE_MAX] = {
	[NETCTL_CONFIG] = {walk_config, NETCTL_TO_NET, 0},
	[NETCTL_RULES] = {walk_rules, NETCTL_TO_NET, 0},
	[NETCTL_HOST_ADDRS] = {walk_host_addrs, NETCTL_TO_NET, 0},
	[NETCTL_RESOLVERS] = {walk_resolvers, NETCTL_TO_NET, 0},
	[NETCTL_HOSTS] = {walk_hosts, NETCTL_TO_NET, 0},
	[NETCTL_GUEST_NETS] = {walk_guest_nets, NETCTL_TO_NET, 0},
	[NETCTL_PORT_ADD] = {walk_port, NETCTL_TO_NET, 1},
	[NETCTL_PORT_REMOVE] = {walk_port_remove, NETCTL_TO_NET, 0},
	[NETCTL_PROXY] = {walk_nothing, NETCTL_TO_NET, 1},
	[NETCTL_CAPTURE] = {walk_capture, NETCTL_TO_NET, 1},
	[NETCTL_CAPTURE_STOP] = {walk_nothing, NETCTL_TO_NET, 0},
	[NETCTL_GET] = {walk_get, NETCTL_TO_NET, 0},
	[NETCTL_READY] = {walk_ready, NETCTL_TO_BACKEND, 0},
	[NETCTL_STATS] = {walk_stats, NETCTL_TO_BACKEND, 0},
	[NETCTL_FLOWS] = {walk_flows, NETCTL_TO_BACKEND, 0},
	[NETCTL_RULE_COUNTS] = {walk_rule_counts, NETCTL_TO_BACKEND, 0},
	[NETCTL_PORT_COUNTS] = {walk_port_counts, NETCTL_TO_BACKEND, 0},
	[NETCTL_DNS_CACHE] = {walk_dns, NETCTL_TO_BACKEND, 0},
	[NETCTL_CAPTURE_END] = {walk_capture_end, NETCTL_TO_BACKEND, 0},
};

static const struct netctl_row *row_of(unsigned int type)
{
	return type < ARRAY_SIZE(rows) && rows[type].walk ? &rows[type] : NULL;
}

int netctl_encode(const struct netctl_message *message, uint8_t dst[static NETCTL_FRAME_MAX])
{
	const struct netctl_row *row = row_of((unsigned int)message->type);
	struct walk w = {.writing = true, .ok = true, .w = bytes_writer(dst, NETCTL_FRAME_MAX)};
	struct netctl_message copy = *message; /* the walk writes fields back */

	if (!row)
		return trace(-EINVAL);
	bytes_put16(&w.w, (uint16_t)message->type);
	bytes_put16(&w.w, NETCTL_VERSION);
	bytes_put32(&w.w, 0);
	row->walk(&w, &copy);
	if (!w.ok)
		return trace(-EINVAL);
	if (!w.w.ok)
		return trace(-EMSGSIZE);
	le32_store(dst + 4, (uint32_t)(w.w.off - NETCTL_HEADER_SIZE));
	return (int)w.w.off;
}

int netctl_decode(struct netctl_message *ret, enum netctl_direction direction, const uint8_t *src, size_t len, size_t n_fds)
{
	struct walk w = {.ok = true, .r = bytes_reader(src, len)};
	struct netctl_message m = {0};
	uint16_t type = bytes_get16(&w.r), version = bytes_get16(&w.r);
	uint32_t body_len = bytes_get32(&w.r);
	const struct netctl_row *row = row_of(type);

	if (!w.r.ok || len > NETCTL_FRAME_MAX || version != NETCTL_VERSION || !row || row->direction != direction ||
	    row->n_fds != n_fds || body_len != len - NETCTL_HEADER_SIZE)
		return trace(-EBADMSG);
	m.type = type;
	row->walk(&w, &m);
	if (!w.ok || !w.r.ok || w.r.off != len)
		return trace(-EBADMSG);
	*ret = m;
	return 0;
}
