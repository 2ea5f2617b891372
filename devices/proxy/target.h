/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target: where a request wants to go: host and port, from CONNECT's authority or an absolute http:// URI.
 *
 * A host is a name of the DNS or an address in its one canonical spelling; what a resolver or another proxy could read as an address
 * ("127.1", "0x7f000001", "2130706433") is refused. No I/O, no allocation. Who may call it: devices/proxy.
 */
#pragma once

#include <stdbool.h>

#include "proto/http.h"
#include "proto/proxyctl.h"

struct target {
	bool connect;		       /* CONNECT, else a plain request */
	bool is_addr;
	char host[PROXYCTL_HOST_MAX];  /* lower case, no trailing dot, no brackets */
	struct net_addr addr;	       /* is_addr */
	uint16_t port;
	struct http_slice path;	       /* of a plain request: from the first '/' or '?'; may be empty */
};

enum { TARGET_TEXT_MAX = PROXYCTL_HOST_MAX + 16 };

/* Return: 0; -EINVAL with *RET_WHY, a static sentence. */
int target_parse(struct target *ret, const struct http_head *head, const char **ret_why);
/* "host:port" or "[address]:port"; the port is left out when it is DEFAULT_PORT (0: never). */
void target_text(const char *host, uint16_t port, uint16_t default_port, char dst[static TARGET_TEXT_MAX]);
