/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-rules: which addresses the VM may reach. One table for TCP, UDP and ping and for both families (NET-03, NET-04, NET-18);
 * each refusal has a neighbour that passes.
 */
#include "base/test.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/data-card.h"
#include "proto/rules.h"

static struct rules rules;

static struct net_addr addr(const char *text)
{
	struct net_addr ret = {{0}};
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return net_addr4(ntohl(v4.s_addr));
	assert_int_equal(inet_pton(AF_INET6, text, ret.byte), 1);
	return ret;
}

static int set_up(void **state)
{
	rules = (struct rules){
		.gateway4 = addr("192.168.65.1"), .alias4 = addr("192.168.65.254"), .subnet4 = addr("192.168.65.0"),
		.gateway6 = addr(DATA_GATEWAY6_TEXT), .alias6 = addr(DATA_ALIAS6_TEXT), .host = RULES_HOST_ALL, .egress = true,
		.n_host_addrs = 2, .host_addrs = {addr("203.0.113.9"), addr("2001:db8:5::9")},
	};
	return 0;
}

static struct rules_verdict decide(enum rules_proto proto, const char *text, uint16_t port)
{
	struct rules_verdict verdict;
	struct net_addr a = addr(text);

	rules_decide(&rules, proto, &a, port, &verdict);
	return verdict;
}

static void add(const char *text)
{
	const char *reason = NULL;

	assert_int_equal(rules_parse(&rules.user[rules.n_user], text, (unsigned int)rules.n_user + 1, &reason), 0);
	rules.n_user++;
}

/* NET-03, NET-04, NET-18: what no setting opens, in each protocol. */
static void test_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned int rule;
	} rows[] = {
		{"127.0.0.1", RULE_LOOPBACK},	       {"127.0.0.53", RULE_LOOPBACK},	      {"127.255.255.255", RULE_LOOPBACK},
		{"0.0.0.0", RULE_LOOPBACK},	       {"0.255.255.255", RULE_LOOPBACK},      {"::", RULE_LOOPBACK},
		{"::1", RULE_LOOPBACK},		       {"::ffff:127.0.0.1", RULE_LOOPBACK},   {"::127.0.0.1", RULE_LOOPBACK},
		{"::ffff:0:127.0.0.1", RULE_LOOPBACK}, {"2002:7f00:1::", RULE_LOOPBACK},      {"2002:7f00:1::9", RULE_LOOPBACK},
		{"64:ff9b::127.0.0.1", RULE_LOOPBACK}, {"64:ff9b:1::127.0.0.1", RULE_LOOPBACK}, {"::2", RULE_LOOPBACK},
		{"64:ff9b::0.0.0.0", RULE_LOOPBACK},   {"::ffff:0.0.0.0", RULE_LOOPBACK},
		{"169.254.0.0", RULE_LINK_LOCAL},      {"169.254.169.254", RULE_LINK_LOCAL},  {"169.254.255.255", RULE_LINK_LOCAL},
		{"fe80::1", RULE_LINK_LOCAL},	       {"febf::1", RULE_LINK_LOCAL},	      {"::169.254.169.254", RULE_LINK_LOCAL},
		{"::ffff:169.254.169.254", RULE_LINK_LOCAL}, {"2002:a9fe:a9fe::1", RULE_LINK_LOCAL},
		{"64:ff9b::169.254.169.254", RULE_LINK_LOCAL}, {"64:ff9b:1:ffff::169.254.169.254", RULE_LINK_LOCAL},
		{"fd00:ec2::254", RULE_METADATA},      {"fd00:ec2::23", RULE_METADATA},	      {"fd20:ce::254", RULE_METADATA},
		{"fd00:c1::a9fe:a9fe", RULE_METADATA}, {"100.100.100.200", RULE_METADATA},    {"168.63.129.16", RULE_METADATA},
		{"192.0.0.192", RULE_METADATA},	       {"64:ff9b::100.100.100.200", RULE_METADATA},
		{"224.0.0.1", RULE_RESERVED},	       {"239.255.255.255", RULE_RESERVED},    {"240.0.0.1", RULE_RESERVED},
		{"255.255.255.255", RULE_RESERVED},    {"ff02::1", RULE_RESERVED},	      {"ff0e::1", RULE_RESERVED},
		{"64:ff9b::224.0.0.1", RULE_RESERVED}, {"2002:ffff:ffff::", RULE_RESERVED},
		{"192.168.65.1", RULE_OWN},	       {"192.168.65.0", RULE_OWN},	      {"192.168.65.3", RULE_OWN},
		{"192.168.65.255", RULE_OWN},	       {DATA_GATEWAY6_TEXT, RULE_OWN},	      {DATA_GUEST6_TEXT, RULE_OWN},
		{"64:ff9b::192.168.65.1", RULE_OWN},   {"::192.168.65.9", RULE_OWN},
		{"64:ff9b::192.168.65.254", RULE_HOST_ALIAS}, {"2002:c0a8:41fe::", RULE_HOST_ALIAS},
	};
	static const enum rules_proto protos[] = {RULES_TCP, RULES_UDP, RULES_ECHO};

	add("allow any all"); /* the user cannot open them either */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t p = 0; p < ARRAY_SIZE(protos); p++) {
			struct rules_verdict v = decide(protos[p], rows[i].text, protos[p] == RULES_ECHO ? 0 : 80);

			if (v.allow || v.rule != rows[i].rule)
				fail_msg("%s: protocol %d: allow %d by %s", rows[i].text, protos[p], v.allow, rules_name(&rules, v.rule));
		}
	}
}

