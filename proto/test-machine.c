/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-machine: every message survives a round trip; what is not exactly a message is refused with the key's name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/machine.h"

#define PORT(id, proto, host, port, target, target_port)                                                          \
	"{\"type\":\"port-open\",\"id\":" id ",\"protocol\":\"" proto "\",\"host_ip\":\"" host "\",\"host_port\":" port          \
	",\"target_ip\":\"" target "\",\"target_port\":" target_port "}"

static struct machine_message in, out;
static char buf[MACHINE_FRAME_MAX];

static void round_trip(void)
{
	int n = machine_encode(&in, buf, sizeof(buf));
	struct fault fault = FAULT_INIT;
	char again[MACHINE_FRAME_MAX];

	assert_true(n > 0);
	assert_int_equal(machine_decode(&out, buf, (size_t)n, &fault), 0);
	assert_int_equal(machine_encode(&out, again, sizeof(again)), n);
	assert_memory_equal(buf, again, n);
}

static void all_types(void **state)
{
	in = (struct machine_message){.type = MACHINE_LAUNCH, .launch = {.cpus = 2, .memory_mib = 2048, .disk_mib = 65536}};
	strcpy(in.launch.image_dir, "/opt/a b,c\"d");
	strcpy(in.launch.data_dir, "/d");
	strcpy(in.launch.run_dir, "/r");
	strcpy(in.launch.log_dir, "/l");
	memset(in.launch.cache_dir, 'x', 3000);
	in.launch.cache_dir[0] = in.launch.cache_dir[200] = '/';
	round_trip();
	assert_string_equal(out.launch.image_dir, "/opt/a b,c\"d");
	in = (struct machine_message){.type = MACHINE_SHUTDOWN, .shutdown = {.deadline_ms = 15000, .force = true}};
	round_trip();
	assert_true(out.shutdown.force);
	in = (struct machine_message){.type = MACHINE_STATS_GET};
	round_trip();
	for (int s = 0; s < MACHINE_STATE_MAX; s++) {
		in = (struct machine_message){.type = MACHINE_STATE_IS};
		in.state.state = (enum machine_state)s;
		in.state.accel = MACHINE_ACCEL_TCG;
		in.state.fault.code = -5;
		strcpy(in.state.fault.text, "the disk, \"full\"");
		round_trip();
		assert_int_equal(out.state.state, s);
		assert_int_equal(out.state.fault.code, -5);
	}
	in = (struct machine_message){.type = MACHINE_STAGE, .stage = {.name = "kernel", .elapsed_us = 4055307}};
	round_trip();
	in = (struct machine_message){.type = MACHINE_STATS};
	in.stats.mem_total = INT64_MAX;
	in.stats.qemu_pid = 17;
	round_trip();
	assert_int_equal(out.stats.qemu_pid, 17);
	in.stats.mem_total = UINT64_MAX;
	assert_int_equal(machine_encode(&in, buf, sizeof(buf)), -EINVAL);
}

static void network_types(void **state)
{
	in = (struct machine_message){.type = MACHINE_NET_LINK};
	round_trip();
	assert_int_equal(machine_n_fds(in.type), 1);
	in = (struct machine_message){.type = MACHINE_PORT_RESET};
	round_trip();
	assert_int_equal(machine_n_fds(in.type), 0);
	in = (struct machine_message){.type = MACHINE_PORT_OPEN, .port_open = {.id = UINT32_MAX, .udp = true,
		.host = {{0}}, .target = net_addr4(0xac110002), .host_port = 65535, .target_port = 1}};
	round_trip();
	assert_non_null(strstr(buf, "\"host_ip\":\"::\""));
	assert_non_null(strstr(buf, "\"target_ip\":\"172.17.0.2\""));
	assert_true(out.port_open.udp);
	assert_true(net_addr_equal(&out.port_open.target, &in.port_open.target));
	in = (struct machine_message){.type = MACHINE_PORT_CLOSE, .port_close = {7}};
	round_trip();
	assert_int_equal(out.port_close.id, 7);
	for (uint32_t i = 0; i < AGENT_PORT_STATUS_MAX; i++) {
		in = (struct machine_message){.type = MACHINE_PORT_RESULT, .port_result = {8, i}};
		round_trip();
		assert_int_equal(out.port_result.status, i);
	}
	in.port_result.status++;
	assert_int_equal(machine_encode(&in, buf, sizeof(buf)), -EINVAL);
	in = (struct machine_message){.type = MACHINE_GUEST_NETS};
	round_trip();
	assert_int_equal(out.guest_nets.n, 0);
	in.guest_nets.n = NETCTL_NETS_MAX;
	for (size_t i = 0; i < NETCTL_NETS_MAX; i++) {
		in.guest_nets.net[i] = (struct netctl_net){.prefix_len = 128};
		memset(in.guest_nets.net[i].addr.byte, 0xfd, 16);
	}
	in.guest_nets.net[1] = (struct netctl_net){net_addr4(0xac110000), 112};
	round_trip(); /* the longest list fits into a record */
	assert_non_null(strstr(buf, "\"172.17.0.0/16\""));
	assert_int_equal(out.guest_nets.net[1].prefix_len, 112);
	in.guest_nets.net[0].prefix_len = 64; /* bits behind the prefix */
	assert_int_equal(machine_encode(&in, buf, sizeof(buf)), -EINVAL);
}

