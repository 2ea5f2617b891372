/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-process: see net-process.h.
 */
#include "machine/net-process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/spawn.h"
#include "proto/control-link.h"

enum { BACKOFF_FIRST_US = 20000, BACKOFF_MAX_US = 2000000, LISTEN_RETRY_US = 5000,
       LISTEN_WAIT_US = 10000000 };

struct net_process {
	struct loop *loop;
	struct net_process_config config;
	pid_t pid;
	int pidfd, control_fd;
	struct loop_source *child, *control, *timer;
	struct log_stream *err;
	struct log_stream *flows[NET_LOG_FLOWS_MAX];
	uint64_t failures[NET_FAILURES_MAX]; /* ring of times */
	unsigned int n_failures;
	uint64_t born_us;
	bool connected_once, given_up; /* given up: no further start */
};

static const char *card_name(const struct net_process *net)
{
	return net->config.card == PLAN_CARD_DATA ? "data" : "control";
}

static void on_err_end(void *data, struct log_stream *stream)
{
	struct net_process *net = data;

	net->err = NULL;
}

static void on_flow_end(void *data, struct log_stream *stream)
{
	struct net_process *net = data;

	for (size_t i = 0; i < NET_LOG_FLOWS_MAX; i++)
		if (net->flows[i] == stream)
			net->flows[i] = NULL;
}

static void take_flow(struct net_process *net, uint16_t port, int consume_fd)
{
	for (size_t i = 0; i < NET_LOG_FLOWS_MAX && port == CONTROL_PORT_LOG; i++) {
		if (net->flows[i])
			continue;
		if (log_stream_new(net->loop, consume_fd, net->config.vm_log, NULL, on_flow_end, net,
				   &net->flows[i]))
			net->flows[i] = NULL;
		return;
	}
	log_limited(LOG_WARNING, "the VM asked for port %u of the host: refused", port);
	fd_close(consume_fd);
}

static int on_control(void *data, int fd, uint32_t events)
{
	struct net_process *net = data;
	uint8_t buf[DEVICE_FRAME_MAX];
	struct device_message m;
	int fds[1] = {-EBADF};
	size_t n_fds = 1;
	ssize_t n = chan_recv(fd, buf, sizeof(buf), fds, &n_fds);

	if (n == -EAGAIN || n == -EMSGSIZE)
		return 0;
	if (n <= 0) {
		net->control = loop_source_free(net->control); /* its end follows */
		return 0;
	}
	if (device_decode(&m, buf, (size_t)n, n_fds) ||
	    (m.type == DEVICE_FLOW && net->config.card != PLAN_CARD_CONTROL)) {
		log_limited(LOG_WARNING, "net of the %s card sent a message that is none", card_name(net));
		if (n_fds)
			fd_close(fds[0]);
		spawn_kill(net->pidfd, SIGKILL);
		return 0;
	}
	if (m.type == DEVICE_FLOW)
		take_flow(net, m.flow.port, fds[0]);
	else if (m.type == DEVICE_STATS)
		net->config.stats(net->config.data, net->config.card, &m.stats);
	return 0;
}

static void forget(struct net_process *net)
{
	net->child = loop_source_free(net->child);
	net->control = loop_source_free(net->control);
	net->control_fd = fd_close(net->control_fd);
	net->pidfd = fd_close(net->pidfd);
	net->err = log_stream_free(net->err);
	net->pid = 0;
}

/* Counts one failure. Return: the pause before the next start, or UINT64_MAX when there were too many. */
static uint64_t back_off(struct net_process *net)
{
	uint64_t now = loop_now_us(), pause = BACKOFF_FIRST_US;
	unsigned int recent = 0;

	net->failures[net->n_failures++ % NET_FAILURES_MAX] = now;
	for (size_t i = 0; i < NET_FAILURES_MAX; i++)
		if (net->failures[i] && now - net->failures[i] < NET_FAILURES_WINDOW_US)
			recent++;
	if (recent >= NET_FAILURES_MAX)
		return UINT64_MAX;
	for (unsigned int i = 1; i < recent && pause < BACKOFF_MAX_US; i++)
		pause *= 3;
	return pause < BACKOFF_MAX_US ? pause : BACKOFF_MAX_US;
}

