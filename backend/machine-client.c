/* SPDX-License-Identifier: Apache-2.0 */
/* machine-client: see the header. A machine that breaks the protocol is killed: it is our own program, so it is damaged. */
#include "backend/machine-client.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/spawn.h"

enum { EOF_GRACE_US = 20000000, RESULTS_MAX = 2 * NETCTL_PORTS_MAX };

struct machine_client {
	struct loop *loop;
	int fd, pidfd;
	pid_t pid;
	struct loop_source *source, *child, *timer;
	struct machine_hooks hooks;
	size_t first_result, n_results; /* answers about ports that wait for room: the guest decides how many there are */
	struct { uint32_t id, status; } result[RESULTS_MAX];
};

static int send_message(struct machine_client *c, const struct machine_message *message)
{
	char buf[MACHINE_FRAME_MAX];
	int r = machine_encode(message, buf, sizeof(buf));

	if (r < 0)
		return trace(r);
	return c->fd < 0 ? -ENOTCONN : chan_send(c->fd, buf, (size_t)r, NULL, 0);
}

/* A machine that ended with something of ours unread resets the socket; the error comes once, and before the records it
 * had sent: among them the reason of its end. *RET_FD is -EBADF or the caller's. */
static ssize_t receive(const struct machine_client *c, char buf[static MACHINE_FRAME_MAX], int *ret_fd)
{
	ssize_t n = -ECONNRESET;

	for (int i = 0; i < 2 && n == -ECONNRESET; i++) {
		size_t n_fds = 1;

		*ret_fd = -EBADF;
		n = chan_recv(c->fd, buf, MACHINE_FRAME_MAX, ret_fd, &n_fds);
		if (n < 0 || n_fds == 0)
			*ret_fd = -EBADF;
	}
	return n;
}

/* Return: 0; -EBADMSG with FAULT, the descriptor being closed. */
static int decode(struct machine_message *ret, const char *buf, size_t n, int fd, struct fault *fault)
{
	int r = machine_decode(ret, buf, n, fault);

	if (r >= 0 && (fd >= 0) != (machine_n_fds(ret->type) > 0))
		r = fault_set(fault, -EBADMSG, "a descriptor is missing or too many");
	if (r < 0)
		fd_close(fd);
	return r;
}

static void hang_up(struct machine_client *c, uint64_t grace_us)
{
	c->source = loop_source_free(c->source);
	c->fd = fd_close(c->fd);
	(void)loop_timer_set(c->timer, grace_us);
}

/* Answers take at most the quarter of the socket's buffer after which poll says no: a shutdown always finds room. */
static void send_results(struct machine_client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};

	while (c->n_results && poll(&p, 1, 0) == 1 && p.revents & POLLOUT) {
		struct machine_message message = {.type = MACHINE_PORT_RESULT, .port_result = {c->result[c->first_result].id,
											       c->result[c->first_result].status}};

		if (send_message(c, &message) == -EAGAIN)
			break;
		/* Another error: the machine is gone, which its socket says too. */
		c->first_result = (c->first_result + 1) % RESULTS_MAX;
		c->n_results--;
	}
	if (c->source)
		(void)loop_source_set_events(c->source, EPOLLIN | (c->n_results ? EPOLLOUT : 0));
}

static int on_ready(void *data, int fd, uint32_t events)
{
	struct machine_client *c = data;
	struct machine_message message;
	struct fault fault = FAULT_INIT;
	char buf[MACHINE_FRAME_MAX];
	int passed_fd;
	ssize_t n;

	if (events & EPOLLOUT)
		send_results(c);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	n = receive(c, buf, &passed_fd);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		hang_up(c, EOF_GRACE_US);
		return 0;
	}
	if (decode(&message, buf, (size_t)n, passed_fd, &fault) < 0) {
		log_error("machine: a message that is not in the protocol (%s); it is killed", fault.text);
		hang_up(c, 0);
		return 0;
	}
	c->hooks.message(c->hooks.data, &message, passed_fd);
	return 0;
}

static int on_timer(void *data)
{
	machine_client_kill(data);
	return 0;
}

static int on_child(void *data, pid_t pid, int status)
{
	struct machine_client *c = data;

	/* What it said last is still in the socket. */
	while (c->source) {
		struct machine_message message;
		char buf[MACHINE_FRAME_MAX];
		int passed_fd;
		ssize_t n = receive(c, buf, &passed_fd);

		if (n <= 0 || decode(&message, buf, (size_t)n, passed_fd, NULL) < 0)
			break;
		c->hooks.message(c->hooks.data, &message, passed_fd);
	}
	c->hooks.end(c->hooks.data, status);
	return 0;
}

