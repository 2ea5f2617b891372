/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine: see confine.h. By hand, since guest programs link neither libseccomp nor libcap-ng.
 */
#include "guest/agent/confine.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

static const struct {
	int number;
	const char *reason;
} allowed[] = {
	{__NR_read, "agent port, log pipes, timerfd, meminfo"},
	{__NR_write, "agent port, own log"},
	{__NR_splice, "relay"},
	{__NR_pipe2, "relay: one pipe per busy direction"},
	{__NR_close, "relay: ended connections"},
	{__NR_shutdown, "relay: half-close"},
	{__NR_ioctl, "relay: SIOCOUTQ before a reset"},
	{__NR_fcntl, "relay: O_NONBLOCK"},
	{__NR_accept4, "listeners, port-proxies"},
	{__NR_socket, "engine socket, log link"},
	{__NR_connect, "engine socket, log link"},
	{__NR_setsockopt, "keepalive, no delay, linger"},
	{__NR_getsockopt, "socket family, result of connect"},
	{__NR_sendto, "log link, port-proxies, route socket"},
	{__NR_recvfrom, "log link, port-proxies, route socket"},
	{__NR_sendmsg, "link to init"},
	{__NR_recvmsg, "link to init"},
	{__NR_epoll_wait, "loop"},
	{__NR_epoll_pwait, "loop, as some C libraries spell it"},
	{__NR_epoll_ctl, "loop"},
	{__NR_timerfd_settime, "loop"},
	{__NR_clock_gettime, "loop, where there is no vDSO clock"},
	{__NR_openat, "/proc/meminfo"},
	{__NR_statfs, "room on the data disk"},
	{__NR_brk, "allocator"},
	{__NR_mmap, "allocator"},
	{__NR_munmap, "allocator"},
	{__NR_mremap, "allocator"},
	{__NR_madvise, "allocator"},
	{__NR_futex, "C library"},
	{__NR_getpid, "C library, abort"},
	{__NR_gettid, "C library, abort"},
	{__NR_tgkill, "C library, abort"},
	{__NR_rt_sigprocmask, "C library, abort"},
	{__NR_rt_sigreturn, "signals"},
	{__NR_restart_syscall, "stop and continue"},
	{__NR_exit, "end"},
	{__NR_exit_group, "end"},
};

enum { PROLOGUE = 4, FILTER_LEN = PROLOGUE + 2 * ARRAY_SIZE(allowed) + 1 };

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	/* The bounding set ends at the first number the kernel does not know. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return trace(error_errno());
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return trace(error_errno());
	if (syscall(SYS_capset, &header, none) < 0)
		return trace(error_errno());
	return 0;
}

static int limit_syscalls(void)
{
	struct sock_filter filter[FILTER_LEN];
	struct sock_fprog prog = {.len = FILTER_LEN, .filter = filter};
	size_t n = 0;

	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	/* The x32 numbers carry a high bit and match no row. */
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i].number,
							   0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	if (n != FILTER_LEN)
		return trace(-EINVAL);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return trace(error_errno());
	return 0;
}

int confine(void)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return trace(error_errno());
	r = drop_capabilities();
	if (r < 0)
		return trace(r);
	return limit_syscalls();
}
