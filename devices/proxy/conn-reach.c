/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn-reach: from a decided route to a connected server: lookup, rules again, dial, handshake with the user's proxy.
 *
 * What is dialled for a direct route are the addresses that the rules allowed, and nothing else. The user's own proxy is not asked
 * of the rules: it is the user's choice, not the guest's. Called by devices/proxy/conn. Never blocks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "devices/proxy/conn.h"
#include "devices/proxy/head.h"

enum { WAY_MAX = PROXYCTL_HOST_MAX + 160, REASON_SHOWN = 80 };

/* A failure of ours on the way, in words. */
static const char *in_words(int r)
{
	switch (r) {
	case -ENOENT:
		return "there is no such name, or it has no address";
	case -ETIMEDOUT:
		return "no answer in time";
	case -ENETUNREACH:
		return "the network is unreachable";
	case -EBUSY:
		return "too many names are being looked up";
	default:
		return strerror(-r);
	}
}

static void fail_way(struct conn *c, int r)
{
	char way[WAY_MAX], target[TARGET_TEXT_MAX];

	conn_way(c, way, sizeof(way));
	target_text(c->target.host, c->target.port, 0, target);
	conn_fail(c, r == -ETIMEDOUT ? 504 : 502, "cannot connect to %s %s: %s%s", target, way, in_words(r),
		  c->route.kind == ROUTE_DIRECT ? ". Is a proxy needed?" : "");
}

static void fail_lookup(struct conn *c, int r)
{
	char way[WAY_MAX];
	const char *name = c->lookup_is_upstream ? c->route.upstream.host : c->target.host;

	conn_way(c, way, sizeof(way));
	conn_fail(c, r == -ETIMEDOUT ? 504 : r == -EBUSY ? 503 : 502, "cannot connect %s: looking up %s: %s", way, name,
		  r == -ENETUNREACH ? "there is no resolver that may be asked" : in_words(r));
}

/* Talks to the upstream proxy, or is there. */
static void begin_handshake(struct conn *c)
{
	const struct proxyctl_upstream *u = &c->route.upstream;
	uint8_t out[SOCKS_OUT_MAX];
	char room[2048];
	struct bytes_writer w = bytes_writer(room, sizeof(room));
	int r;

	if (c->route.kind == ROUTE_DIRECT || (u->kind == PROXYCTL_HTTP && !c->target.connect)) {
		conn_reached(c);
		return;
	}
	if (u->kind == PROXYCTL_HTTP) {
		head_connect(&w, &c->target, &c->route);
		r = w.ok ? buffer_put(&c->server.out, room, w.off) : -EMSGSIZE;
		explicit_bzero(room, sizeof(room));
	} else {
		c->socks = (struct socks){.user = u->user, .password = u->password, .host = c->target.host, .port = c->target.port};
		if (c->target.is_addr)
			c->socks.addr = &c->target.addr;
		else if (u->kind == PROXYCTL_SOCKS5)
			c->socks.addr = &c->route.addr[0];
		r = buffer_put(&c->server.out, out, socks_start(&c->socks, out));
	}
	if (r < 0)
		conn_fail(c, 500, "out of memory");
	else
		c->state = CONN_HANDSHAKE; /* the deadline of the whole way goes on */
}

static void on_dial(void *data, int fd)
{
	struct conn *c = data;
	int r = fd;

	if (r >= 0)
		r = conn_add_server(c, fd);
	if (r < 0)
		fail_way(c, r);
	else
		begin_handshake(c);
	conn_run(c);
}

static void dial(struct conn *c, const struct net_addr *addrs, size_t n, uint16_t port)
{
	int r;

	c->state = CONN_DIAL;
	r = dial_start(&c->dial, c->proxy->loop, addrs, n, port, on_dial, c);
	if (r < 0)
		fail_way(c, r);
}

static void on_lookup(void *data, int r, const struct net_addr *addrs, size_t n);

/* The upstream's addresses are known: N of them. One that turns out to stand on this computer is as near to the host's loopback as
 * the host alias, so the target's name is judged after all (route_decide could only look at the upstream's name). */
static void dial_upstream(struct conn *c, const struct net_addr *addrs, size_t n)
{
	if (!c->target.is_addr && !c->route.looked_up && route_is_here(&c->proxy->rules, addrs, n, c->route.upstream.port)) {
		c->route.lookup = true;
		conn_reach(c);
		return;
	}
	dial(c, addrs, n, c->route.upstream.port);
}

/* The upstream's own address. */
static void find_upstream(struct conn *c)
{
	static const struct net_addr loopback6 = {{[15] = 1}};
	const struct proxyctl_upstream *u = &c->route.upstream;
	struct net_addr addrs[RESOLVE_ADDRS_MAX];
	size_t n = 1;
	int r = 1;

	c->lookup_is_upstream = true;
	if (!strcmp(u->host, "localhost")) {
		addrs[0] = net_addr4(INADDR_LOOPBACK);
		addrs[1] = loopback6;
		n = 2;
	} else if (!proxyctl_address_parse(u->host, &addrs[0])) {
		r = resolve_start(c->proxy->resolve, u->host, on_lookup, c, addrs, &n, &c->lookup);
	}
	if (r < 0)
		fail_lookup(c, r);
	else if (r)
		dial_upstream(c, addrs, n);
}

