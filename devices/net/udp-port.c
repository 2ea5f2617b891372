/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-port: published UDP ports: sockets that the backend bound; each client of one is a flow into the guest. Part of udp.
 *
 * A client is known by its address and port, the address of the host it spoke to (IP_PKTINFO), and the port's number. The
 * guest sees the client itself, or, where it must not or where that pair is taken, the gateway with a port of ours. Answers
 * leave through the port's socket with the address that the client spoke to. The port's socket is never closed before the port is
 * removed, whatever errors it meets; its flows end with it.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "devices/net/publish.h"
#include "devices/net/udp-private.h"
#include "devices/net/watch.h"
#include "proto/data-card.h"

enum { OWN_PORT_TRIES = 128, OWN_PORT_FIRST = 16384, OWN_PORTS = 65536 - OWN_PORT_FIRST };

static int socket_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? error_errno() : value;
}

/* Return: 0; -EINVAL: not an UDP socket. */
static int examine(int fd, bool *ret_v6)
{
	int domain = socket_option(fd, SOL_SOCKET, SO_DOMAIN);

	if ((domain != AF_INET && domain != AF_INET6) || socket_option(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM ||
	    socket_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP)
		return -EINVAL;
	*ret_v6 = domain == AF_INET6;
	return 0;
}

static int want_address(int fd, bool v6)
{
	int on = 1;

	return setsockopt(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof(on)) < 0 ? error_errno() : 0;
}

int udp_port_add_consume(struct udp *udp, int fd, const struct net_addr *target, uint16_t target_port, uint32_t id,
			 struct udp_port **ret_port)
{
	_cleanup_close_ int owned = fd;
	struct udp_port *port;
	uint64_t handle;
	uint32_t index;
	bool v6;
	int r = examine(owned, &v6);

	if (r >= 0)
		r = want_address(owned, v6);
	if (r < 0)
		return trace(r);
	if (!table_take(&udp->port_slots, &handle) || !table_find(&udp->port_slots, handle, &index))
		return trace(-ENFILE);
	port = &udp->ports[index];
	*port = (struct udp_port){.source = {.fd = owned, .v6 = v6}, .id = id, .target = *target, .target_port = target_port};
	udp_socket_prepare(udp, &port->source);
	r = watch_add(udp->config.watch_fd, owned, udp_handle(udp, UDP_FLOWS_MAX + index + 1), false);
	if (r < 0) {
		port->source.fd = -EBADF;
		table_put(&udp->port_slots, handle);
		return trace(r);
	}
	take_fd(owned);
	/* Clients may have spoken since the backend bound it. */
	udp_ready(udp, UDP_FLOWS_MAX + index + 1);
	*ret_port = port;
	return 0;
}

void udp_port_remove(struct udp *udp, struct udp_port *port)
{
	uint32_t index = (uint32_t)(port - udp->ports);

	while (port->first_flow)
		udp_flow_end(udp, &udp->flows[port->first_flow - 1]);
	udp_unready(udp, UDP_FLOWS_MAX + index + 1);
	/* The backend holds the same socket: a close alone would leave it in the set. */
	watch_remove(udp->config.watch_fd, port->source.fd);
	fd_close(take_fd(port->source.fd));
	table_put(&udp->port_slots, table_handle(&udp->port_slots, index));
}

void udp_port_count(const struct udp_port *port, struct netctl_port_count *ret)
{
	*ret = (struct netctl_port_count){
		.id = port->id,
		.connections = port->connections,
		.rx_bytes = port->rx_bytes,
		.tx_bytes = port->tx_bytes,
		.now = port->now,
		.refused = port->refused,
	};
}

static struct net_addr addr_of(const struct sockaddr_in6 *name, uint16_t *ret_port)
{
	struct sockaddr_in in;
	struct net_addr addr;

	if (name->sin6_family == AF_INET) {
		memcpy(&in, name, sizeof(in));
		*ret_port = ntohs(in.sin_port);
		return net_addr4(ntohl(in.sin_addr.s_addr));
	}
	*ret_port = ntohs(name->sin6_port);
	memcpy(addr.byte, &name->sin6_addr, sizeof(addr.byte));
	return addr;
}

/* The address of the host that MSG was sent to; all zero when the kernel did not say. */
static struct net_addr local_of(const struct msghdr *msg)
{
	struct net_addr addr = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		struct in_pktinfo info4;
		struct in6_pktinfo info6;

		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(info4))) {
			memcpy(&info4, CMSG_DATA(c), sizeof(info4));
			return net_addr4(ntohl(info4.ipi_spec_dst.s_addr));
		}
		if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(info6))) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			memcpy(addr.byte, &info6.ipi6_addr, sizeof(addr.byte));
			return addr;
		}
	}
	return addr;
}

