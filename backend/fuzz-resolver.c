/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-resolver: any bytes as resolv.conf, hosts file, and settings; what comes out is what the network process accepts. */
#include <stdlib.h>
#include <string.h>

#include "backend/resolver-parse.h"
#include "proto/netctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t frame[NETCTL_FRAME_MAX];
static struct netctl_hosts pieces[RESOLVER_PIECES_MAX];
static struct netctl_message message, copy;

/* MESSAGE passes the corridor. */
static void check_message(enum netctl_type type)
{
	int n;

	message.type = type;
	n = netctl_encode(&message, frame);
	if (n < 0 || netctl_decode(&copy, NETCTL_TO_NET, frame, (size_t)n, 0) < 0)
		abort();
}

static void check_settings(const char *text)
{
	struct netctl_domain domain;
	struct netctl_server server;
	const char *reason = NULL;

	if (resolver_parse_server(text, &server, &reason) < 0 && !reason)
		abort();
	reason = NULL;
	if (resolver_parse_domain(text, &domain, &reason) < 0) {
		if (!reason)
			abort();
		return;
	}
	memset(&message, 0, sizeof(message));
	message.resolvers.n_domains = 1;
	message.resolvers.domains[0] = domain;
	check_message(NETCTL_RESOLVERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resolver_skipped skipped;
	char text[512];
	size_t n;

	memset(&message, 0, sizeof(message));
	resolver_parse_conf(&message.resolvers, &skipped, (const char *)data, size);
	check_message(NETCTL_RESOLVERS);
	n = resolver_parse_hosts(pieces, &skipped, (const char *)data, size);
	if (!n || n > RESOLVER_PIECES_MAX || !pieces[0].first || !pieces[n - 1].last)
		abort();
	for (size_t i = 0; i < n; i++) {
		message.hosts = pieces[i];
		check_message(NETCTL_HOSTS);
	}
	n = size < sizeof(text) ? size : sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	check_settings(text);
	return 0;
}
