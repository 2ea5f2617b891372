/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports: see ports.h.
 */
#include "machine/ports.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum port_state { PORT_FREE, PORT_NEW, PORT_WAITING, PORT_OPEN, PORT_GONE };
enum { INDEX_BITS = 12, SERIAL_MAX = (1 << (32 - INDEX_BITS)) - 1 };
_Static_assert(AGENT_PORTS_MAX == 1 << INDEX_BITS, "an index fits exactly");
_Static_assert((int)AGENT_NETS_MAX == (int)NETCTL_NETS_MAX, "one list of subnets");

struct port {
	enum port_state state;
	bool udp;
	uint16_t host_port, target_port;
	uint32_t serial; /* 1 to SERIAL_MAX: the upper part of the backend's id */
	struct net_addr host, target;
};

struct ports {
	const struct ports_ops *ops;
	void *data;
	size_t n_new, n_gone;
	bool reset_due, nets_due;
	uint32_t nets_next; /* index that must come next, 0: a new list */
	struct netctl_net building[AGENT_NETS_MAX];
	struct machine_message nets; /* the last whole list */
	uint32_t guest_id[AGENT_PORTS_MAX]; /* 0: nobody in the guest knows this entry (free or gone) */
	struct port port[AGENT_PORTS_MAX];
};

int ports_new(const struct ports_ops *ops, void *data, struct ports **ret)
{
	struct ports *ports = calloc(1, sizeof(*ports));

	if (!ports)
		return trace(-ENOMEM);
	ports->ops = ops;
	ports->data = data;
	ports->nets.type = MACHINE_GUEST_NETS;
	*ret = ports;
	return 0;
}

struct ports *ports_free(struct ports *ports)
{
	free(ports);
	return NULL;
}

bool ports_pending(const struct ports *ports)
{
	return ports->reset_due || ports->nets_due || ports->n_new || ports->n_gone;
}

/* Entry of GUEST_ID (0: a free one, or one whose close is to be told). Return: AGENT_PORTS_MAX when there is none. */
static size_t find(const struct ports *ports, uint32_t guest_id)
{
	size_t i = 0;

	while (i < AGENT_PORTS_MAX && (ports->guest_id[i] != guest_id || (!guest_id && ports->port[i].state != PORT_FREE)))
		i++;
	return i;
}

static void answer(struct ports *ports, uint32_t guest_id, uint32_t status)
{
	struct agent_message m = {.type = AGENT_PORT_RESULT, .port_result = {guest_id, status}};

	ports->ops->agent(ports->data, &m);
}

static uint32_t backend_id(const struct ports *ports, size_t i)
{
	return ports->port[i].serial << INDEX_BITS | (uint32_t)i;
}

/* Link-local, multicast, reserved, 0/8 but for 0.0.0.0 itself: nothing that a port can be bound to or sent to. */
static bool is_odd(const struct net_addr *addr)
{
	static const uint8_t any4[4];

	if (net_addr_is_v4(addr)) {
		const uint8_t *b = addr->byte + 12;

		return (b[0] == 0 && memcmp(b, any4, 4) != 0) || (b[0] == 169 && b[1] == 254) || b[0] >= 224;
	}
	return (addr->byte[0] == 0xfe && (addr->byte[1] & 0xc0) == 0x80) || addr->byte[0] == 0xff;
}

static bool is_any_or_loopback(const struct net_addr *addr)
{
	static const struct net_addr any, one = {{[15] = 1}};

	if (net_addr_is_v4(addr))
		return addr->byte[12] == 0 || addr->byte[12] == 127;
	return net_addr_equal(addr, &any) || net_addr_equal(addr, &one);
}

static int open_port(struct ports *ports, const struct agent_message *m)
{
	uint32_t id = m->port_open.id;
	struct port *port;
	size_t i;

	if (find(ports, id) < AGENT_PORTS_MAX)
		return trace(-EBADMSG);
	if (is_odd(&m->port_open.host) || is_odd(&m->port_open.target) || is_any_or_loopback(&m->port_open.target)) {
		answer(ports, id, AGENT_PORT_ADDRESS);
		return 0;
	}
	i = find(ports, 0);
	if (i == AGENT_PORTS_MAX) {
		answer(ports, id, AGENT_PORT_LIMIT);
		return 0;
	}
	port = &ports->port[i];
	*port = (struct port){.state = PORT_NEW,
			      .udp = m->port_open.udp,
			      .host_port = m->port_open.host_port,
			      .target_port = m->port_open.target_port,
			      .serial = port->serial % SERIAL_MAX + 1,
			      .host = m->port_open.host,
			      .target = m->port_open.target};
	ports->guest_id[i] = id;
	ports->n_new++;
	return 0;
}

