/* SPDX-License-Identifier: Apache-2.0 */
/* test-nets: which of the kernel's addresses are subnets of bridges, and that the list is told once per change. */
#include "base/test.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "guest/agent/nets.h"

static uint8_t buf[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
static size_t used;
static struct nets_list list;

static struct nlmsghdr *begin(uint16_t type, uint32_t seq, const struct ifaddrmsg *info)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(buf + used);

	*h = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof(*info)), .nlmsg_type = type, .nlmsg_seq = seq};
	memcpy(NLMSG_DATA(h), info, sizeof(*info));
	return h;
}

static void attr(struct nlmsghdr *h, uint16_t type, const void *value, size_t len)
{
	struct rtattr *a = (struct rtattr *)((uint8_t *)h + NLMSG_ALIGN(h->nlmsg_len));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), value, len);
	h->nlmsg_len = (uint32_t)(NLMSG_ALIGN(h->nlmsg_len) + RTA_SPACE(len));
}

static void add4(uint32_t index, const char *label, uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint8_t len, uint8_t scope)
{
	const struct ifaddrmsg info = {.ifa_family = AF_INET, .ifa_prefixlen = len, .ifa_scope = scope, .ifa_index = index};
	struct nlmsghdr *h = begin(RTM_NEWADDR, 1, &info);

	attr(h, IFA_LOCAL, (uint8_t[]){a, b, c, d}, 4);
	attr(h, IFA_LABEL, label, strlen(label) + 1);
	used += NLMSG_ALIGN(h->nlmsg_len);
}

static void add6(uint32_t index, const uint8_t addr[static 16], uint8_t len, uint8_t scope)
{
	const struct ifaddrmsg info = {.ifa_family = AF_INET6, .ifa_prefixlen = len, .ifa_scope = scope, .ifa_index = index};
	struct nlmsghdr *h = begin(RTM_NEWADDR, 1, &info);

	attr(h, IFA_ADDRESS, addr, 16);
	used += NLMSG_ALIGN(h->nlmsg_len);
}

static void done(void)
{
	struct nlmsghdr *h = begin(NLMSG_DONE, 1, &(struct ifaddrmsg){0});

	used += h->nlmsg_len;
}

static int setup(void **state _unused_)
{
	used = 0;
	list.n = 0;
	return 0;
}

static void only_bridges_count(void **state _unused_)
{
	bool end = false;

	add4(1, "lo", 127, 0, 0, 1, 8, RT_SCOPE_HOST);
	add4(3, "eth0", 192, 168, 65, 3, 24, RT_SCOPE_UNIVERSE);
	add4(4, "docker0", 172, 17, 0, 1, 16, RT_SCOPE_UNIVERSE);
	add4(5, "br-1", 172, 18, 0, 1, 16, RT_SCOPE_UNIVERSE);
	add4(5, "br-1", 172, 18, 0, 1, 16, RT_SCOPE_UNIVERSE); /* once */
	add4(6, "br-2", 169, 254, 1, 1, 16, RT_SCOPE_LINK);
	add6(3, (uint8_t[16]){0xfd, 0xca, 0x15, 0x50, 0x9b, 0x3e, 0, 1, [15] = 3}, 64, RT_SCOPE_UNIVERSE);
	add6(5, (uint8_t[16]){0xfd, 0, 0x18, [15] = 1}, 64, RT_SCOPE_UNIVERSE);
	add6(5, (uint8_t[16]){0xfe, 0x80, [15] = 1}, 64, RT_SCOPE_LINK);
	done();
	assert_int_equal(nets_parse(&list, buf, used, &end), 0);
	assert_true(end);
	assert_int_equal(list.n, 3);
	assert_true(net_addr_equal(&list.net[0].addr, &(struct net_addr){{[10] = 255, 255, 172, 17}}));
	assert_int_equal(list.net[0].prefix_len, 112);
	assert_true(net_addr_equal(&list.net[2].addr, &(struct net_addr){{0xfd, 0, 0x18}}));
	assert_int_equal(list.net[2].prefix_len, 64);
	for (uint32_t i = 0; i < list.n; i++)
		assert_true(agent_net_ok(&list.net[i].addr, list.net[i].prefix_len));
}

