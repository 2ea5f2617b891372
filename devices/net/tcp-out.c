/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-out: everything that goes to the guest, from the marks that tcp-in and tcp-timer left on flows.
 *
 * One turn of a flow: take acknowledged bytes out of the host socket, send SYN, send data (at most
 * TCP_FRAMES_PER_TURN frames), send an acknowledgement if no data carried it, end the flow if it is over. When the guest has
 * no buffers the turn stops where it is and goes on after the guest's kick; nothing is lost, since marks stay.
 * Theory of operation: tcp-in.c.
 */
#include <errno.h>

#include "devices/net/tcp-parts.h"
#include "devices/vhost/guest-memory.h"

enum {
	ALL_SENT = 0,
	MORE = 1, /* the turn is over, there is more to send */
	PEEK_GROWTH = 4,
	WINDOW_SMALL = 1460, /* do not send crumbs while an acknowledgement is coming (RFC 9293, 3.8.6.2.1) */
};

/* What the host takes, in bytes. */
static uint32_t ask_window(struct tcp *tcp, struct flow *flow, bool syn)
{
	bool small = false;
	uint32_t room;

	if (syn && tcp->host->first_window && flow->host_kind == HOST_KIND_USUAL)
		return tcp->host->first_window;
	room = tcp->host->window(tcp->host_data, flow, &small);
	if (small && !(flow->flags & FLOW_GUEST_FIN))
		tcp_want_room(tcp, flow, true);
	return room;
}

/* Window to tell, in units of the wire; moves rcv_adv, never back. Asking the socket costs a system call: not while most of
 * what it last said is unused. */
static uint16_t tell_window(struct tcp *tcp, struct flow *flow, bool syn)
{
	unsigned int scale = syn ? 0 : flow->own_scale;
	uint32_t left = flow->rcv_adv - flow->rcv_nxt;
	uint32_t window;

	if (flow->state != FLOW_OPEN && !syn)
		return 0;
	if (syn || left <= flow->rcv_told - flow->rcv_told / 4) {
		window = flow->flags & FLOW_DROPPED ? 0 : ask_window(tcp, flow, syn) >> scale;
		if (window > UINT16_MAX)
			window = UINT16_MAX;
		window <<= scale;
		if (seq_before(flow->rcv_adv, flow->rcv_nxt + window))
			flow->rcv_adv = flow->rcv_nxt + window;
		flow->rcv_told = flow->rcv_adv - flow->rcv_nxt;
	}
	return (uint16_t)((flow->rcv_adv - flow->rcv_nxt) >> scale);
}

/* The window as told before. */
static uint16_t told_window(const struct flow *flow)
{
	return (uint16_t)((flow->rcv_adv - flow->rcv_nxt) >> flow->own_scale);
}

static size_t head_len(const struct flow *flow)
{
	return NET_ETH_LEN + NET_TCP_LEN + (net_addr_is_v4(&flow->key.guest) ? NET_IP4_LEN : NET_IP6_LEN);
}

static void fill(const struct tcp *tcp, struct net_tcp_out *out, const struct flow_key *key, uint8_t flags)
{
	*out = (struct net_tcp_out){
		.v6 = !net_addr_is_v4(&key->guest),
		.src_mac = tcp->mac,
		.dst_mac = tcp->guest_mac,
		.src = key->host,
		.dst = key->guest,
		.src_port = key->host_port,
		.dst_port = key->guest_port,
		.flags = flags,
		.scale = -1,
	};
}

/* Sends OUT with the payload that lies in ROOM already. */
static void emit(struct tcp *tcp, const struct net_tcp_out *out, struct wire_room *room, uint16_t mss)
{
	uint8_t head[NET_HEAD_OUT_MAX];
	size_t len = net_frame_build_tcp(head, out);
	size_t l4_off = NET_ETH_LEN + (out->v6 ? NET_IP6_LEN : NET_IP4_LEN);
	struct net_vnet vnet = {0};

	if (tcp->caps.csum) {
		vnet.flags = NET_VNET_NEEDS_CSUM;
		vnet.csum_start = (uint16_t)l4_off;
		vnet.csum_offset = 16;
	} else {
		net_frame_finish_tcp(head, len, out->v6,
				     tcp->wire->sum(tcp->wire_data, room, NET_VNET_LEN + len, out->payload_len));
	}
	if (out->payload_len > mss) {
		vnet.gso_type = out->v6 ? NET_VNET_GSO_TCP6 : NET_VNET_GSO_TCP4;
		vnet.gso_size = mss;
		vnet.hdr_len = (uint16_t)len;
	}
	tcp->wire->commit(tcp->wire_data, room, &vnet, head, len, out->payload_len);
}

