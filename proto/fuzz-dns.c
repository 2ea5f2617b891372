/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-dns: bytes as a query and as the answer to it. What is written again must read as the same thing, and what a client
 * gets must keep to its limit.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t kept[DNS_MESSAGE_MAX], again[DNS_MESSAGE_MAX], wire[DNS_MESSAGE_MAX];

static void check_query(const uint8_t *data, size_t size)
{
	uint8_t sent[DNS_QUERY_MAX];
	struct dns_query query, copy;
	char text[DNS_TEXT_MAX];
	size_t len;

	if (dns_query_decode(&query, data, size))
		return;
	dns_name_text(&query.name, text);
	if (strlen(text) > 253)
		abort();
	len = dns_query_encode(sent, &query);
	if (dns_query_decode(&copy, sent, len) || !dns_name_equal(&query.name, &copy.name) || query.type != copy.type)
		abort();
}

/* DATA answers QUERY, which was made to fit. */
static void check_answer(const struct dns_query *query, const uint8_t *data, size_t size)
{
	struct dns_answer answer, same;

	if (dns_answer_rewrite(&answer, kept, sizeof(kept), query, data, size) < 0)
		return;
	be16_store(kept, query->id);
	if (dns_answer_rewrite(&same, again, sizeof(again), query, kept, answer.len) < 0 || same.len != answer.len ||
	    same.n_answers != answer.n_answers || memcmp(kept + 2, again + 2, same.len - 2))
		abort();
	for (size_t limit = DNS_HEADER_LEN; limit <= answer.len + DNS_OPT_LEN; limit += 1 + limit / 3) {
		uint8_t *exact = malloc(limit);
		size_t len = dns_answer_finish(exact, limit, query, again, same.len, 10);

		if (len > limit)
			abort();
		free(exact);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query query = {.edns = size & 1, .udp_size = DNS_UDP_MAX};
	size_t off = DNS_HEADER_LEN;

	check_query(data, size);
	if (size < DNS_HEADER_LEN || size > sizeof(wire))
		return 0;
	if (dns_name_read(&query.name, data, size, &off) < 0 || size - off < 4)
		return 0;
	query.id = be16_load(data);
	query.type = be16_load(data + off);
	query.class = be16_load(data + off + 2);
	check_answer(&query, data, size);
	return 0;
}
