/* SPDX-License-Identifier: Apache-2.0 */
/* vhost-frontend: see the header. For tests and benches only. */
#include "tests/fake/vhost-frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/sock.h"

enum {
	RING_AREA = 1 << 20,	   /* region 0: one per queue, then free for tests */
	REGION0_SIZE = 8 << 20,
	REGION1_SIZE = 1 << 20,
	WAIT_US = 5 * 1000 * 1000,
};
#define REGION2_ADDR (UINT64_C(1) << 32)

static int make_memory(struct frontend *f)
{
	size_t buffers = (size_t)f->config.n_queues * f->config.queue_size * f->config.buffer_size;
	size_t size2 = (buffers + 4095) / 4096 * 4096;
	/* Region 1 follows region 0 for the guest, but not in the file: its host addresses do not adjoin. */
	const struct vhost_user_region regions[FRONTEND_REGIONS] = {
		{0, REGION0_SIZE, 0, 0},
		{REGION0_SIZE, REGION1_SIZE, 0, REGION0_SIZE + size2},
		{REGION2_ADDR, size2, 0, REGION0_SIZE},
	};

	f->memory_size = REGION0_SIZE + size2 + REGION1_SIZE;
	f->memory_fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f->memory_fd < 0 || ftruncate(f->memory_fd, (off_t)f->memory_size) < 0 ||
	    fcntl(f->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return trace(error_errno());
	f->memory = mmap(NULL, f->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory_fd, 0);
	if (f->memory == MAP_FAILED) {
		f->memory = NULL;
		return trace(error_errno());
	}
	memcpy(f->regions, regions, sizeof(regions));
	for (int i = 0; i < FRONTEND_REGIONS; i++)
		f->regions[i].user_addr = (uintptr_t)f->memory + regions[i].mmap_offset;
	return 0;
}

static int make_queue(struct frontend *f, unsigned int i)
{
	struct frontend_queue *q = &f->queues[i];
	uint64_t base = (uint64_t)i * RING_AREA;
	uint16_t size = f->config.queue_size;

	q->index = i;
	q->size = size;
	q->desc_addr = base;
	q->avail_addr = base + VIRTQ_DESC_SIZE(size);
	q->used_addr = (q->avail_addr + VIRTQ_AVAIL_SIZE(size) + 4095) & ~UINT64_C(4095);
	q->desc = frontend_at(f, q->desc_addr, VIRTQ_DESC_SIZE(size));
	q->avail = frontend_at(f, q->avail_addr, VIRTQ_AVAIL_SIZE(size));
	q->used = frontend_at(f, q->used_addr, VIRTQ_USED_SIZE(size));
	q->buffers = REGION2_ADDR + (uint64_t)i * size * f->config.buffer_size;
	/* Second half: number of descriptors of the chain that begins here. */
	q->next_free = calloc(2 * (size_t)size, sizeof(*q->next_free));
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!q->desc || !q->avail || !q->used || !q->next_free || q->kick_fd < 0 || q->call_fd < 0 || q->err_fd < 0)
		return trace(-ENOMEM);
	for (uint16_t k = 0; k < size; k++)
		q->next_free[k] = (uint16_t)(k + 1);
	q->n_free = size;
	return 0;
}

