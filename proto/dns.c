/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns: theory of operation.
 *
 * Names are read by dns-name. Records whose data contains names are known by a table (RFC 3597, section 4, says which types
 * may be compressed); their names are read and written one by one, everything else is copied as it is.
 *
 * The kept form differs from a message on the wire in four things: id 0, no OPT, flags reduced to AA, AD and the code,
 * counts that are true. dns_answer_finish relies on it: records stay at their offsets because the question as asked by
 * another client has the same length, whatever its case.
 */
#include "proto/dns.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"

enum { OFF_FLAGS = 2, OFF_QD = 4, OFF_AN = 6, OFF_NS = 8, OFF_AR = 10, RECORD_FIXED = 10, POINTER = 0xc0, POINTER_MAX = 0x3fff };
enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL, SECTION_MAX };

/* One record. Offsets count from the start of the message. */
struct record {
	struct dns_name name;
	uint16_t type, class;
	uint32_t ttl;
	size_t rdata, end;
};

static int read_record(struct record *ret, const uint8_t *msg, size_t len, size_t *off)
{
	size_t rd_len;

	if (dns_name_read(&ret->name, msg, len, off) < 0 || len - *off < RECORD_FIXED)
		return -EBADMSG;
	ret->type = be16_load(msg + *off);
	ret->class = be16_load(msg + *off + 2);
	ret->ttl = be32_load(msg + *off + 4);
	rd_len = be16_load(msg + *off + 8);
	*off += RECORD_FIXED;
	if (len - *off < rd_len)
		return -EBADMSG;
	ret->rdata = *off;
	*off += rd_len;
	ret->end = *off;
	return 0;
}

/* Takes over the OPT record R of a query. */
static int read_opt(struct dns_query *query, const struct record *r, const uint8_t *msg)
{
	size_t at = r->rdata;

	if (query->edns || r->name.len != 1)
		return -EBADMSG;
	while (at < r->end) {
		if (r->end - at < 4 || r->end - at - 4 < be16_load(msg + at + 2))
			return -EBADMSG;
		at += 4u + be16_load(msg + at + 2);
	}
	query->edns = true;
	query->edns_version = (uint8_t)(r->ttl >> 16);
	query->dnssec_ok = r->ttl & 0x8000;
	query->udp_size = r->class < DNS_UDP_PLAIN ? DNS_UDP_PLAIN : r->class;
	return 0;
}

static int read_question(struct dns_query *ret, const uint8_t *msg, size_t len, size_t *off)
{
	struct dns_name name;

	if (dns_name_read(&name, msg, len, off) < 0 || len - *off < 4)
		return -EBADMSG;
	ret->name = name;
	ret->type = be16_load(msg + *off);
	ret->class = be16_load(msg + *off + 2);
	*off += 4;
	return 0;
}

int dns_query_decode(struct dns_query *ret, const uint8_t *msg, size_t len)
{
	size_t off = DNS_HEADER_LEN;
	uint16_t flags, n_more;

	memset(ret, 0, sizeof(*ret));
	ret->udp_size = DNS_UDP_PLAIN;
	if (len < DNS_HEADER_LEN)
		return DNS_QUERY_E_SILENT;
	flags = be16_load(msg + OFF_FLAGS);
	if (flags & DNS_QR)
		return DNS_QUERY_E_SILENT;
	ret->id = be16_load(msg);
	ret->flags = flags & (DNS_OPCODE_MASK | DNS_RD | DNS_AD | DNS_CD);
	if (flags & DNS_OPCODE_MASK)
		return DNS_QUERY_E_OPCODE;
	n_more = be16_load(msg + OFF_AR);
	if (be16_load(msg + OFF_QD) != 1 || be16_load(msg + OFF_AN) || be16_load(msg + OFF_NS) || n_more > 2 || flags & DNS_TC)
		return DNS_QUERY_E_FORMAT;
	if (read_question(ret, msg, len, &off) < 0)
		return DNS_QUERY_E_FORMAT;
	while (n_more--) {
		struct record r;

		if (read_record(&r, msg, len, &off) < 0 || (r.type == DNS_OPT && read_opt(ret, &r, msg) < 0))
			return DNS_QUERY_E_FORMAT;
		if (r.type != DNS_OPT && r.type != DNS_TSIG && r.type != DNS_SIG)
			return DNS_QUERY_E_FORMAT;
	}
	return off == len ? 0 : DNS_QUERY_E_FORMAT;
}

