/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-timer: what happens to a flow when the guest stays silent. One timer per flow, armed only while an answer is
 * awaited: SYN, data or FIN on the way, a window that is closed, or a host end that is gone altogether.
 */
#include "devices/net/tcp.h"

static void expire(struct tcp *tcp, struct flow *flow)
{
	bool opening = flow->state == FLOW_SYN_SENT || flow->state == FLOW_SYN_RCVD;

	if (flow->state == FLOW_OPEN && flow->flags & FLOW_FIN_ACKED && flow->flags & FLOW_GONE) {
		tcp_abort(tcp, flow); /* FLOW_GONE: nobody will ever read what the guest could send */
		return;
	}
	if (flow->retries >= (opening ? TCP_RETRIES_SYN : TCP_RETRIES_DATA)) {
		tcp_abort(tcp, flow);
		return;
	}
	flow->retries++;
	if (opening) {
		flow->flags |= FLOW_SYN_DUE;
	} else {
		flow->snd_nxt = flow->snd_una;
		flow->recover = flow->snd_max;
		flow->flags |= FLOW_REWIND | FLOW_READABLE;
		if (!flow->snd_wnd)
			flow->flags |= FLOW_PROBE;
	}
	if (opening || flow->snd_una != flow->snd_max)
		tcp->stats.retransmits++;
	flow_ready(&tcp->flows, flow);
}

void tcp_timers(struct tcp *tcp)
{
	struct flow *flow;

	/* Ends: an expired flow is armed again only by tcp_run. While rings are stopped nothing is sent or counted. */
	if (!tcp->up)
		return;
	tcp_later_run(tcp);
	while ((flow = flow_timer_take(&tcp->flows, tcp->now_us)))
		expire(tcp, flow);
}

uint64_t tcp_deadline(const struct tcp *tcp)
{
	uint64_t flow = flow_timer_next(&tcp->flows), later = tcp_later_next(tcp);

	if (!tcp->up)
		return UINT64_MAX;
	return flow < later ? flow : later;
}
