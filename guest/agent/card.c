/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: see card.h. One request, one acknowledgement, in turn; the kernel is the peer and is trusted, its
 * message lengths are still checked. Message formats: rtnetlink(7), netlink(7).
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
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "proto/control-link.h"

enum { MAC_LEN = 6, REQUEST_MAX = 256, REPLY_MAX = 16384, TIMEOUT_S = 5 };

struct request {
	uint32_t len;
	union {
		struct nlmsghdr header;
		uint8_t bytes[REQUEST_MAX];
	};
};

struct card {
	bool has_mac;
	uint8_t mac[MAC_LEN];
	uint32_t max_mtu; /* 0: the device names none */
};

static void begin(struct request *q, uint16_t type, uint16_t flags, const void *body, size_t len)
{
	memset(q, 0, sizeof(*q));
	q->header.nlmsg_type = type;
	q->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	memcpy(q->bytes + NLMSG_HDRLEN, body, len);
	q->len = NLMSG_HDRLEN + NLMSG_ALIGN(len);
}

/* Requests are built from constants only; they fit by the assertion at their end in ask(). */
static void attr(struct request *q, uint16_t type, const void *value, size_t len)
{
	struct rtattr *a = (struct rtattr *)(q->bytes + q->len);

	if (len > REQUEST_MAX || RTA_SPACE(len) > REQUEST_MAX - q->len) {
		q->len = REQUEST_MAX + 1;
		return;
	}
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), value, len);
	q->len += RTA_SPACE(len);
}

static void read_link(const struct nlmsghdr *h, struct card *card)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	size_t left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
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

/* Sends Q and waits for its acknowledgement; a RTM_NEWLINK on the way goes into CARD (may be NULL). */
static int ask(int fd, struct request *q, struct card *card)
{
	static uint8_t reply[REPLY_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	static uint32_t seq;

	if (q->len > REQUEST_MAX)
		return trace(-EMSGSIZE);
	q->header.nlmsg_len = q->len;
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
			if (h->nlmsg_type == RTM_NEWLINK && card)
				read_link(h, card);
			if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
				return *(const int *)NLMSG_DATA(h);
		}
	}
}

static int find(int fd, int ifindex, struct card *card)
{
	static const uint8_t want[MAC_LEN] = CONTROL_GUEST_MAC;
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
	struct request q;
	int r;

	begin(&q, RTM_GETLINK, 0, &info, sizeof(info));
	r = ask(fd, &q, card);
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
	struct request q;

	begin(&q, RTM_NEWLINK, 0, &info, sizeof(info));
	attr(&q, IFLA_AF_SPEC | NLA_F_NESTED, &spec, sizeof(spec));
	(void)ask(fd, &q, NULL);
}

static int set_mtu(int fd, int ifindex, uint32_t mtu)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
	struct request q;

	begin(&q, RTM_NEWLINK, 0, &info, sizeof(info));
	attr(&q, IFLA_MTU, &mtu, sizeof(mtu));
	return ask(fd, &q, NULL);
}

static int set_up(int fd, int ifindex)
{
	struct ifinfomsg info = {
		.ifi_family = AF_UNSPEC, .ifi_index = ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct request q;

	begin(&q, RTM_NEWLINK, 0, &info, sizeof(info));
	return ask(fd, &q, NULL);
}

static int add_address(int fd, int ifindex)
{
	struct ifaddrmsg info = {
		.ifa_family = AF_INET, .ifa_prefixlen = CONTROL_PREFIX_LEN, .ifa_index = (uint32_t)ifindex};
	uint32_t address = htonl(CONTROL_GUEST_IP);
	struct request q;

	begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	attr(&q, IFA_LOCAL, &address, sizeof(address));
	attr(&q, IFA_ADDRESS, &address, sizeof(address));
	return ask(fd, &q, NULL);
}

static int add_neighbour(int fd, int ifindex)
{
	static const uint8_t mac[MAC_LEN] = CONTROL_HOST_MAC;
	struct ndmsg info = {.ndm_family = AF_INET, .ndm_ifindex = ifindex, .ndm_state = NUD_PERMANENT};
	uint32_t address = htonl(CONTROL_HOST_IP);
	struct request q;

	begin(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	attr(&q, NDA_DST, &address, sizeof(address));
	attr(&q, NDA_LLADDR, mac, sizeof(mac));
	return ask(fd, &q, NULL);
}

int card_setup(int ifindex)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	struct card card = {0};
	uint32_t mtu = CONTROL_MTU;
	int r;

	if (fd < 0)
		return trace(error_errno());
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return trace(error_errno());
	r = find(fd, ifindex, &card);
	if (r < 0)
		return trace(r);
	if (card.max_mtu && card.max_mtu < mtu)
		mtu = card.max_mtu;
	r = set_mtu(fd, ifindex, mtu);
	if (r < 0)
		return trace(r);
	no_ipv6(fd, ifindex);
	r = set_up(fd, ifindex);
	if (r < 0)
		return trace(r);
	r = add_address(fd, ifindex);
	if (r < 0)
		return trace(r);
	r = add_neighbour(fd, ifindex);
	return r < 0 ? trace(r) : 0;
}