int frontend_new_fd(const struct frontend_config *config, int socket_fd, struct frontend **ret)
{
	_cleanup_(frontend_freep) struct frontend *f = calloc(1, sizeof(*f));
	int r;

	if (!f) {
		fd_close(socket_fd);
		return trace(-ENOMEM);
	}
	f->config = *config;
	f->socket_fd = socket_fd;
	f->memory_fd = f->log_fd = -EBADF;
	for (int i = 0; i < FRONTEND_QUEUES_MAX; i++)
		f->queues[i].kick_fd = f->queues[i].call_fd = f->queues[i].err_fd = -EBADF;
	if (!f->config.features)
		f->config.features = UINT64_MAX;
	if (!f->config.protocol_features)
		f->config.protocol_features = UINT64_MAX;
	if (!f->config.n_queues)
		f->config.n_queues = 2;
	if (!f->config.queue_size)
		f->config.queue_size = 256;
	if (!f->config.buffer_size)
		f->config.buffer_size = 2048;
	if (f->config.n_queues > FRONTEND_QUEUES_MAX)
		return trace(-EINVAL);
	if ((r = make_memory(f)) < 0)
		return trace(r);
	for (unsigned int i = 0; i < f->config.n_queues; i++)
		if ((r = make_queue(f, i)) < 0)
			return trace(r);
	*ret = take_ptr(f);
	return 0;
}

int frontend_new(const struct frontend_config *config, int *ret_device_fd, struct frontend **ret)
{
	int fds[2], r;

	if ((r = sock_pair(SOCK_STREAM, fds)) < 0)
		return trace(r);
	if ((r = frontend_new_fd(config, fds[0], ret)) < 0) {
		fd_close(fds[1]);
		return trace(r);
	}
	*ret_device_fd = fds[1];
	return 0;
}

struct frontend *frontend_free(struct frontend *f)
{
	if (!f)
		return NULL;
	for (int i = 0; i < FRONTEND_QUEUES_MAX; i++) {
		fd_close(f->queues[i].kick_fd);
		fd_close(f->queues[i].call_fd);
		fd_close(f->queues[i].err_fd);
		free(f->queues[i].next_free);
	}
	if (f->memory)
		munmap(f->memory, f->memory_size);
	if (f->log)
		munmap(f->log, f->log_size);
	fd_close(f->memory_fd);
	fd_close(f->log_fd);
	fd_close(f->socket_fd);
	free(f);
	return NULL;
}

int frontend_reconnect(struct frontend *f, int *ret_device_fd)
{
	int fds[2], r;

	if ((r = sock_pair(SOCK_STREAM, fds)) < 0)
		return trace(r);
	fd_close(f->socket_fd);
	f->socket_fd = fds[0];
	*ret_device_fd = fds[1];
	return 0;
}

int frontend_send(struct frontend *f, uint32_t request, uint32_t flags, const void *body, uint32_t size, const int *fds,
		  size_t n_fds)
{
	uint8_t header[VHOST_USER_HEADER_SIZE];
	union {
		char buf[CMSG_SPACE(sizeof(int) * 16)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)body, size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = size ? 2 : 1};
	struct cmsghdr *c;

	if (n_fds > 16)
		return trace(-EINVAL);
	le32_store(header, request);
	le32_store(header + 4, flags | VHOST_USER_VERSION);
	le32_store(header + 8, size);
	if (n_fds) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	if (sendmsg(f->socket_fd, &msg, MSG_NOSIGNAL) < 0)
		return error_errno();
	return 0;
}

/* Waits until FD is readable or UNTIL_US. Return: 0; -ETIMEDOUT; a pump's error. */
static int wait_readable(struct frontend *f, int fd, uint64_t until_us)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	for (;;) {
		if (f->config.pump && (r = f->config.pump(f->config.pump_data)) < 0)
			return r;
		if (poll(&p, 1, f->config.pump ? 0 : 100) > 0)
			return 0;
		if (loop_now_us() > until_us)
			return -ETIMEDOUT;
	}
}

