/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: see card.h. One request, one acknowledgement, in turn (guest/rtnl).
 */
#include "guest/agent/card.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "guest/rtnl.h"
#include "proto/control-link.h"

enum { MAC_LEN = 6 };

struct card {
	bool has_mac;
	uint8_t mac[MAC_LEN];
	uint32_t max_mtu; /* 0: the device names none */
};

static void read_link(void *data, const struct nlmsghdr *h)
{
	struct card *card = data;
	const struct ifinfomsg *info = NLMSG_DATA(h);
	size_t left;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return;
	left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == MAC_LEN) {
			memcpy(card->mac, RTA_DATA(a), MAC_LEN);
			card->has_mac = true;
		} else if (a->rta_type == IFLA_MAX_MTU && RTA_PAYLOAD(a) == sizeof(card->max_mtu)) {
			memcpy(&card->max_mtu, RTA_DATA(a), sizeof(card->max_mtu));
		}
	}
}

static int find(int fd, int ifindex, struct card *card)
{
	static const uint8_t want[MAC_LEN] = CONTROL_GUEST_MAC;
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
	struct rtnl_request q;
	int r;

	rtnl_begin(&q, RTM_GETLINK, 0, &info, sizeof(info));
	r = rtnl_ask(fd, &q, read_link, card);
	if (r < 0)
		return trace(r);
	if (!card->has_mac || memcmp(card->mac, want, MAC_LEN) != 0)
		return trace(-ENODEV);
	return 0;
}

/* No IPv6 address of its own on this card: nothing but TCP over IPv4 is spoken here. Best effort, since a
 * kernel without IPv6 refuses it and needs it not. */
static void no_ipv6(int fd, int ifindex)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
	uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct {
		struct rtattr inet6, mode;
		uint8_t value, pad[3];
	} spec = {
		.inet6 = {.rta_len = sizeof(spec), .rta_type = AF_INET6},
		.mode = {.rta_len = RTA_LENGTH(sizeof(mode)), .rta_type = IFLA_INET6_ADDR_GEN_MODE},
		.value = mode,
	};
	struct rtnl_request q;

	rtnl_begin(&q, RTM_NEWLINK, 0, &info, sizeof(info));
	rtnl_attr(&q, IFLA_AF_SPEC | NLA_F_NESTED, &spec, sizeof(spec));
	(void)rtnl_ask(fd, &q, NULL, NULL);
}

static int add_address(int fd, int ifindex)
{
	struct ifaddrmsg info = {
		.ifa_family = AF_INET, .ifa_prefixlen = CONTROL_PREFIX_LEN, .ifa_index = (uint32_t)ifindex};
	uint32_t address = htonl(CONTROL_GUEST_IP);
	struct rtnl_request q;

	rtnl_begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	rtnl_attr(&q, IFA_LOCAL, &address, sizeof(address));
	rtnl_attr(&q, IFA_ADDRESS, &address, sizeof(address));
	return rtnl_ask(fd, &q, NULL, NULL);
}

static int add_neighbour(int fd, int ifindex)
{
	static const uint8_t mac[MAC_LEN] = CONTROL_HOST_MAC;
	struct ndmsg info = {.ndm_family = AF_INET, .ndm_ifindex = ifindex, .ndm_state = NUD_PERMANENT};
	uint32_t address = htonl(CONTROL_HOST_IP);
	struct rtnl_request q;

	rtnl_begin(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	rtnl_attr(&q, NDA_DST, &address, sizeof(address));
	rtnl_attr(&q, NDA_LLADDR, mac, sizeof(mac));
	return rtnl_ask(fd, &q, NULL, NULL);
}

int card_setup(int ifindex)
{
	_cleanup_close_ int fd = rtnl_open();
	struct card card = {0};
	uint32_t mtu = CONTROL_MTU;
	int r;

	if (fd < 0)
		return trace(fd);
	r = find(fd, ifindex, &card);
	if (r < 0)
		return trace(r);
	if (card.max_mtu && card.max_mtu < mtu)
		mtu = card.max_mtu;
	r = rtnl_set_mtu(fd, ifindex, mtu);
	if (r < 0)
		return trace(r);
	no_ipv6(fd, ifindex);
	r = rtnl_set_up(fd, ifindex);
	if (r < 0)
		return trace(r);
	r = add_address(fd, ifindex);
	if (r < 0)
		return trace(r);
	r = add_neighbour(fd, ifindex);
	return r < 0 ? trace(r) : 0;
}
