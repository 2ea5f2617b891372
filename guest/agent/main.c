/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-agent: answers the machine on the agent port and carries the control link inside the VM.
 *
 * Started and restarted by caisson-init with the descriptors of guest/init-link.h. Lives in a network
 * namespace of its own, which holds the control card and nothing else: no container has a route to it.
 *
 *   192.0.2.2:1001  -> /run/docker.sock     192.0.2.2:1002  -> echo
 *   log pipes       -> 192.0.2.1:2001       agent port      -> answers, or init
 *   port-proxies    -> agent port           bridges' subnets -> agent port
 *
 * States: WAITING for the card (nothing is read from the machine yet), then SERVING, confined. Never runs a
 * program, never takes a path or a command from anybody.
 */
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "guest/agent/card.h"
#include "guest/agent/confine.h"
#include "guest/agent/logs.h"
#include "guest/agent/nets.h"
#include "guest/agent/port.h"
#include "guest/agent/ports.h"
#include "guest/agent/relay.h"
#include "guest/agent/serve.h"
#include "guest/init-link.h"
#include "proto/control-link.h"

#define ENGINE_SOCKET "/run/docker.sock"
/* Descriptors besides those of relays: standard, inherited, loop, listeners, log link, spare pipes. */
enum { OTHER_FDS = 64 + STORE_SPARE_MAX * STORE_FDS };
enum { NOFILE = RELAY_MAX * RELAY_FDS + AGENT_PORTS_MAX + OTHER_FDS, PORTS_FEW = 16 };

struct agent {
	struct loop *loop;
	struct relay_set *relays;
	struct serve *engine, *echo;
	struct logs *logs;
	struct port *port;
	struct ports *ports;
	struct nets *nets;
	uint32_t max_ports;
	struct loop_source *link_source;
	bool serving;
};

static int tell_init(enum init_link_type type)
{
	struct init_link_message m = {.type = type};
	int r = chan_send(INIT_LINK_FD_LINK, &m, sizeof(m), NULL, 0);

	return r < 0 ? trace(r) : 0;
}

static int open_link(struct agent *agent, int ifindex)
{
	static const struct serve_plan engine = {CONTROL_GUEST_IP, CONTROL_PORT_ENGINE, ENGINE_SOCKET};
	static const struct serve_plan echo = {CONTROL_GUEST_IP, CONTROL_PORT_ECHO, NULL};
	int r;

	r = card_setup(ifindex);
	if (r < 0)
		return log_errno(r, "setting up the control card %d", ifindex);
	r = serve_new(agent->loop, agent->relays, &engine, &agent->engine);
	if (r < 0)
		return log_errno(r, "listening for the engine");
	r = serve_new(agent->loop, agent->relays, &echo, &agent->echo);
	if (r < 0)
		return log_errno(r, "listening for the echo");
	return logs_connect(agent->logs, CONTROL_HOST_IP, CONTROL_PORT_LOG);
}

static void on_port_result(void *data, uint32_t id, uint32_t status)
{
	struct agent *agent = data;

	if (agent->ports)
		ports_result(agent->ports, id, status);
}

static int on_port_writable(void *data)
{
	struct agent *agent = data;
	int r = agent->ports ? ports_flush(agent->ports) : 0;

	if (r >= 0 && agent->nets)
		r = nets_flush(agent->nets);
	return r;
}

static int open_ports(struct agent *agent)
{
	const struct port_hooks hooks = {on_port_result, on_port_writable, agent};
	int r;

	port_set_hooks(agent->port, &hooks);
	r = ports_new(agent->loop, INIT_LINK_FD_PORTS, agent->port, agent->max_ports, &agent->ports);
	if (r >= 0)
		r = nets_new(agent->loop, INIT_LINK_FD_ROUTE, agent->port, &agent->nets);
	return r;
}

/* WAITING -> SERVING. */
static int start_serving(struct agent *agent, uint64_t ifindex)
{
	int r;

	if (ifindex != 0) {
		r = open_link(agent, (int)ifindex);
		if (r < 0)
			return r;
	}
	r = port_new(agent->loop, INIT_LINK_FD_PORT, INIT_LINK_FD_LINK, &agent->port);
	if (r < 0)
		return log_errno(r, "opening the agent port");
	r = open_ports(agent);
	if (r < 0)
		return log_errno(r, "opening the ports");
	r = confine();
	if (r < 0)
		return log_errno(r, "giving up privileges");
	agent->serving = true;
	if (ifindex == 0)
		return 0;
	return tell_init(INIT_LINK_UP);
}

