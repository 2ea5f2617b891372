/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-out: datagrams that wait in host sockets go to the guest, in rounds. Part of udp.
 *
 * Sockets that may have datagrams stand in a queue; each in its turn gives at most UDP_BATCH of them. A busy one whose
 * datagrams fit the MTU is read straight into guest buffers, one room for each datagram (turn_direct); each room is
 * followed by memory of ours, so that a larger datagram is seen whole. The first that does not fit, and all behind it, are
 * copied out of their rooms, the rooms are cancelled, and they go on as the others do: quiet sockets, large datagrams and
 * superframes are read into our memory (turn_held) and copied to the guest, one frame at a time. A guest that takes superframes
 * gets them even from datagrams that came one by one: they are read side by side into one room (turn_group). When the guest has no
 * buffers, nothing is read, and what was read already is held: the socket's own queue is the only one that overflows.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "devices/net/udp-private.h"
#include "devices/vhost/guest-memory.h"

static struct udp_flow *flow_of_number(struct udp *udp, uint32_t number)
{
	return number <= UDP_FLOWS_MAX ? &udp->flows[number - 1] : NULL;
}

void udp_host_event(void *data, uint64_t handle, uint32_t events)
{
	struct udp *udp = data;
	uint32_t number;
	struct udp_source *source = udp_source_by_handle(udp, handle, &number);
	struct udp_flow *flow;

	if (!source || source->fd < 0)
		return;
	flow = flow_of_number(udp, number);
	if (flow && events & EPOLLERR)
		udp_socket_errors(udp, flow);
	if (events & (EPOLLIN | EPOLLERR))
		udp_ready(udp, number);
}

/* The guest's view of datagram I of the socket NUMBER. NULL: drop it. */
static struct udp_flow *flow_of(struct udp *udp, uint32_t number, unsigned int i)
{
	struct udp_flow *flow = flow_of_number(udp, number);

	if (!flow)
		return udp_port_flow(udp, &udp->ports[number - UDP_FLOWS_MAX - 1], &udp->in[i].msg_hdr);
	/* One exchange on a well-known port is all there will be (RFC 4787, REQ-5); else the guest may listen for long. */
	udp_flow_touch(udp, flow, flow->key.host_port < IPPORT_RESERVED ? (enum udp_list)flow->list : UDP_LIST_LONG);
	flow->flags |= UDP_ANSWERED;
	return flow;
}

static void account(struct udp *udp, struct udp_flow *flow, size_t len)
{
	flow->rx_bytes += len;
	if (flow->port)
		udp->ports[flow->port - 1].rx_bytes += len;
}

static bool guest_is_v4(struct udp *udp, uint32_t number)
{
	struct udp_flow *own = flow_of_number(udp, number);

	return net_addr_is_v4(own ? &own->key.guest : &udp->ports[number - UDP_FLOWS_MAX - 1].target);
}

/* Prepares message I: N_IOV segments are in place. */
static void prepare(struct udp *udp, uint32_t number, unsigned int i, size_t n_iov)
{
	struct msghdr *header = &udp->in[i].msg_hdr;
	bool port = number > UDP_FLOWS_MAX;

	*header = (struct msghdr){.msg_iov = udp->in_iov[i], .msg_iovlen = n_iov};
	if (port) {
		header->msg_name = &udp->in_name[i];
		header->msg_namelen = sizeof(udp->in_name[i]);
	}
	if (port || udp_source(udp, number)->gro) {
		header->msg_control = udp->in_control[i];
		header->msg_controllen = sizeof(udp->in_control[i]);
	}
}

