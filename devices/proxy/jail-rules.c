/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail-rules: see the header. Not here, on purpose: bind, listen, accept*, open*, exec*, clone, kill, ptrace, mprotect, any
 * executable mapping, sockets of any family but IPv4 and IPv6. Credentials are in this process: nothing else can be read from it
 * (not dumpable), and it can read nothing itself.
 */
#include "devices/proxy/jail-rules.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

enum { JAIL_RULES_MAX = 80 };

static const struct jail_rule own[] = {
	{__NR_epoll_wait, "wait for connections and their peers", -1, 0},
	{__NR_epoll_ctl, "watch and forget sockets", -1, 0},
	{__NR_timerfd_settime, "time limits of connections", -1, 0},
	{__NR_socket, "connections to targets and proxies, questions to resolvers", 0, AF_INET},
	{__NR_socket, "the same, IPv6", 0, AF_INET6},
	{__NR_connect, "to targets, proxies and resolvers", -1, 0},
	{__NR_getsockopt, "the result of a connection attempt", 1, SOL_SOCKET},
	{__NR_setsockopt, "keep-alive", 1, SOL_SOCKET},
	{__NR_setsockopt, "no delay of small segments", 1, IPPROTO_TCP},
	{__NR_getsockname, "c-ares sorts addresses by the source that they would have", -1, 0},
	{__NR_fcntl, "is a socket non-blocking", 1, F_GETFL},
	{__NR_fcntl, "sockets are made non-blocking", 1, F_SETFL},
	{__NR_fcntl, "sockets are made close-on-exec by c-ares", 1, F_SETFD},
	{__NR_recvmsg, "frames of the backend, connections of the network process", -1, 0},
	{__NR_sendmsg, "frames to the backend", -1, 0},
	{__NR_recvfrom, "bytes of clients and servers, answers of resolvers", -1, 0},
	{__NR_sendto, "bytes to clients and servers, questions to resolvers", -1, 0},
	{__NR_writev, "questions to resolvers over TCP", -1, 0},
	{__NR_splice, "bytes of tunnels", -1, 0},
	{__NR_pipe2, "bytes of tunnels on their way", -1, 0},
	{__NR_shutdown, "the end of one direction", -1, 0},
	{__NR_close, "ended connections", -1, 0},
	{__NR_read, "the timer's count", -1, 0},
	{__NR_write, "log lines", -1, 0},
	{__NR_brk, "memory of connections", -1, 0},
	{__NR_mmap, "memory of connections", 2, PROT_READ | PROT_WRITE},
	{__NR_munmap, "memory given back", -1, 0},
	{__NR_clock_gettime, "time, where the vDSO cannot tell it", -1, 0},
	{__NR_rt_sigreturn, "return from a signal", -1, 0},
	{__NR_restart_syscall, "go on after a stop", -1, 0},
	{__NR_geteuid, "the line that describes this jail", -1, 0},
	{__NR_exit_group, "end", -1, 0},
};

size_t jail_rules_proxy(const struct jail_rule **ret)
{
	static struct jail_rule rules[JAIL_RULES_MAX];

	_Static_assert(ARRAY_SIZE(own) <= JAIL_RULES_MAX / 2, "room for a sanitizer's");
	memcpy(rules, own, sizeof(own));
	*ret = rules;
	return jail_add_sanitizer(rules, ARRAY_SIZE(own), JAIL_RULES_MAX);
}
