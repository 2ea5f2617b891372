/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role-data: caisson-net as the card of the containers: every flow of the VM is an ordinary socket of the user.
 *
 * The machine starts it with 3 vhost-user, 4 device control, 5 the link to the backend, which tells all there is to know. Until
 * then the guest's frames are dropped. Called by main once. Never binds, listens or opens anything.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "devices/net/capture.h"
#include "devices/net/control.h"
#include "devices/net/data-card.h"
#include "devices/net/echo.h"
#include "devices/net/host-inet.h"
#include "devices/net/jail-rules.h"
#include "devices/net/link.h"
#include "devices/net/role.h"
#include "devices/net/stats.h"
#include "devices/net/watch.h"
#include "proto/data-card.h"

enum {
	/* Beside TCP flows: flows of UDP and echo, published ports, DNS's sockets and connections, kicks, and the rest. */
	FILES_OTHER = UDP_FLOWS_MAX + ECHO_FLOWS_MAX + NETCTL_PORTS_MAX + 1024,
	FILES_OTHER_MIN = 1024,
	FLOWS_MIN = 64,
	QUIET_US = 10000000, /* without a frame: the guest's touched pages go back */
};

static struct {
	struct loop *loop;
	struct host_inet host;
	struct tcp tcp;
	struct udp *udp;
	struct dns *dns;
	struct echo *echo;
	struct publish *publish;
	struct policy policy;
	struct capture capture;
	struct card card;
	struct data_card data_card;
	struct control control;
	struct link link;
	int watch_fd;
	uint32_t flows_max;
	uint64_t now_us;
	uint64_t frames, quiet_us; /* moved so far, and when the card counts as quiet unless more come */
} net; /* large, and zero until used */

static void set_now(uint64_t now_us)
{
	net.now_us = now_us;
	tcp_now(&net.tcp, now_us);
	udp_now(net.udp, now_us);
	dns_now(net.dns, now_us);
	data_card_now(&net.data_card, now_us);
}

static void on_host_event(void *data, uint64_t handle, uint32_t events)
{
	if (handle & UDP_HANDLE)
		udp_host_event(net.udp, handle, events);
	else if ((handle & PUBLISH_HANDLE) == PUBLISH_HANDLE)
		publish_host_event(net.publish, handle, events);
	else if (handle & DNS_HANDLE)
		dns_host_event(net.dns, handle, events);
	else if (handle & ECHO_HANDLE)
		echo_host_event(net.echo, handle, events);
	else
		tcp_host_event(&net.tcp, handle, events);
}

static int on_host_sockets(void *data, int fd, uint32_t events)
{
	/* Events may arm timers: not from the last round's time, which may be hours ago. */
	set_now(loop_now_us());
	return watch_dispatch(fd, on_host_event, NULL);
}

static void collect(void *data, struct device_stats *ret)
{
	struct udp_stats udp;

	udp_get_stats(net.udp, &udp);
	stats_collect(ret, &net.card, &net.tcp, &udp);
}

static int send_local(void *data, const struct flow_key *key, const void *payload, size_t len)
{
	return udp_send_local(net.udp, key, payload, len);
}

/* As many flows as the limit of open files allows beside the rest. */
static uint32_t flows_allowed(void)
{
	uint32_t n = role_files(FLOW_MAX, FILES_OTHER);

	/* Too few for all: TCP gets most of what there is, and sockets that fail later are refusals, not accidents. */
	if (n < FLOW_MAX)
		n = role_files(FLOW_MAX + FILES_OTHER, FILES_OTHER_MIN) / 4 * 3;
	return n < FLOW_MAX ? n : FLOW_MAX;
}

static int start_tcp(void)
{
	struct tcp_config config = {
		.wire = &card_wire_ops,
		.wire_data = &net.card,
		.host = &host_inet_ops,
		.host_data = &net.host,
		.watch_fd = net.watch_fd,
		.flows_max = net.flows_max,
		.mac = DATA_HOST_MAC,
		.guest_mac = DATA_GUEST_MAC,
		.looks_after = true,
		.icmp = &net.data_card.icmp,
		.ended = publish_flow_ended,
	};

	if (getrandom(config.hash_key, sizeof(config.hash_key), 0) != sizeof(config.hash_key))
		return log_errno(error_errno(), "getting random bytes");
	net.publish = publish_init(&(struct publish_config){net.watch_fd, &net.tcp, net.udp});
	config.ended_data = net.publish;
	tcp_init(&net.tcp, &config);
	return 0;
}