/* Reads up to N datagrams into what was prepared. Return: their number. */
static unsigned int receive(struct udp *udp, uint32_t number, unsigned int n)
{
	struct udp_source *source = udp_source(udp, number);
	int r, tries = 0;

	/* An error that waits is told here once, the datagrams are behind it. */
	do
		r = recvmmsg(source->fd, udp->in, n, MSG_DONTWAIT, NULL);
	while (r < 0 && errno != EAGAIN && tries++ < 4);
	if (r < (int)n)
		source->readable = false;
	/* Ask for somewhat more than there was, at once for a full batch when this one was full. */
	source->hint = (uint8_t)(r < 0 ? 0 : (unsigned int)r == n ? UDP_BATCH : (unsigned int)r + (unsigned int)r / 2);
	if (source->hint > UDP_BATCH)
		source->hint = UDP_BATCH;
	if (r > 0)
		source->size = (uint16_t)udp->in[r - 1].msg_len;
	return r < 0 ? 0 : (unsigned int)r;
}

static uint16_t group_size(const struct msghdr *header)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR((struct msghdr *)header, c)) {
		int size;

		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO || c->cmsg_len < CMSG_LEN(sizeof(size)))
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return size > 0 && size <= UINT16_MAX ? (uint16_t)size : 0;
	}
	return 0;
}

/* Sends what is held. Return: 0; -EAGAIN: the guest has no buffers. */
static int release(struct udp *udp)
{
	struct udp_held *held = &udp->held;
	uint32_t number;

	if (!udp_source_by_handle(udp, held->handle, &number))
		held->at = held->n; /* the socket is gone */
	for (; held->at < held->n; held->at++, held->off = 0) {
		unsigned int i = held->at;
		size_t len = held->len[i], mtu = udp->caps.mtu;
		struct udp_flow *flow = flow_of(udp, number, i);
		int r;

		if (!flow) {
			udp->stats.drops++;
			continue;
		}
		r = held->gso[i] ? udp_emit_group(udp, &flow->key, udp->bounce[i], len, held->gso[i], &held->off) :
				   udp_emit(udp, &flow->key, udp->bounce[i], len);
		if (r == -EAGAIN)
			return r;
		if (r < 0)
			udp->stats.drops++;
		if (len + NET_IP4_LEN + NET_UDP_LEN > mtu)
			udp_source(udp, number)->large = UDP_LARGE_TURNS;
		account(udp, flow, len);
	}
	held->source = 0;
	return 0;
}

static void hold(struct udp *udp, uint32_t number, unsigned int at, unsigned int n)
{
	udp->held.source = number;
	udp->held.handle = udp_handle(udp, number);
	udp->held.at = at;
	udp->held.n = n;
	udp->held.off = 0;
}

static unsigned int turn_held(struct udp *udp, uint32_t number)
{
	struct udp_source *source = udp_source(udp, number);
	unsigned int n = source->hint < UDP_DIRECT_MIN ? UDP_DIRECT_MIN : source->hint;

	if (source->gro && n > UDP_GROUPS_AT_ONCE)
		n = UDP_GROUPS_AT_ONCE;
	for (unsigned int i = 0; i < n; i++) {
		udp->in_iov[i][0] = (struct iovec){udp->bounce[i], UDP_BOUNCE};
		prepare(udp, number, i, 1);
	}
	n = receive(udp, number, n);
	for (unsigned int i = 0; i < n; i++) {
		udp->held.len[i] = udp->in[i].msg_len;
		udp->held.gso[i] = source->gro ? group_size(&udp->in[i].msg_hdr) : 0;
	}
	if (source->large)
		source->large--;
	if (n)
		hold(udp, number, 0, n);
	return n;
}

/* Datagrams AT to N go on as held ones: WANT bytes of each lie in ROOM at OFF, STEP bytes apart, or in rooms of their own (STEP
 * 0), the rest in our memory. */
