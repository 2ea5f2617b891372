/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish: published ports: listeners that the backend bound and handed over; each client becomes a flow into the guest.
 *
 * The client's address is the flow's host address, so the container sees who called. Clients on the host's loopback, clients
 * of the other family than the target, and clients whose address lies in a network of the VM (GUEST_NETS, the card's own
 * subnet) appear as the gateway, with a port of ours. A port that is removed stops accepting at once; its TCP flows live on.
 * Clients wait in the kernel's queue while the card is down. Never binds, never listens. Who may call it: link (the
 * backend's messages), role-data, udp (publish_disguise).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/tcp.h"
#include "devices/net/udp.h"
#include "proto/netctl.h"

struct publish;

enum {
	PUBLISH_BATCH = 64,	   /* clients of one port before others get theirs */
	PUBLISH_ROUND = 256,	   /* and of all in one round */
	PUBLISH_PAUSE_US = 100000, /* after an accept that failed for lack of files or memory */
};
#define PUBLISH_HANDLE (3ull << 61) /* bits 62 and 61, see watch.h */

struct publish_config {
	int watch_fd; /* borrowed */
	struct tcp *tcp;
	struct udp *udp;
};

/* The process's one table. */
struct publish *publish_init(const struct publish_config *config);
/* The card's addresses, known with the first CONFIG: as whom disguised clients appear, and the card's own networks. */
void publish_set_addresses(struct publish *p, const struct net_addr *gateway4, const struct net_addr *gateway6);
/* FD is consumed, also on failure. Return: 0; -EEXIST: the id is in use; -ENFILE: the table is full; -EINVAL: FD is no such
 * socket; -errno. */
int publish_add_consume(struct publish *p, const struct netctl_port *port, int fd);
/* Unknown ids are ignored. */
void publish_remove(struct publish *p, uint32_t id);
/* The backend is gone. */
void publish_remove_all(struct publish *p);
void publish_nets(struct publish *p, const struct netctl_net *nets, size_t n);
/* Whom the guest shall see for CLIENT: returns true and sets *RET when it is not the client itself. Used for TCP and UDP. */
bool publish_disguise(const struct net_addr *client, const struct net_addr *target, struct net_addr *ret);
/* Watch callback, HANDLE has all bits of PUBLISH_HANDLE. */
void publish_host_event(void *publish, uint64_t handle, uint32_t events);
/* Callback of tcp: DATA is the struct publish. */
void publish_flow_ended(void *publish, const struct flow *flow);
/* Takes waiting clients while the card is UP. Return: true when more wait that could be taken at once. */
bool publish_run(struct publish *p, bool up, uint64_t now_us);
/* Return: when publish_run wants to be called, UINT64_MAX: not at all. */
uint64_t publish_deadline(const struct publish *p);
/* Counters from index *CURSOR on. Return: number filled, at most MAX; *CURSOR is 0 at the end. */
size_t publish_counts(const struct publish *p, uint32_t *cursor, struct netctl_port_count *ret, size_t max);
