/* SPDX-License-Identifier: Apache-2.0 */
/* net-json: one function per report. */
#include "backend/net-json.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

json_t *net_json_addr(const struct net_addr *addr)
{
	bool v4 = net_addr_is_v4(addr);
	char text[INET6_ADDRSTRLEN];

	return json_string(inet_ntop(v4 ? AF_INET : AF_INET6, addr->byte + (v4 ? 12 : 0), text, sizeof(text)) ? text : "");
}

static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *net_json_stats(const struct netctl_stats *s)
{
	const struct { const char *name; uint64_t value; } all[] = {
		{"tcp_now", s->tcp_now}, {"tcp_max", s->tcp_max}, {"tcp_total", s->tcp_total}, {"tcp_refused", s->tcp_refused},
		{"udp_now", s->udp_now}, {"udp_max", s->udp_max}, {"udp_total", s->udp_total}, {"udp_refused", s->udp_refused},
		{"echo_now", s->echo_now}, {"echo_total", s->echo_total}, {"rx_bytes", s->rx_bytes}, {"tx_bytes", s->tx_bytes},
		{"rx_packets", s->rx_packets}, {"tx_packets", s->tx_packets}, {"drops", s->drops},
		{"retransmits", s->retransmits}, {"bad_frames", s->bad_frames}, {"ignored", s->ignored},
		{"rule_refused", s->rule_refused}, {"fragments", s->fragments}, {"dns_queries", s->dns_queries},
		{"dns_hits", s->dns_hits}, {"dns_failures", s->dns_failures}, {"dns_refused_answers", s->dns_refused_answers},
		{"rx_queue_size", s->rx_queue_size}, {"rx_queue_free", s->rx_queue_free}, {"tx_queue_size", s->tx_queue_size},
		{"rx_starved", s->rx_starved}, {"kicks", s->kicks}, {"calls", s->calls}, {"uptime_ms", s->uptime_us / 1000},
		{"capture_bytes", s->capture_bytes}, {"capture_drops", s->capture_drops},
	};
	json_t *o = json_object();

	for (size_t i = 0; o && i < ARRAY_SIZE(all); i++)
		(void)json_object_set_new(o, all[i].name, number(all[i].value));
	return o;
}

json_t *net_json_rules(const struct netctl_rule_counts *c, const struct rules *rules)
{
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < c->n && i < RULES_MAX; i++) {
		const char *name = rules_name(rules, i);

		if (*name)
			(void)json_array_append_new(list, json_pack("{s:s, s:b, s:o, s:o}", "name", name, "builtin", i < RULES_USER,
								    "allowed", number(c->allowed[i]), "refused",
								    number(c->refused[i])));
	}
	return list;
}

void net_json_add_ports(json_t *o, const struct netctl_port_counts *piece)
{
	json_t *all = json_object_get(o, "port_counts");

	if (!all && json_object_set_new(o, "port_counts", json_object()) == 0)
		all = json_object_get(o, "port_counts");
	for (size_t i = 0; i < piece->n && json_object_size(all) < NETCTL_PORTS_MAX; i++) {
		const struct netctl_port_count *p = &piece->port[i];
		char id[16];

		snprintf(id, sizeof(id), "%u", p->id);
		(void)json_object_set_new(all, id, json_pack("{s:o, s:o, s:o, s:o, s:o}", "connections", number(p->connections),
							     "now", number(p->now), "rx_bytes", number(p->rx_bytes), "tx_bytes",
							     number(p->tx_bytes), "refused", number(p->refused)));
	}
}

/* The list NAME of O, made when it is missing. */
static json_t *list_of(json_t *o, const char *name)
{
	json_t *list = json_object_get(o, name);

	if (!list && json_object_set_new(o, name, json_array()) == 0)
		list = json_object_get(o, name);
	return list;
}

static const char *protocol_name(uint8_t proto)
{
	if (proto == RULES_TCP)
		return "tcp";
	return proto == RULES_UDP ? "udp" : "icmp";
}

bool net_json_add_flows(json_t *o, const struct netctl_flows *piece, size_t max)
{
	json_t *list = list_of(o, "flows");

	for (size_t i = 0; i < piece->n && json_array_size(list) < max; i++) {
		const struct netctl_flow *f = &piece->flow[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:i, s:b, s:o, s:i, s:o, s:i, s:o, s:o, s:I}", "protocol", protocol_name(f->proto),
					"state", f->state, "inbound", f->inbound, "guest", net_json_addr(&f->guest), "guest_port",
					f->guest_port, "host", net_json_addr(&f->host), "host_port", f->host_port, "rx_bytes",
					number(f->rx_bytes), "tx_bytes", number(f->tx_bytes), "idle_ms", (json_int_t)f->idle_ms));
	}
	return json_array_size(list) < max;
}

bool net_json_add_dns(json_t *o, const struct netctl_dns *piece, size_t max)
{
	json_t *list = list_of(o, "dns");

	for (size_t i = 0; i < piece->n && json_array_size(list) < max; i++) {
		const struct netctl_dns_entry *e = &piece->entry[i];

		(void)json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i, s:I, s:I}", "name", e->name, "type", e->type,
							    "rcode", e->rcode, "answers", e->answers, "ttl_s",
							    (json_int_t)e->ttl_s, "hits", (json_int_t)e->hits));
	}
	return json_array_size(list) < max;
}
