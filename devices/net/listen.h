/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen: inherited listening sockets; each accepted connection becomes a flow to one port of the guest.
 *
 * Connections stay in the kernel's queue while the card is down. Beyond the flow table's limit they are accepted and closed,
 * and counted as refused. Never makes a listener. Who may call it: main.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net/tcp.h"

struct loop;
struct loop_source;

enum {
	LISTEN_MAX = 8,
	LISTEN_BATCH = 64,
	LISTEN_PAUSE_US = 100000, /* after an accept that failed for lack of files or memory */
};

struct listener {
	int fd; /* borrowed: inherited */
	uint16_t port;
	struct tcp *tcp;
	struct loop_source *source;
	bool on;
	uint64_t retry_us; /* nothing is accepted before; 0: no pause */
};

int listen_start(struct listener *listener, struct loop *loop, int fd, uint16_t port, struct tcp *tcp);
/* Takes connections while the card is UP only, and not during a pause. Return: 0 or -errno. */
int listen_follow(struct listener *listener, bool up, uint64_t now_us);
/* Return: when listen_follow wants to be called, UINT64_MAX: not at all. */
uint64_t listen_deadline(const struct listener *listener);
