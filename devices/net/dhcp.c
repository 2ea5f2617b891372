/* SPDX-License-Identifier: Apache-2.0 */
/* dhcp: see the header. */
#include "devices/net/dhcp.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "devices/net/data-card.h"
#include "proto/data-card.h"
#include "proto/dhcp.h"

enum {
	REQUEST_MAX = 1500,
	HEADS = NET_IP4_LEN + NET_UDP_LEN,
	REPLY_MAX = 1500 - HEADS, /* more than eight search domains of usual length need */
};
#define EVERYBODY 0xffffffffu
#define NETMASK (0xffffffffu << (32 - DATA_PREFIX_LEN))

static uint32_t host_order(const struct net_addr *addr)
{
	return be32_load(addr->byte + 12);
}

/* What to say to REQUEST; 0: nothing. RFC 2131, 4.3. */
static enum dhcp_type judge(const struct data_card *card, const struct dhcp_request *request)
{
	uint32_t guest = host_order(&card->guest4), server = host_order(&card->gateway4);

	if (memcmp(request->mac, card->guest_mac, NET_MAC_LEN))
		return 0;
	switch (request->type) {
	case DHCP_DISCOVER:
		return DHCP_OFFER;
	case DHCP_REQUEST:
		if (request->server && request->server != server)
			return 0; /* it took the offer of somebody else, whoever that may be */
		/* Selecting or rebooting: the address is in the option; renewing and rebinding: in the client's field. */
		if (!request->requested && !request->client)
			return 0;
		return (request->requested ? request->requested : request->client) == guest ? DHCP_ACK : DHCP_NAK;
	case DHCP_INFORM:
		return request->client == guest ? DHCP_ACK : 0;
	case DHCP_DECLINE:
		log_limited(LOG_WARNING, "the guest says that somebody else uses its address");
		return 0;
	default:
		return 0; /* RELEASE: the lease is the guest's all the same */
	}
}

static void fill(struct dhcp_reply *ret, const struct data_card *card, const struct dhcp_request *request, enum dhcp_type type)
{
	uint32_t server = host_order(&card->gateway4);

	*ret = (struct dhcp_reply){.type = type, .xid = request->xid, .broadcast = request->broadcast, .server = server};
	memcpy(ret->mac, card->guest_mac, NET_MAC_LEN);
	if (type == DHCP_NAK) {
		ret->broadcast = true;
		return;
	}
	ret->client = type == DHCP_ACK ? request->client : 0;
	ret->lease = request->type != DHCP_INFORM;
	ret->yours = ret->lease ? host_order(&card->guest4) : 0;
	ret->netmask = NETMASK;
	ret->net_broadcast = server | ~NETMASK;
	ret->router = server;
	ret->dns = server;
	ret->mtu = card->mtu;
	for (; ret->n_search < card->n_search && ret->n_search < DHCP_SEARCH_MAX; ret->n_search++)
		ret->search[ret->n_search] = card->search[ret->n_search];
}

static int answer(struct data_card *card, const struct dhcp_request *request, enum dhcp_type type)
{
	static const uint8_t everybody[NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t frame[NET_UDP_HEAD_MAX + REPLY_MAX] = {0}, text[REPLY_MAX] = {0};
	size_t max = request->max_size < card->mtu ? request->max_size : card->mtu;
	struct net_udp_out out = {.src_mac = card->mac, .src = card->gateway4, .src_port = DHCP_PORT_SERVER,
				  .dst_port = DHCP_PORT_CLIENT};
	struct dhcp_reply reply;
	size_t head;
	int n;

	if (max < HEADS)
		return -EMSGSIZE;
	fill(&reply, card, request, type);
	n = dhcp_encode(&reply, text, max - HEADS < REPLY_MAX ? max - HEADS : REPLY_MAX);
	if (n < 0)
		return n;
	out.dst = reply.broadcast ? net_addr4(EVERYBODY) : card->guest4;
	out.dst_mac = reply.broadcast ? everybody : card->guest_mac;
	out.payload_len = (uint32_t)n;
	head = net_frame_build_udp(frame, &out);
	net_frame_finish_udp(frame, head, false, net_sum(0, text, (size_t)n));
	memcpy(frame + head, text, (size_t)n);
	return wire_send(card->wire, card->wire_data, frame, head + (size_t)n);
}

int dhcp_serve(struct data_card *card, const struct card_frame *card_frame)
{
	const struct net_frame *frame = card_frame->frame;
	uint8_t text[REQUEST_MAX];
	struct dhcp_request request;
	enum dhcp_type type;

	if (frame->v6 || frame->udp.src_port != DHCP_PORT_CLIENT || frame->payload_len > sizeof(text) ||
	    card_frame->vnet->gso_type != NET_VNET_GSO_NONE)
		return -ENOENT;
	if (frame_read(card_frame, frame->payload_off, text, frame->payload_len) != frame->payload_len ||
	    dhcp_decode(&request, text, frame->payload_len) < 0)
		return -EBADMSG;
	type = judge(card, &request);
	return type ? answer(card, &request, type) : -ENOENT;
}
