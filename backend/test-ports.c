/* SPDX-License-Identifier: Apache-2.0 */
/* test-ports: NET-12, BCK-03: nothing that nobody asked for, nothing wider than asked; real sockets on free ports of the loopback. */
#include "base/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/port-bind.h"
#include "backend/ports.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/loop.h"

static struct port_names *names;
static struct ports *ports;
static struct loop *loop;
static char dir[32];
static int dir_fd;
static uint32_t last_id, n_results, n_added, n_removed;
static int last_status, last_fd;
static struct netctl_port last_port;
static uint16_t free_port;

static void on_result(void *data, uint32_t id, enum agent_port_status status)
{
	n_results++;
	last_id = id;
	last_status = (int)status;
}

static void on_added(void *data, const struct netctl_port *port, int fd)
{
	n_added++;
	last_port = *port;
	last_fd = fd;
}

static void on_removed(void *data, uint32_t id)
{
	n_removed++;
}

static struct net_addr addr(const char *text)
{
	struct net_addr a;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return net_addr4(ntohl(v4.s_addr));
	assert_int_equal(inet_pton(AF_INET6, text, a.byte), 1);
	return a;
}

/* A TCP and UDP port that is free on 127.0.0.1, below the engine's own range where there is one. */
static uint16_t find_free(void)
{
	for (uint16_t port = 20000 + (uint16_t)(getpid() % 5000); port < 32000; port++) {
		_cleanup_close_ int tcp = -EBADF, udp = -EBADF;
		struct net_addr any = addr("0.0.0.0");

		tcp = port_bind(false, &any, port);
		udp = port_bind(true, &any, port);
		if (tcp >= 0 && udp >= 0)
			return port;
	}
	fail_msg("no free port");
	return 0;
}

static int setup(void **state)
{
	const struct ports_hooks hooks = {on_result, on_added, on_removed, NULL};

	snprintf(dir, sizeof(dir), "/tmp/test-ports-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dir_fd = fd_open_dir_path(dir, false);
	last_id = n_results = n_added = n_removed = 0;
	last_fd = -EBADF;
	free_port = find_free();
	if (loop_new(&loop) < 0 || port_names_new(NULL, dir_fd, "ports.json", &names) < 0)
		return -1;
	return ports_new(loop, names, &hooks, &ports);
}

static int teardown(void **state)
{
	ports = ports_free(ports);
	loop = loop_free(loop);
	names = port_names_free(names);
	(void)unlinkat(dir_fd, "ports.json", 0);
	dir_fd = fd_close(dir_fd);
	return rmdir(dir);
}

static void name(uint16_t port, uint8_t wide)
{
	port_names_add(names, &(struct port_name){false, wide, port, port});
	port_names_add(names, &(struct port_name){true, wide, port, port});
}

static void request_port(uint32_t id, bool udp, const char *host, uint16_t port)
{
	struct port_request request = {.id = id, .udp = udp, .host = addr(host), .target = addr("172.17.0.2"), .host_port = port,
				       .target_port = 80};

	ports_open(ports, &request);
}

static int ask(uint32_t id, bool udp, const char *host, uint16_t port)
{
	uint32_t before = n_results;

	request_port(id, udp, host, port);
	assert_int_equal(n_results, before + 1);
	assert_int_equal(last_id, id);
	return last_status;
}

static bool bound_to(const char *text)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	struct net_addr want = addr(text), got = {{0}};

	assert_int_equal(getsockname(last_fd, (struct sockaddr *)&ss, &len), 0);
	if (ss.ss_family == AF_INET)
		got = net_addr4(ntohl(((struct sockaddr_in *)&ss)->sin_addr.s_addr));
	else
		memcpy(got.byte, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
	return net_addr_equal(&want, &got) && net_addr_equal(&want, &last_port.bound);
}

static int connect_to(const char *text, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, text, &sin.sin_addr), 1);
	return connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ? -errno : 0;
}

