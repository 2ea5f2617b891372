/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vring-private: what the connection (vhost.c, requests.c) sets up and vring.c works on. Private to devices/vhost.
 *
 * Positions are free-running 16-bit counters: published <= push_pos <= avail_pos <= avail_known, at most SIZE apart.
 */
#pragma once

#include "devices/vhost/guest-map.h"
#include "devices/vhost/vring.h"

struct vring {
	/* Fixed for the connection. */
	unsigned int index;
	unsigned int max_segments;
	struct guest_map *map;
	void (*broken_fn)(void *data, unsigned int index, const char *reason);
	void *broken_data;
	/* Set by the front-end. */
	uint16_t size;
	bool have_addr;
	bool log_used;
	uint64_t desc_user, avail_user, used_user, used_log;
	int call_fd, err_fd;
	/* Translated while running. */
	const uint8_t *desc;
	uint8_t *avail;
	uint8_t *used;
	bool event_idx, indirect;
	bool running, broken;
	bool suspended;
	bool positions_valid; /* false: take them from the used index at the next start */
	bool signalled_valid; /* some position was signalled since the start */
	uint16_t avail_pos, avail_known, push_pos, published;
	struct vring_stats stats;
};

/* Translates the ring's addresses through MAP. Return: 0; -EFAULT outside memory; -EINVAL misaligned. */
int vring_translate(const struct vring *ring, const struct guest_map *map, const uint8_t **ret_desc,
		    uint8_t **ret_avail, uint8_t **ret_used);
/* STOPPED to RUNNING. FEATURES: negotiated. Return: 0, or as vring_translate. */
int vring_start(struct vring *ring, uint64_t features);
/* To STOPPED; outstanding chains go back to the ring, pushed ones are published. */
void vring_stop(struct vring *ring);
/* Forgets violation, positions and addresses. */
void vring_reset(struct vring *ring);
/* Follows new addresses or log settings while running. */
int vring_retranslate(struct vring *ring);
