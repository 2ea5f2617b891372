/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervise: the event loop of process 1: children, readiness of the engine, the agent's link, reports of bad
 * blocks, and the sealing of the module table once the engine runs.
 *
 * The loop's own child sources are not used: process 1 also reaps orphans (container shims), so one SIGCHLD
 * handler reaps everything and looks the process up in the table of services.
 */
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/chan.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sock.h"
#include "guest/init-link.h"
#include "guest/init/card.h"
#include "guest/init/mounts.h"
#include "guest/init/network.h"
#include "guest/init/port.h"
#include "guest/init/uevent.h"
#include "guest/init/vm.h"
#include "guest/rtnl.h"
#include "proto/agent.h"
#include "proto/control-link.h"

enum { CARD_TRIES_MAX = 100, CARD_DELAY_US = 30 * 1000, NOTIFY_MAX = 4096 };

static int on_uevent(void *data, int fd, uint32_t events)
{
	uint64_t block = 0;

	if (uevent_read_corrupt(fd, &block))
		vm_fail(-EBADF, AGENT_CAUSE_ROOT_CORRUPT, block);
	return 0;
}

static int link_send(struct vm *vm, uint32_t type, uint64_t value)
{
	const struct init_link_message m = {.type = type, .value = value};

	return vm->link_fd < 0 ? -EPIPE : chan_send(vm->link_fd, &m, sizeof(m), NULL, 0);
}

static void link_close(struct vm *vm)
{
	vm->link_source = loop_source_free(vm->link_source);
	vm->link_fd = fd_close(vm->link_fd);
	(void)loop_timer_set(vm->card_timer, UINT64_MAX);
}

/* Moves the card to the agent's namespace. Nobody waits for a dead agent's namespace to end and give the card back:
 * the engine's ends of the agent's connections belong to it too (a Unix socket is made in the namespace of who
 * connects), so an attached container would keep it for hours. Init holds it and takes the card out itself. */
static int move_card(struct vm *vm)
{
	_cleanup_close_ int to_fd = -EBADF;
	char path[48];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)vm->services[VM_AGENT].pid);
	to_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (to_fd < 0)
		return error_errno();
	if (vm->netns_fd < 0) {
		r = card_find(CONTROL_GUEST_MAC_TEXT);
		if (r < 0)
			return r;
		vm->card_index = r;
	}
	r = card_move(vm->netns_fd, vm->card_index, to_fd);
	if (r < 0)
		return r;
	fd_close(vm->netns_fd);
	vm->netns_fd = take_fd(to_fd);
	return 0;
}

/* Moves the card, or tries again shortly; an agent without a link still answers the port. */
static int on_card_timer(void *data)
{
	struct vm *vm = data;
	int r = move_card(vm);

	if (r == 0)
		return link_send(vm, INIT_LINK_CARD, (uint64_t)vm->card_index) < 0 ? (link_close(vm), 0) : 0;
	if (++vm->card_tries < CARD_TRIES_MAX)
		return loop_timer_set(vm->card_timer, CARD_DELAY_US);
	log_errno(r, "moving the control card");
	(void)link_send(vm, INIT_LINK_CARD, 0);
	vm_fail(vm->uevent_fd, AGENT_CAUSE_CARD_MISSING, 0);
}

static void set_clock(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		log_errno(error_errno(), "setting the clock");
}

static int link_message(struct vm *vm, const struct init_link_message *m)
{
	switch (m->type) {
	case INIT_LINK_NETNS_READY:
		vm->card_tries = 0;
		return on_card_timer(vm);
	case INIT_LINK_UP:
		port_stage(AGENT_STAGE_LINK);
		return 0;
	case INIT_LINK_SHUTDOWN:
		vm_stop(vm, m->value);
		return 0;
	case INIT_LINK_TIME:
		set_clock(m->value);
		return 0;
	default:
		return -EBADMSG;
	}
}

