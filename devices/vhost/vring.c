/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vring: theory of operation.
 *
 * The driver and this file talk through three areas of guest memory (virtio 1.2, 2.7): the descriptor table and the
 * avail ring, which the driver writes, and the used ring, which we write. Everything read there is copied once into
 * a local (ring_load16, guest_copy_in), checked, and used from the local: what the driver does to the memory meanwhile
 * can give a chain wrong content but no access outside guest memory.
 *
 * Ordering. The driver writes descriptors and avail entries, then the avail index (release); we load the index
 * (acquire), then entries and descriptors. We write used entries, then the used index (release) and, after a full
 * fence, read whether the driver wants a notification; the driver writes its wish, fences and re-reads the used index.
 * The mirror image holds for kicks: we write avail_event (or the flag), fence, and re-read the avail index
 * (vring_resume_kicks); without both fences either side could sleep for ever.
 *
 * Positions. published <= push_pos <= avail_pos <= avail_known: chains between push_pos and avail_pos are outstanding
 * with the device. Chains complete in the order they were taken, so the used index alone says where a successor
 * must go on; vring_unpop and vring_stop simply move avail_pos back.
 *
 * A ring that breaks a rule is BROKEN: told once to the owner and to the error eventfd, and every later call finds
 * nothing, until the front-end stops the queue.
 */
#include "devices/vhost/vring.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "devices/vhost/guest-memory.h"
#include "devices/vhost/vring-private.h"
#include "proto/virtio.h"

static uint16_t ring_load16(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_RELAXED);
}

static void ring_store16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELAXED);
}

