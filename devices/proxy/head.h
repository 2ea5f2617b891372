/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head: what this proxy sends on: heads made anew from decoded ones, never the bytes that came in.
 *
 * Fields for one hop only (Connection and what it names, Proxy-*, TE, Trailer, Upgrade ...) end here; the framing fields and Host are
 * written by us from what was decoded and decided. A client's Proxy-Authorization never leaves this process.
 * No I/O. Who may call it: devices/proxy.
 */
#pragma once

#include "devices/proxy/route.h"

/* The request for the server, or for the upstream HTTP proxy when ROUTE has one. */
void head_request(struct bytes_writer *w, const struct http_head *head, const struct target *target, const struct route *route);
/* CONNECT to the upstream HTTP proxy of ROUTE. */
void head_connect(struct bytes_writer *w, const struct target *target, const struct route *route);
/* The response for the client. FRAMING: how the body will follow; KEEP_ALIVE: the client may send another request on this
 * connection; MINOR: of the client's request. */
void head_response(struct bytes_writer *w, const struct http_head *head, enum http_framing framing,
		bool keep_alive, unsigned int minor);
/* A response of our own: REASON (escaped, also the reason phrase: it is all that Go programs print) and a page in plain text. */
void head_page(struct bytes_writer *w, unsigned int status, const char *reason, const char *details, bool to_head);
/* Base64 of "USER:PASSWORD" with "Basic " before it. */
enum { HEAD_BASIC_MAX = 6 + (2 * PROXYCTL_SECRET_MAX + 2) / 3 * 4 + 5 };
void head_basic(const char *user, const char *password, char dst[static HEAD_BASIC_MAX]);
