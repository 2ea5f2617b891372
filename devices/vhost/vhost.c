/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost: socket and queues of one connection.
 *
 * Theory of operation. A message is read in two steps, header and body, because the socket is a stream and
 * descriptors arrive with the header's first byte; a body that brings descriptors, or more descriptors than
 * VHOST_USER_FDS_MAX, ends the connection. Every descriptor of a message that no handler has taken is closed
 * when the message is done. Kick descriptors are watched edge-triggered and never read: an eventfd's counter
 * is of no interest, and a foreign descriptor must not be able to block us or to keep the loop awake.
 *
 * A queue runs when it has size, addresses and a kick descriptor, features are agreed on, and it is enabled
 * (by SET_VRING_ENABLE where protocol features are in use, else at once). vhost_queue_update alone decides.
 */
#include "devices/vhost/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fd.h"
#include "devices/vhost/vhost-private.h"
#include "proto/virtio.h"

/* Messages handled in one wake-up, so that a flood of them cannot starve the rings. */
enum { MESSAGES_PER_ROUND = 32 };

const struct jail_rule vhost_jail_rules[] = {
	{__NR_recvmsg, "messages of the front-end", -1, 0},
	{__NR_sendto, "replies to the front-end", -1, 0},
	{__NR_write, "notify the guest's driver", -1, 0},
	{__NR_close, "descriptors of the front-end", -1, 0},
	{__NR_fcntl, "seals of guest memory", 1, F_GET_SEALS},
	{__NR_fcntl, "non-blocking eventfds", 1, F_GETFL},
	{__NR_fcntl, "non-blocking eventfds", 1, F_SETFL},
#ifdef __NR_newfstatat
	{__NR_newfstatat, "size of guest memory (fstat of newer C libraries)", -1, 0},
#endif
	{__NR_fstat, "size of guest memory", -1, 0},
	{__NR_mmap, "guest memory, never executable", 2, PROT_READ | PROT_WRITE},
	{__NR_munmap, "guest memory", -1, 0},
	{__NR_madvise, "give touched guest pages back when quiet", 2, MADV_DONTNEED},
	{__NR_epoll_ctl, "kick descriptors", -1, 0},
};
const size_t vhost_n_jail_rules = ARRAY_SIZE(vhost_jail_rules);

uint64_t vhost_offered_features(const struct vhost *v)
{
	return v->ops->features | VIRTIO_RING_EVENT_IDX | VHOST_USER_F_LOG_ALL | VHOST_USER_F_PROTOCOL_FEATURES;
}

uint64_t vhost_offered_protocol_features(const struct vhost *v)
{
	return v->ops->protocol_features | VHOST_USER_PROTOCOL_REPLY_ACK | VHOST_USER_PROTOCOL_LOG_SHMFD |
	       VHOST_USER_PROTOCOL_CONFIGURE_MEM_SLOTS | VHOST_USER_PROTOCOL_RESET_DEVICE;
}

/* ------------------------------------------------------------------ queues */

static int on_kick(void *data, int fd, uint32_t events)
{
	struct vhost_queue *q = data;

	if (q->ring.running && !q->ring.broken) {
		q->ring.stats.kicks++;
		q->vhost->ops->on_kick(q->vhost->data, q->index);
	}
	return 0;
}

static void on_ring_broken(void *data, unsigned int index, const char *reason)
{
	struct vhost *v = data;

	if (v->ops->on_broken)
		v->ops->on_broken(v->data, index, reason);
}

/* Tells the device that Q runs and lets it look at the ring, which may have filled long ago. */
static void announce(struct vhost_queue *q)
{
	if (q->vhost->ops->on_start)
		q->vhost->ops->on_start(q->vhost->data, q->index);
	if (q->ring.running && !q->ring.broken)
		q->vhost->ops->on_kick(q->vhost->data, q->index);
}

int vhost_queue_update(struct vhost_queue *q)
{
	struct vhost *v = q->vhost;
	bool enabled = q->enabled || !(v->features & VHOST_USER_F_PROTOCOL_FEATURES);
	bool should = enabled && v->have_features && q->ring.size && q->ring.have_addr && q->kick_fd >= 0;
	int r;

	if (!should) {
		vhost_queue_stop(q);
		return 0;
	}
	if (q->ring.running)
		return 0;
	if ((r = vring_start(&q->ring, v->features)) < 0)
		return trace(r);
	announce(q);
	return 0;
}

void vhost_queue_stop(struct vhost_queue *q)
{
	if (!q->ring.running)
		return;
	if (q->vhost->ops->on_stop)
		q->vhost->ops->on_stop(q->vhost->data, q->index);
	vring_stop(&q->ring);
}

