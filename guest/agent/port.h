/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port: the agent's end of the agent port: answers PING and STATS_GET, hands TIME and SHUTDOWN to init, carries what others
 * have to say.
 *
 * Anything but a well-formed frame of the machine ends the agent (init starts it anew). The port is shared
 * with init for writing: one frame, one write(2). Who may call it: main.c.
 */
#pragma once

#include "base/cleanup.h"
#include "base/loop.h"
#include "proto/agent.h"

struct port;

struct port_hooks {
	/* AGENT_PORT_RESULT. */
	void (*result)(void *data, uint32_t id, uint32_t status);
	/* After port_send said -EAGAIN: the port takes frames again. Return: as port_send. */
	int (*writable)(void *data);
	void *data;
};

/* PORT_FD (byte stream) and LINK_FD (seqpacket to init, guest/init-link.h) are borrowed and non-blocking. LOOP is
 * borrowed. A malformed frame makes loop_step return -EBADMSG. Return: 0 or -errno. */
int port_new(struct loop *loop, int port_fd, int link_fd, struct port **ret);
/* Unset: results are ignored. */
void port_set_hooks(struct port *port, const struct port_hooks *hooks);
/* Sends MESSAGE, whole or not at all. Return: 0; -EAGAIN: the writable hook follows; -errno: the port is broken. */
int port_send(struct port *port, const struct agent_message *message);
struct port *port_free(struct port *port);
DEFINE_CLEANUP(struct port *, port_free)
