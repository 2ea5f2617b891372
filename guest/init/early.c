/* SPDX-License-Identifier: Apache-2.0 */
/* early: see early.h. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "guest/init/disk.h"
#include "guest/init/early.h"
#include "guest/init/modules.h"
#include "guest/init/mounts.h"
#include "guest/init/port.h"
#include "guest/init/uevent.h"
#include "guest/init/verity.h"
#include "guest/init/vm.h"
#include "proto/agent.h"

enum { PORT_WAIT_MS = 2000, DISK_WAIT_MS = 2000, CMDLINE_MAX = 8192 };
#define EARLY_MODULES "/modules"

static void load_modules(int uevent_fd)
{
	static struct modules modules;
	uint32_t index = 0;
	int r;

	r = modules_read(&modules, EARLY_MODULES);
	while (r == 0)
		r = modules_load_next(&modules, MODULES_STAGE1, EARLY_MODULES, &index);
	if (r < 0)
		vm_fail(uevent_fd, AGENT_CAUSE_MODULE, (uint64_t)index << 16 | (uint64_t)-r);
}

/* /proc files report no size, so this is not fd_read_file. */
static int read_cmdline(char *dst, size_t size)
{
	_cleanup_close_ int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return trace(error_errno());
	n = read(fd, dst, size - 1);
	if (n < 0)
		return trace(error_errno());
	dst[n] = '\0';
	return (size_t)n == size - 1 ? -E2BIG : 0;
}

static int setup_verity(char *node, size_t node_size)
{
	static char cmdline[CMDLINE_MAX];
	struct verity_params params;
	struct disk disk;
	uint64_t dev = 0;
	int r;

	r = read_cmdline(cmdline, sizeof(cmdline));
	if (r == 0)
		r = verity_parse_cmdline(&params, cmdline);
	if (r == 0)
		r = disk_find(&disk, "root", DISK_WAIT_MS);
	if (r == 0)
		r = verity_activate("root", &params, disk.major, disk.minor, &dev);
	if (r == 0)
		snprintf(node, node_size, "/dev/dm-%u", minor((dev_t)dev));
	return trace(r);
}

/* What the initramfs holds is in memory until it is removed. */
static void empty_initramfs(void)
{
	DIR *dir = opendir(EARLY_MODULES);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)unlink("/init");
}

/* Reads all of the next stage's program once: a bad block shows here, as an error, not later as a dead
 * process 1. */
static int read_through(const char *path)
{
	static char buf[65536];
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = 1;

	if (fd < 0)
		return trace(error_errno());
	while (n > 0)
		n = read(fd, buf, sizeof(buf));
	return n < 0 ? trace(error_errno()) : 0;
}

/* The console takes what the port cannot, and is never read (VM-03). Without a device its text is lost, which must not
 * stop the boot. */
static void open_console(void)
{
	int in, out;

	if (fd_populate_std() < 0)
		return;
	in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	out = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (in >= 0)
		(void)dup2(in, STDIN_FILENO);
	if (out >= 0) {
		(void)dup2(out, STDOUT_FILENO);
		(void)dup2(out, STDERR_FILENO);
	}
	fd_close(in);
	fd_close(out);
}

static _noreturn_ void next_stage(int uevent_fd)
{
	char *const argv[] = {(char *)"caisson-init", (char *)"--root", NULL};
	char *const envp[] = {NULL};
	int port = port_fd();

	/* Numbers above both first, so that neither lands on the other. */
	port = port >= 0 ? fcntl(port, F_DUPFD_CLOEXEC, 16) : -EBADF;
	uevent_fd = fcntl(uevent_fd, F_DUPFD_CLOEXEC, 16);
	if (port >= 0)
		(void)dup2(port, VM_FD_PORT);
	(void)dup2(uevent_fd, VM_FD_UEVENT);
	if (port < 0)
		close(VM_FD_PORT);
	execve(EARLY_INIT, argv, envp);
	vm_fail(uevent_fd, AGENT_CAUSE_ROOT_MOUNT, (uint64_t)errno);
}

_noreturn_ void early_stage(void)
{
	char node[32];
	int port, uevent_fd, r;

	(void)mkdir("/proc", 0755);
	(void)mkdir("/sys", 0755);
	(void)mkdir("/dev", 0755);
	(void)mkdir("/root", 0755);
	r = mounts_early();
	open_console();
	port = port_open(PORT_WAIT_MS);
	if (port < 0)
		log_errno(port, "no port to the machine");
	port_set(port);
	port_hello();
	port_stage(AGENT_STAGE_KERNEL);
	uevent_fd = uevent_open();
	if (r < 0 || uevent_fd < 0)
		vm_fail(uevent_fd, AGENT_CAUSE_INTERNAL, (uint64_t)(r < 0 ? -r : -uevent_fd));
	load_modules(uevent_fd);
	r = setup_verity(node, sizeof(node));
	if (r < 0)
		vm_fail(uevent_fd, AGENT_CAUSE_VERITY_SETUP, (uint64_t)-r);
	empty_initramfs();
	r = mounts_switch_root(node);
	if (r == 0)
		r = read_through(EARLY_INIT);
	if (r < 0)
		vm_fail(uevent_fd, AGENT_CAUSE_ROOT_MOUNT, (uint64_t)-r);
	next_stage(uevent_fd);
}
