/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nets: see nets.h. Called by main.c only. Message formats: rtnetlink(7), netlink(7). Names of interfaces are
 * compared with one constant and go nowhere.
 */
#include "guest/agent/nets.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "guest/init-link.h"
#include "proto/data-card.h"

enum { REPLY_MAX = 32768, READ_BATCH = 64, INDEX_LOOPBACK = 1 };

struct nets {
	struct loop *loop;
	struct loop_source *source, *gather;
	struct port *port;
	int fd;
	bool asking;
	uint32_t seq;
	uint32_t told; /* entries of LIST that the machine has, while DUE */
	bool due, known; /* not all of LIST is told; LIST is what the kernel said, once */
	struct nets_list list, building;
};

static void mask(struct net_addr *addr, unsigned int prefix_len)
{
	for (unsigned int i = prefix_len; i < 8 * sizeof(addr->byte); i++)
		addr->byte[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static bool has_prefix(const struct net_addr *addr, const struct net_addr *prefix, unsigned int prefix_len)
{
	struct net_addr copy = *addr;

	mask(&copy, prefix_len);
	return net_addr_equal(&copy, prefix);
}

static void add(struct nets_list *list, const struct net_addr *addr, unsigned int prefix_len)
{
	static const struct net_addr card6 = {DATA_PREFIX6};
	struct net_addr net = *addr;

	mask(&net, prefix_len);
	if (has_prefix(addr, &card6, DATA_PREFIX6_LEN))
		return;
	for (uint32_t i = 0; i < list->n; i++)
		if (list->net[i].prefix_len == prefix_len && net_addr_equal(&list->net[i].addr, &net))
			return;
	if (list->n == AGENT_NETS_MAX)
		return;
	list->net[list->n].addr = net;
	list->net[list->n++].prefix_len = (uint8_t)prefix_len;
}

static void parse_one(struct nets_list *list, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *info = NLMSG_DATA(h);
	const void *local = NULL, *address = NULL;
	struct net_addr addr = {{0}};
	bool v4, card = false;
	size_t left, size;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return;
	v4 = info->ifa_family == AF_INET;
	size = v4 ? 4 : 16;
	if ((!v4 && info->ifa_family != AF_INET6) || info->ifa_prefixlen > 8 * size || info->ifa_index == INDEX_LOOPBACK ||
	    info->ifa_scope >= RT_SCOPE_LINK)
		return;
	left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
	for (const struct rtattr *a = IFA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFA_LOCAL && RTA_PAYLOAD(a) == size)
			local = RTA_DATA(a);
		else if (a->rta_type == IFA_ADDRESS && RTA_PAYLOAD(a) == size)
			address = RTA_DATA(a);
		else if (a->rta_type == IFA_LABEL && RTA_PAYLOAD(a) == sizeof(INIT_LINK_DATA_CARD) &&
			 !memcmp(RTA_DATA(a), INIT_LINK_DATA_CARD, sizeof(INIT_LINK_DATA_CARD)))
			card = true;
	}
	if (!local)
		local = address;
	if (!local || card)
		return;
	memcpy(addr.byte + 16 - size, local, size);
	if (v4)
		addr.byte[10] = addr.byte[11] = 0xff;
	add(list, &addr, info->ifa_prefixlen + (v4 ? 96u : 0u));
}

int nets_parse(struct nets_list *list, const void *data, size_t len, bool *done)
{
	size_t left = len;

	for (const struct nlmsghdr *h = data; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE) {
			*done = true;
		} else if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(int))) {
			return *(const int *)NLMSG_DATA(h);
		} else if (h->nlmsg_type == RTM_NEWADDR) {
			parse_one(list, h);
		}
	}
	return 0;
}

static int ask(struct nets *nets)
{
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg info;
	} q = {
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(q.info)), .nlmsg_type = RTM_GETADDR,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = ++nets->seq},
		.info = {.ifa_family = AF_UNSPEC},
	};

	nets->building.n = 0;
	nets->asking = true;
	if (send(nets->fd, &q, q.header.nlmsg_len, MSG_DONTWAIT) < 0) {
		nets->asking = false;
		return loop_timer_set(nets->gather, NETS_GATHER_US);
	}
	return 0;
}

static bool same(const struct nets_list *a, const struct nets_list *b)
{
	return a->n == b->n && !memcmp(a->net, b->net, a->n * sizeof(a->net[0]));
}

static int finish(struct nets *nets)
{
	nets->asking = false;
	if (nets->known && same(&nets->list, &nets->building))
		return 0;
	nets->known = true;
	/* A list that is under way is begun again: the machine takes entry 0 for a new start. */
	nets->list = nets->building;
	nets->told = 0;
	nets->due = true;
	return nets_flush(nets);
}

int nets_flush(struct nets *nets)
{
	while (nets->due) {
		struct agent_message m = {.type = AGENT_NET, .net = {.index = nets->told, .n = nets->list.n}};
		int r;

		if (nets->list.n) {
			m.net.addr = nets->list.net[nets->told].addr;
			m.net.prefix_len = nets->list.net[nets->told].prefix_len;
		}
		r = port_send(nets->port, &m);
		if (r)
			return r == -EAGAIN ? 0 : r;
		if (++nets->told >= nets->list.n)
			nets->due = false;
	}
	return 0;
}

static int on_gather(void *data)
{
	struct nets *nets = data;

	return nets->asking ? loop_timer_set(nets->gather, NETS_GATHER_US) : ask(nets);
}

/* A message of the dump goes into the list, anything else only says that something changed. */
static int take(struct nets *nets, const uint8_t *data, size_t len)
{
	const struct nlmsghdr *h = (const void *)data;
	bool done = false;

	if (!NLMSG_OK(h, len) || !nets->asking || h->nlmsg_seq != nets->seq)
		return loop_timer_set(nets->gather, NETS_GATHER_US);
	if (nets_parse(&nets->building, data, len, &done) < 0 || h->nlmsg_flags & NLM_F_DUMP_INTR) {
		nets->asking = false;
		return loop_timer_set(nets->gather, NETS_GATHER_US);
	}
	return done ? finish(nets) : 0;
}

static int on_route(void *data, int fd, uint32_t events _unused_)
{
	static uint8_t buf[REPLY_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nets *nets = data;

	for (int i = 0; i < READ_BATCH; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		int r;

		if (n < 0 && errno == ENOBUFS) { /* changes were lost: ask for the whole */
			nets->asking = false;
			return loop_timer_set(nets->gather, NETS_GATHER_US);
		}
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : trace(n < 0 ? error_errno() : -EIO);
		r = take(nets, buf, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

int nets_new(struct loop *loop, int route_fd, struct port *port, struct nets **ret)
{
	_cleanup_(nets_freep) struct nets *nets = calloc(1, sizeof(*nets));
	int r;

	if (!nets)
		return trace(-ENOMEM);
	nets->loop = loop;
	nets->fd = route_fd;
	nets->port = port;
	r = loop_add_timer(loop, on_gather, nets, &nets->gather);
	if (!r)
		r = loop_add_fd(loop, route_fd, EPOLLIN, on_route, nets, &nets->source);
	if (!r)
		r = loop_timer_set(nets->gather, 0);
	if (r < 0)
		return trace(r);
	*ret = take_ptr(nets);
	return 0;
}

struct nets *nets_free(struct nets *nets)
{
	if (!nets)
		return NULL;
	loop_source_free(nets->source);
	loop_source_free(nets->gather);
	free(nets);
	return NULL;
}
