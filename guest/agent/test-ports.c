/* SPDX-License-Identifier: Apache-2.0 */
/* test-ports: conversations of machine, agent and port-proxies over sockets. */
#include "base/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "guest/agent/ports.h"
#include "guest/port-link.h"

static struct loop *loop;
static struct port *port;
static struct ports *ports;
static int machine[2], init[2], listen_fd;
static struct sockaddr_un address;

static void on_result(void *data _unused_, uint32_t id, uint32_t status)
{
	ports_result(ports, id, status);
}

static int on_writable(void *data _unused_)
{
	return ports_flush(ports);
}

static void start(uint32_t max)
{
	const struct port_hooks hooks = {on_result, on_writable, NULL};
	int small = 4096;

	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, machine), 0);
	assert_int_equal(setsockopt(machine[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, init), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(port_new(loop, machine[1], init[1], &port), 0);
	port_set_hooks(port, &hooks);
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/caisson-test-ports.%d", (int)getpid());
	unlink(address.sun_path);
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listen_fd, 128), 0);
	assert_int_equal(ports_new(loop, listen_fd, port, max, &ports), 0);
}

static int setup(void **state _unused_)
{
	start(AGENT_PORTS_MAX);
	return 0;
}

static int teardown(void **state _unused_)
{
	ports = ports_free(ports);
	port = port_free(port);
	loop = loop_free(loop);
	close(listen_fd);
	unlink(address.sun_path);
	for (int i = 0; i < 2; i++) {
		close(machine[i]);
		close(init[i]);
	}
	return 0;
}

static void run(void)
{
	while (loop_step(loop, 0) > 0)
		;
}

static struct agent_message hear(void)
{
	static uint8_t buf[AGENT_FRAME_MAX];
	struct agent_message m = {0};
	ssize_t n;
	int r;

	run();
	n = recv(machine[0], buf, AGENT_HEADER_SIZE, MSG_PEEK);
	assert_int_equal(n, AGENT_HEADER_SIZE);
	n = recv(machine[0], buf, AGENT_HEADER_SIZE + (size_t)buf[8], 0);
	assert_true(n > 0);
	r = agent_decode(&m, AGENT_TO_MACHINE, buf, (size_t)n);
	assert_int_equal(r, n);
	return m;
}

static void silence(void)
{
	char c;

	run();
	assert_int_equal(recv(machine[0], &c, 1, MSG_DONTWAIT), -1);
}

static int proxy(uint16_t host_port)
{
	const struct port_link_request q = {.magic = PORT_LINK_MAGIC, .udp = 1, .host_port = host_port, .target_port = 80,
					    .host = net_addr4(0), .target = net_addr4(0xac110002)};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, &q, sizeof(q), 0), sizeof(q));
	return fd;
}

static void say(uint32_t id, uint32_t status)
{
	struct agent_message m = {AGENT_PORT_RESULT, 1, .port_result = {id, status}};
	uint8_t frame[AGENT_FRAME_MAX];
	int len = agent_encode(&m, frame);

	assert_int_equal(send(machine[0], frame, (size_t)len, 0), len);
	run();
}

static int64_t told(int fd)
{
	struct port_link_answer a;
	ssize_t n = recv(fd, &a, sizeof(a), MSG_DONTWAIT);

	if (n != (ssize_t)sizeof(a))
		return n < 0 ? -errno : -ENODATA;
	assert_int_equal(a.magic, PORT_LINK_MAGIC);
	return a.status;
}

