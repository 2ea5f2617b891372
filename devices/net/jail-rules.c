/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail-rules: see the header. Not here, on purpose: socket, connect, bind, listen, open*, exec*, clone, any mmap but
 * guest memory's (devices/vhost, never executable: mprotect is missing too, so nothing can become so).
 */
#include "devices/net/jail-rules.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "devices/vhost/vhost.h"

enum { RULES_MAX = 96 };

static const struct jail_rule own_rules[] = {
	{__NR_epoll_wait, "wait for rings, sockets and the machine", -1, 0},
	{__NR_epoll_ctl, "watch and forget host sockets", -1, 0},
	{__NR_accept4, "connections of host programs", -1, 0},
	{__NR_socketpair, "connections of the guest to the machine", 0, AF_UNIX},
	{__NR_sendmsg, "guest memory to host sockets, frames to the machine", -1, 0},
	{__NR_recvmsg, "host sockets to guest memory, frames of the machine", -1, 0},
	{__NR_setsockopt, "buffer size and peek offset of host sockets", 1, SOL_SOCKET},
	{__NR_ioctl, "bytes that wait in a host socket", 1, SIOCOUTQ},
	{__NR_shutdown, "end of the guest's stream", -1, 0},
	{__NR_close, "ended flows", -1, 0},
	{__NR_write, "log lines, notifications", -1, 0},
	{__NR_brk, "the event loop notes each kick descriptor that the front-end brings", -1, 0},
	{__NR_clock_gettime, "time, where the vDSO cannot tell it", -1, 0},
	{__NR_rt_sigreturn, "return from a signal", -1, 0},
	{__NR_restart_syscall, "go on after a stop", -1, 0},
	{__NR_geteuid, "the line that describes this jail", -1, 0},
	{__NR_exit_group, "end", -1, 0},
#ifdef __SANITIZE_ADDRESS__
	/* Only in a build that tests run; the run-time needs them to report. */
	{__NR_mmap, "sanitizer", -1, 0},
	{__NR_munmap, "sanitizer", -1, 0},
	{__NR_mprotect, "sanitizer", -1, 0},
	{__NR_madvise, "sanitizer", -1, 0},
	{__NR_sigaltstack, "sanitizer", -1, 0},
	{__NR_futex, "sanitizer", -1, 0},
	{__NR_getpid, "sanitizer", -1, 0},
	{__NR_gettid, "sanitizer", -1, 0},
	{__NR_rt_sigprocmask, "sanitizer", -1, 0},
	{__NR_rt_sigaction, "sanitizer", -1, 0},
	{__NR_sched_yield, "sanitizer", -1, 0},
	{__NR_readlink, "sanitizer", -1, 0},
	{__NR_openat, "sanitizer", -1, 0},
	{__NR_open, "sanitizer", -1, 0},
	{__NR_read, "sanitizer", -1, 0},
	{__NR_tgkill, "sanitizer", -1, 0},
	{__NR_getrlimit, "sanitizer", -1, 0},
	{__NR_prlimit64, "sanitizer", -1, 0},
#endif
};

size_t jail_rules_control(const struct jail_rule **ret)
{
	static struct jail_rule rules[RULES_MAX];
	size_t n = ARRAY_SIZE(own_rules);

	_Static_assert(ARRAY_SIZE(own_rules) <= RULES_MAX / 2, "room for the library's");
	memcpy(rules, own_rules, sizeof(own_rules));
	for (size_t i = 0; i < vhost_n_jail_rules && n < RULES_MAX; i++)
		rules[n++] = vhost_jail_rules[i];
	*ret = rules;
	return n;
}