static void schedule(struct net_process *net)
{
	struct fault fault = FAULT_INIT;
	uint64_t pause = back_off(net);

	if (pause != UINT64_MAX) {
		loop_timer_set(net->timer, pause);
		return;
	}
	fault_set(&fault, -ECONNABORTED,
		  "The network process of the %s card ended %d times within %d seconds. See net.log; then stop and "
		  "start again.",
		  card_name(net), NET_FAILURES_MAX, (int)(NET_FAILURES_WINDOW_US / 1000000));
	if (net->config.failed(net->config.data, &fault))
		net->given_up = true;
	else
		loop_timer_set(net->timer, BACKOFF_MAX_US);
}

static int on_child(void *data, pid_t pid, int status)
{
	struct net_process *net = data;

	if (status == 0)
		log_info("net of the %s card (pid %d) ended", card_name(net), (int)pid);
	else
		log_warning("net of the %s card (pid %d) ended with %s %d", card_name(net), (int)pid, status < 0 ? "signal" : "code",
			    status < 0 ? -status : status);
	forget(net);
	if (!net->given_up)
		schedule(net);
	return 0;
}

/* Both ends of what a start needs; all are closed with the scope unless taken. */
struct net_ends {
	int vhost, control_far, err_read, err_write, link_near, link_far;
};

static void net_ends_done(struct net_ends *e)
{
	fd_close(e->vhost);
	fd_close(e->control_far);
	fd_close(e->err_read);
	fd_close(e->err_write);
	fd_close(e->link_near);
	fd_close(e->link_far);
}

static int connect_vhost(struct net_process *net, struct net_ends *e, struct fault *fault)
{
	/* Never waits: a QEMU that does not accept must not hang its machine. */
	e->vhost = sock_connect_at(net->config.run_dir_fd, net->config.vhost_name, SOCK_STREAM | SOCK_NONBLOCK);
	if (e->vhost < 0)
		return trace(fault_set(fault, e->vhost, "The socket of the %s card does not answer: %s.",
				       card_name(net), strerror(-e->vhost)));
	fd_set_nonblock(e->vhost, false);
	/* QEMU made the socket, with the mode its umask leaves; the directory is 0700 whatever this says. */
	if (!net->connected_once && fchmodat(net->config.run_dir_fd, net->config.vhost_name, 0600, 0) < 0)
		log_warning("mode of %s: %m", net->config.vhost_name);
	net->connected_once = true;
	return 0;
}

static int make_ends(struct net_process *net, struct net_ends *e)
{
	int pair[2], r = sock_pair(SOCK_SEQPACKET, pair);

	if (r)
		return trace(r);
	net->control_fd = pair[0];
	e->control_far = pair[1];
	r = fd_set_nonblock(net->control_fd, true);
	if (!r && net->config.card == PLAN_CARD_DATA) {
		r = sock_pair(SOCK_SEQPACKET, pair);
		if (!r) {
			e->link_near = pair[0];
			e->link_far = pair[1];
		}
	}
	if (r)
		return trace(r);
	if (pipe2(pair, O_CLOEXEC) < 0)
		return trace(error_errno());
	e->err_read = pair[0];
	e->err_write = pair[1];
	return 0;
}

static int spawn_net(struct net_process *net, const struct net_ends *e)
{
	_cleanup_free_ struct plan *plan = malloc(sizeof(*plan));
	bool data = net->config.card == PLAN_CARD_DATA;
	int fds[] = {e->vhost, e->control_far, data ? e->link_far : net->config.engine_fd, net->config.echo_fd};
	int r;

	if (!plan)
		return trace(-ENOMEM);
	r = plan_net(plan, net->config.card);
	if (r)
		return r;
	return spawn_start(&(struct spawn_plan){.program = net->config.program, .argv = plan->argv,
						.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = e->err_write,
						.fds = fds, .n_fds = plan->n_fds,
						.flags = SPAWN_NODUMP | SPAWN_SETSID},
			   &net->pid, &net->pidfd);
}

