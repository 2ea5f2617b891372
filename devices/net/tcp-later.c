/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-later: acknowledgements that wait for an answer to travel with (RFC 9293, 3.8.6.3; RFC 1122, 4.2.3.2).
 *
 * An acknowledgement of its own costs the guest an interrupt and a frame, as much as the answer that follows it. A
 * flow whose host answers at once (data goes out soon after data came) counts as an exchange of
 * requests: its next lone segment is acknowledged with the answer, or TCP_LATER_US later at the latest. The second
 * segment in a row is acknowledged at once, and one wait in vain ends the habit, so that bulk transfers never wait.
 * The waiting flows stand in a ring of TCP_LATER_MAX, each once, about in order of time (a flow that is listed again
 * may wait twice as long); when it is full nobody waits.
 */
#include "devices/net/tcp-parts.h"

static void enlist(struct tcp *tcp, struct flow *flow)
{
	struct tcp_later *l = &tcp->later;

	l->entry[(l->first + l->n++) % TCP_LATER_MAX] =
		(struct tcp_later_entry){flow_handle(&tcp->flows, flow), flow->later_us};
	flow->flags |= FLOW_ACK_LISTED;
}

/* Data arrived in order. Return: FLOW_ACK_DUE, or 0 when the acknowledgement may wait. */
uint32_t tcp_later(struct tcp *tcp, struct flow *flow, uint32_t len)
{
	flow->heard_us = tcp->now_us;
	if (!(flow->flags & FLOW_EXCHANGE) || flow->flags & (FLOW_ACK_LATER | FLOW_ACK_DUE) || len > TCP_LATER_BYTES ||
	    tcp->later.n == TCP_LATER_MAX)
		return FLOW_ACK_DUE;
	flow->later_us = tcp->now_us + TCP_LATER_US;
	flow->flags |= FLOW_ACK_LATER;
	if (!(flow->flags & FLOW_ACK_LISTED))
		enlist(tcp, flow);
	return 0;
}

/* A segment that acknowledges everything goes out; BARE without payload. */
void tcp_later_sent(struct tcp *tcp, struct flow *flow, bool bare)
{
	flow->flags &= ~(FLOW_ACK_LATER | FLOW_ACK_DUE);
	if (!bare && flow->heard_us && tcp->now_us - flow->heard_us < TCP_LATER_US)
		flow->flags |= FLOW_EXCHANGE;
}

void tcp_later_run(struct tcp *tcp)
{
	struct tcp_later *l = &tcp->later;

	for (uint32_t left = l->n; left && l->entry[l->first].at_us <= tcp->now_us; left--) {
		struct flow *flow = flow_by_handle(&tcp->flows, l->entry[l->first].handle);

		l->first = (l->first + 1) % TCP_LATER_MAX;
		l->n--;
		if (!flow)
			continue;
		flow->flags &= ~FLOW_ACK_LISTED;
		if (flow->state != FLOW_OPEN || !(flow->flags & FLOW_ACK_LATER))
			continue;
		if (flow->later_us > tcp->now_us) {
			enlist(tcp, flow); /* the one that stood here was answered; this one is younger */
			continue;
		}
		flow->flags &= ~(FLOW_ACK_LATER | FLOW_EXCHANGE);
		flow->flags |= FLOW_ACK_DUE;
		flow_ready(&tcp->flows, flow);
	}
}

uint64_t tcp_later_next(const struct tcp *tcp)
{
	return tcp->later.n ? tcp->later.entry[tcp->later.first].at_us : UINT64_MAX;
}
