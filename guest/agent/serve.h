/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve: TCP listeners of the control link; what they accept goes to the relay table.
 *
 * A connection that cannot be served (table full, engine socket absent or its backlog full) is reset and counted.
 * Who may call it: main.c.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "guest/agent/relay.h"

struct serve_plan {
	uint32_t ip;	       /* host byte order */
	uint16_t port;	       /* 0: any (tests) */
	const char *unix_path; /* static; relayed to that socket. NULL: echo */
};

struct serve;

/* LOOP and SET are borrowed and live longer. Return: 0 or -errno. */
int serve_new(struct loop *loop, struct relay_set *set, const struct serve_plan *plan, struct serve **ret);
struct serve *serve_free(struct serve *serve);
DEFINE_CLEANUP(struct serve *, serve_free)
/* The port that was bound. Return: port or -errno. */
int serve_port(const struct serve *serve);