/* Makes KEY one that no flow has, with the gateway for its host. Return: false: tried long enough. */
static bool own_pair(struct udp *udp, struct flow_key *key)
{
	uint64_t start = flow_hash(udp->config.hash_key, key);

	for (uint64_t i = 0; i < OWN_PORT_TRIES; i++) {
		key->host_port = (uint16_t)(OWN_PORT_FIRST + (start + i) % OWN_PORTS);
		if (!udp_flow_find(udp, UDP_BY_KEY, key))
			return true;
	}
	return false;
}

static bool link_local(const struct net_addr *addr)
{
	return addr->byte[0] == 0xfe && (addr->byte[1] & 0xc0) == 0x80;
}

/* How the guest shall see the client CLIENT of PORT. Return: false: not at all. */
static bool choose_key(struct udp *udp, const struct udp_port *port, const struct flow_key *client, struct flow_key *ret)
{
	bool v4 = net_addr_is_v4(&port->target);
	bool disguised;

	*ret = (struct flow_key){.host = client->host, .guest = port->target, .host_port = client->host_port,
				 .guest_port = port->target_port};
	disguised = publish_disguise(&client->host, &port->target, &ret->host);
	if (!disguised && !link_local(&client->host) && !udp_flow_find(udp, UDP_BY_KEY, ret))
		return true;
	if (!disguised)
		ret->host = v4 ? udp->config.gateway4 : udp->config.gateway6;
	return own_pair(udp, ret);
}

static struct udp_flow *client_opens(struct udp *udp, struct udp_port *port, const struct flow_key *client, uint32_t scope)
{
	struct flow_key key;
	struct udp_flow *flow;

	if (!client->host_port || !choose_key(udp, port, client, &key))
		return NULL;
	flow = udp_flow_new(udp, &key);
	if (!flow)
		return NULL;
	flow->client = *client;
	flow->scope = scope;
	udp_flow_index_client(udp, flow);
	flow->port = (uint16_t)(port - udp->ports + 1);
	flow->port_next = port->first_flow;
	if (port->first_flow)
		udp->flows[port->first_flow - 1].port_prev = udp_flow_number(udp, flow);
	port->first_flow = udp_flow_number(udp, flow);
	port->connections++;
	port->now++;
	return flow;
}

struct udp_flow *udp_port_flow(struct udp *udp, struct udp_port *port, const struct msghdr *msg)
{
	const struct sockaddr_in6 *name = msg->msg_name;
	struct flow_key client = {.guest = local_of(msg), .guest_port = (uint16_t)(port - udp->ports)};
	struct udp_flow *flow;

	client.host = addr_of(name, &client.host_port);
	flow = udp_flow_find(udp, UDP_BY_CLIENT, &client);
	if (!flow)
		flow = client_opens(udp, port, &client, link_local(&client.host) ? name->sin6_scope_id : 0);
	if (!flow) {
		port->refused++;
		return NULL;
	}
	udp_flow_touch(udp, flow, flow->flags & UDP_ANSWERED ? UDP_LIST_INBOUND : UDP_LIST_BRIEF);
	return flow;
}
