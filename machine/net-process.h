/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-process: keeps the caisson-net of one card running while QEMU lives.
 *
 * States: WAITING (QEMU's socket is not there yet, or a restart is due after its back-off), UP, GIVEN_UP (NET_FAILURES_MAX
 * failures within NET_FAILURES_WINDOW_US and the owner said so). Each start connects again to QEMU's listening vhost-user socket,
 * which QEMU binds in the run directory; QEMU serves one client at a time, and the last one's end frees it.
 * Control card: a flow to CONTROL_PORT_LOG becomes a log stream; any other port's descriptor is closed. Data card: each start
 * makes a netctl link, one end for the process and one for the owner, who sends it to the backend.
 * Who may call it: machine.c. It never touches guest data but the log lines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/loop.h"
#include "machine/log-file.h"
#include "machine/plan.h"
#include "proto/device.h"

enum { NET_FAILURES_MAX = 6, NET_LOG_FLOWS_MAX = 8 };
#define NET_FAILURES_WINDOW_US 30000000ull

struct net_process;

struct net_process_config {
	const char *program;	/* absolute path of caisson-net; borrowed */
	int run_dir_fd;		/* borrowed; holds VHOST_NAME */
	const char *vhost_name; /* static */
	enum plan_card card;
	int engine_fd, echo_fd; /* control card: listeners; borrowed */
	struct log_file *net_log, *vm_log;
	/* The restart limit is reached. Return: true: no further start; false: go on with the longest pause. */
	bool (*failed)(void *data, const struct fault *fault);
	void (*stats)(void *data, enum plan_card card, const struct device_stats *stats);
	/* Data card: the backend's end of the link of the process that is being started. Return: 0 or -errno (then it is not). */
	int (*link)(void *data, int consume_fd);
	void *data;
};

/* Starts the first process as soon as QEMU listens. Return: 0; -errno with FAULT. */
int net_process_new(struct loop *loop, const struct net_process_config *config, struct net_process **ret,
		    struct fault *fault);
/* Kills and reaps the process, closes its flows. Return: NULL. */
struct net_process *net_process_free(struct net_process *net);
/* QEMU is about to end: the process's own end is no failure and not followed by a start. */
void net_process_expect_end(struct net_process *net);
/* Asks for DEVICE_STATS. Return: 0; -ENOTCONN when it is not up. */
int net_process_ask_stats(struct net_process *net);
pid_t net_process_pid(const struct net_process *net);
