/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: theory of operation.
 *
 * fork, then in the child: inherited descriptors are first copied above the target range (so that no target
 * number overwrites a source not yet moved), then moved to 0, 1, 2, 3 ...; everything above is closed. A
 * close-on-exec pipe tells the parent whether exec happened: EOF means yes, four bytes of errno mean no.
 * PR_SET_PDEATHSIG is set after the fork and the parent's identity checked afterwards, so a parent that died in
 * between is noticed.
 */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"

enum { STD_FDS = 3, HIGH_FD = STD_FDS + SPAWN_FDS_MAX + 1 };

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int signo = 1; signo < NSIG; signo++) {
		struct sigaction dfl = {.sa_handler = SIG_DFL};

		(void)sigaction(signo, &dfl, NULL); /* fails for KILL and STOP only */
	}
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: puts the plan's descriptors in place and the status pipe behind them. */
static int place_descriptors(const struct spawn_plan *plan, int *status_fd)
{
	int source[STD_FDS + SPAWN_FDS_MAX];
	size_t n = STD_FDS + plan->n_fds;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0)
		return error_errno();
	source[0] = plan->stdin_fd >= 0 ? plan->stdin_fd : null_fd;
	source[1] = plan->stdout_fd >= 0 ? plan->stdout_fd : null_fd;
	source[2] = plan->stderr_fd >= 0 ? plan->stderr_fd : null_fd;
	for (size_t i = 0; i < plan->n_fds; i++)
		source[STD_FDS + i] = plan->fds[i];
	for (size_t i = 0; i < n; i++) {
		source[i] = fcntl(source[i], F_DUPFD_CLOEXEC, HIGH_FD);
		if (source[i] < 0)
			return error_errno();
	}
	*status_fd = fcntl(*status_fd, F_DUPFD_CLOEXEC, HIGH_FD);
	if (*status_fd < 0)
		return error_errno();
	for (size_t i = 0; i < n; i++)
		if (dup2(source[i], (int)i) < 0)
			return error_errno();
	if (dup3(*status_fd, (int)n, O_CLOEXEC) < 0)
		return error_errno();
	*status_fd = (int)n;
	if (close_range((unsigned int)n + 1, ~0U, 0) < 0)
		return error_errno();
	return 0;
}

static int prepare_child(const struct spawn_plan *plan, pid_t parent, int *status_fd)
{
	int r;

	reset_signals();
	if (!(plan->flags & SPAWN_OUTLIVE)) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			return error_errno();
		if (getppid() != parent)
			return -ESRCH;
	}
	if ((plan->flags & SPAWN_SETSID) && setsid() < 0)
		return error_errno();
	if (plan->flags & SPAWN_NODUMP) {
		struct rlimit none = {0, 0};

		if (setrlimit(RLIMIT_CORE, &none) < 0)
			return error_errno();
	}
	r = place_descriptors(plan, status_fd);
	if (r < 0)
		return r;
	if (chdir(plan->cwd ? plan->cwd : "/") < 0)
		return error_errno();
	return 0;
}

static _noreturn_ void run_child(const struct spawn_plan *plan, pid_t parent, int status_fd)
{
	static char *const empty[] = {NULL};
	int r = prepare_child(plan, parent, &status_fd);

	if (r >= 0) {
		execve(plan->program, plan->argv, plan->envp ? plan->envp : empty);
		r = error_errno();
	}
	/* The parent reads this; if that fails too it sees the exit code. */
	(void)!write(status_fd, &r, sizeof(r));
	_exit(127);
}

/* Waits for exec or its failure. Return: 0 after exec, -errno from the child. */
static int read_status(int fd)
{
	int code;
	ssize_t n;

	do {
		n = read(fd, &code, sizeof(code));
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	return n == sizeof(code) && code < 0 ? code : -EIO;
}

int spawn_start(const struct spawn_plan *plan, pid_t *ret_pid, int *ret_pidfd)
{
	_cleanup_close_ int status_read = -EBADF, status_write = -EBADF, pidfd = -EBADF;
	pid_t parent = getpid(), pid;
	int fds[2], r;

	if (plan->n_fds > SPAWN_FDS_MAX || !plan->program || plan->program[0] != '/')
		return trace(-EINVAL);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return trace(error_errno());
	status_read = fds[0];
	status_write = fds[1];
	pid = fork();
	if (pid < 0)
		return trace(error_errno());
	if (pid == 0)
		run_child(plan, parent, status_write);
	/* The child is ours and not reaped: its pid cannot have been reused. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	r = pidfd < 0 ? error_errno() : 0;
	status_write = fd_close(status_write);
	if (r >= 0)
		r = read_status(status_read);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return trace(r);
	}
	*ret_pid = pid;
	*ret_pidfd = take_fd(pidfd);
	return 0;
}

int spawn_kill(int pidfd, int signo)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0)
		return error_errno();
	return 0;
}
