/* SPDX-License-Identifier: Apache-2.0 */
/* dns-parts: who does what among the files of dns. Only they (and their tests) include it. */
#pragma once

#include "devices/net/dns-state.h"

/* dns.c */
/* One message of a client. */
void dns_ask(struct dns *dns, const struct dns_client *client, const uint8_t *msg, size_t len);
/* Answers CLIENT with the kept form SRC. */
void dns_reply(struct dns *dns, const struct dns_client *client, const struct dns_query *query, const uint8_t *src, size_t len,
	       uint32_t age_s);
/* Answers with a code and no record. Counts failures. */
void dns_reply_code(struct dns *dns, const struct dns_client *client, const struct dns_query *query, uint8_t rcode);
void dns_wake_at(struct dns *dns, uint64_t deadline_us);
uint32_t dns_hash(const struct dns_query *query); /* of name and type, never 0 */

/* dns-local.c */
void dns_local_init(struct dns *dns);
void dns_local_addresses(struct dns *dns); /* after the addresses changed */
/* Return: true when QUERY is answered here, by *RET_LEN bytes in dns->kept. */
bool dns_local_answer(struct dns *dns, const struct dns_query *query, size_t *ret_len);

/* dns-cache.c */
void dns_cache_clear(struct dns *dns);
/* Return: a live entry for QUERY, or NULL. */
struct dns_cached *dns_cache_find(struct dns *dns, const struct dns_query *query);
/* Keeps ANSWER, whose bytes are MESSAGE, when it may be kept. */
void dns_cache_put(struct dns *dns, const struct dns_query *query, const struct dns_answer *answer, const uint8_t *message);

/* dns-forward.c: which query waits for whom, and what an answer means */
void dns_forward(struct dns *dns, const struct dns_client *client, const struct dns_query *query);
void dns_forward_again(struct dns *dns);
void dns_forward_timers(struct dns *dns);
/* The try of P failed: the next one, or the end. */
void dns_forward_next(struct dns *dns, struct dns_pending *p);
/* A message for P. Return: true when P is done or has another socket; false: it goes on waiting. */
bool dns_forward_message(struct dns *dns, struct dns_pending *p, const uint8_t *msg, size_t len);

/* dns-upstream.c: sockets to servers */
/* Asks SERVER by a fresh socket. Return: 0 or -errno. */
int dns_upstream_datagram(struct dns *dns, struct dns_pending *p, const struct netctl_server *server);
int dns_upstream_stream(struct dns *dns, struct dns_pending *p, const struct netctl_server *server);
void dns_upstream_close(struct dns *dns, struct dns_pending *p);
void dns_upstream_event(struct dns *dns, struct dns_pending *p);

/* dns-conn.c: TCP connections of the guest */
void dns_conn_event(struct dns *dns, uint64_t handle);
void dns_conn_send(struct dns *dns, uint64_t handle, const uint8_t *msg, size_t len);
void dns_conn_timers(struct dns *dns);
/* DNS_HANDLE, the kind, and a table's handle. */
uint64_t dns_watch_handle(uint64_t table_handle, bool conn);