static void bad_messages(void **state)
{
	static const char *const bad[] = {
		"", "{", "null", "[]", "7", "{}", "{\"type\":7}", "{\"type\":\"exec\"}",
		"{\"type\":\"stats-get\",\"x\":1}",
		"{\"type\":\"shutdown\",\"deadline_ms\":-1,\"force\":false}",
		"{\"type\":\"shutdown\",\"deadline_ms\":1}",
		"{\"type\":\"shutdown\",\"deadline_ms\":1,\"force\":0}",
		"{\"type\":\"shutdown\",\"deadline_ms\":1,\"force\":true,\"force\":false}",
		"{\"type\":\"shutdown\",\"deadline_ms\":1,\"force\":true,\"also\":1}",
		"{\"type\":\"shutdown\",\"deadline_ms\":1e3,\"force\":true}",
		"{\"type\":\"stage\",\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"elapsed_us\":1}",
		"{\"type\":\"launch\",\"mtu\":1500,\"cpus\":2,\"memory_mib\":1,\"disk_mib\":1,\"accel\":\"hvf\",\"image_dir\":\"/a\","
		"\"data_dir\":\"/a\",\"run_dir\":\"/a\",\"log_dir\":\"/a\",\"cache_dir\":\"/a\"}",
		"{\"type\":\"launch\",\"mtu\":1500,\"cpus\":0,\"memory_mib\":1,\"disk_mib\":1,\"accel\":\"tcg\",\"image_dir\":\"/a\","
		"\"data_dir\":\"/a\",\"run_dir\":\"/a\",\"log_dir\":\"/a\",\"cache_dir\":\"/a\"}",
		"{\"type\":\"launch\",\"mtu\":1500,\"cpus\":1,\"memory_mib\":1,\"disk_mib\":1,\"accel\":\"tcg\",\"image_dir\":\"a\","
		"\"data_dir\":\"/a\",\"run_dir\":\"/a\",\"log_dir\":\"/a\",\"cache_dir\":\"/a\"}",
		"{\"type\":\"launch\",\"mtu\":1500,\"cpus\":1,\"memory_mib\":1,\"disk_mib\":1,\"accel\":\"tcg\",\"image_dir\":\"/a/../b\","
		"\"data_dir\":\"/a\",\"run_dir\":\"/a\",\"log_dir\":\"/a\",\"cache_dir\":\"/a\"}",
		"{\"type\":\"launch\",\"mtu\":1279,\"cpus\":1,\"memory_mib\":1,\"disk_mib\":1,\"accel\":\"tcg\",\"image_dir\":\"/a\","
		"\"data_dir\":\"/a\",\"run_dir\":\"/a\",\"log_dir\":\"/a\",\"cache_dir\":\"/a\"}",
		"{\"type\":\"net-link\",\"fd\":3}",
		PORT("0", "tcp", "0.0.0.0", "80", "172.17.0.2", "80"), PORT("1", "sctp", "0.0.0.0", "80", "172.17.0.2", "80"),
		PORT("1", "tcp", "::ffff:10.0.0.1", "80", "172.17.0.2", "80"), PORT("1", "tcp", "0", "80", "172.17.0.2", "80"),
		PORT("1", "tcp", "localhost", "80", "172.17.0.2", "80"), PORT("1", "tcp", "0.0.0.0", "0", "172.17.0.2", "80"),
		PORT("1", "tcp", "0.0.0.0", "80", "172.17.0.2", "65536"), PORT("1", "tcp", "0.0.0.0", "80", "FD00::1", "80"),
		PORT("4294967296", "tcp", "0.0.0.0", "80", "172.17.0.2", "80"),
		"{\"type\":\"port-close\",\"id\":0}", "{\"type\":\"port-close\",\"id\":1,\"status\":\"ok\"}",
		"{\"type\":\"port-result\",\"id\":1}", "{\"type\":\"port-result\",\"id\":1,\"status\":\"maybe\"}",
		"{\"type\":\"guest-nets\",\"nets\":{}}", "{\"type\":\"guest-nets\",\"nets\":[1]}",
		"{\"type\":\"guest-nets\",\"nets\":[\"172.17.0.1/16\"]}", "{\"type\":\"guest-nets\",\"nets\":[\"172.17.0.0\"]}",
		"{\"type\":\"guest-nets\",\"nets\":[\"172.17.0.0/33\"]}", "{\"type\":\"guest-nets\",\"nets\":[\"fd00::/129\"]}",
		"{\"type\":\"guest-nets\",\"nets\":[\"fd00::/ 8\"]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fault fault = FAULT_INIT;

		assert_int_equal(machine_decode(&out, bad[i], strlen(bad[i]), &fault), -EBADMSG);
		assert_true(strlen(fault.text) > 0);
		assert_int_equal(machine_decode(&out, bad[i], strlen(bad[i]), NULL), -EBADMSG);
	}
	memset(buf, ' ', sizeof(buf));
	assert_int_equal(machine_encode(&in, buf, 4), -EINVAL);
}

static void names(void **state)
{
	enum machine_accel accel;

	for (int i = 0; i < MACHINE_ACCEL_MAX; i++) {
		assert_int_equal(machine_accel_parse(machine_accel_name((enum machine_accel)i), &accel), 0);
		assert_int_equal(accel, i);
	}
	assert_int_equal(machine_accel_parse("KVM", &accel), -EINVAL);
	assert_string_equal(machine_state_name((enum machine_state)9), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_types), cmocka_unit_test(network_types), cmocka_unit_test(bad_messages),
					   cmocka_unit_test(names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
