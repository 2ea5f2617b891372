/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-private: one connection, shared by vhost.c (socket, queues) and requests.c (handlers). Private to
 * devices/vhost.
 */
#pragma once

#include "base/loop.h"
#include "devices/vhost/guest-map.h"
#include "devices/vhost/vhost.h"
#include "devices/vhost/vring-private.h"
#include "proto/vhost-user.h"

struct vhost_queue {
	struct vhost *vhost;
	unsigned int index;
	struct vring ring;
	int kick_fd;
	struct loop_source *kick;
	bool enabled;
	bool paused; /* was running when the memory map began to change */
};

struct vhost {
	struct loop *loop;
	const struct vhost_ops *ops;
	void *data;
	int socket_fd;
	struct loop_source *socket;
	bool ended;
	bool owned;
	bool have_features;
	uint64_t features;
	uint64_t protocol_features;
	struct guest_map map;
	struct guest_map fresh; /* next map while SET_MEM_TABLE is checked; too large for a stack */
	/* Message being received: header, then body; descriptors belong to it. */
	uint8_t buf[VHOST_USER_HEADER_SIZE + VHOST_USER_BODY_MAX];
	size_t have;
	int fds[VHOST_USER_FDS_MAX];
	size_t n_fds;
	struct vhost_queue queues[VHOST_QUEUES_MAX];
};

/* Offered sets, library's own included. */
uint64_t vhost_offered_features(const struct vhost *v);
uint64_t vhost_offered_protocol_features(const struct vhost *v);

/* Starts or stops queue Q as its settings now demand. Return: 0, or -errno when it should run and cannot. */
int vhost_queue_update(struct vhost_queue *q);
void vhost_queue_stop(struct vhost_queue *q);
/* Stops the queue and forgets what the front-end set for it, descriptors included. */
void vhost_queue_reset(struct vhost_queue *q);
/* KICK_FD is consumed, < 0 removes. Return: 0 or -errno. */
int vhost_queue_set_kick(struct vhost_queue *q, int kick_fd);
/* Around a change of the memory map. resume: the new map was checked for every running ring. */
void vhost_pause(struct vhost *v);
int vhost_resume(struct vhost *v);

/* requests.c: carries out M, whose descriptors are v->fds (taken or left there to be closed). RET[0..*RET_LEN) is
 * the body of the reply of requests with their own. Return: 0 or -errno (refused). */
int vhost_request(struct vhost *v, const struct vhost_user_message *m, void *ret, size_t *ret_len);
