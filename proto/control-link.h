/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control-link: the addresses and ports of the control card's network.
 *
 * The card lives in a network namespace of its own in the guest (the agent's), so these numbers meet no
 * other network; they are TEST-NET-1 addresses (RFC 5737), which nobody routes. TCP only.
 * Used by devices/net, machine and guest/agent. Constants only, no code.
 */
#pragma once

#define CONTROL_HOST_IP 0xc0000201u  /* 192.0.2.1, host byte order */
#define CONTROL_GUEST_IP 0xc0000202u /* 192.0.2.2 */
#define CONTROL_HOST_IP_TEXT "192.0.2.1"
#define CONTROL_GUEST_IP_TEXT "192.0.2.2"
enum { CONTROL_PREFIX_LEN = 30, CONTROL_MTU = 65520 };
#define CONTROL_HOST_MAC {0x02, 0xca, 0x15, 0x50, 0x00, 0x01}
#define CONTROL_GUEST_MAC {0x02, 0xca, 0x15, 0x50, 0x00, 0x02}
#define CONTROL_GUEST_MAC_TEXT "02:ca:15:50:00:02"

/* Host to guest: a Unix listener on the host becomes a connection to this TCP port of the agent. */
enum control_guest_port {
	CONTROL_PORT_ENGINE = 1001, /* relayed to /run/docker.sock */
	CONTROL_PORT_ECHO = 1002,   /* returns what it gets; the bench's and the tests' peer */
};
/* Guest to host: a connection of the agent to 192.0.2.1:PORT becomes one end of a Unix socket pair. */
enum control_host_port {
	CONTROL_PORT_LOG = 2001, /* log lines of the VM, one per line, host bounds and escapes them */
};
