/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent-channel: the machine's end of the virtio-serial port.
 *
 * The guest is hostile: only the closed set of proto/agent.h is understood, the first frame must be HELLO of our version, and no
 * more than AGENT_CHANNEL_RATE messages a second are heard (AGENT_CHANNEL_PORT_RATE of those about ports and subnets: an engine
 * that starts brings all its containers' ports at once). The first violation closes the channel for good and gives a fault in
 * words. Nothing is sent without being asked for: an idle VM is not woken.
 * Who may call it: machine.c. It never acts on a message, it hands it over.
 */
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "proto/agent.h"

enum { AGENT_CHANNEL_RATE = 50, AGENT_CHANNEL_BURST = 200, AGENT_CHANNEL_PORT_RATE = 2000,
       AGENT_CHANNEL_PORT_BURST = 3 * AGENT_PORTS_MAX };

struct agent_channel;

struct agent_channel_ops {
	/* A checked message; the first is HELLO. Return: 0; negative: the guest broke a rule, the channel is closed. */
	int (*message)(void *data, const struct agent_message *message);
	/* The guest broke the protocol or flooded; the channel is closed. May not free the channel. */
	void (*broken)(void *data, const struct fault *fault);
};

/* Takes FD even on failure. OPS is static. Return: 0 or -errno. */
int agent_channel_new(struct loop *loop, int consume_fd, const struct agent_channel_ops *ops, void *data,
		      struct agent_channel **ret);
struct agent_channel *agent_channel_free(struct agent_channel *channel);
/* Numbers and queues MESSAGE. Return: 0; -ENOBUFS: the guest does not read; -ENOTCONN. */
int agent_channel_send(struct agent_channel *channel, struct agent_message *message);
