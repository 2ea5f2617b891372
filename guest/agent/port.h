/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port: the agent's end of the agent port: answers PING and STATS_GET, hands TIME and SHUTDOWN to init.
 *
 * Anything but a well-formed frame of the machine ends the agent (init starts it anew). The port is shared
 * with init for writing: one frame, one write(2). Who may call it: main.c.
 */
#pragma once

#include "base/cleanup.h"
#include "base/loop.h"

struct port;

/* PORT_FD (byte stream) and LINK_FD (seqpacket to init, guest/init-link.h) are borrowed and non-blocking. LOOP is
 * borrowed. A malformed frame makes loop_step return -EBADMSG. Return: 0 or -errno. */
int port_new(struct loop *loop, int port_fd, int link_fd, struct port **ret);
struct port *port_free(struct port *port);
DEFINE_CLEANUP(struct port *, port_free)