static int spawn(struct machine_client *c, const char *program, const char *home, int log_fd, int lock_fd, int peer_fd)
{
	char home_env[PATH_MAX + 8], path_env[PATH_MAX + 8];
	char *argv[] = {(char *)"caisson-machine", NULL};
	char *envp[] = {home_env, path_env, (char *)"CAISSON_TRACE=1", NULL};
	const char *path = getenv("PATH");
	struct spawn_plan plan = {.program = program, .argv = argv, .envp = envp, .stdin_fd = lock_fd, .stdout_fd = -EBADF,
				  .stderr_fd = log_fd, .fds = &peer_fd, .n_fds = 1,
				  .flags = SPAWN_OUTLIVE | SPAWN_SETSID | SPAWN_NODUMP};

	/* A short environment: nothing of the user's (tokens, proxies) travels on. */
	snprintf(home_env, sizeof(home_env), "HOME=%s", home);
	snprintf(path_env, sizeof(path_env), "PATH=%s", path && strlen(path) < PATH_MAX ? path : "/usr/bin:/bin");
	if (!getenv("CAISSON_TRACE"))
		envp[2] = NULL;
	return spawn_start(&plan, &c->pid, &c->pidfd);
}

int machine_client_start(struct loop *loop, const char *program, const char *home, int log_fd, int lock_fd,
			 const struct machine_plan *plan, const struct machine_hooks *hooks,
			 struct machine_client **ret, struct fault *fault)
{
	struct machine_client *c = calloc(1, sizeof(*c));
	struct machine_message launch = {.type = MACHINE_LAUNCH, .launch = *plan};
	int fds[2], r;

	if (!c)
		return fault_set(fault, -ENOMEM, "There is no memory to start the machine.");
	*c = (struct machine_client){.loop = loop, .fd = -EBADF, .pidfd = -EBADF, .hooks = *hooks};
	r = sock_pair(SOCK_SEQPACKET, fds);
	if (r >= 0) {
		c->fd = fds[0];
		r = spawn(c, program, home, log_fd, lock_fd, fds[1]);
		fd_close(fds[1]);
	}
	if (r < 0) {
		fault_set(fault, r, "%s cannot be started: %s. Is the installation complete?", program, strerror(-r));
		machine_client_free(c);
		return r;
	}
	r = fd_set_nonblock(c->fd, true);
	if (r >= 0)
		r = loop_add_timer(loop, on_timer, c, &c->timer);
	if (r >= 0)
		r = loop_add_child(loop, c->pidfd, c->pid, on_child, c, &c->child);
	if (r >= 0)
		r = loop_add_fd(loop, c->fd, EPOLLIN, on_ready, c, &c->source);
	if (r >= 0)
		r = send_message(c, &launch);
	/* It is gone already: on_child will say so with its exit status. */
	if (r == -EPIPE || r == -ECONNRESET)
		r = 0;
	if (r < 0) {
		fault_set(fault, r, "The machine cannot be told what to start: %s.", strerror(-r));
		machine_client_kill(c);
		machine_client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

pid_t machine_client_pid(const struct machine_client *c)
{
	return c->pid;
}

int machine_client_shutdown(struct machine_client *c, uint32_t deadline_ms, bool force)
{
	struct machine_message message = {.type = MACHINE_SHUTDOWN, .shutdown = {deadline_ms, force}};

	return send_message(c, &message);
}

int machine_client_ask_stats(struct machine_client *c)
{
	struct machine_message message = {.type = MACHINE_STATS_GET};

	return send_message(c, &message);
}

int machine_client_port_result(struct machine_client *c, uint32_t id, uint32_t status)
{
	size_t at = (c->first_result + c->n_results) % RESULTS_MAX;

	if (c->fd < 0)
		return -ENOTCONN;
	if (c->n_results == RESULTS_MAX)
		return -ENOBUFS;
	c->result[at].id = id;
	c->result[at].status = status;
	if (!c->n_results++)
		send_results(c);
	return 0;
}

void machine_client_kill(struct machine_client *c)
{
	if (c->pidfd >= 0)
		(void)spawn_kill(c->pidfd, SIGKILL);
}

struct machine_client *machine_client_free(struct machine_client *c)
{
	if (!c)
		return NULL;
	loop_source_free(c->source);
	loop_source_free(c->child);
	loop_source_free(c->timer);
	fd_close(c->fd);
	fd_close(c->pidfd);
	free(c);
	return NULL;
}
