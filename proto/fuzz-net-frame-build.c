/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-net-frame-build: any fields in, a frame out: it parses, as what it was meant to be, and its checksum is right. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/net-frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAYLOAD_MAX = 256 };

static const uint8_t mac[NET_MAC_LEN] = {2};
static uint8_t frame[NET_HEAD_OUT_MAX + PAYLOAD_MAX];

static struct net_addr get_addr(struct bytes_reader *r, bool v6)
{
	struct net_addr addr = net_addr4(bytes_get32(r));

	if (!v6)
		return addr;
	memset(addr.byte, 0xfd, 12); /* not a mapped one */
	return addr;
}

static size_t build_tcp(struct bytes_reader *r, bool v6, uint32_t len)
{
	struct net_tcp_out out = {.v6 = v6, .src_mac = mac, .dst_mac = mac, .payload_len = len};
	size_t n;

	out.src = get_addr(r, v6);
	out.dst = get_addr(r, v6);
	out.src_port = bytes_get16(r);
	out.dst_port = bytes_get16(r);
	out.window = bytes_get16(r);
	out.mss = bytes_get16(r);
	out.urgent = bytes_get16(r);
	out.seq = bytes_get32(r);
	out.ack = bytes_get32(r);
	out.flags = bytes_get8(r) & 0x3f;
	out.scale = (int8_t)(bytes_get8(r) & 0x8f);
	n = net_frame_build_tcp(frame, &out);
	memset(frame + n, 0x5a, len);
	net_frame_finish_tcp(frame, n, v6, net_sum(0, frame + n, len));
	return n;
}

static size_t build_udp(struct bytes_reader *r, bool v6, uint32_t len)
{
	struct net_udp_out out = {.v6 = v6, .src_mac = mac, .dst_mac = mac, .payload_len = len};
	size_t n;

	out.src = get_addr(r, v6);
	out.dst = get_addr(r, v6);
	out.src_port = bytes_get16(r);
	out.dst_port = bytes_get16(r);
	n = net_frame_build_udp(frame, &out);
	memset(frame + n, 0x5a, len);
	net_frame_finish_udp(frame, n, v6, net_sum(0, frame + n, len));
	return n;
}

static size_t build_echo(struct bytes_reader *r, bool v6, uint32_t len)
{
	struct net_icmp_out out = {.v6 = v6, .src_mac = mac, .dst_mac = mac, .payload_len = len, .type = v6 ? 128 : 8};
	size_t n = NET_ETH_LEN + (v6 ? NET_IP6_LEN : NET_IP4_LEN) + NET_ICMP_LEN;

	out.src = get_addr(r, v6);
	out.dst = get_addr(r, v6);
	out.rest = bytes_get32(r);
	out.hop_limit = bytes_get8(r);
	memset(frame + n, 0x5a, len);
	return net_frame_build_icmp(frame, &out, net_sum(0, frame + n, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum net_kind kinds[] = {NET_KIND_TCP, NET_KIND_UDP, NET_KIND_ECHO};
	struct bytes_reader r = bytes_reader(data, size);
	uint8_t what = bytes_get8(&r), len = bytes_get8(&r);
	bool v6 = what & 0x80;
	struct net_frame f;
	size_t n;

	what %= 3;
	n = what == 0 ? build_tcp(&r, v6, len) : what == 1 ? build_udp(&r, v6, len) : build_echo(&r, v6, len);
	if (net_frame_parse(&f, frame, n, n + len) || f.kind != kinds[what] || f.v6 != v6 || f.payload_off != n || f.payload_len != len)
		abort();
	if (net_fold(net_sum(net_pseudo_sum(&f), frame + f.l4_off, f.l4_len)) != 0xffff)
		abort();
	return 0;
}
