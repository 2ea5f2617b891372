/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports: see ports.h. Called by main.c only. An id is a slot's number and a count of its uses, so that an answer to an earlier
 * use that is still under way meets nobody.
 */
#include "guest/agent/ports.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "guest/port-link.h"

enum ports_state { PORTS_FREE, PORTS_ASKING, PORTS_NEW, PORTS_WAITING, PORTS_OPEN, PORTS_GONE };
enum { ACCEPT_BATCH = 64, ACCEPT_PAUSE_US = 100000, INDEX_BITS = 12, SERIAL_MAX = (1 << (32 - INDEX_BITS)) - 1 };
_Static_assert((int)AGENT_PORTS_MAX == 1 << INDEX_BITS, "an index fits exactly");

struct entry {
	struct ports *ports;
	struct loop_source *source;
	int fd;
	enum ports_state state;
	uint32_t serial; /* 1 to SERIAL_MAX */
	struct port_link_request request;
};

struct ports {
	struct loop *loop;
	struct loop_source *listener, *pause;
	struct port *port;
	int listen_fd;
	uint32_t max, n_new, n_gone;
	bool reset_due;
	struct entry entries[AGENT_PORTS_MAX];
};

static uint32_t id_of(const struct entry *e)
{
	return e->serial << INDEX_BITS | (uint32_t)(e - e->ports->entries);
}

static void hang_up(struct entry *e)
{
	e->source = loop_source_free(e->source);
	e->fd = fd_close(e->fd);
}

static void answer_consume(int fd, uint32_t status)
{
	const struct port_link_answer a = {.magic = PORT_LINK_MAGIC, .status = status};
	struct port_link_request unread;

	/* What is unread at the close would come before the answer, as a reset. */
	(void)recv(fd, &unread, sizeof(unread), MSG_DONTWAIT);
	/* A proxy that has gone meanwhile is found by its end. */
	(void)send(fd, &a, sizeof(a), MSG_NOSIGNAL | MSG_DONTWAIT);
	fd_close(fd);
}

/* The entry's connection ended, or it is refused. */
static void end(struct entry *e)
{
	struct ports *ports = e->ports;

	hang_up(e);
	if (e->state == PORTS_NEW)
		ports->n_new--;
	if (e->state == PORTS_WAITING || e->state == PORTS_OPEN) {
		e->state = PORTS_GONE;
		ports->n_gone++;
	} else {
		e->state = PORTS_FREE;
	}
}

static void describe(const struct entry *e, uint32_t status)
{
	const struct net_addr *host = &e->request.host;
	char text[INET6_ADDRSTRLEN] = "";

	if (net_addr_is_v4(host))
		inet_ntop(AF_INET, host->byte + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, host->byte, text, sizeof(text));
	log_limited(LOG_WARNING, "port %s %s:%u is not published (%u)", e->request.udp ? "udp" : "tcp", text,
		    e->request.host_port, status);
}

void ports_result(struct ports *ports, uint32_t id, uint32_t status)
{
	const struct port_link_answer a = {.magic = PORT_LINK_MAGIC, .status = status};
	struct entry *e = &ports->entries[id & (AGENT_PORTS_MAX - 1)];

	if (e->state != PORTS_WAITING || id_of(e) != id)
		return; /* its proxy has gone meanwhile */
	if (status == AGENT_PORT_OK) {
		e->state = PORTS_OPEN;
		if (send(e->fd, &a, sizeof(a), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			end(e);
		return;
	}
	describe(e, status);
	e->source = loop_source_free(e->source);
	answer_consume(e->fd, status);
	e->fd = -EBADF;
	e->state = PORTS_FREE;
}

static int read_request(struct entry *e)
{
	struct port_link_request *q = &e->request;
	ssize_t n = recv(e->fd, q, sizeof(*q), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != (ssize_t)sizeof(*q) || q->magic != PORT_LINK_MAGIC || q->udp > 1 || !q->host_port || !q->target_port) {
		if (n > 0)
			log_limited(LOG_WARNING, "a port-proxy's request is none");
		end(e);
		return 0;
	}
	e->state = PORTS_NEW;
	e->ports->n_new++;
	return ports_flush(e->ports);
}

static int on_proxy(void *data, int fd, uint32_t events _unused_)
{
	struct entry *e = data;
	char ignored[8];
	ssize_t n;

	if (e->state == PORTS_ASKING)
		return read_request(e);
	/* Nothing more is expected: anything that comes, an end too, is the end. */
	n = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	end(e);
	return ports_flush(e->ports);
}

static void take_proxy_consume(struct ports *ports, int fd)
{
	struct entry *e;
	uint32_t i = 0;

	while (i < ports->max && ports->entries[i].state != PORTS_FREE)
		i++;
	if (i == ports->max) {
		log_limited(LOG_WARNING, "a port is not published: %u are", ports->max);
		answer_consume(fd, AGENT_PORT_LIMIT);
		return;
	}
	e = &ports->entries[i];
	*e = (struct entry){
		.ports = ports, .fd = fd, .state = PORTS_ASKING, .serial = e->serial % SERIAL_MAX + 1};
	if (loop_add_fd(ports->loop, fd, EPOLLIN, on_proxy, e, &e->source) < 0)
		end(e);
}

static int on_pause_over(void *data)
{
	struct ports *ports = data;

	return loop_source_set_events(ports->listener, EPOLLIN);
}

static int on_listener(void *data, int listen_fd, uint32_t events _unused_)
{
	struct ports *ports = data;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			take_proxy_consume(ports, fd);
			continue;
		}
		if (errno == EAGAIN)
			return 0;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			loop_timer_set(ports->pause, ACCEPT_PAUSE_US);
			return loop_source_set_events(ports->listener, 0);
		}
	}
	return 0;
}

