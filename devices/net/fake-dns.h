/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake-dns: what the tests of dns stand on: a network namespace of their own, servers in it, and a guest that asks.
 *
 * Only tests use it. Servers get real sockets on port 53 of loopback and other addresses, which the rules allow as they are.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "devices/net/dns-parts.h"

enum { FAKE_MTU = 1500, FAKE_ID = 0x1111, FAKE_WAIT_MS = 2000 };

struct fake_dns {
	struct dns *dns;
	struct policy policy;
	int watch_fd;
	uint64_t now_us;
	struct flow_key key;
	/* What came back last, and how many did. */
	struct flow_key answer_key;
	uint8_t answer[DNS_MESSAGE_MAX];
	size_t answer_len;
	unsigned int n_answers;
};
struct fake_query { /* as a server saw it */
	uint8_t data[DNS_MESSAGE_MAX];
	size_t len;
	struct dns_query decoded;
	struct sockaddr_storage from;
	socklen_t from_len;
};

/* A namespace with loopback up and 10.1.1.1 to 10.1.1.4 on it. Return: false when the host forbids it. */
bool fake_dns_namespace(void);
/* A fresh resolver of the card, everything allowed, no servers. */
void fake_dns_start(struct fake_dns *f);
void fake_dns_end(struct fake_dns *f);
/* Default servers from ADDRS (NULL at the end), port 53. */
void fake_dns_servers(struct fake_dns *f, const char *const *addrs);
struct net_addr fake_dns_addr(const char *text);
/* A socket of TYPE bound to ADDR and PORT, listening when it is a stream. */
int fake_dns_bind(const char *addr, uint16_t port, int type);
/* What the guest would send: NAME may be NULL for none. SIZE 0: no EDNS. Return: length. */
size_t fake_dns_make(uint8_t *dst, const char *name, uint16_t type, uint16_t id, uint16_t size);
/* The guest asks by UDP. */
void fake_dns_ask(struct fake_dns *f, const char *name, uint16_t type);
/* Lets dns take what is ready now; waits for it when WAIT_MS is not 0. */
void fake_dns_turn(struct fake_dns *f, int wait_ms);
void fake_dns_advance(struct fake_dns *f, uint64_t us);
/* Takes a query from server socket FD. Return: false when none came. */
bool fake_dns_receive(int fd, struct fake_query *ret);
/* Nothing is there, and nothing comes. */
bool fake_dns_silent(int fd);
/* An answer to QUERY with N addresses 192.0.2.1 on. Return: length. */
size_t fake_dns_answer(uint8_t *dst, const struct fake_query *query, uint8_t rcode, unsigned int n, uint32_t ttl);
void fake_dns_send(int fd, const struct fake_query *to, const uint8_t *msg, size_t len);
/* FD takes one query and answers it with N addresses. */
void fake_dns_serve(struct fake_dns *f, int fd, uint8_t rcode, unsigned int n);
/* Of the last answer. */
uint8_t fake_dns_rcode(const struct fake_dns *f);
uint16_t fake_dns_count(const struct fake_dns *f, unsigned int section); /* 0: answers */
/* The last answer holds record data BYTES. */
bool fake_dns_has(const struct fake_dns *f, const void *bytes, size_t len);
