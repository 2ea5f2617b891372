/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api-server: the backend API's connections: who may speak, limits, deadlines, event streams.
 *
 * States of a connection: READING (a request), WAITING (for fresh numbers of the machine, at most 300 ms), ASKING (the network
 * process, at most 30 s), WRITING (an answer), CAPTURING (its head; then the socket is the network process's), STREAMING (events),
 * LINGERING (refused, at most 2 s). Who may call it: backend/session and main.
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
	/* The settings file has changed. May be NULL. */
	void (*settings)(void *data);
	/* Answered later, never from inside, by api_server_answer(TOKEN). Return: 0 or -errno. May be NULL. */
	int (*query)(void *data, const struct net_query_request *request, void *token);
	/* TOKEN's connection has gone. Set when QUERY is. */
	void (*forget)(void *data, const void *token);
	/* The head of the answer has left; FD (borrowed) is the client's. May be NULL. */
	void (*capture)(void *data, const struct netctl_capture *capture, int fd);
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
/* The answer to a query: BODY is consumed (NULL: out of memory). */
void api_server_answer(struct api_server *server, void *token, json_t *body);
void api_server_have_stats(struct api_server *server);
/* Ends every stream with its last chunk and accepts nobody any more. */
void api_server_finish(struct api_server *server);
/* Bytes wait for a slow reader. */
bool api_server_is_draining(const struct api_server *server);
struct api_server *api_server_free(struct api_server *server);
