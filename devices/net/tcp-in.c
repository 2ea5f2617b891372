/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-in: what segments of the guest and events of host sockets do to flows.
 *
 * Theory of operation
 *
 * A flow joins the guest's TCP connection, whose other end we pretend to be, to one stream socket of the host. There
 * is no send queue, no receive queue and no congestion control: the two ends' own buffers are the queues.
 *
 * Host to guest. Bytes stay in the host socket until the guest acknowledges them. They are peeked from there into the
 * guest's receive buffers (tcp-out.c); an acknowledgement discards them; a retransmission is another peek from the
 * first byte that is not acknowledged (go back N: the rings lose nothing, only a guest short of memory does). How much
 * may be on its way is the guest's window. So a guest that does not read stops the host program by the host
 * socket's own limit. In sequence numbers:
 *
 *        snd_una - acked       snd_una            snd_nxt          snd_max
 *     ---------|------------------|------------------|----------------|------
 *         still in the socket,      peeked and sent    to be sent again
 *         next discard              (peek offset)      (after going back)
 *
 * Guest to host. A segment that is exactly next is written to the host socket from the guest's memory, here, before
 * anything else is looked at; what the socket took is acknowledged, in part if need be. The rest, and whatever is out of
 * order, is dropped and asked for again with duplicate acknowledgements. The window told to the guest is what the socket
 * will surely take (host->window), so this happens only to guests that ignore it or send crumbs. The window never moves
 * back. When it is small, the flow waits for room (EPOLLOUT) and tells it then.
 *
 * Nothing here writes to the guest: segments mark flows, tcp_run sends. One batch of segments is so acknowledged once.
 *
 * Ends. Each direction ends by itself: end of stream in the host socket becomes FIN behind the last byte; FIN from the
 * guest becomes shutdown(). A flow is over when both FINs are acknowledged. A dead host socket becomes RST, RST from the
 * guest becomes host->reset and close. RST counts only at exactly the expected number; elsewhere in the window it
 * draws an acknowledgement, as does SYN (RFC 9293, 3.10.7.4, and RFC 5961).
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "devices/net/tcp-parts.h"
#include "devices/net/watch.h"
#include "devices/vhost/guest-memory.h"

static void mark(struct tcp *tcp, struct flow *flow, uint32_t flags)
{
	flow->flags |= flags;
	flow_ready(&tcp->flows, flow);
}

static void drop(struct tcp *tcp, struct flow *flow, uint32_t flags)
{
	tcp->stats.drops++;
	if (flags)
		mark(tcp, flow, flags);
}

static void guest_resets(struct tcp *tcp, struct flow *flow)
{
	tcp->stats.resets++;
	tcp_end(tcp, flow, true);
}

static void take_syn(struct flow *flow, const struct net_frame *frame)
{
	bool scaling = frame->tcp.scale >= 0;

	flow->mss = frame->tcp.mss ? frame->tcp.mss : TCP_MSS_UNSAID;
	if (flow->mss < TCP_MSS_MIN)
		flow->mss = TCP_MSS_MIN;
	flow->scale = scaling ? (uint8_t)frame->tcp.scale : 0;
	flow->own_scale = scaling ? TCP_SCALE : 0;
	flow->snd_wnd = frame->tcp.window; /* not scaled in a SYN */
	flow->snd_wl1 = frame->tcp.seq;
	flow->rcv_nxt = frame->tcp.seq + 1;
	flow->rcv_adv = flow->rcv_nxt;
}

/* The host said at once that it will not do: FLOW was never watched, and nothing of it remains. */
static void not_opened(struct tcp *tcp, struct flow *flow, const struct net_frame *frame, enum host_open open, int error)
{
	struct icmp_subject subject = {.key = flow->key, .ip_proto = NET_IP_TCP, .tcp_seq = frame->tcp.seq};

	flow_end(&tcp->flows, flow);
	if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
		/* Our own lack says nothing about the destination. */
		tcp_refuse(tcp);
		tcp_send_stray_rst(tcp, frame);
		return;
	}
	if (open == HOST_OPEN_UNREACHABLE && tcp->icmp && tcp->up &&
	    icmp_error_send(tcp->icmp, error, &subject, tcp->now_us) >= 0) {
		tcp->stats.unreachable++;
		return;
	}
	tcp->stats.flows_refused++;
	tcp_send_stray_rst(tcp, frame);
}

