/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxyctl: codec of the frames between backend and proxy; see proxyctl.h and docs/protocol/proxyctl.md.
 *
 * Texts travel with their length and are checked on both sides: what the proxy would write into a head, a log line or a name
 * query cannot contain a byte that means something there. Called by backend and devices/proxy. Never does I/O, never allocates.
 */
#include "proto/proxyctl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"

enum { LABEL_MAX = 63, V4_BITS = 96 };

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* LABEL is what an address parser would take for a number: "1", "0x7f". */
static bool is_number(const char *label, size_t len)
{
	size_t i = 0;

	if (len >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X')) {
		for (i = 2; i < len; i++)
			if (!((label[i] >= '0' && label[i] <= '9') || ((label[i] | 32) >= 'a' && (label[i] | 32) <= 'f')))
				return false;
		return true;
	}
	for (i = 0; i < len; i++)
		if (label[i] < '0' || label[i] > '9')
			return false;
	return true;
}

bool proxyctl_name_ok(const char *host)
{
	size_t len = strnlen(host, PROXYCTL_HOST_MAX), start = 0;

	if (!len || len == PROXYCTL_HOST_MAX)
		return false;
	if (host[len - 1] == '.')
		len--;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && !is_name_byte(host[i]))
			return false;
		if (i < len && host[i] != '.')
			continue;
		if (i == start || i - start > LABEL_MAX)
			return false;
		if (i == len && is_number(host + start, i - start))
			return false;
		start = i + 1;
	}
	return len > 0;
}

bool proxyctl_address_parse(const char *host, struct net_addr *ret)
{
	struct in_addr v4;
	struct net_addr addr;

	if (inet_pton(AF_INET, host, &v4) == 1) {
		*ret = net_addr4(ntohl(v4.s_addr));
		return true;
	}
	if (inet_pton(AF_INET6, host, addr.byte) != 1)
		return false;
	*ret = addr;
	return true;
}

static bool host_ok(const char *host)
{
	struct net_addr addr;

	return proxyctl_name_ok(host) || proxyctl_address_parse(host, &addr);
}

/* Printable ASCII: for a log line and a page. */
static bool source_ok(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

static bool pattern_ok(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!is_name_byte(*text) && !strchr("*?:[]", *text))
			return false;
	return true;
}

static bool upstream_ok(const struct proxyctl_upstream *u)
{
	if ((unsigned int)u->kind >= PROXYCTL_KIND_MAX || !source_ok(u->source))
		return false;
	if (u->kind == PROXYCTL_DIRECT)
		return !u->host[0] && !u->port && !u->user[0] && !u->password[0];
	/* Basic (RFC 7617) cannot carry a colon in the name. SOCKS (RFC 1929) has 255 bytes for each, as here. */
	if (u->kind == PROXYCTL_HTTP && strchr(u->user, ':'))
		return false;
	return host_ok(u->host) && u->port && (u->user[0] || !u->password[0]);
}

static bool exclude_ok(const struct proxyctl_exclude *e)
{
	switch (e->kind) {
	case PROXYCTL_EXCLUDE_NAME:
		return host_ok(e->text);
	case PROXYCTL_EXCLUDE_SUFFIX:
		return e->text[0] == '.' && pattern_ok(e->text + 1);
	case PROXYCTL_EXCLUDE_GLOB:
		return pattern_ok(e->text);
	case PROXYCTL_EXCLUDE_NET:
		return rules_prefix_ok(&e->addr, e->prefix_len);
	case PROXYCTL_EXCLUDE_LOCAL:
		return true;
	default:
		return false;
	}
}

static void put_text(struct bytes_writer *w, const char *text)
{
	size_t len = strlen(text);

	if (len > UINT8_MAX)
		w->ok = false;
	bytes_put8(w, (uint8_t)len);
	bytes_put(w, text, len);
}

