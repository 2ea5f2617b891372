/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-timer: what happens to a flow when the guest stays silent. One timer per flow, armed only while an answer is
 * awaited: SYN, data or FIN on the way, a window that is closed, or a host end that is gone altogether.
 *
 * On the data card the timer of a flow that awaits nothing looks after it (FLOW_RESTING): a container that was killed
 * together with its network says nothing, and neither does a host peer that lost its power. After two hours of silence (a
 * minute when the guest has closed its direction: its kernel forgets such a connection then) the guest is asked with
 * a keep-alive probe, as RFC 9293, 3.8.4, has it; a guest that knows nothing of the flow answers RST. The host's kernel asks the peer.
 */
#include "devices/net/tcp-parts.h"

static void look_after(struct tcp *tcp, struct flow *flow)
{
	uint64_t quiet_us = tcp->now_us - flow->active_us;
	uint64_t limit_us = flow->flags & FLOW_GUEST_FIN ? (uint64_t)FLOW_TIMER_BASE_US << (FLOW_TIMER_LEVELS - 1)
							 : (uint64_t)FLOW_IDLE_SECONDS * 1000000;

	if (quiet_us < limit_us) {
		flow->retries = 0;
		tcp_rest(tcp, flow);
		return;
	}
	if (flow->retries >= TCP_RETRIES_REST) {
		tcp_abort(tcp, flow);
		return;
	}
	flow->retries++;
	flow->flags |= FLOW_ASK;
	if (!(flow->flags & FLOW_KEEP_ALIVE) && tcp->host->keep_alive) {
		flow->flags |= FLOW_KEEP_ALIVE;
		tcp->host->keep_alive(tcp->host_data, flow, false);
	}
	flow_timer_rest(&tcp->flows, flow, FLOW_TIMER_LEVELS - 1, tcp->now_us);
	flow_ready(&tcp->flows, flow);
}

static void expire(struct tcp *tcp, struct flow *flow)
{
	bool opening = flow->state == FLOW_SYN_SENT || flow->state == FLOW_SYN_RCVD;

	if (flow->flags & FLOW_RESTING) {
		look_after(tcp, flow);
		return;
	}
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

	/* Ends: an expired flow is armed again for later, or by tcp_run. While rings are stopped nothing is sent or counted. */
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