static int on_link(void *data, int fd, uint32_t events _unused_)
{
	struct agent *agent = data;
	struct init_link_message m;
	size_t n_fds = 0;
	ssize_t n = chan_recv(fd, &m, sizeof(m), NULL, &n_fds);

	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return log_errno((int)n, "reading from init");
	if (n == 0) {
		log_info("init closed the link");
		loop_exit(agent->loop, 0);
		return -ECANCELED;
	}
	if (n != sizeof(m) || m.reserved != 0 || m.type != INIT_LINK_CARD || agent->serving || m.value > INT_MAX)
		return log_errno(-EBADMSG, "message from init");
	return start_serving(agent, m.value);
}

static int add_logs(struct agent *agent)
{
	static const struct {
		int fd;
		const char *name;
	} units[] = {
		{INIT_LINK_FD_LOG_CONTAINERD, "containerd"},
		{INIT_LINK_FD_LOG_DOCKERD, "dockerd"},
		{INIT_LINK_FD_LOG_INIT, "init"},
	};
	int r = logs_new(agent->loop, &agent->logs);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(units); i++)
		r = logs_add(agent->logs, units[i].name, units[i].fd);
	return r;
}

/* Return: number of relays the limit on descriptors allows. */
static uint32_t raise_limits(struct agent *agent)
{
	struct rlimit limit = {.rlim_cur = NOFILE, .rlim_max = NOFILE};

	agent->max_ports = AGENT_PORTS_MAX;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return RELAY_MAX;
	agent->max_ports = PORTS_FEW;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < OTHER_FDS + RELAY_FDS)
		return 1;
	if (limit.rlim_cur >= NOFILE) {
		agent->max_ports = AGENT_PORTS_MAX;
		return RELAY_MAX;
	}
	return (uint32_t)((limit.rlim_cur - OTHER_FDS) / RELAY_FDS);
}

static int setup(struct agent *agent)
{
	static const int keep[] = {INIT_LINK_FD_PORT, INIT_LINK_FD_LINK, INIT_LINK_FD_LOG_CONTAINERD,
				   INIT_LINK_FD_LOG_DOCKERD, INIT_LINK_FD_LOG_INIT, INIT_LINK_FD_PORTS,
				   INIT_LINK_FD_ROUTE};
	int r;

	r = fd_close_others(keep, ARRAY_SIZE(keep));
	if (r < 0)
		return log_errno(r, "closing foreign descriptors");
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		r = fd_set_nonblock(keep[i], true);
		if (r < 0)
			return log_errno(r, "descriptor %d", keep[i]);
	}
	if (unshare(CLONE_NEWNET) < 0)
		return log_errno(error_errno(), "making the network namespace");
	r = loop_new(&agent->loop);
	if (r >= 0)
		r = relay_set_new(agent->loop, raise_limits(agent), RELAY_LINGER_US, &agent->relays);
	if (r >= 0)
		r = add_logs(agent);
	if (r >= 0)
		r = loop_add_fd(agent->loop, INIT_LINK_FD_LINK, EPOLLIN, on_link, agent, &agent->link_source);
	if (r < 0)
		return log_errno(r, "setting up");
	return tell_init(INIT_LINK_NETNS_READY);
}

int main(void)
{
	static struct agent agent;
	int r;

	if (fd_populate_std() < 0)
		return EXIT_FAILURE;
	/* splice(2) into a socket whose peer is gone. */
	signal(SIGPIPE, SIG_IGN);
	log_open("caisson-agent", STDERR_FILENO, LOG_INFO);
	log_info("version %s", CAISSON_VERSION);
	r = setup(&agent);
	while (r >= 0) {
		r = loop_step(agent.loop, relay_set_pending(agent.relays) ? 0 : -1);
		relay_set_run(agent.relays);
	}
	if (r == -ECANCELED)
		return EXIT_SUCCESS;
	log_error("ending: %s", strerror(-r));
	return EXIT_FAILURE;
}
