/* SPDX-License-Identifier: Apache-2.0 */
/* test-route: targets, exclusions and ways: first what is refused, then its twin. */
#include "devices/proxy/route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

static struct proxyctl_settings settings;
static struct rules rules;
static struct route route;
static struct target target;

static int set_up(void **state)
{
	memset(&settings, 0, sizeof(settings));
	settings.http = (struct proxyctl_upstream){PROXYCTL_HTTP, 3128, "proxy.corp", "manual", "", ""};
	settings.https = (struct proxyctl_upstream){PROXYCTL_SOCKS5, 1080, "203.0.113.1", "manual", "", ""};
	rules = (struct rules){.host = RULES_HOST_ALL, .egress = true,
			       .subnet4 = net_addr4(0xc0a84100), .gateway4 = net_addr4(0xc0a84101),
					.alias4 = net_addr4(0xc0a841fe)};
	return 0;
}

static int parse(const char *request, const char **ret_why)
{
	static struct http_head head;
	ssize_t n = http_request_decode(&head, request, strlen(request), ret_why);

	return n > 0 ? target_parse(&target, &head, ret_why) : -EBADMSG;
}

static void decide(const char *host_port)
{
	char request[512];
	const char *why = "";

	snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1\r\nHost: a\r\n\r\n", host_port);
	if (parse(request, &why) < 0)
		fail_msg("%s: %s", host_port, why);
	route_decide(&settings, &rules, &target, &route);
}

static void test_targets(void **state)
{
	const char *why;

	assert_int_equal(parse("GET http://EXAMPLE.com:8080/a?b#x HTTP/1.1\r\nHost: a\r\n\r\n", &why), -EBADMSG);
	assert_int_equal(parse("GET /a HTTP/1.1\r\nHost: a\r\n\r\n", &why), -EINVAL);
	assert_non_null(strstr(why, "whole address"));
	assert_int_equal(parse("GET http://EXAMPLE.com.:8080/a?b HTTP/1.1\r\nHost: a\r\n\r\n", &why), 0);
	assert_string_equal(target.host, "example.com");
	assert_int_equal(target.port, 8080);
	assert_true(http_slice_is(target.path, "/a?b"));
	assert_int_equal(parse("GET http://[2001:DB8::1]?q HTTP/1.1\r\nHost: a\r\n\r\n", &why), 0);
	assert_string_equal(target.host, "2001:db8::1");
	assert_int_equal(target.port, 80);
	assert_true(http_slice_is(target.path, "?q"));
	assert_true(target.is_addr);
}

static void add(enum proxyctl_exclude_kind kind, const char *text, uint16_t port)
{
	struct proxyctl_exclude *e = &settings.exclude[settings.n_excludes++];

	*e = (struct proxyctl_exclude){.kind = kind, .port = port};
	snprintf(e->text, sizeof(e->text), "%s", text);
}

static void test_exclusions(void **state)
{
	static const struct {
		const char *target;
		bool direct;
	} all[] = {
		{"corp.example:1", true},  {"a.corp.example:1", true}, {"xcorp.example:1", false}, {"corp.example.net:1", false},
		{"dot.example:1", false},  {"a.dot.example:1", true},  {"intranet:1", true},	   {"www-7.glob.test:1", true},
		{"www-77.glob.test:1", true}, {"www-.glob.test:1", false}, {"port.test:81", true},  {"port.test:82", false},
		{"10.20.30.40:1", true},   {"11.20.30.40:1", false},   {"[::ffff:10.1.1.1]:1", true}, {"[2001:db8::7]:1", true},
		{"[2001:db9::7]:1", false}, {"172.16.9.9:1", true},    {"rooted.test:1", true},
	};

	set_up(NULL);
	add(PROXYCTL_EXCLUDE_NAME, "corp.example", 0);
	add(PROXYCTL_EXCLUDE_NAME, "rooted.test.", 0);
	add(PROXYCTL_EXCLUDE_SUFFIX, ".dot.example", 0);
	add(PROXYCTL_EXCLUDE_GLOB, "www-?*.glob.*", 0);
	add(PROXYCTL_EXCLUDE_GLOB, "172.16.*", 0);
	add(PROXYCTL_EXCLUDE_NAME, "port.test", 81);
	add(PROXYCTL_EXCLUDE_LOCAL, "", 0);
	settings.exclude[settings.n_excludes++] =
		(struct proxyctl_exclude){.kind = PROXYCTL_EXCLUDE_NET, .prefix_len = 104, .addr = net_addr4(10u << 24)};
	settings.exclude[settings.n_excludes++] = (struct proxyctl_exclude){
		.kind = PROXYCTL_EXCLUDE_NET, .prefix_len = 32, .addr = {{0x20, 0x01, 0x0d, 0xb8}}};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		decide(all[i].target);
		if ((route.kind == ROUTE_DIRECT) != all[i].direct)
			fail_msg("%s: %s", all[i].target, all[i].direct ? "not excluded" : "excluded");
		if (all[i].direct && strncmp(route.why, "excluded by \"", 13))
			fail_msg("%s: %s", all[i].target, route.why);
	}
}

