/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp-client: see qmp-client.h.
 */
#include "machine/qmp-client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"

enum { READ_INITIAL = 4096 };

struct qmp_pending {
	uint32_t id; /* 0: free */
	bool sent;
	enum qmp_command command;
	uint64_t deadline_us;
	qmp_reply_fn fn;
	void *data;
};

struct qmp_client {
	struct loop *loop;
	int fd;
	struct loop_source *source, *timer;
	enum qmp_client_state state;
	qmp_event_fn fn;
	void *data;
	uint32_t next_id;
	struct qmp_pending pending[QMP_PENDING_MAX];
	char *buf;
	size_t len, size;
	bool *freed; /* set by free while a callback runs */
};

struct qmp_client *qmp_client_free(struct qmp_client *client)
{
	if (!client)
		return NULL;
	if (client->freed)
		*client->freed = true;
	loop_source_free(client->source);
	loop_source_free(client->timer);
	fd_close(client->fd);
	free(client->buf);
	free(client);
	return NULL;
}

enum qmp_client_state qmp_client_state(const struct qmp_client *client)
{
	return client->state;
}

/* One timer for the earliest deadline; disarmed when nothing is pending. */
static void arm(struct qmp_client *client)
{
	uint64_t first = UINT64_MAX, now = loop_now_us();

	for (size_t i = 0; i < QMP_PENDING_MAX; i++)
		if (client->pending[i].id && client->pending[i].deadline_us < first)
			first = client->pending[i].deadline_us;
	loop_timer_set(client->timer, first == UINT64_MAX ? UINT64_MAX : first > now ? first - now : 0);
}

/* Calls back; returns true when the client was freed meanwhile. */
static bool reply(struct qmp_client *client, size_t i, int r, const struct qmp_message *message)
{
	struct qmp_pending p = client->pending[i];
	bool freed = false;

	client->pending[i] = (struct qmp_pending){0};
	if (!p.fn)
		return false;
	client->freed = &freed;
	p.fn(p.data, r, message);
	if (!freed)
		client->freed = NULL;
	return freed;
}

static void disconnect(struct qmp_client *client)
{
	struct qmp_message event = {.kind = QMP_EVENT, .name = "SHUTDOWN", .text = "disconnected"};

	if (client->state == QMP_CLIENT_CLOSED)
		return;
	client->state = QMP_CLIENT_CLOSED;
	client->source = loop_source_free(client->source);
	loop_timer_set(client->timer, UINT64_MAX);
	client->fd = fd_close(client->fd);
	for (size_t i = 0; i < QMP_PENDING_MAX; i++)
		if (client->pending[i].id && reply(client, i, -ECONNRESET, NULL))
			return;
	client->fn(client->data, &event);
}

/* Commands are short and few: a socket that cannot take one at once belongs to a QEMU that does not read. */
static int send_command(struct qmp_client *client, enum qmp_command command, uint32_t id)
{
	char line[128];
	ssize_t n;
	int r = qmp_encode(command, id, line, sizeof(line));

	if (r < 0)
		return r;
	n = send(client->fd, line, (size_t)r, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == r ? 0 : trace(-EPIPE);
}

static int send_waiting(struct qmp_client *client)
{
	int r = 0;

	for (size_t i = 0; i < QMP_PENDING_MAX && !r; i++) {
		struct qmp_pending *p = &client->pending[i];

		if (p->id && !p->sent) {
			p->sent = true;
			r = send_command(client, p->command, p->id);
		}
	}
	return r;
}

int qmp_client_call(struct qmp_client *client, enum qmp_command command, qmp_reply_fn fn, void *data)
{
	if (client->state == QMP_CLIENT_CLOSED)
		return trace(-ENOTCONN);
	for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
		struct qmp_pending *p = &client->pending[i];

		if (p->id)
			continue;
		*p = (struct qmp_pending){.id = ++client->next_id, .command = command, .fn = fn, .data = data,
					  .deadline_us = loop_now_us() + QMP_COMMAND_TIMEOUT_US};
		arm(client);
		/* A failed send shows as end of file in the next round; the call fails there. */
		if (client->state == QMP_CLIENT_READY && send_waiting(client))
			shutdown(client->fd, SHUT_RDWR);
		return 0;
	}
	return trace(-EBUSY);
}

