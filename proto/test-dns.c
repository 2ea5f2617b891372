/* SPDX-License-Identifier: Apache-2.0 */
/* test-dns: queries and answers; refusals first (NET-07, NET-10). Run by meson; needs no network and no root. */
#include "proto/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"

struct message {
	uint8_t data[DNS_MESSAGE_MAX];
	size_t len;
};
static struct message m;
static uint8_t kept[DNS_MESSAGE_MAX], out[DNS_MESSAGE_MAX];

static void put(const void *src, size_t len)
{
	assert_true(len <= sizeof(m.data) - m.len);
	memcpy(m.data + m.len, src, len);
	m.len += len;
}

static void put16(uint16_t v)
{
	uint8_t b[2];

	be16_store(b, v);
	put(b, 2);
}

static void put32(uint32_t v)
{
	put16((uint16_t)(v >> 16));
	put16((uint16_t)v);
}

static void put_name(const char *text)
{
	struct dns_name name;

	assert_int_equal(dns_name_parse(&name, text), 0);
	put(name.wire, name.len);
}

static void start(uint16_t flags, uint16_t qd, uint16_t an, uint16_t ns, uint16_t ar)
{
	m.len = 0;
	put16(0x1234);
	put16(flags);
	put16(qd);
	put16(an);
	put16(ns);
	put16(ar);
}

/* A query for www.example.com, type A, and room for what follows. */
static void start_www(uint16_t flags, uint16_t an, uint16_t ns, uint16_t ar)
{
	start(flags, 1, an, ns, ar);
	put_name("www.example.com");
	put16(DNS_A);
	put16(DNS_CLASS_IN);
}

/* A record whose owner is a pointer to OWNER. */
static void put_record(uint16_t owner, uint16_t type, uint32_t ttl, const void *rdata, size_t len)
{
	put16((uint16_t)(0xc000 | owner));
	put16(type);
	put16(DNS_CLASS_IN);
	put32(ttl);
	put16((uint16_t)len);
	put(rdata, len);
}

static void put_opt(uint16_t size, uint32_t ttl, const void *options, size_t len)
{
	put("", 1);
	put16(DNS_OPT);
	put16(size);
	put32(ttl);
	put16((uint16_t)len);
	put(options, len);
}

static struct dns_query www(void)
{
	struct dns_query query;

	start_www(DNS_RD, 0, 0, 0);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), 0);
	return query;
}

static int rewrite(struct dns_answer *ret, const struct dns_query *query)
{
	/* An exact copy, so that a sanitizer sees a read beyond the end. */
	uint8_t *copy = malloc(m.len);
	int r;

	memcpy(copy, m.data, m.len);
	r = dns_answer_rewrite(ret, kept, sizeof(kept), query, copy, m.len);
	free(copy);
	return r;
}

static void test_bad_queries(void **state)
{
	struct dns_query query;

	start_www(DNS_RD, 0, 0, 0);
	for (size_t n = 0; n < m.len; n++)
		assert_int_equal(dns_query_decode(&query, m.data, n), n < DNS_HEADER_LEN ? DNS_QUERY_E_SILENT : DNS_QUERY_E_FORMAT);
	put("x", 1);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_FORMAT); /* bytes behind the end */
	start_www(DNS_RD | DNS_QR, 0, 0, 0);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_SILENT);
	for (uint16_t opcode = 1; opcode < 16; opcode++) {
		start_www((uint16_t)(opcode << 11), 0, 0, 0);
		assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_OPCODE);
		assert_int_equal(query.id, 0x1234);
		assert_int_equal(query.flags, opcode << 11);
	}
	for (uint16_t qd = 0; qd < 3; qd += 2) {
		start(0, qd, 0, 0, 0);
		put("\0\0\1\0\1\0\0\1\0\1", 10);
		assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_FORMAT);
	}
	start_www(0, 1, 0, 0);
	put_record(12, DNS_A, 1, "\1\2\3\4", 4);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_FORMAT);
	start_www(0, 0, 0, 1);
	put_record(12, DNS_A, 1, "\1\2\3\4", 4);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_FORMAT);
	start_www(0, 0, 0, 2); /* two OPT */
	put_opt(1232, 0, "", 0);
	put_opt(1232, 0, "", 0);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_FORMAT);
	start_www(0, 0, 0, 1); /* an option that is longer than its record */
	put_opt(1232, 0, "\0\x08\0\x09\1\2\3\4\5\6\7\x08", 12);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_FORMAT);
}

