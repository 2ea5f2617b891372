/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: starts a child with exactly the descriptors, environment and limits its plan names.
 *
 * The child gets descriptors 0 to 2 and FDS at 3, 4, 5 ... in order; everything else is closed; signals are
 * reset and unblocked; it dies with its parent (PR_SET_PDEATHSIG) unless SPAWN_OUTLIVE. A child that
 * cannot exec reports the errno, which the parent returns. No shell, no PATH search: the program is an
 * open descriptor or an absolute path. Who may call it: backend, machine, ui, tests' fakes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum spawn_flags {
	SPAWN_OUTLIVE = 1 << 0,	 /* survives its parent (the backend, started by the CLI) */
	SPAWN_SETSID = 1 << 1,	 /* own session: terminal signals do not reach it */
	SPAWN_NODUMP = 1 << 2,	 /* RLIMIT_CORE 0 */
};

enum { SPAWN_FDS_MAX = 24 };

struct spawn_plan {
	const char *program;	 /* absolute path */
	char *const *argv;	 /* NULL-terminated */
	char *const *envp;	 /* NULL-terminated; NULL: empty environment */
	int stdin_fd;		 /* borrowed; < 0: /dev/null */
	int stdout_fd;		 /* borrowed; < 0: /dev/null */
	int stderr_fd;		 /* borrowed; < 0: /dev/null */
	const int *fds;		 /* borrowed; become 3, 4, ... in the child */
	size_t n_fds;
	const char *cwd;	 /* NULL: "/" */
	unsigned int flags;
};

/* Return: 0 with *RET_PID and *RET_PIDFD (caller owns) once exec succeeded; -errno of the failing step. */
int spawn_start(const struct spawn_plan *plan, pid_t *ret_pid, int *ret_pidfd);
/* Signals the process behind PIDFD. Return: 0; -ESRCH when it has ended; -errno. */
int spawn_kill(int pidfd, int signo);
