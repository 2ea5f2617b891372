/* SPDX-License-Identifier: Apache-2.0 */
/* test-local: connections to the loopback reach the container; what cannot be reached is a reset; nothing else listens. */
#include "base/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/port-proxy/local.h"

static struct loop *loop;
static struct local *local;

static int setup(void **state _unused_)
{
	return loop_new(&loop);
}

static int teardown(void **state _unused_)
{
	local = local_free(local);
	loop = loop_free(loop);
	return 0;
}

static int listen_at(uint32_t ip, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip), .sin_port = htons(*port)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static uint16_t free_port(void)
{
	uint16_t port = 0;

	close(listen_at(INADDR_LOOPBACK, &port));
	return port;
}

static int dial(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? (close(fd), -errno) : fd;
}

static void run(void)
{
	for (int i = 0; i < 20; i++) {
		loop_step(loop, local_pending(local) ? 0 : 5);
		local_run(local);
	}
}

/* The container is another loopback address. */
static void bytes_both_ways(void **state _unused_)
{
	const struct net_addr any = net_addr4(0), target = net_addr4(0x7f000002);
	uint16_t target_port = 0, port = free_port();
	int server = listen_at(0x7f000002, &target_port), client, peer;
	char buf[16];

	assert_int_equal(local_new(loop, &any, port, &target, target_port, &local), 0);
	client = dial(port);
	assert_true(client >= 0);
	run();
	peer = accept(server, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(send(client, "hello", 5, 0), 5);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	run();
	assert_int_equal(recv(peer, buf, sizeof(buf), MSG_DONTWAIT), 5);
	assert_int_equal(recv(peer, buf, sizeof(buf), MSG_DONTWAIT), 0);
	assert_int_equal(send(peer, "world!", 6, 0), 6);
	close(peer);
	run();
	assert_int_equal(recv(client, buf, sizeof(buf), MSG_DONTWAIT), 6);
	assert_int_equal(recv(client, buf, sizeof(buf), MSG_DONTWAIT), 0);
	close(client);
	close(server);
}

static void refused_there_is_a_reset_here(void **state _unused_)
{
	const struct net_addr host = net_addr4(INADDR_LOOPBACK), target = net_addr4(0x7f000003);
	uint16_t port = free_port();
	char c;
	int client;

	assert_int_equal(local_new(loop, &host, port, &target, 1, &local), 0);
	client = dial(port);
	assert_true(client >= 0);
	run();
	assert_int_equal(recv(client, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNRESET);
	close(client);
}

static void only_loopback_listens(void **state _unused_)
{
	const struct net_addr any6 = {{0}}, other = net_addr4(0x0a000001), target = net_addr4(0x7f000003);
	uint16_t port = free_port(), taken = 0;
	int fd = listen_at(INADDR_LOOPBACK, &taken);
	int r;

	assert_int_equal(local_new(loop, &other, port, &target, 80, &local), LOCAL_E_NONE);
	assert_int_equal(local_new(loop, &(struct net_addr){{[10] = 255, 255}}, taken, &target, 80, &local), LOCAL_E_NONE);
	close(fd);
	r = local_new(loop, &any6, port, &target, 80, &local); /* ::1, where there is IPv6 */
	assert_true(r == 0 || r == LOCAL_E_NONE || r == -EAFNOSUPPORT);
	assert_int_equal(dial(port), -ECONNREFUSED); /* the other family has none */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {TEST(bytes_both_ways), TEST(refused_there_is_a_reset_here), TEST(only_loopback_listens)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
