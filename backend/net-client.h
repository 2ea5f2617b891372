/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-client: the backend's end of the netctl link to the network process of the data card.
 *
 * Keeps the last of everything that was told, and tells it all again on each new link: the process comes and goes. What
 * cannot be sent at once waits in a bounded queue; nothing here ever blocks. What the process says is decoded strictly: a
 * bad frame ends the link (the machine restarts the process when it ends).
 * States: no link, linked. Who may call it: backend/network.
 */
#pragma once

#include "base/loop.h"
#include "proto/netctl.h"

enum { NET_QUEUE_MAX = 16 << 20 }; /* bytes waiting; beyond, the link ends */

struct net_client;

struct net_client_hooks {
	/* A new link has been told everything that is kept here; the owner sends the ports. */
	void (*linked)(void *data);
	/* Answers to GET, READY and CAPTURE_END. */
	void (*message)(void *data, const struct netctl_message *message);
	/* The link has ended. */
	void (*lost)(void *data);
	void *data;
};

int net_client_new(struct loop *loop, const struct net_client_hooks *hooks, struct net_client **ret);
struct net_client *net_client_free(struct net_client *client);
/* A process has been started. FD is consumed, also on failure. */
void net_client_link_consume(struct net_client *client, int fd);
void net_client_unlink(struct net_client *client);
bool net_client_is_linked(const struct net_client *client);
/* Keeps and sends CONFIG, RULES, HOST_ADDRS, RESOLVERS or GUEST_NETS. Return: 0 or -errno. */
int net_client_set(struct net_client *client, const struct netctl_message *message);
/* Keeps and sends the hosts file. Return: 0 or -errno. */
int net_client_set_hosts(struct net_client *client, const struct netctl_hosts *pieces, size_t n);
/* Keeps and sends the link to the proxy process. */
void net_client_set_proxy_consume(struct net_client *client, int fd);
/* Sends once, kept by nobody: PORT_ADD and CAPTURE with FD (borrowed), PORT_REMOVE, CAPTURE_STOP, GET (FD -EBADF). Return: 0;
 * -ENOTCONN; -errno. */
int net_client_send(struct net_client *client, const struct netctl_message *message, int fd);
