/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish: see the header.
 *
 * Listeners are watched edge-triggered: an event puts the port on the ready list, where it stays until accept finds nothing,
 * whatever the card and the pause allow meanwhile. The backend holds a copy of every socket, so closing ours does not end
 * the watch: it is removed first.
 */
#include "devices/net/publish.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/table.h"
#include "devices/net/watch.h"

struct port {
	struct netctl_port is;
	int fd; /* TCP: owned; UDP: -EBADF, the socket is udp's */
	struct udp_port *udp;
	bool ready;
	uint16_t ready_next; /* index + 1, 0: none */
	uint64_t connections, rx_bytes, tx_bytes, now, refused;
};

struct publish {
	struct publish_config config;
	struct net_addr gateway4, gateway6;
	struct table table;
	struct table_slot slots[NETCTL_PORTS_MAX];
	struct port ports[NETCTL_PORTS_MAX];
	uint16_t ready_first, ready_last; /* index + 1, 0: empty */
	uint64_t retry_us;		  /* no accept before; 0: no pause */
	size_t n_nets;
	struct netctl_net nets[NETCTL_NETS_MAX];
};

/* A flow's owner: the low bits are the port's index, the others its generation, so that the flow of a port that is gone counts
 * for nobody. Never 0, since a generation in use is odd. */
enum { OWNER_INDEX_BITS = 12 };
_Static_assert(NETCTL_PORTS_MAX == 1 << OWNER_INDEX_BITS, "every index fits an owner");
/* Slots' handles are generation << 32 | index + 1; three bits of the generation give way to the tag. */
#define HANDLE_MASK ((1ull << 61) - 1)

static struct publish publish;

struct publish *publish_init(const struct publish_config *config)
{
	memset(&publish.table, 0, sizeof(publish.table));
	publish.config = *config;
	publish.ready_first = publish.ready_last = 0;
	publish.retry_us = 0;
	publish.n_nets = 0;
	memset(publish.slots, 0, sizeof(publish.slots));
	table_init(&publish.table, publish.slots, NETCTL_PORTS_MAX);
	return &publish;
}

void publish_set_addresses(struct publish *p, const struct net_addr *gateway4, const struct net_addr *gateway6)
{
	p->gateway4 = *gateway4;
	p->gateway6 = *gateway6;
}

static uint32_t owner_of(const struct publish *p, uint32_t index)
{
	return (p->slots[index].generation << OWNER_INDEX_BITS) | index;
}

/* Return: the live port behind INDEX, or NULL. */
static struct port *port_at(struct publish *p, uint32_t index)
{
	return table_handle(&p->table, index) ? &p->ports[index] : NULL;
}

static struct port *find(struct publish *p, uint32_t id, uint32_t *ret_index)
{
	for (uint32_t i = 0; i < p->table.fresh; i++) {
		struct port *port = port_at(p, i);

		if (port && port->is.id == id) {
			*ret_index = i;
			return port;
		}
	}
	return NULL;
}

static void make_ready(struct publish *p, uint32_t index)
{
	struct port *port = &p->ports[index];

	if (port->ready)
		return;
	port->ready = true;
	port->ready_next = 0;
	if (p->ready_last)
		p->ports[p->ready_last - 1].ready_next = (uint16_t)(index + 1);
	else
		p->ready_first = (uint16_t)(index + 1);
	p->ready_last = (uint16_t)(index + 1);
}

static void unready(struct publish *p, uint32_t index)
{
	uint16_t *link = &p->ready_first, before = 0;

	if (!p->ports[index].ready)
		return;
	while (*link && *link != index + 1) {
		before = *link;
		link = &p->ports[*link - 1].ready_next;
	}
	*link = p->ports[index].ready_next;
	if (p->ready_last == index + 1)
		p->ready_last = before;
	p->ports[index].ready = false;
}

static int socket_option(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? error_errno() : value;
}

static int add_tcp(struct publish *p, struct port *port, uint64_t handle, int fd)
{
	int domain = socket_option(fd, SO_DOMAIN), r;

	if ((domain != AF_INET && domain != AF_INET6) || socket_option(fd, SO_TYPE) != SOCK_STREAM ||
	    socket_option(fd, SO_ACCEPTCONN) != 1)
		return -EINVAL;
	r = fd_set_nonblock(fd, true);
	if (r >= 0)
		r = watch_add(p->config.watch_fd, fd, (handle & HANDLE_MASK) | PUBLISH_HANDLE, false);
	if (r >= 0)
		port->fd = fd;
	return r;
}

