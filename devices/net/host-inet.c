/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-inet: see the header.
 *
 * Peeking. Each peek must begin where the last one ended. Linux 6.11 keeps that offset for TCP, too (SO_PEEK_OFF); it is set
 * when a flow first has bytes on their way, because short exchanges never need it. Older kernels have every peek copy the
 * bytes on their way once more, over one small buffer.
 *
 * Window. What the guest may send is what the socket's buffer has free, as the kernel counts it (SO_MEMINFO), less a quarter
 * for its overhead with segments of ordinary size. A buffer of which the kernel sees less than a third free is watched for
 * room; that is also what makes the kernel enlarge it when the path could carry more (tcp_new_space). The kernel takes a
 * whole large segment as long as anything is free: so the least that is told while it calls the socket writable is half of the
 * largest segment, or a guest with a large MTU would wait for its own timer.
 */
#include "devices/net/host-inet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sock.h"
#include "devices/net/flow.h"
#include "devices/net/wire.h"
#include "proto/data-card.h"

enum {
	BIT_OFFSET = 1, /* of flow->host_bits: SO_PEEK_OFF is on */
	SKIP_SIZE = 64 * 1024,
	SKIP_PIECES = HOST_INET_SKIP_MAX / SKIP_SIZE,
	OVERHEAD_SHARE = 4,
	WRITABLE_SHARE = 3, /* sk_stream_is_writeable */
	WINDOW_LEAST = 32768,
	FIRST_WINDOW = 65535,
};

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? error_errno() : 0;
}

static int connect_to(int fd, const struct net_addr *addr, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int r;

	if (net_addr_is_v4(addr)) {
		memcpy(&in.sin_addr, addr->byte + 12, 4);
		r = connect(fd, (struct sockaddr *)&in, sizeof(in));
	} else {
		memcpy(&in6.sin6_addr, addr->byte, 16);
		r = connect(fd, (struct sockaddr *)&in6, sizeof(in6));
	}
	return r < 0 ? error_errno() : 0;
}

static enum host_open dial(struct flow *flow, const struct rules_verdict *verdict, int *ret_error)
{
	const struct net_addr *addr = &verdict->dial;
	int family = net_addr_is_v4(addr) ? AF_INET : AF_INET6;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? error_errno() : connect_to(fd, addr, flow->key.host_port);

	/* Within the host the answer is there when connect() returns, but it is looked at on the way out: ask again, and
	 * spare a round. */
	if (r == -EINPROGRESS && verdict->to_host) {
		r = connect_to(fd, addr, flow->key.host_port);
		r = r == -EALREADY ? -EINPROGRESS : r == -EISCONN ? 0 : r;
	}
	if (r >= 0 || r == -EINPROGRESS) {
		flow->fd = fd;
		return r < 0 ? HOST_OPEN_PENDING : HOST_OPEN_NOW;
	}
	fd_close(fd);
	*ret_error = -r;
	return r == -ECONNREFUSED || r == -ECONNRESET ? HOST_OPEN_REFUSED : HOST_OPEN_UNREACHABLE;
}

static int pass_to_proxy(int proxy_fd, int fd)
{
	union {
		struct cmsghdr header;
		uint8_t space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(uint8_t[]){0}, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(proxy_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? error_errno() : 0;
}

/* A service of ours: one end of a pair is the flow's, the other one goes to dns or the proxy. */
static enum host_open open_pair(struct host_inet *host, struct flow *flow, int *ret_error)
{
	int fds[2], r;

	if (flow->key.host_port == DATA_PORT_PROXY ? host->proxy_fd < 0 : !host->dns)
		return HOST_OPEN_REFUSED;
	r = sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds);
	if (r < 0) {
		*ret_error = -r;
		return HOST_OPEN_REFUSED;
	}
	if (flow->key.host_port == DATA_PORT_PROXY) {
		r = pass_to_proxy(host->proxy_fd, fds[1]);
		fd_close(fds[1]);
	} else {
		r = dns_accept_consume(host->dns, fds[1]);
	}
	if (r < 0) {
		fd_close(fds[0]);
		return HOST_OPEN_REFUSED;
	}
	flow->fd = fds[0];
	flow->host_kind = HOST_KIND_UNIX;
	return HOST_OPEN_NOW;
}

static enum host_open inet_open(void *data, struct flow *flow, int *ret_error)
{
	struct host_inet *host = data;
	const struct flow_key *key = &flow->key;
	struct rules_verdict verdict;

	if ((key->host_port == DATA_PORT_DNS || key->host_port == DATA_PORT_PROXY) &&
	    (net_addr_equal(&key->host, &host->gateway4) || net_addr_equal(&key->host, &host->gateway6)))
		return open_pair(host, flow, ret_error);
	policy_decide(host->policy, RULES_TCP, &key->host, key->host_port, &verdict);
	if (verdict.allow)
		return dial(flow, &verdict, ret_error);
	*ret_error = EACCES;
	return verdict.rule == RULE_OWN ? HOST_OPEN_REFUSED : HOST_OPEN_UNREACHABLE;
}

static int inet_opened(void *data, const struct flow *flow)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return error_errno();
	return -error;
}

