/* SPDX-License-Identifier: Apache-2.0 */
/* link: see the header; the frames are in docs/protocol/netctl.md. */
#include "devices/net/link.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "devices/net/tcp-parts.h"

static struct netctl_message incoming, outgoing; /* large */

static void send_message(struct link *link, const struct netctl_message *message)
{
	static uint8_t frame[NETCTL_FRAME_MAX];
	int len = netctl_encode(message, frame);

	if (len >= 0)
		len = chan_send(link->config.fd, frame, (size_t)len, NULL, 0);
	if (len < 0)
		log_limited(LOG_WARNING, "the backend does not get its answer: error %d", -len);
}

/* Both CONFIG and RULES are there: from now on the guest is served. */
static void check_ready(struct link *link)
{
	struct policy *policy = link->config.card->policy;

	if (!link->have_config || !link->have_rules || policy->configured)
		return;
	policy->configured = true;
	memset(&outgoing, 0, sizeof(outgoing));
	outgoing.type = NETCTL_READY;
	outgoing.ready.version = NETCTL_VERSION;
	send_message(link, &outgoing);
	log_info("configured by the backend");
}

/* Running flows that the rules of now would refuse end. */
static void judge_flows(struct link *link)
{
	struct data_card *card = link->config.card;
	struct flow *flow;
	uint32_t cursor = 0;

	while ((flow = flow_next(&card->tcp->flows, &cursor))) {
		bool own = net_addr_equal(&flow->key.host, &card->gateway4) || net_addr_equal(&flow->key.host, &card->gateway6);
		struct rules_verdict verdict;

		if (!(flow->flags & FLOW_BY_GUEST) || own)
			continue;
		rules_decide(&card->policy->rules, RULES_TCP, &flow->key.host, flow->key.host_port, &verdict);
		if (!verdict.allow)
			tcp_abort(card->tcp, flow);
	}
	udp_rules_changed(card->udp);
}

static void on_config(struct link *link, const struct netctl_config *config)
{
	struct data_card *card = link->config.card;
	struct rules *rules = &card->policy->rules;

	if (link->have_config && !memcmp(&link->last, config, sizeof(*config)))
		return;
	if (link->have_config && (link->last.subnet != config->subnet || link->last.ipv6 != config->ipv6)) {
		log_info("the card has new addresses: all flows end");
		tcp_drop_all(card->tcp);
		udp_drop_all(card->udp);
	}
	data_card_configure(card, config);
	rules->gateway4 = card->gateway4;
	rules->alias4 = card->alias4;
	rules->subnet4 = card->subnet4;
	rules->gateway6 = card->gateway6;
	rules->alias6 = card->alias6;
	link->config.host->gateway4 = card->gateway4;
	link->config.host->gateway6 = card->gateway6;
	publish_set_addresses(link->config.publish, &card->gateway4, &card->gateway6);
	link->last = *config;
	link->have_config = true;
	check_ready(link);
}

static void on_rules(struct link *link, const struct netctl_rules *rules)
{
	policy_set_rules(link->config.card->policy, rules);
	link->have_rules = true;
	check_ready(link);
	judge_flows(link);
}

static void on_port_add(struct link *link, const struct netctl_port *port, int fd)
{
	int r = publish_add_consume(link->config.publish, port, fd);

	if (r < 0)
		log_errno(r, "published port %u (id %u) cannot be served", port->bound_port, port->id);
}

static void on_proxy(struct link *link, int fd)
{
	struct host_inet *host = link->config.host;

	fd_close(host->proxy_fd);
	host->proxy_fd = fd_set_nonblock(fd, true) < 0 ? fd_close(fd) : fd;
}

