/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: everything of the backend that the VM's network needs, wired together.
 *
 * host-net (addresses, routes), resolver, settings, ports and the proxy process on one side; the network process (net-client) on the
 * other. Writes view->network. States: made, started (with the machine), stopped. Who may call it: backend/session.
 */
#pragma once

#include "backend/net-query.h"
#include "backend/ports.h"
#include "backend/view.h"
#include "proto/machine.h"

struct network;

struct network_config {
	struct loop *loop;
	struct view *view;	   /* borrowed */
	const char *proxy_program; /* borrowed; NULL: there is none */
	int proxy_log_fd;	   /* borrowed */
	/* An answer for the machine. */
	void (*port_result)(void *data, uint32_t id, enum agent_port_status status);
	/* EVENT is consumed. */
	void (*event)(void *data, json_t *event);
	/* The answer to network_query; BODY is consumed. */
	void (*answered)(void *data, void *token, json_t *body);
	void *data;
};

int network_new(const struct network_config *config, struct network **ret);
struct network *network_free(struct network *network);
/* The machine is about to start: the subnet is chosen. What cannot be started is a log line: containers run without it. */
void network_start(struct network *network);
/* The machine has gone, with all ports. */
void network_stop(struct network *network);
/* NET_LINK (FD is consumed), PORT_OPEN, PORT_CLOSE, PORT_RESET, GUEST_NETS. */
void network_message(struct network *network, const struct machine_message *message, int consume_fd);
/* STORED has new values: those that take effect at once do. */
void network_settings(struct network *network, const struct config *stored);
/* Brings the parts of the view up to date that nobody announces. */
void network_refresh(struct network *network);
/* A request on this host names a port (port_learn_fn). */
void network_named(void *network, const struct port_name *name);
int network_query(struct network *network, const struct net_query_request *request, void *token);
void network_forget(struct network *network, const void *token);
/* FD (borrowed) gets the capture. */
void network_capture(struct network *network, const struct netctl_capture *capture, int fd);
