/* SPDX-License-Identifier: Apache-2.0 */
/* ctl: see the header. Called by devices/proxy/main; never blocks. */
#include "devices/proxy/ctl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "devices/proxy/conn.h"
#include "proto/data-card.h"

enum { TAKE_MAX = 32 }; /* connections of one round */

static struct proxyctl_message message; /* 40 KiB: not for the stack */

void ctl_make_rules(const struct netctl_config *config, const struct netctl_rules *told, struct rules *rules)
{
	rules->subnet4 = net_addr4(config->subnet);
	rules->gateway4 = net_addr4(config->subnet | DATA_OCTET_GATEWAY);
	rules->alias4 = net_addr4(config->subnet | DATA_OCTET_ALIAS);
	rules->gateway6 = rules->alias6 = (struct net_addr){0};
	if (config->ipv6) {
		inet_pton(AF_INET6, DATA_GATEWAY6_TEXT, rules->gateway6.byte);
		inet_pton(AF_INET6, DATA_ALIAS6_TEXT, rules->alias6.byte);
	}
	rules->host = told->host;
	rules->n_host_ports = told->n_host_ports;
	memcpy(rules->host_ports, told->host_ports, sizeof(rules->host_ports));
	rules->egress = told->egress;
	rules->n_user = told->n_user;
	memcpy(rules->user, told->user, sizeof(rules->user));
}

static void log_way(const char *what, const struct proxyctl_upstream *u)
{
	char host[TARGET_TEXT_MAX];

	if (u->kind == PROXYCTL_DIRECT) {
		log_info("%s go directly to their target (%s)", what, u->source);
		return;
	}
	target_text(u->host, u->port, 0, host);
	log_info("%s go through the %s proxy %s%s (%s)", what, u->kind == PROXYCTL_HTTP ? "HTTP" : "SOCKS5", host,
		 u->user[0] ? ", with a password" : "", u->source);
}

static void apply_network(struct ctl *ctl)
{
	struct proxy *p = ctl->proxy;

	if (!ctl->has_config || !ctl->has_rules)
		return;
	ctl_make_rules(&ctl->config, &ctl->rules, &p->rules);
	if (ctl->has_resolvers)
		resolve_servers(p->resolve, &ctl->resolvers, &p->rules, ctl->config.dns_filter);
}

static void take_settings(struct ctl *ctl, const struct proxyctl_settings *settings)
{
	struct proxy *p = ctl->proxy;

	p->settings = *settings;
	ctl->has_settings = true;
	log_way("http requests", &p->settings.http);
	log_way("CONNECT requests", &p->settings.https);
	if (p->settings.n_excludes)
		log_info("%u exclusions from these proxies", p->settings.n_excludes);
}

static void take_network(struct ctl *ctl, const struct netctl_message *net)
{
	struct rules *rules = &ctl->proxy->rules;

	switch (net->type) {
	case NETCTL_CONFIG:
		ctl->config = net->config;
		ctl->has_config = true;
		break;
	case NETCTL_RULES:
		ctl->rules = net->rules;
		ctl->has_rules = true;
		break;
	case NETCTL_HOST_ADDRS:
		rules->n_host_addrs = net->host_addrs.n;
		memcpy(rules->host_addrs, net->host_addrs.addr, net->host_addrs.n * sizeof(rules->host_addrs[0]));
		ctl->has_hosts = true;
		break;
	case NETCTL_RESOLVERS:
		ctl->resolvers = net->resolvers;
		ctl->has_resolvers = true;
		break;
	default:
		resolve_hosts(ctl->proxy->resolve, &net->hosts);
		return;
	}
	apply_network(ctl);
}

static int send_stats(struct ctl *ctl)
{
	const struct proxyctl_message stats = {.type = PROXYCTL_STATS, .stats = ctl->proxy->stats};
	uint8_t frame[PROXYCTL_FRAME_MAX];
	int len = proxyctl_encode(&stats, frame);
	int r = len < 0 ? len : chan_send(ctl->ctl_fd, frame, (size_t)len, NULL, 0);

	/* A backend that does not read gets no figures. */
	return r == -EAGAIN ? 0 : r;
}

