/* SPDX-License-Identifier: Apache-2.0 */
/* icmp-error: see the header. */
#include "devices/net/icmp-error.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

enum {
	QUOTED = 8, /* bytes of the transport header, RFC 792 */
	QUOTE_MAX = NET_IP6_LEN + QUOTED,
	SECOND_US = 1000000,
	/* RFC 792 and 1812, 5.2.7.1 */
	UNREACHABLE4 = 3,
	NET4 = 0,
	HOST4 = 1,
	PROTOCOL4 = 2,
	PORT4 = 3,
	TOO_BIG4 = 4,
	NET_UNKNOWN4 = 6,
	HOST_PROHIBITED4 = 10,
	PROHIBITED4 = 13,
	ECHO4 = 8,
	/* RFC 4443 */
	UNREACHABLE6 = 1,
	NO_ROUTE6 = 0,
	PROHIBITED6 = 1,
	ADDRESS6 = 3,
	PORT6 = 4,
	TOO_BIG6 = 2,
	ECHO6 = 128,
};

/* What to say for an error number: type and code in both families. */
static const struct row {
	int error;
	uint8_t type4, code4, type6, code6;
} rows[] = {
	{ECONNREFUSED, UNREACHABLE4, PORT4, UNREACHABLE6, PORT6},
	{ENETUNREACH, UNREACHABLE4, NET4, UNREACHABLE6, NO_ROUTE6},
	{EACCES, UNREACHABLE4, PROHIBITED4, UNREACHABLE6, PROHIBITED6},
	{EPERM, UNREACHABLE4, PROHIBITED4, UNREACHABLE6, PROHIBITED6},
	{EMSGSIZE, UNREACHABLE4, TOO_BIG4, TOO_BIG6, 0},
	{EPROTONOSUPPORT, UNREACHABLE4, PROTOCOL4, UNREACHABLE6, ADDRESS6},
	{0, UNREACHABLE4, HOST4, UNREACHABLE6, ADDRESS6}, /* any other */
};

static void classify(int error, bool v6, bool udp, uint8_t *type, uint8_t *code)
{
	const struct row *row = rows;

	while (row->error && row->error != error)
		row++;
	*type = v6 ? row->type6 : row->type4;
	*code = v6 ? row->code6 : row->code4;
	if (v6 || !udp)
		return;
	/* A connected UDP socket of Linux hears nothing of codes 0 and 1, where a program of the host gets the error from send() at
	 * once. Their neighbours 6 and 10 give it the same error numbers. */
	if (*code == NET4)
		*code = NET_UNKNOWN4;
	else if (*code == HOST4)
		*code = HOST_PROHIBITED4;
}

/* The first bytes of the packet as the guest must have sent it. */
static size_t quote(uint8_t dst[static QUOTE_MAX], const struct icmp_subject *subject, bool v6)
{
	struct net_ip_out ip = {.v6 = v6, .src = subject->key.guest, .dst = subject->key.host, .proto = subject->ip_proto,
				.l4_len = subject->ip_proto == NET_IP_TCP ? NET_TCP_LEN : NET_UDP_LEN};
	size_t n = net_frame_build_ip(dst, &ip);
	uint8_t *p = dst + n;

	memset(p, 0, QUOTED);
	if (subject->ip_proto == NET_IP_TCP || subject->ip_proto == NET_IP_UDP) {
		be16_store(p, subject->key.guest_port);
		be16_store(p + 2, subject->key.host_port);
		if (subject->ip_proto == NET_IP_TCP)
			be32_store(p + 4, subject->tcp_seq);
		else
			be16_store(p + 4, NET_UDP_LEN);
	} else {
		p[0] = v6 ? ECHO6 : ECHO4;
		be32_store(p + 4, subject->tcp_seq);
	}
	return n + QUOTED;
}

static bool over_rate(struct icmp_error *ctx, uint64_t now_us)
{
	uint64_t second = now_us / SECOND_US;

	if (second != ctx->second) {
		ctx->second = second;
		ctx->sent_in_second = 0;
	}
	if (ctx->sent_in_second == ICMP_ERRORS_PER_SECOND) {
		ctx->suppressed++;
		return true;
	}
	ctx->sent_in_second++;
	return false;
}

int icmp_error_send(struct icmp_error *ctx, int error, const struct icmp_subject *subject, uint64_t now_us)
{
	bool v6 = !net_addr_is_v4(&subject->key.guest);
	uint8_t frame[NET_ICMP_HEAD_MAX + QUOTE_MAX] = {0}, text[QUOTE_MAX];
	size_t n = quote(text, subject, v6);
	struct net_icmp_out out = {
		.v6 = v6, .src_mac = ctx->mac, .dst_mac = ctx->guest_mac,
		.src = v6 ? ctx->gateway6 : ctx->gateway4, .dst = subject->key.guest,
		.rest = error == EMSGSIZE ? subject->mtu : 0, .payload_len = (uint32_t)n,
	};
	size_t head;

	if (over_rate(ctx, now_us))
		return -EAGAIN;
	classify(error, v6, subject->ip_proto == NET_IP_UDP, &out.type, &out.code);
	head = net_frame_build_icmp(frame, &out, net_sum(0, text, n));
	memcpy(frame + head, text, n);
	return wire_send(ctx->wire, ctx->wire_data, frame, head + n) < 0 ? -EAGAIN : 0;
}
