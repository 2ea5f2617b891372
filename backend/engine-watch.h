/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine-watch: looks at what one client sends to the engine, to learn which host ports it names.
 *
 * Changes no byte. Request heads are read; bodies of requests that can name a port are held back until they were learnt; every
 * other body goes by unseen (splice) or is only counted (chunked). After a request that may turn the connection into something
 * else (attach, exec, upgrade) nothing is taken until the engine's answer shows whether it did. What is not understood
 * ends the watching, never the connection, and is not learnt.
 * States: HEAD, BODY, COLLECT, ANSWER, RAW (for ever). Who may call it: backend/engine-proxy.
 */
#pragma once

#include <sys/types.h>

#include "backend/port-learn.h"
#include "base/quota.h"
#include "base/relay.h"

enum { ENGINE_WATCH_BODY_MAX = 4 << 20 };

/* What all watches share; outlives them. */
struct engine_watch_shared {
	port_learn_fn named;
	void *data;
	struct quota held; /* bytes held back by all */
};
#define ENGINE_WATCH_HELD_MAX (64ull << 20)

/* A filter for base/relay. */
int engine_watch_new(struct engine_watch_shared *shared, struct relay_filter **ret);
/* Takes bytes that are here already (tests). Return: 0 or -ENOMEM (the watching has ended then). */
int engine_watch_feed(struct relay_filter *filter, const void *src, size_t len);
