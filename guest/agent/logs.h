/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: drains the log pipes of containerd, dockerd and init at all times, and sends their lines to the host
 * while the control link takes them. Bounded by lines.h; never blocks a writer.
 *
 * States: OFF (no link yet, or waiting to try again), CONNECTING, UP. Who may call it: main.c.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/loop.h"

struct logs;

int logs_new(struct loop *loop, struct logs **ret);
struct logs *logs_free(struct logs *logs);
DEFINE_CLEANUP(struct logs *, logs_free)
/* Drains FD (borrowed, non-blocking) as the unit NAME (static). Return: 0; -ENOSPC: too many units; -errno. */
int logs_add(struct logs *logs, const char *name, int fd);
/* From now on connects to IP:PORT (host byte order), again and again with growing pauses. Return: 0 or -errno. */
int logs_connect(struct logs *logs, uint32_t ip, uint16_t port);
