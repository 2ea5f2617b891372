/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-netctl: the codec between backend and network process: what is accepted, and beside it what is refused.
 */
#include "base/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "proto/netctl.h"

enum { SAMPLES = 19 };

static struct netctl_message samples[SAMPLES];
static size_t n_samples;
static uint8_t frame[NETCTL_FRAME_MAX + 1], again[NETCTL_FRAME_MAX];

static size_t fds_of(enum netctl_type type)
{
	return type == NETCTL_PORT_ADD || type == NETCTL_PROXY || type == NETCTL_CAPTURE;
}

static enum netctl_direction direction_of(enum netctl_type type)
{
	return type < NETCTL_READY ? NETCTL_TO_NET : NETCTL_TO_BACKEND;
}

static struct netctl_message *sample(enum netctl_type type)
{
	for (size_t i = 0; i < n_samples; i++)
		if (samples[i].type == type)
			return &samples[i];
	fail();
	return NULL;
}

static struct netctl_message *add(enum netctl_type type)
{
	assert_true(n_samples < SAMPLES);
	samples[n_samples].type = type;
	return &samples[n_samples++];
}

static void make_resolvers(struct netctl_resolvers *r)
{
	r->n_servers = 2;
	r->servers[0] = (struct netctl_server){net_addr4(0x7f000035), 53};
	r->servers[1] = (struct netctl_server){{{0x20, 1, [15] = 9}}, 53};
	r->n_domains = 1;
	snprintf(r->domains[0].name, NETCTL_DOMAIN_MAX, "corp.example");
	r->domains[0].n_servers = 1;
	r->domains[0].servers[0] = (struct netctl_server){net_addr4(0x0a000002), 5353};
	r->n_search = 2;
	snprintf(r->search[0], NETCTL_DOMAIN_MAX, "example");
	snprintf(r->search[1], NETCTL_DOMAIN_MAX, "a-b_c.1");
}

static void make_to_net(void)
{
	struct netctl_message *m = add(NETCTL_CONFIG);

	m->config = (struct netctl_config){0xc0a84100, 1500, true, NETCTL_DNS_NO_AAAA, {1, UINT64_MAX}};
	m = add(NETCTL_RULES);
	m->rules.host = RULES_HOST_PORTS;
	m->rules.n_host_ports = 2;
	m->rules.host_ports[0] = (struct rules_range){5432, 5432};
	m->rules.host_ports[1] = (struct rules_range){8000, 65535};
	m->rules.egress = true;
	m->rules.n_user = 1;
	m->rules.user[0] = (struct rules_user){"office", true, RULES_TCP, 104, net_addr4(0x0a000000), {443, 443}};
	m = add(NETCTL_HOST_ADDRS);
	m->host_addrs.n = 1;
	m->host_addrs.addr[0] = net_addr4(0xcb007109);
	make_resolvers(&add(NETCTL_RESOLVERS)->resolvers);
	m = add(NETCTL_HOSTS);
	m->hosts.first = m->hosts.last = true;
	m->hosts.n = 1;
	m->hosts.entry[0].addr = net_addr4(0);
	snprintf(m->hosts.entry[0].name, NETCTL_DOMAIN_MAX, "ads.example");
	m = add(NETCTL_GUEST_NETS);
	m->guest_nets.n = 2;
	m->guest_nets.net[0] = (struct netctl_net){net_addr4(0xac110000), 112};
	m->guest_nets.net[1] = (struct netctl_net){{{0xfd}}, 64};
	add(NETCTL_PORT_ADD)->port = (struct netctl_port){7, true, net_addr4(0xac110002), 80, net_addr4(0), 8080};
	add(NETCTL_PORT_REMOVE)->port_remove.id = 7;
	add(NETCTL_PROXY);
	add(NETCTL_CAPTURE)->capture = (struct netctl_capture){NETCTL_SNAP_MAX, 1 << 20, 0};
	add(NETCTL_CAPTURE_STOP);
	add(NETCTL_GET)->get = (struct netctl_get){NETCTL_GET_DNS, 9};
}

