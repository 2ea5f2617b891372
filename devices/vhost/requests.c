/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requests: what each vhost-user message does. The table in proto/vhost-user.c has checked sizes, counts,
 * ring numbers and phase before; a handler checks what only the connection's state can tell, and changes
 * nothing when it refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fd.h"
#include "devices/vhost/vhost-private.h"
#include "proto/virtio.h"

enum { VRING_ADDR_LOG = 1 };

typedef int (*handler_fn)(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len);

static int reply_u64(uint8_t *ret, size_t *ret_len, uint64_t value)
{
	le64_store(ret, value);
	*ret_len = 8;
	return 0;
}

static int get_features(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	return reply_u64(ret, ret_len, vhost_offered_features(v));
}

static int set_features(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	uint64_t changed = v->features ^ m->u64;

	if (m->u64 & ~vhost_offered_features(v) || !(m->u64 & VIRTIO_VERSION_1))
		return trace(-EINVAL);
	for (unsigned int i = 0; i < v->ops->n_queues; i++)
		/* Under running rings only logging may be switched. */
		if (v->queues[i].ring.running && (changed & ~VHOST_USER_F_LOG_ALL))
			return trace(-EBUSY);
	v->features = m->u64;
	v->have_features = true;
	v->map.logging = m->u64 & VHOST_USER_F_LOG_ALL;
	if ((changed & ~VHOST_USER_F_LOG_ALL) && v->ops->on_features)
		v->ops->on_features(v->data, m->u64);
	return 0;
}

static int set_owner(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	v->owned = true;
	return 0;
}

/* RESET_OWNER (deprecated) and RESET_DEVICE: all rings back to their initial state, memory stays. */
static int reset_device(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	for (unsigned int i = 0; i < v->ops->n_queues; i++)
		vhost_queue_reset(&v->queues[i]);
	return 0;
}

/* Every running ring can be found in MAP, so that a change of the map cannot strand one. */
static int rings_fit(struct vhost *v, const struct guest_map *map)
{
	const uint8_t *desc;
	uint8_t *avail, *used;
	int r;

	for (unsigned int i = 0; i < v->ops->n_queues; i++) {
		const struct vring *ring = &v->queues[i].ring;

		if (ring->running && (r = vring_translate(ring, map, &desc, &avail, &used)) < 0)
			return trace(r);
	}
	return 0;
}

static int set_mem_table(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	int r = 0;

	for (uint32_t i = 0; i < m->n_regions && r >= 0; i++)
		r = guest_map_add(&v->fresh, &m->regions[i], v->fds[i]);
	if (r >= 0)
		r = rings_fit(v, &v->fresh);
	if (r < 0) {
		guest_map_clear(&v->fresh);
		return trace(r);
	}
	vhost_pause(v);
	guest_map_replace(&v->map, &v->fresh);
	return vhost_resume(v);
}

static int get_max_mem_slots(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	return reply_u64(ret, ret_len, GUEST_REGIONS_MAX);
}

/* Nothing that is mapped moves: rings need not pause. */
static int add_mem_reg(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	return guest_map_add(&v->map, &m->regions[0], v->fds[0]);
}

static int rem_mem_reg(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	int i = guest_map_find(&v->map, &m->regions[0]);
	const struct vhost_user_region *gone = &m->regions[0];

	if (i < 0)
		return trace(i);
	for (unsigned int k = 0; k < v->ops->n_queues; k++) {
		const struct vring *ring = &v->queues[k].ring;

		/* A ring lies in one region as a whole, so that its first byte tells. */
		if (ring->running && (ring->desc_user - gone->user_addr < gone->size ||
				      ring->avail_user - gone->user_addr < gone->size ||
				      ring->used_user - gone->user_addr < gone->size))
			return trace(-EBUSY);
	}
	vhost_pause(v);
	guest_map_remove(&v->map, (unsigned int)i);
	return vhost_resume(v);
}

static int set_log_base(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	int r = guest_log_set(&v->map, v->fds[0], m->log_size, m->log_offset);

	return r < 0 ? trace(r) : reply_u64(ret, ret_len, 0);
}

/* Optional hint that the log changed: QEMU reads the log anyway. The descriptor is closed by the caller. */
static int set_log_fd(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	return 0;
}

static int set_vring_num(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vring *ring = &v->queues[m->index].ring;

	if (ring->running)
		return trace(-EBUSY);
	ring->size = (uint16_t)m->num;
	return 0;
}

static int set_vring_addr(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vring *ring = &v->queues[m->index].ring;
	struct vring saved = *ring;
	const uint8_t *desc;
	uint8_t *avail, *used;
	int r;

	if (!ring->size)
		return trace(-EINVAL);
	ring->desc_user = m->addr.desc;
	ring->avail_user = m->addr.avail;
	ring->used_user = m->addr.used;
	ring->used_log = m->addr.log;
	ring->log_used = m->addr.flags & VRING_ADDR_LOG;
	r = ring->running ? vring_retranslate(ring) : vring_translate(ring, &v->map, &desc, &avail, &used);
	if (r < 0) {
		*ring = saved;
		return trace(r);
	}
	ring->have_addr = true;
	return vhost_queue_update(&v->queues[m->index]);
}

/* The position itself is taken from the used index when the ring starts: see vring.c. */
static int set_vring_base(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vring *ring = &v->queues[m->index].ring;

	if (ring->running)
		return trace(-EBUSY);
	ring->positions_valid = false;
	return 0;
}

