/* SPDX-License-Identifier: Apache-2.0 */
/* test-listen: listeners, when connections can be taken and when they cannot. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "base/test.h"
#include "devices/net/listen.h"
#include "devices/net/memory-wire.h"
#include "proto/control-link.h"

static struct memory_net m;
static struct loop *loop;
static struct listener listener;
static int listen_fd, client_fd;
static const struct wire_caps full = {.mtu = 65520};

/* A listener with one client in its queue. The address is made by the kernel (autobind). */
static int set_up(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sa_family_t);

	memory_net_init(&m, 8, &full);
	listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	client_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, len), 0);
	len = sizeof(address);
	assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(listen(listen_fd, 8), 0);
	assert_int_equal(connect(client_fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(listen_start(&listener, loop, listen_fd, CONTROL_PORT_ENGINE, &m.tcp), 0);
	return 0;
}

static int tear_down(void **state)
{
	loop = loop_free(loop);
	fd_close(listen_fd);
	fd_close(client_fd);
	memory_net_done(&m);
	return 0;
}

static void test_waits_for_card(void **state)
{
	assert_int_equal(listen_follow(&listener, false, loop_now_us()), 0);
	assert_int_equal(loop_step(loop, 0), 0);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_int_equal(listen_follow(&listener, true, loop_now_us()), 0);
	assert_int_equal(loop_step(loop, 0), 1);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	assert_true(listen_deadline(&listener) == UINT64_MAX);
}

/* Out of descriptors: the process lives, does not spin, and takes the client when it can. */
static void test_no_descriptors(void **state)
{
	struct rlimit before, none;
	int top = dup(client_fd), r;

	fd_close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)top;
	assert_int_equal(listen_follow(&listener, true, loop_now_us()), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = loop_step(loop, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, 1);
	assert_int_equal(m.tcp.flows.slots.n_used, 0);
	assert_true(listen_deadline(&listener) <= loop_now_us() + LISTEN_PAUSE_US);
	assert_int_equal(listen_follow(&listener, true, listen_deadline(&listener) - 1), 0);
	assert_int_equal(loop_step(loop, 0), 0);
	assert_int_equal(listen_follow(&listener, true, listen_deadline(&listener)), 0);
	assert_int_equal(loop_step(loop, 0), 1);
	assert_int_equal(m.tcp.flows.slots.n_used, 1);
	assert_true(listen_deadline(&listener) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits_for_card, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_descriptors, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
