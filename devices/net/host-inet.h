/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-inet: the host's side of TCP flows of the data card: ordinary sockets of the user's process.
 *
 * open() asks the policy, dials without waiting, and tells the guest the host's own answer (refused: RST; unreachable,
 * prohibited: ICMP; time-out: silence). Port 53 of the gateway is joined to dns, port 3128 to the proxy process, both by a Unix
 * socket pair, so flows of this card are of two families: flow->host_kind, decided at open. Connections of published ports
 * come by tcp_connect_guest_as. Never binds, never listens.
 *
 * System calls, for the jail's list: socket (AF_INET, AF_INET6), connect, socketpair (AF_UNIX), sendmsg, recvmsg, shutdown, close,
 * getsockopt (SOL_SOCKET: SO_ERROR, SO_MEMINFO), setsockopt (SOL_SOCKET: SO_OOBINLINE, SO_PEEK_OFF, SO_LINGER, SO_KEEPALIVE,
 * SO_SNDBUF; IPPROTO_TCP: TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT), ioctl (SIOCINQ, SIOCOUTQ, SIOCATMARK).
 * Who may call it: tcp (through host_ops), main, link.
 */
#pragma once

#include "devices/net/dns.h"
#include "devices/net/host-unix.h"
#include "devices/net/host.h"
#include "devices/net/policy.h"

enum {
	/* A host peer is asked after a minute's silence once the guest asks, and given up three minutes later. */
	HOST_INET_KEEP_IDLE_S = 60,
	HOST_INET_KEEP_INTERVAL_S = 20,
	HOST_INET_KEEP_COUNT = 9,
	/* Without SO_PEEK_OFF bytes on their way to the guest are read over; more than this are not on their way at a time. */
	HOST_INET_SKIP_MAX = 16 * 1024 * 1024,
};

struct host_inet {
	struct policy *policy;
	struct dns *dns;
	struct net_addr gateway4, gateway6; /* of the card, known with the first CONFIG */
	int proxy_fd; /* seqpacket to the proxy process, -EBADF: none. A flow's far end is sent there, 1 descriptor, 1 byte */
	struct host_unix pair; /* of flows to dns and proxy */
	bool peek_offset; /* SO_PEEK_OFF works for TCP (Linux 6.9; over IPv6 6.11) */
};
extern const struct host_ops host_inet_ops; /* data: struct host_inet */
/* Looks at what the kernel can do; sets proxy_fd to -EBADF. Return: 0 or -errno. */
int host_inet_init(struct host_inet *host);
