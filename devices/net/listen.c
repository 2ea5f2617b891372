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
			/* The system is short of files or memory: flows go on, and the listener is looked at again later,
			 * because it stays readable. */
			log_limited(LOG_WARNING, "cannot accept for port %u: error %d", listener->port, -r);
			listener->retry_us = loop_now_us() + LISTEN_PAUSE_US;
			return 0;
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

int listen_follow(struct listener *listener, bool up, uint64_t now_us)
{
	bool on;

	if (listener->retry_us && listener->retry_us <= now_us)
		listener->retry_us = 0;
	on = up && !listener->retry_us;
	if (listener->on == on)
		return 0;
	listener->on = on;
	return loop_source_set_events(listener->source, on ? EPOLLIN : 0);
}

uint64_t listen_deadline(const struct listener *listener)
{
	return listener->retry_us ? listener->retry_us : UINT64_MAX;
}