/* MESSAGE passed the codec, FD (consumed) is there when its row says so. */
static void apply(struct link *link, const struct netctl_message *message, int fd)
{
	struct data_card *card = link->config.card;
	uint64_t now_us = loop_now_us();

	switch (message->type) {
	case NETCTL_CONFIG:
		on_config(link, &message->config);
		return;
	case NETCTL_RULES:
		on_rules(link, &message->rules);
		return;
	case NETCTL_HOST_ADDRS:
		card->policy->rules.n_host_addrs = message->host_addrs.n;
		memcpy(card->policy->rules.host_addrs, message->host_addrs.addr, sizeof(message->host_addrs.addr));
		judge_flows(link);
		return;
	case NETCTL_RESOLVERS:
		dns_set_resolvers(card->dns, &message->resolvers);
		data_card_search(card, &message->resolvers);
		return;
	case NETCTL_HOSTS:
		dns_set_hosts(card->dns, &message->hosts);
		return;
	case NETCTL_GUEST_NETS:
		publish_nets(link->config.publish, message->guest_nets.net, message->guest_nets.n);
		return;
	case NETCTL_PORT_ADD:
		on_port_add(link, &message->port, fd);
		return;
	case NETCTL_PORT_REMOVE:
		publish_remove(link->config.publish, message->port_remove.id);
		return;
	case NETCTL_PROXY:
		on_proxy(link, fd);
		return;
	case NETCTL_CAPTURE:
		if (capture_start_consume(link->config.capture, &message->capture, fd, now_us) < 0)
			link->config.capture->why = NETCTL_CAPTURE_CLOSED;
		return;
	case NETCTL_CAPTURE_STOP:
		capture_stop(link->config.capture, NETCTL_CAPTURE_STOPPED, now_us);
		return;
	case NETCTL_GET:
		report_answer(&link->report, &message->get, now_us, &outgoing);
		send_message(link, &outgoing);
		return;
	default:
		fd_close(fd); /* the codec lets nothing else through in this direction */
	}
}

void link_stop(struct link *link)
{
	if (link->ended)
		return;
	link->ended = true;
	link->source = loop_source_free(link->source);
	link->config.fd = fd_close(link->config.fd);
	publish_remove_all(link->config.publish);
	capture_stop(link->config.capture, NETCTL_CAPTURE_STOPPED, loop_now_us());
}

/* Return: 0: there may be more; 1: nothing waits; -errno: the link is over. */
static int take_one(struct link *link)
{
	static uint8_t frame[NETCTL_FRAME_MAX];
	int fd = -EBADF, r;
	size_t n_fds = 1;
	ssize_t n = chan_recv(link->config.fd, frame, sizeof(frame), &fd, &n_fds);

	if (n == -EAGAIN)
		return 1;
	if (n <= 0) {
		bool gone = !n || n == -ECONNRESET || n == -EPIPE;

		link->reason = gone ? "the backend is gone" : "the backend's frame is too long or cannot be read";
		return n ? (int)n : -EPIPE;
	}
	r = netctl_decode(&incoming, NETCTL_TO_NET, frame, (size_t)n, n_fds);
	if (r < 0) {
		if (n_fds)
			fd_close(fd);
		link->reason = "a frame of the backend breaks a rule";
		return log_errno(r, "a frame of %zd bytes from the backend is wrong", n);
	}
	apply(link, &incoming, fd);
	return 0;
}

static int on_readable(void *data, int fd, uint32_t events)
{
	struct link *link = data;
	int r = 0;

	for (int i = 0; i < LINK_BATCH && !r; i++)
		r = take_one(link);
	if (r < 0)
		link_stop(link);
	if (r < 0 && !link_is_over(link))
		log_warning("%s before it told all there is to know", link->reason);
	return 0; /* role-data asks link_is_over */
}

bool link_is_over(const struct link *link)
{
	return link->ended && link->config.card->policy->configured;
}

void link_run(struct link *link)
{
	struct capture *capture = link->config.capture;

	if (!capture->why)
		return;
	link->report.captured += capture->bytes;
	link->report.capture_drops += capture->drops;
	memset(&outgoing, 0, sizeof(outgoing));
	outgoing.type = NETCTL_CAPTURE_END;
	outgoing.capture_end.why = capture->why;
	outgoing.capture_end.bytes = capture->bytes;
	outgoing.capture_end.drops = capture->drops;
	capture->why = 0;
	capture->bytes = capture->drops = 0;
	if (!link->ended)
		send_message(link, &outgoing);
}

int link_start(struct link *link, const struct link_config *config, uint64_t now_us)
{
	int r = fd_set_nonblock(config->fd, true);

	*link = (struct link){
		.config = *config,
		.report = {.rings = config->rings, .card = config->card, .publish = config->publish, .capture = config->capture,
			   .start_us = now_us},
	};
	if (r >= 0)
		r = loop_add_fd(config->loop, config->fd, EPOLLIN, on_readable, link, &link->source);
	if (r < 0) {
		link->config.fd = fd_close(link->config.fd);
		link->ended = true;
	}
	return r < 0 ? trace(r) : 0;
}
