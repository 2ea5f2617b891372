/* SPDX-License-Identifier: Apache-2.0 */
/* rtnl: see rtnl.h. */
#include "guest/rtnl.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"

enum { REPLY_MAX = 16384, TIMEOUT_S = 5 };

void rtnl_begin(struct rtnl_request *q, uint16_t type, uint16_t flags, const void *body, size_t len)
{
	memset(q, 0, sizeof(*q));
	q->header.nlmsg_type = type;
	q->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	memcpy(q->bytes + NLMSG_HDRLEN, body, len);
	q->len = NLMSG_HDRLEN + NLMSG_ALIGN(len);
}

void rtnl_attr(struct rtnl_request *q, uint16_t type, const void *value, size_t len)
{
	struct rtattr *a = (struct rtattr *)(q->bytes + q->len);

	if (q->len > RTNL_REQUEST_MAX || RTA_SPACE(len) > RTNL_REQUEST_MAX - q->len) {
		q->len = RTNL_REQUEST_MAX + 1;
		return;
	}
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), value, len);
	q->len += RTA_SPACE(len);
}

int rtnl_ask(int fd, struct rtnl_request *q, rtnl_fn fn, void *data)
{
	static uint8_t reply[REPLY_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	static uint32_t seq;

	if (q->len > RTNL_REQUEST_MAX)
		return trace(-EMSGSIZE);
	q->header.nlmsg_len = (uint32_t)q->len;
	q->header.nlmsg_seq = ++seq;
	if (send(fd, q->bytes, q->len, 0) < 0)
		return trace(error_errno());
	for (;;) {
		ssize_t n = recv(fd, reply, sizeof(reply), 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return trace(n < 0 ? error_errno() : -EIO);
		for (const struct nlmsghdr *h = (void *)reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
				return *(const int *)NLMSG_DATA(h);
			if (fn)
				fn(data, h);
		}
	}
}

int rtnl_open(void)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct timeval timeout = {.tv_sec = TIMEOUT_S};

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return trace(error_errno());
	return take_fd(fd);
}

int rtnl_open_watch(uint32_t groups)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return trace(error_errno());
	return take_fd(fd);
}

static int change_link(int fd, int index, uint32_t flags, uint16_t type, const void *value, size_t len)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = flags, .ifi_change = flags};
	struct rtnl_request q;

	rtnl_begin(&q, RTM_NEWLINK, 0, &info, sizeof(info));
	if (len)
		rtnl_attr(&q, type, value, len);
	return trace(rtnl_ask(fd, &q, NULL, NULL));
}

int rtnl_rename(int fd, int index, const char *name)
{
	return change_link(fd, index, 0, IFLA_IFNAME, name, strlen(name) + 1);
}

int rtnl_set_mtu(int fd, int index, uint32_t mtu)
{
	return change_link(fd, index, 0, IFLA_MTU, &mtu, sizeof(mtu));
}

int rtnl_set_up(int fd, int index)
{
	return change_link(fd, index, IFF_UP, 0, NULL, 0);
}

int rtnl_add_address4(int fd, int index, uint32_t address, uint8_t prefix_len)
{
	struct ifaddrmsg info = {.ifa_family = AF_INET, .ifa_prefixlen = prefix_len, .ifa_index = (uint32_t)index};
	uint32_t broadcast = htonl(address | ~(~UINT32_C(0) << (32 - prefix_len)));
	struct rtnl_request q;

	address = htonl(address);
	rtnl_begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	rtnl_attr(&q, IFA_LOCAL, &address, sizeof(address));
	rtnl_attr(&q, IFA_ADDRESS, &address, sizeof(address));
	rtnl_attr(&q, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	return trace(rtnl_ask(fd, &q, NULL, NULL));
}

int rtnl_set_default4(int fd, int index, uint32_t gateway)
{
	struct rtmsg info = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_DHCP,
			     .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
	uint32_t oif = (uint32_t)index;
	struct rtnl_request q;

	gateway = htonl(gateway);
	rtnl_begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	rtnl_attr(&q, RTA_GATEWAY, &gateway, sizeof(gateway));
	rtnl_attr(&q, RTA_OIF, &oif, sizeof(oif));
	return trace(rtnl_ask(fd, &q, NULL, NULL));
}