static int on_link(void *data, int fd, uint32_t events)
{
	struct init_link_message m;
	struct vm *vm = data;
	size_t n_fds = 0;
	ssize_t n;

	n = chan_recv(fd, &m, sizeof(m), NULL, &n_fds);
	if (n == -EAGAIN)
		return 0;
	if (n == (ssize_t)sizeof(m) && m.reserved == 0 && link_message(vm, &m) == 0)
		return 0;
	/* End of file or nonsense: the agent is replaced. */
	if (n != 0)
		log_warning("the agent's link is broken");
	link_close(vm);
	if (vm->services[VM_AGENT].state == SERVICE_RUNNING)
		(void)kill(vm->services[VM_AGENT].pid, SIGKILL);
	return 0;
}

int vm_agent_start(struct vm *vm)
{
	_cleanup_close_ int agent_end = -EBADF, route_fd = -EBADF;
	int fds[2], r;

	link_close(vm);
	r = sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds);
	if (r < 0)
		return trace(r);
	vm->link_fd = fds[0];
	agent_end = fds[1];
	route_fd = rtnl_open_watch(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
	if (route_fd < 0)
		return trace(route_fd);
	vm->services[VM_AGENT].fds[INIT_LINK_FD_ROUTE - INIT_LINK_FD_PORT] = route_fd;
	vm->services[VM_AGENT].fds[INIT_LINK_FD_LINK - INIT_LINK_FD_PORT] = agent_end;
	r = loop_add_fd(vm->loop, vm->link_fd, EPOLLIN, on_link, vm, &vm->link_source);
	if (r < 0)
		return trace(r);
	return trace(service_start(&vm->services[VM_AGENT]));
}

static int restart(struct vm *vm, enum vm_service which)
{
	if (vm->services[which].state != SERVICE_WAITING || (vm->phase >= VM_STOPPING_DOCKERD && which != VM_AGENT))
		return 0;
	return which == VM_AGENT ? vm_agent_start(vm) : service_start(&vm->services[which]);
}

static int on_restart_containerd(void *data)
{
	return restart(data, VM_CONTAINERD);
}

static int on_restart_dockerd(void *data)
{
	return restart(data, VM_DOCKERD);
}

static int on_restart_agent(void *data)
{
	return restart(data, VM_AGENT);
}

static const loop_timer_fn restart_fns[] = {
	[VM_CONTAINERD] = on_restart_containerd, [VM_DOCKERD] = on_restart_dockerd, [VM_AGENT] = on_restart_agent,
};
static const uint32_t exit_causes[] = {
	[VM_CONTAINERD] = AGENT_CAUSE_CONTAINERD_EXIT, [VM_DOCKERD] = AGENT_CAUSE_ENGINE_EXIT,
	[VM_AGENT] = AGENT_CAUSE_INTERNAL,
};
_Static_assert(ARRAY_SIZE(restart_fns) == VM_SERVICE_MAX, "one row per service");
_Static_assert(ARRAY_SIZE(exit_causes) == VM_SERVICE_MAX, "one row per service");

static int service_gone(struct vm *vm, enum vm_service which, int status)
{
	bool again = service_ended(&vm->services[which], status, loop_now_us());

	if (which == VM_AGENT)
		link_close(vm);
	/* The agent is wanted to the end: it drains the daemons' logs and hears a nearer deadline. */
	if (vm->phase >= VM_STOPPING_DOCKERD && which == VM_AGENT)
		return again ? loop_timer_set(vm->restart_timers[which], SERVICE_DELAY_US) : 0;
	if (vm->phase >= VM_STOPPING_DOCKERD) {
		vm->services[which].state = SERVICE_IDLE;
		vm_stop_child_ended(vm);
		return 0;
	}
	log_warning("%s ended with wait status 0x%x%s", vm->services[which].name, (unsigned int)status,
		    again ? "; starting it again" : ", too often");
	if (!again)
		vm_fail(vm->uevent_fd, exit_causes[which], (uint64_t)status);
	return loop_timer_set(vm->restart_timers[which], SERVICE_DELAY_US);
}