/* The target's name is known, or need not be. */
static void go_on(struct conn *c)
{
	if (c->route.kind == ROUTE_UPSTREAM)
		find_upstream(c);
	else if (c->route.kind == ROUTE_DIRECT)
		dial(c, c->route.addr, c->route.n_addrs, c->target.port);
}

static void on_target(struct conn *c, int r, const struct net_addr *addrs, size_t n)
{
	if (r == -ENETUNREACH && !c->proxy->rules.egress && c->route.lookup_needed) {
		/* Nobody may be asked, because nothing may leave: that is the reason to tell. */
		c->route.kind = ROUTE_REFUSED;
		c->route.rule = RULE_EGRESS;
		return;
	}
	/* Too many lookups at once are the guest's doing: nothing goes unjudged for that. */
	if (r < 0 && (c->route.lookup_needed || r == -EBUSY || r == -ENOMEM)) {
		fail_lookup(c, r);
		return;
	}
	route_judge(&c->proxy->rules, &c->target, addrs, r < 0 ? 0 : n, &c->route);
	go_on(c);
}

static void on_lookup(void *data, int r, const struct net_addr *addrs, size_t n)
{
	struct conn *c = data;

	c->lookup = NULL;
	if (!c->lookup_is_upstream)
		on_target(c, r, addrs, n);
	else if (r < 0)
		fail_lookup(c, r);
	else
		dial_upstream(c, addrs, n);
	if (c->route.kind == ROUTE_REFUSED)
		conn_refused(c);
	conn_run(c);
}

void conn_reach(struct conn *c)
{
	struct net_addr addrs[RESOLVE_ADDRS_MAX];
	size_t n = 0;
	int r;

	c->lookup_is_upstream = false;
	if (!c->route.lookup) {
		go_on(c);
		return;
	}
	c->route.looked_up = true;
	r = resolve_start(c->proxy->resolve, c->target.host, on_lookup, c, addrs, &n, &c->lookup);
	if (r)
		on_target(c, r, addrs, n);
}

static void fail_handshake(struct conn *c, const char *what)
{
	char way[WAY_MAX];

	conn_way(c, way, sizeof(way));
	conn_fail(c, 502, "no connection %s: %s", way, what);
}

/* The upstream's answer to CONNECT. Return: 0: not whole yet; 1: done with it, one way or the other. */
static int take_connect_answer(struct conn *c)
{
	static struct http_head head;
	struct buffer *in = &c->server.in;
	char way[WAY_MAX], reason[REASON_SHOWN];
	const char *why = "";
	size_t len = buffer_len(in);
	ssize_t n = http_response_decode(&head, in->data + in->start, len, true, &why);

	/* What speaks first in another protocol may never send an empty line. */
	if (!n && memcmp(in->data + in->start, "HTTP/", len < 5 ? len : 5)) {
		n = -EBADMSG;
		why = "it begins with something else";
	}
	if (!n && len < BUFFER_SIZE)
		return 0;
	conn_way(c, way, sizeof(way));
	if (n <= 0) {
		conn_fail(c, 502, "no connection %s: its answer is no HTTP: %s", way, n ? why : "the head is too long");
		return 1;
	}
	if (head.status >= 100 && head.status < 200 && head.status != 101) {
		buffer_take(in, (size_t)n);
		return buffer_len(in) ? take_connect_answer(c) : 0;
	}
	text_escape(reason, sizeof(reason), head.reason.p, head.reason.len);
	if (head.status == 407)
		conn_fail(c, 502, "no connection %s: the proxy %s (407 %s)", way,
			  c->route.upstream.user[0] ? "refused the user name or password" : "wants a user name "
					"and password", reason);
	else if (head.status < 200 || head.status > 299)
		conn_fail(c, 502, "no connection %s: the proxy answered %u %s", way, head.status, reason);
	else {
		buffer_take(in, (size_t)n);
		conn_reached(c);
	}
	return 1;
}

/* Return: as above. */
static int take_socks(struct conn *c)
{
	struct buffer *in = &c->server.in;
	uint8_t out[SOCKS_OUT_MAX];
	size_t taken, n_out;
	char way[WAY_MAX];
	const char *why = "";
	int r;

	do {
		r = socks_feed(&c->socks, (const uint8_t *)in->data + in->start, buffer_len(in), &taken, out, &n_out, &why);
		buffer_take(in, taken);
		if (r >= 0 && buffer_put(&c->server.out, out, n_out) < 0)
			r = -ENOMEM;
		explicit_bzero(out, n_out);
	} while (!r && taken && buffer_len(in));
	if (!r)
		return 0;
	if (r == SOCKS_E_DONE) {
		conn_reached(c);
		return 1;
	}
	conn_way(c, way, sizeof(way));
	conn_fail(c, r == -ETIMEDOUT ? 504 : 502, "no connection %s: %s", way, *why ? why : strerror(-r));
	return 1;
}

void conn_handshake(struct conn *c)
{
	for (;;) {
		int r = buffer_write(&c->server.out, c->server.fd);
		ssize_t n;

		if (r < 0 && r != -EAGAIN) {
			fail_way(c, r);
			return;
		}
		n = buffer_read(&c->server.in, c->server.fd);
		if (n == -EAGAIN && !c->server.hung_up)
			return;
		if (n <= 0) {
			fail_handshake(c, n && n != -EAGAIN ? strerror((int)-n) : "it closed the connection");
			return;
		}
		if (c->route.upstream.kind == PROXYCTL_HTTP ? take_connect_answer(c) : take_socks(c))
			return;
	}
}