/* The neighbours of those ranges. */
static void test_allowed(void **state)
{
	static const char *const texts[] = {
		"126.255.255.255", "128.0.0.0",	   "1.0.0.0",	     "169.253.255.255", "169.255.0.0",	   "223.255.255.255",
		"fec0::1",	   "fd00:ec1::1",  "fd00:ec3::1",    "fd20:ce::253",	"100.100.100.199", "168.63.129.17",
		"192.168.64.255",  "192.168.66.0", "10.0.0.1",	     "192.0.2.1",	"198.18.0.1",	   "2001:db8::1",
		"fdca:1550:9b3e:2::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "::8.8.8.8", "::ffff:8.8.8.8", "100::1",
	};
	static const enum rules_proto protos[] = {RULES_TCP, RULES_UDP, RULES_ECHO};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t p = 0; p < ARRAY_SIZE(protos); p++) {
			struct rules_verdict v = decide(protos[p], texts[i], protos[p] == RULES_ECHO ? 0 : 80);
			struct net_addr asked = addr(texts[i]);

			if (!v.allow || v.rule != RULE_EGRESS || v.to_host || !net_addr_equal(&v.dial, &asked))
				fail_msg("%s: protocol %d: allow %d by %s", texts[i], protos[p], v.allow, rules_name(&rules, v.rule));
		}
	}
}