/* SIZE is that of DST, 256 at most. */
static void get_text(struct bytes_reader *r, char *dst, size_t size)
{
	size_t len = bytes_get8(r);
	const char *p = bytes_get(r, len);

	if (!p || len >= size || memchr(p, 0, len)) {
		r->ok = false;
		return;
	}
	memcpy(dst, p, len);
	dst[len] = '\0';
}

static void put_upstream(struct bytes_writer *w, const struct proxyctl_upstream *u)
{
	if (!upstream_ok(u))
		w->ok = false;
	bytes_put8(w, (uint8_t)u->kind);
	bytes_put8(w, 0);
	bytes_put16(w, u->port);
	put_text(w, u->host);
	put_text(w, u->source);
	put_text(w, u->user);
	put_text(w, u->password);
}

static void get_upstream(struct bytes_reader *r, struct proxyctl_upstream *u)
{
	u->kind = (enum proxyctl_kind)bytes_get8(r);
	if (bytes_get8(r))
		r->ok = false;
	u->port = bytes_get16(r);
	get_text(r, u->host, sizeof(u->host));
	get_text(r, u->source, sizeof(u->source));
	get_text(r, u->user, sizeof(u->user));
	get_text(r, u->password, sizeof(u->password));
	if (r->ok && !upstream_ok(u))
		r->ok = false;
}

static void put_exclude(struct bytes_writer *w, const struct proxyctl_exclude *e)
{
	if (!exclude_ok(e))
		w->ok = false;
	bytes_put8(w, (uint8_t)e->kind);
	bytes_put8(w, e->kind == PROXYCTL_EXCLUDE_NET ? e->prefix_len : 0);
	bytes_put16(w, e->port);
	if (e->kind == PROXYCTL_EXCLUDE_NET)
		bytes_put(w, e->addr.byte, sizeof(e->addr.byte));
	else if (e->kind != PROXYCTL_EXCLUDE_LOCAL)
		put_text(w, e->text);
}

static void get_exclude(struct bytes_reader *r, struct proxyctl_exclude *e)
{
	const void *p;

	memset(e, 0, sizeof(*e));
	e->kind = (enum proxyctl_exclude_kind)bytes_get8(r);
	e->prefix_len = bytes_get8(r);
	e->port = bytes_get16(r);
	if (e->kind == PROXYCTL_EXCLUDE_NET) {
		p = bytes_get(r, sizeof(e->addr.byte));
		if (p)
			memcpy(e->addr.byte, p, sizeof(e->addr.byte));
	} else if (e->prefix_len) {
		r->ok = false;
	} else if (e->kind != PROXYCTL_EXCLUDE_LOCAL) {
		get_text(r, e->text, sizeof(e->text));
	}
	if (r->ok && !exclude_ok(e))
		r->ok = false;
}

static void put_settings(const struct proxyctl_message *m, struct bytes_writer *w)
{
	const struct proxyctl_settings *s = &m->settings;

	put_upstream(w, &s->http);
	put_upstream(w, &s->https);
	bytes_put16(w, s->n_excludes);
	if (s->n_excludes > PROXYCTL_EXCLUDES_MAX)
		w->ok = false;
	for (size_t i = 0; i < s->n_excludes && w->ok; i++)
		put_exclude(w, &s->exclude[i]);
}

static void get_settings(struct proxyctl_message *m, struct bytes_reader *r)
{
	struct proxyctl_settings *s = &m->settings;

	get_upstream(r, &s->http);
	get_upstream(r, &s->https);
	s->n_excludes = bytes_get16(r);
	if (s->n_excludes > PROXYCTL_EXCLUDES_MAX)
		r->ok = false;
	for (size_t i = 0; i < s->n_excludes && r->ok; i++)
		get_exclude(r, &s->exclude[i]);
}

static void put_nothing(const struct proxyctl_message *m _unused_, struct bytes_writer *w _unused_)
{
}

static void get_nothing(struct proxyctl_message *m _unused_, struct bytes_reader *r _unused_)
{
}

static void put_ready(const struct proxyctl_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->ready.version);
}

