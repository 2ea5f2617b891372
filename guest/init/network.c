/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: see network.h.
 *
 * A plain UDP socket on the card is enough: without an address the kernel sends from 0.0.0.0 and hears broadcasts, which the
 * questions ask for. So no packet socket and no module is needed at boot.
 */
#include "guest/init/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "guest/init-link.h"
#include "guest/init/card.h"
#include "guest/init/dhcp-client.h"
#include "guest/init/mounts.h"
#include "guest/init/port.h"
#include "guest/rtnl.h"
#include "proto/agent.h"
#include "proto/control-link.h"
#include "proto/data-card.h"

#define CONTROL_NAME "control0"
enum { RETRY_FIRST_US = 50000, RETRY_MAX_US = 4000000, REQUESTS_MAX = 4, SILENCE_TOLD = 8 };

enum network_state { NETWORK_ABSENT, NETWORK_ASKING, NETWORK_REQUESTING, NETWORK_UP };

struct network {
	enum network_state state;
	int index, fd;
	struct loop *loop;
	struct loop_source *source, *retry;
	uint64_t pause_us;
	uint32_t n_sent; /* of the present question */
	struct dhcp_client_question question;
};

/* One per VM, as process 1 is. */
static struct network network = {.fd = -EBADF};

/* Beside those of mounts.c, which know no card. A kernel without IPv6 lacks the second half. */
static const struct { const char *path, *value; } card_settings[] = {
	{"/proc/sys/net/ipv4/conf/" INIT_LINK_DATA_CARD "/accept_redirects", "0"},
	{"/proc/sys/net/ipv4/conf/" INIT_LINK_DATA_CARD "/send_redirects", "0"},
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/accept_ra", "2"}, /* also while forwarding */
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/accept_redirects", "0"},
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/addr_gen_mode", "0"},
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/use_tempaddr", "0"},
	/* Nobody else is on this link. */
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/accept_dad", "0"},
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/dad_transmits", "0"},
	/* The network process may be told its settings only later: ask soon and again, ever more rarely. */
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/router_solicitation_delay", "0"},
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/router_solicitation_interval", "1"},
	{"/proc/sys/net/ipv6/conf/" INIT_LINK_DATA_CARD "/router_solicitations", "-1"},
	/* Room for as many flows as the network process carries, each seen twice at most. */
	{"/sys/module/nf_conntrack/parameters/hashsize", "65536"},
	{"/proc/sys/net/netfilter/nf_conntrack_max", "262144"},
};

static int set_up(int fd, int index)
{
	int control = card_find(CONTROL_GUEST_MAC_TEXT);
	int r = 0;

	/* It has the name that this one is to have, until the agent takes it away. */
	if (control > 0)
		r = rtnl_rename(fd, control, CONTROL_NAME);
	if (r == 0)
		r = rtnl_rename(fd, index, INIT_LINK_DATA_CARD);
	for (size_t i = 0; i < ARRAY_SIZE(card_settings); i++)
		(void)mounts_write(card_settings[i].path, card_settings[i].value);
	return r == 0 ? rtnl_set_up(fd, index) : r;
}

void network_prepare(void)
{
	_cleanup_close_ int fd = rtnl_open();
	int index = card_find(DATA_GUEST_MAC_TEXT), r;

	if (fd < 0 || index < 0) {
		log_errno(fd < 0 ? fd : index, "the data card");
		return;
	}
	r = set_up(fd, index);
	if (r < 0) {
		log_errno(r, "setting up the data card");
		return;
	}
	network.index = index;
	network.state = NETWORK_ASKING;
}

static int open_socket(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(DHCP_CLIENT_PORT)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, INIT_LINK_DATA_CARD, sizeof(INIT_LINK_DATA_CARD)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return trace(error_errno());
	return take_fd(fd);
}

/* Sends the question of the state and arms the time for the next one. */
static int ask(struct network *n)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_BROADCAST),
				 .sin_port = htons(DHCP_CLIENT_SERVER_PORT)};
	uint8_t frame[DHCP_CLIENT_FRAME_MAX];
	uint64_t pause = n->pause_us;
	size_t len;

	n->question.type = n->state == NETWORK_REQUESTING ? DHCP_CLIENT_REQUEST : DHCP_CLIENT_DISCOVER;
	len = dhcp_client_encode(&n->question, frame);
	if (sendto(n->fd, frame, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0)
		log_limited(LOG_WARNING, "asking for a lease: %s", strerror(errno));
	if (++n->n_sent == SILENCE_TOLD)
		log_warning("no answer from the network process yet");
	n->pause_us = pause * 2 < RETRY_MAX_US ? pause * 2 : RETRY_MAX_US;
	return loop_timer_set(n->retry, pause);
}

