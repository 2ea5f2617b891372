/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver-parse: the text of resolv.conf(5), hosts(5) and of the DNS settings, as what the network process is told.
 *
 * Pure: no I/O, no allocation. Lines that break the format are left out and counted, never guessed at. Who may call it:
 * resolver, and the settings that name servers and domains.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/netctl-types.h"

enum {
	RESOLVER_FILE_MAX = 1 << 20, /* bytes of a file that are looked at */
	RESOLVER_PIECES_MAX = (NETCTL_HOSTS_MAX + NETCTL_HOSTS_PIECE_MAX - 1) / NETCTL_HOSTS_PIECE_MAX,
};

/* What was left out of a file. */
struct resolver_skipped {
	uint32_t bad;	    /* lines or names that are malformed or unusable (scoped, multicast ...) */
	uint32_t too_many;  /* well-formed ones beyond the limits */
};

/* Servers and search list of resolv.conf; RET's domains are left empty. As libc reads it: of several search or domain lines the
 * last counts, everything after a blank is another value. */
void resolver_parse_conf(struct netctl_resolvers *ret, struct resolver_skipped *skipped, const char *text, size_t len);
/* hosts(5) into pieces (at least one, possibly empty). Names of localhost are left out: they mean the guest itself there. Return:
 * number of pieces. */
size_t resolver_parse_hosts(struct netctl_hosts pieces[static RESOLVER_PIECES_MAX], struct resolver_skipped *skipped,
			    const char *text, size_t len);
/* "10.0.0.1", "10.0.0.1:5353", "fd00::1", "[fd00::1]:5353". Return: 0; -EINVAL with *REASON, a static sentence. */
int resolver_parse_server(const char *text, struct netctl_server *ret, const char **reason);
/* "corp.example=10.0.0.1,10.0.0.2:5353". Return: 0; -EINVAL with *REASON, a static sentence. */
int resolver_parse_domain(const char *text, struct netctl_domain *ret, const char **reason);
