/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve: theory of operation.
 *
 * One c-ares channel asks the ordinary servers, one more for each split domain; all are made before the jail shuts, because a
 * channel reads random bytes when it is made. Servers are replaced in place: what runs is cancelled, then asked again. c-ares opens
 * and closes sockets itself and tells which of them to watch. A name without a dot is tried with each search domain first.
 * c-ares may call back while it is being asked: such an answer is kept in the lookup and returned by resolve_start.
 */
#include "devices/proxy/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/error.h"

enum { CHANNELS = 1 + NETCTL_DOMAINS_MAX, WATCHES = 96, TIMEOUT_MS = 2500, TRIES = 2, DEFAULT_CHANNEL = 0 };

struct channel {
	struct resolve *resolve;
	ares_channel ares;
	size_t n_servers; /* in force */
};
struct watch {
	struct channel *channel;
	int fd;
	struct loop_source *source; /* NULL: free */
};
struct host {
	struct net_addr addr;
	char name[NETCTL_DOMAIN_MAX];
};
struct hosts {
	size_t n;
	struct host entry[NETCTL_HOSTS_MAX];
};

struct resolve {
	struct loop *loop;
	struct loop_source *timer;
	struct channel channel[CHANNELS];
	struct watch watch[WATCHES];
	struct netctl_resolvers resolvers;
	int family;
	bool changing;
	size_t n_lookups; /* made and not freed */
	struct lookup *lookups;
	struct hosts *hosts, *building; /* two tables, swapped when the last piece is there */
};

struct lookup {
	struct resolve *resolve; /* NULL: cancelled, waits for c-ares' call */
	struct resolve *owner;
	struct lookup *next, **link;
	lookup_fn fn;
	void *data;
	char name[NETCTL_DOMAIN_MAX];
	unsigned int attempt; /* search domains tried */
	bool starting, ended, waits;
	int r;
	size_t n;
	struct net_addr addr[RESOLVE_ADDRS_MAX];
};

static void arm(struct resolve *r)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < CHANNELS; i++) {
		struct timeval tv, *next = ares_timeout(r->channel[i].ares, NULL, &tv);
		uint64_t us;

		if (!next)
			continue;
		us = (uint64_t)next->tv_sec * 1000000 + (uint64_t)next->tv_usec;
		if (us < first)
			first = us;
	}
	(void)loop_timer_set(r->timer, first);
}

static int on_timer(void *data)
{
	struct resolve *r = data;

	for (size_t i = 0; i < CHANNELS; i++)
		ares_process_fd(r->channel[i].ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(r);
	return 0;
}

static int on_socket(void *data, int fd, uint32_t events)
{
	struct watch *w = data;
	struct resolve *r = w->channel->resolve;

	/* The watch may be gone after this. */
	ares_process_fd(w->channel->ares, events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? fd : ARES_SOCKET_BAD,
			events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	arm(r);
	return 0;
}

/* c-ares: FD is to be watched for these, or is about to be closed. */
static void on_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct channel *c = data;
	struct resolve *r = c->resolve;
	struct watch *w = NULL, *free_one = NULL;
	uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);

	for (size_t i = 0; i < WATCHES && !w; i++) {
		if (r->watch[i].source && r->watch[i].fd == fd)
			w = &r->watch[i];
		else if (!r->watch[i].source && !free_one)
			free_one = &r->watch[i];
	}
	if (!events) {
		if (w)
			w->source = loop_source_free(w->source);
		return;
	}
	if (w) {
		(void)loop_source_set_events(w->source, events);
		return;
	}
	/* No room: the question times out. */
	if (!free_one)
		return;
	*free_one = (struct watch){.channel = c, .fd = fd};
	(void)loop_add_fd(r->loop, fd, events, on_socket, free_one, &free_one->source);
}

static int make_channel(struct resolve *r, struct channel *c)
{
	/* Everything is given, so that c-ares has no reason to look for a file. */
	static char lookups[] = "b";
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = TIMEOUT_MS,
		.tries = TRIES,
		.ndots = 1,
		.lookups = lookups,
		.sock_state_cb = on_state,
		.sock_state_cb_data = c,
	};
	struct in_addr none = {htonl(INADDR_LOOPBACK)};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_LOOKUPS |
		   ARES_OPT_SOCK_STATE_CB | ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_NOROTATE;

	options.servers = &none; /* nobody is asked while n_servers is 0 */
	options.nservers = 1;
	c->resolve = r;
	return ares_init_options(&c->ares, &options, mask) == ARES_SUCCESS ? 0 : trace(-ENOMEM);
}

