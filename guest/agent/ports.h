/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports: published ports: one connection of a port-proxy is one port, told to the machine and answered by it.
 *
 * A fixed table; beyond it a connection is refused in its own protocol. What the agent port does not take at once is kept as a
 * state of the port: one that ends before it was told is never told. The machine is told first of all that earlier ports are gone.
 * States: FREE, ASKING (no request read yet), NEW (to be told), WAITING (for the answer), OPEN, GONE (its end is to be told).
 * Who may call it: main.c. It never opens a socket, takes a name, or decides who may publish what.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "guest/agent/port.h"
#include "proto/agent.h"

struct ports;

/* LISTEN_FD (seqpacket, see guest/port-link.h) and PORT are borrowed; LOOP lives longer. MAX: 1 to AGENT_PORTS_MAX. Return: 0 or
 * -errno. */
int ports_new(struct loop *loop, int listen_fd, struct port *port, uint32_t max, struct ports **ret);
struct ports *ports_free(struct ports *ports);
DEFINE_CLEANUP(struct ports *, ports_free)
/* AGENT_PORT_RESULT of the machine. */
void ports_result(struct ports *ports, uint32_t id, uint32_t status);
/* The agent port takes frames (again). Return: 0 or -errno: the port is broken. */
int ports_flush(struct ports *ports);