static void inet_closed(void *data, const struct flow *flow)
{
}

static int inet_prepare(void *data, struct flow *flow)
{
	struct host_inet *host = data;
	int r;

	if (flow->host_kind == HOST_KIND_UNIX)
		return host_unix_ops.prepare(&host->pair, flow);
	/* The guest's own stack decides when small segments go out. */
	r = set_option(flow->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r >= 0)
		r = set_option(flow->fd, SOL_SOCKET, SO_OOBINLINE, 1);
	return r < 0 ? trace(r) : 0;
}

static ssize_t receive(int fd, struct msghdr *msg, int flags)
{
	ssize_t n;

	do
		n = recvmsg(fd, msg, MSG_DONTWAIT | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_errno() : n;
}

/* Reads OFFSET bytes over, again. */
static ssize_t peek_behind(const struct flow *flow, size_t offset, const struct iovec *iov, size_t n_iov)
{
	static uint8_t skip[SKIP_SIZE];
	struct iovec all[SKIP_PIECES + WIRE_SEGMENTS_MAX];
	struct msghdr msg = {.msg_iov = all};
	ssize_t n;

	if (offset > HOST_INET_SKIP_MAX || n_iov > WIRE_SEGMENTS_MAX)
		return -EAGAIN;
	for (size_t left = offset; left; left -= all[msg.msg_iovlen++].iov_len)
		all[msg.msg_iovlen] = (struct iovec){skip, left < SKIP_SIZE ? left : SKIP_SIZE};
	memcpy(all + msg.msg_iovlen, iov, n_iov * sizeof(*iov));
	msg.msg_iovlen += n_iov;
	n = receive(flow->fd, &msg, MSG_PEEK);
	if (n < 0)
		return n;
	if ((size_t)n > offset)
		return n - (ssize_t)offset;
	return -EAGAIN;
}

static ssize_t inet_peek(void *data, struct flow *flow, size_t offset, const struct iovec *iov, size_t n_iov,
			 bool *ret_more)
{
	struct host_inet *host = data;
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};

	if (flow->host_kind == HOST_KIND_UNIX)
		return host_unix_ops.peek(&host->pair, flow, offset, iov, n_iov, ret_more);
	*ret_more = false;
	if (offset && !(flow->host_bits & BIT_OFFSET)) {
		if (!host->peek_offset)
			return peek_behind(flow, offset, iov, n_iov);
		if (set_option(flow->fd, SOL_SOCKET, SO_PEEK_OFF, (int)offset) < 0)
			return error_errno();
		flow->host_bits |= BIT_OFFSET;
	}
	return receive(flow->fd, &msg, MSG_PEEK);
}

static int inet_rewind(void *data, struct flow *flow, size_t offset)
{
	struct host_inet *host = data;

	if (flow->host_kind == HOST_KIND_UNIX)
		return host_unix_ops.rewind(&host->pair, flow, offset);
	return flow->host_bits & BIT_OFFSET ? set_option(flow->fd, SOL_SOCKET, SO_PEEK_OFF, (int)offset) : 0;
}