int vhost_queue_set_kick(struct vhost_queue *q, int kick_fd)
{
	struct loop_source *fresh = NULL;
	int r;

	if (kick_fd >= 0 &&
	    (r = loop_add_fd(q->vhost->loop, kick_fd, EPOLLIN | EPOLLET, on_kick, q, &fresh)) < 0) {
		fd_close(kick_fd);
		return trace(r);
	}
	loop_source_free(q->kick);
	fd_close(q->kick_fd);
	q->kick = fresh;
	q->kick_fd = kick_fd;
	return 0;
}

void vhost_queue_reset(struct vhost_queue *q)
{
	vhost_queue_stop(q);
	vhost_queue_set_kick(q, -EBADF);
	q->ring.call_fd = fd_close(q->ring.call_fd);
	q->ring.err_fd = fd_close(q->ring.err_fd);
	q->enabled = false;
	vring_reset(&q->ring);
}

void vhost_pause(struct vhost *v)
{
	for (unsigned int i = 0; i < v->ops->n_queues; i++) {
		v->queues[i].paused = v->queues[i].ring.running;
		vhost_queue_stop(&v->queues[i]);
	}
}

int vhost_resume(struct vhost *v)
{
	int r;

	for (unsigned int i = 0; i < v->ops->n_queues; i++) {
		if (!v->queues[i].paused)
			continue;
		v->queues[i].paused = false;
		if ((r = vhost_queue_update(&v->queues[i])) < 0)
			return trace(r);
	}
	return 0;
}

/* ------------------------------------------------------------------ connection */

static void close_message_fds(struct vhost *v)
{
	for (size_t i = 0; i < v->n_fds; i++)
		v->fds[i] = fd_close(v->fds[i]);
	v->n_fds = 0;
}

/* Releases everything the front-end gave us. */
static void release(struct vhost *v)
{
	for (unsigned int i = 0; i < v->ops->n_queues; i++)
		vhost_queue_reset(&v->queues[i]);
	guest_map_clear(&v->map);
	close_message_fds(v);
	v->socket = loop_source_free(v->socket);
	v->socket_fd = fd_close(v->socket_fd);
}

static void end(struct vhost *v, int code, const char *reason)
{
	if (v->ended)
		return;
	release(v);
	v->ended = true;
	v->ops->on_disconnect(v->data, code, reason);
}

static int reply(struct vhost *v, uint32_t request, const void *body, size_t len)
{
	uint8_t buf[VHOST_USER_HEADER_SIZE + VHOST_USER_BODY_MAX];
	ssize_t n;

	le32_store(buf, request);
	le32_store(buf + 4, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY);
	le32_store(buf + 8, (uint32_t)len);
	memcpy(buf + VHOST_USER_HEADER_SIZE, body, len);
	do
		n = send(v->socket_fd, buf, VHOST_USER_HEADER_SIZE + len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return trace(error_errno());
	/* A front-end that fills our send buffer does not read its replies. */
	return n == (ssize_t)(VHOST_USER_HEADER_SIZE + len) ? 0 : trace(-EPROTO);
}

static void handle(struct vhost *v, const struct vhost_user_header *header, const struct vhost_user_phase *phase)
{
	uint8_t body[VHOST_USER_BODY_MAX];
	struct vhost_user_message m;
	const char *reason = NULL;
	size_t len = 0;
	int r, e;

	r = vhost_user_decode(header, v->buf + VHOST_USER_HEADER_SIZE, v->n_fds, phase, &m, &reason);
	if (r < 0) {
		end(v, r, reason);
		return;
	}
	r = vhost_request(v, &m, body, &len);
	close_message_fds(v);
	if (vhost_user_rules[m.request].reply == VHOST_USER_REPLY_OWN) {
		/* No way to say no inside such a reply. */
		e = r < 0 ? r : reply(v, m.request, body, len);
	} else if (m.need_reply) {
		le64_store(body, r < 0 ? 1 : 0);
		e = reply(v, m.request, body, 8);
	} else {
		e = r;
	}
	if (e < 0)
		end(v, e, vhost_user_rules[m.request].name);
}

/* Collects the descriptors of a received MSG. Return: 0 or -EPROTO (too many, or not expected). */
static int take_message_fds(struct vhost *v, struct msghdr *msg, bool expected)
{
	bool bad = msg->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (!expected || v->n_fds == VHOST_USER_FDS_MAX) {
				fd_close(fd);
				bad = true;
			} else {
				v->fds[v->n_fds++] = fd;
			}
		}
	}
	return bad ? -EPROTO : 0;
}

/* Reads up to WANT bytes in all of the current message. Return: 1 complete; 0 not yet; -EPIPE: closed; -errno. */
static int receive(struct vhost *v, size_t want, const char **ret_reason)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * VHOST_USER_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {v->buf + v->have, want - v->have};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;
	int r;

	if (v->have == want)
		return 1;
	do
		n = recvmsg(v->socket_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : trace(error_errno());
	if ((r = take_message_fds(v, &msg, v->have == 0)) < 0) {
		*ret_reason = "descriptors where none are expected, or too many";
		return trace(r);
	}
	if (n == 0)
		return -EPIPE;
	v->have += (size_t)n;
	return v->have == want;
}

