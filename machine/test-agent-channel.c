/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-agent-channel: what a guest may say and what ends the conversation (BCK-01, BCK-03, VM-11).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "machine/agent-channel.h"

static struct loop *loop;
static struct agent_channel *channel;
static int far_fd, n_messages, n_broken;
static struct fault last_fault;

static int message_result;

static int on_message(void *data, const struct agent_message *message)
{
	n_messages++;
	return message_result;
}

static void on_broken(void *data, const struct fault *fault)
{
	n_broken++;
	last_fault = *fault;
}

static const struct agent_channel_ops ops = {.message = on_message, .broken = on_broken};

static int setup(void **state)
{
	int pair[2];

	n_messages = n_broken = message_result = 0;
	if (loop_new(&loop) || sock_pair(SOCK_STREAM, pair))
		return -1;
	far_fd = pair[1];
	return agent_channel_new(loop, pair[0], &ops, NULL, &channel);
}

static int teardown(void **state)
{
	agent_channel_free(channel);
	loop_free(loop);
	close(far_fd);
	return 0;
}

static void run(void)
{
	while (loop_step(loop, 10) > 0)
		;
}

static void say(struct agent_message m)
{
	uint8_t frame[AGENT_FRAME_MAX];
	int n = agent_encode(&m, frame);

	assert_true(n > 0);
	/* Byte by byte at first: a frame may arrive in any pieces. */
	assert_int_equal(write(far_fd, frame, 1), 1);
	run();
	assert_int_equal(write(far_fd, frame + 1, (size_t)n - 1), n - 1);
	run();
}

static const struct agent_message hello = {.type = AGENT_HELLO, .hello = {.version = AGENT_VERSION}};
static const struct agent_message stage = {.type = AGENT_STAGE, .stage = {.stage = AGENT_STAGE_ROOT}};

static void good(void **state)
{
	struct agent_message out = {.type = AGENT_SHUTDOWN, .shutdown = {.deadline_ms = 1}};
	uint8_t buf[AGENT_FRAME_MAX];

	say(hello);
	say(stage);
	assert_int_equal(n_messages, 2);
	assert_int_equal(n_broken, 0);
	assert_int_equal(agent_channel_send(channel, &out), 0);
	assert_true(recv(far_fd, buf, sizeof(buf), MSG_DONTWAIT) > AGENT_HEADER_SIZE);
}

static void no_hello(void **state)
{
	say(stage);
	assert_int_equal(n_messages, 0);
	assert_int_equal(n_broken, 1);
	assert_non_null(strstr(last_fault.text, "greet"));
}

static void other_version(void **state)
{
	struct agent_message m = hello;

	m.hello.version = AGENT_VERSION + 1;
	say(m);
	assert_int_equal(n_broken, 1);
	assert_int_equal(agent_channel_send(channel, &m), -ENOTCONN);
}

static void garbage(void **state)
{
	say(hello);
	assert_int_equal(write(far_fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	run();
	assert_int_equal(n_broken, 1);
}

/* A message of the machine's own direction is no message of the guest. */
static void wrong_direction(void **state)
{
	struct agent_message m = {.type = AGENT_SHUTDOWN, .shutdown = {.deadline_ms = 1}};

	say(hello);
	say(m);
	assert_int_equal(n_messages, 1);
	assert_int_equal(n_broken, 1);
}

static void flood(void **state)
{
	uint8_t frame[AGENT_FRAME_MAX];
	int n = agent_encode(&stage, frame);

	say(hello);
	for (int i = 0; i < 1000 && !n_broken; i++) {
		(void)!send(far_fd, frame, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
		loop_step(loop, 0);
	}
	assert_int_equal(n_broken, 1);
	assert_in_range(n_messages, AGENT_CHANNEL_BURST / 2, 2 * AGENT_CHANNEL_BURST);
	assert_non_null(strstr(last_fault.text, "too many"));
}

/* BCK-03: every start of an engine may bring all its ports at once, a hundred thousand a second ends the VM. */
static void flood_of_ports(void **state)
{
	struct agent_message m = {.type = AGENT_PORT_CLOSE, .port_close = {1}};
	uint8_t frame[AGENT_FRAME_MAX];
	int n = agent_encode(&m, frame), sent = 0;

	say(hello);
	while (sent < 2 * AGENT_PORTS_MAX) {
		if (send(far_fd, frame, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
			sent++;
		loop_step(loop, 0);
	}
	run();
	assert_int_equal(n_broken, 0);
	assert_int_equal(n_messages, 1 + 2 * AGENT_PORTS_MAX);
	say(stage); /* not charged to the same account */
	for (int i = 0; i < 100000 && !n_broken; i++) {
		(void)!send(far_fd, frame, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
		loop_step(loop, 0);
	}
	assert_int_equal(n_broken, 1);
	assert_non_null(strstr(last_fault.text, "too many"));
}

static void a_broken_rule_ends_it(void **state)
{
	say(hello);
	message_result = -EBADMSG;
	say(stage);
	assert_int_equal(n_broken, 1);
	assert_non_null(strstr(last_fault.text, "rule"));
}

static void deaf_guest_is_bounded(void **state)
{
	struct agent_message m = {.type = AGENT_PING};
	int r = 0;

	for (int i = 0; i < 100000 && !r; i++)
		r = agent_channel_send(channel, &m);
	assert_int_equal(r, -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good, setup, teardown),
		cmocka_unit_test_setup_teardown(no_hello, setup, teardown),
		cmocka_unit_test_setup_teardown(other_version, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_direction, setup, teardown),
		cmocka_unit_test_setup_teardown(flood, setup, teardown),
		cmocka_unit_test_setup_teardown(flood_of_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_rule_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(deaf_guest_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
