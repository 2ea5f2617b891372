/* SPDX-License-Identifier: Apache-2.0 */
/* mounts: see mounts.h. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "guest/init/mounts.h"

struct mount_row {
	const char *target, *type, *options;
	unsigned long flags;
	mode_t make; /* 0: the directory exists */
};

enum { QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC, MOUNTS_BELOW_MAX = 4096 };

static const struct mount_row early_rows[] = {
	{"/proc", "proc", NULL, QUIET, 0},
	{"/sys", "sysfs", NULL, QUIET, 0},
	{"/dev", "devtmpfs", "mode=0755", MS_NOSUID | MS_NOEXEC, 0},
};

/* Programs are in the sealed root and in containers' own mounts; nothing of the engine's runs from here. */
static const struct mount_row root_rows[] = {
	{"/dev/pts", "devpts", "gid=5,mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, 0755},
	{"/dev/shm", "tmpfs", "mode=1777", QUIET, 01777},
	{"/dev/mqueue", "mqueue", NULL, QUIET, 0755},
	{"/run", "tmpfs", "mode=0755", QUIET, 0},
	{"/tmp", "tmpfs", "mode=1777", QUIET, 0},
	{"/var/tmp", "tmpfs", "mode=1777", QUIET, 0},
	{"/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot", QUIET, 0},
	{"/sys/kernel/security", "securityfs", NULL, QUIET, 0},
	{"/sys/fs/bpf", "bpf", "mode=0700", QUIET, 0},
};

static const struct { const char *path; mode_t mode; } run_dirs[] = {
	{"/run/caisson", 0700}, {"/run/caisson/data", 0700}, {"/run/containerd", 0711}, {"/run/lock", 0755},
	{"/run/docker", 0700}, {MOUNTS_CGROUP, 0755},
};

static const struct { const char *path, *value; } sysctls[] = {
	{"/proc/sys/kernel/modprobe", "\n"}, /* the kernel never starts a program to load a module */
	{"/proc/sys/kernel/kexec_load_disabled", "1"},
	{"/proc/sys/kernel/unprivileged_bpf_disabled", "1"},
	{"/proc/sys/kernel/kptr_restrict", "2"},
	{"/proc/sys/kernel/dmesg_restrict", "1"},
	{"/proc/sys/kernel/perf_event_paranoid", "3"},
	{"/proc/sys/kernel/yama/ptrace_scope", "1"},
	{"/proc/sys/kernel/sysrq", "0"},
	{"/proc/sys/kernel/core_pattern", "|/bin/false"}, /* no such program: no core is ever written */
	{"/proc/sys/kernel/io_uring_disabled", "1"},
	{"/proc/sys/kernel/keys/maxkeys", "20000"},
	{"/proc/sys/kernel/keys/maxbytes", "1000000"},
	{"/proc/sys/kernel/pid_max", "4194304"},
	{"/proc/sys/kernel/threads-max", "100000"},
	{"/proc/sys/net/core/bpf_jit_harden", "2"},
	{"/proc/sys/net/core/somaxconn", "4096"},
	{"/proc/sys/net/ipv4/ip_forward", "1"},
	{"/proc/sys/net/ipv4/conf/all/accept_redirects", "0"},
	{"/proc/sys/net/ipv4/conf/all/send_redirects", "0"},
	{"/proc/sys/net/ipv4/conf/default/accept_redirects", "0"},
	{"/proc/sys/net/ipv4/conf/default/send_redirects", "0"},
	{"/proc/sys/net/ipv4/conf/all/accept_source_route", "0"},
	{"/proc/sys/net/ipv6/conf/all/forwarding", "1"},
	{"/proc/sys/net/ipv6/conf/all/accept_redirects", "0"},
	{"/proc/sys/net/ipv6/conf/default/accept_redirects", "0"},
	{"/proc/sys/net/ipv6/conf/default/accept_ra", "0"},
	{"/proc/sys/fs/protected_symlinks", "1"},
	{"/proc/sys/fs/protected_hardlinks", "1"},
	{"/proc/sys/fs/protected_fifos", "1"},
	{"/proc/sys/fs/protected_regular", "2"},
	{"/proc/sys/fs/suid_dumpable", "0"},
	{"/proc/sys/fs/inotify/max_user_watches", "1048576"},
	{"/proc/sys/fs/inotify/max_user_instances", "8192"},
	{"/proc/sys/fs/aio-max-nr", "1048576"},
	{"/proc/sys/vm/max_map_count", "262144"}, /* databases and search engines ask for it */
	{"/proc/sys/vm/overcommit_memory", "1"},  /* in-memory stores fork */
	{"/proc/sys/vm/unprivileged_userfaultfd", "0"},
};

int mounts_write(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno();
	return fd_write_all(fd, text, strlen(text));
}

static int mount_rows(const struct mount_row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (rows[i].make && mkdir(rows[i].target, rows[i].make) < 0 && errno != EEXIST)
			return trace(error_errno());
		if (mount(rows[i].type, rows[i].target, rows[i].type, rows[i].flags, rows[i].options) < 0)
			return trace(error_errno());
	}
	return 0;
}

