/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio: constants of virtio 1.2 that device processes need: features and split-ring layout.
 *
 * Numbers only; devices/vhost does the work. virtio-net's header is struct virtio_net_hdr_mrg_rxbuf of
 * linux/virtio_net.h (12 bytes with VERSION_1, little-endian). Who may call it: rooms under devices/, tests.
 */
#pragma once

#include <stdint.h>

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

/* virtio 1.2, section 6: transport and ring features. */
#define VIRTIO_RING_INDIRECT_DESC VIRTIO_BIT(28)
#define VIRTIO_RING_EVENT_IDX VIRTIO_BIT(29)
#define VIRTIO_VERSION_1 VIRTIO_BIT(32)
#define VIRTIO_RING_PACKED VIRTIO_BIT(34) /* never offered */
#define VIRTIO_IN_ORDER VIRTIO_BIT(35)

/* virtio 1.2, 5.1.3: network device. */
#define VIRTIO_NET_CSUM VIRTIO_BIT(0)
#define VIRTIO_NET_GUEST_CSUM VIRTIO_BIT(1)
#define VIRTIO_NET_MTU VIRTIO_BIT(3)
#define VIRTIO_NET_MAC VIRTIO_BIT(5)
#define VIRTIO_NET_GUEST_TSO4 VIRTIO_BIT(7)
#define VIRTIO_NET_GUEST_TSO6 VIRTIO_BIT(8)
#define VIRTIO_NET_GUEST_ECN VIRTIO_BIT(9)
#define VIRTIO_NET_HOST_TSO4 VIRTIO_BIT(11)
#define VIRTIO_NET_HOST_TSO6 VIRTIO_BIT(12)
#define VIRTIO_NET_HOST_ECN VIRTIO_BIT(13)
#define VIRTIO_NET_MRG_RXBUF VIRTIO_BIT(15)
#define VIRTIO_NET_STATUS VIRTIO_BIT(16)
#define VIRTIO_NET_MQ VIRTIO_BIT(22)
#define VIRTIO_NET_GUEST_USO4 VIRTIO_BIT(54)
#define VIRTIO_NET_GUEST_USO6 VIRTIO_BIT(55)
#define VIRTIO_NET_HOST_USO VIRTIO_BIT(56)

/* Queue numbers of a one-pair network card, seen from the guest: it receives on 0 and transmits on 1. */
enum { VIRTIO_NET_QUEUE_RX = 0, VIRTIO_NET_QUEUE_TX = 1 };

/* Split ring, 2.7.5: descriptor flags. */
enum {
	VIRTQ_DESC_NEXT = 1,
	VIRTQ_DESC_WRITE = 2,
	VIRTQ_DESC_INDIRECT = 4,
};
/* 2.7.6 and 2.7.8: suppression flags when EVENT_IDX is not negotiated. */
enum { VIRTQ_AVAIL_NO_INTERRUPT = 1, VIRTQ_USED_NO_NOTIFY = 1 };

/* One descriptor, 16 bytes, aligned to 16. */
struct virtq_desc {
	uint64_t addr; /* guest physical */
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2, 2.7.5");

struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};
_Static_assert(sizeof(struct virtq_used_elem) == 8, "virtio 1.2, 2.7.8");

/* Offsets and sizes of the two index areas for a queue of N entries, trailing event word included. */
enum {
	VIRTQ_AVAIL_FLAGS = 0,
	VIRTQ_AVAIL_IDX = 2,
	VIRTQ_AVAIL_RING = 4,
	VIRTQ_USED_FLAGS = 0,
	VIRTQ_USED_IDX = 2,
	VIRTQ_USED_RING = 4,
};
#define VIRTQ_DESC_SIZE(n) ((uint64_t)16 * (n))
#define VIRTQ_AVAIL_SIZE(n) ((uint64_t)6 + (uint64_t)2 * (n))
#define VIRTQ_USED_SIZE(n) ((uint64_t)6 + (uint64_t)8 * (n))
