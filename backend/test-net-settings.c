/* SPDX-License-Identifier: Apache-2.0 */
/* test-net-settings: every text that must be refused when it is set, with its reason, and its allowed twin. */
#include "base/test.h"

#include <string.h>

#include "backend/net-settings.h"

static const char *reason;

static void subnets(void **state)
{
	static const char *const bad[] = {"", "192.168.65.0", "192.168.65.0/16", "192.168.65.0/24 ", "192.168.65.1/24", "8.8.8.0/24",
					  "172.32.0.0/24", "172.15.0.0/24", "172.17.5.0/24", "192.169.0.0/24", "127.0.0.0/24",
					  "169.254.1.0/24", "fd00::/24", "010.0.0.0/24", "1.2.3/24", "10.0.0.0/024",
					  "10.0.0.0.0.0.0.0.0.0.0/24"};
	uint32_t subnet;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		reason = NULL;
		if (net_settings_subnet(bad[i], &subnet, &reason) != -EINVAL || !reason)
			fail_msg("%s", bad[i]);
	}
	assert_int_equal(net_settings_subnet("192.168.65.0/24", &subnet, &reason), 0);
	assert_int_equal(subnet, 0xc0a84100);
	assert_int_equal(net_settings_subnet("10.0.0.0/24", &subnet, &reason), 0);
	assert_int_equal(net_settings_subnet("172.31.255.0/24", &subnet, &reason), 0);
}

static void host_access(void **state)
{
	static const char *const bad[] = {"", "some", "ALL", "0", "65536", "80,", ",80", "80-", "-80", "90-80", "80-90-100", "80 ",
					  "+80", "080", "all,80", "1-2,a"};
	struct netctl_rules rules = {.egress = true};
	char many[256] = "";

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		reason = NULL;
		if (net_settings_host_access(bad[i], &rules, &reason) != -EINVAL || !reason)
			fail_msg("%s", bad[i]);
	}
	assert_int_equal(net_settings_host_access("all", &rules, &reason), 0);
	assert_int_equal(rules.host, RULES_HOST_ALL);
	assert_int_equal(net_settings_host_access("none", &rules, &reason), 0);
	assert_int_equal(rules.host, RULES_HOST_NONE);
	assert_int_equal(net_settings_host_access("5432,8000-8100", &rules, &reason), 0);
	assert_int_equal(rules.host, RULES_HOST_PORTS);
	assert_int_equal(rules.n_host_ports, 2);
	assert_int_equal(rules.host_ports[0].first, 5432);
	assert_int_equal(rules.host_ports[0].last, 5432);
	assert_int_equal(rules.host_ports[1].last, 8100);
	assert_true(rules.egress);
	for (int i = 0; i < 33; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%s%d", i ? "," : "", i + 1);
	assert_int_equal(net_settings_host_access(many, &rules, &reason), -EINVAL);
	*strrchr(many, ',') = '\0';
	assert_int_equal(net_settings_host_access(many, &rules, &reason), 0);
}

static void built(void **state)
{
	const struct config_host host = {.cpus = 1, .memory_mib = 4096};
	struct config config;
	struct netctl_rules rules;
	json_t *list = json_pack("[s,s]", "deny tcp 10.0.0.0/8 22 name=no-ssh", "allow any 10.0.0.0/8");
	struct fault fault = FAULT_INIT;

	config_set_defaults(&config, &host);
	net_settings_rules(&config, &rules);
	assert_true(rules.egress);
	assert_int_equal(rules.host, RULES_HOST_ALL);
	assert_int_equal(rules.n_user, 0);
	assert_int_equal(config_change(&config, &host, CONFIG_NETWORK_RULES, list, &fault), 0);
	config.value[CONFIG_EGRESS] = CONFIG_EGRESS_DENY;
	net_settings_rules(&config, &rules);
	assert_false(rules.egress);
	assert_int_equal(rules.n_user, 2);
	assert_string_equal(rules.user[0].name, "no-ssh");
	assert_true(rules.user[1].allow);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subnets), cmocka_unit_test(host_access), cmocka_unit_test(built),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
