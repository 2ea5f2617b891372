/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail-rules: see the header. Not here, on purpose: bind, listen, open*, exec*, clone, any mmap but guest memory's
 * (devices/vhost, never executable: mprotect is missing too, so nothing can become so); on the control card socket and connect
 * either. Of the sockets there are, the data card may make four kinds: TCP, UDP and unprivileged ping in both families, and Unix
 * pairs.
 */
#include "devices/net/jail-rules.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "devices/vhost/vhost.h"

enum { JAIL_RULES_MAX = 160 };

#define EXACTLY 0xffffffffUL /* system calls take int here */
#define SOCKET(family, type, protocol, why)                                                                       \
	{__NR_socket, why, 0, family, {{1, EXACTLY & ~(unsigned long)(SOCK_NONBLOCK | SOCK_CLOEXEC), type},       \
				       {2, EXACTLY, protocol}}}
#define OPTION(level, name, why) {__NR_setsockopt, why, 1, level, {{2, EXACTLY, name}}}

static const struct jail_rule common[] = {
	{__NR_epoll_wait, "wait for rings, sockets and the machine", -1, 0},
	{__NR_epoll_ctl, "watch and forget host sockets", -1, 0},
	{__NR_accept4, "connections of host programs", -1, 0},
	{__NR_socketpair, "connections of the guest to the machine, to DNS and the proxy", 0, AF_UNIX},
	{__NR_sendmsg, "guest memory to host sockets, frames to the machine", -1, 0},
	{__NR_recvmsg, "host sockets to guest memory, frames of the machine", -1, 0},
	{__NR_ioctl, "bytes that wait in a host socket", 1, SIOCOUTQ},
	{__NR_shutdown, "end of the guest's stream", -1, 0},
	{__NR_close, "ended flows", -1, 0},
	{__NR_write, "log lines, notifications, a capture", -1, 0},
	{__NR_brk, "the event loop notes each kick descriptor that the front-end brings", -1, 0},
	{__NR_clock_gettime, "time, where the vDSO cannot tell it", -1, 0},
	{__NR_rt_sigreturn, "return from a signal", -1, 0},
	{__NR_restart_syscall, "go on after a stop", -1, 0},
	{__NR_geteuid, "the line that describes this jail", -1, 0},
	{__NR_exit_group, "end", -1, 0},
};

static const struct jail_rule control[] = {
	{__NR_setsockopt, "buffer size and peek offset of host sockets", 1, SOL_SOCKET},
};

static const struct jail_rule data[] = {
	SOCKET(AF_INET, SOCK_STREAM, 0, "TCP of the guest, DNS over TCP"),
	SOCKET(AF_INET6, SOCK_STREAM, 0, "TCP of the guest, DNS over TCP"),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP, "UDP of the guest"),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "UDP of the guest"),
	SOCKET(AF_INET, SOCK_DGRAM, 0, "DNS queries"),
	SOCKET(AF_INET6, SOCK_DGRAM, 0, "DNS queries"),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "pings of the guest"),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, "pings of the guest"),
	{__NR_connect, "flows of the guest, resolvers", -1, 0},
	{__NR_sendmmsg, "datagrams of the guest", -1, 0},
	{__NR_recvmmsg, "datagrams for the guest", -1, 0},
	{__NR_recvfrom, "replies to pings", -1, 0},
	{__NR_getsockopt, "errors and queues of host sockets, kind of a published port's", -1, 0},
	{__NR_ioctl, "bytes that wait in a host socket", 1, SIOCINQ},
	{__NR_ioctl, "where urgent data is", 1, SIOCATMARK},
	OPTION(SOL_SOCKET, SO_SNDBUF, "buffer size"),
	OPTION(SOL_SOCKET, SO_RCVBUF, "buffer size"),
	OPTION(SOL_SOCKET, SO_PEEK_OFF, "bytes stay in the host socket until the guest has them"),
	OPTION(SOL_SOCKET, SO_OOBINLINE, "urgent data in its place"),
	OPTION(SOL_SOCKET, SO_LINGER, "a reset by the guest is a reset for the host's peer"),
	OPTION(SOL_SOCKET, SO_KEEPALIVE, "the guest looks after its connection"),
	OPTION(IPPROTO_TCP, TCP_NODELAY, "segments leave when the guest sent them"),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE, "the guest looks after its connection"),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL, "the guest looks after its connection"),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT, "the guest looks after its connection"),
	OPTION(IPPROTO_UDP, UDP_GRO, "datagrams for the guest in batches"),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER, "the guest's own path MTU discovery"),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER, "the guest's own path MTU discovery"),
	OPTION(IPPROTO_IP, IP_RECVERR, "ICMP errors for the guest"),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR, "ICMP errors for the guest"),
	OPTION(IPPROTO_IP, IP_PKTINFO, "answers of a published port leave from the address that was asked"),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO, "answers of a published port leave from the address that was asked"),
};

static size_t append(struct jail_rule *rules, size_t n, const struct jail_rule *more, size_t n_more)
{
	for (size_t i = 0; i < n_more && n < JAIL_RULES_MAX; i++)
		rules[n++] = more[i];
	return n;
}

static size_t join(const struct jail_rule *own, size_t n_own, const struct jail_rule **ret)
{
	static struct jail_rule rules[JAIL_RULES_MAX];
	size_t n = append(rules, 0, common, ARRAY_SIZE(common));

	_Static_assert(ARRAY_SIZE(common) + ARRAY_SIZE(data) <= JAIL_RULES_MAX / 2, "room for the library's");
	n = append(rules, n, own, n_own);
	n = append(rules, n, vhost_jail_rules, vhost_n_jail_rules);
	*ret = rules;
	return jail_add_sanitizer(rules, n, JAIL_RULES_MAX);
}

size_t jail_rules_control(const struct jail_rule **ret)
{
	return join(control, ARRAY_SIZE(control), ret);
}

size_t jail_rules_data(const struct jail_rule **ret)
{
	return join(data, ARRAY_SIZE(data), ret);
}
