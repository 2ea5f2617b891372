/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role-control: caisson-net as the card of the control link: TCP of two fixed addresses to Unix sockets and back.
 *
 * Called by main once. Never dials, binds or opens anything.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "devices/net/control-card.h"
#include "devices/net/control.h"
#include "devices/net/host-unix.h"
#include "devices/net/jail-rules.h"
#include "devices/net/role.h"
#include "devices/net/stats.h"
#include "devices/net/watch.h"
#include "proto/control-link.h"

enum { FILES_OTHER = 64 };

static struct {
	struct loop *loop;
	struct host_unix host;
	struct tcp tcp;
	struct card card;
	struct control_card sink;
	struct control control;
	struct listener listeners[LISTEN_MAX];
	size_t n_listeners;
	int watch_fd;
} net; /* large, and zero until used */

static int on_host_sockets(void *data, int fd, uint32_t events)
{
	/* Events may arm timers: not from the last round's time, which may be hours ago. */
	tcp_now(&net.tcp, loop_now_us());
	return watch_dispatch(fd, tcp_host_event, &net.tcp);
}

static void collect(void *data, struct device_stats *ret)
{
	stats_collect(ret, &net.card, &net.tcp, NULL);
}

static int set_up_engine(void)
{
	struct tcp_config config = {
		.wire = &card_wire_ops,
		.wire_data = &net.card,
		.host = &host_unix_ops,
		.host_data = &net.host,
		.flows_max = role_files(FLOW_CONTROL_MAX, FILES_OTHER),
		.address = net_addr4(CONTROL_HOST_IP),
		.guest_address = net_addr4(CONTROL_GUEST_IP),
		.mac = CONTROL_HOST_MAC,
		.guest_mac = CONTROL_GUEST_MAC,
	};
	int r = host_unix_init(&net.host);

	if (r < 0)
		return log_errno(r, "looking at the kernel's Unix sockets");
	if (!config.flows_max)
		return log_errno(-EMFILE, "the limit of open files is too low");
	if (getrandom(config.hash_key, sizeof(config.hash_key), 0) != sizeof(config.hash_key))
		return log_errno(error_errno(), "getting random bytes");
	net.watch_fd = watch_new();
	if (net.watch_fd < 0)
		return log_errno(net.watch_fd, "making the epoll set");
	config.watch_fd = net.watch_fd;
	net.host.deliver = control_deliver;
	net.host.data = &net.control;
	tcp_init(&net.tcp, &config);
	net.sink.tcp = &net.tcp;
	return 0;
}

static int set_up(const struct role_options *options)
{
	int r = loop_new(&net.loop);

	if (r < 0)
		return log_errno(r, "making the event loop");
	r = set_up_engine();
	if (r < 0)
		return r;
	r = control_start(&net.control, net.loop, ROLE_FD_CONTROL, collect, NULL);
	if (r >= 0)
		r = loop_add_fd(net.loop, net.watch_fd, EPOLLIN, on_host_sockets, NULL, NULL);
	for (size_t i = 0; i < options->n_ports && r >= 0; i++, net.n_listeners++)
		r = listen_start(&net.listeners[i], net.loop, ROLE_FD_OWN + (int)i, options->ports[i], &net.tcp);
	if (r < 0)
		return log_errno(r, "using the inherited descriptors");
	r = card_start(&net.card, net.loop, ROLE_FD_VHOST, &control_card_sink, &net.sink, CARD_FEATURES_CONTROL, CONTROL_MTU);
	return r < 0 ? log_errno(r, "serving the vhost-user socket") : 0;
}

static int serve(void)
{
	int timeout = -1;
	int r = 0;

	while (r >= 0 && !net.card.ended && !net.control.ended) {
		uint64_t deadline;
		bool more;

		r = loop_step(net.loop, timeout);
		if (r < 0)
			break;
		tcp_now(&net.tcp, loop_now_us());
		more = card_drain(&net.card);
		tcp_timers(&net.tcp);
		more |= tcp_run(&net.tcp);
		card_flush(&net.card);
		deadline = tcp_deadline(&net.tcp);
		for (size_t i = 0; i < net.n_listeners && r >= 0; i++) {
			r = listen_follow(&net.listeners[i], net.tcp.up, net.tcp.now_us);
			if (listen_deadline(&net.listeners[i]) < deadline)
				deadline = listen_deadline(&net.listeners[i]);
		}
		timeout = more ? 0 : role_wait(deadline, net.tcp.now_us);
		if (timeout < 0)
			card_quiet(&net.card);
	}
	return r;
}

int role_control(const struct role_options *options)
{
	const struct jail_rule *rules;
	size_t n_rules = jail_rules_control(&rules);
	int r = role_drop(2 + options->n_ports);

	if (r >= 0)
		r = set_up(options);
	if (r >= 0)
		r = role_lock(rules, n_rules, false);
	if (r < 0)
		return r;
	r = control_ready(&net.control);
	if (r < 0)
		return log_errno(r, "telling the machine that the card is ready");
	return role_ended(serve(), &net.card);
}
