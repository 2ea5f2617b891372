/* SPDX-License-Identifier: Apache-2.0 */
/* listen: see the header. */
#include "devices/net/listen.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"

static int on_readable(void *data, int fd, uint32_t events)
{
	struct listener *listener = data;

	for (int i = 0; i < LISTEN_BATCH; i++) {
		int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		int r;

		if (conn < 0) {
			r = error_errno();
			if (r == -EAGAIN || r == -ECONNABORTED || r == -EINTR)
				return 0;
			return log_errno(r, "accepting for port %u", listener->port);
		}
		r = tcp_connect_guest(listener->tcp, conn, listener->port);
		if (r == -ENFILE)
			log_limited(LOG_WARNING, "too many connections, refused one to port %u", listener->port);
		else if (r < 0)
			log_limited(LOG_WARNING, "connection to port %u refused: error %d", listener->port, -r);
	}
	return 0;
}

int listen_start(struct listener *listener, struct loop *loop, int fd, uint16_t port, struct tcp *tcp)
{
	int r = fd_set_nonblock(fd, true);

	*listener = (struct listener){.fd = fd, .port = port, .tcp = tcp};
	if (r >= 0)
		r = loop_add_fd(loop, fd, 0, on_readable, listener, &listener->source);
	return r < 0 ? trace(r) : 0;
}

int listen_follow(struct listener *listener, bool up)
{
	if (listener->on == up)
		return 0;
	listener->on = up;
	return loop_source_set_events(listener->source, up ? EPOLLIN : 0);
}
