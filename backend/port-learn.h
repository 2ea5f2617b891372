/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port-learn: which host ports a request to the engine names.
 *
 * Reads bodies as the engine does (Go's rules: keys in any case, the last of several counts) and, where it would read them
 * otherwise, finds fewer ports, never more. Pure (jansson). Who may call it: backend/engine-watch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum port_learn_kind {
	PORT_LEARN_NOTHING,
	PORT_LEARN_CONTAINER, /* POST /containers/create */
	PORT_LEARN_SERVICE,   /* POST /services/create, /services/ID/update */
};

/* An address that means "all" was written down, not just left out. */
enum port_wide { PORT_WIDE_V4 = 1, PORT_WIDE_V6 = 2 };

struct port_name {
	bool udp;
	uint8_t wide; /* enum port_wide, or-ed */
	uint16_t first, last; /* 1 to 65535 */
};
typedef void (*port_learn_fn)(void *data, const struct port_name *name);

enum {
	PORT_LEARN_NAMES_MAX = 4096, /* of one request; what follows is not learnt */
	/* swarm's own range, for services that name a target and no published port */
	PORT_SWARM_FIRST = 30000,
	PORT_SWARM_LAST = 32767,
};

/* Which bodies matter: METHOD and TARGET (with its query) of a request. */
enum port_learn_kind port_learn_kind(const char *method, size_t method_len, const char *target, size_t target_len);
/* Calls FN for each. Return: number of names; -EBADMSG: not JSON that we read as the engine does. */
int port_learn(enum port_learn_kind kind, const char *body, size_t len, port_learn_fn fn, void *data);
