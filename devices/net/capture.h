/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture: a copy of the frames of the card, as pcap, to a descriptor that the backend gave: bounded in bytes and time.
 *
 * Frames that the reader does not take at once are counted and left out, whole: a capture never slows the card. Records wait
 * in one static buffer, so that a partial write never tears one. Costs one test per frame when off. One capture at a time.
 * Who may call it: card (every frame), link (start, stop), main.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/netctl.h"

enum {
	CAPTURE_BUFFER = 1 << 20,
	CAPTURE_RETRY_US = 10000,   /* a reader that lags is asked again */
	CAPTURE_LINGER_US = 2000000, /* and at the end gets this long for the rest */
};

struct capture {
	bool on;
	bool ending; /* off, but not all is written */
	int fd; /* owned while on or ending */
	struct netctl_capture limit;
	uint64_t end_us, give_up_us, bytes, drops, real_offset_us;
	size_t first, end; /* of what waits in the buffer */
	enum netctl_capture_end next_why;
	enum netctl_capture_end why; /* set when it has ended, 0 before: main tells the backend and clears it */
};

/* FD is consumed, also on failure; a capture under way ends. Return: 0; -EINVAL: not a pipe, a socket or a file; -errno. */
int capture_start_consume(struct capture *capture, const struct netctl_capture *limit, int fd, uint64_t now_us);
void capture_stop(struct capture *capture, enum netctl_capture_end why, uint64_t now_us);
/* LEN bytes of a frame from byte OFF of IOV (guest memory); HEAD, HEAD_LEN (may be 0) come before them. */
void capture_frame(struct capture *capture, const void *head, size_t head_len, const struct iovec *iov, size_t n_iov,
		   size_t off, size_t len);
uint64_t capture_deadline(const struct capture *capture);
/* Once a round: writes what waits, ends what is over. */
void capture_timers(struct capture *capture, uint64_t now_us);
