/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: the socket to the machine: flows that the guest opened go out, statistics on request, readiness.
 *
 * Never waits: when the machine does not read, flows are refused and statistics dropped. Who may call it: main.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/device.h"

struct loop;

struct control {
	int fd; /* borrowed */
	bool ended;
	void (*stats)(void *data, struct device_stats *ret);
	void *data;
};

/* FD is borrowed; STATS fills the answer to the machine's question. */
int control_start(struct control *control, struct loop *loop, int fd, void (*stats)(void *data, struct device_stats *ret),
		  void *data);
/* Tells the machine that the jail is shut. Return: 0 or -errno. */
int control_ready(struct control *control);
/* Callback of host-unix: DATA is the struct control, FD is consumed. */
int control_deliver(void *data, uint16_t port, int fd);