static void test_query_forms(void **state)
{
	uint8_t sent[DNS_QUERY_MAX];
	struct dns_query query, again;
	size_t len;

	start_www(DNS_RD | DNS_AD | DNS_CD, 0, 0, 1);
	put_opt(4096, 0x8000, "\0\x08\0\7\0\1\x18\0\x0a\1\2", 11); /* client subnet (RFC 7871) */
	assert_int_equal(dns_query_decode(&query, m.data, m.len), 0);
	assert_true(query.edns && query.dnssec_ok);
	assert_int_equal(query.udp_size, 4096);
	assert_int_equal(query.type, DNS_A);
	query.id = 0x4321;
	len = dns_query_encode(sent, &query);
	assert_int_equal(len, DNS_HEADER_LEN + 17 + 4 + DNS_OPT_LEN); /* no option of the guest's went along */
	assert_int_equal(dns_query_decode(&again, sent, len), 0);
	assert_int_equal(again.id, 0x4321);
	assert_int_equal(again.udp_size, DNS_UDP_MAX);
	assert_true(again.dnssec_ok);
	assert_int_equal(again.flags, DNS_RD | DNS_AD | DNS_CD);
	start_www(0, 0, 0, 1);
	put_opt(100, 0x00010000, "", 0);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), 0);
	assert_int_equal(query.udp_size, DNS_UDP_PLAIN);
	assert_int_equal(query.edns_version, 1);
}

static void test_unmatched_answers(void **state)
{
	struct dns_query query = www();
	struct dns_answer answer;
	struct message good;

	start_www(DNS_QR | DNS_RD, 1, 0, 0);
	put_record(12, DNS_A, 60, "\1\2\3\4", 4);
	good = m;
	assert_true(dns_answer_matches(&query, m.data, m.len));
	assert_int_equal(rewrite(&answer, &query), 0);
	/* id, QR, opcode, number of questions, each byte of the question (its case too), and every cut */
	for (size_t i = 0; i < DNS_HEADER_LEN + 17 + 4; i++) {
		if (i == 3 || (i > 5 && i < DNS_HEADER_LEN))
			continue;
		m = good;
		m.data[i] ^= i == 2 ? 0x88 : 0x20;
		assert_false(dns_answer_matches(&query, m.data, m.len));
		assert_int_equal(rewrite(&answer, &query), -EBADMSG);
	}
	m = good;
	for (m.len = 0; m.len < good.len; m.len++)
		assert_int_equal(rewrite(&answer, &query), -EBADMSG);
}

/* One record of TYPE with RDATA as the answer to a question for TYPE. */
static int rewrite_one(struct dns_answer *ret, uint16_t type, const void *rdata, size_t len)
{
	struct dns_query query = www();

	query.type = type;
	start(DNS_QR, 1, 1, 0, 0);
	put_name("www.example.com");
	put16(type);
	put16(DNS_CLASS_IN);
	put_record(12, type, 60, rdata, len);
	return rewrite(ret, &query);
}

static void test_bad_records(void **state)
{
	static const struct {
		uint16_t type;
		const char *rdata;
		size_t len;
	} bad[] = {
		{DNS_A, "\1\2\3", 3},	    {DNS_A, "\1\2\3\4\5", 5},	 {DNS_AAAA, "\1\2\3\4", 4},
		{DNS_CNAME, "", 0},	    {DNS_CNAME, "\3abc", 4},	 {DNS_CNAME, "\3abc\0x", 6},
		{DNS_CNAME, "\xc0\x2d", 2}, {DNS_CNAME, "\xff\xff", 2},	 {DNS_MX, "\0\1", 2},
		{DNS_MX, "\0", 1},	    {DNS_SOA, "\0\0", 2},	 {DNS_SOA, "\0\0\1\2\3\4\5\6\7\x08\1\2\3\4\5\6\7\x08\1\2\3", 21},
		{DNS_SRV, "\0\0\0\0\0", 5}, {DNS_SRV, "\0\0\0\0\0\0", 6}, {DNS_NAPTR, "\0\0\0\0\5abc", 8},
		{DNS_RRSIG, "12345678901234567", 17}, {47, "\3ab", 3}, {0, "", 0}, {200, "", 0}, {DNS_ANY, "", 0},
		{DNS_OPT, "", 0},	    {DNS_TSIG, "", 0},
	};
	struct dns_answer answer = {.len = 7};
	struct dns_query query;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(rewrite_one(&answer, bad[i].type, bad[i].rdata, bad[i].len), -EBADMSG);
	assert_int_equal(answer.len, 7);
	assert_int_equal(rewrite_one(&answer, DNS_TXT, "anything", 8), 0);
	assert_int_equal(rewrite_one(&answer, DNS_NAPTR, "\0\0\0\0\1u\0\2ab\1x\xc0\x0c", 14), 0);
	assert_int_equal(rewrite_one(&answer, DNS_RRSIG, "123456789012345678\1a\0signature", 30), 0);
	query = www();
	start_www(DNS_QR, 1, 0, 0);
	put_record(12, DNS_A, 60, "\1\2\3\4", 4);
	assert_int_equal(rewrite(&answer, &query), 0);
	m.data[DNS_HEADER_LEN + 21 + 5] = 3; /* the record is of class CHAOS */
	assert_int_equal(rewrite(&answer, &query), -EBADMSG);
}

