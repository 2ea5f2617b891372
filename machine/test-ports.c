/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-ports: what the guest may ask about ports and subnets, what the backend hears of it, and what it never hears.
 */
#include "base/test.h"

#include <string.h>

#include "machine/ports.h"

static struct ports *ports;
static struct machine_message said[AGENT_PORTS_MAX * 2 + 8];
static struct agent_message answers[AGENT_PORTS_MAX + 8];
static size_t n_said, n_answers, room;
static bool gone;

static int to_backend(void *data, const struct machine_message *message)
{
	if (gone)
		return -ENOTCONN;
	if (n_said >= room)
		return -EAGAIN;
	said[n_said++] = *message;
	return 0;
}

static void to_agent(void *data, struct agent_message *message)
{
	answers[n_answers++] = *message;
}

static const struct ports_ops ops = {.backend = to_backend, .agent = to_agent};

static int setup(void **state)
{
	n_said = n_answers = 0;
	room = ARRAY_SIZE(said);
	gone = false;
	return ports_new(&ops, NULL, &ports);
}

static int teardown(void **state)
{
	ports_free(ports);
	return 0;
}

static struct agent_message port(uint32_t id)
{
	return (struct agent_message){.type = AGENT_PORT_OPEN,
				      .port_open = {id, false, (uint16_t)(1024 + id % 60000), 80, net_addr4(0),
						    net_addr4(0xac110002)}};
}

static int open_port(uint32_t id)
{
	struct agent_message m = port(id);

	return ports_agent(ports, &m);
}

static int simple(enum agent_type type, uint32_t id)
{
	struct agent_message m = {.type = type, .port_close = {id}};

	return ports_agent(ports, &m);
}

static void result(uint32_t id, uint32_t status)
{
	struct machine_message m = {.type = MACHINE_PORT_RESULT, .port_result = {id, status}};

	ports_backend(ports, &m);
}

static void open_answer_close(void **state)
{
	uint32_t id;

	assert_int_equal(open_port(7), 0);
	assert_int_equal(n_said, 1);
	assert_int_equal(said[0].type, MACHINE_PORT_OPEN);
	assert_int_equal(said[0].port_open.target_port, 80);
	id = said[0].port_open.id;
	assert_int_equal(n_answers, 0);
	result(id, AGENT_PORT_OK);
	assert_int_equal(n_answers, 1);
	assert_int_equal(answers[0].port_result.id, 7);
	result(id, AGENT_PORT_IN_USE); /* only the first answer counts */
	assert_int_equal(n_answers, 1);
	assert_int_equal(simple(AGENT_PORT_CLOSE, 7), 0);
	assert_int_equal(said[1].type, MACHINE_PORT_CLOSE);
	assert_int_equal(said[1].port_close.id, id);
	/* The same place gets another number: a late answer meets nobody. */
	assert_int_equal(open_port(7), 0);
	assert_int_not_equal(said[2].port_open.id, id);
	result(id, AGENT_PORT_DENIED);
	assert_int_equal(n_answers, 1);
	assert_false(ports_pending(ports));
}

static void refused_port_is_free_again(void **state)
{
	assert_int_equal(open_port(1), 0);
	result(said[0].port_open.id, AGENT_PORT_IN_USE);
	assert_int_equal(answers[0].port_result.status, AGENT_PORT_IN_USE);
	assert_int_equal(simple(AGENT_PORT_CLOSE, 1), 0); /* crossed the refusal */
	assert_int_equal(n_said, 1);
	assert_int_equal(open_port(1), 0);
}

static void doubled_id_is_a_broken_rule(void **state)
{
	assert_int_equal(open_port(1), 0);
	assert_int_equal(open_port(1), -EBADMSG);
	assert_int_equal(simple(AGENT_PORT_CLOSE, 2), 0);
	assert_int_equal(n_said, 1);
}

static void addresses_that_are_none_stay_here(void **state)
{
	static const uint32_t bad_targets[] = {0, 0x00000001, 0x7f000001, 0xa9fea9fe, 0xe0000001, 0xffffffff, 0xf0000001};
	static const uint32_t bad_hosts[] = {0x00000001, 0xa9fe0001, 0xe0000001, 0xffffffff};
	static const struct net_addr bad6[] = {{{0xfe, 0x80, [15] = 1}}, {{0xfe, 0xbf}}, {{0xff, 2, [15] = 1}}};
	static const struct net_addr loopback6 = {{[15] = 1}}, any6;
	struct agent_message m;
	uint32_t id = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bad_targets); i++) {
		m = port(++id);
		m.port_open.target = net_addr4(bad_targets[i]);
		assert_int_equal(ports_agent(ports, &m), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_hosts); i++) {
		m = port(++id);
		m.port_open.host = net_addr4(bad_hosts[i]);
		assert_int_equal(ports_agent(ports, &m), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad6); i++) {
		m = port(++id);
		m.port_open.host = bad6[i];
		assert_int_equal(ports_agent(ports, &m), 0);
		m = port(++id);
		m.port_open.target = bad6[i];
		assert_int_equal(ports_agent(ports, &m), 0);
	}
	m = port(++id);
	m.port_open.target = loopback6;
	assert_int_equal(ports_agent(ports, &m), 0);
	m = port(++id);
	m.port_open.target = any6;
	assert_int_equal(ports_agent(ports, &m), 0);
	assert_int_equal(n_answers, id);
	for (size_t i = 0; i < n_answers; i++)
		assert_int_equal(answers[i].port_result.status, AGENT_PORT_ADDRESS);
	assert_int_equal(n_said, 0);
	/* The twins: any address and loopback of the host, an ordinary target of the other family. */
	m = port(++id);
	m.port_open.host = any6;
	assert_int_equal(ports_agent(ports, &m), 0);
	m = port(++id);
	m.port_open.host = net_addr4(0x7f000001);
	assert_int_equal(ports_agent(ports, &m), 0);
	assert_int_equal(n_said, 2);
}

