/* SPDX-License-Identifier: Apache-2.0 */
/* test-classify: the engine's own calls, and their neighbours that mean nothing here. */
#include "base/test.h"

#include <string.h>

#include "base/cleanup.h"
#include "guest/iptables/classify.h"

static struct classify run(const char *line)
{
	static char text[512];
	static char *argv[64];
	struct classify c;
	int argc = 0;

	strncpy(text, line, sizeof(text) - 1);
	for (char *save = NULL, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	classify(&c, argc, argv);
	return c;
}

static void begins_and_ends(void **state _unused_)
{
	struct classify c = run("iptables --wait -t nat -I DOCKER-INGRESS -p tcp --dport 8080 -j DNAT --to-destination "
				"172.18.0.2:8080");

	assert_int_equal(c.kind, CLASSIFY_BEGIN);
	assert_string_equal(c.protocol, "tcp");
	assert_string_equal(c.port, "8080");
	c = run("iptables --wait -t nat -D DOCKER-INGRESS -p udp --dport 53 -j DNAT --to-destination 172.18.0.2:53");
	assert_int_equal(c.kind, CLASSIFY_END);
	assert_string_equal(c.protocol, "udp");
	assert_int_equal(run("iptables --wait -t nat -F DOCKER-INGRESS").kind, CLASSIFY_END_ALL);
}

static void neighbours(void **state _unused_)
{
	static const char *const lines[] = {
		"iptables",
		"iptables --version",
		"iptables --wait -t nat -C DOCKER-INGRESS -p tcp --dport 80 -j DNAT --to-destination 172.18.0.2:80",
		"iptables --wait -t nat -I DOCKER-INGRESS -j RETURN",
		"iptables --wait -t filter -I DOCKER-INGRESS -p tcp --dport 80 -j ACCEPT",
		"iptables --wait -I DOCKER-INGRESS -p tcp --dport 80 -j ACCEPT",
		"iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 80 -j DNAT --to-destination 172.17.0.2:80",
		"iptables --wait -t nat -I PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
		"iptables --wait -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
		"iptables --wait -t nat -N DOCKER-INGRESS",
		"iptables --wait -t nat -I DOCKER-INGRESS -p sctp --dport 80 -j DNAT --to-destination 172.18.0.2:80",
		"iptables --wait -t nat -I DOCKER-INGRESS -p tcp --dport 0 -j DNAT --to-destination 172.18.0.2:80",
		"iptables --wait -t nat -I DOCKER-INGRESS -p tcp --dport 65536 -j DNAT --to-destination 172.18.0.2:80",
		"iptables --wait -t nat -I DOCKER-INGRESS -p tcp --dport 80:90 -j DNAT --to-destination 172.18.0.2:80",
		"iptables --wait -t nat -I DOCKER-INGRESS -p tcp --dport",
		"iptables --wait -F DOCKER-INGRESS",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(run(lines[i]).kind, CLASSIFY_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(begins_and_ends), cmocka_unit_test(neighbours)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
