/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-parts: what the files of the TCP engine use of each other. Who may call it: tcp*.c, tests of the engine.
 */
#pragma once

#include "devices/net/tcp.h"

/* tcp-later.c, see there. */
uint32_t tcp_later(struct tcp *tcp, struct flow *flow, uint32_t len);
void tcp_later_sent(struct tcp *tcp, struct flow *flow, bool bare);
void tcp_later_run(struct tcp *tcp);
uint64_t tcp_later_next(const struct tcp *tcp);

/* Sequence numbers compare modulo 2^32, RFC 9293, 3.4. */
static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
/* Initial sequence number of KEY now, RFC 6528: unguessable, and growing faster than bytes can flow. */
uint32_t tcp_initial_seq(const struct tcp *tcp, const struct flow_key *key);
/* Largest payload of one segment that the guest may send us. */
uint16_t tcp_mss(const struct tcp *tcp, const struct flow *flow);
/* Ends FLOW and closes its socket; HARD tells the host's peer that it was reset. */
void tcp_end(struct tcp *tcp, struct flow *flow, bool hard);
/* FLOW ends with RST to the guest; the socket is told now. */
void tcp_abort(struct tcp *tcp, struct flow *flow);
/* The table is full, or the host has no socket left: counted, and said once a second. */
void tcp_refuse(struct tcp *tcp);
/* Watches the host socket for room. */
void tcp_want_room(struct tcp *tcp, struct flow *flow, bool want);
/* FLOW, to which the guest has heard no answer yet, ends with ERROR (positive) as ICMP, or RST where that cannot be told. */
void tcp_fail(struct tcp *tcp, struct flow *flow, int error);
/* Nothing is awaited of the guest: the timer ends, or looks after FLOW from now on. */
void tcp_rest(struct tcp *tcp, struct flow *flow);
/* tcp-urgent.c, see there. */
void tcp_urgent_find(struct tcp *tcp, struct flow *flow);
/* Return: bytes to send in the next frame, at most WANT; *RET_URGENT: it begins with the urgent byte. */
uint32_t tcp_urgent_limit(const struct flow *flow, uint32_t want, uint32_t mss, bool *ret_urgent);
/* Bytes of FRAME's new part (it begins SKIP bytes on) up to and with its urgent one; 0: it has none. */
uint32_t tcp_urgent_part(const struct tcp *tcp, const struct flow *flow, const struct net_frame *frame, uint32_t skip);
/* Answers a segment of no flow, RFC 9293, 3.10.7.1. */
void tcp_send_stray_rst(struct tcp *tcp, const struct net_frame *frame);