static int discover(struct network *n)
{
	n->state = NETWORK_ASKING;
	n->question.requested = n->question.server = 0;
	(void)!getrandom(&n->question.xid, sizeof(n->question.xid), GRND_NONBLOCK);
	return ask(n);
}

static int on_retry(void *data)
{
	struct network *n = data;

	/* The offer may be of a server that is no more. */
	if (n->state == NETWORK_REQUESTING && n->n_sent >= REQUESTS_MAX) {
		n->n_sent = 0;
		return discover(n);
	}
	return ask(n);
}

static int write_resolv(const struct dhcp_client_lease *lease)
{
	char text[DHCP_CLIENT_SEARCH_MAX + 64];
	_cleanup_close_ int dir_fd = -EBADF;
	struct in_addr dns = {htonl(lease->dns)};
	int len;

	len = snprintf(text, sizeof(text), "nameserver %s\n%s%s%s", inet_ntoa(dns), lease->search[0] ? "search " : "",
		       lease->search, lease->search[0] ? "\n" : "");
	dir_fd = open("/run", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return trace(error_errno());
	return fd_replace_file(dir_fd, "resolv.conf", text, (size_t)len, 0644);
}

static int apply(const struct network *n, const struct dhcp_client_lease *lease)
{
	_cleanup_close_ int fd = rtnl_open();
	int r = fd;

	if (r >= 0 && lease->mtu)
		(void)rtnl_set_mtu(fd, n->index, lease->mtu); /* the card allows less: then less it is */
	if (r >= 0)
		r = rtnl_add_address4(fd, n->index, lease->address, lease->prefix_len);
	if (r >= 0)
		r = rtnl_set_default4(fd, n->index, lease->router);
	if (r >= 0 && lease->dns)
		r = write_resolv(lease);
	return r;
}

static int take_lease(struct network *n, const struct dhcp_client_lease *lease)
{
	struct in_addr address = {htonl(lease->address)};
	int r = apply(n, lease);

	if (r < 0) {
		log_errno(r, "taking the lease");
		return loop_timer_set(n->retry, RETRY_MAX_US);
	}
	n->state = NETWORK_UP;
	n->source = loop_source_free(n->source);
	n->retry = loop_source_free(n->retry);
	n->fd = fd_close(n->fd);
	log_info("the data card is %s/%u", inet_ntoa(address), lease->prefix_len);
	port_stage(AGENT_STAGE_NETWORK);
	return 0;
}

static int on_socket(void *data, int fd, uint32_t events _unused_)
{
	static uint8_t frame[DHCP_CLIENT_FRAME_MAX + 1];
	struct network *n = data;
	struct dhcp_client_lease lease;
	ssize_t len = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);

	/* Strangers may send here, too: what does not answer the question is nothing. */
	if (len <= 0 || dhcp_client_decode(&lease, &n->question, frame, (size_t)len) < 0)
		return 0;
	if (lease.type == DHCP_CLIENT_ACK)
		return take_lease(n, &lease);
	n->n_sent = 0;
	n->pause_us = RETRY_FIRST_US;
	if (lease.type == DHCP_CLIENT_NAK)
		return discover(n);
	n->state = NETWORK_REQUESTING;
	n->question.requested = lease.address;
	n->question.server = lease.server;
	return ask(n);
}

int network_start(struct loop *loop)
{
	static const uint8_t mac[] = DATA_GUEST_MAC;
	struct network *n = &network;
	int r;

	if (n->state == NETWORK_ABSENT)
		return 0;
	n->loop = loop;
	n->pause_us = RETRY_FIRST_US;
	memcpy(n->question.mac, mac, sizeof(mac));
	n->fd = open_socket();
	if (n->fd < 0) {
		log_errno(n->fd, "the data card's socket");
		return 0;
	}
	r = loop_add_timer(loop, on_retry, n, &n->retry);
	if (r == 0)
		r = loop_add_fd(loop, n->fd, EPOLLIN, on_socket, n, &n->source);
	return r == 0 ? discover(n) : trace(r);
}