static void test_never_upstream(void **state)
{
	static const char *const refused[] = {"127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80",
			"169.254.169.254:80", "localhost:80",
					      "x.localhost:80", "[fd00:ec2::254]:80", "192.168.65.1:80",
							"gateway.docker.internal:80",
					      "http.docker.internal:3128", "192.168.65.77:80", "0.0.0.0:80"};
	static const char *const direct[] = {"host.docker.internal:80", "kubernetes.docker.internal:80", "192.168.65.254:80"};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		decide(refused[i]);
		if (route.kind != ROUTE_REFUSED)
			fail_msg("%s is not refused", refused[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(direct); i++) {
		decide(direct[i]);
		assert_int_equal(route.kind, ROUTE_DIRECT);
		assert_int_equal(route.n_addrs, 1);
		assert_true(net_addr_equal(&route.addr[0], &(struct net_addr){{[10] = 0xff, 0xff, 127, 0, 0, 1}}));
	}
	decide("192.0.2.1:80");
	assert_int_equal(route.kind, ROUTE_UPSTREAM);
	rules.host = RULES_HOST_NONE;
	decide("host.docker.internal:80");
	assert_int_equal(route.kind, ROUTE_REFUSED);
	assert_int_equal(route.rule, RULE_HOST_ALIAS);
}

static void test_judging_names(void **state)
{
	struct net_addr addrs[3] = {net_addr4(0xcb007107), net_addr4(0x7f000001), net_addr4(0xcb007108)};

	/* Direct: what is allowed is dialled, the rest is not. */
	settings.https = (struct proxyctl_upstream){.kind = PROXYCTL_DIRECT, .source = "none"};
	decide("a.test:443");
	assert_true(route.lookup && route.lookup_needed);
	route_judge(&rules, &target, addrs, 3, &route);
	assert_int_equal(route.kind, ROUTE_DIRECT);
	assert_int_equal(route.n_addrs, 2);
	decide("a.test:443");
	route_judge(&rules, &target, &addrs[1], 1, &route);
	assert_int_equal(route.kind, ROUTE_REFUSED);
	assert_int_equal(route.rule, RULE_LOOPBACK);
	/* Upstream: nothing to judge by, then the user's rules, then no egress. */
	settings.https = (struct proxyctl_upstream){PROXYCTL_HTTP, 3128, "proxy.corp", "manual", "", ""};
	decide("a.test:443");
	assert_false(route.lookup);
	rules.n_user = 1;
	rules.user[0] = (struct rules_user){.name = "no", .protocols = RULES_TCP, .prefix_len = 128,
			.addr = addrs[2], .ports = {0, 65535}};
	decide("a.test:443");
	assert_true(route.lookup && !route.lookup_needed);
	route_judge(&rules, &target, NULL, 0, &route);
	assert_int_equal(route.kind, ROUTE_UPSTREAM);
	decide("a.test:443");
	route_judge(&rules, &target, addrs, 1, &route);
	assert_int_equal(route.kind, ROUTE_UPSTREAM);
	decide("a.test:443");
	route_judge(&rules, &target, addrs, 3, &route);
	assert_int_equal(route.kind, ROUTE_REFUSED);
	rules.egress = false;
	decide("a.test:443");
	assert_true(route.lookup && route.lookup_needed);
	route_judge(&rules, &target, addrs, 1, &route);
	assert_int_equal(route.kind, ROUTE_REFUSED);
	assert_int_equal(route.rule, RULE_EGRESS);
	decide("203.0.113.7:443");
	assert_int_equal(route.kind, ROUTE_REFUSED);
}

static void test_proxy_on_this_host(void **state)
{
	static const char *const near[] = {"127.0.0.1", "localhost", "::1", "192.168.65.254"};

	for (size_t i = 0; i < ARRAY_SIZE(near); i++) {
		snprintf(settings.https.host, sizeof(settings.https.host), "%s", near[i]);
		settings.https.kind = PROXYCTL_HTTP;
		decide("a.test:443");
		assert_true(route.lookup && !route.lookup_needed);
	}
	snprintf(settings.https.host, sizeof(settings.https.host), "203.0.113.1");
	decide("a.test:443");
	assert_false(route.lookup);
	/* A name of this computer: conn asks again when its addresses are known. */
	assert_false(route_is_here(&rules, &(struct net_addr){{[10] = 0xff, 0xff, 203, 0, 113, 1}}, 1, 1));
	assert_true(route_is_here(&rules, &(struct net_addr){{[10] = 0xff, 0xff, 127, 0, 1, 1}}, 1, 1));
	rules.n_host_addrs = 1;
	rules.host_addrs[0] = net_addr4(0xc6336407);
	assert_true(route_is_here(&rules, rules.host_addrs, 1, 1));
	rules.host = RULES_HOST_NONE;
	assert_true(route_is_here(&rules, rules.host_addrs, 1, 1));
}

/* A name for the host goes there, never to a SOCKS proxy as "127.0.0.1". */
static void test_names_of_the_host(void **state)
{
	struct net_addr addrs[2] = {net_addr4(0xc0a841fe), net_addr4(0xcb007107)};

	settings.https.kind = PROXYCTL_SOCKS5;
	decide("a.test:443");
	assert_true(route.lookup_needed);
	route_judge(&rules, &target, addrs, 1, &route);
	assert_int_equal(route.kind, ROUTE_DIRECT);
	assert_int_equal(route.n_addrs, 1);
	decide("a.test:443");
	route_judge(&rules, &target, &addrs[1], 1, &route);
	assert_int_equal(route.kind, ROUTE_UPSTREAM);
	rules.host = RULES_HOST_NONE;
	decide("a.test:443");
	route_judge(&rules, &target, addrs, 2, &route);
	assert_int_equal(route.kind, ROUTE_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_exclusions),
		cmocka_unit_test_setup(test_never_upstream, set_up),
		cmocka_unit_test_setup(test_judging_names, set_up),
		cmocka_unit_test_setup(test_proxy_on_this_host, set_up),
		cmocka_unit_test_setup(test_names_of_the_host, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
