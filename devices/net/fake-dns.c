/* SPDX-License-Identifier: Apache-2.0 */
/* fake-dns: see the header. */
#include "devices/net/fake-dns.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/test.h"
#include "devices/net/watch.h"

enum { QUIET_MS = 30 };

static bool set_address(int fd, const char *label, const char *addr)
{
	struct ifreq request = {0};
	struct sockaddr_in in = {.sin_family = AF_INET};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", label);
	inet_pton(AF_INET, addr, &in.sin_addr);
	memcpy(&request.ifr_addr, &in, sizeof(in));
	return ioctl(fd, SIOCSIFADDR, &request) == 0;
}

bool fake_dns_namespace(void)
{
	static const char *const addrs[] = {"10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4"};
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	bool ok;
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(addrs) && ok; i++) {
		char label[IFNAMSIZ];

		snprintf(label, sizeof(label), "lo:%u", i);
		ok = set_address(fd, label, addrs[i]);
	}
	fd_close(fd);
	return ok;
}

struct net_addr fake_dns_addr(const char *text)
{
	struct net_addr addr;
	struct in_addr in4;

	if (inet_pton(AF_INET, text, &in4) == 1)
		return net_addr4(ntohl(in4.s_addr));
	assert_int_equal(inet_pton(AF_INET6, text, addr.byte), 1);
	return addr;
}

static int on_answer(void *data, const struct flow_key *key, const void *payload, size_t len)
{
	struct fake_dns *f = data;

	f->answer_key = *key;
	f->n_answers++;
	f->answer_len = len;
	memcpy(f->answer, payload, len);
	return 0;
}

void fake_dns_start(struct fake_dns *f)
{
	struct dns_config config = {.policy = &f->policy, .answer = on_answer, .data = f};
	struct net_addr gateway4 = fake_dns_addr("192.168.65.1"), alias4 = fake_dns_addr("192.168.65.254");
	struct net_addr gateway6 = fake_dns_addr("fdca:1550:9b3e:1::1"), alias6 = fake_dns_addr("fdca:1550:9b3e:1::fe");

	memset(f, 0, sizeof(*f));
	f->watch_fd = config.watch_fd = watch_new();
	assert_true(f->watch_fd >= 0);
	f->policy.configured = true;
	f->policy.rules = (struct rules){.gateway4 = gateway4, .alias4 = alias4, .gateway6 = gateway6, .alias6 = alias6,
					 .subnet4 = fake_dns_addr("192.168.65.0"), .egress = true};
	f->key = (struct flow_key){gateway4, fake_dns_addr("192.168.65.3"), 53, 40000};
	f->dns = dns_init(&config);
	assert_non_null(f->dns);
	dns_set_addresses(f->dns, &gateway4, &alias4, &gateway6, &alias6, NETCTL_DNS_ALL, true, FAKE_MTU);
	f->now_us = 1000000000;
	dns_now(f->dns, f->now_us);
}

void fake_dns_end(struct fake_dns *f)
{
	for (uint32_t i = 0; i < DNS_PENDING_MAX; i++)
		if (table_handle(&f->dns->pending_table, i))
			dns_upstream_close(f->dns, &f->dns->pending[i]);
	for (uint32_t i = 0; i < DNS_CONNS_MAX; i++)
		if (table_handle(&f->dns->conn_table, i))
			fd_close(f->dns->conn[i].fd);
	f->watch_fd = fd_close(f->watch_fd);
}

void fake_dns_servers(struct fake_dns *f, const char *const *addrs)
{
	struct netctl_resolvers resolvers = {0};

	for (; *addrs; addrs++)
		resolvers.servers[resolvers.n_servers++] = (struct netctl_server){fake_dns_addr(*addrs), 53};
	dns_set_resolvers(f->dns, &resolvers);
}

int fake_dns_bind(const char *addr, uint16_t port, int type)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool v4 = inet_pton(AF_INET, addr, &in4.sin_addr) == 1;
	int fd = socket(v4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (v4) {
		assert_int_equal(bind(fd, (struct sockaddr *)&in4, sizeof(in4)), 0);
	} else {
		assert_int_equal(inet_pton(AF_INET6, addr, &in6.sin6_addr), 1);
		assert_int_equal(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	}
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 64), 0);
	return fd;
}