/* Sends a segment without payload. Return: 0 or -EAGAIN. */
static int emit_bare(struct tcp *tcp, const struct net_tcp_out *out)
{
	struct wire_room room;
	int r = tcp->wire->reserve(tcp->wire_data, NET_HEAD_OUT_MAX, &room);

	if (r < 0)
		return r;
	emit(tcp, out, &room, UINT16_MAX);
	return 0;
}

void tcp_send_stray_rst(struct tcp *tcp, const struct net_frame *frame)
{
	struct flow_key key = {.host = frame->dst, .guest = frame->src,
			       .host_port = frame->tcp.dst_port, .guest_port = frame->tcp.src_port};
	bool has_ack = frame->tcp.flags & NET_ACK;
	struct net_tcp_out out;

	if (!tcp->up)
		return;
	fill(tcp, &out, &key, has_ack ? NET_RST : NET_RST | NET_ACK);
	out.seq = has_ack ? frame->tcp.ack : 0;
	if (!has_ack)
		out.ack = frame->tcp.seq + frame->payload_len + !!(frame->tcp.flags & NET_SYN) +
			  !!(frame->tcp.flags & NET_FIN);
	if (emit_bare(tcp, &out) < 0)
		tcp->stats.drops++; /* the guest will ask again */
}

static int send_syn(struct tcp *tcp, struct flow *flow)
{
	bool answer = flow->state == FLOW_SYN_RCVD;
	struct net_tcp_out out;
	int r;

	fill(tcp, &out, &flow->key, answer ? NET_SYN | NET_ACK : NET_SYN);
	out.seq = flow->snd_una;
	out.ack = answer ? flow->rcv_nxt : 0;
	out.window = tell_window(tcp, flow, true);
	out.mss = tcp_mss(tcp, flow);
	out.scale = !answer || flow->own_scale ? TCP_SCALE : -1;
	r = emit_bare(tcp, &out);
	if (r < 0)
		return r;
	flow->flags &= ~FLOW_SYN_DUE;
	flow_timer_arm(&tcp->flows, flow, FLOW_TIMER_SECOND + flow->retries, tcp->now_us);
	return 0;
}

/* The current state as a segment without payload; FLAGS beside ACK. */
static int send_bare(struct tcp *tcp, struct flow *flow, uint8_t flags, uint32_t seq)
{
	struct net_tcp_out out;

	fill(tcp, &out, &flow->key, NET_ACK | flags);
	out.seq = seq;
	out.ack = flow->rcv_nxt;
	/* A duplicate acknowledgement must repeat the window, or it is taken for a window update. */
	if (!(flags & NET_RST))
		out.window = flow->flags & (FLOW_ACK_DUE | FLOW_ACK_LATER) || flags ? tell_window(tcp, flow, false) : told_window(flow);
	return emit_bare(tcp, &out);
}

static void sent(struct tcp *tcp, struct flow *flow, uint32_t n)
{
	flow->snd_nxt += n;
	if (seq_before(flow->snd_max, flow->snd_nxt))
		flow->snd_max = flow->snd_nxt;
	flow->active_us = tcp->now_us;
	tcp_later_sent(tcp, flow, false);
	if (!flow_awaits(flow))
		flow_timer_arm(&tcp->flows, flow, flow->retries, tcp->now_us);
}

static int send_fin(struct tcp *tcp, struct flow *flow)
{
	int r = send_bare(tcp, flow, NET_FIN, flow->snd_nxt);

	if (r < 0)
		return r;
	flow->snd_fin = flow->snd_nxt;
	flow->flags |= FLOW_FIN_SENT | FLOW_HOST_EOF;
	flow->flags &= ~FLOW_READABLE;
	sent(tcp, flow, 1);
	return 0;
}

/* Where the next peek begins, counted from the first byte in the socket. */
static size_t peek_offset(const struct flow *flow)
{
	return flow->snd_nxt - flow->snd_una + flow->acked;
}

/* Brings the socket to where snd_una and snd_nxt say it is. Return: 0 or -errno of a dead socket. */
static int settle_socket(struct tcp *tcp, struct flow *flow)
{
	if (flow->acked) {
		int r = tcp->host->discard(tcp->host_data, flow, flow->acked);

		if (r < 0)
			return r;
		flow->acked = 0;
	}
	if (flow->flags & FLOW_REWIND) {
		flow->flags &= ~FLOW_REWIND;
		return tcp->host->rewind(tcp->host_data, flow, peek_offset(flow));
	}
	return 0;
}