static void drop(struct ports *ports, size_t i, bool tell)
{
	struct port *port = &ports->port[i];

	ports->guest_id[i] = 0;
	if (port->state == PORT_NEW)
		ports->n_new--;
	if (port->state == PORT_GONE)
		ports->n_gone--;
	if (tell && (port->state == PORT_WAITING || port->state == PORT_OPEN)) {
		port->state = PORT_GONE;
		ports->n_gone++;
	} else {
		port->state = PORT_FREE;
	}
}

static void reset(struct ports *ports)
{
	for (size_t i = 0; i < AGENT_PORTS_MAX; i++)
		if (ports->port[i].state != PORT_FREE)
			drop(ports, i, false);
	ports->reset_due = true;
}

static int take_net(struct ports *ports, const struct agent_message *m)
{
	if (m->net.n && m->net.index && m->net.index != ports->nets_next)
		return trace(-EBADMSG);
	if (m->net.n) {
		ports->building[m->net.index] = (struct netctl_net){m->net.addr, m->net.prefix_len};
		ports->nets_next = m->net.index + 1;
		if (ports->nets_next < m->net.n)
			return 0;
	}
	ports->nets_next = 0;
	ports->nets.guest_nets.n = (uint16_t)m->net.n;
	memcpy(ports->nets.guest_nets.net, ports->building, m->net.n * sizeof(ports->building[0]));
	ports->nets_due = true;
	return 0;
}

int ports_agent(struct ports *ports, const struct agent_message *message)
{
	int r = 0;

	if (message->type == AGENT_PORT_OPEN) {
		r = open_port(ports, message);
	} else if (message->type == AGENT_PORT_CLOSE) {
		size_t i = find(ports, message->port_close.id);

		/* A refusal and a close may cross. */
		if (i < AGENT_PORTS_MAX)
			drop(ports, i, true);
	} else if (message->type == AGENT_PORT_RESET) {
		reset(ports);
	} else if (message->type == AGENT_NET) {
		r = take_net(ports, message);
	}
	ports_flush(ports);
	return r;
}

void ports_backend(struct ports *ports, const struct machine_message *message)
{
	size_t i = message->port_result.id & (AGENT_PORTS_MAX - 1);
	uint32_t guest_id = ports->guest_id[i];

	if (ports->port[i].state != PORT_WAITING || backend_id(ports, i) != message->port_result.id)
		return;
	if (message->port_result.status == AGENT_PORT_OK)
		ports->port[i].state = PORT_OPEN;
	else
		drop(ports, i, false);
	answer(ports, guest_id, message->port_result.status);
}

/* Return: false when the backend takes nothing more for now. A message that is lost for another reason went to a backend that is
 * gone: its state is as if it had been told. */
static bool tell(struct ports *ports, const struct machine_message *message)
{
	return ports->ops->backend(ports->data, message) != -EAGAIN;
}

static bool tell_gone(struct ports *ports, size_t i)
{
	struct machine_message m = {.type = MACHINE_PORT_CLOSE, .port_close = {backend_id(ports, i)}};

	if (!tell(ports, &m))
		return false;
	drop(ports, i, false);
	return true;
}

static bool tell_new(struct ports *ports, size_t i)
{
	struct port *port = &ports->port[i];
	struct machine_message m = {.type = MACHINE_PORT_OPEN};
	int r;

	m.port_open.id = backend_id(ports, i);
	m.port_open.udp = port->udp;
	m.port_open.host = port->host;
	m.port_open.target = port->target;
	m.port_open.host_port = port->host_port;
	m.port_open.target_port = port->target_port;
	r = ports->ops->backend(ports->data, &m);
	if (r == -EAGAIN)
		return false;
	if (r < 0) {
		uint32_t guest_id = ports->guest_id[i];

		drop(ports, i, false);
		answer(ports, guest_id, AGENT_PORT_UNAVAILABLE);
		return true;
	}
	port->state = PORT_WAITING;
	ports->n_new--;
	return true;
}

void ports_flush(struct ports *ports)
{
	if (ports->reset_due) {
		struct machine_message m = {.type = MACHINE_PORT_RESET};

		if (!tell(ports, &m))
			return;
		ports->reset_due = false;
	}
	/* Closed ones first: their place may be wanted by a new one. */
	for (size_t i = 0; ports->n_gone && i < AGENT_PORTS_MAX; i++)
		if (ports->port[i].state == PORT_GONE && !tell_gone(ports, i))
			return;
	for (size_t i = 0; ports->n_new && i < AGENT_PORTS_MAX; i++)
		if (ports->port[i].state == PORT_NEW && !tell_new(ports, i))
			return;
	if (ports->nets_due && tell(ports, &ports->nets))
		ports->nets_due = false;
}
