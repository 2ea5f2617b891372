/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop: the orderly stop and the disorderly end.
 *
 * Order: dockerd gets SIGTERM and stops the containers with their own time-outs; what is left of the
 * deadline less STOP_RESERVE_MS belongs to it, then it is killed. containerd next. Then everything that
 * still runs is killed, the data disk unmounted, the machine told, the power switched off.
 */
#include <poll.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/log.h"
#include "guest/init/disk.h"
#include "guest/init/mounts.h"
#include "guest/init/port.h"
#include "guest/init/uevent.h"
#include "guest/init/vm.h"
#include "proto/agent.h"

enum { STOP_RESERVE_MS = 2000, STOP_CONTAINERD_MS = 2000, STOP_KILLED_MS = 1000, STOP_REAP_TRIES = 200,
       STOP_UEVENT_ROUNDS = 100, STOP_DEADLINE_MAX_MS = 24 * 3600 * 1000 };

_noreturn_ void vm_power_off(void)
{
	sync();
	(void)reboot(RB_POWER_OFF);
	for (;;)
		(void)pause();
}

_noreturn_ void vm_fail(int uevent_fd, uint32_t cause, uint64_t detail)
{
	struct pollfd p = {.fd = uevent_fd, .events = POLLIN};
	uint64_t block = 0;
	int i;

	/* The report of a bad block may be a moment behind the error it caused, and behind other messages. */
	for (i = 0; i < STOP_UEVENT_ROUNDS && uevent_fd >= 0 && poll(&p, 1, 100) > 0; i++)
		if (uevent_read_corrupt(uevent_fd, &block)) {
			cause = AGENT_CAUSE_ROOT_CORRUPT;
			detail = block;
			break;
		}
	port_failed(cause, detail);
	log_error("cannot go on: cause %u, detail %llu", cause, (unsigned long long)detail);
	vm_power_off();
}

static void kill_rest(void)
{
	int tries, status;

	(void)kill(-1, SIGKILL);
	for (tries = 0; tries < STOP_REAP_TRIES; tries++) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return;
		if (pid == 0)
			(void)poll(NULL, 0, 10);
	}
}

static _noreturn_ void finish(struct vm *vm)
{
	int r;

	port_stage(AGENT_STAGE_ENGINE_STOPPED);
	kill_rest();
	mounts_detach_below("/var/lib/docker");
	mounts_detach_below("/var/lib/containerd");
	r = disk_unmount_data();
	if (r == 0)
		port_stage(AGENT_STAGE_UNMOUNTED);
	vm_power_off();
}

static void signal_service(const struct service *s, int signo)
{
	if (s->state == SERVICE_RUNNING)
		(void)kill(s->pid, signo);
}

static uint64_t remaining_us(const struct vm *vm)
{
	uint64_t now = loop_now_us();

	return vm->stop_deadline_us > now ? vm->stop_deadline_us - now : 0;
}

static void stop_containerd(struct vm *vm)
{
	uint64_t us = remaining_us(vm) / 2;

	vm->phase = VM_STOPPING_CONTAINERD;
	if (us > STOP_CONTAINERD_MS * 1000u)
		us = STOP_CONTAINERD_MS * 1000u;
	signal_service(&vm->services[VM_CONTAINERD], SIGTERM);
	if (loop_timer_set(vm->stop_timer, us) < 0 || vm->services[VM_CONTAINERD].state != SERVICE_RUNNING)
		finish(vm);
}

void vm_stop_child_ended(struct vm *vm)
{
	if (vm->phase == VM_STOPPING_DOCKERD && vm->services[VM_DOCKERD].state != SERVICE_RUNNING)
		stop_containerd(vm);
	else if (vm->phase == VM_STOPPING_CONTAINERD && vm->services[VM_CONTAINERD].state != SERVICE_RUNNING)
		finish(vm);
}

static int on_stop_timer(void *data)
{
	struct vm *vm = data;

	if (vm->phase == VM_STOPPING_CONTAINERD)
		finish(vm);
	/* Killed and still there: it hangs in the kernel, which must not keep the rest from being stopped. */
	if (vm->dockerd_killed) {
		stop_containerd(vm);
		return 0;
	}
	/* Its end is seen by the reaper; the next step follows from there. */
	vm->dockerd_killed = true;
	signal_service(&vm->services[VM_DOCKERD], SIGKILL);
	return loop_timer_set(vm->stop_timer, STOP_KILLED_MS * 1000u);
}

void vm_stop(struct vm *vm, uint64_t deadline_ms)
{
	uint64_t deadline_us, us, now = loop_now_us();
	bool first = vm->phase < VM_STOPPING_DOCKERD;

	if (deadline_ms > STOP_DEADLINE_MAX_MS)
		deadline_ms = STOP_DEADLINE_MAX_MS;
	deadline_us = now + deadline_ms * 1000;
	if (!first && deadline_us >= vm->stop_deadline_us)
		return;
	vm->stop_deadline_us = deadline_us;
	if (first) {
		vm->phase = VM_STOPPING_DOCKERD;
		port_stage(AGENT_STAGE_STOPPING);
		if (loop_add_timer(vm->loop, on_stop_timer, vm, &vm->stop_timer) < 0)
			finish(vm);
		signal_service(&vm->services[VM_DOCKERD], SIGTERM);
	}
	if (vm->phase != VM_STOPPING_DOCKERD || vm->dockerd_killed)
		return;
	us = deadline_ms > 2 * STOP_RESERVE_MS ? (deadline_ms - STOP_RESERVE_MS) * 1000 : deadline_ms * 500;
	if (vm->services[VM_DOCKERD].state != SERVICE_RUNNING)
		stop_containerd(vm);
	else if (loop_timer_set(vm->stop_timer, us) < 0)
		finish(vm);
}
