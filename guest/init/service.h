/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: starts, watches and restarts the three daemons of the VM, and runs short helpers.
 *
 * States: IDLE (never started, or ended), RUNNING, WAITING (for its restart). A daemon that ends more than
 * SERVICE_RESTARTS_MAX times within SERVICE_WINDOW_US has failed. The caller owns the reaping of PID 1 and
 * hands exit statuses in. No shell, no PATH search. Used by guest/init only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SERVICE_RESTARTS_MAX = 5, SERVICE_WINDOW_US = 60 * 1000 * 1000, SERVICE_DELAY_US = 500 * 1000,
       SERVICE_FDS_MAX = 8, SERVICE_ENV_MAX = 8 };

enum service_state { SERVICE_IDLE, SERVICE_RUNNING, SERVICE_WAITING };

struct service {
	const char *name;
	char *const *argv;	     /* absolute program first */
	const char *env[SERVICE_ENV_MAX]; /* beside PATH; NULL-terminated */
	int fds[SERVICE_FDS_MAX];    /* borrowed; become 3, 4, ... */
	size_t n_fds;
	bool listen_fds;	     /* set LISTEN_FDS and LISTEN_PID for them */
	int log_fd;		     /* borrowed; stdout and stderr */
	int oom_score_adj;
	enum service_state state;
	pid_t pid;
	uint32_t n_restarts;
	uint64_t window_us;
	int last_status; /* wait status */
};

/* Return: 0 and RUNNING; -errno. */
int service_start(struct service *service);
/* The daemon ended with STATUS at NOW_US. Return: true and WAITING: to be started again after
 * SERVICE_DELAY_US; false and IDLE: too often. */
bool service_ended(struct service *service, int status, uint64_t now_us);
/* Runs ARGV to its end. Only before the daemons start. Return: exit code; -errno; -EINTR when killed. */
int service_run(char *const argv[]);
