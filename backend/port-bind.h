/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port-bind: one socket on exactly one address and port of the host.
 *
 * Never wider than asked: an IPv6 socket never takes IPv4, and no other address is tried when one fails.
 * Who may call it: backend/ports.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/agent.h"

enum { PORT_BACKLOG = 4096 };

/* TCP: listens; UDP: bound. Return: descriptor (non-blocking, caller owns); -errno. */
int port_bind(bool udp, const struct net_addr *addr, uint16_t port);
/* The one seam for ports below 1024: asks the helper for a bound descriptor. Return: descriptor; -ENOSYS: there is no helper. */
int port_bind_privileged(bool udp, const struct net_addr *addr, uint16_t port);
enum agent_port_status port_bind_status(int r);

/* What kind of address a request names. */
enum port_address {
	PORT_ADDRESS_ANY,      /* 0.0.0.0, :: */
	PORT_ADDRESS_LOOPBACK, /* 127/8, ::1 */
	PORT_ADDRESS_OTHER,
	PORT_ADDRESS_BAD, /* multicast, broadcast, link-local, IPv4 in disguise */
};
enum port_address port_address_kind(const struct net_addr *addr);