static void get_ready(struct proxyctl_message *m, struct bytes_reader *r)
{
	m->ready.version = bytes_get32(r);
	if (m->ready.version != PROXYCTL_VERSION)
		r->ok = false;
}

static void put_stats(const struct proxyctl_message *m, struct bytes_writer *w)
{
	const struct proxyctl_stats *s = &m->stats;
	const uint64_t all[] = {s->now, s->total, s->refused_full, s->refused_rule, s->failed, s->tunnels, s->requests, s->direct,
				s->upstream};

	_Static_assert(sizeof(all) == sizeof(*s), "a counter that is not on the wire");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		bytes_put64(w, all[i]);
}

static void get_stats(struct proxyctl_message *m, struct bytes_reader *r)
{
	struct proxyctl_stats *s = &m->stats;
	uint64_t *all[] = {&s->now, &s->total, &s->refused_full, &s->refused_rule, &s->failed, &s->tunnels,
			&s->requests, &s->direct,
			   &s->upstream};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		*all[i] = bytes_get64(r);
}

struct row {
	void (*put)(const struct proxyctl_message *m, struct bytes_writer *w); /* NULL: no such type */
	void (*get)(struct proxyctl_message *m, struct bytes_reader *r);
	enum proxyctl_direction direction;
};

static const struct row rows[PROXYCTL_TYPE_MAX] = {
	[PROXYCTL_SETTINGS] = {put_settings, get_settings, PROXYCTL_TO_PROXY},
	[PROXYCTL_STATS_GET] = {put_nothing, get_nothing, PROXYCTL_TO_PROXY},
	[PROXYCTL_READY] = {put_ready, get_ready, PROXYCTL_TO_BACKEND},
	[PROXYCTL_STATS] = {put_stats, get_stats, PROXYCTL_TO_BACKEND},
};

static bool passes_on(enum netctl_type type)
{
	return type == NETCTL_CONFIG || type == NETCTL_RULES || type == NETCTL_HOST_ADDRS || type == NETCTL_RESOLVERS ||
	       type == NETCTL_HOSTS;
}

int proxyctl_encode(const struct proxyctl_message *message, uint8_t dst[static PROXYCTL_FRAME_MAX])
{
	struct bytes_writer w = bytes_writer(dst, PROXYCTL_FRAME_MAX);
	const struct row *row;

	if (message->type == PROXYCTL_NET)
		return passes_on(message->net.type) ? netctl_encode(&message->net, dst) : trace(-EINVAL);
	if ((unsigned int)message->type >= ARRAY_SIZE(rows) || !rows[message->type].put)
		return trace(-EINVAL);
	row = &rows[message->type];
	bytes_put16(&w, (uint16_t)message->type);
	bytes_put16(&w, PROXYCTL_VERSION);
	bytes_put32(&w, 0);
	row->put(message, &w);
	if (!w.ok)
		return trace(-EINVAL);
	le32_store(dst + 4, (uint32_t)(w.off - PROXYCTL_HEADER_SIZE));
	return (int)w.off;
}

int proxyctl_decode(struct proxyctl_message *ret, enum proxyctl_direction direction, const uint8_t *src, size_t len,
		    size_t n_fds)
{
	struct bytes_reader r = bytes_reader(src, len);
	uint16_t type = bytes_get16(&r), version = bytes_get16(&r);
	uint32_t body_len = bytes_get32(&r);

	if (!r.ok || n_fds || len - PROXYCTL_HEADER_SIZE != body_len)
		return trace(-EBADMSG);
	if (direction == PROXYCTL_TO_PROXY && passes_on((enum netctl_type)type)) {
		ret->type = PROXYCTL_NET;
		return netctl_decode(&ret->net, NETCTL_TO_NET, src, len, 0);
	}
	if (version != PROXYCTL_VERSION || type >= ARRAY_SIZE(rows) || !rows[type].get || rows[type].direction != direction)
		return trace(-EBADMSG);
	ret->type = (enum proxyctl_type)type;
	rows[type].get(ret, &r);
	if (!r.ok || r.off != len)
		return trace(-EBADMSG);
	return 0;
}
