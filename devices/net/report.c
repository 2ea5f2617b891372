/* SPDX-License-Identifier: Apache-2.0 */
/* report: see the header. */
#include "devices/net/report.h"

#include <string.h>

#include "devices/net/echo.h"

/* Cursor of the flows: which table in the highest two bits, the place in it below. */
enum { FLOWS_TCP, FLOWS_UDP, FLOWS_ECHO, FLOWS_END, TABLE_SHIFT = 30 };

static void add_queues(const struct report *report, struct netctl_stats *s)
{
	struct vhost *vhost = report->rings->vhost;

	for (unsigned int i = 0; vhost && i < CARD_QUEUES; i++) {
		struct vring *ring = vhost_ring(vhost, i);
		struct vring_stats stats;

		vring_get_stats(ring, &stats);
		s->kicks += stats.kicks;
		s->calls += stats.calls;
		if (i == CARD_TX) {
			s->tx_queue_size = vring_size(ring);
		} else {
			s->rx_queue_size = vring_size(ring);
			s->rx_queue_free = vring_running(ring) ? vring_avail(ring) : 0;
		}
	}
}

static uint64_t sum(const uint64_t counts[static RULES_MAX])
{
	uint64_t n = 0;

	for (size_t i = 0; i < RULES_MAX; i++)
		n += counts[i];
	return n;
}

static void fill_stats(const struct report *report, uint64_t now_us, struct netctl_stats *s)
{
	const struct data_card *card = report->card;
	const struct tcp *tcp = card->tcp;
	struct udp_stats udp;
	struct dns_stats dns;

	udp_get_stats(card->udp, &udp);
	dns_get_stats(card->dns, &dns);
	*s = (struct netctl_stats){
		.tcp_now = tcp->flows.slots.n_used,
		.tcp_max = tcp->flows.slots.n_slots,
		.tcp_total = tcp->stats.flows_total,
		.tcp_refused = tcp->stats.flows_refused,
		.udp_now = udp.now,
		.udp_max = UDP_FLOWS_MAX,
		.udp_total = udp.total,
		.udp_refused = udp.refused,
		.rx_bytes = tcp->stats.rx_bytes + udp.rx_bytes,
		.tx_bytes = tcp->stats.tx_bytes + udp.tx_bytes,
		.rx_packets = report->rings->stats.rx_packets,
		.tx_packets = report->rings->stats.tx_packets,
		.drops = tcp->stats.drops + tcp->stats.stray + udp.drops + card->spoofed,
		.retransmits = tcp->stats.retransmits,
		.bad_frames = report->rings->stats.bad_frames,
		.ignored = report->rings->stats.ignored,
		.rule_refused = sum(card->policy->refused),
		.fragments = card->fragments_seen,
		.dns_queries = dns.queries,
		.dns_hits = dns.hits,
		.dns_failures = dns.failures,
		.dns_refused_answers = dns.refused_answers,
		.rx_starved = report->rings->stats.starved,
		.uptime_us = now_us - report->start_us,
		.capture_bytes = report->captured + (report->capture->on ? report->capture->bytes : 0),
		.capture_drops = report->capture_drops + (report->capture->on ? report->capture->drops : 0),
	};
	echo_count(card->echo, &s->echo_now, &s->echo_total);
	add_queues(report, s);
}

static void fill_flows(const struct report *report, uint32_t cursor, struct netctl_flows *ret)
{
	uint32_t table = cursor >> TABLE_SHIFT, at = cursor & ((1u << TABLE_SHIFT) - 1);

	for (; table < FLOWS_END && ret->n < NETCTL_FLOWS_PIECE_MAX; table++, at = 0) {
		struct netctl_flow *to = ret->flow + ret->n;
		size_t max = NETCTL_FLOWS_PIECE_MAX - ret->n, n = 0;

		if (table == FLOWS_TCP)
			n = tcp_list(report->card->tcp, &at, to, max);
		else if (table == FLOWS_UDP)
			n = udp_list(report->card->udp, &at, to, max);
		else
			n = echo_list(report->card->echo, &at, to, max);
		ret->n = (uint16_t)(ret->n + (n < max ? n : max));
		if (at)
			break;
	}
	ret->next = table < FLOWS_END ? table << TABLE_SHIFT | at : 0;
}

static void fill_rules(const struct report *report, struct netctl_rule_counts *ret)
{
	const struct policy *policy = report->card->policy;

	ret->n = (uint16_t)(RULES_USER + policy->rules.n_user);
	memcpy(ret->allowed, policy->allowed, sizeof(ret->allowed));
	memcpy(ret->refused, policy->refused, sizeof(ret->refused));
}

/* Names come from the guest: what is not printable becomes '?', no name is empty. */
static void clean(char name[static NETCTL_DOMAIN_MAX])
{
	name[NETCTL_DOMAIN_MAX - 1] = '\0';
	if (!name[0])
		memcpy(name, ".", 2);
	for (size_t i = 0; name[i]; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f)
			name[i] = '?';
}

static void fill_dns(const struct report *report, uint32_t cursor, struct netctl_dns *ret)
{
	ret->next = cursor;
	ret->n = (uint16_t)dns_list(report->card->dns, &ret->next, ret->entry, NETCTL_DNS_PIECE_MAX);
	for (uint16_t i = 0; i < ret->n; i++)
		clean(ret->entry[i].name);
}

void report_answer(const struct report *report, const struct netctl_get *get, uint64_t now_us, struct netctl_message *ret)
{
	memset(ret, 0, sizeof(*ret));
	switch (get->what) {
	case NETCTL_GET_FLOWS:
		ret->type = NETCTL_FLOWS;
		fill_flows(report, get->cursor, &ret->flows);
		return;
	case NETCTL_GET_RULES:
		ret->type = NETCTL_RULE_COUNTS;
		fill_rules(report, &ret->rule_counts);
		return;
	case NETCTL_GET_PORTS:
		ret->type = NETCTL_PORT_COUNTS;
		ret->port_counts.next = get->cursor;
		ret->port_counts.n = (uint16_t)publish_counts(report->publish, &ret->port_counts.next, ret->port_counts.port,
							      NETCTL_PORTS_PIECE_MAX);
		return;
	case NETCTL_GET_DNS:
		ret->type = NETCTL_DNS_CACHE;
		fill_dns(report, get->cursor, &ret->dns);
		return;
	case NETCTL_GET_STATS:
	case NETCTL_GET_MAX:
		break;
	}
	ret->type = NETCTL_STATS;
	fill_stats(report, now_us, &ret->stats);
}
