/* SPDX-License-Identifier: Apache-2.0 */
/* stats: see the header. */
#include "devices/net/stats.h"

void stats_collect(struct device_stats *ret, const struct card *card, const struct tcp *tcp, const struct udp_stats *udp)
{
	*ret = (struct device_stats){
		.flows_now = tcp->flows.slots.n_used,
		.flows_total = tcp->stats.flows_total,
		.flows_refused = tcp->stats.flows_refused,
		.rx_bytes = tcp->stats.rx_bytes,
		.tx_bytes = tcp->stats.tx_bytes,
		.rx_packets = card->stats.rx_packets,
		.tx_packets = card->stats.tx_packets,
		.drops = tcp->stats.drops + tcp->stats.stray + card->stats.ignored,
		.retransmits = tcp->stats.retransmits,
		.bad_frames = card->stats.bad_frames,
	};
	if (!udp)
		return;
	ret->flows_now += udp->now;
	ret->flows_total += udp->total;
	ret->flows_refused += udp->refused;
	ret->rx_bytes += udp->rx_bytes;
	ret->tx_bytes += udp->tx_bytes;
	ret->drops += udp->drops;
}
