/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-send: gathered datagrams leave for the host, straight from guest memory. Part of udp.
 *
 * One flow after the other, each in its own order. Neighbours of one size (the last may be shorter) become one message
 * that the kernel cuts (UDP_SEGMENT): one walk through its stack instead of up to 64. Where a path does not take that, and
 * for everything else, one message is one datagram; up to 64 messages go with one sendmmsg. A datagram that the socket does not
 * take is lost, as on any wire, and counted; the reason is told to the guest where a reason can be.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/net/udp-private.h"
#include "devices/vhost/guest-memory.h"

enum { MESSAGES_MAX = 64, TRIES_MAX = 4 };

/* Where the next datagram begins: gathered datagram (index + 1, 0: at the end) and byte within it. */
struct place {
	uint16_t out;
	uint32_t off;
};

struct message {
	struct place from;
	uint32_t n, len; /* datagrams and bytes */
};

/* One sendmmsg in the making. */
static struct batch {
	unsigned int n;
	size_t n_iov;
	struct mmsghdr header[MESSAGES_MAX];
	struct message message[MESSAGES_MAX];
	struct iovec iov[UDP_OUT_IOV_MAX];
	struct sockaddr_in6 name;
	_Alignas(struct cmsghdr) uint8_t control[MESSAGES_MAX][UDP_CONTROL_MAX];
} batch;

/* Appends bytes of OUT. Return: false when they have no room in this batch. */
static bool add_bytes(const struct udp *udp, const struct udp_out *out, uint32_t off, uint32_t len)
{
	int n = guest_iov_slice(batch.iov + batch.n_iov, UDP_OUT_IOV_MAX - batch.n_iov, udp->out_iov + out->first_iov, out->n_iov,
				off, len);

	if (n < 0)
		return false;
	batch.n_iov += (size_t)n;
	return true;
}

/* The next piece of a superframe. Return: bytes of a segment, 0: no room. */
static uint32_t add_super(const struct udp *udp, struct message *m, struct place *at, bool groups)
{
	const struct udp_out *out = &udp->out[at->out - 1];
	uint32_t most = groups ? UDP_GROUP_MAX : 1, left = out->len - at->off;

	if (most > UDP_GROUP_BYTES_MAX / out->gso)
		most = UDP_GROUP_BYTES_MAX / out->gso ? UDP_GROUP_BYTES_MAX / out->gso : 1;
	m->len = left < most * out->gso ? left : most * out->gso;
	m->n = (m->len + out->gso - 1) / out->gso;
	if (!add_bytes(udp, out, at->off, m->len))
		return 0;
	at->off += m->len;
	if (at->off == out->len)
		*at = (struct place){out->next, 0};
	return out->gso;
}

/* Datagrams from *AT on that may leave as one message. Return: bytes of a segment, 0: no room. */
static uint32_t add_group(const struct udp *udp, struct message *m, struct place *at, bool groups)
{
	const struct udp_out *out = &udp->out[at->out - 1];
	uint32_t size = out->len;

	if (!add_bytes(udp, out, 0, size))
		return 0;
	m->len = size;
	m->n = 1;
	*at = (struct place){out->next, 0};
	while (groups && size && at->out && m->n < UDP_GROUP_MAX) {
		out = &udp->out[at->out - 1];
		if (out->gso || !out->len || out->len > size || m->len + out->len > UDP_GROUP_BYTES_MAX ||
		    !add_bytes(udp, out, 0, out->len))
			break;
		m->len += out->len;
		m->n++;
		*at = (struct place){out->next, 0};
		if (out->len < size)
			break;
	}
	return size ? size : 1;
}

static void *add_control(struct msghdr *header, size_t at, int level, int type, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)header->msg_control + at);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	header->msg_controllen = at + CMSG_SPACE(len);
	return CMSG_DATA(c);
}

/* An answer of a published port leaves with the address that the client spoke to. */
static void add_source(struct msghdr *header, const struct udp_flow *flow, bool v6)
{
	if (v6) {
		struct in6_pktinfo info = {.ipi6_ifindex = flow->scope};

		memcpy(&info.ipi6_addr, flow->client.guest.byte, sizeof(info.ipi6_addr));
		memcpy(add_control(header, header->msg_controllen, SOL_IPV6, IPV6_PKTINFO, sizeof(info)), &info, sizeof(info));
	} else {
		struct in_pktinfo info = {0};

		memcpy(&info.ipi_spec_dst, flow->client.guest.byte + 12, 4);
		memcpy(add_control(header, header->msg_controllen, SOL_IP, IP_PKTINFO, sizeof(info)), &info, sizeof(info));
	}
}

