/* SPDX-License-Identifier: Apache-2.0 */
/* test-rig: a loop, a connection that counts its callbacks, and a fake front-end, in one thread. Only tests include it. */
#pragma once

#include "base/test.h"

#include "base/loop.h"
#include "devices/vhost/guest-memory.h"
#include "devices/vhost/vhost.h"
#include "tests/fake/vhost-frontend.h"

enum { RIG_SEGMENTS = 8 };

struct rig {
	struct loop *loop;
	struct vhost *vhost;
	struct frontend *f;
	unsigned int n_start[FRONTEND_QUEUES_MAX], n_stop[FRONTEND_QUEUES_MAX];
	unsigned int n_kick[FRONTEND_QUEUES_MAX], n_broken[FRONTEND_QUEUES_MAX];
	const char *broken_reason;
	unsigned int n_disconnect;
	int code;
	const char *reason;
	uint16_t mtu;
	uint64_t features;
	void (*kick)(struct rig *rig, unsigned int queue); /* NULL: kicks are only counted */
	/* Results of the last vring_pop by rig_pop. */
	struct vring_chain chain;
	struct iovec iov[RIG_SEGMENTS];
};

/* Connected, nothing negotiated. CONFIG's pump is set here. */
void rig_open(struct rig *rig, const struct frontend_config *config);
/* Connected and all queues running. */
void rig_start(struct rig *rig, const struct frontend_config *config);
/* The device side dies and a new connection takes its place. */
void rig_reopen(struct rig *rig);
void rig_close(struct rig *rig);
/* Lets the device handle everything that is pending. */
void rig_run(struct rig *rig);
struct vring *rig_ring(struct rig *rig, unsigned int queue);
int rig_pop(struct rig *rig, unsigned int queue);
unsigned int rig_count_fds(void);