static int start_parts(void)
{
	struct udp_config udp = {.wire = &card_wire_ops, .wire_data = &net.card, .watch_fd = net.watch_fd, .policy = &net.policy,
				 .icmp = &net.data_card.icmp, .mac = DATA_HOST_MAC, .guest_mac = DATA_GUEST_MAC};
	struct echo_config echo = {.wire = &card_wire_ops, .wire_data = &net.card, .watch_fd = net.watch_fd,
				   .policy = &net.policy, .icmp = &net.data_card.icmp, .mac = DATA_HOST_MAC,
				   .guest_mac = DATA_GUEST_MAC};
	struct dns_config dns = {.watch_fd = net.watch_fd, .policy = &net.policy, .answer = send_local};
	int r = host_inet_init(&net.host);

	if (r < 0)
		return log_errno(r, "looking at the kernel's TCP sockets");
	if (getrandom(udp.hash_key, sizeof(udp.hash_key), 0) != sizeof(udp.hash_key))
		return log_errno(error_errno(), "getting random bytes");
	net.udp = udp_init(&udp);
	net.dns = dns_init(&dns);
	net.echo = echo_init(&echo);
	if (!net.udp || !net.dns || !net.echo)
		return log_errno(-EIO, "setting up UDP, DNS and echo");
	net.data_card = (struct data_card){
		.wire = &card_wire_ops, .wire_data = &net.card, .tcp = &net.tcp, .udp = net.udp, .dns = net.dns, .echo = net.echo,
		.policy = &net.policy, .mac = DATA_HOST_MAC, .guest_mac = DATA_GUEST_MAC, .mtu = DATA_MTU_DEFAULT,
		.icmp = {.wire = &card_wire_ops, .wire_data = &net.card, .mac = DATA_HOST_MAC, .guest_mac = DATA_GUEST_MAC},
	};
	net.host.policy = &net.policy;
	net.host.dns = net.dns;
	return start_tcp();
}

static int set_up(void)
{
	struct link_config config = {.fd = ROLE_FD_OWN, .rings = &net.card, .card = &net.data_card, .host = &net.host,
				     .capture = &net.capture};
	int r = loop_new(&net.loop);

	if (r < 0)
		return log_errno(r, "making the event loop");
	net.flows_max = flows_allowed();
	if (net.flows_max < FLOWS_MIN)
		return log_errno(-EMFILE, "the limit of open files is too low");
	net.watch_fd = watch_new();
	if (net.watch_fd < 0)
		return log_errno(net.watch_fd, "making the epoll set");
	r = start_parts();
	if (r < 0)
		return r;
	config.loop = net.loop;
	config.publish = net.publish;
	net.card.capture = &net.capture;
	r = control_start(&net.control, net.loop, ROLE_FD_CONTROL, collect, NULL);
	if (r >= 0)
		r = loop_add_fd(net.loop, net.watch_fd, EPOLLIN, on_host_sockets, NULL, NULL);
	if (r >= 0)
		r = link_start(&net.link, &config, loop_now_us());
	if (r < 0)
		return log_errno(r, "using the inherited descriptors");
	r = card_start(&net.card, net.loop, ROLE_FD_VHOST, &data_card_sink, &net.data_card, CARD_FEATURES_DATA, DATA_MTU_MAX);
	return r < 0 ? log_errno(r, "serving the vhost-user socket") : 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Everything but the wait. Return: true when work is left for at once. */
static bool one_round(void)
{
	bool more;

	set_now(loop_now_us());
	more = card_drain(&net.card);
	data_card_timers(&net.data_card);
	tcp_timers(&net.tcp);
	udp_timers(net.udp);
	dns_timers(net.dns);
	echo_timers(net.echo, net.now_us);
	more |= publish_run(net.publish, net.data_card.up && net.policy.configured, net.now_us);
	more |= udp_run(net.udp);
	more |= tcp_run(&net.tcp);
	card_flush(&net.card);
	capture_timers(&net.capture, net.now_us);
	link_run(&net.link);
	return more;
}

static uint64_t next_deadline(void)
{
	uint64_t at = earlier(tcp_deadline(&net.tcp), udp_deadline(net.udp));

	at = earlier(at, earlier(dns_deadline(net.dns), echo_deadline(net.echo)));
	at = earlier(at, earlier(data_card_deadline(&net.data_card), publish_deadline(net.publish)));
	return earlier(at, capture_deadline(&net.capture));
}

/* There is always some timer here (advertisements, flows at rest), so the wait for ever that tells the control card that all is
 * quiet never comes. Return: when to look again. */
static uint64_t look_quiet(void)
{
	uint64_t frames = net.card.stats.rx_packets + net.card.stats.tx_packets;

	if (frames - net.card.trimmed < CARD_TRIM_FRAMES)
		return UINT64_MAX;
	if (frames != net.frames)
		net.quiet_us = net.now_us + QUIET_US;
	net.frames = frames;
	if (net.now_us < net.quiet_us)
		return net.quiet_us;
	card_quiet(&net.card);
	return UINT64_MAX;
}

static int serve(void)
{
	int timeout = -1, r = 0;

	while (r >= 0 && !net.card.ended && !net.control.ended && !link_is_over(&net.link)) {
		r = loop_step(net.loop, timeout);
		if (r < 0)
			break;
		timeout = one_round() ? 0 : role_wait(earlier(next_deadline(), look_quiet()), net.now_us);
	}
	return r;
}

int role_data(void)
{
	const struct jail_rule *rules;
	size_t n_rules = jail_rules_data(&rules);
	int r = role_drop(3);

	if (r >= 0)
		r = set_up();
	if (r >= 0)
		r = role_lock(rules, n_rules, true);
	if (r < 0)
		return r;
	r = control_ready(&net.control);
	if (r < 0)
		return log_errno(r, "telling the machine that the card is ready");
	log_info("ready: up to %u TCP flows, %u UDP, %u pings, %u published ports%s", net.flows_max, UDP_FLOWS_MAX,
		 ECHO_FLOWS_MAX, NETCTL_PORTS_MAX,
		 net.flows_max < FLOW_MAX ? "; the hard limit of open files allows no more" : "");
	r = serve();
	if (r < 0 || net.card.ended || net.control.ended)
		return role_ended(r, &net.card);
	log_info("%s, ending", net.link.reason);
	return 0;
}