static void put_opt(uint8_t *dst, uint8_t ext_rcode, bool dnssec_ok)
{
	dst[0] = 0;
	be16_store(dst + 1, DNS_OPT);
	be16_store(dst + 3, DNS_UDP_MAX);
	be32_store(dst + 5, (uint32_t)ext_rcode << 24 | (dnssec_ok ? 0x8000u : 0));
	be16_store(dst + 9, 0);
}

static size_t put_question(uint8_t *dst, const struct dns_query *query)
{
	memcpy(dst, query->name.wire, query->name.len);
	be16_store(dst + query->name.len, query->type);
	be16_store(dst + query->name.len + 2, query->class);
	return query->name.len + 4u;
}

size_t dns_query_encode(uint8_t dst[static DNS_QUERY_MAX], const struct dns_query *query)
{
	size_t len = DNS_HEADER_LEN;

	memset(dst, 0, DNS_HEADER_LEN);
	be16_store(dst, query->id);
	be16_store(dst + OFF_FLAGS, DNS_RD | (query->flags & (DNS_AD | DNS_CD)));
	be16_store(dst + OFF_QD, 1);
	be16_store(dst + OFF_AR, query->edns);
	len += put_question(dst + len, query);
	if (query->edns) {
		put_opt(dst + len, 0, query->dnssec_ok);
		len += DNS_OPT_LEN;
	}
	return len;
}

bool dns_answer_matches(const struct dns_query *query, const uint8_t *msg, size_t len)
{
	size_t n = query->name.len;

	return len >= DNS_HEADER_LEN + n + 4 && be16_load(msg) == query->id &&
	       (be16_load(msg + OFF_FLAGS) & (DNS_QR | DNS_OPCODE_MASK)) == DNS_QR && be16_load(msg + OFF_QD) == 1 &&
	       !memcmp(msg + DNS_HEADER_LEN, query->name.wire, n) &&
	       be16_load(msg + DNS_HEADER_LEN + n) == query->type && be16_load(msg + DNS_HEADER_LEN + n + 2) == query->class;
}

bool dns_answer_truncated(const uint8_t msg[static DNS_HEADER_LEN])
{
	return be16_load(msg + OFF_FLAGS) & DNS_TC;
}

/* LEN bytes of room at the end of W, or NULL. */
static uint8_t *writer_room(struct dns_writer *w, size_t len)
{
	uint8_t *p = w->data + w->off;

	if (!w->ok || w->size - w->off < len) {
		w->ok = false;
		return NULL;
	}
	w->off += len;
	return p;
}

static void writer_bytes(struct dns_writer *w, const void *src, size_t len)
{
	uint8_t *p = writer_room(w, len);

	if (p && len)
		memcpy(p, src, len);
}

static void writer_u16(struct dns_writer *w, uint16_t v)
{
	uint8_t *p = writer_room(w, 2);

	if (p)
		be16_store(p, v);
}

/* The name that was written at OFF is WIRE, byte by byte. */
static bool same_at(const struct dns_writer *w, size_t off, const uint8_t *wire)
{
	for (;;) {
		uint8_t n = w->data[off];

		if (n >= POINTER) {
			off = be16_load(w->data + off) & POINTER_MAX;
			continue;
		}
		if (n != *wire || memcmp(w->data + off + 1, wire + 1, n))
			return false;
		if (!n)
			return true;
		off += 1u + n;
		wire += 1u + n;
	}
}

/* Return: offset of WIRE among the names written so far, 0: none. */
static uint16_t find_suffix(const struct dns_writer *w, const uint8_t *wire)
{
	for (unsigned int i = 0; i < w->n_suffixes; i++)
		if (same_at(w, w->suffixes[i], wire))
			return w->suffixes[i];
	return 0;
}

