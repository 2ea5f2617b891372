/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports: published ports and bridge subnets on their way between the agent (hostile) and the backend.
 *
 * A fixed table of AGENT_PORTS_MAX ports. The backend never sees a number that the guest chose: each port gets one of
 * ours, never the same one twice in a row, so that an answer that comes late meets nobody else. What the backend's socket
 * does not take at once is kept as a state of the port, not as a message: what was closed before it was told is never told.
 * States of a port: FREE, NEW (the backend does not know it), WAITING (for its answer), OPEN, GONE (the close is to be told).
 * Who may call it: machine.c. It decides nothing but what cannot be an address or a port.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "proto/agent.h"
#include "proto/machine.h"

struct ports;

struct ports_ops {
	/* Return: 0; -EAGAIN: not now, ports_flush follows; another error: it is lost. */
	int (*backend)(void *data, const struct machine_message *message);
	void (*agent)(void *data, struct agent_message *message);
};

/* OPS is static. Return: 0 or -errno. */
int ports_new(const struct ports_ops *ops, void *data, struct ports **ret);
struct ports *ports_free(struct ports *ports);
DEFINE_CLEANUP(struct ports *, ports_free)
/* PORT_OPEN, PORT_CLOSE, PORT_RESET or NET of the guest. Return: 0; -EBADMSG: an id that is open already, or a list of subnets
 * out of order: a VM that does this is not trusted. */
int ports_agent(struct ports *ports, const struct agent_message *message);
/* PORT_RESULT of the backend; one that nobody waits for is ignored. */
void ports_backend(struct ports *ports, const struct machine_message *message);
/* The backend takes messages (again). */
void ports_flush(struct ports *ports);
/* Something waits for ports_flush. */
bool ports_pending(const struct ports *ports);
