/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-data-card: whole frames of a hostile guest into the data card, engines replaced by stand-ins.
 *
 * Input: a byte of settings, then records: length (16 bits), flags, virtio-net header when the flags say so, frame. Flag 2 mends
 * IP header and transport checksums, so that the fuzzer gets behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/net/data-card-rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 64, WITH_VNET = 1, MEND = 2, PASS_TIME = 4, FRAME_MAX = 2048 };

static void mend(uint8_t *frame, size_t len)
{
	uint8_t *ip = frame + NET_ETH_LEN;
	struct net_frame f;
	size_t at;

	memcpy(frame + NET_MAC_LEN, rig_guest_mac, NET_MAC_LEN);
	if (len >= NET_ETH_LEN + NET_IP4_LEN && be16_load(frame + 12) == NET_ETH_IP4) {
		size_t n = (size_t)(ip[0] & 15) * 4;

		if (n < NET_IP4_LEN || n > len - NET_ETH_LEN)
			return;
		be16_store(ip + 10, 0);
		le16_store(ip + 10, (uint16_t)~net_fold(net_sum(0, ip, n)));
	}
	if (net_frame_parse(&f, frame, len, len) || !f.ip || f.kind == NET_KIND_FRAGMENT)
		return;
	at = f.ip_proto == NET_IP_TCP ? 16 : f.ip_proto == NET_IP_UDP ? 6 : 2;
	if ((f.kind == NET_KIND_OTHER && f.ip_proto != NET_IP_ICMP6) || f.l4_len < at + 2 || !f.l4_off)
		return;
	be16_store(frame + f.l4_off + at, 0);
	le16_store(frame + f.l4_off + at, (uint16_t)~net_fold(net_sum(net_pseudo_sum(&f), frame + f.l4_off, f.l4_len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t mtus[] = {68, 576, 1280, 1500, 9000, 65520, 1500, 1500};
	struct bytes_reader r = bytes_reader(data, size);
	uint8_t settings = bytes_get8(&r);
	static uint8_t frame[FRAME_MAX];

	rig_init(mtus[settings & 7], settings & 8);
	rig.card.n_search = settings & 16 ? NETCTL_SEARCH_MAX : 0;
	for (size_t i = 0; i < rig.card.n_search; i++)
		memset(rig.card.search[i], 'a', 60);
	if (settings & 32)
		rig.wire.buffer_size = 256;
	for (int i = 0; i < RECORDS_MAX && r.ok && r.off < r.len; i++) {
		size_t n = bytes_get16(&r) % FRAME_MAX, left;
		uint8_t flags = bytes_get8(&r);
		struct net_vnet vnet = {0};
		const uint8_t *p = flags & WITH_VNET ? bytes_get(&r, NET_VNET_LEN) : NULL;

		if (p)
			net_vnet_decode(&vnet, p);
		left = r.len - r.off;
		n = n < left ? n : left;
		p = bytes_get(&r, n);
		if (!p)
			break;
		/* 0xa5 is what old buffers hold: found in an answer it must not be the input's own. */
		for (size_t k = 0; k < n; k++)
			frame[k] = p[k] == 0xa5 ? 0 : p[k];
		if (flags & MEND)
			mend(frame, n);
		if (flags & PASS_TIME)
			data_card_now(&rig.card, rig.card.now_us + 1700000);
		(void)rig_frame_vnet(&vnet, frame, n);
		data_card_timers(&rig.card);
		if (rig.wire.n_malformed || rig.n_dirty || rig.wire.n_rooms)
			abort();
		rig_clear();
	}
	rig_done();
	return 0;
}
