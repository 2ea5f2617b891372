/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine-start: prepares what the VM needs, starts QEMU and net, and takes all of it down again.
 *
 * Order matters: the disk's lock comes before the sockets of the run directory, so that an earlier machine that is
 * still ending never loses its own; on the way down the sockets go before the lock.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/spawn.h"
#include "machine/disk.h"
#include "machine/machine.h"
#include "machine/plan.h"

#define ENGINE_SOCKET "engine.sock"
#define ECHO_SOCKET "echo.sock"

enum { LISTEN_BACKLOG = 512, KILL_WAIT_MS = 2000 };

static const char *const log_names[MACHINE_LOG_MAX] = {
	[MACHINE_LOG_CONSOLE] = "console.log",
	[MACHINE_LOG_VM] = "vm.log",
	[MACHINE_LOG_QEMU] = "qemu.log",
	[MACHINE_LOG_NET] = "net.log",
};

static int open_dirs(struct machine *m, struct fault *fault)
{
	const char *const paths[MACHINE_DIR_MAX] = {
		[MACHINE_DIR_RUN] = m->plan.run_dir,
		[MACHINE_DIR_LOG] = m->plan.log_dir,
		[MACHINE_DIR_CACHE] = m->plan.cache_dir,
		[MACHINE_DIR_DATA] = m->plan.data_dir,
	};

	for (int i = 0; i < MACHINE_DIR_MAX; i++) {
		int fd = fd_open_dir_path(paths[i], true);

		if (fd < 0)
			return fault_set(fault, fd, "The directory %s cannot be used: %s.", paths[i], strerror(-fd));
		m->dirs[i] = fd;
	}
	for (int i = 0; i < MACHINE_LOG_MAX; i++) {
		int r = log_file_open(m->dirs[MACHINE_DIR_LOG], log_names[i], &m->logs[i]);

		if (r)
			return fault_set(fault, r, "The log %s/%s cannot be written: %s.", m->plan.log_dir,
					 log_names[i], strerror(-r));
	}
	return 0;
}

static int check_memory(struct machine *m, struct fault *fault)
{
	uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;

	if (m->plan.memory_mib < total)
		return 0;
	return fault_set(fault, -ENOMEM,
			 "The VM is set to %u MiB of memory, but this computer has only %llu MiB. Set less "
			 "with \"caisson settings set memory N\".",
			 m->plan.memory_mib, (unsigned long long)total);
}

/* The version is asked from the program only when the remembered one is of another program. */
static int find_qemu(struct machine *m, struct fault *fault)
{
	char key[ACCEL_KEY_MAX];
	int r = qemu_find(&m->qemu, m->options.qemu, fault);

	if (r)
		return r;
	accel_key(key, &m->qemu, m->options.device);
	accel_load(&m->memory, m->dirs[MACHINE_DIR_CACHE], key);
	if (qemu_set_version(&m->qemu, m->memory.qemu_version)) {
		r = qemu_ask_version(&m->qemu, fault);
		if (r)
			return r;
		snprintf(m->memory.qemu_version, sizeof(m->memory.qemu_version), "%s", m->qemu.version);
		m->memory_new = true;
	}
	if (m->qemu.major < QEMU_MAJOR_MIN)
		return fault_set(fault, -ENOTSUP, "QEMU %s is too old; version %d or later is needed.",
				 m->qemu.version, QEMU_MAJOR_MIN);
	return 0;
}

int machine_prepare(struct machine *m)
{
	struct fault fault = FAULT_INIT;
	int r = open_dirs(m, &fault);

	if (!r)
		r = image_files_open(&m->image, m->plan.image_dir, &fault);
	if (!r)
		r = check_memory(m, &fault);
	if (!r)
		r = find_qemu(m, &fault);
	return r ? machine_fault(m, &fault) : 0;
}

int machine_take_disk(struct machine *m)
{
	struct fault fault = FAULT_INIT;
	int r = disk_open(m->dirs[MACHINE_DIR_DATA], m->plan.disk_mib, &fault);

	if (r == -EWOULDBLOCK && !fault.code)
		return r;
	if (r < 0)
		return machine_fault(m, &fault);
	m->disk_fd = r;
	return 0;
}

int machine_choose(struct machine *m)
{
	struct fault fault = FAULT_INIT;
	bool known = m->memory.known;
	int r = accel_choose(&m->choice, m->plan.accel, m->options.device, &m->memory, &fault);

	if (((m->memory.known && !known) || m->memory_new) && accel_save(&m->memory, m->dirs[MACHINE_DIR_CACHE]))
		log_warning("the verdict about KVM could not be kept");
	m->memory_new = false;
	if (r)
		return machine_fault(m, &fault);
	log_info("accelerator %s: %s", machine_accel_name(m->choice.accel), m->choice.reason);
	machine_tell_state(m, MACHINE_STARTING);
	machine_tell_stage(m, "accelerator");
	return 0;
}

