/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch: starts caisson-backend and reports how that went (docs/protocol/backend-api.md, "Starting the backend").
 *
 * The backend outlives this process and has a session of its own. Who may call it: start and restart.
 */
#pragma once

#include "ui/cli/follow.h"

enum launch_result {
	LAUNCH_STARTED, /* its sockets listen */
	LAUNCH_OTHER,	/* another backend of this user runs already */
	LAUNCH_FAILED,	/* FAULT says why, if it could say it */
	LAUNCH_SIGNAL,	/* interrupted; the backend was ended again */
	LAUNCH_DEADLINE,
};

enum launch_result launch_backend(const struct cli *cli, struct follow *follow, struct fault *fault);
/* Prints the last N lines of a log file, indented, escaped, on stderr. Nothing when there is none. */
void launch_print_log_end(const struct cli *cli, const char *name, size_t n);
