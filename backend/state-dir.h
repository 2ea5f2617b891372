/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state-dir: where everything of one user lives (docs/state-dir.md), as held directory descriptors.
 *
 * Only this file turns HOME into directories. Everything below ~/.docker/desktop is ours, 0700, and reached by
 * descriptor; a directory that is a link, another user's or writable by others is refused in words.
 * Who may call it: backend only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define STATE_SETTINGS_FILE "settings-store.json"
#define STATE_PORTS_FILE "ports.json" /* backend/port-names */
#define STATE_ENGINE_SOCKET "docker.sock"
#define STATE_API_SOCKET "backend.sock"
#define STATE_LINK_SOCKET "engine.sock" /* in run/: the machine's side of the control link */
#define STATE_FAULT_FILE "fault.json" /* in run/: why the last run ended, when it ended badly */
#define STATE_LOCK_FILE "backend.lock" /* in run/ */
#define STATE_CONTEXT_FILE "context.json" /* in run/: docker-context's memory, there from start to stop */
#define STATE_DISK_FILE "Docker.raw"

struct state_dir {
	char *home, *desktop, *run, *data, *log, *cache;
	int home_fd, desktop_fd, run_fd, data_fd, log_fd, cache_fd;
	/* Set when DESKTOP/docker.sock does not fit a socket address: a directory with a short name. */
	char *short_dir;
	int short_fd;
	bool short_made; /* a fresh /tmp directory that state_dir_drop_short removes */
};

#define STATE_DIR_INIT                                                                                \
	{.home_fd = -EBADF, .desktop_fd = -EBADF, .run_fd = -EBADF, .data_fd = -EBADF, .log_fd = -EBADF, \
	 .cache_fd = -EBADF, .short_fd = -EBADF}

/* Opens all directories, making what is missing. Return: 0; -errno with FAULT. */
int state_dir_open(struct state_dir *dir, struct fault *fault);
/* Opens (makes) the short directory when the engine socket's own path is too long for a client's socket address:
 * $XDG_RUNTIME_DIR/caisson, else a fresh /tmp/caisson-UID-RANDOM (run/short is a link to it).
 * Return: 0 (short_dir NULL: not needed); -errno. */
int state_dir_open_short(struct state_dir *dir, struct fault *fault);
/* Removes the /tmp directory that a killed backend left; only with the backend's lock. */
void state_dir_drop_earlier(struct state_dir *dir);
/* Removes the short socket, and the directory when it was made for this run. */
void state_dir_drop_short(struct state_dir *dir);
/* Path that clients use for the engine; *RET is malloc'ed (caller frees). Return: 0 or -errno. */
int state_dir_engine_path(const struct state_dir *dir, char **ret);
/* The user's home directory, by the rule of docs/protocol/backend-api.md; malloc'ed. Return: 0; -errno with FAULT. */
int state_dir_find_home(char **ret, struct fault *fault);
void state_dir_done(struct state_dir *dir);
