/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docker-context: the docker CLI's context `desktop-linux`, current while the desktop runs.
 *
 * Touches two files of the user's docker configuration: contexts/meta/<id>/meta.json and, in config.json, the
 * one member currentContext. A config.json that does not parse is never touched. What was current before is
 * remembered in run/context.json before anything is changed, so that the next start repairs after a crash.
 * Should: be called under the backend's lock. Who may call it: backend only.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

#define DOCKER_CONTEXT_NAME "desktop-linux"

struct docker_context {
	int config_fd; /* the docker configuration directory, -EBADF when it cannot be used */
	int run_fd;    /* borrowed: where the memory is kept */
	char *host;    /* "unix://PATH" of the endpoint in force */
	char *previous; /* NULL: no member was there */
	bool current;	/* our context is the current one, by us or before us */
	char warning[FAULT_TEXT_MAX]; /* "" or why the context was not changed */
};

#define DOCKER_CONTEXT_INIT {.config_fd = -EBADF, .run_fd = -EBADF}

/* Opens DOCKER_CONFIG (when an absolute path of ours) or HOME/.docker. Never fails: see warning. */
void docker_context_open(struct docker_context *context, const char *home, int run_fd);
/* Makes the context point to SOCKET (absolute path) and makes it current. Never fails: see warning. */
void docker_context_enter(struct docker_context *context, const char *socket);
/* Makes the previous one current again if ours still is, and leaves our context pointing to RESTING (a path only the
 * user can ever listen on, unlike a name in /tmp). */
void docker_context_leave(struct docker_context *context, const char *resting);
/* After a backend that was killed: leaves as it would have done, if it had remembered what was current. */
void docker_context_recover(struct docker_context *context, const char *resting);
void docker_context_done(struct docker_context *context);
