/* SPDX-License-Identifier: Apache-2.0 */
/* ports: a table of at most NETCTL_PORTS_MAX; ids towards the network process are our own and never used twice. */
#include "backend/ports.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/port-bind.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

struct port {
	uint32_t guest_id;
	struct net_addr asked;
	struct netctl_port net;
	int fd;
};

struct ports {
	const struct port_names *names;
	struct ports_hooks hooks;
	enum config_binding binding;
	uint32_t last_id;
	size_t n;
	struct port port[NETCTL_PORTS_MAX];
};

static const struct net_addr loopback6 = {{[15] = 1}};

int ports_new(const struct port_names *names, const struct ports_hooks *hooks, struct ports **ret)
{
	struct ports *p = calloc(1, sizeof(*p));

	if (!p)
		return trace(-ENOMEM);
	p->names = names;
	p->hooks = *hooks;
	*ret = p;
	return 0;
}

void ports_set_binding(struct ports *p, enum config_binding binding)
{
	p->binding = binding;
}

enum agent_port_status ports_address(enum config_binding binding, const struct net_addr *asked, uint8_t wide, struct net_addr *ret)
{
	bool v4 = net_addr_is_v4(asked);

	*ret = *asked;
	switch (port_address_kind(asked)) {
	case PORT_ADDRESS_LOOPBACK:
		return AGENT_PORT_OK;
	case PORT_ADDRESS_ANY:
		if (binding == CONFIG_BIND_ALL)
			return AGENT_PORT_OK;
		/* local-default gives way to an address that was written down; a bare -p 8080:80 reaches us as 0.0.0.0 too. */
		if (binding == CONFIG_BIND_LOCAL_DEFAULT && (wide & (v4 ? PORT_WIDE_V4 : PORT_WIDE_V6)))
			return AGENT_PORT_OK;
		*ret = v4 ? net_addr4(INADDR_LOOPBACK) : loopback6;
		return AGENT_PORT_OK;
	case PORT_ADDRESS_OTHER:
		return binding == CONFIG_BIND_LOCAL_ONLY ? AGENT_PORT_ADDRESS : AGENT_PORT_OK;
	case PORT_ADDRESS_BAD:
		break;
	}
	return AGENT_PORT_ADDRESS;
}

static const char *describe(char dst[static INET6_ADDRSTRLEN], const struct net_addr *addr)
{
	bool v4 = net_addr_is_v4(addr);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, addr->byte + (v4 ? 12 : 0), dst, INET6_ADDRSTRLEN))
		*dst = '\0';
	return dst;
}

static struct port *find(struct ports *p, uint32_t guest_id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->port[i].guest_id == guest_id)
			return &p->port[i];
	return NULL;
}

/* Binds ADDR. *RET_FD is -EBADF where a host without IPv6 was asked for all of it. */
static enum agent_port_status bind_port(const struct port_request *request, const struct net_addr *addr, int *ret_fd)
{
	bool all6 = !net_addr_is_v4(&request->host) && port_address_kind(&request->host) == PORT_ADDRESS_ANY;
	int r = port_bind(request->udp, addr, request->host_port);

	if (r == -EACCES || r == -EPERM)
		r = port_bind_privileged(request->udp, addr, request->host_port);
	*ret_fd = r < 0 ? -EBADF : r;
	if (r >= 0)
		return AGENT_PORT_OK;
	/* The engine asks for :: beside 0.0.0.0 because the VM has IPv6; a host without it must not fail the container. */
	if (all6 && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
		return AGENT_PORT_OK;
	return port_bind_status(r);
}

static enum agent_port_status decide(struct ports *p, const struct port_request *request, struct port *ret)
{
	enum port_address target = port_address_kind(&request->target);
	enum agent_port_status status;
	struct net_addr addr;
	uint8_t wide;

