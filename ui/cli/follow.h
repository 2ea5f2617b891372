/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: waits for the desktop's events, for signals and for a deadline at once; used by start, stop and restart.
 *
 * Signals (INT, TERM) are blocked from follow_init on and arrive here. Who may call it: ui/cli only.
 */
#pragma once

#include "ui/cli/api.h"

enum follow_result { FOLLOW_EVENT, FOLLOW_TICK, FOLLOW_SIGNAL, FOLLOW_DEADLINE, FOLLOW_ENDED };
enum { FOLLOW_TICK_MS = 100 };

struct follow {
	int signal_fd;
	uint64_t started_us;
	uint64_t deadline_us; /* monotonic; UINT64_MAX: none */
};

/* TIMEOUT_S 0: no deadline. Return: 0 or -errno. */
int follow_init(struct follow *follow, uint64_t timeout_s);
void follow_done(struct follow *follow);
/* Waits for the first of: an event of API (with *RET, caller releases), a signal, the deadline, the end of the
 * stream, or FOLLOW_TICK_MS. */
enum follow_result follow_next(struct follow *follow, struct api *api, json_t **ret);
/* Sleeps one tick, ended early by nothing but a signal or the deadline, which are its results. */
enum follow_result follow_sleep(struct follow *follow);
/* Opens the event stream on a connection of its own. Return: 0; -ENOENT: not running; -errno with FAULT. */
int follow_open(const struct cli *cli, struct api *ret, struct fault *fault);
