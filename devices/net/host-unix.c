/* SPDX-License-Identifier: Apache-2.0 */
/* host-unix: see the header. */
#include "devices/net/host-unix.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sock.h"
#include "devices/net/flow.h"
#include "proto/control-link.h"

enum {
	SCRATCH_SIZE = 16 * 1024, /* stays in the first-level cache */
	SCRATCH_PIECES = 64,
	WINDOW_SHARE = 4,
};

static const uint16_t open_ports[] = {CONTROL_PORT_LOG};

static enum host_open unix_open(void *data, struct flow *flow, int *ret_error)
{
	struct host_unix *host = data;
	int fds[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(open_ports) && open_ports[i] != flow->key.host_port; i++)
		;
	if (i == ARRAY_SIZE(open_ports) || host->n_guest_flows >= HOST_UNIX_GUEST_FLOWS_MAX)
		return HOST_OPEN_REFUSED;
	if (sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds) < 0)
		return HOST_OPEN_REFUSED;
	if (host->deliver(host->data, flow->key.host_port, fds[1]) < 0) {
		fd_close(fds[0]);
		return HOST_OPEN_REFUSED;
	}
	host->n_guest_flows++;
	flow->fd = fds[0];
	return HOST_OPEN_NOW;
}

static int unix_opened(void *data, const struct flow *flow)
{
	return 0; /* never pending */
}

static void unix_closed(void *data, const struct flow *flow)
{
	struct host_unix *host = data;

	host->n_guest_flows--;
}

static int set_option(int fd, int option, int value)
{
	return setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)) < 0 ? error_errno() : 0;
}

static int prepare(int fd)
{
	int r = set_option(fd, SO_SNDBUF, HOST_UNIX_SNDBUF);

	if (r >= 0)
		r = set_option(fd, SO_PEEK_OFF, 0);
	return r < 0 ? trace(r) : 0;
}

static int unix_prepare(void *data, struct flow *flow)
{
	return prepare(flow->fd);
}

/* The kernel keeps the offset (SO_PEEK_OFF); descriptors that a peer attaches are not taken, but end a read early. */
static ssize_t peek(int fd, const struct iovec *iov, size_t n_iov, bool *ret_more)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	*ret_more = n > 0 && msg.msg_flags & MSG_CTRUNC;
	return n < 0 ? error_errno() : n;
}

static ssize_t unix_peek(void *data, struct flow *flow, size_t offset, const struct iovec *iov, size_t n_iov,
			 bool *ret_more)
{
	return peek(flow->fd, iov, n_iov, ret_more);
}

static int unix_rewind(void *data, struct flow *flow, size_t offset)
{
	return set_option(flow->fd, SO_PEEK_OFF, (int)offset);
}

/* Unix streams cannot discard (MSG_TRUNC): the bytes are read over one small buffer again and again. */
static int unix_discard(void *data, struct flow *flow, size_t len)
{
	static uint8_t scratch[SCRATCH_SIZE];

	while (len) {
		struct iovec iov[SCRATCH_PIECES];
		struct msghdr msg = {.msg_iov = iov};
		size_t want = 0;
		ssize_t n;

		while (want < len && msg.msg_iovlen < SCRATCH_PIECES) {
			size_t piece = len - want < SCRATCH_SIZE ? len - want : SCRATCH_SIZE;

			iov[msg.msg_iovlen++] = (struct iovec){scratch, piece};
			want += piece;
		}
		n = recvmsg(flow->fd, &msg, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? error_errno() : -EPIPE; /* what was peeked cannot be gone */
		len -= (size_t)n;
	}
	return 0;
}

/* The kernel counts its own overhead too, slightly more than the bytes themselves for segments between one and four
 * kilobytes, hence a quarter of what is free. */
static uint32_t unix_window(void *data, const struct flow *flow, bool *ret_small)
{
	const struct host_unix *host = data;
	uint32_t room = 0;
	int queued = 0;

	if (ioctl(flow->fd, SIOCOUTQ, &queued) >= 0 && queued >= 0 && (uint32_t)queued < host->sndbuf)
		room = (host->sndbuf - (uint32_t)queued) / WINDOW_SHARE;
	/* Room is reported when three quarters are free. */
	*ret_small = room < host->sndbuf / WINDOW_SHARE / 2;
	return room;
}

static void unix_shutdown(void *data, const struct flow *flow)
{
	(void)shutdown(flow->fd, SHUT_WR);
}

static void unix_reset(void *data, const struct flow *flow)
{
	/* Nothing to do: close() tells the peer as far as this family can, see the header. */
}

const struct host_ops host_unix_ops = {
	.open = unix_open,
	.opened = unix_opened,
	.closed = unix_closed,
	.prepare = unix_prepare,
	.peek = unix_peek,
	.rewind = unix_rewind,
	.discard = unix_discard,
	.window = unix_window,
	.shutdown = unix_shutdown,
	.reset = unix_reset,
};

int host_unix_init(struct host_unix *host)
{
	_cleanup_close_ int ours = -EBADF, theirs = -EBADF;
	socklen_t len = sizeof(int);
	char data[4] = {0};
	struct iovec iov = {data, 1};
	bool more;
	int fds[2], size, r;

	r = sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds);
	if (r < 0)
		return trace(r);
	ours = fds[0];
	theirs = fds[1];
	r = prepare(ours);
	if (r < 0)
		return trace(r);
	if (getsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, &len) < 0)
		return trace(error_errno());
	/* Two bytes: the second peek must see the second one, and the first again after rewinding. */
	if (send(theirs, "ab", 2, MSG_NOSIGNAL) != 2 || peek(ours, &iov, 1, &more) != 1 || data[0] != 'a' ||
	    peek(ours, &iov, 1, &more) != 1 || data[0] != 'b' || set_option(ours, SO_PEEK_OFF, 0) < 0 ||
	    peek(ours, &iov, 1, &more) != 1 || data[0] != 'a')
		return trace(-ENOTSUP);
	host->sndbuf = (uint32_t)size;
	return 0;
}
