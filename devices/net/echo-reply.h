/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo-reply: the answer to an echo request (ICMP, ICMPv6) for one of our own addresses.
 *
 * Built anew from the request's fields and payload, exactly as long as the request's packet. Who may call it: control-card,
 * data-card.
 */
#pragma once

#include "devices/net/frame-sink.h"
#include "devices/net/wire.h"

/* FRAME is NET_KIND_ECHO with a checked checksum. Return: as echo_send. */
int echo_reply(const struct wire_ops *wire, void *wire_data, const struct card_frame *frame, const uint8_t mac[static NET_MAC_LEN],
	       uint16_t mtu);
