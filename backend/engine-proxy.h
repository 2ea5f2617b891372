/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine-proxy: the engine's socket for clients, from the backend's first moment to its last.
 *
 * A client that comes while the engine starts waits, silently; while it runs, the client is connected to the control
 * link (run/engine.sock) and bytes go both ways; otherwise it gets 503 in the engine's own error format.
 * States: WAIT (connections are held), PASS (connected), REFUSE (answered 503); set by engine_proxy_set.
 *
 * Seam for policy: connect_client() in engine-proxy.c is the one place where a client meets the engine. engine-watch looks there
 * at what a client sends, as a filter of the relay, and learns the ports it names; a filter that decides and re-encodes requests
 * takes the same place.
 * Who may call it: backend only.
 */
#pragma once

#include <stdint.h>

#include "backend/engine-watch.h"
#include "base/error.h"
#include "base/loop.h"

enum { ENGINE_CLIENTS_MAX = 4096 };
enum engine_gate { ENGINE_WAIT, ENGINE_PASS, ENGINE_REFUSE };

struct engine_proxy;

/* UPSTREAM_DIR_FD (borrowed) holds the socket UPSTREAM_NAME (static). Starts in ENGINE_WAIT. Return: 0 or -errno. */
int engine_proxy_new(struct loop *loop, int upstream_dir_fd, const char *upstream_name, struct engine_proxy **ret);
/* NAMED is told each host port that a request names, before the engine has the whole request. */
void engine_proxy_watch(struct engine_proxy *proxy, port_learn_fn named, void *data);
/* Accepts on LISTEN_FD (non-blocking, consumed also on failure); may be called twice. Return: 0 or -errno. */
int engine_proxy_listen_consume(struct engine_proxy *proxy, int listen_fd);
/* Opens or shuts the gate; REASON (a sentence) is what refused clients are told. Connections already passing stay. */
void engine_proxy_set(struct engine_proxy *proxy, enum engine_gate gate, const char *reason);
uint32_t engine_proxy_count(const struct engine_proxy *proxy);
struct engine_proxy *engine_proxy_free(struct engine_proxy *proxy);