int publish_add_consume(struct publish *p, const struct netctl_port *port, int fd)
{
	_cleanup_close_ int own = fd;
	struct port *slot;
	uint64_t handle;
	uint32_t index;
	int r;

	if (find(p, port->id, &index))
		return trace(-EEXIST);
	if (!table_take(&p->table, &handle) || !table_find(&p->table, handle, &index))
		return trace(-ENFILE);
	slot = &p->ports[index];
	*slot = (struct port){.is = *port, .fd = -EBADF};
	if (port->udp)
		r = udp_port_add_consume(p->config.udp, take_fd(own), &port->target, port->target_port, port->id, &slot->udp);
	else
		r = add_tcp(p, slot, handle, own);
	if (r < 0) {
		table_put(&p->table, handle);
		return trace(r);
	}
	if (!port->udp)
		take_fd(own);
	return 0;
}

static void remove_at(struct publish *p, uint32_t index)
{
	struct port *port = &p->ports[index];

	if (port->udp) {
		udp_port_remove(p->config.udp, port->udp);
	} else {
		watch_remove(p->config.watch_fd, port->fd);
		fd_close(take_fd(port->fd));
		unready(p, index);
	}
	table_put(&p->table, table_handle(&p->table, index));
}

void publish_remove(struct publish *p, uint32_t id)
{
	uint32_t index;

	if (find(p, id, &index))
		remove_at(p, index);
}

void publish_remove_all(struct publish *p)
{
	for (uint32_t i = 0; i < p->table.fresh; i++)
		if (port_at(p, i))
			remove_at(p, i);
}

void publish_nets(struct publish *p, const struct netctl_net *nets, size_t n)
{
	p->n_nets = n < NETCTL_NETS_MAX ? n : NETCTL_NETS_MAX;
	memcpy(p->nets, nets, p->n_nets * sizeof(*nets));
}

static bool link_local(const struct net_addr *addr)
{
	if (net_addr_is_v4(addr))
		return addr->byte[12] == 169 && addr->byte[13] == 254;
	return addr->byte[0] == 0xfe && (addr->byte[1] & 0xc0) == 0x80;
}

static bool loopback(const struct net_addr *addr)
{
	static const struct net_addr loopback6 = {{[15] = 1}};

	return net_addr_is_v4(addr) ? addr->byte[12] == 127 || !addr->byte[12] : net_addr_equal(addr, &loopback6);
}

/* Answers to CLIENT would not find their way out of the VM. */
static bool inside(const struct publish *p, const struct net_addr *client)
{
	bool v4 = net_addr_is_v4(client);

	if (rules_in_net(client, v4 ? &p->gateway4 : &p->gateway6, v4 ? 96 + 24 : 64))
		return true;
	for (size_t i = 0; i < p->n_nets; i++)
		if (rules_in_net(client, &p->nets[i].addr, p->nets[i].prefix_len))
			return true;
	return false;
}

bool publish_disguise(const struct net_addr *client, const struct net_addr *target, struct net_addr *ret)
{
	bool v4 = net_addr_is_v4(target);

	if (net_addr_is_v4(client) == v4 && !loopback(client) && !link_local(client) && !inside(&publish, client))
		return false;
	*ret = v4 ? publish.gateway4 : publish.gateway6;
	return true;
}

void publish_host_event(void *data, uint64_t handle, uint32_t events)
{
	struct publish *p = data;
	uint32_t index = (uint32_t)handle - 1;

	if (index < NETCTL_PORTS_MAX && (table_handle(&p->table, index) & HANDLE_MASK) == (handle & HANDLE_MASK))
		make_ready(p, index);
}

void publish_flow_ended(void *data, const struct flow *flow)
{
	struct publish *p = data;
	uint32_t index = flow->owner & (NETCTL_PORTS_MAX - 1);
	struct port *port = flow->owner ? port_at(p, index) : NULL;

	if (!port || owner_of(p, index) != flow->owner)
		return;
	port->now -= port->now > 0;
	port->rx_bytes += flow->rx_bytes;
	port->tx_bytes += flow->tx_bytes;
}