int mounts_early(void)
{
	return mount_rows(early_rows, ARRAY_SIZE(early_rows));
}

int mounts_switch_root(const char *node)
{
	static const char *const moved[] = {"/proc", "/sys", "/dev"};
	char target[32];
	size_t i;

	if (mount(node, "/root", "erofs", MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) < 0)
		return trace(error_errno());
	for (i = 0; i < ARRAY_SIZE(moved); i++) {
		snprintf(target, sizeof(target), "/root%s", moved[i]);
		if (mount(moved[i], target, NULL, MS_MOVE, NULL) < 0)
			return trace(error_errno());
	}
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return trace(error_errno());
	return 0;
}

int mounts_root(void)
{
	size_t i;
	int r;

	umask(0);
	r = mount_rows(root_rows, ARRAY_SIZE(root_rows));
	for (i = 0; r == 0 && i < ARRAY_SIZE(run_dirs); i++)
		if (mkdir(run_dirs[i].path, run_dirs[i].mode) < 0)
			r = error_errno();
	umask(022);
	/* Limits on memory, processes and the rest must reach the containers' groups. */
	if (r == 0)
		r = mounts_write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset +cpu +io +memory +pids");
	if (r < 0)
		return trace(r);
	/* Containers' mount namespaces start as copies: nothing they do may come back by propagation, but
	 * volumes mounted by the engine must reach containers that ask for it. */
	if (mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL) < 0)
		return trace(error_errno());
	return 0;
}

void mounts_sysctls(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sysctls); i++)
		(void)mounts_write(sysctls[i].path, sysctls[i].value);
}

/* Finds the newest mount below DIR. Return: true with its path. */
static int last_below(const char *dir, char *dst, size_t size)
{
	static char line[8192];
	size_t len = strlen(dir);
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int found = 0;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		char *p = line, *end;
		int skip;

		for (skip = 0; p && skip < 4; skip++) {
			p = strchr(p, ' ');
			p = p ? p + 1 : NULL;
		}
		end = p ? strchr(p, ' ') : NULL;
		if (!end)
			continue;
		*end = '\0';
		if (strncmp(p, dir, len) == 0 && p[len] == '/' && strlen(p) < size) {
			memcpy(dst, p, strlen(p) + 1);
			found = 1;
		}
	}
	(void)fclose(file);
	return found;
}

void mounts_detach_below(const char *dir)
{
	static char path[4096];
	int i;

	for (i = 0; i < MOUNTS_BELOW_MAX && last_below(dir, path, sizeof(path)); i++)
		if (umount2(path, MNT_DETACH) < 0)
			return;
}