static int make_sockets(struct machine *m, struct fault *fault)
{
	int run = m->dirs[MACHINE_DIR_RUN];

	if (m->sockets_made)
		return 0;
	m->engine_fd = sock_listen_at(run, ENGINE_SOCKET, SOCK_STREAM | SOCK_NONBLOCK, LISTEN_BACKLOG);
	if (m->engine_fd >= 0)
		m->echo_fd = sock_listen_at(run, ECHO_SOCKET, SOCK_STREAM | SOCK_NONBLOCK, LISTEN_BACKLOG);
	if (m->engine_fd < 0 || m->echo_fd < 0)
		return fault_set(fault, m->engine_fd < 0 ? m->engine_fd : m->echo_fd,
				 "The sockets in %s cannot be made.", m->plan.run_dir);
	m->sockets_made = true;
	return 0;
}

/* Both ends of what QEMU inherits; all are closed with the scope unless taken. */
struct qemu_ends {
	int near[PLAN_FD_CONSOLE + 1];
	int child[PLAN_FD_MAX];
	int owned[PLAN_FD_MAX]; /* those of CHILD that are closed here */
	int err_read, err_write;
};

static void qemu_ends_done(struct qemu_ends *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(e->near); i++)
		fd_close(e->near[i]);
	for (size_t i = 0; i < ARRAY_SIZE(e->owned); i++)
		fd_close(e->owned[i]);
	fd_close(e->err_read);
	fd_close(e->err_write);
}

static int make_ends(struct machine *m, struct qemu_ends *e)
{
	int pair[2], r;

	*e = (struct qemu_ends){.err_read = -EBADF, .err_write = -EBADF};
	for (size_t i = 0; i < ARRAY_SIZE(e->near); i++)
		e->near[i] = -EBADF;
	for (size_t i = 0; i < ARRAY_SIZE(e->owned); i++)
		e->owned[i] = e->child[i] = -EBADF;
	for (int i = PLAN_FD_QMP; i <= PLAN_FD_CONSOLE; i++) {
		r = sock_pair(SOCK_STREAM, pair);
		if (r)
			return r;
		e->near[i] = pair[0];
		e->child[i] = e->owned[i] = pair[1];
		r = fd_set_nonblock(e->near[i], true);
		if (r)
			return r;
	}
	e->child[PLAN_FD_KERNEL] = m->image.fds[IMAGE_VMLINUX];
	e->child[PLAN_FD_INITRD] = m->image.fds[IMAGE_INITRD];
	e->child[PLAN_FD_ROOT] = m->image.fds[IMAGE_ROOT];
	e->child[PLAN_FD_DATA] = m->disk_fd;
	e->child[PLAN_FD_RUN_DIR] = m->dirs[MACHINE_DIR_RUN];
	/* QEMU binds it; one that an earlier boot left is never trusted. */
	unlinkat(m->dirs[MACHINE_DIR_RUN], PLAN_CONTROL_SOCKET, 0);
	unlinkat(m->dirs[MACHINE_DIR_RUN], PLAN_DATA_SOCKET, 0);
	if (pipe2(pair, O_CLOEXEC) < 0)
		return trace(error_errno());
	e->err_read = pair[0];
	e->err_write = pair[1];
	return 0;
}

/* The streams set their pointer to NULL when they end by themselves. */
static void on_stream_end(void *data, struct log_stream *stream)
{
	struct machine *m = data;

	if (m->console == stream)
		m->console = NULL;
	if (m->qemu_err == stream)
		m->qemu_err = NULL;
}

static int watch_qemu(struct machine *m, struct qemu_ends *e)
{
	int r = loop_add_child(m->loop, m->qemu_pidfd, m->qemu_pid, machine_on_qemu_exit, m, &m->qemu_child);

	if (!r)
		r = ports_new(&machine_ports_ops, m, &m->ports);
	if (!r)
		r = qmp_client_new(m->loop, take_fd(e->near[PLAN_FD_QMP]), machine_on_qmp, m, &m->qmp);
	if (!r)
		r = agent_channel_new(m->loop, take_fd(e->near[PLAN_FD_AGENT]), &machine_agent_ops, m, &m->agent);
	if (!r)
		r = log_stream_new(m->loop, take_fd(e->near[PLAN_FD_CONSOLE]), m->logs[MACHINE_LOG_CONSOLE], NULL,
				   on_stream_end, m, &m->console);
	if (!r)
		r = log_stream_new(m->loop, take_fd(e->err_read), m->logs[MACHINE_LOG_QEMU], NULL, on_stream_end,
				   m, &m->qemu_err);
	return r;
}

