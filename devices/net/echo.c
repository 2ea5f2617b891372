/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo: see the header.
 *
 * A flow is one identifier of the guest towards one destination; its ping socket is connected, and the kernel gives it an
 * identifier of its own, which no frame ever shows. Flows lie in a list by the time of their last request: the head is the
 * next to end. Errors are taken from the socket's error queue, where they name the request, and become ICMP of the gateway.
 */
#include "devices/net/echo.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/table.h"
#include "devices/net/echo-send.h"
#include "devices/net/watch.h"
#include "devices/vhost/guest-memory.h"
#include "proto/netctl.h"

enum {
	HASH_SIZE = 2048,
	REQUEST4 = 8,
	REPLY4 = 0,
	REQUEST6 = 128,
	REPLY6 = 129,
	CONTROL_SIZE = 512,
	REPLY_MAX = UINT16_MAX,
};

struct echo_flow {
	struct flow_key key; /* ports: 0, and the guest's identifier */
	int fd;
	uint16_t hash_next, older, newer; /* index + 1, 0: none */
	uint16_t last_seq;
	uint64_t last_us, rx_bytes, tx_bytes;
};

struct echo {
	struct echo_config config;
	uint16_t mtu;
	uint16_t oldest, newest; /* index + 1 */
	uint64_t total, now_us;
	struct table table;
	struct table_slot slots[ECHO_FLOWS_MAX];
	struct echo_flow flow[ECHO_FLOWS_MAX];
	uint16_t bucket[HASH_SIZE]; /* index + 1 */
};

static struct echo the_echo; /* zero until used */

struct echo *echo_init(const struct echo_config *config)
{
	for (uint32_t i = 0; i < ECHO_FLOWS_MAX; i++)
		if (table_handle(&the_echo.table, i))
			fd_close(the_echo.flow[i].fd);
	if (the_echo.table.slots)
		memset(&the_echo, 0, sizeof(the_echo)); /* used before, by a test */
	the_echo.config = *config;
	table_init(&the_echo.table, the_echo.slots, ECHO_FLOWS_MAX);
	return &the_echo;
}

void echo_set_mtu(struct echo *echo, uint16_t mtu)
{
	echo->mtu = mtu;
}

/* The handle that the watch keeps. */
static uint64_t tagged(uint64_t handle)
{
	return ECHO_HANDLE | (handle & (ECHO_HANDLE - 1));
}

static uint16_t *bucket_of(struct echo *echo, const struct flow_key *key)
{
	return &echo->bucket[flow_hash(echo->config.hash_key, key) % HASH_SIZE];
}

static struct echo_flow *find(struct echo *echo, const struct flow_key *key)
{
	uint16_t at = *bucket_of(echo, key);

	while (at && memcmp(&echo->flow[at - 1].key, key, sizeof(*key)))
		at = echo->flow[at - 1].hash_next;
	return at ? &echo->flow[at - 1] : NULL;
}

static uint16_t number(const struct echo *echo, const struct echo_flow *flow)
{
	return (uint16_t)(flow - echo->flow + 1);
}

static void list_remove(struct echo *echo, struct echo_flow *flow)
{
	*(flow->older ? &echo->flow[flow->older - 1].newer : &echo->oldest) = flow->newer;
	*(flow->newer ? &echo->flow[flow->newer - 1].older : &echo->newest) = flow->older;
}

static void list_append(struct echo *echo, struct echo_flow *flow)
{
	flow->last_us = echo->now_us;
	flow->newer = 0;
	flow->older = echo->newest;
	*(echo->newest ? &echo->flow[echo->newest - 1].newer : &echo->oldest) = number(echo, flow);
	echo->newest = number(echo, flow);
}

static void end(struct echo *echo, struct echo_flow *flow)
{
	uint16_t *at = bucket_of(echo, &flow->key);

	while (*at != number(echo, flow))
		at = &echo->flow[*at - 1].hash_next;
	*at = flow->hash_next;
	list_remove(echo, flow);
	flow->fd = fd_close(flow->fd);
	table_put(&echo->table, table_handle(&echo->table, (uint32_t)(flow - echo->flow)));
}

static void tell(struct echo *echo, const struct flow_key *key, uint16_t seq, int error, uint16_t mtu)
{
	struct icmp_subject subject = {.key = *key, .ip_proto = net_addr_is_v4(&key->guest) ? NET_IP_ICMP : NET_IP_ICMP6,
				       .tcp_seq = (uint32_t)key->guest_port << 16 | seq, .mtu = mtu};

	(void)icmp_error_send(echo->config.icmp, error, &subject, echo->now_us);
}