static int on_timer(void *data)
{
	struct qmp_client *client = data;
	uint64_t now = loop_now_us();

	for (size_t i = 0; i < QMP_PENDING_MAX; i++)
		if (client->pending[i].id && client->pending[i].deadline_us <= now)
			if (reply(client, i, -ETIMEDOUT, NULL))
				return 0;
	arm(client);
	return 0;
}

/* Return: 0; 1: the client was freed; -errno: protocol broken. */
static int handle(struct qmp_client *client, const struct qmp_message *m)
{
	bool freed = false;

	switch (m->kind) {
	case QMP_GREETING:
		if (client->state != QMP_CLIENT_GREETING)
			return trace(-EBADMSG);
		client->state = QMP_CLIENT_CAPABILITIES;
		return send_command(client, QMP_CAPABILITIES, 0);
	case QMP_EVENT:
		client->freed = &freed;
		client->fn(client->data, m);
		if (freed)
			return 1;
		client->freed = NULL;
		return 0;
	case QMP_RETURN:
	case QMP_ERROR:
		break;
	}
	if (client->state == QMP_CLIENT_CAPABILITIES) {
		if (m->kind != QMP_RETURN || m->id)
			return trace(-EBADMSG);
		client->state = QMP_CLIENT_READY;
		return send_waiting(client);
	}
	if (client->state != QMP_CLIENT_READY)
		return trace(-EBADMSG);
	for (size_t i = 0; i < QMP_PENDING_MAX; i++) {
		if (!client->pending[i].id || client->pending[i].id != m->id || !client->pending[i].sent)
			continue;
		if (reply(client, i, m->kind == QMP_RETURN ? 0 : -EREMOTEIO, m))
			return 1;
		arm(client);
		return 0;
	}
	return 0; /* the answer to a command that timed out */
}

static int parse(struct qmp_client *client)
{
	size_t off = 0;
	int n, r = 0;

	while ((n = qmp_line(client->buf + off, client->len - off)) > 0) {
		struct qmp_message m;

		r = qmp_decode(&m, client->buf + off, (size_t)n);
		off += (size_t)n;
		if (!r)
			r = handle(client, &m);
		if (r)
			return r;
		if (client->state == QMP_CLIENT_CLOSED)
			return 0;
	}
	memmove(client->buf, client->buf + off, client->len - off);
	client->len -= off;
	return n;
}

static int make_room(struct qmp_client *client)
{
	size_t size = client->size ? client->size * 2 : READ_INITIAL;
	char *buf;

	if (client->len < client->size)
		return 0;
	if (size > QMP_LINE_MAX)
		return trace(-EMSGSIZE);
	buf = realloc(client->buf, size);
	if (!buf)
		return trace(-ENOMEM);
	client->buf = buf;
	client->size = size;
	return 0;
}

static int on_ready(void *data, int fd, uint32_t events)
{
	struct qmp_client *client = data;
	ssize_t n;
	int r = make_room(client);

	if (!r) {
		n = recv(fd, client->buf + client->len, client->size - client->len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0) {
			r = -ECONNRESET;
		} else {
			client->len += (size_t)n;
			r = parse(client);
		}
	}
	if (r < 0)
		disconnect(client);
	return 0;
}

int qmp_client_new(struct loop *loop, int consume_fd, qmp_event_fn fn, void *data, struct qmp_client **ret)
{
	struct qmp_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client) {
		fd_close(consume_fd);
		return trace(-ENOMEM);
	}
	client->loop = loop;
	client->fd = consume_fd;
	client->fn = fn;
	client->data = data;
	r = loop_add_timer(loop, on_timer, client, &client->timer);
	if (!r)
		r = loop_add_fd(loop, client->fd, EPOLLIN, on_ready, client, &client->source);
	if (r) {
		qmp_client_free(client);
		return trace(r);
	}
	*ret = client;
	return 0;
}
