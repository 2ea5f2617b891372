/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo-send: one ICMP or ICMPv6 message to the guest, as IP fragments when it is larger than the MTU.
 *
 * Who may call it: echo, echo-reply.
 */
#pragma once

#include "devices/net/wire.h"
#include "proto/net-frame.h"

/* PAYLOAD is OUT's, in our own memory. Return: 0; -EAGAIN: the guest has no buffer; -EMSGSIZE: too small ones, or no MTU. */
int echo_send(const struct wire_ops *wire, void *wire_data, const struct net_icmp_out *out, const uint8_t *payload, uint16_t mtu);