/* Bytes that may be sent now; 0: wait. Arms the timer that ends the waiting. */
static uint32_t sendable(struct tcp *tcp, struct flow *flow)
{
	uint32_t on_way = flow->snd_nxt - flow->snd_una;
	uint32_t window = flow->snd_wnd > on_way ? flow->snd_wnd - on_way : 0;
	uint32_t enough = flow->mss < WINDOW_SMALL ? flow->mss : WINDOW_SMALL;
	bool tso = net_addr_is_v4(&flow->key.guest) ? tcp->caps.tso4 : tcp->caps.tso6;
	uint32_t max = UINT16_MAX - NET_IP6_LEN - NET_TCP_LEN;
	uint32_t mss = flow->mss < tcp_mss(tcp, flow) ? flow->mss : tcp_mss(tcp, flow);

	if (!tso || !tcp->caps.csum)
		max = mss;
	if (window < enough && on_way)
		return 0; /* the acknowledgement on its way wakes us */
	if (!window) {
		if (!flow_awaits(flow))
			flow_timer_arm(&tcp->flows, flow, flow->retries, tcp->now_us);
		return 0;
	}
	return window < max ? window : max;
}

static void adapt_hint(struct flow *flow, uint32_t wanted, uint32_t got)
{
	if (got == wanted && wanted == flow->hint)
		flow->hint *= PEEK_GROWTH;
	else if (got < flow->hint / PEEK_GROWTH)
		flow->hint /= PEEK_GROWTH;
	if (flow->hint < TCP_PEEK_MIN)
		flow->hint = TCP_PEEK_MIN;
	if (flow->hint > UINT16_MAX)
		flow->hint = UINT16_MAX;
}

/* Peeks into ROOM. Return: bytes; 0: end of stream; -errno. Clears FLOW_READABLE when the socket is known to be drained. */
static ssize_t fill_room(struct tcp *tcp, struct flow *flow, struct wire_room *room, uint32_t want)
{
	struct iovec iov[WIRE_SEGMENTS_MAX];
	size_t off = NET_VNET_LEN + head_len(flow);
	bool more = false;
	ssize_t n;
	int r;

	if (room->capacity <= off)
		return -ENOBUFS;
	if (want > room->capacity - off)
		want = (uint32_t)(room->capacity - off);
	r = guest_iov_slice(iov, WIRE_SEGMENTS_MAX, room->iov, room->n_iov, off, want);
	if (r < 0)
		return r;
	n = tcp->host->peek(tcp->host_data, flow, peek_offset(flow), iov, (size_t)r, &more);
	if (n > 0) {
		adapt_hint(flow, want, (uint32_t)n);
		if ((uint32_t)n < want && !more && !(flow->flags & (FLOW_HUP | FLOW_URGENT)))
			flow->flags &= ~FLOW_READABLE;
	}
	return n;
}

/* Sends one frame of data, or FIN. Return: 0; -EAGAIN: no buffers; other -errno: the socket is dead. */
static int send_frame(struct tcp *tcp, struct flow *flow, uint32_t want)
{
	uint16_t mss = flow->mss < tcp_mss(tcp, flow) ? flow->mss : tcp_mss(tcp, flow);
	struct net_tcp_out out;
	struct wire_room room;
	bool urgent = false;
	ssize_t n;
	int r;

	if (want > flow->hint)
		want = flow->hint;
	if (flow->flags & FLOW_URGENT)
		want = tcp_urgent_limit(flow, want, mss, &urgent);
	r = tcp->wire->reserve(tcp->wire_data, head_len(flow) + want, &room);
	if (r < 0)
		return -EAGAIN;
	n = fill_room(tcp, flow, &room, want);
	if (n <= 0) {
		tcp->wire->cancel(tcp->wire_data, &room);
		if (!n)
			return send_fin(tcp, flow);
		if (n == -EAGAIN)
			flow->flags &= ~FLOW_READABLE;
		return n == -EAGAIN ? 0 : (int)n;
	}
	fill(tcp, &out, &flow->key, NET_ACK | NET_PSH);
	out.seq = flow->snd_nxt;
	out.ack = flow->rcv_nxt;
	/* Asking the socket costs a system call: only when the guest sent something since. */
	out.window = flow->flags & (FLOW_ACK_DUE | FLOW_ACK_LATER) ? tell_window(tcp, flow, false)
						: told_window(flow);
	out.payload_len = (uint32_t)n;
	if (urgent) {
		out.flags |= NET_URG;
		out.urgent = 1; /* the byte is the one before, RFC 6093 section 3.1 */
	}
	emit(tcp, &out, &room, mss);
	tcp->stats.rx_bytes += (uint64_t)n;
	flow->rx_bytes += flow->snd_nxt == flow->snd_max ? (uint64_t)n : 0;
	sent(tcp, flow, (uint32_t)n);
	return 0;
}

