/* SPDX-License-Identifier: Apache-2.0 */
/* oneshot: serves one connection of the backend API without starting anything. Who may call it: main. */
#pragma once

#include "base/error.h"
#include "base/loop.h"

/* Runs LOOP until the connection on FD (consumed) has ended. Return: 0; -errno with FAULT. */
int oneshot_serve_consume(struct loop *loop, int fd, struct fault *fault);
