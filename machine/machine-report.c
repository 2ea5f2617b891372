/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine-report: what the machine tells the backend, see machine.h.
 */
#include <stdio.h>
#include <string.h>

#include "base/chan.h"
#include "base/log.h"
#include "machine/machine.h"

static void tell(struct machine *m, const struct machine_message *message)
{
	char buf[MACHINE_FRAME_MAX];
	int r;

	if (m->backend_fd < 0)
		return;
	r = machine_encode(message, buf, sizeof(buf));
	if (r >= 0)
		r = chan_send(m->backend_fd, buf, (size_t)r, NULL, 0);
	if (r < 0)
		log_errno(r, "telling the backend");
}

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
	tell(m, &m->stats);
}

int machine_fault(struct machine *m, const struct fault *fault)
{
	if (!m->fault.code)
		m->fault = *fault;
	return fault->code;
}
