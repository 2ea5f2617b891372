/* SPDX-License-Identifier: Apache-2.0 */
/* test-policy: verdicts are counted by rule and refusals logged once (NET-03, NET-18). */
#include "devices/net/policy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/test.h"

static struct policy policy;
static int log_fd = -EBADF;

static const struct netctl_rules settings = {
	.host = RULES_HOST_ALL,
	.egress = true,
	.n_user = 2,
	.user = {{"office", false, RULES_TCP, 104, {{[10] = 0xff, 0xff, 10}}, {0, 65535}},
		 {"quiet", false, RULES_ECHO, 0, {{0}}, {0, 65535}}},
};

static int set_up(void **state)
{
	memset(&policy, 0, sizeof(policy));
	policy.rules.alias4 = net_addr4(0xc0a841fe);
	policy_set_rules(&policy, &settings);
	policy.configured = true;
	log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(log_fd >= 0);
	log_open("test", log_fd, LOG_INFO);
	return 0;
}

static int tear_down(void **state)
{
	log_open("test", STDERR_FILENO, LOG_INFO);
	close(log_fd);
	return 0;
}

static bool decide(enum rules_proto proto, uint32_t addr, uint16_t port)
{
	struct rules_verdict verdict;
	struct net_addr a = net_addr4(addr);

	policy_decide(&policy, proto, &a, port, &verdict);
	return verdict.allow;
}

static const char *logged(void)
{
	static char text[65536];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *p = logged(); *p; p++)
		n += *p == '\n';
	return n;
}

static void test_counters(void **state)
{
	assert_true(decide(RULES_TCP, 0x08080808, 443));
	assert_true(decide(RULES_UDP, 0x0a000001, 443));
	assert_true(decide(RULES_TCP, 0xc0a841fe, 22));
	assert_false(decide(RULES_TCP, 0x0a000001, 443));
	assert_false(decide(RULES_TCP, 0x7f000001, 80));
	assert_false(decide(RULES_ECHO, 0x08080808, 0));
	assert_int_equal(policy.allowed[RULE_EGRESS], 2);
	assert_int_equal(policy.allowed[RULE_HOST_ALIAS], 1);
	assert_int_equal(policy.refused[RULES_USER], 1);
	assert_int_equal(policy.refused[RULES_USER + 1], 1);
	assert_int_equal(policy.refused[RULE_LOOPBACK], 1);
	assert_int_equal(policy.refused[RULE_EGRESS], 0);
}

/* One line for each refused flow, with the rule's name; the same destination again is silent. */
static void test_log(void **state)
{
	for (int i = 0; i < 5; i++) {
		assert_false(decide(RULES_TCP, 0x0a000001, 443));
		assert_false(decide(RULES_ECHO, 0x08080808, 0));
	}
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(logged(), "refused tcp to 10.0.0.1:443 by rule office"));
	assert_non_null(strstr(logged(), "refused icmp to 8.8.8.8 by rule quiet"));
	assert_false(decide(RULES_TCP, 0x0a000001, 444));
	assert_int_equal(lines(), 3);
	assert_true(decide(RULES_TCP, 0x08080808, 444));
	assert_int_equal(lines(), 3);
}

/* A scan is counted in full and fills no log. */
static void test_scan(void **state)
{
	for (uint16_t port = 1; port < 10000; port++)
		assert_false(decide(RULES_TCP, 0x7f000001, port));
	assert_int_equal(policy.refused[RULE_LOOPBACK], 9999);
	assert_true(lines() <= POLICY_LOG_BURST + 5);
}

static void test_not_configured(void **state)
{
	policy.configured = false;
	assert_false(decide(RULES_TCP, 0x08080808, 443));
	assert_false(decide(RULES_TCP, 0xc0a841fe, 22));
	policy.configured = true;
	assert_true(decide(RULES_TCP, 0x08080808, 443));
}

/* New settings: a rule that is still there keeps its counters, another one begins anew. */
static void test_new_rules(void **state)
{
	struct netctl_rules other = settings;

	assert_false(decide(RULES_TCP, 0x0a000001, 443));
	assert_false(decide(RULES_ECHO, 0x08080808, 0));
	memcpy(other.user[1].name, "other", 6);
	policy_set_rules(&policy, &other);
	assert_int_equal(policy.refused[RULES_USER], 1);
	assert_int_equal(policy.refused[RULES_USER + 1], 0);
	other.n_user = 0;
	other.egress = false;
	policy_set_rules(&policy, &other);
	assert_int_equal(policy.refused[RULES_USER], 0);
	assert_false(decide(RULES_TCP, 0x08080808, 443));
	assert_int_equal(policy.refused[RULE_EGRESS], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_scan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_configured, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_new_rules, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
