/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports: the published ports: decides what the VM may open on this host, binds it, and keeps it until the VM lets go.
 *
 * The VM asks for whatever it likes (it may be taken over): only what a request on this host named, or the engine's own range
 * for ports that nobody chose, is opened, on the address that was asked for and never a wider one. The setting PortBindingBehavior
 * decides when a port is opened; ports that are open stay as they are when it changes.
 * A port that was given up a moment ago may still be held by the network process, which has a copy of its socket until it reads
 * that it is gone: an open that meets this waits, at most PORTS_WAIT_US, and is tried every PORTS_RETRY_US. Nothing blocks.
 * States of a port: waiting (not answered yet), open (answered with OK), gone. Who may call it: backend/network.
 */
#pragma once

#include "backend/config.h"
#include "backend/port-names.h"
#include "base/loop.h"
#include "proto/agent.h"
#include "proto/netctl-types.h"

/* Beyond these numbers an open does not wait and is answered IN_USE at once. */
enum { PORTS_RECENT_MAX = 256, PORTS_WAITING_MAX = 256, PORTS_WAIT_US = 1000000, PORTS_RETRY_US = 20000 };

struct ports;

struct ports_hooks {
	/* The answer for the VM's ID. */
	void (*result)(void *data, uint32_t id, enum agent_port_status status);
	/* FD is borrowed; -EBADF: this host has no IPv6, nothing listens. */
	void (*added)(void *data, const struct netctl_port *port, int fd);
	void (*removed)(void *data, uint32_t id);
	void *data;
};

/* What the VM asks for. */
struct port_request {
	uint32_t id; /* the VM's */
	bool udp;
	struct net_addr host, target;
	uint16_t host_port, target_port;
};

/* LOOP and NAMES are borrowed. Return: 0 or -errno. */
int ports_new(struct loop *loop, const struct port_names *names, const struct ports_hooks *hooks, struct ports **ret);
struct ports *ports_free(struct ports *ports);
void ports_set_binding(struct ports *ports, enum config_binding binding);
/* Answered once by the result hook, before it returns or after a wait; not at all when the port is closed meanwhile. */
void ports_open(struct ports *ports, const struct port_request *request);
void ports_close(struct ports *ports, uint32_t id);
/* The VM's agent is a fresh one, or the VM is gone. */
void ports_reset(struct ports *ports);
/* Calls the added hook for each open port. */
void ports_again(struct ports *ports);

typedef void (*ports_fn)(void *data, const struct netctl_port *port, const struct net_addr *asked);
void ports_each(const struct ports *ports, ports_fn fn, void *data);
size_t ports_count(const struct ports *ports);

/* The address to bind for ASKED; WIDE as in port_names_allowed. Return: AGENT_PORT_OK with RET, or why not. */
enum agent_port_status ports_address(enum config_binding binding, const struct net_addr *asked, uint8_t wide,
				     struct net_addr *ret);