static void writer_name(struct dns_writer *w, const struct dns_name *name, bool compress)
{
	size_t at = 0, start = w->off, end;
	uint16_t target = 0;

	while (name->wire[at] && !(compress && (target = find_suffix(w, name->wire + at))))
		at += 1u + name->wire[at];
	end = at;
	writer_bytes(w, name->wire, at);
	if (target)
		writer_u16(w, (uint16_t)(POINTER << 8 | target));
	else
		writer_bytes(w, "", 1);
	/* Only complete names may be found by others. */
	for (at = 0; w->ok && at < end && w->n_suffixes < DNS_SUFFIXES_MAX && start + at <= POINTER_MAX; at += 1u + name->wire[at])
		w->suffixes[w->n_suffixes++] = (uint16_t)(start + at);
}

static void writer_count(struct dns_writer *w, enum section section)
{
	if (w->ok)
		be16_store(w->data + OFF_AN + 2 * section, (uint16_t)(be16_load(w->data + OFF_AN + 2 * section) + 1));
}

void dns_writer_start(struct dns_writer *w, uint8_t *dst, size_t size, const struct dns_query *query, uint16_t flags, uint8_t rcode)
{
	uint8_t *head;

	*w = (struct dns_writer){.data = dst, .size = size, .ok = true};
	head = writer_room(w, DNS_HEADER_LEN);
	if (!head)
		return;
	memset(head, 0, DNS_HEADER_LEN);
	be16_store(head + OFF_FLAGS, (uint16_t)(DNS_QR | flags | (rcode & DNS_RCODE_MASK)));
	if (!query->name.len)
		return;
	be16_store(head + OFF_QD, 1);
	writer_name(w, &query->name, false);
	writer_u16(w, query->type);
	writer_u16(w, query->class);
}

static void writer_record_head(struct dns_writer *w, uint16_t type, uint16_t class, uint32_t ttl)
{
	uint8_t *p = writer_room(w, RECORD_FIXED - 2);

	if (!p)
		return;
	be16_store(p, type);
	be16_store(p + 2, class);
	be32_store(p + 4, ttl);
}

void dns_writer_answer(struct dns_writer *w, uint16_t type, uint32_t ttl, const void *rdata, uint16_t len)
{
	writer_u16(w, POINTER << 8 | DNS_HEADER_LEN);
	writer_record_head(w, type, DNS_CLASS_IN, ttl);
	writer_u16(w, len);
	writer_bytes(w, rdata, len);
	writer_count(w, SECTION_ANSWER);
}

size_t dns_writer_end(const struct dns_writer *w)
{
	return w->ok ? w->off : 0;
}

/* Record data with names in it: HEAD bytes, STRINGS character strings, NAMES names, then exactly TAIL bytes. */
struct form {
	uint16_t type;
	uint8_t head, strings, names, tail;
	bool compress; /* when written: RFC 1035's types only */
};
enum { TAIL_ANY = 255 };
static const struct form forms[] = {
	{DNS_A, 4, 0, 0, 0, false},	 {DNS_AAAA, 16, 0, 0, 0, false}, {DNS_NS, 0, 0, 1, 0, true},
	{3, 0, 0, 1, 0, true},		 {4, 0, 0, 1, 0, true},		 {DNS_CNAME, 0, 0, 1, 0, true},
	{DNS_SOA, 0, 0, 2, 20, true},	 {7, 0, 0, 1, 0, true},		 {8, 0, 0, 1, 0, true},
	{9, 0, 0, 1, 0, true},		 {DNS_PTR, 0, 0, 1, 0, true},	 {14, 0, 0, 2, 0, true},
	{DNS_MX, 2, 0, 1, 0, true},	 {17, 0, 0, 2, 0, false},	 {18, 2, 0, 1, 0, false},
	{21, 2, 0, 1, 0, false},	 {DNS_SIG, 18, 0, 1, TAIL_ANY, false}, {26, 2, 0, 2, 0, false},
	{30, 0, 0, 1, TAIL_ANY, false},	 {DNS_SRV, 6, 0, 1, 0, false},	 {DNS_NAPTR, 4, 3, 1, 0, false},
	{36, 2, 0, 1, 0, false},	 {DNS_DNAME, 0, 0, 1, 0, false}, {DNS_RRSIG, 18, 0, 1, TAIL_ANY, false},
	{47, 0, 0, 1, TAIL_ANY, false},
};

static const struct form *find_form(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].type == type)
			return &forms[i];
	return NULL;
}