	if (p->n == NETCTL_PORTS_MAX)
		return AGENT_PORT_LIMIT;
	if (!request->id || !request->host_port || !request->target_port || find(p, request->id) ||
	    target != PORT_ADDRESS_OTHER)
		return AGENT_PORT_UNSUPPORTED;
	if (!port_names_allowed(p->names, request->udp, request->host_port, &wide))
		return AGENT_PORT_DENIED;
	status = ports_address(p->binding, &request->host, wide, &addr);
	if (status != AGENT_PORT_OK)
		return status;
	*ret = (struct port){.guest_id = request->id, .asked = request->host, .fd = -EBADF};
	ret->net = (struct netctl_port){.udp = request->udp, .target = request->target, .target_port = request->target_port,
					.bound = addr, .bound_port = request->host_port};
	return bind_port(request, &addr, &ret->fd);
}

void ports_open(struct ports *p, const struct port_request *request)
{
	static const char *const reasons[AGENT_PORT_STATUS_MAX] = {
		[AGENT_PORT_IN_USE] = "the port is in use",
		[AGENT_PORT_DENIED] = "no request on this host named it",
		[AGENT_PORT_NO_PRIVILEGE] = "ports below 1024 need a privilege that is not there: lower "
					    "net.ipv4.ip_unprivileged_port_start or install the helper",
		[AGENT_PORT_ADDRESS] = "the address cannot be used (not this host's, or PortBindingBehavior is local-only)",
		[AGENT_PORT_LIMIT] = "there are too many",
		[AGENT_PORT_UNSUPPORTED] = "it cannot be published",
		[AGENT_PORT_UNAVAILABLE] = "the socket cannot be made",
	};
	char host[INET6_ADDRSTRLEN], bound[INET6_ADDRSTRLEN];
	struct port port;
	enum agent_port_status status = decide(p, request, &port);

	(void)describe(host, &request->host);
	if (status != AGENT_PORT_OK) {
		log_limited(LOG_WARNING, "ports: %s %s:%u is refused: %s", request->udp ? "udp" : "tcp", host, request->host_port,
			    reasons[status]);
		p->hooks.result(p->hooks.data, request->id, status);
		return;
	}
	port.net.id = ++p->last_id;
	p->port[p->n++] = port;
	log_limited(LOG_INFO, "ports: %s %s:%u is open%s%s", request->udp ? "udp" : "tcp", describe(bound, &port.net.bound),
		    request->host_port, port.fd < 0 ? " (this host has no IPv6)" : "",
		    net_addr_equal(&port.asked, &port.net.bound) ? "" : " (only here, by PortBindingBehavior)");
	/* Known to the network process before the container is told that it can be reached. */
	p->hooks.added(p->hooks.data, &port.net, port.fd);
	p->hooks.result(p->hooks.data, request->id, AGENT_PORT_OK);
}

static void drop(struct ports *p, struct port *port)
{
	const struct port gone = *port;

	*port = p->port[--p->n];
	p->hooks.removed(p->hooks.data, gone.net.id);
	/* The network process has a copy until it has read that: nobody is accepted through that one, and the port can be listened
	 * on again at once. */
	if (gone.fd >= 0 && !gone.net.udp)
		(void)shutdown(gone.fd, SHUT_RDWR);
	fd_close(gone.fd);
}

void ports_close(struct ports *p, uint32_t id)
{
	struct port *port = find(p, id);

	if (port)
		drop(p, port);
}

void ports_reset(struct ports *p)
{
	while (p->n)
		drop(p, &p->port[p->n - 1]);
}

void ports_again(struct ports *p)
{
	for (size_t i = 0; i < p->n; i++)
		p->hooks.added(p->hooks.data, &p->port[i].net, p->port[i].fd);
}

void ports_each(const struct ports *p, ports_fn fn, void *data)
{
	for (size_t i = 0; i < p->n; i++)
		fn(data, &p->port[i].net, &p->port[i].asked);
}

size_t ports_count(const struct ports *p)
{
	return p->n;
}

struct ports *ports_free(struct ports *p)
{
	for (size_t i = 0; p && i < p->n; i++)
		fd_close(p->port[i].fd);
	free(p);
	return NULL;
}
