/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: one run of the desktop, from the lock to the end of the machine.
 *
 * States: those of enum machine_state, kept in the view; STARTING also covers the wait for a machine of an earlier run.
 * Should: be opened once per process. Who may call it: main.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/loop.h"

enum session_exit { SESSION_EXIT_OFF = 0, SESSION_EXIT_FAULT = 1, SESSION_EXIT_RUNS = 3, SESSION_EXIT_SETTINGS = 4 };

struct session;

/* Opens the state, takes the lock, listens. Return: 0; positive: enum session_exit with FAULT; -errno with FAULT. */
int session_open(struct loop *loop, struct session **ret, struct fault *fault);
/* Turns stderr into the log file (KEEP_STDERR: leaves it), then launches the machine. */
int session_launch(struct session *session, bool keep_stderr);
/* Orderly (or forced) stop; may be called again to force. The loop ends with the exit code when all is over. */
void session_stop(struct session *session, bool force, uint32_t timeout_s);
bool session_is_stopping(const struct session *session);
struct session *session_free(struct session *session);
