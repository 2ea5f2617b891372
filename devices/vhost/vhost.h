/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost: back-end of one vhost-user connection: the only door of a device process to guest memory.
 *
 * Front-end (QEMU) and guest are both hostile: every message passes one table (proto/vhost-user.c) before a
 * handler sees it, every ring access is checked (vring.c). A message that is malformed ends the connection;
 * one that is well formed but impossible is refused with a negative acknowledgement where the front-end asked
 * for one, and ends the connection where it did not. Nothing is allocated once rings run.
 *
 * One object serves one connection. States: CONNECTED, ENDED (on_disconnect was called; only vhost_free and
 * the getters are allowed). A queue is stopped, running or broken (vring.h). A starting ring takes its
 * position from the used index in memory, as QEMU does for SET_VRING_BASE after a crash: right, because chains
 * are completed in the order they were taken.
 *
 * Callbacks run inside the loop, never inside a call of the device (except on_broken, which may come out of
 * any vring call). Mustn't: vhost_free from a callback. Who may call it: rooms under devices/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/jail.h"
#include "devices/vhost/vring.h"

struct loop;
struct vhost;

enum {
	VHOST_QUEUES_MAX = 16,
};

struct vhost_ops {
	/* Offered device and transport features (proto/virtio.h). VIRTIO_F_VERSION_1 must be among them and is
	 * required from the driver; PROTOCOL_FEATURES, LOG_ALL, EVENT_IDX are the library's and added by it;
	 * VIRTIO_RING_F_INDIRECT_DESC is offered when the device names it. */
	uint64_t features;
	/* Protocol features beyond the library's own (REPLY_ACK, LOG_SHMFD, CONFIGURE_MEM_SLOTS,
	 * RESET_DEVICE): of MQ, NET_MTU, CONFIG. */
	uint64_t protocol_features;
	unsigned int n_queues;	   /* 1 to VHOST_QUEUES_MAX rings */
	unsigned int max_segments; /* most segments of one chain, 1 to VRING_SIZE_MAX; size your iovec arrays so */

	/* Queue QUEUE begins: its ring may be used from now on, on_kick follows at once. May be NULL. */
	void (*on_start)(void *data, unsigned int queue);
	/* Queue QUEUE ends (also for a moment when the memory map changes): push what is finished, forget every
	 * other chain and segment. Chains not pushed are returned to the ring by the library. May be NULL. */
	void (*on_stop)(void *data, unsigned int queue);
	/* The driver kicked QUEUE. Level: may come without work. Never NULL. */
	void (*on_kick)(void *data, unsigned int queue);
	/* The driver accepted FEATURES (before its queues start). May be NULL. */
	void (*on_features)(void *data, uint64_t features);
	/* NET_SET_MTU, only with protocol feature NET_MTU: MTU is 68 to 65535. Return: 0 or -errno (refused). */
	int (*on_mtu)(void *data, uint16_t mtu);
	/* Device configuration space, only with protocol feature CONFIG: fill BUF with [OFFSET, OFFSET+LEN).
	 * Return: 0 or -errno. */
	int (*get_config)(void *data, uint32_t offset, void *buf, uint32_t len);
	/* The driver broke the rules on QUEUE; told once per start; REASON is a static string. May be NULL. */
	void (*on_broken)(void *data, unsigned int queue, const char *reason);
	/* The connection is over, all queues were stopped and all memory is unmapped. CODE 0: the front-end closed;
	 * -EPROTO and others: REASON (static string) says which rule it broke. Never NULL. */
	void (*on_disconnect)(void *data, int code, const char *reason);
};

/* Serves the connected stream socket SOCKET_FD (consumed, even on failure) in LOOP. OPS and DATA outlive the
 * object. Ignores SIGPIPE for the process: call it before the system call jail closes.
 * Return: 0 with *RET (caller owns); -EINVAL: OPS out of bounds; -errno. */
int vhost_new(struct loop *loop, int socket_fd, const struct vhost_ops *ops, void *data, struct vhost **ret);
/* Stops all queues (on_stop is called), unmaps memory, closes everything. NULL allowed. Return: NULL. */
struct vhost *vhost_free(struct vhost *vhost);
DEFINE_CLEANUP(struct vhost *, vhost_free)

/* The ring of QUEUE (always there, maybe stopped); NULL when QUEUE >= n_queues. */
struct vring *vhost_ring(struct vhost *vhost, unsigned int queue);
/* What the driver accepted, 0 before. */
uint64_t vhost_features(const struct vhost *vhost);

/* For a device that has just gone quiet after work: guest pages it touched stop counting as resident in it. One
 * system call per memory region; contents and chains in hand are unaffected. */
void vhost_trim(struct vhost *vhost);

/* System calls that serving a connection needs, for the jail's list (devices' main adds its own). */
extern const struct jail_rule vhost_jail_rules[];
extern const size_t vhost_n_jail_rules;
