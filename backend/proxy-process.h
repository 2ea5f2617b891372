/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-process: runs caisson-proxy: starts it, starts it again with a back-off, tells it everything it must know.
 *
 * Settings and network tables are remembered here, so that a process that was killed is whole again when its successor
 * starts. At each start HOOKS.link gets the seqpacket end that belongs to the network process (NETCTL_PROXY): the receiver keeps
 * it and hands a copy to each new network process. Jailing is the process's own affair. Secrets stay in memory and in proxyctl frames.
 * States: running, waiting (for the next try), stopped (freed). Who may call it: backend/session.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "backend/proxy-settings.h"
#include "base/loop.h"
#include "proto/netctl.h"

struct proxy_process;

struct proxy_process_hooks {
	/* The end for the network process; called inside proxy_process_new too. */
	void (*link)(void *data, int consume_fd);
	/* The description of the settings in force changed: for status and logs; no secrets. May be NULL. */
	void (*described)(void *data, const char *text);
	/* The answer to proxy_process_ask_stats. May be NULL. */
	void (*stats)(void *data, const struct proxyctl_stats *stats);
	void *data;
};
struct proxy_process_config {
	const char *program; /* absolute path of caisson-proxy; borrowed for ever */
	int log_fd;	     /* borrowed: the process's stderr */
	const char *gsettings; /* NULL: /usr/bin/gsettings */
	struct proxy_process_hooks hooks;
};

/* Starts it. A program that cannot be started is an error; one that ends later is started again. Return: 0; -errno. */
int proxy_process_new(struct loop *loop, const struct proxy_process_config *config, struct proxy_process **ret);
struct proxy_process *proxy_process_free(struct proxy_process *p);
/* The user's wish; call it at start and at each change. In mode system the environment and the desktop's settings are followed from
 * here. Return: 0; -EINVAL with FAULT: nothing changed. */
int proxy_process_set(struct proxy_process *p, const struct proxy_settings *settings, struct fault *fault);
/* CONFIG, RULES, HOST_ADDRS, RESOLVERS or a piece of HOSTS: exactly what the network process is told, at the same time. Other
 * types are ignored. Return: 0 or -errno. */
int proxy_process_tell(struct proxy_process *p, const struct netctl_message *message);
/* 0 while none runs. */
pid_t proxy_process_pid(const struct proxy_process *p);
int proxy_process_ask_stats(struct proxy_process *p);