static int read_all(struct frontend *f, uint8_t *buf, size_t len)
{
	uint64_t until = loop_now_us() + WAIT_US;
	int r;

	while (len) {
		ssize_t n;

		if ((r = wait_readable(f, f->socket_fd, until)) < 0)
			return r;
		n = recv(f->socket_fd, buf, len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return error_errno();
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int frontend_reply(struct frontend *f, uint32_t request, void *buf, size_t size)
{
	uint8_t header[VHOST_USER_HEADER_SIZE];
	uint32_t len;
	int r;

	if ((r = read_all(f, header, sizeof(header))) < 0)
		return r;
	len = le32_load(header + 8);
	if (le32_load(header) != request || le32_load(header + 4) != (VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY) ||
	    len > size)
		return -EPROTO;
	if ((r = read_all(f, buf, len)) < 0)
		return r;
	return (int)len;
}

int frontend_request(struct frontend *f, uint32_t request, const void *body, uint32_t size, const int *fds, size_t n_fds)
{
	uint8_t reply[8];
	int r = frontend_send(f, request, VHOST_USER_FLAG_NEED_REPLY, body, size, fds, n_fds);

	if (r < 0)
		return r;
	r = frontend_reply(f, request, reply, sizeof(reply));
	if (r < 0)
		return r;
	return r == 8 ? le64_load(reply) != 0 : -EPROTO;
}

int frontend_set_u64(struct frontend *f, uint32_t request, uint64_t value)
{
	return frontend_request(f, request, &value, sizeof(value), NULL, 0);
}

int frontend_get_u64(struct frontend *f, uint32_t request, uint64_t *ret)
{
	int r = frontend_send(f, request, 0, NULL, 0, NULL, 0);

	if (r < 0)
		return r;
	r = frontend_reply(f, request, ret, sizeof(*ret));
	return r == 8 ? 0 : r < 0 ? r : -EPROTO;
}

int frontend_set_state(struct frontend *f, uint32_t request, uint32_t index, uint32_t num)
{
	const uint32_t state[2] = {index, num};

	return frontend_request(f, request, state, sizeof(state), NULL, 0);
}

int frontend_negotiate(struct frontend *f)
{
	struct {
		uint32_t n, padding;
		struct vhost_user_region regions[FRONTEND_REGIONS];
	} table = {.n = FRONTEND_REGIONS};
	int fds[FRONTEND_REGIONS] = {f->memory_fd, f->memory_fd, f->memory_fd};
	uint64_t offered;
	int r;

	if ((r = frontend_get_u64(f, VHOST_USER_GET_FEATURES, &offered)) < 0)
		return trace(r);
	f->features = offered & f->config.features & ~f->config.refuse & ~VHOST_USER_F_LOG_ALL;
	if ((r = frontend_get_u64(f, VHOST_USER_GET_PROTOCOL_FEATURES, &offered)) < 0)
		return trace(r);
	f->protocol_features = offered & f->config.protocol_features;
	/* REPLY_ACK begins with the message after this one. */
	if ((r = frontend_send(f, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &f->protocol_features, 8, NULL, 0)) < 0 ||
	    (r = frontend_request(f, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0)) ||
	    (r = frontend_set_u64(f, VHOST_USER_SET_FEATURES, f->features)))
		return trace(r > 0 ? -EPROTO : r);
	memcpy(table.regions, f->regions, sizeof(table.regions));
	r = frontend_request(f, VHOST_USER_SET_MEM_TABLE, &table, sizeof(table), fds, FRONTEND_REGIONS);
	return r > 0 ? trace(-EPROTO) : trace(r);
}

static int send_addr(struct frontend *f, unsigned int i, uint32_t flags)
{
	const struct frontend_queue *q = &f->queues[i];
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = {i, flags, (uintptr_t)q->desc, (uintptr_t)q->used, (uintptr_t)q->avail, q->used_addr};

	return frontend_request(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

int frontend_start_queue(struct frontend *f, unsigned int i, uint16_t base)
{
	struct frontend_queue *q = &f->queues[i];
	uint64_t index = i;
	int r;

	if ((r = frontend_set_state(f, VHOST_USER_SET_VRING_NUM, i, q->size)) ||
	    (r = frontend_set_state(f, VHOST_USER_SET_VRING_BASE, i, base)) || (r = send_addr(f, i, 0)) ||
	    (r = frontend_request(f, VHOST_USER_SET_VRING_ERR, &index, 8, &q->err_fd, 1)) ||
	    (r = frontend_request(f, VHOST_USER_SET_VRING_CALL, &index, 8, &q->call_fd, 1)) ||
	    (r = frontend_request(f, VHOST_USER_SET_VRING_KICK, &index, 8, &q->kick_fd, 1)))
		return r > 0 ? trace(-EPROTO) : trace(r);
	if (f->features & VHOST_USER_F_PROTOCOL_FEATURES)
		r = frontend_set_state(f, VHOST_USER_SET_VRING_ENABLE, i, 1);
	return r > 0 ? trace(-EPROTO) : trace(r);
}

int frontend_stop_queue(struct frontend *f, unsigned int i)
{
	uint32_t state[2] = {i, 0};
	int r = frontend_send(f, VHOST_USER_GET_VRING_BASE, 0, state, sizeof(state), NULL, 0);

	if (r < 0)
		return trace(r);
	r = frontend_reply(f, VHOST_USER_GET_VRING_BASE, state, sizeof(state));
	if (r < 0)
		return trace(r);
	return r == sizeof(state) && state[0] == i && state[1] <= UINT16_MAX ? (int)state[1] : trace(-EPROTO);
}

int frontend_start(struct frontend *f)
{
	int r = frontend_negotiate(f);

	for (unsigned int i = 0; i < f->config.n_queues && r >= 0; i++)
		r = frontend_start_queue(f, i, 0);
	return r;
}

int frontend_start_log(struct frontend *f)
{
	uint64_t body[2] = {0, 0}, ack;
	int r;

	f->log_size = (f->regions[2].guest_addr + f->regions[2].size) / 4096 / 8 + 1;
	f->log_fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f->log_fd < 0 || ftruncate(f->log_fd, (off_t)f->log_size) < 0 ||
	    fcntl(f->log_fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		return trace(error_errno());
	f->log = mmap(NULL, f->log_size, PROT_READ | PROT_WRITE, MAP_SHARED, f->log_fd, 0);
	if (f->log == MAP_FAILED) {
		f->log = NULL;
		return trace(error_errno());
	}
	body[0] = f->log_size;
	if ((r = frontend_send(f, VHOST_USER_SET_LOG_BASE, 0, body, sizeof(body), &f->log_fd, 1)) < 0 ||
	    (r = frontend_reply(f, VHOST_USER_SET_LOG_BASE, &ack, sizeof(ack))) < 0)
		return trace(r);
	f->features |= VHOST_USER_F_LOG_ALL;
	if ((r = frontend_set_u64(f, VHOST_USER_SET_FEATURES, f->features)))
		return trace(r > 0 ? -EPROTO : r);
	for (unsigned int i = 0; i < f->config.n_queues; i++)
		if ((r = send_addr(f, i, 1)))
			return trace(r > 0 ? -EPROTO : r);
	return 0;
}

bool frontend_log_marked(const struct frontend *f, uint64_t addr)
{
	uint64_t page = addr / 4096;

	return page / 8 < f->log_size && (__atomic_load_n(&f->log[page / 8], __ATOMIC_ACQUIRE) & (1u << (page % 8)));
}

void *frontend_at(struct frontend *f, uint64_t addr, size_t len)
{
	for (int i = 0; i < FRONTEND_REGIONS; i++) {
		const struct vhost_user_region *r = &f->regions[i];
		uint64_t off = addr - r->guest_addr;

		if (addr >= r->guest_addr && off < r->size && len <= r->size - off)
			return f->memory + r->mmap_offset + off;
	}
	return NULL;
}

uint64_t frontend_buffer(struct frontend *f, unsigned int i, uint16_t slot)
{
	return f->queues[i].buffers + (uint64_t)slot * f->config.buffer_size;
}

int frontend_add(struct frontend *f, unsigned int i, const struct frontend_segment *segments, size_t n)
{
	struct frontend_queue *q = &f->queues[i];
	uint16_t head = q->free_head, at = head;

	if (!n || n > q->n_free)
		return -ENOSPC;
	for (size_t k = 0; k < n; k++) {
		q->desc[at] = (struct virtq_desc){
			.addr = segments[k].addr,
			.len = segments[k].len,
			.flags = (uint16_t)((segments[k].writable ? VIRTQ_DESC_WRITE : 0) |
					    (k + 1 < n ? VIRTQ_DESC_NEXT : 0)),
			.next = q->next_free[at],
		};
		at = q->next_free[at];
	}
	q->next_free[q->size + head] = (uint16_t)n;
	q->free_head = at;
	q->n_free = (uint16_t)(q->n_free - n);
	__atomic_store_n(&q->avail[2 + (q->avail_idx & (q->size - 1))], head, __ATOMIC_RELAXED);
	q->avail_idx++;
	return head;
}

void frontend_kick(struct frontend *f, unsigned int i)
{
	struct frontend_queue *q = &f->queues[i];
	uint16_t old = q->kicked_idx, new = q->avail_idx, event;
	bool wanted;

	__atomic_store_n(&q->avail[1], new, __ATOMIC_RELEASE);
	q->kicked_idx = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (f->features & VIRTIO_RING_EVENT_IDX) {
		event = __atomic_load_n(&q->used[2 + 4 * (size_t)q->size], __ATOMIC_RELAXED);
		wanted = (uint16_t)(new - event - 1) < (uint16_t)(new - old);
	} else {
		wanted = new != old && !(__atomic_load_n(&q->used[0], __ATOMIC_RELAXED) & VIRTQ_USED_NO_NOTIFY);
	}
	if (wanted) {
		q->n_kicks++;
		(void)eventfd_write(q->kick_fd, 1);
	}
}

bool frontend_used(struct frontend *f, unsigned int i, uint32_t *ret_head, uint32_t *ret_len)
{
	struct frontend_queue *q = &f->queues[i];
	const uint16_t *elem = &q->used[2 + 4 * (size_t)(q->used_seen & (q->size - 1))];
	uint16_t last, n;

	if (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) == q->used_seen) {
		__atomic_store_n(&q->avail[2 + q->size], q->used_seen, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) == q->used_seen)
			return false;
	}
	*ret_head = __atomic_load_n((const uint32_t *)(const void *)elem, __ATOMIC_RELAXED);
	*ret_len = __atomic_load_n((const uint32_t *)(const void *)elem + 1, __ATOMIC_RELAXED);
	q->used_seen++;
	if (*ret_head >= q->size || !(n = q->next_free[q->size + *ret_head]))
		return true; /* a test wrote this ring by hand */
	q->next_free[q->size + *ret_head] = 0;
	last = (uint16_t)*ret_head;
	for (uint16_t k = 1; k < n; k++)
		last = q->next_free[last];
	q->next_free[last] = q->free_head;
	q->free_head = (uint16_t)*ret_head;
	q->n_free = (uint16_t)(q->n_free + n);
	return true;
}

uint64_t frontend_calls(struct frontend *f, unsigned int i)
{
	eventfd_t n = 0;

	return eventfd_read(f->queues[i].call_fd, &n) < 0 ? 0 : n;
}

int frontend_wait_used(struct frontend *f, unsigned int i, int timeout_ms)
{
	struct frontend_queue *q = &f->queues[i];
	uint64_t until = loop_now_us() + (uint64_t)timeout_ms * 1000;
	int r;

	for (;;) {
		if (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) != q->used_seen)
			return 0;
		__atomic_store_n(&q->avail[2 + q->size], q->used_seen, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) != q->used_seen)
			return 0;
		if ((r = wait_readable(f, q->call_fd, until)) < 0)
			return r;
		frontend_calls(f, i);
	}
}