static int set_up(void **state)
{
	struct netctl_message *m;

	memset(samples, 0, sizeof(samples));
	n_samples = 0;
	make_to_net();
	add(NETCTL_READY)->ready.version = NETCTL_VERSION;
	m = add(NETCTL_STATS);
	m->stats.tcp_now = 1;
	m->stats.capture_drops = UINT64_MAX;
	m = add(NETCTL_FLOWS);
	m->flows.next = 9;
	m->flows.n = 1;
	m->flows.flow[0] = (struct netctl_flow){RULES_UDP, 3, true, net_addr4(1), net_addr4(2), 3, 4, 5, 6, 7};
	m = add(NETCTL_RULE_COUNTS);
	m->rule_counts.n = 2;
	m->rule_counts.allowed[1] = 5;
	m->rule_counts.refused[0] = 6;
	m = add(NETCTL_PORT_COUNTS);
	m->port_counts.n = 1;
	m->port_counts.port[0] = (struct netctl_port_count){7, 1, 2, 3, 4, 5};
	m = add(NETCTL_DNS_CACHE);
	m->dns.n = 1;
	m->dns.entry[0] = (struct netctl_dns_entry){"\\032x.example", 28, 3, 0, 60, 2};
	m = add(NETCTL_CAPTURE_END);
	m->capture_end.why = NETCTL_CAPTURE_TIME;
	return 0;
}

static bool taken(const struct netctl_message *m)
{
	return netctl_encode(m, again) > 0;
}

static void test_round_trip(void **state)
{
	assert_int_equal(n_samples, SAMPLES);
	for (size_t i = 0; i < n_samples; i++) {
		enum netctl_type type = samples[i].type;
		static struct netctl_message m;
		int len = netctl_encode(&samples[i], frame);

		assert_true(len >= NETCTL_HEADER_SIZE);
		assert_int_equal(netctl_decode(&m, direction_of(type), frame, (size_t)len, fds_of(type)), 0);
		assert_memory_equal(&m, &samples[i], sizeof(m));
		assert_int_equal(netctl_encode(&m, again), len);
		assert_memory_equal(frame, again, (size_t)len);
	}
}

static void test_refused_around(void **state)
{
	for (size_t i = 0; i < n_samples; i++) {
		enum netctl_type type = samples[i].type;
		enum netctl_direction direction = direction_of(type);
		static struct netctl_message m;
		size_t len = (size_t)netctl_encode(&samples[i], frame);

		for (size_t n = 0; n < len + 2; n++)
			if (n != len)
				assert_int_equal(netctl_decode(&m, direction, frame, n, fds_of(type)), -EBADMSG);
		assert_int_equal(netctl_decode(&m, direction, frame, len, !fds_of(type)), -EBADMSG);
		assert_int_equal(netctl_decode(&m, direction, frame, len, 2), -EBADMSG);
		assert_int_equal(netctl_decode(&m, direction == NETCTL_TO_NET ? NETCTL_TO_BACKEND : NETCTL_TO_NET, frame, len,
					       fds_of(type)), -EBADMSG);
		le16_store(frame + 2, NETCTL_VERSION + 1);
		assert_int_equal(netctl_decode(&m, direction, frame, len, fds_of(type)), -EBADMSG);
	}
}

static void test_unknown_types(void **state)
{
	static const uint8_t header[] = {0, 0, NETCTL_VERSION, 0, 0, 0, 0, 0};
	static struct netctl_message m;

	for (unsigned int type = 0; type < 300; type++) {
		uint8_t bytes[sizeof(header)];

		memcpy(bytes, header, sizeof(bytes));
		le16_store(bytes, (uint16_t)type);
		if (type != NETCTL_CAPTURE_STOP)
			assert_int_equal(netctl_decode(&m, NETCTL_TO_NET, bytes, sizeof(bytes), 0), -EBADMSG);
		assert_int_equal(netctl_decode(&m, NETCTL_TO_BACKEND, bytes, sizeof(bytes), 0), -EBADMSG);
	}
	m.type = 0;
	assert_int_equal(netctl_encode(&m, frame), -EINVAL);
	m.type = NETCTL_TYPE_MAX;
	assert_int_equal(netctl_encode(&m, frame), -EINVAL);
}