static void spill(struct udp *udp, uint32_t number, unsigned int at, unsigned int n, size_t off, size_t want, size_t step)
{
	bool gro = udp_source(udp, number)->gro;

	for (unsigned int i = at; i < n; i++) {
		const struct wire_room *room = &udp->rooms[step ? 0 : i];
		size_t len = udp->in[i].msg_len, first = len < want ? len : want;

		/* The kernel put what did not fit at the start. */
		memmove(udp->bounce[i] + first, udp->bounce[i], len - first);
		guest_iov_read(udp->bounce[i], first, room->iov, room->n_iov, off + i * step);
		udp->held.len[i] = len;
		udp->held.gso[i] = gro ? group_size(&udp->in[i].msg_hdr) : 0;
	}
	if (at < n)
		hold(udp, number, at, n);
}

/* Reserves rooms for N datagrams of WANT bytes at OFF and prepares messages for them. Return: how many. */
static unsigned int reserve_rooms(struct udp *udp, uint32_t number, unsigned int n, size_t off, size_t want)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct wire_room *room = &udp->rooms[i];
		int segments;

		if (udp->config.wire->reserve(udp->config.wire_data, off - NET_VNET_LEN + want, room) < 0)
			break;
		segments = guest_iov_slice(udp->in_iov[i], UDP_ROOM_SEGMENTS, room->iov, room->n_iov, off, want);
		/* A room of several chains could not be used in part. */
		if (room->n_chains > 1 || segments < 0) {
			udp->config.wire->cancel(udp->config.wire_data, room);
			break;
		}
		udp->in_iov[i][segments] = (struct iovec){udp->bounce[i], UDP_BOUNCE - want};
		prepare(udp, number, i, (size_t)segments + 1);
	}
	return i;
}

/* Return: datagrams read. *RET_ROOMS: whether rooms could be had. */
static unsigned int turn_direct(struct udp *udp, uint32_t number, bool *ret_rooms)
{
	size_t off = NET_VNET_LEN + udp_head_len(guest_is_v4(udp, number));
	size_t want = NET_VNET_LEN + NET_ETH_LEN + (size_t)udp->caps.mtu - off;
	unsigned int n, at, n_rooms = reserve_rooms(udp, number, udp_source(udp, number)->hint, off, want);

	*ret_rooms = n_rooms;
	if (!n_rooms)
		return 0;
	n = receive(udp, number, n_rooms);
	for (at = 0; at < n && udp->in[at].msg_len <= want; at++) {
		struct udp_flow *flow = flow_of(udp, number, at);

		if (!flow)
			break;
		udp_emit_room(udp, &flow->key, &udp->rooms[at], udp->in[at].msg_len, 0);
		account(udp, flow, udp->in[at].msg_len);
	}
	spill(udp, number, at, n, off, want, 0);
	while (n_rooms > at)
		udp->config.wire->cancel(udp->config.wire_data, &udp->rooms[--n_rooms]);
	return n;
}

/* Prepares messages for N datagrams of SIZE bytes, one behind the other in one room. Return: how many fit. */
static unsigned int reserve_group(struct udp *udp, uint32_t number, unsigned int n, size_t off, size_t size)
{
	struct wire_room *room = &udp->rooms[0];
	unsigned int i;

	if (n > UDP_GROUP_MAX)
		n = UDP_GROUP_MAX;
	if (n > UDP_GROUP_BYTES_MAX / size)
		n = (unsigned int)(UDP_GROUP_BYTES_MAX / size);
	if (udp->config.wire->reserve(udp->config.wire_data, off - NET_VNET_LEN + n * size, room) < 0)
		return 0;
	for (i = 0; i < n && room->capacity >= off + (i + 1) * size; i++) {
		int segments = guest_iov_slice(udp->in_iov[i], UDP_ROOM_SEGMENTS, room->iov, room->n_iov, off + i * size, size);

		if (segments < 0)
			break;
		udp->in_iov[i][segments] = (struct iovec){udp->bounce[i], UDP_BOUNCE - size};
		prepare(udp, number, i, (size_t)segments + 1);
	}
	if (!i)
		udp->config.wire->cancel(udp->config.wire_data, room);
	return i;
}