static void every_cut_is_harmless(void **state _unused_)
{
	add4(4, "docker0", 172, 17, 0, 1, 16, RT_SCOPE_UNIVERSE);
	for (size_t n = 0; n < used; n++) {
		bool end = false;

		list.n = 0;
		assert_int_equal(nets_parse(&list, buf, n, &end), 0);
		assert_int_equal(list.n, 0);
		assert_false(end);
	}
	for (size_t i = 4; i < used; i++)
		for (unsigned int v = 0; v < 256; v += 5) {
			uint8_t old = buf[i];
			bool end;

			list.n = 0;
			buf[i] = (uint8_t)v;
			(void)nets_parse(&list, buf, used, &end);
			assert_true(list.n <= 1);
			buf[i] = old;
		}
}

static void the_table_has_an_end(void **state _unused_)
{
	bool end = false;

	for (unsigned int i = 0; i < AGENT_NETS_MAX + 10; i++)
		add4(4 + i, "br", 10, (uint8_t)(i >> 8), (uint8_t)i, 1, 24, RT_SCOPE_UNIVERSE);
	assert_int_equal(nets_parse(&list, buf, used, &end), 0);
	assert_int_equal(list.n, AGENT_NETS_MAX);
}

static struct agent_message hear(int fd)
{
	uint8_t frame[AGENT_FRAME_MAX];
	struct agent_message m = {0};
	ssize_t n = recv(fd, frame, AGENT_HEADER_SIZE + 28, MSG_DONTWAIT);

	if (n > 0)
		assert_int_equal(agent_decode(&m, AGENT_TO_MACHINE, frame, (size_t)n), n);
	return m;
}

/* The test plays the kernel at the other end of a socket pair. */
static void a_list_is_told_when_it_changes(void **state _unused_)
{
	_cleanup_(nets_freep) struct nets *nets = NULL;
	int machine[2], init[2], route[2];
	struct agent_message m;
	struct loop *loop;
	struct port *port;
	char q[256];

	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, machine), 0);
	assert_int_equal(sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, init), 0);
	assert_int_equal(sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, route), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(port_new(loop, machine[1], init[1], &port), 0);
	assert_int_equal(nets_new(loop, route[1], port, &nets), 0);
	for (uint32_t round = 1; round <= 4; round++) {
		while (recv(route[0], q, sizeof(q), MSG_DONTWAIT) < 0)
			loop_step(loop, 20);
		assert_int_equal(((struct nlmsghdr *)q)->nlmsg_type, RTM_GETADDR);
		used = 0;
		if (round > 1) /* same in 2 and 3 */
			add4(4, "docker0", 172, round == 4 ? 18 : 17, 0, 1, 16, RT_SCOPE_UNIVERSE);
		done();
		for (size_t off = 0; off < used; off += NLMSG_ALIGN(((struct nlmsghdr *)(buf + off))->nlmsg_len))
			((struct nlmsghdr *)(buf + off))->nlmsg_seq = round;
		assert_int_equal(send(route[0], buf, used, 0), used);
		while (loop_step(loop, 0) > 0)
			;
		m = hear(machine[0]);
		assert_int_equal(m.type, round == 3 ? 0 : AGENT_NET);
		assert_int_equal(m.net.n, round == 3 || round == 1 ? 0 : 1);
		/* Something changes. */
		used = 0;
		add4(9, "br", 10, 0, 0, 1, 24, RT_SCOPE_UNIVERSE);
		assert_int_equal(send(route[0], buf, used, 0), used);
	}
	nets = nets_free(nets);
	port_free(port);
	loop_free(loop);
	for (int i = 0; i < 2; i++) {
		close(machine[i]);
		close(init[i]);
		close(route[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_bridges_count, setup), cmocka_unit_test_setup(every_cut_is_harmless, setup),
		cmocka_unit_test_setup(the_table_has_an_end, setup),
		cmocka_unit_test_setup(a_list_is_told_when_it_changes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