static void begin(struct tcp *tcp, struct flow *flow, const struct net_frame *frame)
{
	tcp->stats.flows_total++;
	flow->flags = FLOW_BY_GUEST | FLOW_READABLE;
	flow->hint = TCP_PEEK_MIN;
	flow->active_us = tcp->now_us;
	take_syn(flow, frame);
	flow->snd_una = tcp_initial_seq(tcp, &flow->key);
	flow->snd_nxt = flow->snd_una;
	flow->snd_max = flow->snd_una + 1;
	flow->state = FLOW_OPENING;
}

/* SYN of an unknown flow: the host decides first. */
static void guest_opens(struct tcp *tcp, const struct net_frame *frame, const struct flow_key *key)
{
	struct flow *flow = flow_new(&tcp->flows, key);
	enum host_open open;
	int error = 0;

	if (!flow) {
		tcp_refuse(tcp);
		tcp_send_stray_rst(tcp, frame);
		return;
	}
	open = tcp->host->open(tcp->host_data, flow, &error);
	if (open != HOST_OPEN_NOW && open != HOST_OPEN_PENDING) {
		not_opened(tcp, flow, frame, open, error);
		return;
	}
	begin(tcp, flow, frame);
	if (open == HOST_OPEN_PENDING)
		flow->flags |= FLOW_OUT;
	if (tcp->host->prepare(tcp->host_data, flow) < 0 ||
	    watch_add(tcp->watch_fd, flow->fd, flow_handle(&tcp->flows, flow), open == HOST_OPEN_PENDING) < 0) {
		tcp_abort(tcp, flow);
		return;
	}
	if (open == HOST_OPEN_NOW) {
		flow->state = FLOW_SYN_RCVD;
		mark(tcp, flow, FLOW_SYN_DUE);
	}
}

/* The guest has our SYN: bytes may flow. */
static void opened(struct tcp *tcp, struct flow *flow)
{
	flow->state = FLOW_OPEN;
	flow->snd_una++;
	flow->snd_nxt = flow->snd_una;
	flow->snd_max = flow->snd_una;
	flow->recover = flow->snd_una;
	flow->retries = 0;
	tcp_rest(tcp, flow);
	mark(tcp, flow, 0);
}

static void in_syn_sent(struct tcp *tcp, struct flow *flow, const struct net_frame *frame)
{
	uint8_t flags = frame->tcp.flags;
	bool ack_ok = frame->tcp.ack == flow->snd_una + 1;

	if (flags & NET_ACK && !ack_ok) {
		tcp->stats.drops++;
		if (!(flags & NET_RST))
			tcp_send_stray_rst(tcp, frame);
	} else if (flags & NET_RST) {
		if (flags & NET_ACK)
			guest_resets(tcp, flow);
	} else if ((flags & (NET_SYN | NET_ACK)) == (NET_SYN | NET_ACK)) {
		take_syn(flow, frame);
		flow->flags |= FLOW_ACK_DUE;
		opened(tcp, flow);
	} else {
		tcp->stats.drops++; /* simultaneous open: the guest never opens to a port we connect from */
	}
}

/* Our FIN is acknowledged; nobody on the host can use the other direction any more when the socket is shut both ways. */
static void fin_acked(struct tcp *tcp, struct flow *flow)
{
	flow->flags |= FLOW_FIN_ACKED;
	if (flow->flags & FLOW_GONE)
		flow_timer_arm(&tcp->flows, flow, FLOW_TIMER_LEVELS - 1, tcp->now_us);
	else
		tcp_rest(tcp, flow); /* half-closed: the guest may go on sending for days */
}

static void take_ack(struct tcp *tcp, struct flow *flow, const struct net_frame *frame)
{
	uint32_t ack = frame->tcp.ack;
	uint32_t n = ack - flow->snd_una;
	bool outstanding;

	flow->retries = 0;
	flow->dup_acks = 0;
	if (flow->flags & FLOW_FIN_SENT && ack == flow->snd_fin + 1) {
		n--;
		if (!(flow->flags & FLOW_FIN_ACKED))
			fin_acked(tcp, flow);
	}
	flow->acked += n;
	flow->snd_una = ack;
	/* Dragged along, or after 2 GiB without loss it would seem to lie ahead. */
	if (seq_before(flow->recover, ack))
		flow->recover = ack;
	if (seq_before(flow->snd_nxt, ack)) {
		/* Behind where we went back to: the guest had kept later bytes. */
		flow->snd_nxt = ack;
		flow->flags |= FLOW_REWIND;
	}
	outstanding = flow->snd_una != flow->snd_max;
	if (outstanding)
		flow_timer_arm(&tcp->flows, flow, 0, tcp->now_us);
	else if (!(flow->flags & FLOW_FIN_ACKED))
		tcp_rest(tcp, flow);
	/* An end of stream may be seen only when nothing is left before it (host-inet.c: without peek offset). */
	mark(tcp, flow, (flow->flags & (FLOW_HUP | FLOW_FIN_SENT)) == FLOW_HUP ? FLOW_READABLE : 0);
}

