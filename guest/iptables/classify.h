/* SPDX-License-Identifier: Apache-2.0 */
/*
 * classify: which calls of iptables publish a port of a swarm service, or end that.
 *
 * The engine programs "-t nat -I DOCKER-INGRESS -p tcp --dport 8080 -j DNAT ..." and the same with -D, and flushes the chain.
 * Pure. Used by main.c.
 */
#pragma once

enum classify_kind { CLASSIFY_NOTHING, CLASSIFY_BEGIN, CLASSIFY_END, CLASSIFY_END_ALL };

struct classify {
	enum classify_kind kind;
	const char *protocol; /* "tcp" or "udp"; of the input, as PORT */
	const char *port;     /* 1 to 65535, decimal */
};

void classify(struct classify *ret, int argc, char *const argv[]);