static void test_ten_thousand_records(void **state)
{
	struct dns_query query = www();
	struct dns_answer answer;

	start_www(DNS_QR, 10000, 0, 0);
	while (m.len + 16 <= sizeof(m.data))
		put_record(12, DNS_A, 60, "\1\2\3\4", 4);
	assert_int_equal(rewrite(&answer, &query), -EBADMSG);
	/* what counts is what there is, up to the limit */
	start_www(DNS_QR, DNS_RECORDS_MAX, 0, 0);
	for (unsigned int i = 0; i < DNS_RECORDS_MAX; i++)
		put_record(12, DNS_A, 60, "\1\2\3\4", 4);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.n_answers, DNS_RECORDS_MAX);
	be16_store(m.data + 6, DNS_RECORDS_MAX + 1);
	assert_int_equal(rewrite(&answer, &query), -EBADMSG);
	be16_store(m.data + 6, DNS_RECORDS_MAX);
	assert_int_equal(dns_answer_rewrite(&answer, kept, 1000, &query, m.data, m.len), -EMSGSIZE);
}

/* A chain of CNAMEs that ends where it began is only data. */
static void test_cname_circle(void **state)
{
	struct dns_query query = www();
	struct dns_answer answer;

	start_www(DNS_QR, 2, 0, 0);
	put_record(12, DNS_CNAME, 60, "\1b\xc0\x10", 4);
	put_record((uint16_t)(m.len - 4), DNS_CNAME, 60, "\xc0\x0c", 2);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.n_answers, 2);
	assert_int_equal(answer.ttl_s, 0); /* no address in it, no SOA: not kept */
}

/* What is written again says the same in no more bytes, without OPT and without what belongs to no record. */
static void test_rewrite(void **state)
{
	struct dns_query query = www();
	struct dns_answer answer, again;
	static uint8_t twice[DNS_MESSAGE_MAX];
	size_t len;

	start_www(DNS_QR | DNS_AA | DNS_AD | DNS_RA, 2, 1, 2);
	put_record(12, DNS_CNAME, 300, "\3cdn\xc0\x10", 6);
	put_record(0x2d, DNS_A, 0x80000000, "\1\2\3\4", 4); /* a TTL with the first bit set is 0 */
	put_record(16, DNS_NS, 3600, "\2ns\7example\3net\0", 16);
	put_opt(4096, 0x8000, "\0\x03\0\4host", 8);
	put_record(0x2d, DNS_AAAA, 60, "0123456789abcdef", 16);
	put("hidden", 6);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.n_answers, 2);
	assert_int_equal(answer.ttl_s, 0);
	assert_int_equal(be16_load(kept + 10), 1); /* additional: without OPT */
	assert_true(answer.len <= m.len);
	assert_null(memmem(kept, answer.len, "hidden", 6));
	assert_null(memmem(kept, answer.len, "host", 4));
	be16_store(kept, query.id);
	memcpy(twice, kept, answer.len);
	assert_int_equal(dns_answer_rewrite(&again, kept, sizeof(kept), &query, twice, answer.len), 0);
	assert_int_equal(again.len, answer.len);
	assert_memory_equal(kept + 2, twice + 2, again.len - 2);
	len = dns_answer_finish(out, DNS_UDP_MAX, &query, kept, again.len, 100);
	assert_int_equal(len, again.len);
	assert_int_equal(be16_load(out + 2), DNS_QR | DNS_RD | DNS_RA); /* AD was not asked for, AA is not ours to say */
	assert_int_equal(be32_load(out + 0x21 + 6), 200);
}

static void test_extended_code(void **state)
{
	struct dns_query query = www();
	struct dns_answer answer;

	start_www(DNS_QR, 0, 0, 1);
	put_opt(512, 0x01000000, "", 0);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.rcode, DNS_SERVFAIL);
	assert_int_equal(kept[3] & 15, DNS_SERVFAIL);
}

