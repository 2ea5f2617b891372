/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp-client: a conversation with QEMU's monitor over an inherited socket.
 *
 * States: GREETING (waits for QEMU's greeting) -> CAPABILITIES (negotiates) -> READY -> CLOSED. Commands
 * given before READY wait in the table and are sent then. When the connection ends, for whatever reason,
 * every pending command fails with -ECONNRESET and one synthetic SHUTDOWN event (text "disconnected") is given.
 * Who may call it: machine.c. It never blocks, and decides nothing.
 */
#pragma once

#include <stdint.h>

#include "base/loop.h"
#include "proto/qmp.h"

struct qmp_client;

enum qmp_client_state { QMP_CLIENT_GREETING, QMP_CLIENT_CAPABILITIES, QMP_CLIENT_READY, QMP_CLIENT_CLOSED };
enum { QMP_PENDING_MAX = 8, QMP_COMMAND_TIMEOUT_US = 5000000 };

/* R: 0 with the RETURN message; -EREMOTEIO with the ERROR message; -ETIMEDOUT or -ECONNRESET with NULL. */
typedef void (*qmp_reply_fn)(void *data, int r, const struct qmp_message *message);
/* May free the client as its last act. */
typedef void (*qmp_event_fn)(void *data, const struct qmp_message *event);

/* Takes FD even on failure (made non-blocking). Return: 0 or -errno. */
int qmp_client_new(struct loop *loop, int consume_fd, qmp_event_fn fn, void *data, struct qmp_client **ret);
/* Frees without callbacks (NULL allowed). Return: NULL. */
struct qmp_client *qmp_client_free(struct qmp_client *client);
/* FN may be NULL. Return: 0; -EBUSY: table full; -ENOTCONN. */
int qmp_client_call(struct qmp_client *client, enum qmp_command command, qmp_reply_fn fn, void *data);
enum qmp_client_state qmp_client_state(const struct qmp_client *client);
