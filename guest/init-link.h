/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init-link: what caisson-init and caisson-agent say to each other, and the descriptors the agent inherits.
 *
 * Carrier: a Unix seqpacket pair made by init. One record is one struct init_link_message of exactly 16 bytes,
 * without ancillary data; anything else is a bug of the peer and ends the agent (init starts it anew, in a new
 * network namespace). Integers in host order: both ends are programs of the same sealed image.
 * Used by guest/init and guest/agent only. Constants and one struct, no code.
 *
 * Start of the agent, in this order: the agent unshares its network namespace and sends NETNS_READY; init moves
 * the control card there and answers CARD with its index inside the namespace; the agent configures it, listens,
 * and sends LINK_UP; init reports AGENT_STAGE_LINK. Without a card init answers CARD with value 0 (and reports
 * the cause itself): the agent goes on answering the port, without a link.
 *
 * The port (fd 3) is shared: init writes HELLO, STAGE and FAILED, the agent PONG and STATS; each of them writes
 * one whole frame with one write(2), which the driver never splits. Only the agent reads. It is non-blocking.
 * The log pipes stay open in init too, so that a restart of the agent loses nothing and nobody gets SIGPIPE. They
 * must be drained at any time, whether or not the host takes the lines: a full pipe would stop the engine.
 * So does the listener for the port-proxies: those that come while no agent runs wait in its backlog.
 */
#pragma once

#include <stdint.h>

/* Name that init gives the data card in the main network namespace. */
#define INIT_LINK_DATA_CARD "eth0"

enum init_link_fd {
	INIT_LINK_FD_PORT = 3,		 /* virtio-serial port, see proto/agent.h; read and write */
	INIT_LINK_FD_LINK = 4,		 /* this link */
	INIT_LINK_FD_LOG_CONTAINERD = 5, /* read ends of pipes, lines of text, non-blocking */
	INIT_LINK_FD_LOG_DOCKERD = 6,
	INIT_LINK_FD_LOG_INIT = 7,
	INIT_LINK_FD_PORTS = 8, /* seqpacket listener, see guest/port-link.h; non-blocking */
	INIT_LINK_FD_ROUTE = 9, /* route socket of the main network namespace, in the groups of address changes; of this start */
	INIT_LINK_FD_END = 10,
};

enum init_link_type {
	/* agent to init */
	INIT_LINK_NETNS_READY = 1, /* value 0 */
	INIT_LINK_UP = 2,	   /* value 0; card configured, ports 1001 and 1002 listen */
	INIT_LINK_SHUTDOWN = 3,	   /* value: deadline in milliseconds, as in AGENT_SHUTDOWN */
	INIT_LINK_TIME = 4,	   /* value: CLOCK_REALTIME in nanoseconds; init sets the clock */
	/* init to agent */
	INIT_LINK_CARD = 16, /* value: interface index inside the agent's namespace, 0: there is no card */
};

struct init_link_message {
	uint32_t type;
	uint32_t reserved; /* 0 */
	uint64_t value;
};
_Static_assert(sizeof(struct init_link_message) == 16, "one record");
