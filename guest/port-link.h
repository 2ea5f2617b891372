/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port-link: what port-proxy and caisson-agent say to each other about one published port.
 *
 * Carrier: a Unix seqpacket socket at PORT_LINK_PATH, root's alone, made by init and inherited by the agent. The proxy
 * sends one request, the agent one answer (enum agent_port_status); after a refusal it closes. The port is published as long as
 * the connection lives, so the end of either program is its end; a proxy that loses its agent comes again.
 * Integers in host order: both ends are programs of the same sealed image. Constants and two structs, no code.
 */
#pragma once

#include <stdint.h>

#include "proto/net-frame.h"

#define PORT_LINK_PATH "/run/caisson/ports.sock"
#define PORT_LINK_MAGIC 0x31504e43u /* "CNP1" */

struct port_link_request {
	uint32_t magic;
	uint32_t udp;			 /* 0 or 1 */
	uint16_t host_port, target_port; /* not 0 */
	struct net_addr host, target;
};
_Static_assert(sizeof(struct port_link_request) == 44, "one record");

struct port_link_answer {
	uint32_t magic;
	uint32_t status;
};
_Static_assert(sizeof(struct port_link_answer) == 8, "one record");