/* Return: 1 a message was handled; 0 none is complete; -errno: connection over. */
static int one_message(struct vhost *v, const char **ret_reason)
{
	struct vhost_user_phase phase = {v->protocol_features, v->ops->n_queues, v->owned, false};
	struct vhost_user_header header;
	int r;

	if (v->have < VHOST_USER_HEADER_SIZE && (r = receive(v, VHOST_USER_HEADER_SIZE, ret_reason)) <= 0)
		return r;
	header.request = le32_load(v->buf);
	header.flags = le32_load(v->buf + 4);
	header.size = le32_load(v->buf + 8);
	for (unsigned int i = 0; i < v->ops->n_queues; i++)
		phase.running |= v->queues[i].ring.running;
	if ((r = vhost_user_check_header(&header, &phase, ret_reason)) < 0)
		return trace(r);
	/* size <= VHOST_USER_BODY_MAX: every rule's size_max is. */
	if ((r = receive(v, VHOST_USER_HEADER_SIZE + header.size, ret_reason)) <= 0)
		return r;
	v->have = 0;
	handle(v, &header, &phase);
	return 1;
}

static int on_socket(void *data, int fd, uint32_t events)
{
	struct vhost *v = data;
	const char *reason = "connection failed";
	int r = 1;

	for (int i = 0; i < MESSAGES_PER_ROUND && r > 0 && !v->ended; i++)
		r = one_message(v, &reason);
	/* A front-end that dies leaves EOF or a reset behind, between messages or not. */
	if (r == -EPIPE || r == -ECONNRESET)
		end(v, 0, "front-end closed the connection");
	else if (r < 0)
		end(v, r, reason);
	return 0;
}

static bool ops_valid(const struct vhost_ops *ops)
{
	uint64_t own = VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_NET_MTU | VHOST_USER_PROTOCOL_CONFIG;

	return ops->n_queues >= 1 && ops->n_queues <= VHOST_QUEUES_MAX && ops->max_segments >= 1 &&
	       ops->max_segments <= VRING_SIZE_MAX && ops->on_kick && ops->on_disconnect &&
	       (ops->features & VIRTIO_VERSION_1) && !(ops->features & VIRTIO_RING_PACKED) &&
	       !(ops->protocol_features & ~own) &&
	       (ops->on_mtu || !(ops->protocol_features & VHOST_USER_PROTOCOL_NET_MTU)) &&
	       (ops->get_config || !(ops->protocol_features & VHOST_USER_PROTOCOL_CONFIG));
}

int vhost_new(struct loop *loop, int socket_fd, const struct vhost_ops *ops, void *data, struct vhost **ret)
{
	_cleanup_close_ int fd = socket_fd;
	_cleanup_(vhost_freep) struct vhost *v = NULL;
	int r;

	if (!ops_valid(ops))
		return trace(-EINVAL);
	v = calloc(1, sizeof(*v));
	if (!v)
		return trace(-ENOMEM);
	v->loop = loop;
	v->ops = ops;
	v->data = data;
	v->socket_fd = -EBADF;
	for (size_t i = 0; i < ARRAY_SIZE(v->fds); i++)
		v->fds[i] = -EBADF;
	for (unsigned int i = 0; i < ARRAY_SIZE(v->queues); i++) {
		struct vhost_queue *q = &v->queues[i];

		q->vhost = v;
		q->index = i;
		q->kick_fd = -EBADF;
		q->ring.index = i;
		q->ring.max_segments = ops->max_segments;
		q->ring.map = &v->map;
		q->ring.broken_fn = on_ring_broken;
		q->ring.broken_data = v;
		q->ring.call_fd = q->ring.err_fd = -EBADF;
	}
	/* A call descriptor may be a pipe whose reader went away. */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return trace(error_errno());
	if ((r = loop_add_fd(loop, fd, EPOLLIN, on_socket, v, &v->socket)) < 0)
		return trace(r);
	v->socket_fd = take_fd(fd);
	*ret = take_ptr(v);
	return 0;
}

struct vhost *vhost_free(struct vhost *v)
{
	if (!v)
		return NULL;
	if (!v->ended)
		release(v);
	free(v);
	return NULL;
}

struct vring *vhost_ring(struct vhost *v, unsigned int queue)
{
	return queue < v->ops->n_queues ? &v->queues[queue].ring : NULL;
}

void vhost_trim(struct vhost *v)
{
	guest_map_trim(&v->map);
}

uint64_t vhost_features(const struct vhost *v)
{
	return v->features;
}