static void full_table_is_told(void **state)
{
	for (uint32_t i = 1; i <= AGENT_PORTS_MAX; i++)
		assert_int_equal(open_port(i), 0);
	assert_int_equal(n_answers, 0);
	assert_int_equal(open_port(AGENT_PORTS_MAX + 1), 0);
	assert_int_equal(n_answers, 1);
	assert_int_equal(answers[0].port_result.status, AGENT_PORT_LIMIT);
	assert_int_equal(simple(AGENT_PORT_CLOSE, 17), 0);
	assert_int_equal(open_port(AGENT_PORTS_MAX + 1), 0);
	assert_int_equal(n_answers, 1);
}

static void slow_backend_hears_the_state_not_the_story(void **state)
{
	room = 1;
	assert_int_equal(open_port(1), 0);
	result(said[0].port_open.id, AGENT_PORT_OK);
	assert_int_equal(open_port(2), 0);
	assert_int_equal(open_port(3), 0);
	assert_int_equal(simple(AGENT_PORT_CLOSE, 1), 0);
	assert_int_equal(simple(AGENT_PORT_CLOSE, 2), 0); /* was never told */
	assert_int_equal(open_port(1), 0);		  /* the guest may use the number again */
	assert_true(ports_pending(ports));
	assert_int_equal(n_said, 1);
	room = 2;
	ports_flush(ports);
	assert_int_equal(said[1].type, MACHINE_PORT_CLOSE); /* before what may want its place */
	assert_int_equal(said[1].port_close.id, said[0].port_open.id);
	room = ARRAY_SIZE(said);
	ports_flush(ports);
	assert_int_equal(n_said, 4);
	assert_false(ports_pending(ports));
}

static void reset_forgets_everything(void **state)
{
	uint32_t old;

	assert_int_equal(open_port(1), 0);
	old = said[0].port_open.id;
	assert_int_equal(open_port(2), 0);
	room = n_said;
	assert_int_equal(simple(AGENT_PORT_CLOSE, 2), 0);
	assert_int_equal(open_port(3), 0);
	assert_int_equal(simple(AGENT_PORT_RESET, 0), 0);
	assert_int_equal(open_port(1), 0);
	room = ARRAY_SIZE(said);
	ports_flush(ports);
	assert_int_equal(n_said, 4);
	assert_int_equal(said[2].type, MACHINE_PORT_RESET);
	assert_int_equal(said[3].type, MACHINE_PORT_OPEN);
	result(old, AGENT_PORT_OK);
	assert_int_equal(n_answers, 0);
	result(said[3].port_open.id, AGENT_PORT_OK);
	assert_int_equal(n_answers, 1);
}

static void no_backend_is_said(void **state)
{
	gone = true;
	assert_int_equal(open_port(1), 0);
	assert_int_equal(n_answers, 1);
	assert_int_equal(answers[0].port_result.status, AGENT_PORT_UNAVAILABLE);
	assert_false(ports_pending(ports));
}

static int net(uint32_t index, uint32_t n, uint32_t addr)
{
	struct agent_message m = {.type = AGENT_NET, .net = {index, n, n ? net_addr4(addr) : (struct net_addr){{0}}, 112}};

	return ports_agent(ports, &m);
}

static void subnets_come_whole(void **state)
{
	assert_int_equal(net(0, 2, 0xac110000), 0);
	assert_int_equal(n_said, 0);
	assert_int_equal(net(1, 2, 0xac120000), 0);
	assert_int_equal(n_said, 1);
	assert_int_equal(said[0].type, MACHINE_GUEST_NETS);
	assert_int_equal(said[0].guest_nets.n, 2);
	assert_int_equal(said[0].guest_nets.net[1].prefix_len, 112);
	room = 1;
	assert_int_equal(net(0, 1, 0xac110000), 0);
	assert_int_equal(net(0, 0, 0), 0);
	room = 2;
	ports_flush(ports);
	assert_int_equal(said[1].guest_nets.n, 0); /* only the last one counts */
	assert_int_equal(net(0, 3, 0xac110000), 0);
	assert_int_equal(net(2, 3, 0xac110000), -EBADMSG);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(open_answer_close), TEST(refused_port_is_free_again), TEST(doubled_id_is_a_broken_rule),
		TEST(addresses_that_are_none_stay_here), TEST(full_table_is_told),
		TEST(slow_backend_hears_the_state_not_the_story), TEST(reset_forgets_everything),
		TEST(no_backend_is_said), TEST(subnets_come_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
