/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-port-proxy: stands in for docker-proxy in the VM.
 *
 * dockerd starts one per published port and reads "0\n" or "1\n" and a sentence from descriptor 3. The port is published on
 * the host, by asking caisson-agent, for as long as this process lives; nothing passes through it but what the VM itself sends to
 * its own loopback. With -hold (by the iptables wrapper) it is a swarm service's port, on both any addresses, to the VM's own.
 * Ends with SIGTERM or SIGINT. Never: listens on an address that a container or the host can reach, opens a path but PORT_LINK_PATH
 * and its lock.
 */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "guest/port-link.h"
#include "guest/port-proxy/args.h"
#include "guest/port-proxy/hold.h"
#include "guest/port-proxy/local.h"
#include "guest/port-proxy/publish.h"
#include "proto/agent.h"

/* dockerd gives up after 16 s. */
enum { REPORT_FD = 3, ANSWER_US = 12000000, HOLD_ADDRESSES = 2 };

struct proxy {
	struct args args;
	struct loop *loop;
	struct loop_source *timeout;
	struct publish *publish[HOLD_ADDRESSES];
	struct local *local;
	bool reported, ending;
	int code;
};

static void report(struct proxy *proxy, uint32_t status)
{
	char text[2 + ARGS_WORDS_MAX] = "0\n";

	if (proxy->reported || proxy->args.mode != ARGS_PROXY)
		return;
	proxy->reported = true;
	if (status != AGENT_PORT_OK) {
		memcpy(text, "1\n", 2);
		args_words(&proxy->args, status, text + 2);
	}
	(void)fd_write_all(REPORT_FD, text, strlen(text));
	fd_close(REPORT_FD);
	if (status != AGENT_PORT_OK) {
		proxy->ending = true;
		proxy->code = 1;
	}
}

static void on_answer(void *data, uint32_t status)
{
	struct proxy *proxy = data;

	loop_timer_set(proxy->timeout, UINT64_MAX);
	report(proxy, status);
}

static int on_timeout(void *data)
{
	report(data, AGENT_PORT_UNAVAILABLE);
	return 0;
}

static int on_signal(void *data, int signo _unused_)
{
	struct proxy *proxy = data;

	proxy->ending = true;
	return 0;
}

/* Root without its powers: enough for the agent's socket, which is root's. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
		return trace(error_errno());
	return 0;
}

static int start_publish(struct proxy *proxy, size_t i, const struct net_addr *host)
{
	const struct args *a = &proxy->args;
	struct publish_config config = {
		.path = PORT_LINK_PATH,
		.request = {.magic = PORT_LINK_MAGIC, .udp = a->protocol == ARGS_UDP, .host_port = a->host_port,
			    .target_port = a->target_port, .host = *host, .target = a->target},
		.answer = on_answer,
		.data = proxy,
	};

	return publish_new(proxy->loop, &config, &proxy->publish[i]);
}

static int start(struct proxy *proxy)
{
	static const struct net_addr any6;
	const struct net_addr any4 = net_addr4(0);
	struct args *a = &proxy->args;
	int r;

	if (a->mode == ARGS_HOLD) {
		r = hold_own_address(&a->target);
		a->target_port = a->host_port;
		if (!r)
			r = start_publish(proxy, 0, &any4);
		if (!r)
			r = start_publish(proxy, 1, &any6);
	} else {
		r = start_publish(proxy, 0, &a->host);
		/* The one thing that needs a capability, below port 1024. */
		if (!r && a->protocol == ARGS_TCP)
			(void)local_new(proxy->loop, &a->host, a->host_port, &a->target, a->target_port, &proxy->local);
	}
	return r;
}

static int setup(struct proxy *proxy)
{
	struct loop_source *ignored;
	int r = loop_new(&proxy->loop);

	if (!r)
		r = loop_add_signal(proxy->loop, SIGTERM, on_signal, proxy, &ignored);
	if (!r)
		r = loop_add_signal(proxy->loop, SIGINT, on_signal, proxy, &ignored);
	if (!r)
		r = loop_add_timer(proxy->loop, on_timeout, proxy, &proxy->timeout);
	if (!r)
		r = loop_timer_set(proxy->timeout, ANSWER_US);
	if (!r)
		r = start(proxy);
	return r ? r : drop_capabilities();
}

static int run(struct proxy *proxy)
{
	int r = setup(proxy);

	while (r >= 0 && !proxy->ending) {
		r = loop_step(proxy->loop, local_pending(proxy->local) ? 0 : -1);
		local_run(proxy->local);
	}
	return r < 0 ? 1 : proxy->code;
}

int main(int argc, char **argv)
{
	static struct proxy proxy;

	signal(SIGPIPE, SIG_IGN);
	if (args_parse(&proxy.args, argc, argv) < 0) {
		(void)dprintf(2, "caisson-port-proxy: arguments as of docker-proxy are needed\n");
		(void)dprintf(REPORT_FD, "1\nport-proxy: bad arguments");
		return 2;
	}
	if (proxy.args.mode == ARGS_UNHOLD || proxy.args.mode == ARGS_UNHOLD_ALL)
		return hold_end(&proxy.args) < 0;
	if (proxy.args.protocol == ARGS_SCTP) {
		report(&proxy, AGENT_PORT_UNSUPPORTED);
		return 1;
	}
	if (proxy.args.mode == ARGS_HOLD && hold_begin(&proxy.args) < 0)
		return 1;
	return run(&proxy);
}
