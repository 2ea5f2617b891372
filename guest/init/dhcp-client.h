/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dhcp-client: the client's half of DHCPv4, for a lease that never ends: DISCOVER and REQUEST out, OFFER and ACK in.
 *
 * Sources: RFC 2131, 2132, 3396, 3397. What comes is the network process's, which handles the containers' traffic: every
 * length is checked, an answer that does not fit is ignored. Pure codec: no I/O, no allocation. Used by guest/init only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	DHCP_CLIENT_MAC_LEN = 6,
	DHCP_CLIENT_FRAME_MAX = 1472, /* of a UDP payload within 1500 bytes */
	DHCP_CLIENT_PORT = 68,
	DHCP_CLIENT_SERVER_PORT = 67,
	DHCP_CLIENT_SEARCH_MAX = 1024, /* names with a space between them, and NUL */
};

enum dhcp_client_type {
	DHCP_CLIENT_DISCOVER = 1,
	DHCP_CLIENT_OFFER = 2,
	DHCP_CLIENT_REQUEST = 3,
	DHCP_CLIENT_ACK = 5,
	DHCP_CLIENT_NAK = 6,
};

/* Addresses in host byte order; 0: not given. */
struct dhcp_client_question {
	enum dhcp_client_type type; /* DISCOVER or REQUEST */
	uint32_t xid;
	uint8_t mac[DHCP_CLIENT_MAC_LEN];
	uint32_t requested, server; /* REQUEST: of the offer */
};
struct dhcp_client_lease {
	enum dhcp_client_type type; /* OFFER, ACK or NAK; of a NAK nothing else counts */
	uint32_t address, server, router, dns;
	uint8_t prefix_len;
	uint16_t mtu;
	char search[DHCP_CLIENT_SEARCH_MAX]; /* only [a-z0-9._-] and spaces */
};

/* Return: length of the message. */
size_t dhcp_client_encode(const struct dhcp_client_question *question, uint8_t dst[static DHCP_CLIENT_FRAME_MAX]);
/* SRC answers QUESTION. Return: 0; -EBADMSG: it is no such answer, or one that nobody can use. */
int dhcp_client_decode(struct dhcp_client_lease *ret, const struct dhcp_client_question *question, const uint8_t *src,
		       size_t len);