static int spawn_qemu(struct machine *m, struct qemu_ends *e, struct fault *fault)
{
	struct plan_input input = {.cpus = m->plan.cpus,
				   .memory_mib = m->plan.memory_mib,
				   .accel = m->choice.accel,
				   .qemu_major = m->qemu.major,
				   .mtu = m->plan.mtu,
				   .image = &m->image.image};
	_cleanup_free_ struct plan *plan = malloc(sizeof(*plan));
	int r;

	if (!plan)
		return fault_set(fault, -ENOMEM, "No memory for QEMU's arguments.");
	r = plan_qemu(plan, &input);
	if (r)
		return fault_set(fault, r, "The VM's settings are out of range (%u CPUs, %u MiB).", m->plan.cpus,
				 m->plan.memory_mib);
	r = spawn_start(&(struct spawn_plan){.program = m->qemu.path, .argv = plan->argv, .stdin_fd = -1,
					     .stdout_fd = e->err_write, .stderr_fd = e->err_write,
					     .fds = e->child, .n_fds = plan->n_fds,
					     .flags = SPAWN_NODUMP | SPAWN_SETSID},
			&m->qemu_pid, &m->qemu_pidfd);
	if (r)
		return fault_set(fault, r, "QEMU (%s) cannot be started: %s.", m->qemu.path, strerror(-r));
	log_info("QEMU %s started (pid %d)", m->qemu.version, (int)m->qemu_pid);
	return 0;
}

static int start_net(struct machine *m, struct fault *fault)
{
	struct net_process_config config = {
		.program = m->options.net,
		.run_dir_fd = m->dirs[MACHINE_DIR_RUN],
		.vhost_name = PLAN_CONTROL_SOCKET,
		.card = PLAN_CARD_CONTROL,
		.engine_fd = m->engine_fd,
		.echo_fd = m->echo_fd,
		.net_log = m->logs[MACHINE_LOG_NET],
		.vm_log = m->logs[MACHINE_LOG_VM],
		.failed = machine_on_net_failed,
		.stats = machine_on_net_stats,
		.data = m,
	};
	int r = net_process_new(m->loop, &config, &m->net, fault);

	if (r)
		return r;
	config.vhost_name = PLAN_DATA_SOCKET;
	config.card = PLAN_CARD_DATA;
	config.failed = machine_on_data_net_failed;
	config.link = machine_tell_link;
	return net_process_new(m->loop, &config, &m->data_net, fault);
}

/* SIGKILL and reap; a QEMU that is stuck in the kernel is not waited for without end. */
static void kill_qemu(struct machine *m)
{
	struct pollfd p = {.fd = m->qemu_pidfd, .events = POLLIN};

	if (m->qemu_pid <= 0)
		return;
	spawn_kill(m->qemu_pidfd, SIGKILL);
	poll(&p, 1, KILL_WAIT_MS);
	waitpid(m->qemu_pid, NULL, WNOHANG);
}

int machine_start_qemu(struct machine *m)
{
	struct fault fault = FAULT_INIT;
	struct qemu_ends ends;
	int r = make_sockets(m, &fault);

	if (r)
		return machine_fault(m, &fault);
	r = make_ends(m, &ends);
	if (r)
		fault_set(&fault, r, "The sockets for QEMU cannot be made: %s.", strerror(-r));
	if (!r)
		r = spawn_qemu(m, &ends, &fault);
	if (!r) {
		r = watch_qemu(m, &ends);
		if (r)
			fault_set(&fault, r, "QEMU cannot be watched: %s.", strerror(-r));
	}
	qemu_ends_done(&ends);
	if (!r)
		r = start_net(m, &fault);
	if (!r)
		return 0;
	machine_fault(m, &fault);
	kill_qemu(m);
	machine_drop_qemu(m);
	return r;
}

void machine_drop_qemu(struct machine *m)
{
	m->net = net_process_free(m->net);
	m->data_net = net_process_free(m->data_net);
	m->qemu_child = loop_source_free(m->qemu_child);
	m->qmp = qmp_client_free(m->qmp);
	m->agent = agent_channel_free(m->agent);
	m->ports = ports_free(m->ports);
	m->console = log_stream_free(m->console);
	m->qemu_err = log_stream_free(m->qemu_err);
	m->qemu_pidfd = fd_close(m->qemu_pidfd);
	m->qemu_pid = 0;
	m->greeted = m->monitor_lost = false;
	if (m->dirs[MACHINE_DIR_RUN] >= 0)
		unlinkat(m->dirs[MACHINE_DIR_RUN], PLAN_CONTROL_SOCKET, 0);
	if (m->dirs[MACHINE_DIR_RUN] >= 0)
		unlinkat(m->dirs[MACHINE_DIR_RUN], PLAN_DATA_SOCKET, 0);
}

void machine_done(struct machine *m)
{
	kill_qemu(m);
	if (m->disk_fd >= 0)
		machine_drop_qemu(m);
	if (m->sockets_made) {
		unlinkat(m->dirs[MACHINE_DIR_RUN], ENGINE_SOCKET, 0);
		unlinkat(m->dirs[MACHINE_DIR_RUN], ECHO_SOCKET, 0);
	}
	fd_close(m->engine_fd);
	fd_close(m->echo_fd);
	fd_close(m->disk_fd);
	image_files_done(&m->image);
	for (int i = 0; i < MACHINE_LOG_MAX; i++)
		log_file_free(m->logs[i]);
	for (int i = 0; i < MACHINE_DIR_MAX; i++)
		fd_close(m->dirs[i]);
}
