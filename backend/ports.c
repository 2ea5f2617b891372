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

/* Given up: the network process may have its copy until it reads that. */
struct recent {
	bool udp;
	uint16_t port; /* 0: no entry */
	struct net_addr addr;
	uint64_t until_us;
};

/* An open that met a recent port. */
struct waiting {
	struct port_request request;
	uint64_t until_us;
};

struct ports {
	const struct port_names *names;
	struct ports_hooks hooks;
	enum config_binding binding;
	uint32_t last_id;
	struct loop_source *timer;
	size_t n, n_waiting, next_recent;
	struct waiting waiting[PORTS_WAITING_MAX]; /* first come, first tried */
	struct recent recent[PORTS_RECENT_MAX];	   /* a ring */
	struct port port[NETCTL_PORTS_MAX];
};

static const struct net_addr loopback6 = {{[15] = 1}};

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

static size_t find_waiting(const struct ports *p, uint32_t guest_id)
{
	size_t i = 0;

	while (i < p->n_waiting && p->waiting[i].request.id != guest_id)
		i++;
	return i;
}

static void remove_waiting(struct ports *p, size_t i)
{
	p->n_waiting--;
	memmove(&p->waiting[i], &p->waiting[i + 1], (p->n_waiting - i) * sizeof(p->waiting[0]));
}

static bool meet(const struct recent *recent, const struct netctl_port *port)
{
	if (recent->udp != port->udp || recent->port != port->bound_port ||
	    net_addr_is_v4(&recent->addr) != net_addr_is_v4(&port->bound))
		return false;
	return net_addr_equal(&recent->addr, &port->bound) || port_address_kind(&recent->addr) == PORT_ADDRESS_ANY ||
	       port_address_kind(&port->bound) == PORT_ADDRESS_ANY;
}

static bool given_up_lately(const struct ports *p, const struct netctl_port *port, uint64_t now_us)
{
	for (size_t i = 0; i < PORTS_RECENT_MAX; i++)
		if (now_us < p->recent[i].until_us && meet(&p->recent[i], port))
			return true;
	return false;
}

/* PORT is ours again: who finds it in use from now on meets somebody who stays. */
static void forget_recent(struct ports *p, const struct netctl_port *port)
{
	for (size_t i = 0; i < PORTS_RECENT_MAX; i++)
		if (p->recent[i].port && meet(&p->recent[i], port))
			p->recent[i] = (struct recent){0};
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

	if (p->n + p->n_waiting >= NETCTL_PORTS_MAX)
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

/* The end of an open: STATUS is what decide said about it. */
static void settle(struct ports *p, const struct port_request *request, enum agent_port_status status, struct port *port)
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

	(void)describe(host, &request->host);
	if (status != AGENT_PORT_OK) {
		log_limited(LOG_WARNING, "ports: %s %s:%u is refused: %s", request->udp ? "udp" : "tcp", host, request->host_port,
			    reasons[status]);
		p->hooks.result(p->hooks.data, request->id, status);
		return;
	}
	if (port->fd >= 0)
		forget_recent(p, &port->net);
	port->net.id = ++p->last_id;
	p->port[p->n++] = *port;
	log_limited(LOG_INFO, "ports: %s %s:%u is open%s%s", request->udp ? "udp" : "tcp", describe(bound, &port->net.bound),
		    request->host_port, port->fd < 0 ? " (this host has no IPv6)" : "",
		    net_addr_equal(&port->asked, &port->net.bound) ? "" : " (only here, by PortBindingBehavior)");
	/* Known to the network process before the container is told that it can be reached. */
	p->hooks.added(p->hooks.data, &port->net, port->fd);
	p->hooks.result(p->hooks.data, request->id, AGENT_PORT_OK);
}

static int on_retry(void *data)
{
	struct ports *p = data;
	uint64_t now_us = loop_now_us();

	for (size_t i = 0; i < p->n_waiting;) {
		const struct waiting w = p->waiting[i];
		enum agent_port_status status;
		struct port port;

		/* Out of the table while it is decided: the hooks may close or reset. */
		remove_waiting(p, i);
		status = decide(p, &w.request, &port);
		if (status != AGENT_PORT_IN_USE || now_us >= w.until_us) {
			settle(p, &w.request, status, &port);
			continue;
		}
		memmove(&p->waiting[i + 1], &p->waiting[i], (p->n_waiting++ - i) * sizeof(p->waiting[0]));
		p->waiting[i++] = w;
	}
	return p->n_waiting ? loop_timer_set(p->timer, PORTS_RETRY_US) : 0;
}

void ports_open(struct ports *p, const struct port_request *request)
{
	struct port port;
	uint64_t now_us = loop_now_us();
	enum agent_port_status status = AGENT_PORT_UNSUPPORTED;

	if (find_waiting(p, request->id) == p->n_waiting)
		status = decide(p, request, &port);
	if (status == AGENT_PORT_IN_USE && p->n_waiting < PORTS_WAITING_MAX && given_up_lately(p, &port.net, now_us) &&
	    (p->n_waiting || loop_timer_set(p->timer, PORTS_RETRY_US) >= 0))
		p->waiting[p->n_waiting++] = (struct waiting){*request, now_us + PORTS_WAIT_US};
	else
		settle(p, request, status, &port);
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
	if (gone.fd >= 0)
		p->recent[p->next_recent++ % PORTS_RECENT_MAX] =
			(struct recent){gone.net.udp, gone.net.bound_port, gone.net.bound, loop_now_us() + PORTS_WAIT_US};
	fd_close(gone.fd);
}

void ports_close(struct ports *p, uint32_t id)
{
	struct port *port = find(p, id);
	size_t i = find_waiting(p, id);

	if (i < p->n_waiting)
		remove_waiting(p, i);
	if (port)
		drop(p, port);
}

void ports_reset(struct ports *p)
{
	p->n_waiting = 0;
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

int ports_new(struct loop *loop, const struct port_names *names, const struct ports_hooks *hooks, struct ports **ret)
{
	struct ports *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return trace(-ENOMEM);
	p->names = names;
	p->hooks = *hooks;
	r = loop_add_timer(loop, on_retry, p, &p->timer);
	if (r < 0) {
		free(p);
		return trace(r);
	}
	*ret = p;
	return 0;
}

struct ports *ports_free(struct ports *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n; i++)
		fd_close(p->port[i].fd);
	loop_source_free(p->timer);
	free(p);
	return NULL;
}