/* Return: 0; -EAGAIN; -errno. */
static int tell(struct ports *ports, enum agent_type type, struct entry *e)
{
	struct agent_message m = {.type = type};

	if (type == AGENT_PORT_OPEN) {
		m.port_open.id = id_of(e);
		m.port_open.udp = e->request.udp;
		m.port_open.host_port = e->request.host_port;
		m.port_open.target_port = e->request.target_port;
		m.port_open.host = e->request.host;
		m.port_open.target = e->request.target;
	} else if (type == AGENT_PORT_CLOSE) {
		m.port_close.id = id_of(e);
	}
	return port_send(ports->port, &m);
}

static int flush(struct ports *ports)
{
	int r = 0;

	if (ports->reset_due)
		r = tell(ports, AGENT_PORT_RESET, NULL);
	if (r)
		return r;
	ports->reset_due = false;
	/* Closed ones first: their place on the host may be wanted by a new one. */
	for (uint32_t i = 0; ports->n_gone && i < ports->max; i++) {
		struct entry *e = &ports->entries[i];

		if (e->state != PORTS_GONE)
			continue;
		r = tell(ports, AGENT_PORT_CLOSE, e);
		if (r)
			return r;
		e->state = PORTS_FREE;
		ports->n_gone--;
	}
	for (uint32_t i = 0; ports->n_new && i < ports->max; i++) {
		struct entry *e = &ports->entries[i];

		if (e->state != PORTS_NEW)
			continue;
		r = tell(ports, AGENT_PORT_OPEN, e);
		if (r)
			return r;
		e->state = PORTS_WAITING;
		ports->n_new--;
	}
	return 0;
}

int ports_flush(struct ports *ports)
{
	int r = flush(ports);

	return r == -EAGAIN ? 0 : r;
}

int ports_new(struct loop *loop, int listen_fd, struct port *port, uint32_t max, struct ports **ret)
{
	_cleanup_(ports_freep) struct ports *ports = calloc(1, sizeof(*ports));
	int r;

	if (!ports)
		return trace(-ENOMEM);
	ports->loop = loop;
	ports->listen_fd = listen_fd;
	ports->port = port;
	ports->max = max;
	ports->reset_due = true;
	r = loop_add_timer(loop, on_pause_over, ports, &ports->pause);
	if (!r)
		r = loop_add_fd(loop, listen_fd, EPOLLIN, on_listener, ports, &ports->listener);
	if (!r)
		r = ports_flush(ports);
	if (r < 0)
		return trace(r);
	*ret = take_ptr(ports);
	return 0;
}

struct ports *ports_free(struct ports *ports)
{
	if (!ports)
		return NULL;
	loop_source_free(ports->listener);
	loop_source_free(ports->pause);
	for (uint32_t i = 0; i < ports->max; i++) {
		if (ports->entries[i].state == PORTS_FREE || ports->entries[i].state == PORTS_GONE)
			continue;
		hang_up(&ports->entries[i]);
	}
	free(ports);
	return NULL;
}