static int watch_net(struct net_process *net, struct net_ends *e)
{
	int r = loop_add_child(net->loop, net->pidfd, net->pid, on_child, net, &net->child);

	if (!r)
		r = loop_add_fd(net->loop, net->control_fd, EPOLLIN, on_control, net, &net->control);
	if (!r)
		r = log_stream_new(net->loop, take_fd(e->err_read), net->config.net_log, card_name(net), on_err_end, net,
				   &net->err);
	if (!r && net->config.card == PLAN_CARD_DATA)
		r = net->config.link(net->config.data, take_fd(e->link_near));
	return r;
}

static int start(struct net_process *net, struct fault *fault)
{
	_cleanup_(net_ends_done) struct net_ends ends = {-EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF};
	int r = connect_vhost(net, &ends, fault);

	if (r)
		return r;
	r = make_ends(net, &ends);
	if (r)
		return trace(fault_set(fault, r, "No sockets for the network process: %s.", strerror(-r)));
	r = spawn_net(net, &ends);
	if (r)
		return trace(fault_set(fault, r, "The network process %s cannot be started: %s.", net->config.program,
				       strerror(-r)));
	r = watch_net(net, &ends);
	if (r)
		return trace(fault_set(fault, r, "The network process cannot be watched: %s.", strerror(-r)));
	log_info("net of the %s card started (pid %d)", card_name(net), (int)net->pid);
	return 0;
}

static void end_process(struct net_process *net)
{
	if (net->pid > 0) {
		spawn_kill(net->pidfd, SIGKILL);
		waitpid(net->pid, NULL, 0);
	}
	forget(net);
}

static int on_timer(void *data)
{
	struct net_process *net = data;
	struct fault fault = FAULT_INIT;
	int r;

	if (net->given_up)
		return 0;
	r = start(net, &fault);
	if (!r)
		return 0;
	/* QEMU binds the socket while it starts. */
	if (!net->connected_once && loop_now_us() - net->born_us < LISTEN_WAIT_US) {
		loop_timer_set(net->timer, LISTEN_RETRY_US);
		return 0;
	}
	log_warning("%s", fault.text);
	end_process(net);
	schedule(net);
	return 0;
}

int net_process_new(struct loop *loop, const struct net_process_config *config, struct net_process **ret,
		    struct fault *fault)
{
	struct net_process *net = calloc(1, sizeof(*net));
	int r;

	if (!net)
		return trace(fault_set(fault, -ENOMEM, "No memory for the network process."));
	net->loop = loop;
	net->config = *config;
	net->pidfd = net->control_fd = -EBADF;
	r = loop_add_timer(loop, on_timer, net, &net->timer);
	net->born_us = loop_now_us();
	if (!r)
		r = loop_timer_set(net->timer, LISTEN_RETRY_US);
	if (r) {
		net_process_free(net);
		return r;
	}
	*ret = net;
	return 0;
}

struct net_process *net_process_free(struct net_process *net)
{
	if (!net)
		return NULL;
	end_process(net);
	for (size_t i = 0; i < NET_LOG_FLOWS_MAX; i++)
		log_stream_free(net->flows[i]);
	loop_source_free(net->timer);
	free(net);
	return NULL;
}

int net_process_ask_stats(struct net_process *net)
{
	struct device_message m = {.type = DEVICE_STATS_GET};
	uint8_t buf[DEVICE_FRAME_MAX];
	int r;

	if (!net || net->control_fd < 0)
		return -ENOTCONN;
	r = device_encode(&m, buf);
	return r < 0 ? r : chan_send(net->control_fd, buf, (size_t)r, NULL, 0);
}

void net_process_expect_end(struct net_process *net)
{
	if (net)
		net->given_up = true;
}

pid_t net_process_pid(const struct net_process *net)
{
	return net ? net->pid : 0;
}