static int connect_to(int fd, const struct net_addr *addr)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	int r;

	memcpy(&in.sin_addr, addr->byte + 12, sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, addr->byte, sizeof(in6.sin6_addr));
	r = net_addr_is_v4(addr) ? connect(fd, (struct sockaddr *)&in, sizeof(in))
				 : connect(fd, (struct sockaddr *)&in6, sizeof(in6));
	return r < 0 ? error_errno() : 0;
}

/* Return: a connected ping socket or -errno. */
static int open_socket(struct echo *echo, const struct net_addr *dial)
{
	bool v4 = net_addr_is_v4(dial);
	_cleanup_close_ int fd = -EBADF;
	int on = 1, r;

	for (int i = 0; i < 2 && fd < 0; i++) {
		fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
		if (fd < 0 && (errno != EMFILE || !echo->oldest))
			break;
		if (fd < 0)
			end(echo, &echo->flow[echo->oldest - 1]);
	}
	if (fd < 0) {
		r = error_errno();
		if (r == -EACCES || r == -EPERM)
			log_limited(LOG_WARNING, "the host forbids its users to ping: see net.ipv4.ping_group_range");
		return r;
	}
	/* A wish: without it unreachable hosts are silent. */
	(void)setsockopt(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
	r = connect_to(fd, dial);
	return r < 0 ? r : take_fd(fd);
}

static struct echo_flow *add(struct echo *echo, const struct flow_key *key, int fd)
{
	struct echo_flow *flow;
	uint16_t *bucket = bucket_of(echo, key);
	uint64_t handle;
	uint32_t i = 0;

	if (!table_take(&echo->table, &handle)) {
		end(echo, &echo->flow[echo->oldest - 1]);
		(void)table_take(&echo->table, &handle);
	}
	(void)table_find(&echo->table, handle, &i);
	flow = &echo->flow[i];
	*flow = (struct echo_flow){.key = *key, .fd = fd, .hash_next = *bucket};
	*bucket = number(echo, flow);
	list_append(echo, flow);
	echo->total++;
	if (watch_add(echo->config.watch_fd, fd, tagged(handle), false) >= 0)
		return flow;
	end(echo, flow);
	return NULL;
}

/* Return: a new flow, or NULL: the guest was told why. */
static struct echo_flow *open_flow(struct echo *echo, const struct flow_key *key, uint16_t seq)
{
	struct rules_verdict verdict;
	struct echo_flow *flow = NULL;
	int fd = -EACCES;

	policy_decide(echo->config.policy, RULES_ECHO, &key->host, 0, &verdict);
	if (verdict.allow)
		fd = open_socket(echo, &verdict.dial);
	if (fd >= 0)
		flow = add(echo, key, fd);
	else
		tell(echo, key, seq, -fd, 0);
	return flow;
}

/* Return: bytes sent or -errno. */
static ssize_t send_request(struct echo_flow *flow, const struct card_frame *frame)
{
	const struct net_frame *f = frame->frame;
	struct iovec iov[1 + WIRE_SEGMENTS_MAX];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1};
	uint8_t head[NET_ECHO_LEN] = {f->v6 ? REQUEST6 : REQUEST4}; /* checksum and identifier are the kernel's */
	ssize_t n;
	int r;

	be16_store(head + 6, f->echo.seq);
	iov[0] = (struct iovec){head, sizeof(head)};
	if (f->payload_len) {
		r = guest_iov_slice(iov + 1, WIRE_SEGMENTS_MAX, frame->iov, frame->n_iov, NET_VNET_LEN + (size_t)f->payload_off,
				    f->payload_len);
		if (r < 0)
			return r;
		msg.msg_iovlen += (size_t)r;
	}
	do
		n = sendmsg(flow->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_errno() : n;
}

void echo_request(struct echo *echo, const struct card_frame *frame, uint64_t now_us)
{
	const struct net_frame *f = frame->frame;
	struct flow_key key = {.host = f->dst, .guest = f->src, .guest_port = f->echo.id};
	struct echo_flow *flow = find(echo, &key);
	struct rules_verdict verdict;
	ssize_t n;

	echo->now_us = now_us;
	/* Rules may have changed since the flow was made. */
	if (flow) {
		rules_decide(&echo->config.policy->rules, RULES_ECHO, &key.host, 0, &verdict);
		if (!verdict.allow) {
			end(echo, flow);
			flow = NULL;
		}
	}
	if (!flow)
		flow = open_flow(echo, &key, f->echo.seq);
	if (!flow)
		return;
	list_remove(echo, flow);
	list_append(echo, flow);
	flow->last_seq = f->echo.seq;
	n = send_request(flow, frame);
	if (n > 0)
		flow->tx_bytes += f->payload_len;
	else if (n < 0 && n != -EAGAIN && n != -ENOBUFS)
		tell(echo, &key, f->echo.seq, (int)-n, echo->mtu);
}

/* One reply. Return: as recvmsg, -errno. */
static ssize_t take_reply(struct echo *echo, struct echo_flow *flow)
{
	static uint8_t data[REPLY_MAX];
	bool v6 = !net_addr_is_v4(&flow->key.guest);
	ssize_t n = recv(flow->fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);
	struct net_icmp_out out = {.v6 = v6, .src_mac = echo->config.mac, .dst_mac = echo->config.guest_mac,
				   .src = flow->key.host, .dst = flow->key.guest, .type = v6 ? REPLY6 : REPLY4};

	if (n < 0)
		return error_errno();
	if (n < NET_ECHO_LEN || n > (ssize_t)sizeof(data) || data[0] != out.type || data[1])
		return 0;
	out.rest = (uint32_t)flow->key.guest_port << 16 | be16_load(data + 6);
	out.payload_len = (uint32_t)n - NET_ECHO_LEN;
	if (echo_send(echo->config.wire, echo->config.wire_data, &out, data + NET_ECHO_LEN, echo->mtu) >= 0)
		flow->rx_bytes += out.payload_len;
	return n;
}

/* One entry of the error queue. Return: 0, or -errno: it is empty. */
static int take_error(struct echo *echo, struct echo_flow *flow)
{
	uint8_t data[NET_ECHO_LEN] = {0};
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
	struct iovec iov = {data, sizeof(data)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(flow->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0)
		return error_errno();
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct sock_extended_err error;

		if (!((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
		      (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) ||
		    c->cmsg_len < CMSG_LEN(sizeof(error)))
			continue;
		memcpy(&error, CMSG_DATA(c), sizeof(error));
		if (error.ee_errno)
			tell(echo, &flow->key, n == NET_ECHO_LEN ? be16_load(data + 6) : flow->last_seq, (int)error.ee_errno,
			     error.ee_info < echo->mtu ? (uint16_t)error.ee_info : echo->mtu);
	}
	return 0;
}

void echo_host_event(void *data, uint64_t handle, uint32_t events)
{
	struct echo *echo = data;
	uint32_t i = (uint32_t)handle - 1;
	struct echo_flow *flow;

	/* Stale events find another generation, or nothing. */
	if (i >= ECHO_FLOWS_MAX || tagged(table_handle(&echo->table, i)) != handle)
		return;
	flow = &echo->flow[i];
	for (int n = 0; events & EPOLLERR && n < ECHO_BATCH; n++)
		if (take_error(echo, flow) < 0)
			break;
	for (int n = 0; n < ECHO_BATCH; n++)
		if (take_reply(echo, flow) == -EAGAIN)
			return;
	/* More than its turn holds: what is left is told again. */
	(void)watch_set(echo->config.watch_fd, flow->fd, handle, false);
}

void echo_timers(struct echo *echo, uint64_t now_us)
{
	echo->now_us = now_us;
	while (echo_deadline(echo) <= now_us)
		end(echo, &echo->flow[echo->oldest - 1]);
}

uint64_t echo_deadline(const struct echo *echo)
{
	return echo->oldest ? echo->flow[echo->oldest - 1].last_us + ECHO_IDLE_US : UINT64_MAX;
}

size_t echo_list(const struct echo *echo, uint32_t *cursor, struct netctl_flow *ret, size_t max)
{
	uint32_t i = *cursor;
	size_t n = 0;

	for (; i < ECHO_FLOWS_MAX && n < max; i++) {
		const struct echo_flow *flow = &echo->flow[i];

		if (!table_handle(&echo->table, i))
			continue;
		ret[n++] = (struct netctl_flow){.proto = RULES_ECHO, .guest = flow->key.guest, .host = flow->key.host,
						.guest_port = flow->key.guest_port, .rx_bytes = flow->rx_bytes,
						.tx_bytes = flow->tx_bytes};
	}
	*cursor = i < ECHO_FLOWS_MAX ? i : 0;
	return n;
}

void echo_count(const struct echo *echo, uint64_t *ret_now, uint64_t *ret_total)
{
	*ret_now = echo->table.n_used;
	*ret_total = echo->total;
}
