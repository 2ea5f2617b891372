/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nets: the subnets of the bridges in the VM's main network namespace, told to the machine whole whenever they change.
 *
 * The route socket belongs to that namespace and was opened by init; the agent itself lives in another. Changes are gathered for
 * a moment; more subnets than AGENT_NETS_MAX are left out. Not told: loopback, link-local, the data card's own.
 * Who may call it: main.c. It changes nothing in any namespace.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "guest/agent/port.h"

enum { NETS_GATHER_US = 100000 };

struct nets_list {
	uint32_t n;
	struct { struct net_addr addr; uint8_t prefix_len; } net[AGENT_NETS_MAX];
};

struct nets;

/* ROUTE_FD and PORT are borrowed. Return: 0 or -errno. */
int nets_new(struct loop *loop, int route_fd, struct port *port, struct nets **ret);
struct nets *nets_free(struct nets *nets);
DEFINE_CLEANUP(struct nets *, nets_free)
/* The agent port takes frames (again). Return: 0 or -errno: the port is broken. */
int nets_flush(struct nets *nets);
/* Adds the subnets that the kernel's answer DATA[0..LEN) to RTM_GETADDR names, each once. *DONE: its end was in it. Pure. Return:
 * 0; -errno of the kernel. */
int nets_parse(struct nets_list *list, const void *data, size_t len, bool *done);
