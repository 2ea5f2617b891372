/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine: events in, actions out.
 *
 * Theory: everything that happens (a frame from the backend, a message of the agent, QEMU's end, a timer) becomes one
 * vm_event; the table of vm-state.c gives the next state and one action; actions[] below carries it out. An
 * action never calls machine_event itself but through later(): a start that fails becomes an event when the present
 * one is finished, so that transitions never nest.
 */
#include "machine/machine.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/chan.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"

static void arm(struct loop_source *timer, uint64_t us)
{
	loop_timer_set(timer, us);
}

static void record(struct machine *m, int r, const char *text)
{
	struct fault fault = FAULT_INIT;

	fault_set(&fault, r, "%s", text);
	machine_fault(m, &fault);
}

/* Actions. Each returns the event that follows from it, or VM_EVENT_MAX. */

static enum vm_event do_nothing(struct machine *m)
{
	return VM_EVENT_MAX;
}

static enum vm_event do_start(struct machine *m)
{
	if (machine_start_qemu(m))
		return VM_EV_LAUNCH_FAILED;
	arm(m->watch, m->choice.accel == MACHINE_ACCEL_KVM ? ACCEL_FIRST_BYTE_US : MACHINE_BOOT_US);
	return VM_EVENT_MAX;
}

static enum vm_event do_greet(struct machine *m)
{
	arm(m->watch, MACHINE_READY_US);
	/* The same VM boots without KVM: it was KVM, not a shortage or an image that boots nowhere. */
	if (m->verdict_open && accel_save(&m->memory, m->dirs[MACHINE_DIR_CACHE]))
		log_warning("the verdict about KVM could not be kept");
	m->verdict_open = false;
	return VM_EVENT_MAX;
}

static enum vm_event do_distrust(struct machine *m)
{
	log_warning("KVM did not boot the VM (%s); trying software emulation", m->end_reason);
	m->distrusted = true;
	arm(m->watch, UINT64_MAX);
	spawn_kill(m->qemu_pidfd, SIGKILL);
	arm(m->deadline, MACHINE_KILL_US);
	return VM_EVENT_MAX;
}

/* KVM failed the first boot: that is the verdict for this run, and for later ones once the guest has spoken without
 * KVM. A QEMU that somebody else killed says nothing about KVM. */
static enum vm_event do_restart(struct machine *m)
{
	bool killed = m->qemu_status == -SIGKILL && !m->distrusted;

	arm(m->watch, UINT64_MAX);
	arm(m->deadline, UINT64_MAX);
	machine_drop_qemu(m);
	m->memory.known = true;
	m->memory.works = false;
	snprintf(m->memory.reason, sizeof(m->memory.reason), "KVM passed the probe but did not boot the VM: %.180s",
		 m->end_reason[0] ? m->end_reason : "QEMU ended early");
	m->end_reason[0] = '\0';
	m->verdict_open = !killed;
	if (machine_choose(m))
		return VM_EV_LAUNCH_FAILED;
	return do_start(m);
}

static enum vm_event do_announce(struct machine *m)
{
	arm(m->watch, UINT64_MAX);
	machine_tell_state(m, MACHINE_RUNNING);
	return VM_EVENT_MAX;
}

static enum vm_event do_quit(struct machine *m)
{
	if (!m->fault.code && m->told != MACHINE_STOPPING)
		machine_tell_state(m, MACHINE_STOPPING);
	arm(m->watch, UINT64_MAX);
	arm(m->deadline, MACHINE_QUIT_US);
	/* A QEMU whose monitor never spoke is still setting up: there is nothing to flush. */
	if (!m->qmp || qmp_client_state(m->qmp) != QMP_CLIENT_READY || qmp_client_call(m->qmp, QMP_QUIT, NULL, NULL))
		arm(m->deadline, 0);
	return VM_EVENT_MAX;
}

static enum vm_event do_ask(struct machine *m)
{
	struct agent_message message = {.type = AGENT_SHUTDOWN, .shutdown = {.deadline_ms = m->deadline_ms}};

	if (!m->fault.code)
		machine_tell_state(m, MACHINE_STOPPING);
	arm(m->watch, UINT64_MAX);
	m->stop_end_us = loop_now_us() + (uint64_t)m->deadline_ms * 1000;
	/* Before HELLO nothing of value runs in the guest, and nobody there would answer. */
	if (!m->greeted || agent_channel_send(m->agent, &message)) {
		arm(m->deadline, 0);
		return VM_EVENT_MAX;
	}
	arm(m->deadline, (uint64_t)m->deadline_ms * 1000 + MACHINE_MARGIN_US);
	return VM_EVENT_MAX;
}

static enum vm_event do_fail_ask(struct machine *m)
{
	m->deadline_ms = MACHINE_ORPHAN_MS;
	machine_tell_fault(m);
	return do_ask(m);
}

static enum vm_event do_await(struct machine *m)
{
	arm(m->watch, UINT64_MAX);
	machine_tell_fault(m);
	arm(m->deadline, MACHINE_QUIT_US);
	return VM_EVENT_MAX;
}

static enum vm_event do_fail_quit(struct machine *m)
{
	machine_tell_fault(m);
	return do_quit(m);
}

static enum vm_event do_quit_stuck(struct machine *m)
{
	record(m, -ETIMEDOUT,
	       m->greeted ? "The VM's processor stopped. See console.log and qemu.log."
			  : "The VM did not say a word in the time it has for booting. See console.log and qemu.log.");
	return do_fail_quit(m);
}

static enum vm_event do_kill(struct machine *m)
{
	log_warning("QEMU does not end by itself: killed");
	spawn_kill(m->qemu_pidfd, SIGKILL);
	arm(m->deadline, MACHINE_KILL_US);
	return VM_EVENT_MAX;
}

static enum vm_event do_end(struct machine *m)
{
	machine_drop_qemu(m);
	machine_tell_fault(m);
	machine_tell_state(m, MACHINE_OFF);
	loop_exit(m->loop, 0);
	return VM_EVENT_MAX;
}

static enum vm_event do_lost(struct machine *m)
{
	struct fault fault = FAULT_INIT;

	m->qemu_err = log_stream_free(m->qemu_err); /* its last words */
	if (!strcmp(m->end_reason, "guest-reset") || !strcmp(m->end_reason, "guest-panic"))
		fault_set(&fault, -ECONNABORTED, "The VM's kernel crashed or restarted: %.200s. See console.log.",
			  log_file_last(m->logs[MACHINE_LOG_CONSOLE]));
	else if (!strcmp(m->end_reason, "guest-shutdown"))
		fault_set(&fault, -ECONNABORTED, "The VM powered off by itself. See vm.log and console.log.");
	else if (m->qemu_status < 0)
		fault_set(&fault, -ECONNABORTED, "QEMU was ended from outside or crashed (signal %d). See qemu.log.",
			  -m->qemu_status);
	else
		fault_set(&fault, -ECONNABORTED, "QEMU ended unexpectedly. Its last words: %.200s. See qemu.log.",
			  log_file_last(m->logs[MACHINE_LOG_QEMU]));
	machine_fault(m, &fault);
	return do_end(m);
}

static enum vm_event (*const actions[VM_ACTION_MAX])(struct machine *m) = {
	[VM_DO_NOTHING] = do_nothing,
	[VM_DO_START] = do_start,
	[VM_DO_REMEMBER] = do_greet,
	[VM_DO_DISTRUST] = do_distrust,
	[VM_DO_RESTART] = do_restart,
	[VM_DO_GREET] = do_greet,
	[VM_DO_ANNOUNCE] = do_announce,
	[VM_DO_ASK] = do_ask,
	[VM_DO_FAIL_ASK] = do_fail_ask,
	[VM_DO_AWAIT] = do_await,
	[VM_DO_QUIT] = do_quit,
	[VM_DO_QUIT_STUCK] = do_quit_stuck,
	[VM_DO_FAIL_QUIT] = do_fail_quit,
	[VM_DO_KILL] = do_kill,
	[VM_DO_LOST] = do_lost,
	[VM_DO_END] = do_end,
};

void machine_event(struct machine *m, enum vm_event event)
{
	while (event != VM_EVENT_MAX) {
		enum vm_state before = m->state;
		enum vm_action action = vm_step(&m->state, event);

		log_debug("vm: %s in %s, now %s", vm_event_name(event), vm_state_name(before),
			  vm_state_name(m->state));
		event = actions[action](m);
	}
}

/* QEMU and its monitor. */

int machine_on_qemu_exit(void *data, pid_t pid, int status)
{
	struct machine *m = data;

	log_info("QEMU (pid %d) ended with %s %d", (int)pid, status < 0 ? "signal" : "code",
		 status < 0 ? -status : status);
	m->qemu_pid = 0;
	m->qemu_status = status;
	m->qemu_child = loop_source_free(m->qemu_child);
	machine_event(m, VM_EV_EXIT);
	return 0;
}

static void on_status(void *data, int r, const struct qmp_message *message)
{
	struct machine *m = data;

	if (r || strcmp(message->name, "running") == 0)
		return;
	log_warning("QEMU's state is %s", message->name);
	snprintf(m->end_reason, sizeof(m->end_reason), "%s", message->name);
	machine_event(m, VM_EV_STUCK);
}

void machine_on_qmp(void *data, const struct qmp_message *event)
{
	struct machine *m = data;

	if (!strcmp(event->name, "STOP")) {
		/* Nobody here stops the processors: QEMU did, because one failed. */
		qmp_client_call(m->qmp, QMP_QUERY_STATUS, on_status, m);
	} else if (!strcmp(event->name, "SHUTDOWN") && !strcmp(event->text, "disconnected")) {
		/* Its exit should follow at once; a QEMU without a monitor is not kept. */
		m->monitor_lost = true;
		arm(m->watch, 2000000);
	} else if (!strcmp(event->name, "SHUTDOWN")) {
		log_info("QEMU shuts down: %s", event->text);
		net_process_expect_end(m->net);
		net_process_expect_end(m->data_net);
		snprintf(m->end_reason, sizeof(m->end_reason), "%s", event->text);
	} else if (strncmp(event->name, "BLOCK_", 6) == 0 || !strcmp(event->name, "GUEST_PANICKED")) {
		log_limited(LOG_WARNING, "QEMU: %s %s", event->name, event->text);
	}
}

static int on_watch(void *data)
{
	struct machine *m = data;

	if (m->monitor_lost) {
		record(m, -ECONNRESET, "QEMU closed its monitor without ending. See qemu.log.");
		machine_event(m, VM_EV_BROKEN);
		return 0;
	}
	if (m->greeted)
		record(m, -ETIMEDOUT, "The engine did not get ready within the time it has after the boot. See vm.log and console.log.");
	else
		snprintf(m->end_reason, sizeof(m->end_reason), "no byte from the guest within %d s",
			 (m->choice.accel == MACHINE_ACCEL_KVM ? ACCEL_FIRST_BYTE_US : MACHINE_BOOT_US) / 1000000);
	machine_event(m, VM_EV_STUCK);
	return 0;
}

static int on_deadline(void *data)
{
	machine_event(data, VM_EV_DEADLINE);
	return 0;
}

/* Net. */

bool machine_on_net_failed(void *data, const struct fault *fault)
{
	machine_fault(data, fault);
	machine_event(data, VM_EV_LINK_LOST);
	return true;
}

/* QEMU does not start without it; afterwards containers live on without a network. */
bool machine_on_data_net_failed(void *data, const struct fault *fault)
{
	struct machine *m = data;

	if (!m->greeted)
		return machine_on_net_failed(data, fault);
	log_warning("%s", fault->text);
	return false;
}

static void stats_done(struct machine *m)
{
	if (m->stats_wanted && m->stats_guest && m->stats_net && m->stats_data_net)
		machine_tell_stats(m);
}

void machine_on_net_stats(void *data, enum plan_card card, const struct device_stats *stats)
{
	struct machine *m = data;

	if (card == PLAN_CARD_DATA) {
		m->stats.stats.data_net_flows = stats->flows_now & INT64_MAX;
		m->stats.stats.data_net_rx_bytes = stats->rx_bytes & INT64_MAX;
		m->stats.stats.data_net_tx_bytes = stats->tx_bytes & INT64_MAX;
		m->stats_data_net = true;
	} else {
		m->stats.stats.net_flows = stats->flows_now & INT64_MAX;
		m->stats.stats.net_rx_bytes = stats->rx_bytes & INT64_MAX;
		m->stats.stats.net_tx_bytes = stats->tx_bytes & INT64_MAX;
		m->stats_net = true;
	}
	stats_done(m);
}

/* The agent. */

static void send_time(struct machine *m)
{
	struct agent_message message = {.type = AGENT_TIME};
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	message.time.realtime_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	if (agent_channel_send(m->agent, &message))
		log_warning("the VM's clock could not be set");
}

static void on_stage(struct machine *m, uint32_t stage)
{
	if (stage >= AGENT_STAGE_MAX || m->stages & 1u << stage)
		return; /* each stage counts once */
	m->stages |= 1u << stage;
	machine_tell_stage(m, agent_stage_name(stage));
	if (stage == AGENT_STAGE_LINK)
		send_time(m);
	if (stage == AGENT_STAGE_ENGINE)
		machine_event(m, VM_EV_READY);
}

static void on_failed(struct machine *m, uint32_t cause, uint64_t detail)
{
	struct fault fault = FAULT_INIT;

	fault_set(&fault, -EIO, "The VM cannot go on: %s (detail %llu). See console.log and vm.log.",
		  agent_cause_text(cause), (unsigned long long)detail);
	machine_fault(m, &fault);
	machine_event(m, VM_EV_GUEST_FAILED);
}

static uint64_t bound(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : v;
}

static int on_agent(void *data, const struct agent_message *message)
{
	struct machine *m = data;

	switch (message->type) {
	case AGENT_HELLO:
		m->greeted = true;
		machine_event(m, VM_EV_HELLO);
		on_stage(m, AGENT_STAGE_KERNEL);
		break;
	case AGENT_STAGE:
		on_stage(m, message->stage.stage);
		break;
	case AGENT_FAILED:
		on_failed(m, message->failed.cause, message->failed.detail);
		break;
	case AGENT_STATS:
		m->stats.stats.mem_total = bound(message->stats.mem_total);
		m->stats.stats.mem_available = bound(message->stats.mem_available);
		m->stats.stats.data_total = bound(message->stats.data_total);
		m->stats.stats.data_available = bound(message->stats.data_available);
		m->stats_guest = true;
		stats_done(m);
		break;
	case AGENT_PORT_OPEN:
	case AGENT_PORT_CLOSE:
	case AGENT_PORT_RESET:
	case AGENT_NET:
		return ports_agent(m->ports, message);
	default: /* PONG: nobody asks for one yet */
		break;
	}
	return 0;
}

static void on_agent_broken(void *data, const struct fault *fault)
{
	machine_fault(data, fault);
	machine_event(data, VM_EV_BROKEN);
}

const struct agent_channel_ops machine_agent_ops = {.message = on_agent, .broken = on_agent_broken};

/* The backend. */

static int on_stats_timer(void *data)
{
	machine_tell_stats(data);
	return 0;
}

static void ask_stats(struct machine *m)
{
	struct agent_message message = {.type = AGENT_STATS_GET};

	if (m->stats_wanted)
		return;
	m->stats = (struct machine_message){0};
	m->stats_wanted = true;
	m->stats_guest = !m->greeted || agent_channel_send(m->agent, &message) != 0;
	m->stats_net = net_process_ask_stats(m->net) != 0;
	m->stats_data_net = net_process_ask_stats(m->data_net) != 0;
	arm(m->stats_timer, MACHINE_STATS_US);
	stats_done(m);
}

/* Waits for the lock of an earlier machine that is still ending, then starts. */
static int on_retry(void *data)
{
	struct machine *m = data;
	int r;

	if (m->state != VM_OFF)
		return 0;
	r = machine_take_disk(m);
	if (r == -EWOULDBLOCK && loop_now_us() - m->launch_us < MACHINE_DISK_WAIT_US) {
		arm(m->retry, MACHINE_DISK_RETRY_US);
		return 0;
	}
	if (r == -EWOULDBLOCK)
		record(m, -EBUSY, "The data disk is still in use by another machine. Stop that one first.");
	if (!r)
		r = machine_choose(m);
	if (r)
		machine_event(m, VM_EV_LAUNCH_FAILED);
	else
		machine_event(m, m->choice.trial ? VM_EV_LAUNCH_TRIAL : VM_EV_LAUNCH);
	return 0;
}

static void launch(struct machine *m, const struct machine_plan *plan)
{
	if (m->launched) {
		log_warning("a second launch was asked for: ignored");
		return;
	}
	m->launched = true;
	m->launch_us = loop_now_us();
	m->plan = *plan;
	machine_tell_state(m, MACHINE_STARTING);
	if (machine_prepare(m))
		machine_event(m, VM_EV_LAUNCH_FAILED);
	else
		on_retry(m);
}

static void stop(struct machine *m, uint32_t deadline_ms, bool force)
{
	if (!m->launched) {
		m->launched = true;
		machine_event(m, VM_EV_FORCE);
		return;
	}
	/* A stop that is under way only gets shorter. */
	if (m->state == VM_STOPPING && !force && loop_now_us() + (uint64_t)deadline_ms * 1000 >= m->stop_end_us)
		return;
	m->deadline_ms = deadline_ms;
	machine_event(m, force ? VM_EV_FORCE : VM_EV_SHUTDOWN);
}

static void backend_gone(struct machine *m)
{
	log_warning("the backend is gone: stopping the VM");
	m->backend = loop_source_free(m->backend);
	m->backend_fd = fd_close(m->backend_fd);
	stop(m, MACHINE_ORPHAN_MS, false);
}

static int on_backend(void *data, int fd, uint32_t events)
{
	static char buf[MACHINE_FRAME_MAX];
	struct machine *m = data;
	static struct machine_message message; /* five paths: too much for the stack */
	struct fault fault = FAULT_INIT;
	size_t n_fds = 0;
	ssize_t n;

	if (events & EPOLLOUT) {
		loop_source_set_events(m->backend, EPOLLIN);
		if (m->ports)
			ports_flush(m->ports);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	n = chan_recv(fd, buf, sizeof(buf), NULL, &n_fds);
	if (n == -EAGAIN || n == -EMSGSIZE)
		return 0;
	if (n <= 0) {
		backend_gone(m);
		return 0;
	}
	if (machine_decode(&message, buf, (size_t)n, &fault)) {
		log_error("%s", fault.text);
		return 0;
	}
	if (message.type == MACHINE_LAUNCH)
		launch(m, &message.launch);
	else if (message.type == MACHINE_SHUTDOWN)
		stop(m, message.shutdown.deadline_ms, message.shutdown.force);
	else if (message.type == MACHINE_STATS_GET)
		ask_stats(m);
	else if (message.type == MACHINE_PORT_RESULT && m->ports)
		ports_backend(m->ports, &message);
	else if (message.type == MACHINE_PORT_RESULT)
		log_debug("an answer about a port that is gone");
	else
		log_error("the backend sent a message that only the machine sends");
	return 0;
}

static int on_signal(void *data, int signo)
{
	struct machine *m = data;

	log_info("signal %d", signo);
	stop(m, MACHINE_ORPHAN_MS, m->state == VM_STOPPING);
	return 0;
}

static int setup(struct machine *m)
{
	int r = fd_set_nonblock(m->backend_fd, true);

	if (!r)
		r = loop_add_fd(m->loop, m->backend_fd, EPOLLIN, on_backend, m, &m->backend);
	if (!r)
		r = loop_add_signal(m->loop, SIGTERM, on_signal, m, &m->sigterm);
	if (!r)
		r = loop_add_signal(m->loop, SIGINT, on_signal, m, &m->sigint);
	if (!r)
		r = loop_add_timer(m->loop, on_watch, m, &m->watch);
	if (!r)
		r = loop_add_timer(m->loop, on_deadline, m, &m->deadline);
	if (!r)
		r = loop_add_timer(m->loop, on_retry, m, &m->retry);
	if (!r)
		r = loop_add_timer(m->loop, on_stats_timer, m, &m->stats_timer);
	return r;
}

int machine_run(const struct machine_options *options, int consume_backend_fd)
{
	static struct machine machine; /* one per process; paths make it large */
	struct machine *m = &machine;
	int r;

	*m = (struct machine){.options = *options, .backend_fd = consume_backend_fd, .image = IMAGE_FILES_INIT};
	m->disk_fd = m->engine_fd = m->echo_fd = m->qemu_pidfd = -EBADF;
	for (int i = 0; i < MACHINE_DIR_MAX; i++)
		m->dirs[i] = -EBADF;
	r = loop_new(&m->loop);
	if (!r)
		r = setup(m);
	if (!r)
		r = loop_run(m->loop);
	machine_done(m);
	fd_close(m->backend_fd);
	loop_free(m->loop);
	return r;
}
