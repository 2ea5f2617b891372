/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socks: the client's side of a SOCKS5 conversation (RFC 1928, RFC 1929), as bytes in and bytes out.
 *
 * States: SOCKS_METHOD, SOCKS_AUTH, SOCKS_REPLY, SOCKS_DONE. No I/O, no allocation. The server is not trusted: every length is
 * checked, and bytes behind the last reply are the tunnel's. Who may call it: devices/proxy.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/proxyctl.h"

enum socks_state { SOCKS_METHOD, SOCKS_AUTH, SOCKS_REPLY, SOCKS_DONE };
/* Longest message in either direction: user and password with their lengths. */
enum { SOCKS_OUT_MAX = 3 + 2 * 256 };

struct socks {
	enum socks_state state;
	const char *user, *password; /* borrowed; user "": none */
	const char *host;	     /* borrowed; a name, used when ADDR is NULL */
	const struct net_addr *addr; /* borrowed */
	uint16_t port;
};

/* Positive codes of socks_feed. */
enum { SOCKS_E_DONE = 1 };

/* The greeting into OUT. Return: its length. */
size_t socks_start(struct socks *socks, uint8_t out[static SOCKS_OUT_MAX]);
/* Looks at SRC[0..LEN): *RET_TAKEN bytes are used up, *RET_OUT bytes of OUT are to be sent. Return: 0: go on (with more bytes when
 * nothing was taken); SOCKS_E_DONE: connected; -EBADMSG: not SOCKS5; -EACCES: name and password refused or wanted; another
 * -errno: the reply's own reason. *RET_WHY: a static sentence with every error. */
int socks_feed(struct socks *socks, const uint8_t *src, size_t len, size_t *ret_taken, uint8_t out[static SOCKS_OUT_MAX],
	       size_t *ret_out, const char **ret_why);
