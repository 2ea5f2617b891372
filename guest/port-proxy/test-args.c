/* SPDX-License-Identifier: Apache-2.0 */
/* test-args: dockerd's command line, others that are refused, and the words that users see. */
#include "base/test.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "guest/port-proxy/args.h"
#include "proto/agent.h"

static struct args args;

static int parse(const char *line)
{
	static char text[512];
	char *argv[64];
	int argc = 0;

	strncpy(text, line, sizeof(text) - 1);
	for (char *save = NULL, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	return args_parse(&args, argc, argv);
}

static const char *words(uint32_t status)
{
	static char text[ARGS_WORDS_MAX];

	args_words(&args, status, text);
	return text;
}

static void dockerd(void **state _unused_)
{
	assert_int_equal(parse("p -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80"), 0);
	assert_int_equal(args.mode, ARGS_PROXY);
	assert_int_equal(args.protocol, ARGS_TCP);
	assert_int_equal(args.host_port, 8080);
	assert_int_equal(args.target_port, 80);
	assert_true(net_addr_equal(&args.target, &(struct net_addr){{[10] = 255, 255, 172, 17, 0, 2}}));
	assert_string_equal(words(AGENT_PORT_IN_USE), "listen tcp4 0.0.0.0:8080: bind: address already in use");
	assert_int_equal(parse("p --proto=udp --host-ip=:: --host-port=53 -container-ip fd00::2 -container-port 5353"), 0);
	assert_int_equal(args.protocol, ARGS_UDP);
	assert_string_equal(words(AGENT_PORT_NO_PRIVILEGE),
			    "listen udp6 [::]:53: bind: permission denied (ports below 1024 need the privileged helper: see caisson "
			    "help ports, or set net.ipv4.ip_unprivileged_port_start)");
	assert_int_equal(parse("p -proto sctp -host-ip 0.0.0.0 -host-port 1 -container-ip 172.17.0.2 -container-port 80"), 0);
	assert_string_equal(words(AGENT_PORT_UNSUPPORTED), "listen sctp 0.0.0.0:1: bind: protocol not supported");
	for (uint32_t i = 1; i < AGENT_PORT_STATUS_MAX; i++)
		assert_null(strstr(words(i), "bind: refused"));
	assert_non_null(strstr(words(AGENT_PORT_STATUS_MAX), "bind: refused"));
	assert_non_null(strstr(words(AGENT_PORT_DENIED), "no request on the host"));
}

static void holders(void **state _unused_)
{
	assert_int_equal(parse("p -hold -proto tcp -host-port 80"), 0);
	assert_int_equal(args.mode, ARGS_HOLD);
	assert_int_equal(parse("p -unhold -proto udp -host-port 80"), 0);
	assert_int_equal(args.mode, ARGS_UNHOLD);
	assert_int_equal(parse("p -unhold-all"), 0);
	assert_int_equal(args.mode, ARGS_UNHOLD_ALL);
}

static void refused(void **state _unused_)
{
	static const char *const lines[] = {
		"p", "p x", "p -", "p --", "p -proto", "p -hold", "p -hold=1 -proto tcp -host-port 80", "p -unhold-all -proto tcp",
		"p -hold -unhold -proto tcp -host-port 80",
		"p -proto icmp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2 -container-port 80",
		"p -proto tcp -host-ip localhost -host-port 80 -container-ip 172.17.0.2 -container-port 80",
		"p -proto tcp -host-ip 0.0.0.0 -host-port 0 -container-ip 172.17.0.2 -container-port 80",
		"p -proto tcp -host-ip 0.0.0.0 -host-port 65536 -container-ip 172.17.0.2 -container-port 80",
		"p -proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2",
		"p -proto tcp -proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2 -container-port 80",
		"p -proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2 -container-port 80 -use-listen-fd",
		"p -proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2 -container-port 80 -hold",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(parse(lines[i]), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(dockerd), cmocka_unit_test(holders), cmocka_unit_test(refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