/* Takes one connection off the link. Return: 1: go on; 0: none there; -errno. */
static int take_connection(struct ctl *ctl)
{
	uint8_t byte[2];
	int fds[1] = {-EBADF};
	size_t n_fds = 1;
	ssize_t n = chan_recv(ctl->link_fd, byte, sizeof(byte), fds, &n_fds);

	if (n == -EAGAIN)
		return 0;
	if (n == -EMSGSIZE) {
		log_limited(LOG_WARNING, "the network process sent what is no connection");
		return 1;
	}
	if (n <= 0)
		return n < 0 ? (int)n : -EPIPE;
	if (n != 1 || n_fds != 1) {
		log_limited(LOG_WARNING, "the network process sent what is no connection");
		if (n_fds)
			fd_close(fds[0]);
		return 1;
	}
	conn_start_consume(ctl->proxy, fds[0]);
	return 1;
}

static int on_link(void *data, int fd, uint32_t events)
{
	struct ctl *ctl = data;
	int r = 1;

	for (int i = 0; i < TAKE_MAX && r > 0; i++)
		r = take_connection(ctl);
	if (r >= 0)
		return 0;
	/* Whoever holds the other end ended it (a network process can do that to its successors too): the backend starts us again,
	 * and with us a link that works. */
	return log_errno(r, "the link of the network process has ended");
}

static int open_link(struct ctl *ctl)
{
	if (ctl->link || !ctl->has_config || !ctl->has_rules || !ctl->has_hosts || !ctl->has_settings)
		return 0;
	return loop_add_fd(ctl->proxy->loop, ctl->link_fd, EPOLLIN, on_link, ctl, &ctl->link);
}

static int on_ctl(void *data, int fd, uint32_t events)
{
	struct ctl *ctl = data;
	uint8_t frame[PROXYCTL_FRAME_MAX];
	int fds[1], r = 0;
	size_t n_fds = 0;
	ssize_t n = chan_recv(fd, frame, sizeof(frame), fds, &n_fds);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		log_info("the backend is gone, ending");
		loop_exit(ctl->proxy->loop, 0);
		return 0;
	}
	r = proxyctl_decode(&message, PROXYCTL_TO_PROXY, frame, (size_t)n, n_fds);
	if (r < 0)
		return log_errno(r, "a frame of the backend (type %u)", n > 1 ? frame[0] | frame[1] << 8 : 0);
	if (message.type == PROXYCTL_NET)
		take_network(ctl, &message.net);
	else if (message.type == PROXYCTL_SETTINGS)
		take_settings(ctl, &message.settings);
	else
		r = send_stats(ctl);
	/* They may have carried a password. */
	explicit_bzero(&message, sizeof(message));
	explicit_bzero(frame, sizeof(frame));
	return r < 0 ? log_errno(r, "answering the backend") : open_link(ctl);
}

int ctl_start(struct ctl *ctl, struct proxy *proxy, int ctl_fd, int link_fd)
{
	int r = fd_set_nonblock(ctl_fd, true);

	*ctl = (struct ctl){.proxy = proxy, .ctl_fd = ctl_fd, .link_fd = link_fd};
	if (r >= 0)
		r = fd_set_nonblock(link_fd, true);
	if (r >= 0)
		r = loop_add_fd(proxy->loop, ctl_fd, EPOLLIN, on_ctl, ctl, &ctl->ctl);
	return r < 0 ? trace(r) : 0;
}

int ctl_ready(struct ctl *ctl)
{
	const struct proxyctl_message ready = {.type = PROXYCTL_READY, .ready.version = PROXYCTL_VERSION};
	uint8_t frame[PROXYCTL_FRAME_MAX];
	int len = proxyctl_encode(&ready, frame);

	return len < 0 ? trace(len) : chan_send(ctl->ctl_fd, frame, (size_t)len, NULL, 0);
}