/* Copies the data of R by FORM. */
static int copy_formed(struct dns_writer *w, const struct form *form, const struct record *r, const uint8_t *msg)
{
	size_t at = r->rdata, n = form->head;

	if (r->end - at < n)
		return -EBADMSG;
	for (unsigned int i = 0; i < form->strings; i++) {
		if (r->end - at - n < 1 || r->end - at - n - 1 < msg[at + n])
			return -EBADMSG;
		n += 1u + msg[at + n];
	}
	writer_bytes(w, msg + at, n);
	at += n;
	for (unsigned int i = 0; i < form->names; i++) {
		struct dns_name name;

		/* Pointers lead backwards, so the record's end bounds everything that is read. */
		if (dns_name_read(&name, msg, r->end, &at) < 0)
			return -EBADMSG;
		writer_name(w, &name, form->compress);
	}
	if (form->tail != TAIL_ANY && r->end - at != form->tail)
		return -EBADMSG;
	writer_bytes(w, msg + at, r->end - at);
	return 0;
}

static int copy_record(struct dns_writer *w, const struct record *r, enum section section, const uint8_t *msg)
{
	const struct form *form = find_form(r->type);
	size_t length_at, len;

	writer_name(w, &r->name, true);
	writer_record_head(w, r->type, r->class, r->ttl);
	length_at = w->off;
	writer_u16(w, 0);
	if (!form)
		writer_bytes(w, msg + r->rdata, r->end - r->rdata);
	else if (copy_formed(w, form, r, msg) < 0)
		return -EBADMSG;
	if (!w->ok)
		return 0;
	len = w->off - length_at - 2;
	if (len > UINT16_MAX)
		return -EBADMSG;
	be16_store(w->data + length_at, (uint16_t)len);
	writer_count(w, section);
	return 0;
}

/* What the records of an answer say about it. */
struct findings {
	uint32_t least_ttl, negative_ttl;
	bool wanted, soa;
	unsigned int n_opts;
	uint8_t ext_rcode;
};

static void note_record(struct findings *f, const struct dns_query *query, const struct record *r, enum section section,
			const uint8_t *msg)
{
	if (r->ttl < f->least_ttl)
		f->least_ttl = r->ttl;
	if (section == SECTION_ANSWER && (r->type == query->type || query->type == DNS_ANY))
		f->wanted = true;
	if (section == SECTION_AUTHORITY && r->type == DNS_SOA && r->end - r->rdata >= 4) {
		f->soa = true;
		f->negative_ttl = be32_load(msg + r->end - 4);
	}
}

/* Reads one record of SECTION and writes it, unless it belongs to the transport. */
static int rewrite_record(struct dns_writer *w, struct findings *f, const struct dns_query *query, enum section section,
			  const uint8_t *msg, size_t len, size_t *off)
{
	struct record r;

	if (read_record(&r, msg, len, off) < 0)
		return -EBADMSG;
	if (r.type == DNS_OPT || r.type == DNS_TSIG || r.type == DNS_TKEY) {
		if (section != SECTION_ADDITIONAL || (r.type == DNS_OPT && (f->n_opts++ || r.name.len != 1)))
			return -EBADMSG;
		if (r.type == DNS_OPT)
			f->ext_rcode = (uint8_t)(r.ttl >> 24);
		return 0;
	}
	if (!r.type || (r.type >= DNS_META_FIRST && r.type <= DNS_META_LAST) || r.class != query->class)
		return -EBADMSG;
	if (r.ttl > DNS_TTL_MAX)
		r.ttl = 0;
	note_record(f, query, &r, section, msg);
	return copy_record(w, &r, section, msg);
}

static uint32_t keep_time(const struct findings *f, uint8_t rcode)
{
	if (rcode == DNS_NOERROR && f->wanted)
		return f->least_ttl;
	if ((rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) || !f->soa || f->negative_ttl > DNS_TTL_MAX)
		return 0;
	return f->negative_ttl < f->least_ttl ? f->negative_ttl : f->least_ttl;
}

