/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns: messages of the domain name system (RFC 1035, 2181, 2308, 3597, 6891), read strictly and written anew.
 *
 * Names are read through compression with pointers that must lead backwards, so no message can loop. An answer of a
 * server is decoded as a whole and encoded again (dns_answer_rewrite): what the guest gets was written here, in bounds,
 * without OPT, TSIG or bytes that belong to no record. Pure codec: no I/O, no allocation. Used by devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/dns-name.h"

enum {
	DNS_HEADER_LEN = 12,
	DNS_UDP_PLAIN = 512,  /* without EDNS */
	DNS_UDP_MAX = 1232,   /* with; fits every path (dnsflagday.net/2020) */
	DNS_MESSAGE_MAX = 65535,
	DNS_RECORDS_MAX = 1024, /* of one answer, all sections; more is refused */
	DNS_OPT_LEN = 11,
	DNS_QUERY_MAX = DNS_HEADER_LEN + DNS_NAME_MAX + 4 + DNS_OPT_LEN, /* longest query written here */
	DNS_TTL_MAX = 0x7fffffff, /* RFC 2181, section 8: beyond it counts as 0 */
	DNS_SUFFIXES_MAX = 64, /* names that a writer remembers for compression */
};

enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_SIG = 24, DNS_AAAA = 28,
	DNS_SRV = 33, DNS_NAPTR = 35, DNS_DNAME = 39, DNS_OPT = 41, DNS_RRSIG = 46, DNS_SVCB = 64, DNS_HTTPS = 65,
	DNS_META_FIRST = 128, DNS_META_LAST = 255, /* questions and transport, not data */
	DNS_TKEY = 249, DNS_TSIG = 250, DNS_ANY = 255,
};
enum { DNS_CLASS_IN = 1 };
enum dns_rcode {
	DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5, DNS_BADVERS = 16,
};
enum dns_flag {
	DNS_QR = 0x8000, DNS_AA = 0x0400, DNS_TC = 0x0200, DNS_RD = 0x0100, DNS_RA = 0x0080, DNS_AD = 0x0020, DNS_CD = 0x0010,
	DNS_OPCODE_MASK = 0x7800, DNS_RCODE_MASK = 0x000f,
};

struct dns_query {
	uint16_t id;
	uint16_t flags; /* RD, AD, CD and the opcode; the rest was dropped */
	struct dns_name name; /* case as sent */
	uint16_t type, class;
	bool edns, dnssec_ok;
	uint8_t edns_version;
	uint16_t udp_size; /* what may be sent back in a datagram: 512 to 65535 */
};
/* Why a query is not one. The fields that an error message needs (id, flags; the question when there is one) are set. */
enum dns_query_error {
	DNS_QUERY_E_SILENT = 1, /* no header, or an answer: gets no reply */
	DNS_QUERY_E_FORMAT,	/* FORMERR */
	DNS_QUERY_E_OPCODE,	/* NOTIMP */
};
/* One question, no answers, at most one OPT and TSIG in the additional section. Return: 0 or DNS_QUERY_E_*. */
int dns_query_decode(struct dns_query *ret, const uint8_t *msg, size_t len);
/* The query for a server: recursion desired; an OPT of ours (size, DO, no options) when QUERY has one. Return: length. */
size_t dns_query_encode(uint8_t dst[static DNS_QUERY_MAX], const struct dns_query *query);

/* An answer in the form that is kept: header with id 0, question, records without OPT. */
struct dns_answer {
	size_t len;
	uint8_t rcode;
	uint16_t n_answers; /* records of the answer section */
	uint32_t ttl_s;	    /* how long it may be kept: least TTL, or for a negative answer RFC 2308's; 0: not at all */
};
/* MSG answers QUERY: a reply, opcode, id and question are QUERY's, the name byte by byte. */
bool dns_answer_matches(const struct dns_query *query, const uint8_t *msg, size_t len);
/* A matching answer says that there is more by TCP; its records are not to be relied on. */
bool dns_answer_truncated(const uint8_t msg[static DNS_HEADER_LEN]);
/* Reads all of MSG, which matches QUERY, and writes it anew to DST. Return: 0; -EBADMSG; -EMSGSIZE: SIZE is too small. */
int dns_answer_rewrite(struct dns_answer *ret, uint8_t *dst, size_t size, const struct dns_query *query, const uint8_t *msg, size_t len);
/* The reply to QUERY out of the kept form SRC, AGE_S seconds old: id, question and flags as asked, TTLs counted down, OPT when
 * QUERY has one, at most LIMIT bytes (at least DNS_HEADER_LEN): records that do not fit are left out, with TC unless they
 * are only additional ones. DST has room for LIMIT. Return: length. */
size_t dns_answer_finish(uint8_t *dst, size_t limit, const struct dns_query *query, const uint8_t *src, size_t len, uint32_t age_s);

/* Writes answers of our own in the kept form. */
struct dns_writer {
	uint8_t *data;
	size_t size, off;
	bool ok;
	uint16_t n_suffixes, suffixes[DNS_SUFFIXES_MAX];
};
/* Header and QUERY's question (none when its name is empty). FLAGS: AA and the like. */
void dns_writer_start(struct dns_writer *w, uint8_t *dst, size_t size, const struct dns_query *query, uint16_t flags, uint8_t rcode);
/* One record of the answer section that belongs to the question's name. */
void dns_writer_answer(struct dns_writer *w, uint16_t type, uint32_t ttl, const void *rdata, uint16_t len);
/* Return: length; 0 when it did not fit. */
size_t dns_writer_end(const struct dns_writer *w);
