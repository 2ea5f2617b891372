/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port: see port.h. Without udev there is no /dev/virtio-ports, so the port is found by its name in sysfs.
 * The host announces ports and names after the driver's probe, hence the short wait.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "guest/init/port.h"
#include "proto/agent.h"

enum { PORT_NAME_MAX = 64, PORT_WRITE_TRIES = 20, PORT_WRITE_WAIT_MS = 50 };

static int the_fd = -EBADF;
static uint32_t sequence;

DEFINE_CLEANUP(DIR *, closedir)

int port_name_matches(const char *text, const char *wanted)
{
	size_t len = strcspn(text, "\n");

	return len == strlen(wanted) && memcmp(text, wanted, len) == 0;
}

/* Return: descriptor of /dev/NAME when its sysfs name is ours; -ENOENT when it is not; -errno. */
static int port_try(int class_fd, const char *name)
{
	char path[PORT_NAME_MAX + 16], text[PORT_NAME_MAX] = "";
	_cleanup_close_ int fd = -EBADF;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/name", name) >= (int)sizeof(path))
		return -ENOENT;
	fd = openat(class_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0 || !port_name_matches(text, AGENT_PORT_NAME))
		return -ENOENT;
	if (snprintf(path, sizeof(path), "/dev/%s", name) >= (int)sizeof(path))
		return -ENOENT;
	fd = fd_close(fd);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_errno();
	(void)fchmod(fd, 0600);
	return take_fd(fd);
}

static int port_scan(void)
{
	_cleanup_(closedirp) DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	int r;

	if (!dir)
		return -ENOENT;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		r = port_try(dirfd(dir), entry->d_name);
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

int port_open(int timeout_ms)
{
	int r, waited;

	for (waited = 0; ; waited += 2) {
		r = port_scan();
		if (r != -ENOENT || waited >= timeout_ms)
			break;
		(void)poll(NULL, 0, 2);
	}
	return r == -ENOENT ? -ENODEV : trace(r);
}

void port_set(int fd)
{
	the_fd = fd;
}

int port_fd(void)
{
	return the_fd;
}

/* A host that does not take the frame within a second does not get it: the boot goes on without. */
static void port_send(struct agent_message *message)
{
	uint8_t frame[AGENT_FRAME_MAX];
	struct pollfd p = {.fd = the_fd, .events = POLLOUT};
	int i, len;

	if (the_fd < 0)
		return;
	message->seq = ++sequence;
	len = agent_encode(message, frame);
	for (i = 0; len > 0 && i < PORT_WRITE_TRIES; i++) {
		if (write(the_fd, frame, (size_t)len) == len)
			return;
		if (errno != EAGAIN && errno != EINTR)
			return;
		(void)poll(&p, 1, PORT_WRITE_WAIT_MS);
	}
}

void port_hello(void)
{
	struct agent_message m = {.type = AGENT_HELLO,
				  .hello = {.version = AGENT_VERSION, .uptime_us = loop_now_us()}};

	port_send(&m);
}

void port_stage(uint32_t stage)
{
	struct agent_message m = {.type = AGENT_STAGE, .stage = {.stage = stage, .uptime_us = loop_now_us()}};

	port_send(&m);
}

void port_failed(uint32_t cause, uint64_t detail)
{
	struct agent_message m = {.type = AGENT_FAILED,
				  .failed = {.cause = cause, .detail = detail, .uptime_us = loop_now_us()}};

	port_send(&m);
}
