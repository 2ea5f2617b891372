/* SPDX-License-Identifier: Apache-2.0 */
/* test-port: conversations of machine, agent and init over socket pairs. */
#include "base/test.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "guest/agent/port.h"
#include "guest/init-link.h"
#include "proto/agent.h"

static struct loop *loop;
static struct port *port;
static int machine[2], init[2];

static int setup(void **state _unused_)
{
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, machine), 0);
	assert_int_equal(sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, init), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(port_new(loop, machine[1], init[1], &port), 0);
	return 0;
}

static int teardown(void **state _unused_)
{
	port = port_free(port);
	loop = loop_free(loop);
	for (int i = 0; i < 2; i++) {
		close(machine[i]);
		close(init[i]);
	}
	return 0;
}

static void ask(struct agent_message m)
{
	uint8_t frame[AGENT_FRAME_MAX];
	int len = agent_encode(&m, frame);

	assert_int_equal(send(machine[0], frame, (size_t)len, 0), len);
}

static struct agent_message hear(void)
{
	uint8_t frame[AGENT_FRAME_MAX];
	struct agent_message m;
	ssize_t n = recv(machine[0], frame, sizeof(frame), 0);

	assert_true(n > 0);
	assert_int_equal(agent_decode(&m, AGENT_TO_MACHINE, frame, (size_t)n), n);
	return m;
}

static void test_ping(void **state _unused_)
{
	struct agent_message m;

	ask((struct agent_message){AGENT_PING, 42, .ping = {0xabcdef}});
	assert_int_equal(loop_step(loop, 100), 1);
	m = hear();
	assert_int_equal(m.type, AGENT_PONG);
	assert_int_equal(m.seq, 42);
	assert_int_equal(m.ping.token, 0xabcdef);
}

static void test_stats(void **state _unused_)
{
	struct agent_message m;

	ask((struct agent_message){AGENT_STATS_GET, 7});
	assert_int_equal(loop_step(loop, 100), 1);
	m = hear();
	assert_int_equal(m.type, AGENT_STATS);
	assert_int_equal(m.seq, 7);
	assert_true(m.stats.mem_total > 1 << 20);
	assert_true(m.stats.mem_available > 0 && m.stats.mem_available <= m.stats.mem_total);
	assert_true(m.stats.uptime_us > 0);
}

static void test_forwarded(void **state _unused_)
{
	struct init_link_message m;

	ask((struct agent_message){AGENT_TIME, 1, .time = {1795305600000000000}});
	ask((struct agent_message){AGENT_SHUTDOWN, 2, .shutdown = {30000}});
	assert_int_equal(loop_step(loop, 100), 1);
	assert_int_equal(recv(init[0], &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(m.type, INIT_LINK_TIME);
	assert_int_equal(m.reserved, 0);
	assert_true(m.value == 1795305600000000000);
	assert_int_equal(recv(init[0], &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(m.type, INIT_LINK_SHUTDOWN);
	assert_int_equal(m.value, 30000);
}

static void test_frame_in_pieces(void **state _unused_)
{
	struct agent_message m = {AGENT_PING, 9, .ping = {1}};
	uint8_t frame[AGENT_FRAME_MAX];
	int len = agent_encode(&m, frame);

	for (int i = 0; i < len; i++) {
		assert_int_equal(recv(machine[0], &m, 1, 0), -1);
		assert_int_equal(send(machine[0], frame + i, 1, 0), 1);
		assert_int_equal(loop_step(loop, 100), 1);
	}
	assert_int_equal(hear().seq, 9);
}

static void test_many_frames_at_once(void **state _unused_)
{
	for (uint32_t i = 0; i < 200; i++)
		ask((struct agent_message){AGENT_PING, i});
	while (loop_step(loop, 0) == 1)
		;
	for (uint32_t i = 0; i < 200; i++) {
		uint8_t frame[AGENT_HEADER_SIZE + 8];
		struct agent_message m;

		assert_int_equal(recv(machine[0], frame, sizeof(frame), 0), sizeof(frame));
		assert_int_equal(agent_decode(&m, AGENT_TO_MACHINE, frame, sizeof(frame)), sizeof(frame));
		assert_int_equal(m.seq, i);
	}
}

static void test_malformed_ends(void **state _unused_)
{
	assert_int_equal(send(machine[0], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	assert_int_equal(loop_step(loop, 100), -EBADMSG);
}

/* What only the guest may send is refused from the machine. */
static void test_wrong_direction_ends(void **state _unused_)
{
	ask((struct agent_message){AGENT_STAGE, 1, .stage = {AGENT_STAGE_ENGINE, 1}});
	assert_int_equal(loop_step(loop, 100), -EBADMSG);
}

static void test_full_port_loses_answers(void **state _unused_)
{
	static char filler[65536];

	while (send(machine[1], filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	while (send(machine[1], filler, 1, MSG_DONTWAIT) > 0)
		;
	ask((struct agent_message){AGENT_PING, 1});
	assert_int_equal(loop_step(loop, 100), 1);
}

static void test_hang_up_does_not_spin(void **state _unused_)
{
	assert_int_equal(shutdown(machine[0], SHUT_RDWR), 0);
	assert_int_equal(loop_step(loop, 100), 1);
	assert_int_equal(loop_step(loop, 20), 0);
}

#define PORT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(test_ping),		  PORT_TEST(test_stats),
		PORT_TEST(test_forwarded),	  PORT_TEST(test_frame_in_pieces),
		PORT_TEST(test_many_frames_at_once), PORT_TEST(test_malformed_ends),
		PORT_TEST(test_wrong_direction_ends), PORT_TEST(test_full_port_loses_answers),
		PORT_TEST(test_hang_up_does_not_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
