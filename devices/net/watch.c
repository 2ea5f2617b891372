/* SPDX-License-Identifier: Apache-2.0 */
/* watch: see the header. */
#include "devices/net/watch.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/error.h"

enum { WATCH_EVENTS_MAX = 128 };

int watch_new(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? trace(error_errno()) : fd;
}

static int control(int watch_fd, int op, int fd, uint64_t handle, bool out)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET | (out ? EPOLLOUT : 0),
		.data.u64 = handle,
	};

	return epoll_ctl(watch_fd, op, fd, &event) < 0 ? trace(error_errno()) : 0;
}

int watch_add(int watch_fd, int fd, uint64_t handle, bool out)
{
	return control(watch_fd, EPOLL_CTL_ADD, fd, handle, out);
}

int watch_set(int watch_fd, int fd, uint64_t handle, bool out)
{
	return control(watch_fd, EPOLL_CTL_MOD, fd, handle, out);
}

void watch_remove(int watch_fd, int fd)
{
	(void)epoll_ctl(watch_fd, EPOLL_CTL_DEL, fd, NULL); /* fails only when it is not there */
}

int watch_dispatch(int watch_fd, watch_fn fn, void *data)
{
	struct epoll_event events[WATCH_EVENTS_MAX];
	int n = epoll_wait(watch_fd, events, WATCH_EVENTS_MAX, 0);

	if (n < 0)
		return errno == EINTR ? 0 : trace(error_errno());
	for (int i = 0; i < n; i++)
		fn(data, events[i].data.u64, events[i].events);
	return 0;
}
