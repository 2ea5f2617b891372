/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu: see qemu.h.
 */
#include "machine/qemu.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sock.h"
#include "base/spawn.h"
#include "base/text.h"

enum { VERSION_WAIT_MS = 5000 };

static const char *const places[] = {
	"/usr/bin/qemu-system-x86_64",
	"/usr/local/bin/qemu-system-x86_64",
};

int qemu_find(struct qemu *qemu, const char *path, struct fault *fault)
{
	struct stat st;

	*qemu = (struct qemu){0};
	for (size_t i = 0; i < (path ? 1 : ARRAY_SIZE(places)); i++) {
		const char *place = path ? path : places[i];

		if (stat(place, &st) < 0 || !S_ISREG(st.st_mode) || access(place, X_OK) < 0)
			continue;
		qemu->path = place;
		snprintf(qemu->identity, sizeof(qemu->identity), "%llx:%llx:%llx:%llx.%lx",
			 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
			 (unsigned long long)st.st_size, (unsigned long long)st.st_mtim.tv_sec,
			 (unsigned long)st.st_mtim.tv_nsec);
		return 0;
	}
	return trace(fault_set(fault, -ENOENT,
			       "QEMU is not installed (no qemu-system-x86_64). Install it, for example with \"apt install "
			       "qemu-system-x86\", version 10 or later where KVM does not work."));
}

int qemu_set_version(struct qemu *qemu, const char *version)
{
	size_t n = strspn(version, "0123456789.");
	unsigned int major = 0;

	if (n == 0 || n >= sizeof(qemu->version) || sscanf(version, "%4u.", &major) != 1 || !major)
		return trace(-EINVAL);
	memcpy(qemu->version, version, n);
	qemu->version[n] = '\0';
	qemu->major = major;
	return 0;
}

/* Reads until end, time-out or a full buffer. */
static size_t read_some(int fd, char *buf, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	while (len < size - 1 && poll(&p, 1, VERSION_WAIT_MS) > 0) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return len;
}

int qemu_ask_version(struct qemu *qemu, struct fault *fault)
{
	char *argv[] = {(char *)(uintptr_t)qemu->path, (char *)(uintptr_t) "--version", NULL};
	_cleanup_close_ int near_fd = -EBADF, far_fd = -EBADF, pidfd = -EBADF;
	const char *prefix = "QEMU emulator version ";
	int pair[2], r;
	char buf[512];
	pid_t pid;

	r = sock_pair(SOCK_STREAM, pair);
	if (r)
		return trace(fault_set(fault, r, "QEMU's version cannot be read: %s.", strerror(-r)));
	near_fd = pair[0];
	far_fd = pair[1];
	r = spawn_start(&(struct spawn_plan){.program = qemu->path, .argv = argv, .stdin_fd = -1,
					     .stdout_fd = far_fd, .stderr_fd = -1, .flags = SPAWN_NODUMP},
			&pid, &pidfd);
	if (r)
		return trace(fault_set(fault, r, "%s cannot be started: %s.", qemu->path, strerror(-r)));
	far_fd = fd_close(far_fd);
	read_some(near_fd, buf, sizeof(buf));
	spawn_kill(pidfd, SIGKILL);
	waitpid(pid, NULL, 0);
	if (strncmp(buf, prefix, strlen(prefix)) != 0 || qemu_set_version(qemu, buf + strlen(prefix)))
		return trace(fault_set(fault, -EPROTO, "%s does not tell its version.", qemu->path));
	return 0;
}