/* NEWS: the segment acknowledged something. Its window counts then, whatever its own number: the earlier one, kept beside
 * the new snd_una, would reach further than the guest ever said. */
static void take_window(struct tcp *tcp, struct flow *flow, const struct net_frame *frame, bool news)
{
	uint32_t window = (uint32_t)frame->tcp.window << flow->scale;

	if (!news && seq_before(frame->tcp.seq, flow->snd_wl1))
		return;
	flow->snd_wl1 = frame->tcp.seq;
	if (window > flow->snd_wnd)
		mark(tcp, flow, 0);
	/* A guest short of memory drops what it was sent and says so with a window of 0 (Linux since 6.3). When the
	 * window opens, what was on its way then is gone: send it again now, not after the time-out. */
	if (window && !flow->snd_wnd && flow->snd_una != flow->snd_nxt) {
		tcp->stats.retransmits++;
		flow->snd_nxt = flow->snd_una;
		flow->recover = flow->snd_max;
		mark(tcp, flow, FLOW_REWIND | FLOW_READABLE);
	}
	/* The timer of the last probe may be a minute away; what is sent now arms its own. */
	if (window && !flow->snd_wnd && !(flow->flags & FLOW_FIN_ACKED)) {
		flow->retries = 0;
		tcp_rest(tcp, flow);
		mark(tcp, flow, flow->snd_una != flow->snd_max ? FLOW_READABLE : 0);
	}
	flow->snd_wnd = window;
}

/* The guest saw something after a gap: after three such signs send again from the gap on. */
static void take_duplicate(struct tcp *tcp, struct flow *flow, const struct net_frame *frame)
{
	/* A guest that answers probes is alive, however long its window stays closed. */
	if (flow->retries >= FLOW_TIMER_LEVELS)
		flow->retries = FLOW_TIMER_LEVELS - 1;
	if (frame->payload_len || frame->tcp.flags & NET_FIN || flow->snd_una == flow->snd_max ||
	    (uint32_t)frame->tcp.window << flow->scale != flow->snd_wnd)
		return;
	if (flow->dup_acks < UINT8_MAX)
		flow->dup_acks++;
	/* What was sent twice is acknowledged twice: not a sign of loss (RFC 6582). */
	if (flow->dup_acks != TCP_DUPLICATES || seq_before(flow->snd_una, flow->recover))
		return;
	tcp->stats.retransmits++;
	flow->recover = flow->snd_max;
	flow->snd_nxt = flow->snd_una;
	mark(tcp, flow, FLOW_REWIND | FLOW_READABLE);
}

/* Writes LEN bytes of PAYLOAD from byte OFF on to the host. Return: bytes it took. */
static uint32_t write_host(struct tcp *tcp, struct flow *flow, const struct wire_payload *payload, uint32_t off,
			   uint32_t len, int flags)
{
	struct iovec iov[WIRE_SEGMENTS_MAX];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t n;
	int r;

	r = guest_iov_slice(iov, WIRE_SEGMENTS_MAX, payload->iov, payload->n_iov, payload->off + off, len);
	if (r < 0)
		return 0;
	msg.msg_iovlen = (size_t)r;
	do
		n = sendmsg(flow->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS)
		tcp_abort(tcp, flow);
	return n < 0 ? 0 : (uint32_t)n;
}

/* Writes what is next to the host, with an urgent byte where it lies. Return: bytes it took. */
static uint32_t write_new(struct tcp *tcp, struct flow *flow, const struct net_frame *frame,
			  const struct wire_payload *payload, uint32_t skip)
{
	uint32_t urgent = tcp_urgent_part(tcp, flow, frame, skip);
	uint32_t n = 0;

	if (urgent) {
		n = write_host(tcp, flow, payload, skip, urgent, MSG_OOB);
		if (n < urgent || flow->flags & FLOW_RST_DUE || skip + n == payload->len)
			return n;
	}
	return n + write_host(tcp, flow, payload, skip + n, (uint32_t)payload->len - skip - n, 0);
}