static void address(struct udp *udp, const struct udp_flow *flow, struct msghdr *header, uint8_t *control, uint16_t segment)
{
	header->msg_control = control;
	if (segment)
		memcpy(add_control(header, 0, SOL_UDP, UDP_SEGMENT, sizeof(segment)), &segment, sizeof(segment));
	if (flow->port) {
		bool v6 = udp->ports[flow->port - 1].source.v6;

		header->msg_name = &batch.name;
		header->msg_namelen = udp_sockaddr(&batch.name, v6, &flow->client.host, flow->client.host_port, flow->scope);
		add_source(header, flow, v6);
	}
	if (!header->msg_controllen)
		header->msg_control = NULL;
}

/* Fills the batch from *AT on. */
static void fill(struct udp *udp, const struct udp_flow *flow, struct place *at)
{
	bool groups = udp->groups && !(flow->flags & UDP_NO_GROUPS);

	batch.n = 0;
	batch.n_iov = 0;
	while (at->out && batch.n < MESSAGES_MAX) {
		struct message *m = &batch.message[batch.n];
		struct msghdr *header = &batch.header[batch.n].msg_hdr;
		size_t first = batch.n_iov;
		uint32_t size;

		m->from = *at;
		size = udp->out[at->out - 1].gso ? add_super(udp, m, at, groups) : add_group(udp, m, at, groups);
		if (!size)
			return;
		*header = (struct msghdr){.msg_iov = batch.iov + first, .msg_iovlen = batch.n_iov - first};
		address(udp, flow, header, batch.control[batch.n], m->n > 1 ? (uint16_t)size : 0);
		batch.n++;
	}
}

static void account(struct udp *udp, struct udp_flow *flow, const struct message *m)
{
	udp->stats.tx_packets += m->n;
	udp->stats.tx_bytes += m->len;
	flow->tx_bytes += m->len;
	if (flow->port)
		udp->ports[flow->port - 1].tx_bytes += m->len;
}

/* Message M did not go. Return: true when it may be tried again. */
static bool failed(struct udp *udp, struct udp_flow *flow, const struct message *m, int error, int *tries)
{
	bool own = flow->source.fd >= 0;
	unsigned int known = own ? udp_socket_errors(udp, flow) : 0;

	switch (error) {
	case EINTR:
		return true;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
		/* On a connected socket that is what an earlier datagram met; this one was not tried. */
		if (own && (*tries)++ < TRIES_MAX)
			return true;
		break;
	case EMSGSIZE:
		flow->flags = (uint8_t)(flow->flags & ~UDP_NO_GROUPS); /* not their fault */
		if (known && !(*tries)++)
			return true;
		break;
	default:
		break;
	}
	if (!known)
		udp_tell_error(udp, flow, error, 0);
	udp->stats.drops += m->n;
	return false;
}

/* Sends the batch. Return: true when *AT was set back to send what follows otherwise. */
static bool push(struct udp *udp, struct udp_flow *flow, int fd, struct place *at)
{
	int tries = 0;

	for (unsigned int i = 0; i < batch.n;) {
		int n = sendmmsg(fd, batch.header + i, batch.n - i, MSG_DONTWAIT | MSG_NOSIGNAL);
		int error = errno;

		if (n > 0) {
			for (tries = 0; n; n--)
				account(udp, flow, &batch.message[i++]);
			continue;
		}
		if (batch.message[i].n > 1 && (error == EINVAL || error == EIO || error == EMSGSIZE || error == EOPNOTSUPP)) {
			flow->flags |= UDP_NO_GROUPS;
			*at = batch.message[i].from;
			return true;
		}
		if (!failed(udp, flow, &batch.message[i], error, &tries))
			i++;
	}
	return false;
}

static void send_flow(struct udp *udp, struct udp_flow *flow)
{
	struct place at = {flow->out_first, 0};
	int fd = flow->port ? udp->ports[flow->port - 1].source.fd : flow->source.fd;

	while (at.out) {
		fill(udp, flow, &at);
		if (!batch.n)
			break; /* cannot be: one datagram always has room */
		push(udp, flow, fd, &at);
	}
	flow->out_first = flow->out_last = 0;
}

void udp_send_all(struct udp *udp)
{
	for (uint16_t i = 0; i < udp->n_out_flows; i++)
		send_flow(udp, &udp->flows[udp->out_flows[i] - 1]);
	udp->n_out = udp->n_out_iov = udp->n_out_flows = 0;
}