static int inet_discard(void *data, struct flow *flow, size_t len)
{
	struct host_inet *host = data;

	if (flow->host_kind == HOST_KIND_UNIX)
		return host_unix_ops.discard(&host->pair, flow, len);
	while (len) {
		struct iovec iov = {NULL, len};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = receive(flow->fd, &msg, MSG_TRUNC);

		if (n <= 0)
			return n ? (int)n : -EPIPE; /* what was peeked cannot be gone */
		len -= (size_t)n;
	}
	return 0;
}

static uint32_t inet_window(void *data, const struct flow *flow, bool *ret_small)
{
	struct host_inet *host = data;
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);
	uint32_t size, room, window;

	if (flow->host_kind == HOST_KIND_UNIX)
		return host_unix_ops.window(&host->pair, flow, ret_small);
	*ret_small = true;
	if (getsockopt(flow->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	size = info[SK_MEMINFO_SNDBUF];
	room = size > info[SK_MEMINFO_WMEM_QUEUED] ? size - info[SK_MEMINFO_WMEM_QUEUED] : 0;
	window = room - room / OVERHEAD_SHARE;
	if (room >= size / WRITABLE_SHARE) {
		*ret_small = false;
		return window > WINDOW_LEAST ? window : WINDOW_LEAST;
	}
	*ret_small = room < size / OVERHEAD_SHARE || window < WINDOW_LEAST;
	return window;
}

static void inet_shutdown(void *data, const struct flow *flow)
{
	(void)shutdown(flow->fd, SHUT_WR);
}

static void inet_reset(void *data, const struct flow *flow)
{
	struct linger linger = {.l_onoff = 1};

	if (flow->host_kind == HOST_KIND_USUAL)
		(void)setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* No read passes the urgent byte, and with MSG_TRUNC a peek counts without copying. */
static int inet_mark(void *data, struct flow *flow, uint32_t *ret_distance)
{
	struct iovec iov = {NULL, INT32_MAX};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int queued = 0, at_mark = 0;
	ssize_t n;

	if (ioctl(flow->fd, SIOCATMARK, &at_mark) < 0 || ioctl(flow->fd, SIOCINQ, &queued) < 0)
		return error_errno();
	*ret_distance = 0;
	if (at_mark)
		return queued > 0 ? 0 : -ENOENT;
	if (inet_rewind(data, flow, 0) < 0)
		return -ENOENT;
	n = receive(flow->fd, &msg, MSG_PEEK | MSG_TRUNC);
	if (n <= 0 || n >= queued)
		return n < 0 && n != -EAGAIN ? (int)n : -ENOENT;
	*ret_distance = (uint32_t)n;
	return 0;
}

static void inet_keep_alive(void *data, const struct flow *flow, bool soon)
{
	if (flow->host_kind != HOST_KIND_USUAL)
		return;
	/* A socket that has its own idea of time is looked after all the same. */
	if (soon) {
		(void)set_option(flow->fd, IPPROTO_TCP, TCP_KEEPIDLE, HOST_INET_KEEP_IDLE_S);
		(void)set_option(flow->fd, IPPROTO_TCP, TCP_KEEPINTVL, HOST_INET_KEEP_INTERVAL_S);
		(void)set_option(flow->fd, IPPROTO_TCP, TCP_KEEPCNT, HOST_INET_KEEP_COUNT);
	}
	(void)set_option(flow->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

const struct host_ops host_inet_ops = {
	.open = inet_open,
	.opened = inet_opened,
	.closed = inet_closed,
	.prepare = inet_prepare,
	.peek = inet_peek,
	.rewind = inet_rewind,
	.discard = inet_discard,
	.window = inet_window,
	.shutdown = inet_shutdown,
	.reset = inet_reset,
	.mark = inet_mark,
	.keep_alive = inet_keep_alive,
	.first_window = FIRST_WINDOW,
	.room_is_quiet = true,
};

static bool offset_works(int family)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && set_option(fd, SOL_SOCKET, SO_PEEK_OFF, 0) >= 0;
}

int host_inet_init(struct host_inet *host)
{
	int r = host_unix_init(&host->pair);

	if (r < 0)
		return trace(r);
	host->proxy_fd = -EBADF;
	host->peek_offset = offset_works(AF_INET) && offset_works(AF_INET6);
	return 0;
}