#define REFUSED(type, change)                                                                                     \
	do {                                                                                                      \
		static struct netctl_message m;                                                                   \
		m = *sample(type);                                                                                \
		assert_true(taken(&m));                                                                           \
		change;                                                                                           \
		if (taken(&m))                                                                                    \
			fail_msg("taken: %s", #change);                                                           \
	} while (0)

static void test_values_refused(void **state)
{
	REFUSED(NETCTL_CONFIG, m.config.subnet = 0xc0a84101);
	REFUSED(NETCTL_CONFIG, m.config.subnet = 0x08080800);
	REFUSED(NETCTL_CONFIG, m.config.subnet = 0xac200000);
	REFUSED(NETCTL_CONFIG, m.config.mtu = 1279);
	REFUSED(NETCTL_CONFIG, m.config.mtu = 65521);
	REFUSED(NETCTL_CONFIG, m.config.dns_filter = NETCTL_DNS_FILTER_MAX);
	REFUSED(NETCTL_RULES, m.rules.host = 3);
	REFUSED(NETCTL_RULES, m.rules.host = RULES_HOST_ALL);
	REFUSED(NETCTL_RULES, m.rules.n_host_ports = 0);
	REFUSED(NETCTL_RULES, m.rules.n_host_ports = RULES_HOST_PORTS_MAX + 1);
	REFUSED(NETCTL_RULES, m.rules.host_ports[0].first = 0);
	REFUSED(NETCTL_RULES, m.rules.host_ports[0].first = 6000);
	REFUSED(NETCTL_RULES, m.rules.n_user = RULES_USER_MAX + 1);
	REFUSED(NETCTL_RULES, m.rules.user[0].name[0] = 'O');
	REFUSED(NETCTL_RULES, m.rules.user[0].name[0] = '\0');
	REFUSED(NETCTL_RULES, memset(m.rules.user[0].name, 'a', RULES_NAME_MAX));
	REFUSED(NETCTL_RULES, m.rules.user[0].protocols = 0);
	REFUSED(NETCTL_RULES, m.rules.user[0].protocols = 8);
	REFUSED(NETCTL_RULES, m.rules.user[0].protocols = RULES_ECHO);
	REFUSED(NETCTL_RULES, m.rules.user[0].prefix_len = 129);
	REFUSED(NETCTL_RULES, m.rules.user[0].prefix_len = 98);
	REFUSED(NETCTL_RULES, m.rules.user[0].ports.first = 444);
	REFUSED(NETCTL_HOST_ADDRS, m.host_addrs.n = RULES_HOST_ADDRS_MAX + 1);
	REFUSED(NETCTL_HOST_ADDRS, m.host_addrs.addr[0] = net_addr4(0));
	REFUSED(NETCTL_RESOLVERS, m.resolvers.n_servers = NETCTL_RESOLVERS_MAX + 1);
	REFUSED(NETCTL_RESOLVERS, m.resolvers.n_domains = NETCTL_DOMAINS_MAX + 1);
	REFUSED(NETCTL_RESOLVERS, m.resolvers.n_search = NETCTL_SEARCH_MAX + 1);
	REFUSED(NETCTL_RESOLVERS, m.resolvers.servers[1].port = 0);
	REFUSED(NETCTL_RESOLVERS, m.resolvers.domains[0].n_servers = 0);
	REFUSED(NETCTL_RESOLVERS, m.resolvers.domains[0].n_servers = NETCTL_DOMAIN_SERVERS_MAX + 1);
	REFUSED(NETCTL_RESOLVERS, m.resolvers.domains[0].name[0] = 'C');
	REFUSED(NETCTL_HOSTS, m.hosts.n = NETCTL_HOSTS_PIECE_MAX + 1);
	REFUSED(NETCTL_HOSTS, m.hosts.entry[0].name[0] = ' ');
	REFUSED(NETCTL_GUEST_NETS, m.guest_nets.n = NETCTL_NETS_MAX + 1);
	REFUSED(NETCTL_GUEST_NETS, m.guest_nets.net[0].prefix_len = 104);
	REFUSED(NETCTL_GUEST_NETS, m.guest_nets.net[0] = ((struct netctl_net){net_addr4(0), 96}));
	REFUSED(NETCTL_GUEST_NETS, m.guest_nets.net[0] = ((struct netctl_net){{{0}}, 0}));
	REFUSED(NETCTL_PORT_ADD, m.port.id = 0);
	REFUSED(NETCTL_PORT_ADD, m.port.target_port = 0);
	REFUSED(NETCTL_PORT_ADD, m.port.bound_port = 0);
	REFUSED(NETCTL_PORT_ADD, m.port.target = net_addr4(0));
	REFUSED(NETCTL_PORT_ADD, m.port.target = net_addr4(0x7f000001));
	REFUSED(NETCTL_PORT_ADD, m.port.target = net_addr4(0xe0000001));
	REFUSED(NETCTL_PORT_ADD, m.port.target = ((struct net_addr){{[15] = 1}}));
	REFUSED(NETCTL_PORT_ADD, m.port.target = ((struct net_addr){{0xff, 2}}));
	REFUSED(NETCTL_PORT_REMOVE, m.port_remove.id = 0);
	REFUSED(NETCTL_CAPTURE, m.capture.snap_len = NETCTL_SNAP_MIN - 1);
	REFUSED(NETCTL_CAPTURE, m.capture.snap_len = NETCTL_SNAP_MAX + 1);
	REFUSED(NETCTL_CAPTURE, m.capture.max_bytes = 0);
	REFUSED(NETCTL_GET, m.get.what = 0);
	REFUSED(NETCTL_GET, m.get.what = NETCTL_GET_MAX);
	REFUSED(NETCTL_FLOWS, m.flows.n = NETCTL_FLOWS_PIECE_MAX + 1);
	REFUSED(NETCTL_FLOWS, m.flows.flow[0].proto = 3);
	REFUSED(NETCTL_RULE_COUNTS, m.rule_counts.n = RULES_MAX + 1);
	REFUSED(NETCTL_PORT_COUNTS, m.port_counts.n = NETCTL_PORTS_PIECE_MAX + 1);
	REFUSED(NETCTL_DNS_CACHE, m.dns.n = NETCTL_DNS_PIECE_MAX + 1);
	REFUSED(NETCTL_DNS_CACHE, m.dns.entry[0].name[0] = '\033');
	REFUSED(NETCTL_DNS_CACHE, m.dns.entry[0].name[0] = '\0');
	REFUSED(NETCTL_CAPTURE_END, m.capture_end.why = 0);
	REFUSED(NETCTL_CAPTURE_END, m.capture_end.why = NETCTL_CAPTURE_STOPPED + 1);
}

/* The same on the wire: a count or a length that promises more than there is, a flag of 2, a NUL within a name. */
static void test_bytes_refused(void **state)
{
	static const struct {
		enum netctl_type type;
		size_t off;
		uint8_t value;
	} rows[] = {
		{NETCTL_CONFIG, 8 + 6, 2},	 {NETCTL_CONFIG, 8 + 7, 3},	  {NETCTL_RULES, 8, 3},
		{NETCTL_RULES, 8 + 1, 2},	 {NETCTL_RULES, 8 + 2, 33},	  {NETCTL_RULES, 8 + 3, 1},
		{NETCTL_HOST_ADDRS, 8, 129},	 {NETCTL_HOST_ADDRS, 8, 2},	  {NETCTL_HOST_ADDRS, 9, 0xff},
		{NETCTL_RESOLVERS, 8, 9},	 {NETCTL_RESOLVERS, 9, 1},	  {NETCTL_HOSTS, 8, 2},
		{NETCTL_HOSTS, 8 + 2, 49},	 {NETCTL_HOSTS, 8 + 3, 1},	  {NETCTL_HOSTS, 8 + 20, 12},
		{NETCTL_HOSTS, 8 + 20, 10},	 {NETCTL_HOSTS, 8 + 22, 0},	  {NETCTL_HOSTS, 8 + 22, 0xff},
		{NETCTL_GUEST_NETS, 9, 2},	 {NETCTL_PORT_ADD, 8 + 4, 2},	  {NETCTL_GET, 8, 0},
		{NETCTL_FLOWS, 8 + 4, 129},	 {NETCTL_FLOWS, 8 + 5, 1},	  {NETCTL_RULE_COUNTS, 8, 73},
		{NETCTL_PORT_COUNTS, 8 + 5, 2},	 {NETCTL_DNS_CACHE, 8 + 4, 33},	  {NETCTL_DNS_CACHE, 8 + 5, 0xff},
		{NETCTL_DNS_CACHE, 8 + 8, 0x7f}, {NETCTL_CAPTURE_END, 8, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum netctl_type type = rows[i].type;
		static struct netctl_message m;
		size_t len = (size_t)netctl_encode(sample(type), frame);

		assert_int_equal(netctl_decode(&m, direction_of(type), frame, len, fds_of(type)), 0);
		assert_true(rows[i].off < len && frame[rows[i].off] != rows[i].value);
		frame[rows[i].off] = rows[i].value;
		if (netctl_decode(&m, direction_of(type), frame, len, fds_of(type)) != -EBADMSG)
			fail_msg("type %d with %u at %zu is taken", type, rows[i].value, rows[i].off);
	}
}

static void test_names(void **state)
{
	static const char *const good[] = {"a", "localhost", "a.b", "_srv._tcp.x", "1.2", "xn--bcher-kva.example"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "A", "a b", "a*", "\xc3\xa9", "a\n", "a/b"};
	char longest[NETCTL_DOMAIN_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(netctl_name_ok(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(netctl_name_ok(bad[i]));
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 63; i < 253; i += 64)
		longest[i] = '.';
	longest[253] = '\0';
	assert_true(netctl_name_ok(longest));
	longest[253] = 'a';
	longest[254] = '\0';
	assert_false(netctl_name_ok(longest));
	longest[64] = '\0';
	longest[63] = 'a';
	assert_false(netctl_name_ok(longest));
	longest[63] = '\0';
	assert_true(netctl_name_ok(longest));
}

static void fill_names(struct netctl_resolvers *r, struct netctl_hosts *hosts, struct netctl_dns *dns)
{
	char longest[NETCTL_DOMAIN_MAX];

	memset(longest, 0, sizeof(longest));
	memset(longest, 'a', 253);
	for (size_t i = 63; i < 253; i += 64)
		longest[i] = '.';
	for (size_t i = 0; r && i < NETCTL_DOMAINS_MAX; i++) {
		r->domains[i].n_servers = NETCTL_DOMAIN_SERVERS_MAX;
		memcpy(r->domains[i].name, longest, sizeof(longest));
		for (size_t k = 0; k < NETCTL_DOMAIN_SERVERS_MAX; k++)
			r->domains[i].servers[k] = (struct netctl_server){net_addr4(9), 53};
	}
	for (size_t i = 0; r && i < NETCTL_SEARCH_MAX; i++)
		memcpy(r->search[i], longest, sizeof(longest));
	for (size_t i = 0; hosts && i < NETCTL_HOSTS_PIECE_MAX; i++)
		memcpy(hosts->entry[i].name, longest, sizeof(longest));
	for (size_t i = 0; dns && i < NETCTL_DNS_PIECE_MAX; i++)
		memcpy(dns->entry[i].name, longest, sizeof(longest));
}

/* Every table full to the brim fits one frame. */
static void test_full(void **state)
{
	struct netctl_message *m = sample(NETCTL_RULES);

	for (size_t i = 0; i < RULES_USER_MAX; i++) {
		m->rules.user[i] = m->rules.user[0];
		memset(m->rules.user[i].name, 'a', RULES_NAME_MAX - 1);
	}
	for (size_t i = 0; i < RULES_HOST_PORTS_MAX; i++)
		m->rules.host_ports[i] = (struct rules_range){1, 2};
	m->rules.n_user = RULES_USER_MAX;
	m->rules.n_host_ports = RULES_HOST_PORTS_MAX;
	m = sample(NETCTL_RESOLVERS);
	for (size_t i = 0; i < NETCTL_RESOLVERS_MAX; i++)
		m->resolvers.servers[i] = m->resolvers.servers[0];
	fill_names(&m->resolvers, NULL, NULL);
	m->resolvers.n_servers = NETCTL_RESOLVERS_MAX;
	m->resolvers.n_domains = NETCTL_DOMAINS_MAX;
	m->resolvers.n_search = NETCTL_SEARCH_MAX;
	m = sample(NETCTL_HOSTS);
	fill_names(NULL, &m->hosts, NULL);
	m->hosts.n = NETCTL_HOSTS_PIECE_MAX;
	m = sample(NETCTL_GUEST_NETS);
	for (size_t i = 0; i < NETCTL_NETS_MAX; i++)
		m->guest_nets.net[i] = m->guest_nets.net[0];
	m->guest_nets.n = NETCTL_NETS_MAX;
	m = sample(NETCTL_FLOWS);
	for (size_t i = 0; i < NETCTL_FLOWS_PIECE_MAX; i++)
		m->flows.flow[i] = m->flows.flow[0];
	m->flows.n = NETCTL_FLOWS_PIECE_MAX;
	sample(NETCTL_RULE_COUNTS)->rule_counts.n = RULES_MAX;
	sample(NETCTL_PORT_COUNTS)->port_counts.n = NETCTL_PORTS_PIECE_MAX;
	m = sample(NETCTL_DNS_CACHE);
	fill_names(NULL, NULL, &m->dns);
	m->dns.n = NETCTL_DNS_PIECE_MAX;
	test_round_trip(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_round_trip, set_up),     cmocka_unit_test_setup(test_refused_around, set_up),
		cmocka_unit_test_setup(test_unknown_types, set_up),  cmocka_unit_test_setup(test_values_refused, set_up),
		cmocka_unit_test_setup(test_bytes_refused, set_up),  cmocka_unit_test_setup(test_names, set_up),
		cmocka_unit_test_setup(test_full, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