/* NET-03: the alias and the host's own addresses, as the setting says. */
static void test_host(void **state)
{
	static const struct {
		const char *text, *dial;
		unsigned int rule;
	} rows[] = {
		{"192.168.65.254", "127.0.0.1", RULE_HOST_ALIAS},
		{DATA_ALIAS6_TEXT, "::1", RULE_HOST_ALIAS},
		{"203.0.113.9", "203.0.113.9", RULE_HOST_ADDRESS},
		{"2001:db8:5::9", "2001:db8:5::9", RULE_HOST_ADDRESS},
		{"64:ff9b::203.0.113.9", "64:ff9b::203.0.113.9", RULE_HOST_ADDRESS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_addr dial = addr(rows[i].dial);
		struct rules_verdict v;

		rules.host = RULES_HOST_ALL;
		v = decide(RULES_TCP, rows[i].text, 22);
		assert_true(v.allow && v.to_host && v.rule == rows[i].rule && net_addr_equal(&v.dial, &dial));
		rules.host = RULES_HOST_NONE;
		v = decide(RULES_TCP, rows[i].text, 22);
		assert_true(!v.allow && v.rule == rows[i].rule);
		assert_false(decide(RULES_ECHO, rows[i].text, 0).allow);
		rules.host = RULES_HOST_PORTS;
		rules.n_host_ports = 2;
		rules.host_ports[0] = (struct rules_range){5432, 5432};
		rules.host_ports[1] = (struct rules_range){8000, 8100};
		assert_true(decide(RULES_TCP, rows[i].text, 5432).allow);
		assert_true(decide(RULES_UDP, rows[i].text, 8100).allow);
		assert_true(decide(RULES_ECHO, rows[i].text, 0).allow);
		assert_false(decide(RULES_TCP, rows[i].text, 5433).allow);
		assert_false(decide(RULES_UDP, rows[i].text, 7999).allow);
		assert_false(decide(RULES_TCP, rows[i].text, 8101).allow);
		rules.n_host_ports = 0;
		assert_false(decide(RULES_ECHO, rows[i].text, 0).allow);
	}
}

/* A closed default does not close the host, whose setting is its own; a deny rule of the user does. */
static void test_host_and_user(void **state)
{
	rules.egress = false;
	assert_true(decide(RULES_TCP, "192.168.65.254", 22).allow);
	add("deny tcp 192.168.65.254 22 name=no-ssh");
	add("allow any all");
	assert_false(decide(RULES_TCP, "192.168.65.254", 22).allow);
	assert_string_equal(rules_name(&rules, decide(RULES_TCP, "192.168.65.254", 22).rule), "no-ssh");
	assert_true(decide(RULES_TCP, "192.168.65.254", 23).allow);
	rules.host = RULES_HOST_NONE;
	assert_false(decide(RULES_TCP, "192.168.65.254", 23).allow);
}

/* A deny rule matches the spelling, too, when what is spelt is the host. */
static void test_host_spelt_otherwise(void **state)
{
	add("deny any 64:ff9b::/96 name=no-nat64");
	assert_true(decide(RULES_TCP, "203.0.113.9", 22).allow);
	assert_false(decide(RULES_TCP, "64:ff9b::203.0.113.9", 22).allow);
	assert_false(decide(RULES_TCP, "64:ff9b::203.0.113.8", 22).allow);
}

static void test_user(void **state)
{
	add("deny tcp 10.1.0.0/16 80-90");
	add("allow 10.0.0.0/8 name=office");
	add("deny icmp all name=quiet");
	add("deny 2001:db8::/32");
	add("deny 64:ff9b::/96 name=no-nat64");
	rules.egress = false;
	assert_false(decide(RULES_TCP, "10.1.2.3", 80).allow);
	assert_string_equal(rules_name(&rules, decide(RULES_TCP, "10.1.2.3", 90).rule), "rule-1");
	assert_true(decide(RULES_TCP, "10.1.2.3", 91).allow);
	assert_true(decide(RULES_UDP, "10.1.2.3", 80).allow);
	assert_true(decide(RULES_ECHO, "10.1.2.3", 0).allow);
	assert_int_equal(decide(RULES_TCP, "10.9.9.9", 1).rule, RULES_USER + 1);
	assert_string_equal(rules_name(&rules, decide(RULES_ECHO, "11.0.0.1", 0).rule), "quiet");
	assert_string_equal(rules_name(&rules, decide(RULES_ECHO, "2a00::1", 0).rule), "quiet");
	assert_string_equal(rules_name(&rules, decide(RULES_TCP, "2001:db8::1", 1).rule), "rule-4");
	assert_string_equal(rules_name(&rules, decide(RULES_TCP, "11.0.0.1", 1).rule), "egress");
	/* the same address in another spelling gets the same verdict */
	assert_false(decide(RULES_TCP, "64:ff9b::10.1.2.3", 80).allow);
	assert_true(decide(RULES_TCP, "2002:a01:203::", 91).allow);
	assert_true(decide(RULES_TCP, "64:ff9b::10.1.2.3", 91).allow);
	/* a deny rule also knows the outer form, an allow rule does not */
	assert_string_equal(rules_name(&rules, decide(RULES_TCP, "64:ff9b::8.8.8.8", 80).rule), "no-nat64");
	rules.user[4].allow = true;
	assert_string_equal(rules_name(&rules, decide(RULES_TCP, "64:ff9b::8.8.8.8", 80).rule), "egress");
	assert_string_equal(rules_name(&rules, RULES_MAX), "");
	assert_string_equal(rules_name(&rules, RULES_USER + 5), "");
}

/* A short IPv6 prefix says nothing about IPv4, "all" does. */
static void test_families(void **state)
{
	add("deny ::/8");
	assert_true(decide(RULES_TCP, "8.8.8.8", 80).allow);
	rules.n_user = 0;
	add("deny all");
	assert_false(decide(RULES_TCP, "8.8.8.8", 80).allow);
	assert_false(decide(RULES_TCP, "2a00::1", 80).allow);
	rules.n_user = 0;
	add("deny 0.0.0.0/0");
	assert_false(decide(RULES_TCP, "8.8.8.8", 80).allow);
	assert_true(decide(RULES_TCP, "2a00::1", 80).allow);
}

static bool resolver(const char *text, uint16_t port)
{
	struct net_addr a = addr(text);

	return rules_resolver(&rules, &a, port);
}

/* NET-03: a stub resolver on loopback is asked on port 53 only. NET-19: with a closed default not at all. */
static void test_resolver(void **state)
{
	static const char *const never[] = {"169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.251", "ff02::fb",
					    "fd00:ec2::253", "192.168.65.1", "192.168.65.254", "64:ff9b::127.0.0.1", "2002:7f00:1::"};
	static const char *const local[] = {"127.0.0.1", "127.0.0.53", "::1", "203.0.113.9", "2001:db8:5::9", "168.63.129.16"};

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(resolver(never[i], 53));
	for (size_t i = 0; i < ARRAY_SIZE(local); i++) {
		assert_true(resolver(local[i], 53));
		assert_false(resolver(local[i], 5353));
	}
	assert_true(resolver("10.0.0.2", 53) && resolver("10.0.0.2", 5353));
	assert_false(resolver("10.0.0.2", 0));
	add("deny udp 10.0.0.2 5353");
	assert_false(resolver("10.0.0.2", 5353));
	rules.egress = false;
	assert_false(resolver("10.0.0.2", 53) || resolver("127.0.0.53", 53));
	add("allow udp 127.0.0.53 53");
	assert_true(resolver("127.0.0.53", 53));
	assert_false(decide(RULES_UDP, "127.0.0.53", 53).allow);
}

/* Before any configuration nothing is special: the caller's business (policy refuses all). */
static void test_unset(void **state)
{
	rules = (struct rules){.egress = true};
	assert_true(decide(RULES_TCP, "10.0.0.1", 80).allow);
	assert_false(decide(RULES_TCP, "::1", 80).allow);
	assert_false(decide(RULES_TCP, "::", 80).allow);
	rules.egress = false;
	assert_false(decide(RULES_TCP, "10.0.0.1", 80).allow);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text, *name, *addr;
		uint8_t allow, protocols, prefix_len;
		uint16_t first, last;
	} rows[] = {
		{"allow 10.0.0.0/8", "rule-7", "10.0.0.0", 1, RULES_ANY, 104, 0, 65535},
		{"deny any 10.0.0.1", "rule-7", "10.0.0.1", 0, RULES_ANY, 128, 0, 65535},
		{"deny tcp 10.0.0.1 443", "rule-7", "10.0.0.1", 0, RULES_TCP, 128, 443, 443},
		{"deny  udp\t10.0.0.1 1-65535 name=x-9 ", "x-9", "10.0.0.1", 0, RULES_UDP, 128, 1, 65535},
		{"allow icmp fd00::/8 name=icmp", "icmp", "fd00::", 1, RULES_ECHO, 8, 0, 65535},
		{"allow 2001:db8::1/128 80", "rule-7", "2001:db8::1", 1, RULES_ANY, 128, 80, 80},
		{"deny all", "rule-7", "::", 0, RULES_ANY, 0, 0, 65535},
		{"deny 0.0.0.0/0", "rule-7", "0.0.0.0", 0, RULES_ANY, 96, 0, 65535},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rules_user rule;
		struct net_addr a = addr(rows[i].addr);
		const char *reason = NULL;

		assert_int_equal(rules_parse(&rule, rows[i].text, 7, &reason), 0);
		assert_null(reason);
		assert_string_equal(rule.name, rows[i].name);
		assert_int_equal(rule.allow, rows[i].allow);
		assert_int_equal(rule.protocols, rows[i].protocols);
		assert_int_equal(rule.prefix_len, rows[i].prefix_len);
		assert_true(net_addr_equal(&rule.addr, &a));
		assert_int_equal(rule.ports.first, rows[i].first);
		assert_int_equal(rule.ports.last, rows[i].last);
		assert_true(rules_user_ok(&rule));
	}
}

