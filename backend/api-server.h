/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api-server: the backend API's connections: who may speak, limits, deadlines, event streams.
 *
 * States of a connection: READING (a request), WAITING (for fresh numbers of the machine, at most 300 ms), WRITING (an
 * answer), STREAMING (events), LINGERING (refused, at most 2 s). Who may call it: backend/session and main.
 */
#pragma once

#include <jansson.h>

#include "backend/api.h"
#include "base/loop.h"

enum { API_CONNECTIONS_MAX = 64 };

struct api_server;

struct api_hooks {
	void (*stop)(void *data, bool force, uint32_t timeout_s);
	/* Asks the machine for numbers; true: api_server_have_stats will be called. May be NULL. */
	bool (*want_stats)(void *data);
	/* Brings parts of the view up to date that nobody announces. May be NULL. */
	void (*refresh)(void *data);
	/* A connection has ended. May be NULL. */
	void (*ended)(void *data);
	void *data;
};

int api_server_new(struct loop *loop, const struct view *view, const struct api_hooks *hooks, struct api_server **ret);
/* Both consume their descriptor, also on failure. */
int api_server_listen_consume(struct api_server *server, int listen_fd);
int api_server_serve_consume(struct api_server *server, int fd);
/* Sends EVENT (consumed, NULL is ignored) to every stream. */
void api_server_event(struct api_server *server, json_t *event);
void api_server_have_stats(struct api_server *server);
/* Ends every stream with its last chunk and accepts nobody any more. */
void api_server_finish(struct api_server *server);
/* Bytes wait for a slow reader. */
bool api_server_is_draining(const struct api_server *server);
struct api_server *api_server_free(struct api_server *server);
