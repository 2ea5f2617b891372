/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-urgent: urgent data, both ways (RFC 9293, 3.8.5; RFC 6093).
 *
 * Everybody's stacks take the urgent pointer for the number behind the urgent byte and know of one such byte at a time, and so
 * do we: the segment that brings the byte is written with MSG_OOB up to it. The other way round the host socket keeps the
 * byte in the stream (SO_OOBINLINE) and says that there is one (EPOLLPRI); no read passes it, so that where it lies can be
 * counted. The frame that begins with it, at most one segment long, carries URG. Unix sockets have no urgent data here.
 */
#include <errno.h>

#include "devices/net/tcp-parts.h"

void tcp_urgent_find(struct tcp *tcp, struct flow *flow)
{
	uint32_t distance;

	/* One at a time: EPOLLPRI stays until the byte is taken out of the socket. */
	if (flow->flags & FLOW_URGENT && seq_before(flow->urgent, flow->snd_una))
		flow->flags &= ~FLOW_URGENT;
	if (!(flow->flags & FLOW_PRI) || flow->flags & FLOW_URGENT)
		return;
	flow->flags &= ~FLOW_PRI;
	flow->flags |= FLOW_REWIND;
	if (tcp->host->mark(tcp->host_data, flow, &distance) < 0)
		return;
	flow->urgent = flow->snd_una - flow->acked + distance;
	flow->flags |= FLOW_URGENT;
}

uint32_t tcp_urgent_limit(const struct flow *flow, uint32_t want, uint32_t mss, bool *ret_urgent)
{
	uint32_t distance = flow->urgent - flow->snd_nxt;

	*ret_urgent = !distance;
	if (!distance)
		return want < mss ? want : mss;
	return (int32_t)distance > 0 && distance < want ? distance : want;
}

uint32_t tcp_urgent_part(const struct tcp *tcp, const struct flow *flow, const struct net_frame *frame, uint32_t skip)
{
	uint32_t urgent = frame->tcp.urgent;

	if (!(frame->tcp.flags & NET_URG) || !tcp->host->mark || flow->host_kind != HOST_KIND_USUAL)
		return 0;
	return urgent > skip && urgent <= frame->payload_len ? urgent - skip : 0;
}
