/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lifecycle: the steps that start, stop and restart are made of. Who may call it: ui/cli only.
 */
#pragma once

#include "ui/cli/follow.h"

enum { START_TIMEOUT_S = 300, CANCEL_TIMEOUT_S = 20 };

/* Brings the desktop up and, unless DETACH, waits until the engine is ready. Return: enum cli_exit. */
int lifecycle_start(struct cli *cli, struct follow *follow, bool detach);
/* Asks the running desktop to stop, waits for its end unless DETACH. Return: enum cli_exit; CLI_NOT_RUNNING when
 * there was nothing to stop. */
int lifecycle_stop(struct cli *cli, struct follow *follow, bool force, bool detach);
/* Waits for the end of the desktop behind API (its event stream). A signal ends the waiting, or, with MAY_FORCE and
 * the first time, ends the desktop at once. Return: enum cli_exit. */
int lifecycle_wait_end(struct cli *cli, struct follow *follow, struct api *api, bool may_force);
/* Sends POST /v1/stop on a new connection. Return: 0, -ENOENT: not running, -errno with FAULT. */
int lifecycle_ask_stop(const struct cli *cli, bool force, unsigned int timeout_s, struct fault *fault);