/* The guest may have sent more than the window it was told, and the socket have taken it. */
static void advance(struct flow *flow, uint32_t n)
{
	flow->rcv_nxt += n;
	if (seq_before(flow->rcv_adv, flow->rcv_nxt))
		flow->rcv_adv = flow->rcv_nxt;
}

static void take_payload(struct tcp *tcp, struct flow *flow, const struct net_frame *frame,
			 const struct wire_payload *payload)
{
	bool fin = frame->tcp.flags & NET_FIN;
	uint32_t skip = flow->rcv_nxt - frame->tcp.seq; /* bytes we had already */
	uint32_t n = frame->payload_len - skip;

	if (n) {
		uint32_t taken = write_new(tcp, flow, frame, payload, skip);

		if (flow->flags & FLOW_RST_DUE)
			return;
		advance(flow, taken);
		tcp->stats.tx_bytes += taken;
		flow->tx_bytes += taken;
		if (taken < n) {
			drop(tcp, flow, FLOW_ACK_DUE | FLOW_DROPPED);
			tcp_want_room(tcp, flow, true);
			return;
		}
		mark(tcp, flow, tcp_later(tcp, flow, taken));
	}
	if (fin) {
		advance(flow, 1);
		tcp->host->shutdown(tcp->host_data, flow);
		mark(tcp, flow, FLOW_GUEST_FIN | FLOW_ACK_DUE);
		if (flow->flags & FLOW_RESTING)
			tcp_rest(tcp, flow); /* sooner: the guest may have forgotten the flow in a minute */
	}
}

/* A keep-alive probe: we answer it, so the host's side must be asked by its own kernel. */
static void guest_asks(struct tcp *tcp, struct flow *flow)
{
	if (flow->flags & FLOW_KEEP_ALIVE || !tcp->host->keep_alive)
		return;
	flow->flags |= FLOW_KEEP_ALIVE;
	tcp->host->keep_alive(tcp->host_data, flow, true);
}

/* Return: true when the segment is to be looked at further (RFC 9293, 3.10.7.4, first to fourth check). */
static bool acceptable(struct tcp *tcp, struct flow *flow, const struct net_frame *frame)
{
	uint32_t window = flow->rcv_adv - flow->rcv_nxt;
	uint32_t ahead = frame->tcp.seq - flow->rcv_nxt;
	uint32_t len = frame->payload_len + !!(frame->tcp.flags & NET_FIN);

	if (frame->tcp.flags & NET_RST) {
		if (!ahead) {
			guest_resets(tcp, flow);
		} else {
			drop(tcp, flow, ahead < window ? FLOW_ACK_DUE : 0);
		}
		return false;
	}
	/* A SYN again (its ACK was lost), a SYN out of place, anything that leaves a gap: tell where we are. A
	 * segment wholly behind (keep-alive, retransmission) is told so, too. */
	if (frame->tcp.flags & NET_SYN || (int32_t)ahead > 0 || (len && !seq_before(flow->rcv_nxt, frame->tcp.seq + len)) ||
	    (!len && ahead)) {
		if ((int32_t)ahead > 0 && flow->dups_due < TCP_DUPLICATES)
			flow->dups_due++;
		drop(tcp, flow, FLOW_ACK_DUE);
		if (ahead == UINT32_MAX && len <= 1 && !(frame->tcp.flags & (NET_SYN | NET_FIN)))
			guest_asks(tcp, flow);
		/* What is wholly behind may still acknowledge. */
		return !(frame->tcp.flags & NET_SYN);
	}
	return true;
}

static void in_open(struct tcp *tcp, struct flow *flow, const struct net_frame *frame,
		    const struct wire_payload *payload)
{
	uint32_t len = frame->payload_len + !!(frame->tcp.flags & NET_FIN);
	uint32_t ack = frame->tcp.ack;
	bool news;

	if (flow->flags & FLOW_RESTING)
		flow->retries = 0; /* alive */
	if (!acceptable(tcp, flow, frame) || !(frame->tcp.flags & NET_ACK))
		return;
	if (seq_before(flow->snd_max, ack)) {
		drop(tcp, flow, FLOW_ACK_DUE); /* acknowledges what was never sent */
		return;
	}
	news = seq_before(flow->snd_una, ack);
	if (news)
		take_ack(tcp, flow, frame);
	else if (ack == flow->snd_una)
		take_duplicate(tcp, flow, frame);
	if (!seq_before(ack, flow->snd_una))
		take_window(tcp, flow, frame, news);
	/* Exactly next, or overlapping what we had: the new part counts. */
	if (len && !seq_before(flow->rcv_nxt, frame->tcp.seq) && seq_before(flow->rcv_nxt, frame->tcp.seq + len) &&
	    !(flow->flags & FLOW_GUEST_FIN))
		take_payload(tcp, flow, frame, payload);
}