static int on_sigchld(void *data, int signo)
{
	struct vm *vm = data;
	int status, i, r = 0;
	pid_t pid;

	while (r == 0 && (pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < VM_SERVICE_MAX; i++)
			if (vm->services[i].state == SERVICE_RUNNING && vm->services[i].pid == pid) {
				r = service_gone(vm, (enum vm_service)i, status);
				break;
			}
	return r;
}

/* One module per round, so that process 1 stays responsive meanwhile. */
static int on_seal_timer(void *data)
{
	struct vm *vm = data;
	uint32_t index = 0;
	int r;

	if (vm->phase != VM_SEALING)
		return 0;
	r = modules_load_next(&vm->modules, MODULES_LATER, VM_MODULES_DIR, &index);
	if (r < 0)
		log_errno(r, "optional module %s", vm->modules.entries[index].file);
	if (r != MODULES_E_DONE)
		return loop_timer_set(vm->seal_timer, 0);
	r = mounts_write("/proc/sys/kernel/modules_disabled", "1");
	if (r < 0)
		vm_fail(vm->uevent_fd, AGENT_CAUSE_INTERNAL, (uint64_t)-r);
	vm->phase = VM_SEALED;
	port_stage(AGENT_STAGE_SEALED);
	return 0;
}

static pid_t sender(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct ucred cred;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
	    c->cmsg_len != CMSG_LEN(sizeof(cred)))
		return -1;
	memcpy(&cred, CMSG_DATA(c), sizeof(cred));
	return cred.pid;
}

static int on_notify(void *data, int fd, uint32_t events)
{
	struct vm *vm = data;
	union { char buf[CMSG_SPACE(sizeof(struct ucred))]; struct cmsghdr align; } control;
	char text[NOTIFY_MAX];
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

	if (n <= 0 || sender(&msg) != vm->services[VM_DOCKERD].pid)
		return 0;
	text[n] = '\0';
	if (vm->phase != VM_BOOTING || strncmp(text, "READY=1", strlen("READY=1")) != 0)
		return 0;
	port_stage(AGENT_STAGE_ENGINE);
	vm->phase = VM_SEALING;
	return loop_timer_set(vm->seal_timer, 0);
}

static int add_sources(struct vm *vm)
{
	struct loop_source *ignored;
	int i, r;

	r = loop_new(&vm->loop);
	if (r == 0)
		r = loop_add_fd(vm->loop, vm->uevent_fd, EPOLLIN, on_uevent, vm, &ignored);
	if (r == 0)
		r = loop_add_fd(vm->loop, vm->notify_fd, EPOLLIN, on_notify, vm, &ignored);
	if (r == 0)
		r = loop_add_signal(vm->loop, SIGCHLD, on_sigchld, vm, &ignored);
	for (i = 0; r == 0 && i < VM_SERVICE_MAX; i++)
		r = loop_add_timer(vm->loop, restart_fns[i], vm, &vm->restart_timers[i]);
	if (r == 0)
		r = loop_add_timer(vm->loop, on_seal_timer, vm, &vm->seal_timer);
	if (r == 0)
		r = loop_add_timer(vm->loop, on_card_timer, vm, &vm->card_timer);
	return trace(r);
}

int vm_supervise(struct vm *vm)
{
	int r;

	(void)reboot(RB_DISABLE_CAD);
	r = add_sources(vm);
	if (r == 0)
		r = vm_agent_start(vm);
	if (r == 0)
		r = network_start(vm->loop);
	/* A daemon that ended before the handler existed is found here. */
	if (r == 0)
		r = on_sigchld(vm, SIGCHLD);
	return r < 0 ? trace(r) : trace(loop_run(vm->loop));
}
