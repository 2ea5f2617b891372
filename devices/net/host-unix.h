/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-unix: the host's side of the control card: Unix stream sockets only.
 *
 * The guest may open the ports of enum control_host_port and nothing else; each becomes a socket pair whose other end goes
 * to the machine (DEVICE_FLOW). What a Unix socket can tell of a reset: closing with unread bytes in our receive queue
 * gives the peer ECONNRESET, otherwise it sees end of stream, then EPIPE when it writes. The other way round a peer that
 * closes with bytes unread is seen as ECONNRESET and becomes RST, one that closed cleanly becomes FIN, and RST as soon as
 * the guest sends more. Never connects, binds or opens anything. Who may call it: main, tests.
 */
#pragma once

#include <stdint.h>

#include "devices/net/host.h"

enum {
	HOST_UNIX_SNDBUF = 512 * 1024, /* asked for; the kernel doubles it, or gives what it allows */
	HOST_UNIX_GUEST_FLOWS_MAX = 64, /* flows the guest opened, at a time */
};

struct host_unix {
	/* Hands FD (consumed) over to the machine as the guest's connection to PORT. Return: 0 or -errno. */
	int (*deliver)(void *data, uint16_t port, int fd);
	void *data;
	uint32_t sndbuf; /* what the kernel gave */
	uint32_t n_guest_flows;
};

extern const struct host_ops host_unix_ops;

/* Measures the kernel's sockets. Return: 0; -ENOTSUP: SO_PEEK_OFF does not work on Unix streams; -errno. */
int host_unix_init(struct host_unix *host);
