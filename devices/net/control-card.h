/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control-card: serves the frames of the control card: TCP, ARP and echo between two fixed addresses, nothing else.
 *
 * Who may call it: card, by the sink; main.
 */
#pragma once

#include "devices/net/frame-sink.h"
#include "devices/net/tcp.h"

struct control_card {
	struct tcp *tcp; /* borrowed; its addresses and MAC addresses are the card's */
};

extern const struct frame_sink control_card_sink; /* its data is a struct control_card */