static void not_asked_for(void **state)
{
	assert_int_equal(ask(1, false, "127.0.0.1", free_port), AGENT_PORT_DENIED);
	assert_int_equal(ask(1, true, "127.0.0.1", free_port), AGENT_PORT_DENIED);
	assert_int_equal(ask(1, false, "0.0.0.0", 22), AGENT_PORT_DENIED);
	/* tcp was named, udp was not */
	port_names_add(names, &(struct port_name){false, 0, free_port, free_port});
	assert_int_equal(ask(1, true, "127.0.0.1", free_port), AGENT_PORT_DENIED);
	assert_int_equal(n_added, 0);
	assert_int_equal(connect_to("127.0.0.1", free_port), -ECONNREFUSED);
	assert_int_equal(ask(1, false, "127.0.0.1", free_port), AGENT_PORT_OK);
	assert_int_equal(connect_to("127.0.0.1", free_port), 0);
}

static void bad_requests(void **state)
{
	static const char *const bad[] = {"224.0.0.1", "255.255.255.255", "169.254.1.1", "0.0.0.1", "fe80::1", "ff02::1", "::2",
					  "64:ff9b::1"};
	struct port_request request = {.id = 7, .host = addr("127.0.0.1"), .target = addr("127.0.0.1"), .host_port = free_port,
				       .target_port = 80};

	name(free_port, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (ask(1, false, bad[i], free_port) != AGENT_PORT_ADDRESS)
			fail_msg("%s", bad[i]);
	/* not this host's: never another one instead */
	assert_int_equal(ask(1, false, "198.51.100.7", free_port), AGENT_PORT_ADDRESS);
	ports_open(ports, &request);
	assert_int_equal(last_status, AGENT_PORT_UNSUPPORTED);
	request.target = addr("172.17.0.2");
	request.id = 0;
	ports_open(ports, &request);
	assert_int_equal(last_status, AGENT_PORT_UNSUPPORTED);
	assert_int_equal(n_added, 0);
	assert_int_equal(ask(1, false, "127.0.0.1", free_port), AGENT_PORT_OK);
	/* an id that is open */
	assert_int_equal(ask(1, false, "127.0.0.2", free_port), AGENT_PORT_UNSUPPORTED);
	assert_int_equal(ports_count(ports), 1);
}

static void exactly_as_asked(void **state)
{
	name(free_port, 0);
	assert_int_equal(ask(1, false, "127.0.0.5", free_port), AGENT_PORT_OK);
	assert_true(bound_to("127.0.0.5"));
	assert_int_equal(connect_to("127.0.0.5", free_port), 0);
	assert_int_equal(connect_to("127.0.0.1", free_port), -ECONNREFUSED);
	assert_int_equal(ask(2, true, "127.0.0.5", free_port), AGENT_PORT_OK);
	assert_true(bound_to("127.0.0.5"));
	assert_int_not_equal(fcntl(last_fd, F_GETFD) & FD_CLOEXEC, 0);
	assert_int_not_equal(fcntl(last_fd, F_GETFL) & O_NONBLOCK, 0);
}

static void ipv6_is_ipv6_only(void **state)
{
	int on = 0;
	socklen_t len = sizeof(on);
	int status;

	name(free_port, 0);
	status = ask(1, false, "::", free_port);
	assert_int_equal(status, AGENT_PORT_OK);
	if (last_fd < 0)
		return; /* this host has no IPv6: nothing listens, and the container starts */
	assert_int_equal(getsockopt(last_fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, &len), 0);
	assert_int_equal(on, 1);
	assert_int_equal(connect_to("127.0.0.1", free_port), -ECONNREFUSED);
	/* and both families beside each other */
	assert_int_equal(ask(2, false, "0.0.0.0", free_port), AGENT_PORT_OK);
}

static void in_use(void **state)
{
	struct net_addr local = addr("127.0.0.1");
	_cleanup_close_ int other = port_bind(false, &local, free_port);

	assert_true(other >= 0);
	name(free_port, 0);
	assert_int_equal(ask(1, false, "127.0.0.1", free_port), AGENT_PORT_IN_USE);
	assert_int_equal(ask(1, false, "0.0.0.0", free_port), AGENT_PORT_IN_USE);
	other = fd_close(other);
	assert_int_equal(ask(1, false, "127.0.0.1", free_port), AGENT_PORT_OK);
	/* two containers, one port */
	assert_int_equal(ask(2, false, "127.0.0.1", free_port), AGENT_PORT_IN_USE);
	assert_int_equal(ask(3, true, "127.0.0.1", free_port), AGENT_PORT_OK);
	assert_int_equal(ask(4, true, "127.0.0.1", free_port), AGENT_PORT_IN_USE);
	assert_int_equal(ports_count(ports), 2);
}

static void gone_at_once(void **state)
{
	name(free_port, 0);
	assert_int_equal(ask(1, false, "127.0.0.1", free_port), AGENT_PORT_OK);
	ports_close(ports, 2);
	assert_int_equal(n_removed, 0);
	ports_close(ports, 1);
	assert_int_equal(n_removed, 1);
	assert_int_equal(connect_to("127.0.0.1", free_port), -ECONNREFUSED);
	for (uint32_t i = 1; i <= 5; i++) {
		char host[16];

		snprintf(host, sizeof(host), "127.0.0.%u", i);
		assert_int_equal(ask(i, false, host, free_port), AGENT_PORT_OK);
	}
	n_added = 0;
	ports_again(ports);
	assert_int_equal(n_added, 5);
	ports_reset(ports);
	assert_int_equal(n_removed, 6);
	assert_int_equal(ports_count(ports), 0);
	assert_int_equal(connect_to("127.0.0.3", free_port), -ECONNREFUSED);
}

/* The network process has not yet read that the port is gone: it is free all the same, and its copy accepts nobody. */
static void gone_while_net_is_busy(void **state)
{
	_cleanup_close_ int copy = -EBADF;

	name(free_port, 0);
	assert_int_equal(ask(1, false, "127.0.0.1", free_port), AGENT_PORT_OK);
	copy = fd_dup(last_fd);
	assert_true(copy >= 0);
	ports_close(ports, 1);
	assert_int_equal(connect_to("127.0.0.1", free_port), -ECONNREFUSED);
	assert_int_equal(ask(2, false, "127.0.0.1", free_port), AGENT_PORT_OK);
	assert_int_equal(connect_to("127.0.0.1", free_port), 0);
	assert_true(accept(copy, NULL, NULL) < 0);
}

static void run_ms(uint64_t ms)
{
	for (uint64_t end = loop_now_us() + ms * 1000; loop_now_us() < end;)
		assert_true(loop_step(loop, 5) >= 0);
}

/* Opens UDP port ID, gives it up and asks again as ID + 1. Return: the network process's copy. */
static int close_and_ask_again(uint32_t id, const char *host)
{
	int copy;
	uint32_t before;

	assert_int_equal(ask(id, true, host, free_port), AGENT_PORT_OK);
	copy = fd_dup(last_fd);
	assert_true(copy >= 0);
	ports_close(ports, id);
	before = n_results;
	request_port(id + 1, true, host, free_port);
	run_ms(100);
	assert_int_equal(n_results, before);
	return copy;
}

/* A bound UDP socket cannot be made to let go of its port as a listener can: the next open waits for it. */
static void udp_while_net_is_busy(void **state)
{
	_cleanup_close_ int copy = -EBADF;
	uint64_t begin;

	name(free_port, 0);
	copy = close_and_ask_again(1, "127.0.0.1");
	assert_int_equal(ask(2, true, "127.0.0.1", free_port), AGENT_PORT_UNSUPPORTED); /* an id that waits */
	copy = fd_close(copy);
	n_added = 0;
	begin = loop_now_us();
	while (!n_added)
		run_ms(5);
	assert_true(loop_now_us() - begin < 5 * PORTS_RETRY_US);
	assert_int_equal(last_id, 2);
	assert_int_equal(last_status, AGENT_PORT_OK);
	assert_true(bound_to("127.0.0.1"));
	/* it is ours again: who asks now is told at once */
	assert_int_equal(ask(3, true, "127.0.0.1", free_port), AGENT_PORT_IN_USE);
	assert_int_equal(ports_count(ports), 1);
}

/* The copy stays: IN_USE after a second, and nothing more. */
static void udp_wait_ends(void **state)
{
	_cleanup_close_ int copy = -EBADF;
	uint64_t begin = loop_now_us();
	uint32_t before;

	name(free_port, 0);
	copy = close_and_ask_again(1, "0.0.0.0");
	before = n_results;
	while (n_results == before)
		run_ms(5);
	assert_true(loop_now_us() - begin >= PORTS_WAIT_US && loop_now_us() - begin < 2 * PORTS_WAIT_US);
	assert_int_equal(last_id, 2);
	assert_int_equal(last_status, AGENT_PORT_IN_USE);
	/* long given up: somebody else's */
	assert_int_equal(ask(3, true, "127.0.0.1", free_port), AGENT_PORT_IN_USE);
	assert_int_equal(ports_count(ports), 0);
}

/* Let go of while it waits: no answer, and nothing is opened later. */
static void udp_wait_cancelled(void **state)
{
	name(free_port, 0);
	for (uint32_t id = 1; id <= 3; id += 2) {
		int copy = close_and_ask_again(id, "127.0.0.1");
		uint32_t before = n_results;

		if (id == 1)
			ports_close(ports, id + 1);
		else
			ports_reset(ports);
		fd_close(copy);
		run_ms(60);
		assert_int_equal(n_results, before);
		assert_int_equal(ports_count(ports), 0);
	}
	/* and at the end of the process */
	fd_close(close_and_ask_again(5, "127.0.0.1"));
}

static void binding_setting(void **state)
{
	static const struct { enum config_binding binding; const char *asked; uint8_t wide; const char *bound; } cases[] = {
		{CONFIG_BIND_ALL, "0.0.0.0", 0, "0.0.0.0"},
		{CONFIG_BIND_ALL, "10.1.2.3", 0, "10.1.2.3"},
		{CONFIG_BIND_LOCAL_DEFAULT, "0.0.0.0", 0, "127.0.0.1"},
		{CONFIG_BIND_LOCAL_DEFAULT, "::", 0, "::1"},
		{CONFIG_BIND_LOCAL_DEFAULT, "0.0.0.0", PORT_WIDE_V4, "0.0.0.0"},
		{CONFIG_BIND_LOCAL_DEFAULT, "0.0.0.0", PORT_WIDE_V6, "127.0.0.1"},
		{CONFIG_BIND_LOCAL_DEFAULT, "::", PORT_WIDE_V6, "::"},
		{CONFIG_BIND_LOCAL_DEFAULT, "10.1.2.3", 0, "10.1.2.3"},
		{CONFIG_BIND_LOCAL_DEFAULT, "127.0.0.9", 0, "127.0.0.9"},
		{CONFIG_BIND_LOCAL_ONLY, "0.0.0.0", PORT_WIDE_V4, "127.0.0.1"},
		{CONFIG_BIND_LOCAL_ONLY, "::", PORT_WIDE_V6, "::1"},
		{CONFIG_BIND_LOCAL_ONLY, "127.0.0.9", 0, "127.0.0.9"},
		{CONFIG_BIND_LOCAL_ONLY, "10.1.2.3", 0, NULL},
		{CONFIG_BIND_LOCAL_ONLY, "2001:db8::1", 0, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_addr asked = addr(cases[i].asked), got, want;
		enum agent_port_status status = ports_address(cases[i].binding, &asked, cases[i].wide, &got);

		assert_int_equal(status, cases[i].bound ? AGENT_PORT_OK : AGENT_PORT_ADDRESS);
		if (!cases[i].bound)
			continue;
		want = addr(cases[i].bound);
		if (!net_addr_equal(&want, &got))
			fail_msg("case %zu", i);
	}
	name(free_port, 0);
	ports_set_binding(ports, CONFIG_BIND_LOCAL_DEFAULT);
	assert_int_equal(ask(1, false, "0.0.0.0", free_port), AGENT_PORT_OK);
	assert_true(bound_to("127.0.0.1"));
	/* what is open stays */
	ports_set_binding(ports, CONFIG_BIND_LOCAL_ONLY);
	assert_int_equal(ports_count(ports), 1);
}

static void privileged(void **state)
{
	assert_int_equal(port_bind_privileged(false, &(struct net_addr){{0}}, 80), -ENOSYS);
	assert_int_equal(port_bind_status(-ENOSYS), AGENT_PORT_NO_PRIVILEGE);
	assert_int_equal(port_bind_status(-EACCES), AGENT_PORT_NO_PRIVILEGE);
	assert_int_equal(port_bind_status(-EADDRINUSE), AGENT_PORT_IN_USE);
	assert_int_equal(port_bind_status(-EMFILE), AGENT_PORT_LIMIT);
	assert_int_equal(port_bind_status(-EIO), AGENT_PORT_UNAVAILABLE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(not_asked_for), T(bad_requests), T(exactly_as_asked), T(ipv6_is_ipv6_only), T(in_use), T(gone_at_once),
		T(gone_while_net_is_busy), T(udp_while_net_is_busy),
		T(udp_wait_ends), T(udp_wait_cancelled), T(binding_setting), T(privileged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