/* CONN (consumed) comes from CLIENT. */
static void take_client(struct publish *p, uint32_t index, int conn, const struct flow_key *client)
{
	struct port *port = &p->ports[index];
	struct flow_key key = *client;
	struct net_addr gateway = net_addr_is_v4(&port->is.target) ? p->gateway4 : p->gateway6;
	int r;

	key.guest = port->is.target;
	key.guest_port = port->is.target_port;
	if (publish_disguise(&client->host, &port->is.target, &key.host))
		key.host_port = 0;
	port->now++; /* before: the flow may end within */
	r = tcp_connect_guest_as(p->config.tcp, conn, &key, &gateway, owner_of(p, index));
	if (r >= 0) {
		port->connections++;
		return;
	}
	port->now--;
	port->refused++;
	if (r != -ENFILE)
		log_limited(LOG_WARNING, "connection to published port %u refused: error %d", port->is.bound_port, -r);
}

static struct flow_key client_of(const struct sockaddr_in6 *name)
{
	struct flow_key key = {0};
	struct sockaddr_in in;

	if (name->sin6_family == AF_INET) {
		memcpy(&in, name, sizeof(in));
		key.host = net_addr4(ntohl(in.sin_addr.s_addr));
		key.host_port = ntohs(in.sin_port);
	} else {
		memcpy(key.host.byte, &name->sin6_addr, sizeof(key.host.byte));
		key.host_port = ntohs(name->sin6_port);
	}
	return key;
}

/* Takes up to MAX clients of the port at INDEX. Return: how many; *RET_EMPTY: no more wait. */
static int accept_some(struct publish *p, uint32_t index, int max, uint64_t now_us, bool *ret_empty)
{
	struct port *port = &p->ports[index];
	int n = 0;

	*ret_empty = false;
	while (n < max) {
		struct sockaddr_in6 name = {0};
		socklen_t len = sizeof(name);
		struct flow_key client;
		int conn = accept4(port->fd, (struct sockaddr *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (conn < 0) {
			int r = error_errno();

			/* EINVAL: it does not listen any more; asking again would go on for ever. */
			if (r == -EAGAIN || r == -EINVAL) {
				*ret_empty = true;
				break;
			}
			n++;
			if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM) {
				/* The system is short: flows go on, and the listeners are looked at again later. */
				log_limited(LOG_WARNING, "cannot accept for published port %u: error %d", port->is.bound_port, -r);
				p->retry_us = now_us + PUBLISH_PAUSE_US;
				break;
			}
			/* anything else is the error of one client, accept(2) */
			continue;
		}
		n++;
		client = client_of(&name);
		take_client(p, index, conn, &client);
	}
	return n;
}

bool publish_run(struct publish *p, bool up, uint64_t now_us)
{
	int budget = PUBLISH_ROUND;

	if (p->retry_us && p->retry_us <= now_us)
		p->retry_us = 0;
	while (up && !p->retry_us && p->ready_first && budget > 0) {
		uint32_t index = p->ready_first - 1u;
		bool empty;

		budget -= accept_some(p, index, budget < PUBLISH_BATCH ? budget : PUBLISH_BATCH, now_us, &empty);
		unready(p, index);
		if (!empty)
			make_ready(p, index);
	}
	return up && !p->retry_us && p->ready_first;
}

uint64_t publish_deadline(const struct publish *p)
{
	return p->retry_us ? p->retry_us : UINT64_MAX;
}

/* Adds what flows of COUNTED ports have moved so far. */
static void add_running(const struct publish *p, const uint32_t *owners, struct netctl_port_count *counts, size_t n)
{
	const struct flow *flow;
	uint32_t cursor = 0;

	while ((flow = flow_next(&p->config.tcp->flows, &cursor))) {
		for (size_t i = 0; flow->owner && i < n; i++) {
			if (owners[i] != flow->owner)
				continue;
			counts[i].rx_bytes += flow->rx_bytes;
			counts[i].tx_bytes += flow->tx_bytes;
		}
	}
}

size_t publish_counts(const struct publish *p, uint32_t *cursor, struct netctl_port_count *ret, size_t max)
{
	uint32_t owners[NETCTL_PORTS_PIECE_MAX], i;
	size_t n = 0;

	if (max > NETCTL_PORTS_PIECE_MAX)
		max = NETCTL_PORTS_PIECE_MAX;
	for (i = *cursor; i < p->table.fresh && n < max; i++) {
		const struct port *port = &p->ports[i];

		if (!table_handle(&p->table, i))
			continue;
		owners[n] = port->udp ? 0 : owner_of(p, i);
		if (port->udp)
			udp_port_count(port->udp, &ret[n]);
		else
			ret[n] = (struct netctl_port_count){port->is.id, port->connections, port->rx_bytes,
							   port->tx_bytes, port->now, port->refused};
		n++;
	}
	*cursor = i < p->table.fresh ? i : 0;
	add_running(p, owners, ret, n);
	return n;
}
