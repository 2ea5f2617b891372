/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dhcp: DHCPv4 messages: requests of a client in, replies of a server out.
 *
 * Sources: RFC 2131, 2132, 3397 (domain search), 3396 (long options). Strict: a request that breaks a length, repeats an option
 * or comes through a relay is refused. Host names and client identifiers are not even looked at. Pure codec: no I/O, no
 * allocation. Used by devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/net-frame.h"

enum {
	DHCP_FIXED_LEN = 240,  /* with the magic cookie */
	DHCP_REPLY_MIN = 300,  /* BOOTP's, which old clients insist on */
	DHCP_PACKET_MIN = 576, /* IP packet that every client takes */
	DHCP_SEARCH_MAX = 8,
	DHCP_NAME_MAX = 255, /* on the wire */
	DHCP_PORT_SERVER = 67,
	DHCP_PORT_CLIENT = 68,
};

enum dhcp_type {
	DHCP_DISCOVER = 1,
	DHCP_OFFER,
	DHCP_REQUEST,
	DHCP_DECLINE,
	DHCP_ACK,
	DHCP_NAK,
	DHCP_RELEASE,
	DHCP_INFORM,
	DHCP_TYPE_MAX,
};

/* Addresses in host byte order, 0: not given. */
struct dhcp_request {
	enum dhcp_type type; /* never OFFER, ACK, NAK */
	uint32_t xid;
	bool broadcast; /* the client cannot take unicast yet */
	uint8_t mac[NET_MAC_LEN];
	uint32_t client;    /* ciaddr */
	uint32_t requested; /* option 50 */
	uint32_t server;    /* option 54 */
	uint16_t max_size;  /* option 57: of the IP packet; at least DHCP_PACKET_MIN, which is also the default */
};
/* Return: 0; -EBADMSG. */
int dhcp_decode(struct dhcp_request *ret, const uint8_t *src, size_t len);

struct dhcp_reply {
	enum dhcp_type type; /* OFFER, ACK or NAK */
	uint32_t xid;
	bool broadcast;
	uint8_t mac[NET_MAC_LEN];
	uint32_t client, yours, server;
	/* The rest is not in a NAK. */
	bool lease; /* for ever; not in the answer to INFORM */
	uint32_t netmask, router, dns, net_broadcast;
	uint16_t mtu;
	size_t n_search;
	const char *search[DHCP_SEARCH_MAX]; /* names that do not fit are left out, whole */
};
/* Writes a message of at most SIZE bytes. Return: its length; -EMSGSIZE: SIZE is less than even the fixed part needs. */
int dhcp_encode(const struct dhcp_reply *reply, uint8_t *dst, size_t size);

/* NAME, labels with dots, as DNS writes it (RFC 1035, 3.1), not compressed. Return: length; 0: no name, or no room for it. */
size_t dhcp_encode_name(uint8_t *dst, size_t size, const char *name);
