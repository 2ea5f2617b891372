/* SPDX-License-Identifier: Apache-2.0 */
/* test-card: the control card and no other is configured; in a network namespace of the test's own, skipped where none can be made. */
#include "base/test.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/card.h"
#include "guest/rtnl.h"
#include "proto/control-link.h"

static int netlink = -1;

static int set_up(void **state)
{
	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) == 0)
		netlink = rtnl_open();
	return 0;
}

/* Makes a card of a kind that every kernel has. Return: its index; 0: not here. */
static int make_card(const char *name, const uint8_t mac[static 6])
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct { struct rtattr head; char kind[8]; } kind = {{RTA_LENGTH(6), IFLA_INFO_KIND}, "bridge"};
	struct rtnl_request q;

	if (netlink < 0)
		return 0;
	rtnl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	rtnl_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	rtnl_attr(&q, IFLA_ADDRESS, mac, 6);
	rtnl_attr(&q, IFLA_LINKINFO, &kind, sizeof(kind));
	return rtnl_ask(netlink, &q, NULL, NULL) < 0 ? 0 : (int)if_nametoindex(name);
}

static void test_another_card(void **state)
{
	static const uint8_t mac[] = {2, 0, 0, 0, 0, 9};
	int index = make_card("other", mac);

	if (!index)
		skip();
	assert_int_equal(card_setup(index), -ENODEV);
	assert_int_equal(card_setup(index + 100), -ENODEV);
}

static void test_control_card(void **state)
{
	static const uint8_t mac[] = CONTROL_GUEST_MAC;
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "control"};
	int index = make_card("control", mac);

	if (!index)
		skip();
	assert_int_equal(card_setup(index), 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	assert_true(request.ifr_flags & IFF_UP);
	assert_int_equal(ioctl(fd, SIOCGIFMTU, &request), 0);
	assert_int_equal(request.ifr_mtu, CONTROL_MTU);
	/* again, after the agent's own restart: nothing to complain about */
	assert_int_equal(card_setup(index), 0);
}

/* A request that does not fit is refused and not cut. */
static void test_large_request(void **state)
{
	static const uint8_t value[100];
	struct rtnl_request q;

	rtnl_begin(&q, RTM_NEWLINK, 0, &(struct ifinfomsg){0}, sizeof(struct ifinfomsg));
	for (int i = 0; i < 3; i++)
		rtnl_attr(&q, IFLA_IFALIAS, value, sizeof(value));
	assert_int_equal(rtnl_ask(-1, &q, NULL, NULL), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_card), cmocka_unit_test(test_control_card), cmocka_unit_test(test_large_request),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
