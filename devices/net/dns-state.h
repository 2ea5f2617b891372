/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-state: what the files of dns share: tables, limits, the state of one query. dns.c explains how it works.
 *
 * A pending query is, in order: UDP (asked by datagram, waiting), STREAM (the answer was too long, asked by TCP), gone. Queries
 * for what is already being asked wait for that one (leader) and have no socket. Only the files of dns include it.
 */
#pragma once

#include "devices/net/dns.h"
#include "devices/net/dns-random.h"
#include "proto/dns.h"

enum {
	DNS_PENDING_MAX = 1024,
	DNS_CONNS_MAX = 64,	   /* TCP connections of the guest */
	DNS_CONN_QUERIES_MAX = 16, /* under way for one of them */
	DNS_CONN_IDLE_US = 10000000,
	DNS_STREAMS_MAX = 32, /* TCP connections to servers */
	DNS_TRIES_MAX = 3,
	DNS_TRY_US = 2000000,
	DNS_STREAM_US = 4000000,
	DNS_READS_MAX = 64, /* datagrams of one server in a turn */
	DNS_CACHE_MAX = 512,
	DNS_CACHE_TTL_MAX = 3600, /* seconds */
	DNS_CACHE_NEGATIVE_MAX = 300,
	DNS_BUILT_IN_TTL = 60,
	DNS_HOSTS_TTL = 10,
	DNS_HOST_ADDRESSES_MAX = 16, /* of one name and type */
	DNS_STREAM_BUFFER = 2 + DNS_MESSAGE_MAX,
};

/* Who asked. */
enum dns_via { DNS_VIA_UDP, DNS_VIA_TCP };
struct dns_client {
	enum dns_via via;
	struct flow_key key; /* UDP */
	uint64_t conn;	     /* TCP: handle in conn_table */
};

struct dns_pending {
	struct dns_client client;
	struct dns_query asked; /* by the guest */
	uint16_t id;		/* ours */
	int fd;			/* owned; -EBADF while it waits for a leader */
	bool plain;		/* this server knows no EDNS */
	uint8_t stream;		/* number of the stream buffer + 1, 0: UDP */
	bool stream_sent;
	uint8_t scope, first, server, tries, rcode; /* FIRST: of the servers, where this query began */
	uint32_t leader, next; /* index + 1, 0: none; next: chain of those who wait for the same */
	uint64_t deadline_us;
};

struct dns_conn {
	int fd; /* owned */
	bool eof;
	uint8_t n_queries; /* under way */
	size_t in_off, in_len, out_off, out_len;
	uint64_t deadline_us;
};
struct dns_conn_buffers {
	uint8_t in[DNS_STREAM_BUFFER], out[DNS_STREAM_BUFFER];
};

struct dns_cached {
	struct dns_query key; /* name, type, DNSSEC OK, CD */
	uint8_t rcode;
	uint16_t len, n_answers;
	uint32_t ttl_s, hits;
	uint64_t stored_us, used_us;
	uint8_t message[DNS_UDP_MAX];
};

struct dns_hosts {
	uint32_t n, hash[NETCTL_HOSTS_MAX];
	struct {
		struct net_addr addr;
		char name[NETCTL_DOMAIN_MAX];
	} entry[NETCTL_HOSTS_MAX];
};

enum dns_own { /* names that are answered here */
	DNS_OWN_HOST, DNS_OWN_GATEWAY, DNS_OWN_KUBERNETES, DNS_OWN_PROXY, DNS_OWN_LOCALHOST, DNS_OWN_REVERSE_GATEWAY4,
	DNS_OWN_REVERSE_HOST4, DNS_OWN_REVERSE_GATEWAY6, DNS_OWN_REVERSE_HOST6, DNS_OWN_MAX,
};
enum dns_zone { /* nothing below them is asked of anyone */
	DNS_ZONE_DOCKER, DNS_ZONE_LOCALHOST, DNS_ZONE_INVALID, DNS_ZONE_ONION, DNS_ZONE_LOOPBACK4, DNS_ZONE_REVERSE4,
	DNS_ZONE_REVERSE6, DNS_ZONE_MAX,
};

struct dns {
	struct dns_config config;
	struct net_addr gateway4, alias4, gateway6, alias6;
	enum netctl_dns_filter filter;
	bool ipv6;
	uint16_t mtu;
	uint64_t now_us, deadline_us; /* nothing is due before DEADLINE_US */
	struct dns_stats stats;
	struct dns_random random;
	struct dns_name own[DNS_OWN_MAX], zone[DNS_ZONE_MAX]; /* length 0: none */
	struct netctl_resolvers resolvers;
	struct dns_name domain[NETCTL_DOMAINS_MAX];
	uint8_t preferred[NETCTL_DOMAINS_MAX + 1]; /* server that answered last, by scope */
	unsigned int hosts_used; /* which one is in force */
	uint64_t streams_used;	 /* bit set */
	struct table pending_table, conn_table;
	/* From here on memory is touched only when it is used. */
	struct table_slot pending_slots[DNS_PENDING_MAX], conn_slots[DNS_CONNS_MAX];
	uint32_t pending_hash[DNS_PENDING_MAX];
	struct dns_pending pending[DNS_PENDING_MAX];
	struct dns_conn conn[DNS_CONNS_MAX];
	uint32_t cache_hash[DNS_CACHE_MAX]; /* 0: free */
	struct dns_cached cache[DNS_CACHE_MAX];
	uint32_t stream_got[DNS_STREAMS_MAX];
	uint8_t stream[DNS_STREAMS_MAX][DNS_STREAM_BUFFER];
	struct dns_conn_buffers conn_buffers[DNS_CONNS_MAX];
	struct dns_hosts hosts[2];
	uint8_t received[DNS_MESSAGE_MAX], kept[DNS_MESSAGE_MAX], reply[DNS_MESSAGE_MAX]; /* of the message in hand */
};
_Static_assert(DNS_STREAMS_MAX <= 64, "one bit each");
