/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data-card: the addresses, names and ports of the data card's network: the one that containers use.
 *
 * The subnet can be set and moves when a host route overlaps it; the last octets and the IPv6 prefix do not.
 * Used by devices/net, machine, backend and guest. Constants only, no code.
 */
#pragma once

#define DATA_SUBNET_DEFAULT 0xc0a84100u /* 192.168.65.0, host byte order */
#define DATA_SUBNET_DEFAULT_TEXT "192.168.65.0/24"
enum {
	DATA_PREFIX_LEN = 24,
	DATA_OCTET_GATEWAY = 1, /* gateway, DNS, DHCP, proxy */
	DATA_OCTET_GUEST = 3,	/* the VM */
	DATA_OCTET_ALIAS = 254, /* the host's loopback, as far as the setting allows */
	DATA_MTU_DEFAULT = 1500,
	DATA_MTU_MIN = 1280,
	DATA_MTU_MAX = 65520,
};
#define DATA_HOST_MAC {0x02, 0xca, 0x15, 0x50, 0x01, 0x01}
#define DATA_GUEST_MAC {0x02, 0xca, 0x15, 0x50, 0x01, 0x02}
#define DATA_GUEST_MAC_TEXT "02:ca:15:50:01:02"

/* fdca:1550:9b3e:1::/64 (RFC 4193), announced by RA. The guest's address follows from its MAC (RFC 4291, appendix A). */
#define DATA_PREFIX6 {0xfd, 0xca, 0x15, 0x50, 0x9b, 0x3e, 0x00, 0x01}
#define DATA_PREFIX6_TEXT "fdca:1550:9b3e:1::"
enum { DATA_PREFIX6_LEN = 64 };
#define DATA_GATEWAY6_TEXT "fdca:1550:9b3e:1::1"
#define DATA_ALIAS6_TEXT "fdca:1550:9b3e:1::fe"
#define DATA_GUEST6_TEXT "fdca:1550:9b3e:1:ca:15ff:fe50:102"
#define DATA_LINK_LOCAL6_TEXT "fe80::1" /* our side; the router address of the RA */

enum data_port { DATA_PORT_DNS = 53, DATA_PORT_DHCP = 67, DATA_PORT_PROXY = 3128 };

/* Names that our DNS answers itself. */
#define DATA_NAME_HOST "host.docker.internal"		  /* the alias */
#define DATA_NAME_GATEWAY "gateway.docker.internal"	  /* the gateway */
#define DATA_NAME_KUBERNETES "kubernetes.docker.internal" /* the alias */
#define DATA_NAME_PROXY "http.docker.internal"		  /* the gateway */