/* Return: ALL_SENT, MORE, -EAGAIN: no buffers; other -errno: the socket is dead. */
static int send_data(struct tcp *tcp, struct flow *flow)
{
	int r = settle_socket(tcp, flow);

	if (r >= 0 && flow->flags & (FLOW_PRI | FLOW_URGENT)) {
		tcp_urgent_find(tcp, flow);
		r = settle_socket(tcp, flow);
	}
	for (int i = 0; r >= 0 && flow->flags & FLOW_READABLE && !(flow->flags & FLOW_FIN_ACKED); i++) {
		uint32_t want = sendable(tcp, flow);

		/* Beyond FIN there is nothing; it is sent again only after going back. */
		if (!want || (flow->flags & FLOW_FIN_SENT && flow->snd_nxt == flow->snd_fin + 1))
			return ALL_SENT;
		if (i == TCP_FRAMES_PER_TURN)
			return MORE;
		r = send_frame(tcp, flow, want);
	}
	return r;
}

static int send_acks(struct tcp *tcp, struct flow *flow)
{
	while (flow->flags & FLOW_ACK_DUE || flow->dups_due) {
		int r = send_bare(tcp, flow, 0, flow->snd_nxt);

		if (r < 0)
			return r;
		if (flow->flags & FLOW_ACK_DUE)
			tcp_later_sent(tcp, flow, true);
		else
			flow->dups_due--;
	}
	return 0;
}

/* Asks the guest for its window (or whether it lives) with a number it has had already: nothing of ours is on the way
 * afterwards, so that no gap is left when the window opens. */
static int send_probe(struct tcp *tcp, struct flow *flow)
{
	bool window = !flow->snd_wnd && flow->flags & FLOW_PROBE;
	int r;

	if (window || flow->flags & FLOW_ASK) {
		r = send_bare(tcp, flow, 0, flow->snd_una - 1);
		if (r < 0)
			return r;
	}
	flow->flags &= ~(FLOW_PROBE | FLOW_ASK);
	if (window)
		flow_timer_arm(&tcp->flows, flow, flow->retries, tcp->now_us);
	return 0;
}

/* Return: 0: FLOW is done for now or has ended; MORE; -EAGAIN: no buffers. */
static int turn(struct tcp *tcp, struct flow *flow)
{
	int r = 0, data = 0;

	if (flow->flags & FLOW_RST_DUE) {
		r = flow->state == FLOW_OPENING ? send_bare(tcp, flow, NET_RST, 0)
						: send_bare(tcp, flow, NET_RST, flow->snd_max);
		if (r >= 0) {
			tcp->stats.resets++;
			tcp_end(tcp, flow, false);
		}
		return r;
	}
	if (flow->flags & FLOW_SYN_DUE)
		r = send_syn(tcp, flow);
	if (r < 0 || flow->state != FLOW_OPEN)
		return r;
	data = send_data(tcp, flow);
	if (data < 0 && data != -EAGAIN) {
		tcp_abort(tcp, flow);
		return 0;
	}
	if (data == -EAGAIN)
		return data;
	r = send_acks(tcp, flow);
	if (r >= 0 && flow->flags & (FLOW_PROBE | FLOW_ASK))
		r = send_probe(tcp, flow);
	if (r < 0)
		return r;
	if (flow->flags & FLOW_FIN_ACKED && flow->flags & FLOW_GUEST_FIN) {
		tcp_end(tcp, flow, false);
		return 0;
	}
	return data;
}

bool tcp_run(struct tcp *tcp)
{
	uint64_t begun = tcp->stats.rx_bytes;

	if (!tcp->up || tcp->starved)
		return false;
	for (int i = 0; i < TCP_TURNS_PER_ROUND && tcp->stats.rx_bytes - begun < TCP_BYTES_PER_ROUND; i++) {
		struct flow *flow = flow_ready_take(&tcp->flows);
		int r;

		if (!flow)
			return false;
		r = turn(tcp, flow);
		if (r == MORE)
			flow_ready(&tcp->flows, flow);
		if (r == -EAGAIN) {
			flow_ready_first(&tcp->flows, flow);
			tcp->starved = true;
			return false;
		}
	}
	return tcp->flows.ready.head;
}
