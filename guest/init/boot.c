/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot: the root stage up to the started daemons. Order, and why: containerd needs nothing but the data
 * disk and is the longest start beside dockerd's, so it starts first and the modules are loaded beside it
 * on the other CPU; dockerd looks for overlay, netfilter and the data card when it starts, so it comes after them; the
 * agent needs the cards; the lease is asked for while all of them start.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "guest/init-link.h"
#include "guest/init/disk.h"
#include "guest/init/mounts.h"
#include "guest/init/network.h"
#include "guest/init/port.h"
#include "guest/init/vm.h"
#include "guest/port-link.h"
#include "proto/agent.h"

#define NOTIFY_PATH "/run/caisson/notify"
#define ENGINE_PATH "/run/docker.sock"
enum { LOG_PIPE_SIZE = 256 * 1024, DISK_WAIT_MS = 2000, ENGINE_BACKLOG = 4096 };

static char *const containerd_argv[] = {
	(char *)"/usr/bin/containerd", (char *)"--config", (char *)"/etc/containerd/config.toml", NULL,
};
static char *const dockerd_argv[] = {
	(char *)"/usr/sbin/dockerd", (char *)"--config-file", (char *)"/etc/docker/daemon.json", (char *)"-H",
	(char *)"fd://", NULL,
};
static char *const agent_argv[] = {(char *)"/usr/lib/caisson/agent", NULL};

static void must(const struct vm *vm, int r)
{
	if (r < 0)
		vm_fail(vm->uevent_fd, AGENT_CAUSE_INTERNAL, (uint64_t)-r);
}

/* A Unix socket at PATH that only root can reach. Return: descriptor or -errno. */
static int unix_socket(const char *path, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return trace(error_errno());
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? error_errno() : 0;
	umask(mask);
	if (r < 0)
		return trace(r);
	return take_fd(fd);
}

static int open_sockets(struct vm *vm)
{
	const int on = 1;

	vm->engine_fd = unix_socket(ENGINE_PATH, SOCK_STREAM);
	if (vm->engine_fd < 0)
		return trace(vm->engine_fd);
	if (listen(vm->engine_fd, ENGINE_BACKLOG) < 0)
		return trace(error_errno());
	vm->ports_fd = unix_socket(PORT_LINK_PATH, SOCK_SEQPACKET | SOCK_NONBLOCK);
	if (vm->ports_fd < 0)
		return trace(vm->ports_fd);
	if (listen(vm->ports_fd, AGENT_PORTS_MAX) < 0)
		return trace(error_errno());
	vm->notify_fd = unix_socket(NOTIFY_PATH, SOCK_DGRAM | SOCK_NONBLOCK);
	if (vm->notify_fd < 0)
		return trace(vm->notify_fd);
	if (setsockopt(vm->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return trace(error_errno());
	return 0;
}

static int open_logs(struct vm *vm)
{
	int i, fds[2];

	for (i = 0; i < VM_LOG_MAX; i++) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			return trace(error_errno());
		(void)fcntl(fds[0], F_SETPIPE_SZ, LOG_PIPE_SIZE);
		(void)fd_set_nonblock(fds[0], true);
		vm->log_read_fds[i] = fds[0];
		vm->log_write_fds[i] = fds[1];
	}
	/* Init itself must never wait for whoever reads its log. */
	(void)fd_set_nonblock(vm->log_write_fds[VM_LOG_INIT], true);
	log_open("com.docker.caisson.init", vm->log_write_fds[VM_LOG_INIT], LOG_INFO);
	return 0;
}

static void plan_services(struct vm *vm)
{
	vm->services[VM_CONTAINERD] = (struct service){
		.name = "containerd", .argv = containerd_argv, .log_fd = vm->log_write_fds[VM_LOG_CONTAINERD],
		.oom_score_adj = -999,
	};
	vm->services[VM_DOCKERD] = (struct service){
		.name = "dockerd", .argv = dockerd_argv, .log_fd = vm->log_write_fds[VM_LOG_DOCKERD],
		.env = {"NOTIFY_SOCKET=" NOTIFY_PATH, "DOCKER_TMPDIR=/var/lib/docker/tmp", NULL},
		.fds = {vm->engine_fd}, .n_fds = 1, .listen_fds = true, .oom_score_adj = -500,
	};
	/* The descriptors of the link and of the route socket are put in when the agent starts: every start has its own. */
	vm->services[VM_AGENT] = (struct service){
		.name = "agent", .argv = agent_argv, .log_fd = vm->log_write_fds[VM_LOG_INIT],
		.fds = {port_fd(), -EBADF, vm->log_read_fds[VM_LOG_CONTAINERD], vm->log_read_fds[VM_LOG_DOCKERD],
			vm->log_read_fds[VM_LOG_INIT], vm->ports_fd, -EBADF},
		.n_fds = INIT_LINK_FD_END - INIT_LINK_FD_PORT, .oom_score_adj = -999,
	};
}

static void load_boot_modules(struct vm *vm)
{
	uint32_t index = 0;
	int r;

	do
		r = modules_load_next(&vm->modules, MODULES_BOOT, VM_MODULES_DIR, &index);
	while (r == 0);
	if (r < 0)
		vm_fail(vm->uevent_fd, AGENT_CAUSE_MODULE, (uint64_t)index << 16 | (uint64_t)-r);
}

static void mount_data(struct vm *vm)
{
	struct disk disk;
	uint64_t detail = 0;
	uint32_t cause = 0;
	int r;

	r = disk_find(&disk, "data", DISK_WAIT_MS);
	if (r < 0)
		vm_fail(vm->uevent_fd, AGENT_CAUSE_DATA_MISSING, (uint64_t)-r);
	r = disk_mount_data(&disk, &cause, &detail);
	if (r < 0)
		vm_fail(vm->uevent_fd, cause, detail);
	port_stage(AGENT_STAGE_DATA);
}

void vm_boot(struct vm *vm)
{
	vm->link_fd = -EBADF;
	vm->netns_fd = -EBADF;
	must(vm, mounts_root());
	must(vm, open_logs(vm));
	must(vm, open_sockets(vm));
	must(vm, modules_read(&vm->modules, VM_MODULES_DIR));
	plan_services(vm);
	must(vm, sethostname("docker-desktop", strlen("docker-desktop")) < 0 ? error_errno() : 0);
	mount_data(vm);
	must(vm, service_start(&vm->services[VM_CONTAINERD]));
	mounts_sysctls();
	load_boot_modules(vm);
	network_prepare();
	must(vm, service_start(&vm->services[VM_DOCKERD]));
}
