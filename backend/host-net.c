/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-net: two netlink sockets: one lives and only says "something changed" (its content is dropped), the other is opened for
 * each reading and asked for two dumps, which the kernel answers at once.
 */
#include "backend/host-net.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

enum { GATHER_US = 300000, RETRY_US = 2000000, DUMP_MAX = 65536, DROP_MAX = 256 };

struct host_net {
	struct host_net_hooks hooks;
	int fd;
	bool due; /* a reading is: a storm of changes costs one per GATHER_US */
	struct loop_source *source, *timer;
	struct host_net_state state;
};

static void add_addr(struct host_net_state *s, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	int len = (int)IFA_PAYLOAD(h);
	const uint8_t *found = NULL;
	size_t size = m->ifa_family == AF_INET ? 4 : 16;
	struct net_addr addr;

	if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
		return;
	/* With a peer, IFA_ADDRESS is the peer's and IFA_LOCAL ours. */
	for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type == IFA_LOCAL || (a->rta_type == IFA_ADDRESS && !found)) && RTA_PAYLOAD(a) == size)
			found = RTA_DATA(a);
	if (!found)
		return;
	if (size == 4)
		addr = net_addr4(be32_load(found));
	else
		memcpy(addr.byte, found, 16);
	if (size == 4 ? found[0] == 127 : (m->ifa_scope == RT_SCOPE_HOST || m->ifa_scope == RT_SCOPE_LINK))
		return;
	if (s->n_addrs == RULES_HOST_ADDRS_MAX)
		s->cut = true;
	else
		s->addrs[s->n_addrs++] = addr;
}

static void add_route(struct host_net_state *s, const struct nlmsghdr *h)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	int len = (int)RTM_PAYLOAD(h);

	if (m->rtm_family != AF_INET || m->rtm_dst_len < SUBNET_ROUTE_MIN || m->rtm_dst_len > 32 ||
	    (m->rtm_type != RTN_UNICAST && m->rtm_type != RTN_LOCAL))
		return;
	for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		struct subnet_route route;

		if (a->rta_type != RTA_DST || RTA_PAYLOAD(a) != 4)
			continue;
		route = (struct subnet_route){be32_load(RTA_DATA(a)), m->rtm_dst_len};
		if (route.addr >> 24 == 127)
			return;
		if (s->n_routes == HOST_ROUTES_MAX)
			s->cut = true;
		else
			s->routes[s->n_routes++] = route;
	}
}

/* Asks FD for a dump of TYPE. Return: 0 or -errno. */
static int dump(int fd, uint16_t type, struct host_net_state *s)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} request = {.h = {.nlmsg_len = sizeof(request), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	_cleanup_free_ char *buf = malloc(DUMP_MAX);

	if (!buf)
		return trace(-ENOMEM);
	if (send(fd, &request, sizeof(request), 0) < 0)
		return trace(error_errno());
	for (;;) {
		ssize_t n = recv(fd, buf, DUMP_MAX, 0);
		unsigned int len = (unsigned int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return trace(n < 0 ? error_errno() : -EPIPE);
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return trace(-EIO);
			if (h->nlmsg_type == RTM_NEWADDR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifaddrmsg)))
				add_addr(s, h);
			if (h->nlmsg_type == RTM_NEWROUTE && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg)))
				add_route(s, h);
		}
	}
}

int host_net_read(struct host_net_state *ret)
{
	const struct timeval limit = {.tv_sec = 1};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r;

	*ret = (struct host_net_state){0};
	if (fd < 0)
		return trace(error_errno());
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	r = dump(fd, RTM_GETADDR, ret);
	return r < 0 ? r : dump(fd, RTM_GETROUTE, ret);
}

static int on_timer(void *data)
{
	struct host_net *net = data;
	_cleanup_free_ struct host_net_state *now = calloc(1, sizeof(*now));

	net->due = false;
	if (!now || host_net_read(now) < 0) {
		log_limited(LOG_WARNING, "the host's addresses and routes cannot be read");
		/* What changed is not known yet. */
		net->due = true;
		return loop_timer_set(net->timer, RETRY_US);
	}
	if (!memcmp(now, &net->state, sizeof(*now)))
		return 0;
	if (now->cut && !net->state.cut)
		log_warning("the host has more than %d addresses or %d routes: the rest is not looked at", RULES_HOST_ADDRS_MAX,
			    HOST_ROUTES_MAX);
	net->state = *now;
	net->hooks.changed(net->hooks.data, &net->state);
	return 0;
}

static int on_readable(void *data, int fd, uint32_t events)
{
	struct host_net *net = data;
	char drop[4096];

	for (int i = 0; i < DROP_MAX; i++) {
		ssize_t n = recv(fd, drop, sizeof(drop), MSG_DONTWAIT | MSG_TRUNC);

		/* ENOBUFS: some were lost; all is read anew anyway. */
		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			break;
	}
	if (net->due)
		return 0;
	net->due = true;
	return loop_timer_set(net->timer, GATHER_US);
}

int host_net_new(struct loop *loop, const struct host_net_hooks *hooks, struct host_net **ret)
{
	const struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
					   .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE};
	struct host_net *net = calloc(1, sizeof(*net));
	int r = 0;

	if (!net)
		return trace(-ENOMEM);
	*net = (struct host_net){.hooks = *hooks, .fd = -EBADF};
	net->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (net->fd < 0 || bind(net->fd, (const struct sockaddr *)&groups, sizeof(groups)) < 0)
		r = error_errno();
	/* Listening first, then reading: no change falls between. */
	if (r >= 0)
		r = host_net_read(&net->state);
	if (r >= 0)
		r = loop_add_timer(loop, on_timer, net, &net->timer);
	if (r >= 0)
		r = loop_add_fd(loop, net->fd, EPOLLIN, on_readable, net, &net->source);
	if (r < 0) {
		host_net_free(net);
		return trace(r);
	}
	*ret = net;
	return 0;
}

const struct host_net_state *host_net_state(const struct host_net *net)
{
	return &net->state;
}

struct host_net *host_net_free(struct host_net *net)
{
	if (!net)
		return NULL;
	loop_source_free(net->source);
	loop_source_free(net->timer);
	fd_close(net->fd);
	free(net);
	return NULL;
}