static void in_syn_rcvd(struct tcp *tcp, struct flow *flow, const struct net_frame *frame,
			const struct wire_payload *payload)
{
	uint8_t flags = frame->tcp.flags;

	if (flags & NET_RST) {
		if (frame->tcp.seq == flow->rcv_nxt)
			guest_resets(tcp, flow);
	} else if (flags & NET_SYN) {
		if (frame->tcp.seq + 1 == flow->rcv_nxt)
			mark(tcp, flow, FLOW_SYN_DUE);
	} else if (flags & NET_ACK && frame->tcp.ack == flow->snd_una + 1) {
		opened(tcp, flow);
		flow->snd_wnd = (uint32_t)frame->tcp.window << flow->scale;
		in_open(tcp, flow, frame, payload);
	} else if (flags & NET_ACK) {
		tcp_send_stray_rst(tcp, frame);
	}
}

void tcp_segment(struct tcp *tcp, const struct net_frame *frame, const struct wire_payload *payload)
{
	struct flow_key key = {.host = frame->dst, .guest = frame->src,
			       .host_port = frame->tcp.dst_port, .guest_port = frame->tcp.src_port};
	struct flow *flow = flow_find(&tcp->flows, &key);
	uint8_t flags = frame->tcp.flags;

	if (!flow) {
		if ((flags & (NET_SYN | NET_ACK | NET_RST | NET_FIN)) == NET_SYN) {
			guest_opens(tcp, frame, &key);
		} else if (!(flags & NET_RST)) {
			tcp->stats.stray++;
			tcp_send_stray_rst(tcp, frame);
		}
		return;
	}
	if (flow->flags & FLOW_RST_DUE)
		return;
	flow->active_us = tcp->now_us;
	switch (flow->state) {
	case FLOW_SYN_SENT:
		in_syn_sent(tcp, flow, frame);
		break;
	case FLOW_SYN_RCVD:
		in_syn_rcvd(tcp, flow, frame, payload);
		break;
	case FLOW_OPEN:
		in_open(tcp, flow, frame, payload);
		break;
	case FLOW_OPENING:
		if (flags & NET_RST && frame->tcp.seq == flow->rcv_nxt)
			guest_resets(tcp, flow);
		break;
	default:
		break;
	}
}

/* The connecting socket of FLOW reports EVENTS. Return: true when it is connected. */
static bool host_decided(struct tcp *tcp, struct flow *flow, uint32_t events)
{
	int r = events & (EPOLLERR | EPOLLHUP) ? tcp->host->opened(tcp->host_data, flow) : 0;

	if (r < 0) {
		tcp_fail(tcp, flow, -r);
		return false;
	}
	flow->state = FLOW_SYN_RCVD;
	flow->flags |= FLOW_SYN_DUE;
	flow->active_us = tcp->now_us;
	tcp_want_room(tcp, flow, false);
	return true;
}

void tcp_host_event(void *data, uint64_t handle, uint32_t events)
{
	struct tcp *tcp = data;
	struct flow *flow = flow_by_handle(&tcp->flows, handle);

	if (!flow || flow->flags & FLOW_RST_DUE)
		return;
	if (flow->state == FLOW_OPENING &&
	    (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) || !host_decided(tcp, flow, events)))
		return;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		flow->flags |= FLOW_READABLE;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		flow->flags |= FLOW_HUP;
	if (events & EPOLLPRI && tcp->host->mark && flow->host_kind == HOST_KIND_USUAL)
		flow->flags |= FLOW_PRI | FLOW_READABLE;
	if (events & EPOLLHUP && !(flow->flags & FLOW_GUEST_FIN)) {
		flow->flags |= FLOW_GONE;
		if (flow->flags & FLOW_FIN_ACKED)
			flow_timer_arm(&tcp->flows, flow, FLOW_TIMER_LEVELS - 1, tcp->now_us);
	}
	if (events & EPOLLOUT && flow->flags & FLOW_OUT) {
		tcp_want_room(tcp, flow, false);
		flow->rcv_told = UINT32_MAX; /* ask again */
		flow->flags |= FLOW_ACK_DUE;
		if (flow->flags & FLOW_DROPPED)
			flow->dups_due = TCP_DUPLICATES;
		flow->flags &= ~FLOW_DROPPED;
	}
	flow_ready(&tcp->flows, flow);
}