static void test_keep_time(void **state)
{
	static const char soa[] = "\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x3c"; /* minimum 60 */
	struct dns_query query = www();
	struct dns_answer answer;

	start_www(DNS_QR, 2, 0, 0);
	put_record(12, DNS_A, 300, "\1\2\3\4", 4);
	put_record(12, DNS_A, 20, "\1\2\3\5", 4);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.ttl_s, 20);
	start_www(DNS_QR | DNS_NXDOMAIN, 0, 1, 0);
	put_record(16, DNS_SOA, 3600, soa, 22);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.ttl_s, 60);
	assert_int_equal(answer.rcode, DNS_NXDOMAIN);
	start_www(DNS_QR, 0, 1, 0);
	put_record(16, DNS_SOA, 30, soa, 22);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.ttl_s, 30);
	start_www(DNS_QR | DNS_NXDOMAIN, 0, 0, 0); /* without SOA nothing says how long */
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.ttl_s, 0);
	start_www(DNS_QR | DNS_SERVFAIL, 0, 1, 0);
	put_record(16, DNS_SOA, 30, soa, 22);
	assert_int_equal(rewrite(&answer, &query), 0);
	assert_int_equal(answer.ttl_s, 0);
}

/* At every limit: never longer, whole records only, TC exactly when something of weight is missing. */
static void test_truncation(void **state)
{
	struct dns_query query = www();
	struct dns_answer answer;

	query.edns = true;
	start_www(DNS_QR, 20, 0, 5);
	for (int i = 0; i < 20; i++)
		put_record(12, DNS_A, 60, "\1\2\3\4", 4);
	for (int i = 0; i < 5; i++)
		put_record(12, DNS_AAAA, 60, "0123456789abcdef", 16);
	assert_int_equal(rewrite(&answer, &query), 0);
	for (size_t limit = DNS_HEADER_LEN; limit < answer.len + 20; limit++) {
		uint8_t *exact = malloc(limit);
		size_t len = dns_answer_finish(exact, limit, &query, kept, answer.len, 0);
		bool tc = be16_load(exact + 2) & DNS_TC;
		unsigned int n = be16_load(exact + 6);

		assert_true(len <= limit);
		assert_int_equal(be16_load(exact), 0x1234);
		assert_true(tc == (n < 20));
		if (len > DNS_HEADER_LEN) {
			assert_int_equal(be16_load(exact + 4), 1);
			assert_int_equal(len, DNS_HEADER_LEN + 21 + 16 * n + 28 * (be16_load(exact + 10) - 1u) + DNS_OPT_LEN);
		}
		free(exact);
	}
}

static void test_own_answers(void **state)
{
	struct dns_query query = www();
	struct dns_writer w;
	uint8_t small[40];
	size_t len;

	dns_writer_start(&w, kept, sizeof(kept), &query, DNS_AA, DNS_NOERROR);
	dns_writer_answer(&w, DNS_A, 60, "\xc0\xa8\x41\xfe", 4);
	len = dns_writer_end(&w);
	assert_int_equal(len, DNS_HEADER_LEN + 21 + 16);
	/* asked by somebody else, in capitals */
	query.name.wire[1] = 'W';
	query.id = 99;
	len = dns_answer_finish(out, DNS_UDP_PLAIN, &query, kept, len, 0);
	assert_int_equal(be16_load(out), 99);
	assert_int_equal(be16_load(out + 2), DNS_QR | DNS_AA | DNS_RD | DNS_RA);
	assert_memory_equal(out + DNS_HEADER_LEN, query.name.wire, query.name.len);
	dns_writer_start(&w, small, sizeof(small), &query, 0, DNS_NOERROR);
	dns_writer_answer(&w, DNS_A, 60, "\xc0\xa8\x41\xfe", 4);
	assert_int_equal(dns_writer_end(&w), 0);
	/* an error for something without a question */
	start(0, 0, 0, 0, 0);
	assert_int_equal(dns_query_decode(&query, m.data, m.len), DNS_QUERY_E_FORMAT);
	dns_writer_start(&w, kept, sizeof(kept), &query, 0, DNS_FORMERR);
	assert_int_equal(dns_answer_finish(out, DNS_UDP_PLAIN, &query, kept, dns_writer_end(&w), 0), DNS_HEADER_LEN);
	assert_int_equal(be16_load(out + 2), DNS_QR | DNS_RA | DNS_FORMERR);
	/* a version of EDNS that does not exist */
	query = www();
	query.edns = true;
	query.edns_version = 1;
	dns_writer_start(&w, kept, sizeof(kept), &query, 0, DNS_NOERROR);
	len = dns_answer_finish(out, DNS_UDP_PLAIN, &query, kept, dns_writer_end(&w), 0);
	assert_int_equal(len, DNS_HEADER_LEN + 21 + DNS_OPT_LEN);
	assert_int_equal(out[len - 6], 1); /* BADVERS */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_queries),
		cmocka_unit_test(test_query_forms),
		cmocka_unit_test(test_unmatched_answers),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_ten_thousand_records),
		cmocka_unit_test(test_cname_circle),
		cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_extended_code),
		cmocka_unit_test(test_keep_time),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_own_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