int resolve_new(struct loop *loop, struct resolve **ret)
{
	struct resolve *r = calloc(1, sizeof(*r));
	int code;

	if (!r)
		return trace(-ENOMEM);
	r->loop = loop;
	r->family = AF_UNSPEC;
	r->hosts = calloc(1, sizeof(*r->hosts));
	r->building = calloc(1, sizeof(*r->building));
	code = r->hosts && r->building ? loop_add_timer(loop, on_timer, r, &r->timer) : -ENOMEM;
	if (code >= 0 && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		code = -ENOMEM;
	for (size_t i = 0; i < CHANNELS && code >= 0; i++)
		code = make_channel(r, &r->channel[i]);
	if (code < 0) {
		resolve_free(r);
		return trace(code);
	}
	*ret = r;
	return 0;
}

static void lookup_free(struct lookup *l)
{
	if (l->link) {
		*l->link = l->next;
		if (l->next)
			l->next->link = l->link;
	}
	l->owner->n_lookups--;
	free(l);
}

struct resolve *resolve_free(struct resolve *r)
{
	if (!r)
		return NULL;
	for (struct lookup *l = r->lookups; l; l = l->next)
		l->resolve = NULL;
	for (size_t i = 0; i < CHANNELS; i++)
		if (r->channel[i].ares)
			ares_destroy(r->channel[i].ares);
	for (size_t i = 0; i < WATCHES; i++)
		r->watch[i].source = loop_source_free(r->watch[i].source);
	r->timer = loop_source_free(r->timer);
	free(r->hosts);
	free(r->building);
	free(r);
	return NULL;
}

/* Return: how many of the servers the rules allow; they are in force then. */
static size_t set_servers(struct channel *c, const struct netctl_server *servers, size_t n, const struct rules *rules)
{
	struct ares_addr_port_node node[NETCTL_RESOLVERS_MAX] = {0};
	size_t used = 0;

	for (size_t i = 0; i < n && used < ARRAY_SIZE(node); i++) {
		struct ares_addr_port_node *a = &node[used];

		if (!rules_resolver(rules, &servers[i].addr, servers[i].port))
			continue;
		a->family = net_addr_is_v4(&servers[i].addr) ? AF_INET : AF_INET6;
		if (a->family == AF_INET)
			memcpy(&a->addr.addr4, servers[i].addr.byte + 12, 4);
		else
			memcpy(&a->addr.addr6, servers[i].addr.byte, 16);
		a->udp_port = a->tcp_port = servers[i].port;
		if (used)
			node[used - 1].next = a;
		used++;
	}
	if (used && ares_set_servers_ports(c->ares, node) != ARES_SUCCESS)
		used = 0;
	return used;
}

static bool below(const char *name, const char *domain)
{
	size_t len = strlen(name), n = strlen(domain);

	return len >= n && !strcasecmp(name + len - n, domain) && (len == n || name[len - n - 1] == '.');
}

/* The channel that NAME belongs to: of the longest domain. */
static struct channel *channel_of(struct resolve *r, const char *name)
{
	size_t best = DEFAULT_CHANNEL, best_len = 0;

	for (size_t i = 0; i < r->resolvers.n_domains; i++) {
		size_t len = strlen(r->resolvers.domains[i].name);

		if (!below(name, r->resolvers.domains[i].name) || len < best_len)
			continue;
		best = i + 1;
		best_len = len;
	}
	return &r->channel[best];
}

static size_t find_host(const struct resolve *r, const char *name, struct net_addr addrs[static RESOLVE_ADDRS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < r->hosts->n && n < RESOLVE_ADDRS_MAX; i++) {
		const struct host *h = &r->hosts->entry[i];
		int family = net_addr_is_v4(&h->addr) ? AF_INET : AF_INET6;

		if (!strcasecmp(h->name, name) && (r->family == AF_UNSPEC || r->family == family))
			addrs[n++] = h->addr;
	}
	return n;
}

static int code_of(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME:
		return -ENOENT;
	case ARES_ETIMEOUT:
	case ARES_ECONNREFUSED:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

static void ask(struct lookup *l);

static void end_lookup(struct lookup *l, int r)
{
	l->r = r;
	l->ended = true;
	if (l->starting)
		return;
	l->fn(l->data, r, l->addr, l->n);
	lookup_free(l);
}

static void take_addresses(struct lookup *l, const struct ares_addrinfo *res)
{
	for (const struct ares_addrinfo_node *n = res->nodes; n && l->n < RESOLVE_ADDRS_MAX; n = n->ai_next) {
		if (n->ai_family == AF_INET)
			l->addr[l->n++] = net_addr4(ntohl(((const struct sockaddr_in *)(const void *)n->ai_addr)->sin_addr.s_addr));
		else if (n->ai_family == AF_INET6)
			memcpy(l->addr[l->n++].byte, &((const struct sockaddr_in6 *)(const void *)n->ai_addr)->sin6_addr, 16);
	}
}

static void on_answer(void *data, int status, int timeouts, struct ares_addrinfo *res)
{
	struct lookup *l = data;

	if (status == ARES_SUCCESS && l->resolve)
		take_addresses(l, res);
	if (res)
		ares_freeaddrinfo(res);
	if (!l->resolve) {
		lookup_free(l);
		return;
	}
	if (status == ARES_ECANCELLED && l->resolve->changing) {
		l->waits = true;
		return;
	}
	if (l->n) {
		end_lookup(l, 0);
		return;
	}
	if ((status == ARES_ENOTFOUND || status == ARES_ENODATA) && !strchr(l->name, '.') &&
	    l->attempt < l->resolve->resolvers.n_search) {
		l->attempt++;
		ask(l);
		return;
	}
	end_lookup(l, code_of(status == ARES_SUCCESS ? ARES_ENODATA : status));
}

/* Asks for the name of this attempt: with search domain ATTEMPT, the name alone after the last. */
static void ask(struct lookup *l)
{
	struct resolve *r = l->resolve;
	struct ares_addrinfo_hints hints = {.ai_family = r->family};
	char name[2 * NETCTL_DOMAIN_MAX];
	struct channel *c;

	if (!strchr(l->name, '.') && l->attempt < r->resolvers.n_search)
		snprintf(name, sizeof(name), "%s.%s", l->name, r->resolvers.search[l->attempt]);
	else
		snprintf(name, sizeof(name), "%s", l->name);
	/* The servers are being replaced, which a question under way would prevent: resolve_servers asks. */
	if (r->changing) {
		l->waits = true;
		return;
	}
	c = channel_of(r, name);
	if (!c->n_servers) {
		end_lookup(l, -ENETUNREACH);
		return;
	}
	ares_getaddrinfo(c->ares, name, NULL, &hints, on_answer, l);
}

static struct lookup *first_waiting(struct resolve *r)
{
	struct lookup *l = r->lookups;

	while (l && !l->waits)
		l = l->next;
	return l;
}

void resolve_servers(struct resolve *r, const struct netctl_resolvers *resolvers, const struct rules *rules,
		     enum netctl_dns_filter filter)
{
	struct lookup *l;

	r->changing = true;
	for (size_t i = 0; i < CHANNELS; i++)
		ares_cancel(r->channel[i].ares);
	r->resolvers = *resolvers;
	r->family = filter == NETCTL_DNS_NO_A ? AF_INET6 : filter == NETCTL_DNS_NO_AAAA ? AF_INET : AF_UNSPEC;
	r->channel[DEFAULT_CHANNEL].n_servers = set_servers(&r->channel[DEFAULT_CHANNEL], resolvers->servers,
			resolvers->n_servers, rules);
	for (size_t i = 0; i < resolvers->n_domains && i < NETCTL_DOMAINS_MAX; i++)
		r->channel[i + 1].n_servers =
			set_servers(&r->channel[i + 1], resolvers->domains[i].servers, resolvers->domains[i].n_servers, rules);
	r->changing = false;
	/* From the start each time: an answer's receiver may end or begin any lookup. */
	while ((l = first_waiting(r))) {
		l->waits = false;
		l->attempt = 0;
		ask(l);
	}
	arm(r);
}

void resolve_hosts(struct resolve *r, const struct netctl_hosts *piece)
{
	struct hosts *b = r->building;

	if (piece->first)
		b->n = 0;
	for (size_t i = 0; i < piece->n && b->n < NETCTL_HOSTS_MAX; i++, b->n++) {
		b->entry[b->n].addr = piece->entry[i].addr;
		memcpy(b->entry[b->n].name, piece->entry[i].name, NETCTL_DOMAIN_MAX);
	}
	if (!piece->last)
		return;
	r->building = r->hosts;
	r->hosts = b;
}

int resolve_start(struct resolve *r, const char *name, lookup_fn fn, void *data, struct net_addr addrs[static RESOLVE_ADDRS_MAX],
		  size_t *ret_n, struct lookup **ret_lookup)
{
	struct lookup *l;
	size_t n = find_host(r, name, addrs);
	int code;

	if (n) {
		*ret_n = n;
		return 1;
	}
	if (strlen(name) >= NETCTL_DOMAIN_MAX)
		return -ENOENT;
	if (r->n_lookups >= RESOLVE_LOOKUPS_MAX)
		return -EBUSY;
	l = calloc(1, sizeof(*l));
	if (!l)
		return trace(-ENOMEM);
	r->n_lookups++;
	*l = (struct lookup){.resolve = r, .owner = r, .fn = fn, .data = data, .starting = true};
	memcpy(l->name, name, strlen(name) + 1);
	ask(l);
	arm(r);
	l->starting = false;
	if (!l->ended) {
		l->next = r->lookups;
		l->link = &r->lookups;
		if (l->next)
			l->next->link = &l->next;
		r->lookups = l;
		*ret_lookup = l;
		return 0;
	}
	code = l->r;
	if (code >= 0) {
		memcpy(addrs, l->addr, l->n * sizeof(*addrs));
		*ret_n = l->n;
		code = 1;
	}
	lookup_free(l);
	return code;
}

struct lookup *lookup_cancel(struct lookup *lookup)
{
	if (!lookup)
		return NULL;
	/* c-ares cannot forget one question: its answer is dropped when it comes. */
	if (lookup->waits)
		lookup_free(lookup);
	else
		lookup->resolve = NULL;
	return NULL;
}
