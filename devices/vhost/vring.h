/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vring: one split virtqueue (virtio 1.2, section 2.7) as a device sees it.
 *
 * States: STOPPED (no call below finds anything), RUNNING (between on_start and on_stop), BROKEN (the
 * driver violated the ring's rules; on_broken was called once; every call is harmless and finds nothing
 * until the front-end stops and starts the queue again).
 *
 * A device takes chains with vring_pop, reads and writes their segments, gives them back with vring_push
 * IN THE ORDER THEY WERE TAKEN (a restart takes the used index for the position, see vhost.h), or returns
 * the youngest ones unused with vring_unpop, and publishes all pushed ones at once with vring_flush.
 *
 * Guest memory changes under the reader's eyes at any time. Segments of a chain were checked and stay
 * mapped until on_stop; their CONTENT must be copied once (guest_iov_read) before it is looked at, or
 * handed to the kernel unseen (sendmsg, recvmsg). Only writable segments may be written.
 *
 * No function here allocates. One ring is used by one thread. Who may call it: rooms under devices/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct vring;

enum {
	VRING_SIZE_MAX = 32768, /* virtio 1.2, 2.7: largest queue size */
};

/* One chain; IOV is the caller's array: n_readable segments (device reads), then n_writable ones. */
struct vring_chain {
	struct iovec *iov;
	uint16_t n_readable;
	uint16_t n_writable;
	uint16_t head;		/* descriptor index of the head */
	uint16_t seq;		/* avail position, checked by vring_push */
	uint32_t readable_len;	/* bytes over all readable segments */
	uint32_t writable_len;	/* bytes over all writable segments */
};

/* Positive: a chain was taken. VRING_E_SPACE: the next one needs more than N_IOV segments and was left. */
enum { VRING_E_EMPTY = 0, VRING_E_CHAIN = 1, VRING_E_SPACE = 2 };

/* Takes the next chain into *CHAIN with its segments in IOV[0..N_IOV). A descriptor that crosses two
 * adjoining memory regions yields two segments. More segments than vhost_ops.max_segments is a violation.
 * Return: VRING_E_CHAIN; VRING_E_EMPTY; VRING_E_SPACE; -ESHUTDOWN: stopped or broken. */
int vring_pop(struct vring *ring, struct vring_chain *chain, struct iovec *iov, size_t n_iov);

/* Gives the N youngest popped and not yet pushed chains back to the ring, as if never taken. */
void vring_unpop(struct vring *ring, uint16_t n);

/* Completes the OLDEST outstanding chain, WRITTEN bytes of its writable segments filled (at most
 * writable_len). CHAIN->iov must still hold its segments (they are marked dirty while the VM is saved).
 * Not visible to the driver before vring_flush: several buffers of one merged packet appear together. */
void vring_push(struct vring *ring, const struct vring_chain *chain, uint32_t written);

/* Publishes everything pushed (one index store) and notifies the driver if it wants it (at most one
 * eventfd write). Cheap when nothing was pushed. */
void vring_flush(struct vring *ring);

/* Chains that can be popped now, as far as looked: reads the driver's index when none is known. */
uint16_t vring_avail(struct vring *ring);
/* Popped and not yet pushed. */
uint16_t vring_outstanding(const struct vring *ring);

/* Asks the driver for no kicks while the device polls. */
void vring_suspend_kicks(struct vring *ring);
/* Asks for a kick at the next chain. Return: true when chains came meanwhile: poll once more. */
bool vring_resume_kicks(struct vring *ring);

bool vring_running(const struct vring *ring);
bool vring_broken(const struct vring *ring);
/* Declares the queue violated by the driver (a header that does not fit ...). REASON is a static string. */
void vring_break(struct vring *ring, const char *reason);
uint16_t vring_size(const struct vring *ring);
unsigned int vring_index(const struct vring *ring);

/* Counters since the connection began. */
struct vring_stats {
	uint64_t chains;
	uint64_t kicks;
	uint64_t calls;
	uint64_t calls_suppressed;
	uint64_t violations;
};
void vring_get_stats(const struct vring *ring, struct vring_stats *ret);
