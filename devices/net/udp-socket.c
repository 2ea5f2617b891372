/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-socket: the sockets of UDP flows, and their errors. Part of udp.
 *
 * A flow that the guest opens has a connected socket: the kernel picks the port and drops what others send to it. Errors are
 * taken from the socket's error queue (IP_RECVERR), which alone tells of unreachable hosts and of the path's MTU, and
 * become ICMP for the guest. Never binds: a port of the host is the backend's to give.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "devices/net/udp-private.h"
#include "devices/net/watch.h"

enum { ERRORS_PER_EVENT = 16, MTU_MIN4 = 68, MTU_MIN6 = 1280 };

socklen_t udp_sockaddr(struct sockaddr_in6 *ret, bool v6, const struct net_addr *addr, uint16_t port, uint32_t scope)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	memset(ret, 0, sizeof(*ret));
	if (v6) {
		ret->sin6_family = AF_INET6;
		ret->sin6_port = htons(port);
		ret->sin6_scope_id = scope;
		memcpy(&ret->sin6_addr, addr->byte, sizeof(addr->byte));
		return sizeof(*ret);
	}
	memcpy(&in.sin_addr, addr->byte + 12, 4);
	memcpy(ret, &in, sizeof(in));
	return sizeof(in);
}

/* Options are wishes: a flow without one of them still works. */
static void option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		trace(error_errno());
}

void udp_socket_prepare(const struct udp *udp, struct udp_source *source)
{
	option(source->fd, SOL_SOCKET, SO_RCVBUF, UDP_SOCKET_BUFFER);
	option(source->fd, SOL_SOCKET, SO_SNDBUF, UDP_SOCKET_BUFFER);
	if (udp->caps.uso)
		udp_socket_groups(udp, source);
}

void udp_socket_groups(const struct udp *udp, struct udp_source *source)
{
	int on = udp->caps.uso;

	source->gro = !setsockopt(source->fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) && on;
}

void udp_socket_dont_fragment(struct udp_flow *flow, bool on)
{
	if (flow->source.v6)
		option(flow->source.fd, SOL_IPV6, IPV6_MTU_DISCOVER, on ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_WANT);
	else
		option(flow->source.fd, SOL_IP, IP_MTU_DISCOVER, on ? IP_PMTUDISC_DO : IP_PMTUDISC_WANT);
	flow->flags = (uint8_t)(on ? flow->flags | UDP_DONT_FRAGMENT : flow->flags & ~UDP_DONT_FRAGMENT);
}

static int open_socket(struct udp *udp, int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);

	/* Fewer descriptors than flows: as if the table were full. */
	if (fd < 0 && errno == EMFILE && udp_flow_evict(udp, true))
		fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	return fd < 0 ? error_errno() : fd;
}

int udp_socket_open(struct udp *udp, struct udp_flow *flow, const struct net_addr *dial)
{
	bool v6 = !net_addr_is_v4(dial);
	_cleanup_close_ int fd = -EBADF;
	struct sockaddr_in6 name;
	socklen_t len = udp_sockaddr(&name, v6, dial, flow->key.host_port, 0);
	int r;

	/* The new flow must not be the one that makes room for its own socket. */
	udp_flow_touch(udp, flow, UDP_LIST_LONG);
	fd = open_socket(udp, v6 ? AF_INET6 : AF_INET);
	udp_flow_touch(udp, flow, UDP_LIST_BRIEF);
	if (fd < 0)
		return trace(fd);
	if (connect(fd, (const struct sockaddr *)&name, len) < 0)
		return trace(error_errno());
	flow->source.fd = take_fd(fd);
	flow->source.v6 = v6;
	udp_socket_prepare(udp, &flow->source);
	option(flow->source.fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1);
	r = watch_add(udp->config.watch_fd, flow->source.fd, udp_handle(udp, udp_flow_number(udp, flow)), false);
	return r < 0 ? trace(r) : 0;
}

/* What the socket knows of its path. */
static uint16_t path_mtu(const struct udp_flow *flow)
{
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	if (flow->source.fd < 0 || getsockopt(flow->source.fd, flow->source.v6 ? SOL_IPV6 : SOL_IP,
					      flow->source.v6 ? IPV6_MTU : IP_MTU, &mtu, &len) < 0)
		return 0;
	return mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
}

void udp_tell_error(struct udp *udp, const struct udp_flow *flow, int error, uint16_t mtu)
{
	struct icmp_subject subject = {.key = flow->key, .ip_proto = NET_IP_UDP, .mtu = mtu};
	bool v4 = net_addr_is_v4(&flow->key.guest);

	switch (error) {
	case EMSGSIZE:
		if (!mtu)
			subject.mtu = path_mtu(flow);
		if (subject.mtu < (v4 ? MTU_MIN4 : MTU_MIN6))
			subject.mtu = v4 ? MTU_MIN4 : MTU_MIN6;
		break;
	case ECONNREFUSED:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EACCES:
	case EPERM:
		break;
	case ENETDOWN:
	case EADDRNOTAVAIL: /* no source address: no such family here */
		error = ENETUNREACH;
		break;
	default:
		return; /* nothing that a packet could have met */
	}
	if (udp->up)
		icmp_error_send(udp->config.icmp, error, &subject, udp->now_us);
}

/* The next error of FD. Return: false when there is none. */
static bool next_error(int fd, struct sock_extended_err *ret)
{
	_Alignas(struct cmsghdr) uint8_t control[512];
	struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof(control)};

	if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	*ret = (struct sock_extended_err){0};
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
		     (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) &&
		    c->cmsg_len >= CMSG_LEN(sizeof(*ret)))
			memcpy(ret, CMSG_DATA(c), sizeof(*ret));
	return true;
}

unsigned int udp_socket_errors(struct udp *udp, struct udp_flow *flow)
{
	struct sock_extended_err error;
	unsigned int n = 0;

	while (n < ERRORS_PER_EVENT && next_error(flow->source.fd, &error)) {
		n++;
		udp_tell_error(udp, flow, (int)error.ee_errno, error.ee_info > UINT16_MAX ? UINT16_MAX : (uint16_t)error.ee_info);
	}
	return n;
}
