/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish: one port, kept published through caisson-agent for as long as this lives.
 *
 * States: WAITING (the agent is not there, or refused a port that was published before: again after a pause), ASKED (the request
 * is sent), UP. The agent's restart leads from UP back to WAITING. Who may call it: main.c.
 */
#pragma once

#include <stdint.h>

#include "base/loop.h"
#include "guest/port-link.h"

struct publish;

struct publish_config {
	const char *path; /* PORT_LINK_PATH; tests give others */
	struct port_link_request request;
	/* Every answer: enum agent_port_status. May exit. */
	void (*answer)(void *data, uint32_t status);
	void *data;
};

/* Return: 0 or -errno. */
int publish_new(struct loop *loop, const struct publish_config *config, struct publish **ret);
struct publish *publish_free(struct publish *publish);