static void test_parse_refused(void **state)
{
	static const char *const texts[] = {
		"", " ", "permit 10.0.0.0/8", "Allow 10.0.0.0/8", "allow", "allow tcp", "deny sctp 10.0.0.1", "deny tcp tcp 10.0.0.1",
		"deny 10.0.0.256", "deny 10.0.0", "deny 010.0.0.1", "deny example.com", "deny 10.0.0.0/33", "deny 10.0.0.0/-1",
		"deny 10.0.0.0/", "deny 10.0.0.1/8", "deny fd00::1/64", "deny fd00::/129", "deny ::/0", "deny [fd00::1]",
		"deny 10.0.0.1 0", "deny 10.0.0.1 65536", "deny 10.0.0.1 80-", "deny 10.0.0.1 -80", "deny 10.0.0.1 90-80",
		"deny 10.0.0.1 80,81", "deny icmp 10.0.0.1 80", "deny 10.0.0.1 name=", "deny 10.0.0.1 name=A",
		"deny 10.0.0.1 name=a_b", "deny 10.0.0.1 name=egress", "deny 10.0.0.1 name=a name=b", "deny 10.0.0.1 name=a 80",
		"deny 10.0.0.1 80 90", "deny 10.0.0.1 name=a23456789012345678901234567890123", "deny 10.0.0.1 80 name=a b",
		"deny 10.0.0.1\n", "deny tcp 10.0.0.1 80 name=a more and more and more",
	};
	char longest[256];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct rules_user rule = {.name = "untouched"};
		const char *reason = NULL;

		if (rules_parse(&rule, texts[i], 1, &reason) != -EINVAL || !reason || strcmp(rule.name, "untouched"))
			fail_msg("'%s' is taken", texts[i]);
	}
	memset(longest, ' ', sizeof(longest));
	memcpy(longest, "deny all", 8);
	longest[255] = '\0';
	{
		struct rules_user rule;
		const char *reason = NULL;

		assert_int_equal(rules_parse(&rule, longest, 1, &reason), -EINVAL);
		longest[150] = '\0';
		assert_int_equal(rules_parse(&rule, longest, 1, &reason), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_refused, set_up),	     cmocka_unit_test_setup(test_allowed, set_up),
		cmocka_unit_test_setup(test_host, set_up),	     cmocka_unit_test_setup(test_host_and_user, set_up),
		cmocka_unit_test_setup(test_host_spelt_otherwise, set_up),
		cmocka_unit_test_setup(test_user, set_up),	     cmocka_unit_test_setup(test_families, set_up),
		cmocka_unit_test_setup(test_resolver, set_up),	     cmocka_unit_test_setup(test_unset, set_up),
		cmocka_unit_test_setup(test_parse, set_up),	     cmocka_unit_test_setup(test_parse_refused, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
