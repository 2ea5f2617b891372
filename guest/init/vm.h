/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm: the state of process 1 after the switch to the sealed root, shared by boot.c, supervise.c and stop.c.
 *
 * Phases: BOOTING (until the engine says it is ready) -> SEALING (optional modules are loaded, then loading
 * is switched off) -> SEALED; any of them -> STOPPING_* in order, ends in power-off. vm_fail ends every
 * phase. Used by guest/init only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "guest/init/modules.h"
#include "guest/init/service.h"

#define VM_MODULES_DIR "/usr/lib/caisson/modules"
/* Inherited by the root stage of init. */
enum { VM_FD_PORT = 3, VM_FD_UEVENT = 4 };

enum vm_phase {
	VM_BOOTING,
	VM_SEALING,
	VM_SEALED,
	VM_STOPPING_DOCKERD,
	VM_STOPPING_CONTAINERD,
	VM_PHASE_MAX,
};
enum vm_service { VM_CONTAINERD, VM_DOCKERD, VM_AGENT, VM_SERVICE_MAX };
enum { VM_LOG_CONTAINERD, VM_LOG_DOCKERD, VM_LOG_INIT, VM_LOG_MAX };

struct vm {
	struct loop *loop;
	enum vm_phase phase;
	int uevent_fd;
	int notify_fd;
	int engine_fd;		 /* listens on /run/docker.sock, inherited by dockerd */
	int ports_fd;		 /* listens for port-proxies, inherited by the agent */
	int link_fd;		 /* init's end of the link to the agent, -EBADF while there is none */
	int log_read_fds[VM_LOG_MAX];
	int log_write_fds[VM_LOG_MAX];
	struct service services[VM_SERVICE_MAX];
	struct loop_source *restart_timers[VM_SERVICE_MAX];
	struct loop_source *link_source;
	struct loop_source *seal_timer;
	struct loop_source *card_timer;
	struct loop_source *stop_timer;
	uint32_t card_tries;
	int card_index;
	int netns_fd;		 /* the namespace that has the card; -EBADF: it is still in ours */
	bool dockerd_killed;	 /* while stopping */
	uint64_t stop_deadline_us;
	struct modules modules;
};

/* boot.c */
/* Everything up to the started daemons. Return: 0; does not return on failure (vm_fail). */
void vm_boot(struct vm *vm);
/* supervise.c */
int vm_supervise(struct vm *vm);
int vm_agent_start(struct vm *vm);
/* stop.c */
/* Begins the orderly stop; a second order may only bring the deadline forward. */
void vm_stop(struct vm *vm, uint64_t deadline_ms);
/* A daemon ended while stopping. */
void vm_stop_child_ended(struct vm *vm);
/* Tells the machine why, and powers off. A bad block of the root that was reported meanwhile is the cause
 * then. */
_noreturn_ void vm_fail(int uevent_fd, uint32_t cause, uint64_t detail);
_noreturn_ void vm_power_off(void);
