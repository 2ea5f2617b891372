/* SPDX-License-Identifier: Apache-2.0 */
/* test-host-net: what the kernel says of this computer, whatever that is: no loopback, no default route, nothing twice running. */
#include "base/test.h"

#include <string.h>

#include "backend/host-net.h"
#include "base/cleanup.h"

static struct host_net_state first, second;

static void reads(void **state)
{
	assert_int_equal(host_net_read(&first), 0);
	assert_int_equal(host_net_read(&second), 0);
	assert_memory_equal(&first, &second, sizeof(first));
	for (size_t i = 0; i < first.n_addrs; i++) {
		static const struct net_addr loopback6 = {{[15] = 1}};

		assert_false(net_addr_is_v4(&first.addrs[i]) && first.addrs[i].byte[12] == 127);
		assert_false(net_addr_equal(&first.addrs[i], &loopback6));
		assert_false(first.addrs[i].byte[0] == 0xfe && first.addrs[i].byte[1] == 0x80);
	}
	for (size_t i = 0; i < first.n_routes; i++) {
		assert_true(first.routes[i].prefix_len >= SUBNET_ROUTE_MIN && first.routes[i].prefix_len <= 32);
		assert_int_not_equal(first.routes[i].addr >> 24, 127);
	}
}

static void on_changed(void *data, const struct host_net_state *state)
{
	++*(int *)data;
}

static void follows_silently(void **state)
{
	int changes = 0;
	const struct host_net_hooks hooks = {on_changed, &changes};
	struct loop *loop = NULL;
	struct host_net *net = NULL;

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(host_net_new(loop, &hooks, &net), 0);
	assert_memory_equal(host_net_state(net), &first, sizeof(first));
	/* nothing wakes it up */
	assert_int_equal(loop_step(loop, 20), 0);
	assert_int_equal(changes, 0);
	assert_null(host_net_free(net));
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(reads), cmocka_unit_test(follows_silently)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
