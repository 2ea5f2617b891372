/* SPDX-License-Identifier: Apache-2.0 */
/* test-echo: pings to the outside, over the host's own loopback; skipped where ping sockets are forbidden. Refusals first. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/test.h"
#include "devices/net/echo.h"
#include "devices/net/memory-wire.h"
#include "devices/net/watch.h"
#include "proto/data-card.h"

static struct memory_net m;
static struct policy policy;
static struct icmp_error icmp;
static struct echo *echo;
static int watch_fd = -EBADF;
static const uint8_t mac[] = DATA_HOST_MAC, guest_mac[] = DATA_GUEST_MAC;
static uint8_t payload[65536];

static struct net_addr guest(bool v6)
{
	return v6 ? (struct net_addr){{0xfd, [15] = 2}} : net_addr4(DATA_SUBNET_DEFAULT + DATA_OCTET_GUEST);
}

static int set_up(void **state)
{
	struct wire_caps caps = {.mtu = 1500};
	struct echo_config config = {.wire = &memory_wire_ops, .wire_data = &m, .policy = &policy, .icmp = &icmp, .hash_key = {3, 4}};

	memory_wire_init(&m, &caps);
	m.mtu = 1500;
	watch_fd = watch_new();
	config.watch_fd = watch_fd;
	memcpy(config.mac, mac, NET_MAC_LEN);
	memcpy(config.guest_mac, guest_mac, NET_MAC_LEN);
	policy = (struct policy){.configured = true, .rules = {.egress = true, .host = RULES_HOST_ALL}};
	/* The alias is the host's loopback: a destination that answers in every test environment. */
	policy.rules.alias4 = net_addr4(0x0a0000fe);
	policy.rules.alias6 = (struct net_addr){{0xfd, [15] = 0xfe}};
	policy.rules.gateway4 = net_addr4(0x0a000001);
	policy.rules.subnet4 = net_addr4(0x0a000000);
	policy.rules.gateway6 = (struct net_addr){{0xfd, [15] = 1}};
	icmp = (struct icmp_error){.wire = &memory_wire_ops, .wire_data = &m, .gateway4 = policy.rules.gateway4,
				   .gateway6 = policy.rules.gateway6};
	echo = echo_init(&config);
	echo_set_mtu(echo, 1500);
	return 0;
}

static int tear_down(void **state)
{
	struct echo_config none = {.watch_fd = -EBADF};

	assert_int_equal(m.n_malformed, 0);
	memory_net_clear(&m);
	(void)echo_init(&none); /* closes what is open */
	watch_fd = fd_close(watch_fd);
	return 0;
}

static void request(const struct net_addr *to, uint16_t id, uint16_t seq, size_t len)
{
	static uint8_t head[NET_VNET_LEN + 64];
	struct net_vnet vnet = {0};
	struct iovec iov[2] = {{head, NET_VNET_LEN}, {payload, len}};
	bool v6 = !net_addr_is_v4(to);
	struct net_frame frame = {.kind = NET_KIND_ECHO, .ip = true, .v6 = v6, .src = guest(v6), .dst = *to,
				  .payload_len = (uint32_t)len, .echo = {id, seq}};
	struct card_frame card_frame = {.vnet = &vnet, .frame = &frame, .iov = iov, .n_iov = 2, .packet = head};

	echo_request(echo, &card_frame, 1000000);
}

static void wait_for(size_t n_sent)
{
	for (int i = 0; i < 200 && m.n_sent < n_sent; i++) {
		assert_true(watch_dispatch(watch_fd, echo_host_event, echo) >= 0);
		if (m.n_sent < n_sent)
			usleep(1000);
	}
	assert_int_equal(m.n_sent, n_sent);
}

static uint64_t flows(void)
{
	uint64_t now, total;

	echo_count(echo, &now, &total);
	return now;
}

static void test_refused(void **state)
{
	struct net_addr to[] = {net_addr4(0x7f000001), net_addr4(0xa9fea9fe), net_addr4(0x08080808), {{[15] = 1}},
				{{0xfe, 0x80, [15] = 1}}};

	policy.rules.egress = false;
	for (size_t i = 0; i < 5; i++) {
		memory_net_clear(&m);
		request(&to[i], 1, 1, 10);
		assert_int_equal(flows(), 0); /* no socket was made */
		assert_int_equal(m.n_sent, 1);
		assert_int_equal(m.sent[0].data[m.sent[0].parsed.l4_off], i < 3 ? 3 : 1);
		assert_int_equal(m.sent[0].data[m.sent[0].parsed.l4_off + 1], i < 3 ? 13 : 1);
	}
}