static uint16_t ring_load16_acquire(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static bool usable(const struct vring *ring)
{
	return ring->running && !ring->broken;
}

static uint8_t *avail_event(const struct vring *ring)
{
	return ring->used + VIRTQ_USED_RING + 8 * (size_t)ring->size;
}

static const uint8_t *used_event(const struct vring *ring)
{
	return ring->avail + VIRTQ_AVAIL_RING + 2 * (size_t)ring->size;
}

/* OFF and LEN are inside the used ring. */
static void log_used(const struct vring *ring, uint64_t off, uint64_t len)
{
	if (ring->log_used && guest_log_active(ring->map) && off <= UINT64_MAX - ring->used_log)
		guest_log_mark(ring->map, ring->used_log + off, len);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	/* Full counter or full pipe: the other side has a wake-up pending already. */
	while (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void vring_break(struct vring *ring, const char *reason)
{
	if (!usable(ring))
		return;
	ring->broken = true;
	ring->stats.violations++;
	signal_fd(ring->err_fd);
	ring->broken_fn(ring->broken_data, ring->index, reason);
}

/* Reads the driver's index. Return: chains that can be popped; 0 also when that broke the ring. */
static uint16_t look(struct vring *ring)
{
	uint16_t idx = ring_load16_acquire(ring->avail + VIRTQ_AVAIL_IDX);

	/* Outstanding and available chains together cannot be more than the ring holds. */
	if ((uint16_t)(idx - ring->push_pos) > ring->size ||
	    (uint16_t)(idx - ring->push_pos) < (uint16_t)(ring->avail_pos - ring->push_pos)) {
		vring_break(ring, "avail index out of range");
		return 0;
	}
	ring->avail_known = idx;
	return (uint16_t)(idx - ring->avail_pos);
}

/* What a walk over a chain has collected. */
struct walk {
	struct iovec *iov;
	size_t n_iov;
	size_t n;
	uint16_t n_writable;
	uint64_t readable_len, writable_len;
	unsigned int n_desc;
	const char *violation;
	bool full;
};

/* Adds guest range [ADDR, ADDR + LEN) as one or more segments. Return: false on a violation or lack of room. */
static bool add_segments(struct vring *ring, struct walk *w, const struct virtq_desc *d)
{
	bool writable = d->flags & VIRTQ_DESC_WRITE;
	uint64_t addr = d->addr, left = d->len, got = 0;

	if (!left)
		return w->violation = "descriptor of length 0", false;
	if (!writable && w->n_writable)
		return w->violation = "readable descriptor behind a writable one", false;
	if (left - 1 > UINT64_MAX - addr)
		return w->violation = "descriptor wraps around", false;
	if (left > UINT32_MAX - w->readable_len - w->writable_len)
		return w->violation = "chain of 4 GiB or more", false;
	*(writable ? &w->writable_len : &w->readable_len) += left;
	while (left) {
		void *host = guest_map_gpa(ring->map, addr, left, &got);

		if (!host)
			return w->violation = "descriptor outside guest memory", false;
		if (w->n == ring->max_segments)
			return w->violation = "chain of too many segments", false;
		if (w->n < w->n_iov)
			w->iov[w->n] = (struct iovec){host, (size_t)got};
		else
			w->full = true; /* go on: a violation further down must still be found */
		w->n++;
		w->n_writable += writable;
		addr += got;
		left -= got;
	}
	return true;
}

/* Walks the N descriptors of TABLE from FIRST on. *RET_INDIRECT is set when the chain ends with an indirect one. */
static bool walk_table(struct vring *ring, struct walk *w, const uint8_t *table, uint32_t n, uint32_t first,
		       struct virtq_desc *ret_indirect)
{
	uint32_t i = first;

	for (;;) {
		struct virtq_desc d;

		if (i >= n)
			return w->violation = "descriptor number out of range", false;
		if (++w->n_desc > ring->size)
			return w->violation = "chain longer than the ring (a loop)", false;
		guest_copy_in(&d, table + 16 * (size_t)i, sizeof(d));
		if (d.flags & VIRTQ_DESC_INDIRECT) {
			if (!ret_indirect || !ring->indirect)
				return w->violation = "indirect descriptor where none is allowed", false;
			if (d.flags & VIRTQ_DESC_NEXT)
				return w->violation = "indirect descriptor with a successor", false;
			*ret_indirect = d;
			return true;
		}
		if (!add_segments(ring, w, &d))
			return false;
		if (!(d.flags & VIRTQ_DESC_NEXT))
			return true;
		i = d.next;
	}
}

static bool walk_chain(struct vring *ring, struct walk *w, uint16_t head)
{
	struct virtq_desc indirect = {0};
	const uint8_t *table;
	uint64_t got = 0;

	if (!walk_table(ring, w, ring->desc, ring->size, head, &indirect))
		return false;
	if (!(indirect.flags & VIRTQ_DESC_INDIRECT))
		return true;
	if (!indirect.len || indirect.len % 16 || indirect.len / 16 > ring->size)
		return w->violation = "indirect table of a wrong size", false;
	table = guest_map_gpa(ring->map, indirect.addr, indirect.len, &got);
	if (!table || got != indirect.len)
		return w->violation = "indirect table outside one memory region", false;
	return walk_table(ring, w, table, indirect.len / 16, 0, NULL);
}

int vring_pop(struct vring *ring, struct vring_chain *chain, struct iovec *iov, size_t n_iov)
{
	struct walk w = {.iov = iov, .n_iov = n_iov};
	uint16_t head;

	if (!usable(ring))
		return -ESHUTDOWN;
	if (ring->avail_pos == ring->avail_known && !look(ring)) {
		/* Not polling: make sure that the next chain kicks, then look once more. */
		if (ring->broken || ring->suspended || !vring_resume_kicks(ring))
			return ring->broken ? -ESHUTDOWN : VRING_E_EMPTY;
	}
	head = ring_load16(ring->avail + VIRTQ_AVAIL_RING + 2 * (size_t)(ring->avail_pos & (ring->size - 1)));
	if (head >= ring->size)
		w.violation = "avail entry out of range";
	else
		walk_chain(ring, &w, head);
	if (w.violation) {
		vring_break(ring, w.violation);
		return -ESHUTDOWN;
	}
	if (w.full)
		return VRING_E_SPACE;
	*chain = (struct vring_chain){
		.iov = iov,
		.n_readable = (uint16_t)(w.n - w.n_writable),
		.n_writable = w.n_writable,
		.head = head,
		.seq = ring->avail_pos,
		.readable_len = (uint32_t)w.readable_len,
		.writable_len = (uint32_t)w.writable_len,
	};
	ring->avail_pos++;
	ring->stats.chains++;
	return VRING_E_CHAIN;
}

void vring_unpop(struct vring *ring, uint16_t n)
{
	uint16_t outstanding = vring_outstanding(ring);

	if (usable(ring))
		ring->avail_pos -= n <= outstanding ? n : outstanding;
}

void vring_push(struct vring *ring, const struct vring_chain *chain, uint32_t written)
{
	struct virtq_used_elem elem = {.id = chain->head};
	size_t off;

	if (!usable(ring))
		return;
	if (!vring_outstanding(ring) || chain->seq != ring->push_pos) {
		vring_break(ring, "device completed a chain out of order");
		return;
	}
	elem.len = written <= chain->writable_len ? written : chain->writable_len;
	guest_log_mark_iov(ring->map, chain->iov + chain->n_readable, chain->n_writable, elem.len);
	off = VIRTQ_USED_RING + sizeof(elem) * (size_t)(ring->push_pos & (ring->size - 1));
	guest_copy_out(ring->used + off, &elem, sizeof(elem));
	log_used(ring, off, sizeof(elem));
	ring->push_pos++;
}

/* The driver wants to hear of positions (OLD, NEW]: virtio 1.2, 2.7.7.2. */
static bool wants_call(const struct vring *ring, uint16_t old, uint16_t new)
{
	if (!ring->event_idx)
		return !(ring_load16(ring->avail + VIRTQ_AVAIL_FLAGS) & VIRTQ_AVAIL_NO_INTERRUPT);
	return !ring->signalled_valid || (uint16_t)(new - ring_load16(used_event(ring)) - 1) < (uint16_t)(new - old);
}

void vring_flush(struct vring *ring)
{
	uint16_t old = ring->published;

	if (!usable(ring) || old == ring->push_pos)
		return;
	__atomic_store_n((uint16_t *)(void *)(ring->used + VIRTQ_USED_IDX), ring->push_pos, __ATOMIC_RELEASE);
	ring->published = ring->push_pos;
	log_used(ring, VIRTQ_USED_IDX, 2);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_call(ring, old, ring->published)) {
		ring->stats.calls++;
		signal_fd(ring->call_fd);
	} else {
		ring->stats.calls_suppressed++;
	}
	ring->signalled_valid = true;
}

uint16_t vring_avail(struct vring *ring)
{
	if (!usable(ring))
		return 0;
	if (ring->avail_known != ring->avail_pos)
		return (uint16_t)(ring->avail_known - ring->avail_pos);
	return look(ring);
}

uint16_t vring_outstanding(const struct vring *ring)
{
	return (uint16_t)(ring->avail_pos - ring->push_pos);
}

void vring_suspend_kicks(struct vring *ring)
{
	if (!usable(ring) || ring->suspended)
		return;
	ring->suspended = true;
	/* With EVENT_IDX an avail_event that is left behind asks for nothing. */
	if (!ring->event_idx) {
		ring_store16(ring->used + VIRTQ_USED_FLAGS, VIRTQ_USED_NO_NOTIFY);
		log_used(ring, VIRTQ_USED_FLAGS, 2);
	}
}

bool vring_resume_kicks(struct vring *ring)
{
	if (!usable(ring))
		return false;
	ring->suspended = false;
	if (ring->event_idx) {
		ring_store16(avail_event(ring), ring->avail_known);
		log_used(ring, (uint64_t)(avail_event(ring) - ring->used), 2);
	} else {
		ring_store16(ring->used + VIRTQ_USED_FLAGS, 0);
		log_used(ring, VIRTQ_USED_FLAGS, 2);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return look(ring) > 0;
}

bool vring_running(const struct vring *ring)
{
	return ring->running;
}

bool vring_broken(const struct vring *ring)
{
	return ring->broken;
}

uint16_t vring_size(const struct vring *ring)
{
	return ring->size;
}

unsigned int vring_index(const struct vring *ring)
{
	return ring->index;
}

void vring_get_stats(const struct vring *ring, struct vring_stats *ret)
{
	*ret = ring->stats;
}

int vring_translate(const struct vring *ring, const struct guest_map *map, const uint8_t **ret_desc,
		    uint8_t **ret_avail, uint8_t **ret_used)
{
	const uint8_t *desc = guest_map_uva(map, ring->desc_user, VIRTQ_DESC_SIZE(ring->size));
	uint8_t *avail = guest_map_uva(map, ring->avail_user, VIRTQ_AVAIL_SIZE(ring->size));
	uint8_t *used = guest_map_uva(map, ring->used_user, VIRTQ_USED_SIZE(ring->size));

	if (!desc || !avail || !used)
		return trace(-EFAULT);
	/* virtio 1.2, 2.7: atomic accesses need what the driver has to grant anyway. */
	if ((uintptr_t)desc % 16 || (uintptr_t)avail % 2 || (uintptr_t)used % 4)
		return trace(-EINVAL);
	*ret_desc = desc;
	*ret_avail = avail;
	*ret_used = used;
	return 0;
}

int vring_retranslate(struct vring *ring)
{
	return vring_translate(ring, ring->map, &ring->desc, &ring->avail, &ring->used);
}

int vring_start(struct vring *ring, uint64_t features)
{
	int r = vring_retranslate(ring);

	if (r < 0)
		return trace(r);
	ring->event_idx = features & VIRTIO_RING_EVENT_IDX;
	ring->indirect = features & VIRTIO_RING_INDIRECT_DESC;
	if (!ring->positions_valid) {
		/* What the driver has been told is done is the one truth: completion is in order. */
		ring->push_pos = ring_load16(ring->used + VIRTQ_USED_IDX);
		ring->positions_valid = true;
	}
	ring->published = ring->avail_pos = ring->avail_known = ring->push_pos;
	ring->signalled_valid = false;
	ring->running = true;
	ring->suspended = false;
	if (!ring->broken)
		(void)vring_resume_kicks(ring);
	return 0;
}

void vring_stop(struct vring *ring)
{
	if (!ring->running)
		return;
	vring_flush(ring);
	/* A broken ring published nothing more: what it pushed since never happened. */
	ring->avail_pos = ring->avail_known = ring->push_pos = ring->published;
	ring->running = false;
	ring->desc = NULL;
	ring->avail = NULL;
	ring->used = NULL;
}

void vring_reset(struct vring *ring)
{
	ring->broken = false;
	ring->positions_valid = false;
	ring->have_addr = false;
	ring->size = 0;
	ring->avail_pos = ring->avail_known = ring->push_pos = ring->published = 0;
}
