/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxyctl: frames between the backend and the HTTP proxy process.
 *
 * Carrier: Unix seqpacket, inherited by the proxy at descriptor 3. Frame: 8-byte header (type u16, version u16, body length u32,
 * little-endian) and a body; no descriptors. What the proxy must know about the network comes in the frames that the
 * network process gets, unchanged (proto/netctl.h: CONFIG, RULES, HOST_ADDRS, RESOLVERS, HOSTS), so that both always decide from
 * the same table. Each message replaces what was told before. Pure codec: no I/O, no allocation.
 * Who may call it: backend, devices/proxy. Page: docs/protocol/proxyctl.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/netctl.h"

enum { PROXYCTL_VERSION = 1, PROXYCTL_HEADER_SIZE = NETCTL_HEADER_SIZE, PROXYCTL_FRAME_MAX = NETCTL_FRAME_MAX };

enum proxyctl_type {
	/* backend to proxy; types below 64 are netctl's */
	PROXYCTL_NET = 1, /* in struct proxyctl_message only: one of the netctl frames named above */
	PROXYCTL_SETTINGS = 64,
	PROXYCTL_STATS_GET = 65,
	/* proxy to backend */
	PROXYCTL_READY = 96, /* the jail is shut */
	PROXYCTL_STATS = 97,
	PROXYCTL_TYPE_MAX = 98,
};

enum proxyctl_kind { PROXYCTL_DIRECT, PROXYCTL_HTTP, PROXYCTL_SOCKS5, PROXYCTL_SOCKS5H, PROXYCTL_KIND_MAX };
enum proxyctl_exclude_kind {
	PROXYCTL_EXCLUDE_NAME = 1, /* the name, the names below it; or the text of an address */
	PROXYCTL_EXCLUDE_SUFFIX,   /* ".corp": names below it */
	PROXYCTL_EXCLUDE_GLOB,	   /* "*" and "?" over the name or the text of an address */
	PROXYCTL_EXCLUDE_NET,	   /* an address or CIDR; for targets given as an address */
	PROXYCTL_EXCLUDE_LOCAL,	   /* "<local>": names without a dot */
	PROXYCTL_EXCLUDE_KIND_MAX,
};

enum {
	PROXYCTL_HOST_MAX = 256, /* all with NUL */
	PROXYCTL_SECRET_MAX = 256,
	PROXYCTL_SOURCE_MAX = 96,
	PROXYCTL_EXCLUDES_MAX = 128,
	PROXYCTL_EXCLUDE_TEXT_MAX = 8192, /* texts of all exclusions together */
};

struct proxyctl_upstream {
	enum proxyctl_kind kind;
	uint16_t port;			     /* 0 with DIRECT only */
	char host[PROXYCTL_HOST_MAX];	     /* lower case name, or an address; empty with DIRECT only */
	char source[PROXYCTL_SOURCE_MAX];    /* whose wish it is: "manual", "system: environment HTTPS_PROXY" ... */
	char user[PROXYCTL_SECRET_MAX];	     /* decoded; empty: no authentication */
	char password[PROXYCTL_SECRET_MAX];
};
struct proxyctl_exclude {
	enum proxyctl_exclude_kind kind;
	uint16_t port;	    /* 0: any */
	uint8_t prefix_len; /* NET: of the 128-bit form */
	struct net_addr addr;
	char text[PROXYCTL_HOST_MAX]; /* NAME, SUFFIX (with its dot), GLOB; lower case */
};
struct proxyctl_settings {
	struct proxyctl_upstream http, https; /* for http:// requests, for CONNECT */
	uint16_t n_excludes;
	struct proxyctl_exclude exclude[PROXYCTL_EXCLUDES_MAX];
};
struct proxyctl_stats {
	uint64_t now, total, refused_full, refused_rule, failed, tunnels, requests;
	uint64_t direct, upstream; /* targets reached */
};

struct proxyctl_message {
	enum proxyctl_type type;
	union {
		struct netctl_message net; /* PROXYCTL_NET */
		struct proxyctl_settings settings;
		struct proxyctl_stats stats;
		struct { uint32_t version; } ready;
	};
};

enum proxyctl_direction { PROXYCTL_TO_PROXY, PROXYCTL_TO_BACKEND };
/* Return: frame length; -EINVAL; -EMSGSIZE. */
int proxyctl_encode(const struct proxyctl_message *message, uint8_t dst[static PROXYCTL_FRAME_MAX]);
/* Every name, text, count and enumeration is checked. Return: 0; -EBADMSG. */
int proxyctl_decode(struct proxyctl_message *ret, enum proxyctl_direction direction, const uint8_t *src, size_t len,
		    size_t n_fds);

/* HOST is a name of the DNS (letters, digits, '-', '_', '.'), shorter than PROXYCTL_HOST_MAX, that cannot be read as an address. */
bool proxyctl_name_ok(const char *host);
/* An IPv4 address in four decimal parts or an IPv6 address, no brackets, no zone. Return: true with *RET. */
bool proxyctl_address_parse(const char *host, struct net_addr *ret);
