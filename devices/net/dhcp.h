/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dhcp: the data card's DHCPv4 server: one client, one address, for ever.
 *
 * Has no state: the lease is the guest's by its MAC address, so a restart of the process forgets nothing. Tells addresses,
 * MTU and search domains, never a name of the host. Who may call it: data-card.
 */
#pragma once

#include "devices/net/frame-sink.h"

struct data_card;

/* FRAME is NET_KIND_UDP to port 67 with a checked checksum. Return: 0; -ENOENT: not for us, or nothing is to be answered;
 * -EBADMSG: malformed; -EAGAIN: the guest has no buffer; -EMSGSIZE: the MTU is too small for any answer. */
int dhcp_serve(struct data_card *card, const struct card_frame *frame);
