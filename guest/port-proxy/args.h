/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args: the command line of docker-proxy, and the words that dockerd hands on when a port is not published.
 *
 * dockerd starts: port-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80.
 * The iptables wrapper starts, for swarm services: -hold or -unhold with -proto and -host-port, or -unhold-all.
 * Pure. Used by main.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/net-frame.h"

enum args_mode { ARGS_PROXY, ARGS_HOLD, ARGS_UNHOLD, ARGS_UNHOLD_ALL };
enum args_protocol { ARGS_TCP, ARGS_UDP, ARGS_SCTP };
enum { ARGS_WORDS_MAX = 256 };

struct args {
	enum args_mode mode;
	enum args_protocol protocol;
	struct net_addr host, target;
	uint16_t host_port, target_port;
};

/* Return: 0; -EINVAL: something is missing, doubled, unknown or out of range. */
int args_parse(struct args *ret, int argc, char *const argv[]);
/* The host address as Go prints it with its port: "0.0.0.0:80", "[::]:80". */
void args_endpoint(const struct args *args, char *dst, size_t size);
/* Why STATUS (enum agent_port_status) means no: "listen tcp4 0.0.0.0:8080: bind: address already in use". */
void args_words(const struct args *args, uint32_t status, char dst[static ARGS_WORDS_MAX]);
