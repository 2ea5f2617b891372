/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn: one connection of a client in the VM, through all its requests.
 *
 * Owns the client's descriptor, the server's, and their buffers. Memory and descriptors are bounded by PROXY_CONNS_MAX connections; the
 * next one is answered 503. Who may call it: devices/proxy.
 */
#pragma once

#include "base/cleanup.h"
#include "devices/proxy/buffer.h"
#include "devices/proxy/dial.h"
#include "devices/proxy/proxy.h"
#include "devices/proxy/route.h"
#include "devices/proxy/socks.h"

enum conn_state {
	CONN_HEAD,	/* waits for the rest of a request's head, or for a request */
	CONN_LOOKUP,	/* a name is being resolved */
	CONN_DIAL,	/* addresses are tried */
	CONN_HANDSHAKE, /* with the upstream proxy */
	CONN_EXCHANGE,	/* request body and response */
	CONN_FLUSH,	/* the last bytes before the tunnel */
	CONN_TUNNEL,	/* the relay owns both descriptors */
	CONN_ANSWER,	/* our own page goes out */
	CONN_DRAIN,	/* all is said: the client's last bytes are thrown away until it closes */
	CONN_STATE_MAX,
};

enum {
	CONN_HEAD_US = 30000000,
	CONN_IDLE_US = 120000000, /* between two requests */
	CONN_CONNECT_US = 30000000,
	CONN_DRAIN_US = 2000000,
};

struct conn_side {
	int fd;
	struct loop_source *source; /* NULL: none, or its peer has hung up */
	uint32_t events;
	bool read_end, hung_up;
	struct buffer in, out; /* from and to the peer */
};

struct conn {
	struct proxy *proxy;
	struct conn *next, **link;
	enum conn_state state;
	struct conn_side client, server;
	struct loop_source *timer;
	struct target target;
	struct route route;
	struct lookup *lookup;
	bool lookup_is_upstream; /* the lookup is about the upstream's own name */
	struct dial dial;
	struct socks socks;
	/* the request in hand */
	bool to_head, upgrade, keep_alive, request_gone;
	unsigned int minor;
	struct http_body request, response;
	bool request_last, response_last; /* the closing chunk has been written */
	bool response_begun, response_chunked;
	struct buffer head; /* the encoded request, until there is a server to send it to */
	struct relay *relay;
};

/* Takes the client's stream. Never fails: a connection that cannot be served is answered or closed. */
void conn_start_consume(struct proxy *proxy, int fd);
struct conn *conn_free(struct conn *c);

/* Between the files of this noun: */
/* Answers with a page of our own (or closes, when an answer has begun) and logs; FORMAT makes the sentence, with no secret in it. */
void conn_fail(struct conn *c, unsigned int status, const char *format, ...) _printf_(3, 4);
/* A rule refused the route: 403. */
void conn_refused(struct conn *c);
/* "directly (manual)", "through the HTTP proxy proxy.corp:3128 (manual)". */
void conn_way(const struct conn *c, char *dst, size_t size);
/* Starts the way to the target: lookup, dial, handshake. May end in conn_fail, never frees C. */
void conn_reach(struct conn *c);
/* The server is connected and the upstream agrees: what follows is the target's. */
void conn_reached(struct conn *c);
void conn_handshake(struct conn *c);
/* Moves what can be moved. Return: false: C was freed. */
bool conn_run(struct conn *c);
/* Carries bodies and the response. Return: 0; -errno: the connection cannot go on. */
int conn_exchange(struct conn *c);
void conn_set_state(struct conn *c, enum conn_state state, uint64_t timeout_us);
/* Closes the server's side and forgets its bytes. */
void conn_drop_server(struct conn *c);
int conn_add_server(struct conn *c, int consume_fd);
