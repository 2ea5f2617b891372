/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-in: datagrams of the guest find their flow, and are gathered until the end of the batch. Part of udp.
 *
 * Only where the bytes are is remembered: they go from guest memory into the socket when the batch ends (udp-send.c).
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "devices/net/udp-private.h"
#include "devices/vhost/guest-memory.h"

enum { IP4_FLAGS_OFF = NET_ETH_LEN + 6, IP4_DONT_FRAGMENT = 0x40, WELL_KNOWN_PORTS = 1024 };

/* Nobody is told why such a datagram was lost (RFC 1122, 3.2.2; RFC 4443, 2.4). */
static bool to_many(const struct net_addr *addr)
{
	if (!net_addr_is_v4(addr))
		return addr->byte[0] == 0xff;
	return addr->byte[12] >= 224;
}

static void tell(struct udp *udp, const struct udp_flow *flow, int error)
{
	if (!to_many(&flow->key.host))
		udp_tell_error(udp, flow, error, 0);
}

/* Return: the flow, NULL: there is none, the guest was told. */
static struct udp_flow *guest_opens(struct udp *udp, const struct flow_key *key)
{
	struct rules_verdict verdict;
	struct udp_flow *flow;
	int r;

	if (!key->host_port || !key->guest_port) {
		udp->stats.drops++;
		return NULL;
	}
	flow = udp_flow_new(udp, key);
	if (!flow)
		return NULL;
	policy_decide(udp->config.policy, RULES_UDP, &key->host, key->host_port, &verdict);
	if (!verdict.allow) {
		udp->stats.refused++;
		flow->flags |= UDP_REFUSED;
		udp_flow_touch(udp, flow, UDP_LIST_REFUSED);
		return flow;
	}
	r = udp_socket_open(udp, flow, &verdict.dial);
	if (r < 0) {
		udp->stats.refused++;
		tell(udp, flow, -r);
		udp_flow_end(udp, flow);
		return NULL;
	}
	return flow;
}

static struct flow_key key_of(const struct net_frame *frame)
{
	return (struct flow_key){.host = frame->dst, .guest = frame->src,
				 .host_port = frame->udp.dst_port, .guest_port = frame->udp.src_port};
}

static struct udp_flow *flow_of(struct udp *udp, const struct net_frame *frame)
{
	struct flow_key key = key_of(frame);
	struct udp_flow *flow;

	if (udp->last && !memcmp(&udp->flows[udp->last - 1].key, &key, sizeof(key)))
		return &udp->flows[udp->last - 1];
	flow = udp_flow_find(udp, UDP_BY_KEY, &key);
	if (!flow)
		flow = guest_opens(udp, &key);
	if (flow)
		udp->last = udp_flow_number(udp, flow);
	return flow;
}

/* The host's socket shall fragment what the guest's would, and no more. */
static void follow_fragmenting(struct udp *udp, struct udp_flow *flow, const struct card_frame *card)
{
	const struct net_frame *frame = card->frame;
	bool on;

	if (flow->source.fd < 0)
		return; /* the port's socket serves many */
	if (frame->v6)
		/* One that is larger came in pieces. */
		on = card->vnet->gso_type || frame->l4_len + NET_IP6_LEN <= udp->caps.mtu;
	else
		on = card->captured > IP4_FLAGS_OFF && card->packet[IP4_FLAGS_OFF] & IP4_DONT_FRAGMENT;
	if (on == !!(flow->flags & UDP_DONT_FRAGMENT))
		return;
	if (flow->out_first)
		udp_send_all(udp);
	udp_socket_dont_fragment(flow, on);
}

static void append(struct udp *udp, struct udp_flow *flow, const struct udp_out *out)
{
	uint16_t number = (uint16_t)(udp->n_out + 1);

	udp->out[udp->n_out++] = *out;
	udp->n_out_iov = (uint16_t)(udp->n_out_iov + out->n_iov);
	if (flow->out_first)
		udp->out[flow->out_last - 1].next = number;
	else
		udp->out_flows[udp->n_out_flows++] = udp_flow_number(udp, flow);
	flow->out_first = flow->out_first ? flow->out_first : number;
	flow->out_last = number;
}

static void gather(struct udp *udp, struct udp_flow *flow, const struct card_frame *card)
{
	const struct net_frame *frame = card->frame;
	struct udp_out out = {.len = frame->payload_len};
	int n = -ENOBUFS;

	if (card->vnet->gso_type == NET_VNET_GSO_UDP_L4 && frame->payload_len > card->vnet->gso_size)
		out.gso = card->vnet->gso_size;
	for (int tries = 0; tries < 2 && n == -ENOBUFS; tries++) {
		if (tries || udp->n_out == UDP_OUT_MAX)
			udp_send_all(udp);
		n = guest_iov_slice(udp->out_iov + udp->n_out_iov, (size_t)(UDP_OUT_IOV_MAX - udp->n_out_iov), card->iov,
				    card->n_iov, NET_VNET_LEN + (size_t)frame->payload_off, frame->payload_len);
	}
	if (n < 0) {
		udp->stats.drops++;
		return;
	}
	out.first_iov = udp->n_out_iov;
	out.n_iov = (uint16_t)n;
	append(udp, flow, &out);
}

bool udp_answer(struct udp *udp, const struct card_frame *card)
{
	const struct net_frame *frame = card->frame;
	struct flow_key key = key_of(frame);

	if (!udp_flow_find(udp, UDP_BY_KEY, &key))
		return false;
	udp_datagram(udp, card);
	return true;
}

void udp_datagram(struct udp *udp, const struct card_frame *card)
{
	struct udp_flow *flow = flow_of(udp, card->frame);

	if (!flow) {
		udp->stats.drops++;
		return;
	}
	if (flow->flags & UDP_REFUSED) {
		udp->stats.drops++;
		tell(udp, flow, EACCES);
		return;
	}
	if (flow->flags & UDP_INBOUND) {
		flow->flags |= UDP_ANSWERED;
		udp_flow_touch(udp, flow, UDP_LIST_INBOUND);
	} else {
		udp_flow_touch(udp, flow, flow->flags & UDP_ANSWERED ? UDP_LIST_LONG : UDP_LIST_BRIEF);
		follow_fragmenting(udp, flow, card);
	}
	gather(udp, flow, card);
}

void udp_batch_end(struct udp *udp)
{
	if (udp->n_out)
		udp_send_all(udp);
}