static bool may_ping(int family, int proto)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, proto);

	fd_close(fd);
	return fd >= 0;
}

static void ping(bool v6)
{
	struct net_addr *to = v6 ? &policy.rules.alias6 : &policy.rules.alias4;
	const struct memory_frame *f = m.sent;

	if (!may_ping(v6 ? AF_INET6 : AF_INET, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		skip();
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	request(to, 0xbeef, 7, 56);
	if (v6 && m.n_sent) /* a host without IPv6 says so, by an error */
		skip();
	wait_for(1);
	assert_int_equal(f->data[f->parsed.l4_off], v6 ? 129 : 0);
	assert_int_equal(be16_load(f->data + f->parsed.l4_off + 4), 0xbeef);
	assert_int_equal(be16_load(f->data + f->parsed.l4_off + 6), 7);
	assert_true(net_addr_equal(&f->parsed.src, to)); /* NET-16: the address that was asked, not the one that answered */
	assert_memory_equal(f->data + f->parsed.l4_off + 8, payload, 56);
	assert_int_equal(f->parsed.l4_len, 64);
	memory_net_clear(&m);
	request(to, 0xbeef, 8, 0); /* the same flow */
	request(to, 0xbef0, 1, 3); /* another */
	wait_for(2);
	assert_int_equal(flows(), 2);
	memory_net_clear(&m);
	request(to, 1, 1, 4000);
	wait_for(3); /* in pieces */
	assert_int_equal(f->parsed.kind, NET_KIND_FRAGMENT);
	assert_int_equal(f[2].parsed.fragment.more, false);
}

static void test_ping4(void **state)
{
	ping(false);
}

static void test_ping6(void **state)
{
	ping(true);
}

static void test_rules_change(void **state)
{
	if (!may_ping(AF_INET, IPPROTO_ICMP))
		skip();
	request(&policy.rules.alias4, 1, 1, 10);
	wait_for(1);
	memory_net_clear(&m);
	policy.rules.host = RULES_HOST_NONE;
	request(&policy.rules.alias4, 1, 2, 10);
	assert_int_equal(flows(), 0);
	assert_int_equal(m.n_sent, 1);
	assert_int_equal(m.sent[0].data[m.sent[0].parsed.l4_off], 3);
}

static void test_end(void **state)
{
	if (!may_ping(AF_INET, IPPROTO_ICMP))
		skip();
	assert_int_equal(echo_deadline(echo), UINT64_MAX);
	request(&policy.rules.alias4, 1, 1, 10);
	request(&policy.rules.alias4, 2, 1, 10);
	assert_int_equal(echo_deadline(echo), 1000000 + ECHO_IDLE_US);
	echo_timers(echo, 1000000 + ECHO_IDLE_US - 1);
	assert_int_equal(flows(), 2);
	echo_timers(echo, 1000000 + ECHO_IDLE_US);
	assert_int_equal(flows(), 0);
	wait_for(0); /* events of the past find nothing */
}

/* A full table gives up its oldest. */
static void test_full(void **state)
{
	struct netctl_flow list[100];
	uint32_t cursor = 0;
	size_t n = 0;

	if (!may_ping(AF_INET, IPPROTO_ICMP))
		skip();
	for (unsigned int i = 0; i < ECHO_FLOWS_MAX + 50; i++) {
		request(&policy.rules.alias4, (uint16_t)i, 1, 10);
		memory_net_clear(&m);
	}
	assert_true(flows() <= ECHO_FLOWS_MAX && flows() > 100); /* the limit of open files may be lower */
	do
		n += echo_list(echo, &cursor, list, 100);
	while (cursor);
	assert_int_equal(n, flows());
	memory_net_clear(&m);
	m.mtu = 0;
	for (int i = 0; i < 50; i++)
		(void)watch_dispatch(watch_fd, echo_host_event, echo);
	assert_true(m.n_sent > 0);
}

#define ECHO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* A network namespace of our own, where pings are allowed: root only, elsewhere the host's rules decide. */
static void make_room(void)
{
	static const char path[] = "/proc/sys/net/ipv4/ping_group_range", range[] = "0 65535";
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		print_message("no loopback: %d\n", errno);
	fd_close(fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, range, sizeof(range) - 1) < 0)
		print_message("no ping sockets: %d\n", errno);
	fd_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ECHO(test_refused), ECHO(test_ping4), ECHO(test_ping6), ECHO(test_rules_change), ECHO(test_end), ECHO(test_full),
	};

	make_room();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
