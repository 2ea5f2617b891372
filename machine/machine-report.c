/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine-report: what the machine tells the backend, see machine.h.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/log.h"
#include "machine/machine.h"

static int send_message(struct machine *m, const struct machine_message *message, const int *fds)
{
	char buf[MACHINE_FRAME_MAX];
	int r;

	if (m->backend_fd < 0)
		return -ENOTCONN;
	r = machine_encode(message, buf, sizeof(buf));
	if (r < 0)
		return r;
	return chan_send(m->backend_fd, buf, (size_t)r, fds, machine_n_fds(message->type));
}

static void tell(struct machine *m, const struct machine_message *message)
{
	int r = send_message(m, message, NULL);

	if (r < 0 && r != -ENOTCONN)
		log_errno(r, "telling the backend");
}

int machine_tell_link(void *data, int consume_fd)
{
	struct machine_message message = {.type = MACHINE_NET_LINK};
	_cleanup_close_ int fd = consume_fd;
	int r = send_message(data, &message, &fd);

	/* Without a backend the VM is ending: net waits, never configured, until it is stopped. */
	return r == -ENOTCONN ? 0 : r;
}

/* The guest decides how many of these there are. They take at most the quarter of the socket's buffer after which poll says
 * no, so that the machine's own words always find room. */
static int tell_port(void *data, const struct machine_message *message)
{
	struct machine *m = data;
	struct pollfd p = {.fd = m->backend_fd, .events = POLLOUT};
	int r;

	if (m->backend_fd < 0)
		return -ENOTCONN;
	r = poll(&p, 1, 0) == 1 && p.revents & POLLOUT ? send_message(m, message, NULL) : -EAGAIN;
	if (r == -EAGAIN && m->backend)
		loop_source_set_events(m->backend, EPOLLIN | EPOLLOUT);
	return r;
}

static void tell_guest(void *data, struct agent_message *message)
{
	struct machine *m = data;

	/* A guest that reads nothing is not told: its port-proxy gives up by itself. */
	if (agent_channel_send(m->agent, message))
		log_limited(LOG_WARNING, "the VM does not take the answer about a port");
}

const struct ports_ops machine_ports_ops = {.backend = tell_port, .agent = tell_guest};

void machine_tell_state(struct machine *m, enum machine_state state)
{
	struct machine_message message = {.type = MACHINE_STATE_IS};

	message.state.state = state;
	if (m->choice.reason[0]) {
		message.state.accel = m->choice.accel;
		snprintf(message.state.accel_reason, sizeof(message.state.accel_reason), "%s", m->choice.reason);
	}
	if (state == MACHINE_FAILED)
		message.state.fault = m->fault;
	m->told = state;
	tell(m, &message);
}

void machine_tell_fault(struct machine *m)
{
	if (!m->fault.code || m->told == MACHINE_FAILED)
		return;
	log_error("%s", m->fault.text);
	machine_tell_state(m, MACHINE_FAILED);
}

void machine_tell_stage(struct machine *m, const char *name)
{
	struct machine_message message = {.type = MACHINE_STAGE};

	snprintf(message.stage.name, sizeof(message.stage.name), "%s", name);
	message.stage.elapsed_us = loop_now_us() - m->launch_us;
	log_info("stage %s after %llu ms", name, (unsigned long long)message.stage.elapsed_us / 1000);
	tell(m, &message);
}

void machine_tell_stats(struct machine *m)
{
	m->stats_wanted = false;
	loop_timer_set(m->stats_timer, UINT64_MAX);
	m->stats.type = MACHINE_STATS;
	m->stats.stats.qemu_pid = m->qemu_pid;
	m->stats.stats.net_pid = net_process_pid(m->net);
	m->stats.stats.data_net_pid = net_process_pid(m->data_net);
	tell(m, &m->stats);
}

int machine_fault(struct machine *m, const struct fault *fault)
{
	if (!m->fault.code)
		m->fault = *fault;
	return fault->code;
}