/* Datagrams from the first on, of N, that make a superframe of SIZE: all of one flow and size, but the last. */
static unsigned int group_of(struct udp *udp, uint32_t number, unsigned int n, size_t size, struct udp_flow **ret_flow, size_t *ret_len)
{
	uint64_t handle = 0;
	unsigned int i;

	*ret_flow = NULL;
	*ret_len = 0;
	for (i = 0; i < n; i++) {
		size_t len = udp->in[i].msg_len;
		struct udp_flow *flow;

		/* A superframe of the kernel has boundaries of its own. */
		if (!len || len > size || group_size(&udp->in[i].msg_hdr))
			break;
		flow = flow_of(udp, number, i);
		/* A client that is new may have taken the place of the one before. */
		if (handle && udp_handle(udp, udp_flow_number(udp, *ret_flow)) != handle)
			return 0;
		if (!flow || (*ret_flow && flow != *ret_flow))
			break;
		*ret_flow = flow;
		handle = udp_handle(udp, udp_flow_number(udp, flow));
		*ret_len += len;
		if (len < size)
			return i + 1;
	}
	return i;
}

/* As turn_direct, for datagrams of one size: the guest gets them as one superframe. */
static unsigned int turn_group(struct udp *udp, uint32_t number, bool *ret_rooms)
{
	struct udp_source *source = udp_source(udp, number);
	size_t size = source->size, off = NET_VNET_LEN + udp_head_len(guest_is_v4(udp, number)), len;
	unsigned int n_rooms = reserve_group(udp, number, source->hint, off, size), n, at;
	struct udp_flow *flow;

	*ret_rooms = n_rooms;
	if (!n_rooms)
		return 0;
	n = receive(udp, number, n_rooms);
	at = group_of(udp, number, n, size, &flow, &len);
	spill(udp, number, at, n, off, size, size);
	if (at) {
		udp_emit_room(udp, &flow->key, &udp->rooms[0], len, at > 1 ? (uint16_t)size : 0);
		account(udp, flow, len);
	} else {
		udp->config.wire->cancel(udp->config.wire_data, &udp->rooms[0]);
	}
	if (at < n / 2)
		source->mixed = UDP_LARGE_TURNS;
	return n;
}

/* Return: datagrams read. */
static unsigned int turn(struct udp *udp, uint32_t number)
{
	struct udp_source *source = udp_source(udp, number);

	bool rooms = false;
	unsigned int n = 0;

	if (source->mixed)
		source->mixed--;
	if (source->hint >= UDP_DIRECT_MIN && !source->large) {
		if (!source->gro)
			n = turn_direct(udp, number, &rooms);
		else if (!source->mixed && udp->caps.uso && udp->caps.csum && source->size &&
			 source->size + udp_head_len(guest_is_v4(udp, number)) - NET_ETH_LEN <= udp->caps.mtu)
			n = turn_group(udp, number, &rooms);
		if (rooms)
			return n;
	}
	return turn_held(udp, number);
}

/* The guest gives no buffers: what is held waits for its next sign of life. */
static bool starve(struct udp *udp)
{
	udp->starved = UDP_BATCH;
	return false;
}

bool udp_run(struct udp *udp)
{
	unsigned int left = udp->starved ? UDP_ROUND_STARVED : UDP_ROUND;

	if (!udp->up)
		return false;
	if (udp->held.source && release(udp) < 0)
		return starve(udp);
	if (udp->starved)
		udp->starved--;
	while (left && udp->ready.head) {
		uint32_t number = udp->ready.head;
		unsigned int n;

		udp_unready(udp, number);
		n = turn(udp, number);
		if (udp_source(udp, number)->readable)
			udp_ready(udp, number);
		if (udp->held.source && release(udp) < 0)
			return starve(udp);
		left = n + 1 < left ? left - n - 1 : 0;
	}
	return udp->ready.head;
}
