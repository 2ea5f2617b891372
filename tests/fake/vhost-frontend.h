/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-frontend: plays QEMU and the guest's driver against a vhost-user device, for tests and benches.
 *
 * One object owns guest memory (a sealed memfd, two regions that adjoin in guest address space, a third behind a hole),
 * the socket to the device, and per queue a split ring with kick, call and err eventfds. Everything is open to the
 * test, which may write any nonsense into rings and messages; the frontend_* helpers do what an honest front-end
 * would. Not for product code: it asserts nothing about the device but trusts the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "proto/vhost-user.h"
#include "proto/virtio.h"

enum { FRONTEND_QUEUES_MAX = 4, FRONTEND_REGIONS = 3 };

/* Zero members take the default named behind them. */
struct frontend_config {
	uint64_t features;	    /* accepted if offered; default: everything offered */
	uint64_t protocol_features; /* likewise */
	uint64_t refuse;	    /* virtio features never accepted */
	unsigned int n_queues;	    /* 2 */
	uint16_t queue_size;	    /* 256, a power of two */
	uint32_t buffer_size;	    /* 2048: bytes of each queue's buffer I (one per ring entry) */
	/* Lets the device run while the front-end waits (single-threaded tests: loop_step). NULL: blocking wait. */
	int (*pump)(void *data);
	void *pump_data;
};

/* A piece of guest memory; ADDR is guest physical. */
struct frontend_segment {
	uint64_t addr;
	uint32_t len;
	bool writable; /* by the device */
};

struct frontend_queue {
	unsigned int index;
	uint16_t size;
	uint64_t desc_addr, avail_addr, used_addr; /* guest physical */
	struct virtq_desc *desc;
	uint16_t *avail; /* flags, idx, ring[size], used_event */
	uint16_t *used;	 /* flags, idx, ring[size] of {u32, u32}, avail_event */
	int kick_fd, call_fd, err_fd;
	uint16_t avail_idx;  /* next avail position, published by frontend_kick */
	uint16_t kicked_idx; /* position at the last frontend_kick */
	uint16_t used_seen;
	uint16_t free_head, n_free;
	uint16_t *next_free; /* chain of free descriptors */
	uint64_t buffers;    /* guest address of buffer 0 */
	uint64_t n_kicks;
};

struct frontend {
	struct frontend_config config;
	int socket_fd;
	int memory_fd;
	uint8_t *memory; /* the whole memfd */
	size_t memory_size;
	struct vhost_user_region regions[FRONTEND_REGIONS];
	uint64_t features, protocol_features; /* agreed on */
	int log_fd;
	uint8_t *log; /* dirty bitmap after frontend_start_log */
	size_t log_size;
	struct frontend_queue queues[FRONTEND_QUEUES_MAX];
};

/* Return: 0 with *RET (caller owns) and *RET_DEVICE_FD, the device's end of the socketpair (caller owns). */
int frontend_new(const struct frontend_config *config, int *ret_device_fd, struct frontend **ret);
/* As frontend_new on a connected SOCKET_FD (consumed): a device in another process. */
int frontend_new_fd(const struct frontend_config *config, int socket_fd, struct frontend **ret);
struct frontend *frontend_free(struct frontend *f);
DEFINE_CLEANUP(struct frontend *, frontend_free)
/* Makes a new socketpair (a reconnect of the device); rings keep their memory. */
int frontend_reconnect(struct frontend *f, int *ret_device_fd);

/* Messages. FLAGS is or-ed with the version; descriptors are borrowed. Return: 0 or -errno. */
int frontend_send(struct frontend *f, uint32_t request, uint32_t flags, const void *body, uint32_t size, const int *fds,
		  size_t n_fds);
/* Waits (pumping) for a reply of REQUEST; its body goes to BUF. Return: body length; -EPIPE: connection
 * ended; -ETIMEDOUT after 5 s; -EPROTO: another reply. */
int frontend_reply(struct frontend *f, uint32_t request, void *buf, size_t size);
/* Sends with NEED_REPLY and waits. Return: 0 acknowledged; 1 refused; -errno (-EPIPE: connection ended). */
int frontend_request(struct frontend *f, uint32_t request, const void *body, uint32_t size, const int *fds, size_t n_fds);
int frontend_set_u64(struct frontend *f, uint32_t request, uint64_t value);
int frontend_get_u64(struct frontend *f, uint32_t request, uint64_t *ret);
int frontend_set_state(struct frontend *f, uint32_t request, uint32_t index, uint32_t num);

/* Features, owner, memory table: everything before rings. */
int frontend_negotiate(struct frontend *f);
/* Starts queue I at ring position BASE (0 on a fresh ring). */
int frontend_start_queue(struct frontend *f, unsigned int i, uint16_t base);
/* Stops queue I. Return: its base, or -errno. */
int frontend_stop_queue(struct frontend *f, unsigned int i);
/* negotiate, then start all queues. */
int frontend_start(struct frontend *f);
/* Switches dirty logging on, as QEMU does when it begins to save. */
int frontend_start_log(struct frontend *f);
bool frontend_log_marked(const struct frontend *f, uint64_t addr);

/* Guest memory at a guest address (must lie in one region). */
void *frontend_at(struct frontend *f, uint64_t addr, size_t len);
/* Guest address of buffer SLOT of queue I (buffer_size bytes each, SLOT < queue_size). */
uint64_t frontend_buffer(struct frontend *f, unsigned int i, uint16_t slot);

/* The driver. Adds a chain (readable segments first), not yet visible. Return: head, or -ENOSPC. */
int frontend_add(struct frontend *f, unsigned int i, const struct frontend_segment *segments, size_t n);
/* Publishes all added chains and kicks if the device wants it (EVENT_IDX or flags honoured). */
void frontend_kick(struct frontend *f, unsigned int i);
/* Next completed chain. Return: true with its head and written length; its descriptors are free again. */
bool frontend_used(struct frontend *f, unsigned int i, uint32_t *ret_head, uint32_t *ret_len);
/* Takes the call counter: notifications since the last time (0: none). */
uint64_t frontend_calls(struct frontend *f, unsigned int i);
/* Waits (pumping) until frontend_used would succeed. Return: 0 or -ETIMEDOUT. */
int frontend_wait_used(struct frontend *f, unsigned int i, int timeout_ms);