size_t fake_dns_make(uint8_t *dst, const char *name, uint16_t type, uint16_t id, uint16_t size)
{
	struct dns_query query = {.id = id, .flags = DNS_RD, .type = type, .class = DNS_CLASS_IN, .edns = size};
	size_t len;

	assert_int_equal(dns_name_parse(&query.name, name), 0);
	len = dns_query_encode(dst, &query);
	if (size)
		be16_store(dst + len - 8, size);
	return len;
}

void fake_dns_ask(struct fake_dns *f, const char *name, uint16_t type)
{
	uint8_t msg[DNS_QUERY_MAX];
	size_t len = fake_dns_make(msg, name, type, FAKE_ID, 0);

	f->answer_len = 0;
	dns_query(f->dns, &f->key, msg, len);
}

void fake_dns_turn(struct fake_dns *f, int wait_ms)
{
	struct pollfd poll_fd = {.fd = f->watch_fd, .events = POLLIN};

	if (poll(&poll_fd, 1, wait_ms) > 0)
		assert_int_equal(watch_dispatch(f->watch_fd, dns_host_event, f->dns), 0);
	dns_timers(f->dns);
}

void fake_dns_advance(struct fake_dns *f, uint64_t us)
{
	f->now_us += us;
	dns_now(f->dns, f->now_us);
	dns_timers(f->dns);
}

bool fake_dns_receive(int fd, struct fake_query *ret)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	ssize_t n;

	ret->from_len = sizeof(ret->from);
	if (poll(&poll_fd, 1, FAKE_WAIT_MS) <= 0)
		return false;
	n = recvfrom(fd, ret->data, sizeof(ret->data), 0, (struct sockaddr *)&ret->from, &ret->from_len);
	ret->len = n < 0 ? 0 : (size_t)n;
	return n > 0 && dns_query_decode(&ret->decoded, ret->data, ret->len) == 0;
}

bool fake_dns_silent(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, QUIET_MS) == 0;
}

size_t fake_dns_answer(uint8_t *dst, const struct fake_query *query, uint8_t rcode, unsigned int n, uint32_t ttl)
{
	struct dns_writer w;

	dns_writer_start(&w, dst, DNS_MESSAGE_MAX, &query->decoded, DNS_RD | DNS_RA, rcode);
	for (unsigned int i = 0; i < n; i++) {
		uint8_t addr[16] = {192, 0, 2, (uint8_t)(i + 1)};

		dns_writer_answer(&w, query->decoded.type, ttl, addr, query->decoded.type == DNS_A ? 4 : 16);
	}
	be16_store(dst, query->decoded.id);
	return dns_writer_end(&w);
}

void fake_dns_send(int fd, const struct fake_query *to, const uint8_t *msg, size_t len)
{
	assert_int_equal(sendto(fd, msg, len, 0, (const struct sockaddr *)&to->from, to->from_len), (ssize_t)len);
}

void fake_dns_serve(struct fake_dns *f, int fd, uint8_t rcode, unsigned int n)
{
	static uint8_t msg[DNS_MESSAGE_MAX];
	static struct fake_query query;

	assert_true(fake_dns_receive(fd, &query));
	fake_dns_send(fd, &query, msg, fake_dns_answer(msg, &query, rcode, n, 60));
	fake_dns_turn(f, FAKE_WAIT_MS);
}

uint8_t fake_dns_rcode(const struct fake_dns *f)
{
	assert_true(f->answer_len >= DNS_HEADER_LEN);
	return f->answer[3] & DNS_RCODE_MASK;
}

uint16_t fake_dns_count(const struct fake_dns *f, unsigned int section)
{
	assert_true(f->answer_len >= DNS_HEADER_LEN);
	return be16_load(f->answer + 6 + 2 * section);
}

bool fake_dns_has(const struct fake_dns *f, const void *bytes, size_t len)
{
	return memmem(f->answer, f->answer_len, bytes, len);
}