static void a_port_lives_with_its_proxy(void **state _unused_)
{
	struct agent_message m;
	int fd;

	assert_int_equal(hear().type, AGENT_PORT_RESET); /* first of all */
	fd = proxy(8080);
	m = hear();
	assert_int_equal(m.type, AGENT_PORT_OPEN);
	assert_int_equal(m.port_open.host_port, 8080);
	assert_int_equal(m.port_open.target_port, 80);
	assert_true(m.port_open.udp);
	assert_true(net_addr_equal(&m.port_open.target, &(struct net_addr){{[10] = 255, 255, 172, 17, 0, 2}}));
	assert_int_equal(told(fd), -EAGAIN);
	say(m.port_open.id + 1, 0);
	assert_int_equal(told(fd), -EAGAIN);
	say(m.port_open.id, 0);
	assert_int_equal(told(fd), 0);
	silence();
	close(fd);
	assert_int_equal(hear().port_close.id, m.port_open.id);
	silence();
	say(m.port_open.id, 0); /* late */
}

static void a_refusal_is_told_and_ends_it(void **state _unused_)
{
	struct agent_message first, second;
	int fd;

	hear();
	fd = proxy(80);
	first = hear();
	say(first.port_open.id, AGENT_PORT_NO_PRIVILEGE);
	assert_int_equal(told(fd), AGENT_PORT_NO_PRIVILEGE);
	assert_int_equal(told(fd), -ENODATA);
	close(fd);
	silence();
	fd = proxy(81);
	second = hear();
	assert_int_not_equal(second.port_open.id, first.port_open.id);
	close(fd);
	hear();
}

static void nonsense_is_hung_up_on(void **state _unused_)
{
	const struct port_link_request good = {.magic = PORT_LINK_MAGIC, .host_port = 1, .target_port = 1};
	struct port_link_request bad[5];
	char c;

	hear();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].magic++;
	bad[1].udp = 2;
	bad[2].host_port = 0;
	bad[3].target_port = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		assert_true(send(fd, &bad[i], sizeof(bad[i]) - (i == 4), 0) > 0);
		run();
		assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
		close(fd);
	}
	silence();
	c = (char)proxy(2);
	assert_int_equal(hear().type, AGENT_PORT_OPEN);
	close(c);
}

static void beyond_the_table_is_refused(void **state _unused_)
{
	int fds[3];

	teardown(NULL);
	start(2);
	hear();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = proxy((uint16_t)(1000 + i));
		run();
	}
	hear();
	hear();
	silence();
	assert_int_equal(told(fds[2]), AGENT_PORT_LIMIT);
	close(fds[0]);
	assert_int_equal(hear().type, AGENT_PORT_CLOSE);
	close(fds[2]);
	fds[2] = proxy(1003);
	assert_int_equal(hear().port_open.host_port, 1003);
	close(fds[1]);
	close(fds[2]);
}

/* The machine reads nothing: nothing is lost, and what ended meanwhile is not told. */
static void a_full_agent_port_is_waited_for(void **state _unused_)
{
	enum { N = 300 };
	static int fds[N];
	size_t n_open = 0, n_close = 0;
	uint8_t buf[AGENT_FRAME_MAX];

	for (size_t i = 0; i < N; i++) {
		fds[i] = proxy((uint16_t)(i + 1));
		run();
	}
	for (size_t i = N / 2; i < N; i++)
		close(fds[i]);
	run();
	assert_int_equal(hear().type, AGENT_PORT_RESET);
	for (;;) {
		ssize_t n;

		run();
		n = recv(machine[0], buf, AGENT_HEADER_SIZE, MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			break;
		(void)!recv(machine[0], buf, AGENT_HEADER_SIZE + (size_t)buf[8], 0);
		n_open += buf[4] == AGENT_PORT_OPEN;
		n_close += buf[4] == AGENT_PORT_CLOSE;
	}
	assert_int_equal(n_open - n_close, N / 2);
	assert_in_range(n_open, N / 2, N);
	for (size_t i = 0; i < N / 2; i++)
		close(fds[i]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_port_lives_with_its_proxy), TEST(a_refusal_is_told_and_ends_it), TEST(nonsense_is_hung_up_on),
		TEST(beyond_the_table_is_refused), TEST(a_full_agent_port_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