static int get_vring_base(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vhost_queue *q = &v->queues[m->index];

	vhost_queue_stop(q);
	vhost_queue_set_kick(q, -EBADF);
	q->ring.call_fd = fd_close(q->ring.call_fd);
	le32_store(ret, m->index);
	le32_store(ret + 4, q->ring.push_pos);
	*ret_len = 8;
	q->ring.broken = false;
	q->ring.positions_valid = false;
	return 0;
}

/*
 * An eventfd, or the pipe that a front-end without eventfd uses. Anonymous inodes have no file type. Never waited
 * on and never read, so that no foreign descriptor can block us.
 */
static int check_event_fd(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return trace(error_errno());
	if ((st.st_mode & S_IFMT) && !S_ISFIFO(st.st_mode))
		return trace(-EINVAL);
	return fd_set_nonblock(fd, true);
}

/* Takes the message's descriptor. Return: 0 with *RET_FD owned, -EBADF when none came; -errno. */
static int take_event_fd(struct vhost *v, const struct vhost_user_message *m, int *ret_fd)
{
	int r;

	*ret_fd = -EBADF;
	if (m->no_fd)
		return 0;
	if ((r = check_event_fd(v->fds[0])) < 0)
		return trace(r);
	*ret_fd = take_fd(v->fds[0]);
	return 0;
}

static int set_vring_kick(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vhost_queue *q = &v->queues[m->index];
	int fd, r;

	/* Without a descriptor the ring would have to be polled. */
	if (m->no_fd)
		return trace(-EOPNOTSUPP);
	if ((r = take_event_fd(v, m, &fd)) < 0 || (r = vhost_queue_set_kick(q, fd)) < 0)
		return trace(r);
	return vhost_queue_update(q);
}

static int set_vring_call(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vring *ring = &v->queues[m->index].ring;
	int fd, r = take_event_fd(v, m, &fd);

	if (r < 0)
		return trace(r);
	fd_close(ring->call_fd);
	ring->call_fd = fd;
	/* What was signalled to the old descriptor may be lost: the next batch notifies in any case. */
	ring->signalled_valid = false;
	return 0;
}

static int set_vring_err(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vring *ring = &v->queues[m->index].ring;
	int fd, r = take_event_fd(v, m, &fd);

	if (r < 0)
		return trace(r);
	fd_close(ring->err_fd);
	ring->err_fd = fd;
	return 0;
}

static int get_protocol_features(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	return reply_u64(ret, ret_len, vhost_offered_protocol_features(v));
}

static int set_protocol_features(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	if (m->u64 & ~vhost_offered_protocol_features(v))
		return trace(-EINVAL);
	v->protocol_features = m->u64;
	return 0;
}

static int get_queue_num(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	return reply_u64(ret, ret_len, v->ops->n_queues);
}

static int set_vring_enable(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	struct vhost_queue *q = &v->queues[m->index];

	q->enabled = m->num;
	return vhost_queue_update(q);
}

static int net_set_mtu(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	return v->ops->on_mtu(v->data, (uint16_t)m->u64);
}

/* A failure is told by an empty body, so that QEMU reports it. */
static int get_config(struct vhost *v, const struct vhost_user_message *m, uint8_t *ret, size_t *ret_len)
{
	if (v->ops->get_config(v->data, m->config_offset, ret + 12, m->config_size) < 0) {
		*ret_len = 0;
		return 0;
	}
	le32_store(ret, m->config_offset);
	le32_store(ret + 4, m->config_size);
	le32_store(ret + 8, 0);
	*ret_len = 12 + (size_t)m->config_size;
	return 0;
}

static const handler_fn handlers[VHOST_USER_REQUEST_MAX] = {
	[VHOST_USER_GET_FEATURES] = get_features,
	[VHOST_USER_SET_FEATURES] = set_features,
	[VHOST_USER_SET_OWNER] = set_owner,
	[VHOST_USER_RESET_OWNER] = reset_device,
	[VHOST_USER_SET_MEM_TABLE] = set_mem_table,
	[VHOST_USER_SET_LOG_BASE] = set_log_base,
	[VHOST_USER_SET_LOG_FD] = set_log_fd,
	[VHOST_USER_SET_VRING_NUM] = set_vring_num,
	[VHOST_USER_SET_VRING_ADDR] = set_vring_addr,
	[VHOST_USER_SET_VRING_BASE] = set_vring_base,
	[VHOST_USER_GET_VRING_BASE] = get_vring_base,
	[VHOST_USER_SET_VRING_KICK] = set_vring_kick,
	[VHOST_USER_SET_VRING_CALL] = set_vring_call,
	[VHOST_USER_SET_VRING_ERR] = set_vring_err,
	[VHOST_USER_GET_PROTOCOL_FEATURES] = get_protocol_features,
	[VHOST_USER_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VHOST_USER_GET_QUEUE_NUM] = get_queue_num,
	[VHOST_USER_SET_VRING_ENABLE] = set_vring_enable,
	[VHOST_USER_NET_SET_MTU] = net_set_mtu,
	[VHOST_USER_GET_CONFIG] = get_config,
	[VHOST_USER_RESET_DEVICE] = reset_device,
	[VHOST_USER_GET_MAX_MEM_SLOTS] = get_max_mem_slots,
	[VHOST_USER_ADD_MEM_REG] = add_mem_reg,
	[VHOST_USER_REM_MEM_REG] = rem_mem_reg,
};

int vhost_request(struct vhost *v, const struct vhost_user_message *m, void *ret, size_t *ret_len)
{
	*ret_len = 0;
	if (m->request >= VHOST_USER_REQUEST_MAX || !handlers[m->request])
		return trace(-EOPNOTSUPP);
	return trace(handlers[m->request](v, m, ret, ret_len));
}
