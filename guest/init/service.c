/* SPDX-License-Identifier: Apache-2.0 */
/* service: see service.h. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "guest/init/mounts.h"
#include "guest/init/service.h"

#define SERVICE_PATH "PATH=/usr/sbin:/usr/bin"
enum { FD_ABOVE = 64, NOFILE_MAX = 1048576 };

static void set_limits(void)
{
	static const struct { int resource; rlim_t soft, hard; } limits[] = {
		{RLIMIT_NOFILE, NOFILE_MAX, NOFILE_MAX},
		{RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_CORE, 0, RLIM_INFINITY},
		{RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit rl = {limits[i].soft, limits[i].hard};

		(void)setrlimit((__rlimit_resource_t)limits[i].resource, &rl);
	}
}

static void write_text(const char *path, int value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)dprintf(fd, "%d", value);
		close(fd);
	}
}

/* Puts FDS at 3, 4, ... by way of numbers above all of them. */
static int place_fds(const int *fds, size_t n)
{
	int moved[SERVICE_FDS_MAX];
	size_t i;

	for (i = 0; i < n; i++) {
		moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_ABOVE);
		if (moved[i] < 0)
			return error_errno();
	}
	for (i = 0; i < n; i++)
		if (dup2(moved[i], 3 + (int)i) < 0)
			return error_errno();
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;
	int signo;

	for (signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _noreturn_ void child(const struct service *s)
{
	char *envp[SERVICE_ENV_MAX + 4] = {(char *)SERVICE_PATH};
	char listen_pid[32], listen_fds[32];
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t i, n = 1;

	reset_signals();
	(void)setsid();
	write_text("/proc/self/oom_score_adj", s->oom_score_adj);
	write_text(MOUNTS_CGROUP "/cgroup.procs", 0); /* 0: the writer itself */
	set_limits();
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(s->log_fd >= 0 ? s->log_fd : null_fd, 1) < 0 ||
	    dup2(s->log_fd >= 0 ? s->log_fd : null_fd, 2) < 0 || place_fds(s->fds, s->n_fds) < 0)
		_exit(126);
	for (i = 0; i < SERVICE_ENV_MAX && s->env[i]; i++)
		envp[n++] = (char *)s->env[i];
	if (s->listen_fds) {
		snprintf(listen_fds, sizeof(listen_fds), "LISTEN_FDS=%zu", s->n_fds);
		snprintf(listen_pid, sizeof(listen_pid), "LISTEN_PID=%d", (int)getpid());
		envp[n++] = listen_fds;
		envp[n++] = listen_pid;
	}
	execve(s->argv[0], s->argv, envp);
	(void)dprintf(2, "cannot execute %s: %s\n", s->argv[0], strerror(errno));
	_exit(127);
}

int service_start(struct service *s)
{
	pid_t pid = fork();

	if (pid < 0)
		return trace(error_errno());
	if (pid == 0)
		child(s);
	s->pid = pid;
	s->state = SERVICE_RUNNING;
	return 0;
}

bool service_ended(struct service *s, int status, uint64_t now_us)
{
	s->pid = 0;
	s->last_status = status;
	if (now_us - s->window_us > SERVICE_WINDOW_US) {
		s->window_us = now_us;
		s->n_restarts = 0;
	}
	s->state = s->n_restarts < SERVICE_RESTARTS_MAX ? SERVICE_WAITING : SERVICE_IDLE;
	s->n_restarts++;
	return s->state == SERVICE_WAITING;
}

int service_run(char *const argv[])
{
	struct service s = {.name = argv[0], .argv = argv, .log_fd = 2};
	int status, r;

	r = service_start(&s);
	if (r < 0)
		return r;
	while (waitpid(s.pid, &status, 0) < 0)
		if (errno != EINTR)
			return trace(error_errno());
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
