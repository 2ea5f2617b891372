/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: see logs.h. Called by main.c only. Never logs anything itself: its own lines would come back to it.
 */
#include "guest/agent/logs.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "guest/agent/lines.h"

enum { UNITS_MAX = 4, READ_SIZE = 16384, RETRY_FIRST_US = 250000, RETRY_MAX_US = 32000000 };
enum logs_state { LOGS_OFF, LOGS_CONNECTING, LOGS_UP };

struct unit {
	struct logs *logs;
	struct loop_source *source;
	struct lines_unit lines;
};

struct logs {
	struct loop *loop;
	struct loop_source *retry, *source;
	int fd; /* -EBADF or owned */
	enum logs_state state;
	uint32_t ip;
	uint16_t port;
	uint64_t pause_us;
	uint32_t events;
	size_t n_units;
	struct unit units[UNITS_MAX];
	struct lines lines;
};

static void disconnect(struct logs *logs)
{
	logs->source = loop_source_free(logs->source);
	logs->fd = fd_close(logs->fd);
	logs->state = LOGS_OFF;
	lines_rewind(&logs->lines);
	loop_timer_set(logs->retry, logs->pause_us);
	logs->pause_us = logs->pause_us * 2 > RETRY_MAX_US ? RETRY_MAX_US : logs->pause_us * 2;
}

static void watch(struct logs *logs, uint32_t events)
{
	if (logs->events == events)
		return;
	if (loop_source_set_events(logs->source, events) < 0)
		disconnect(logs);
	else
		logs->events = events;
}

static void flush(struct logs *logs)
{
	if (logs->state != LOGS_UP)
		return;
	for (;;) {
		size_t len;
		const char *data = lines_next(&logs->lines, &len);
		ssize_t n;

		if (len == 0) {
			watch(logs, EPOLLIN | EPOLLRDHUP);
			return;
		}
		n = send(logs->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			watch(logs, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
			return;
		}
		if (n < 0) {
			disconnect(logs);
			return;
		}
		lines_sent(&logs->lines, (size_t)n);
	}
}

static int on_link(void *data, int fd, uint32_t events)
{
	struct logs *logs = data;
	char ignored[256];

	if (logs->state == LOGS_CONNECTING) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
			disconnect(logs);
			return 0;
		}
		logs->state = LOGS_UP;
		logs->pause_us = RETRY_FIRST_US;
	}
	/* The host has nothing to say here; what it says is thrown away, its end is ours. */
	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP) ||
	    ((events & EPOLLIN) && recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) == 0)) {
		disconnect(logs);
		return 0;
	}
	flush(logs);
	return 0;
}

static int on_retry(void *data)
{
	struct logs *logs = data;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(logs->ip),
				  .sin_port = htons(logs->port)};

	logs->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (logs->fd < 0) {
		disconnect(logs);
		return 0;
	}
	if (connect(logs->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 && errno != EINPROGRESS) {
		disconnect(logs);
		return 0;
	}
	logs->state = LOGS_CONNECTING;
	logs->events = EPOLLIN | EPOLLRDHUP | EPOLLOUT;
	if (loop_add_fd(logs->loop, logs->fd, logs->events, on_link, logs, &logs->source) < 0)
		disconnect(logs);
	return 0;
}

static int on_unit(void *data, int fd, uint32_t events _unused_)
{
	struct unit *unit = data;
	char buf[READ_SIZE];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : trace(error_errno());
	if (n == 0) {
		unit->source = loop_source_free(unit->source);
		return 0;
	}
	lines_feed(&unit->logs->lines, &unit->lines, buf, (size_t)n);
	flush(unit->logs);
	return 0;
}

int logs_new(struct loop *loop, struct logs **ret)
{
	_cleanup_(logs_freep) struct logs *logs = calloc(1, sizeof(*logs));
	int r;

	if (!logs)
		return trace(-ENOMEM);
	logs->loop = loop;
	logs->fd = -EBADF;
	logs->pause_us = RETRY_FIRST_US;
	r = loop_add_timer(loop, on_retry, logs, &logs->retry);
	if (r < 0)
		return trace(r);
	*ret = take_ptr(logs);
	return 0;
}

struct logs *logs_free(struct logs *logs)
{
	if (!logs)
		return NULL;
	for (size_t i = 0; i < logs->n_units; i++)
		loop_source_free(logs->units[i].source);
	loop_source_free(logs->source);
	loop_source_free(logs->retry);
	fd_close(logs->fd);
	free(logs);
	return NULL;
}

int logs_add(struct logs *logs, const char *name, int fd)
{
	struct unit *unit;
	int r;

	if (logs->n_units == UNITS_MAX)
		return trace(-ENOSPC);
	unit = &logs->units[logs->n_units];
	unit->logs = logs;
	unit->lines.name = name;
	r = loop_add_fd(logs->loop, fd, EPOLLIN, on_unit, unit, &unit->source);
	if (r < 0)
		return trace(r);
	logs->n_units++;
	return 0;
}

int logs_connect(struct logs *logs, uint32_t ip, uint16_t port)
{
	logs->ip = ip;
	logs->port = port;
	return loop_timer_set(logs->retry, 0);
}
