/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-vring: attacker bytes as ring memory and guest memory. Byte 0: size exponent (low 4 bits), event_idx, indirect;
 * byte 1: operations; the rest fills a memory of two adjoining regions whose host blocks are separate allocations of
 * exact size, so that ASan sees every step beyond.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "devices/vhost/guest-memory.h"
#include "devices/vhost/vring-private.h"
#include "proto/virtio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REGION = 8192, SEGMENTS = 16, ROUNDS = 24 };

static void on_broken(void *data, unsigned int index, const char *reason)
{
	(*(unsigned int *)data)++;
}

static void use(struct vring *ring, uint8_t ops)
{
	struct iovec iov[SEGMENTS];
	struct vring_chain chain;
	uint8_t sink[64];

	for (int i = 0; i < ROUNDS; i++) {
		if (vring_pop(ring, &chain, iov, ops & 1 ? SEGMENTS : 3) != VRING_E_CHAIN)
			break;
		for (size_t k = 0; k < (size_t)chain.n_readable + chain.n_writable; k++) {
			/* First and last byte of every segment, as a device would. */
			guest_copy_in(sink, iov[k].iov_base, iov[k].iov_len < 64 ? iov[k].iov_len : 64);
			guest_copy_in(sink, (uint8_t *)iov[k].iov_base + iov[k].iov_len - 1, 1);
		}
		if (ops & 2)
			vring_suspend_kicks(ring);
		if (ops & 4 && i % 3 == 0) {
			vring_unpop(ring, 1);
			ops ^= 4;
			continue;
		}
		guest_iov_write(iov + chain.n_readable, chain.n_writable, 0, sink, sizeof(sink));
		vring_push(ring, &chain, sizeof(sink));
		if (ops & 8)
			vring_flush(ring);
		if (ops & 2)
			vring_resume_kicks(ring);
	}
	vring_flush(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *low = aligned_alloc(16, REGION), *high = aligned_alloc(16, REGION);
	struct guest_map map = {
		.n = 2,
		.regions = {{.guest_addr = 0, .size = REGION, .user_addr = 0x10000, .host = low},
			    {.guest_addr = REGION, .size = REGION, .user_addr = 0x40000, .host = high}},
	};
	unsigned int n_broken = 0;
	struct vring ring = {
		.max_segments = SEGMENTS, .map = &map, .broken_fn = on_broken, .broken_data = &n_broken,
		.call_fd = -EBADF, .err_fd = -EBADF,
	};
	uint64_t features = 0;

	if (!low || !high)
		abort();
	if (size < 2)
		return 0;
	memset(low, 0, REGION);
	memset(high, 0, REGION);
	memcpy(low, data + 2, size - 2 < REGION ? size - 2 : REGION);
	if (size - 2 > REGION)
		memcpy(high, data + 2 + REGION, size - 2 - REGION < REGION ? size - 2 - REGION : REGION);
	ring.size = (uint16_t)(1u << (data[0] & 7)); /* 1 to 128 */
	features |= data[0] & 0x10 ? VIRTIO_RING_EVENT_IDX : 0;
	features |= data[0] & 0x20 ? VIRTIO_RING_INDIRECT_DESC : 0;
	/* Used ring, avail ring and descriptors at the start, so that seeds stay small. */
	ring.avail_user = 0x10000;
	ring.desc_user = 0x10000 + 512;
	ring.used_user = 0x40000;
	if (vring_start(&ring, features) < 0)
		abort();
	use(&ring, data[1]);
	vring_stop(&ring);
	if (n_broken > 1)
		abort(); /* told more than once */
	return 0;
}
