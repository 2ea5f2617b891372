/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine-client: starts the machine process and speaks proto/machine.h with it.
 *
 * The machine outlives us on purpose (it then stops the VM in order). It holds as its standard input the lock that tells the
 * next backend that an earlier machine still lives. States: running, ended (on_end was called).
 * Who may call it: backend/session.
 */
#pragma once

#include <sys/types.h>

#include "base/loop.h"
#include "proto/machine.h"

struct machine_client;

struct machine_hooks {
	/* CONSUME_FD came with it (NET_LINK), -EBADF otherwise. */
	void (*message)(void *data, const struct machine_message *message, int consume_fd);
	/* STATUS as in loop_child_fn. The client is freed by its owner afterwards. */
	void (*end)(void *data, int status);
	void *data;
};

/* PROGRAM is absolute; LOG_FD becomes its stderr, LOCK_FD its stdin (both borrowed). Sends PLAN. Return: 0; -errno with FAULT. */
int machine_client_start(struct loop *loop, const char *program, const char *home, int log_fd, int lock_fd,
			 const struct machine_plan *plan, const struct machine_hooks *hooks,
			 struct machine_client **ret, struct fault *fault);
pid_t machine_client_pid(const struct machine_client *client);
/* Return: 0 or -errno. */
int machine_client_shutdown(struct machine_client *client, uint32_t deadline_ms, bool force);
int machine_client_ask_stats(struct machine_client *client);
/* Waits in order for a machine that is slow to read. Return: 0; -ENOTCONN; -ENOBUFS. */
int machine_client_port_result(struct machine_client *client, uint32_t id, uint32_t status);
/* SIGKILL; on_end follows. */
void machine_client_kill(struct machine_client *client);
struct machine_client *machine_client_free(struct machine_client *client);