int dns_answer_rewrite(struct dns_answer *ret, uint8_t *dst, size_t size, const struct dns_query *query, const uint8_t *msg, size_t len)
{
	struct findings f = {.least_ttl = DNS_TTL_MAX};
	size_t off = DNS_HEADER_LEN + query->name.len + 4u;
	uint16_t flags, count[SECTION_MAX];
	struct dns_writer w;
	uint32_t total = 0;
	uint8_t rcode;

	if (!dns_answer_matches(query, msg, len))
		return -EBADMSG;
	flags = be16_load(msg + OFF_FLAGS);
	rcode = flags & DNS_RCODE_MASK;
	for (unsigned int s = 0; s < SECTION_MAX; s++)
		total += count[s] = be16_load(msg + OFF_AN + 2 * s);
	if (total > DNS_RECORDS_MAX)
		return -EBADMSG;
	dns_writer_start(&w, dst, size, query, flags & DNS_AD, rcode);
	for (unsigned int s = 0; s < SECTION_MAX; s++)
		while (count[s]--)
			if (rewrite_record(&w, &f, query, (enum section)s, msg, len, &off) < 0)
				return -EBADMSG;
	if (!w.ok)
		return -EMSGSIZE;
	if (f.ext_rcode) {
		/* Codes above 15 are about EDNS between us and the server: none of the guest's business. */
		rcode = DNS_SERVFAIL;
		be16_store(dst + OFF_FLAGS, DNS_QR | DNS_SERVFAIL);
	}
	*ret = (struct dns_answer){
		.len = w.off,
		.rcode = rcode,
		.n_answers = be16_load(dst + OFF_AN),
		.ttl_s = keep_time(&f, rcode),
	};
	return 0;
}

/* Copies the records of SRC from OFF on to the same place in DST, at most to LIMIT. Return: the end. */
static size_t finish_records(uint8_t *dst, size_t limit, const uint8_t *src, size_t len, size_t off, uint32_t age_s)
{
	for (unsigned int s = 0; s < SECTION_MAX; s++) {
		uint16_t n = be16_load(src + OFF_AN + 2 * s);

		for (uint16_t i = 0; i < n; i++) {
			size_t end = off;
			struct record r;

			if (read_record(&r, src, len, &end) < 0 || end > limit) {
				if (s != SECTION_ADDITIONAL)
					be16_store(dst + OFF_FLAGS, be16_load(dst + OFF_FLAGS) | DNS_TC);
				return off;
			}
			memcpy(dst + off, src + off, end - off);
			be32_store(dst + r.rdata - 6, r.ttl > age_s ? r.ttl - age_s : 0);
			be16_store(dst + OFF_AN + 2 * s, (uint16_t)(i + 1));
			off = end;
		}
	}
	return off;
}

size_t dns_answer_finish(uint8_t *dst, size_t limit, const struct dns_query *query, const uint8_t *src, size_t len, uint32_t age_s)
{
	uint16_t kept = be16_load(src + OFF_FLAGS), flags;
	size_t off = DNS_HEADER_LEN, opt = query->edns ? DNS_OPT_LEN : 0;

	flags = DNS_QR | DNS_RA | (query->flags & (DNS_OPCODE_MASK | DNS_RD | DNS_CD)) | (kept & (DNS_AA | DNS_TC | DNS_RCODE_MASK));
	if (query->dnssec_ok || query->flags & DNS_AD)
		flags |= kept & DNS_AD;
	memset(dst, 0, DNS_HEADER_LEN);
	be16_store(dst, query->id);
	be16_store(dst + OFF_FLAGS, flags);
	if (!query->name.len || !be16_load(src + OFF_QD))
		opt = 0;
	else if (limit < DNS_HEADER_LEN + query->name.len + 4u + opt) {
		be16_store(dst + OFF_FLAGS, flags | DNS_TC);
		return DNS_HEADER_LEN;
	} else {
		be16_store(dst + OFF_QD, 1);
		off += put_question(dst + off, query);
		off = finish_records(dst, limit - opt, src, len, off, age_s);
	}
	if (!opt)
		return off;
	/* The only code above 15 there is: a version of EDNS that we do not know. */
	put_opt(dst + off, query->edns_version ? DNS_BADVERS >> 4 : 0, query->dnssec_ok);
	be16_store(dst + OFF_AR, (uint16_t)(be16_load(dst + OFF_AR) + 1));
	return off + DNS_OPT_LEN;
}
