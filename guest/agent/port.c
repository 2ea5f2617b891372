/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port: see port.h. Called by main.c only. No path, command or text of the machine's reaches anything: every
 * message is a few integers, and the two files read here are constants.
 */
#include "guest/agent/port.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/error.h"
#include "base/log.h"
#include "guest/init-link.h"
#include "proto/agent.h"

#define DATA_DIR "/var/lib/docker"
#define MEMINFO_PATH "/proc/meminfo"
/* The host end of the port is closed: ask again now and then, since EPOLLHUP would be reported without end. */
enum { BUFFER_SIZE = 1024, MEMINFO_MAX = 4096, HANGUP_PAUSE_US = 1000000 };

struct port {
	struct loop *loop;
	struct loop_source *source, *pause;
	int fd, link_fd;
	struct port_hooks hooks;
	bool full; /* somebody waits for room */
	size_t len;
	uint8_t buf[BUFFER_SIZE];
};

static uint64_t uptime_us(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The value of line NAME ("MemTotal:") in bytes, 0 when absent. */
static uint64_t meminfo_value(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

static void read_stats(struct agent_message *m)
{
	_cleanup_close_ int fd = open(MEMINFO_PATH, O_RDONLY | O_CLOEXEC);
	char text[MEMINFO_MAX];
	struct statvfs vfs;
	ssize_t n;

	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	m->stats.mem_total = meminfo_value(text, "MemTotal:");
	m->stats.mem_available = meminfo_value(text, "MemAvailable:");
	if (statvfs(DATA_DIR, &vfs) == 0) {
		m->stats.data_total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
		m->stats.data_available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	}
	m->stats.uptime_us = uptime_us();
}

/* Return: 0; -EAGAIN: nothing was written; -errno. */
static int send_frame(struct port *port, const struct agent_message *m)
{
	uint8_t frame[AGENT_FRAME_MAX];
	int len = agent_encode(m, frame);
	ssize_t n;

	if (len < 0)
		return trace(len);
	n = write(port->fd, frame, (size_t)len);
	if (n == len)
		return 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	/* Half a frame on a stream without resynchronisation: over. */
	return trace(n < 0 ? error_errno() : -EPIPE);
}

/* A port that takes no frame now loses it: the machine asks again. */
static int reply(struct port *port, const struct agent_message *m)
{
	int r = send_frame(port, m);

	if (r != -EAGAIN)
		return r;
	log_limited(LOG_WARNING, "agent port is full, an answer is lost");
	return 0;
}

int port_send(struct port *port, const struct agent_message *message)
{
	int r = send_frame(port, message);

	if (r != -EAGAIN)
		return r;
	port->full = true;
	if (port->source)
		r = loop_source_set_events(port->source, EPOLLIN | EPOLLOUT);
	return r < 0 && r != -EAGAIN ? trace(r) : -EAGAIN;
}

void port_set_hooks(struct port *port, const struct port_hooks *hooks)
{
	port->hooks = *hooks;
}

static int tell_init(struct port *port, enum init_link_type type, uint64_t value)
{
	struct init_link_message m = {.type = type, .value = value};
	int r = chan_send(port->link_fd, &m, sizeof(m), NULL, 0);

	return r < 0 ? trace(r) : 0;
}

static int answer(struct port *port, const struct agent_message *m)
{
	/* A reply carries the sequence number of its request. */
	struct agent_message back = {.seq = m->seq};

	switch (m->type) {
	case AGENT_PING:
		back.type = AGENT_PONG;
		back.ping.token = m->ping.token;
		return reply(port, &back);
	case AGENT_STATS_GET:
		back.type = AGENT_STATS;
		read_stats(&back);
		return reply(port, &back);
	case AGENT_TIME:
		return tell_init(port, INIT_LINK_TIME, m->time.realtime_ns);
	case AGENT_SHUTDOWN:
		return tell_init(port, INIT_LINK_SHUTDOWN, m->shutdown.deadline_ms);
	case AGENT_PORT_RESULT:
		if (port->hooks.result)
			port->hooks.result(port->hooks.data, m->port_result.id, m->port_result.status);
		return 0;
	default:
		return trace(-EBADMSG);
	}
}

static int consume(struct port *port)
{
	size_t off = 0;

	for (;;) {
		struct agent_message m;
		int n = agent_decode(&m, AGENT_TO_GUEST, port->buf + off, port->len - off), r;

		if (n < 0)
			return n;
		if (n == 0)
			break;
		r = answer(port, &m);
		if (r < 0)
			return r;
		off += (size_t)n;
	}
	memmove(port->buf, port->buf + off, port->len - off);
	port->len -= off;
	return 0;
}

static int hung_up(struct port *port)
{
	/* EPOLLHUP cannot be masked: leave epoll altogether. */
	port->source = loop_source_free(port->source);
	port->len = 0;
	return loop_timer_set(port->pause, HANGUP_PAUSE_US);
}

static int write_again(struct port *port)
{
	int r;

	port->full = false;
	r = loop_source_set_events(port->source, EPOLLIN);
	if (r >= 0 && port->hooks.writable)
		r = port->hooks.writable(port->hooks.data);
	return r == -EAGAIN ? 0 : r;
}

static int on_port(void *data, int fd, uint32_t events)
{
	struct port *port = data;
	ssize_t n;
	int r;

	if (events & EPOLLOUT && port->full) {
		r = write_again(port);
		if (r < 0)
			return r;
	}
	if (events == EPOLLOUT)
		return 0;
	if (!(events & EPOLLIN))
		return hung_up(port);
	/* Frames are smaller than the buffer and consumed at once, so there is always room. */
	n = read(fd, port->buf + port->len, sizeof(port->buf) - port->len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : trace(error_errno());
	if (n == 0)
		return hung_up(port);
	port->len += (size_t)n;
	return consume(port);
}

static int on_pause_over(void *data)
{
	struct port *port = data;

	return loop_add_fd(port->loop, port->fd, EPOLLIN | (port->full ? EPOLLOUT : 0), on_port, port, &port->source);
}

int port_new(struct loop *loop, int port_fd, int link_fd, struct port **ret)
{
	_cleanup_(port_freep) struct port *port = calloc(1, sizeof(*port));
	int r;

	if (!port)
		return trace(-ENOMEM);
	port->loop = loop;
	port->fd = port_fd;
	port->link_fd = link_fd;
	r = loop_add_fd(loop, port_fd, EPOLLIN, on_port, port, &port->source);
	if (r < 0)
		return trace(r);
	r = loop_add_timer(loop, on_pause_over, port, &port->pause);
	if (r < 0)
		return trace(r);
	*ret = take_ptr(port);
	return 0;
}

struct port *port_free(struct port *port)
{
	if (!port)
		return NULL;
	loop_source_free(port->source);
	loop_source_free(port->pause);
	free(port);
	return NULL;
}
