/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-net-dns: a guest that asks by UDP and TCP, and a server that answers anything. The input is a list of steps: a byte
 * that says what, two bytes of length, the bytes. What the guest gets must be an answer within its limits.
 */
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/sock.h"
#include "devices/net/dns-parts.h"
#include "devices/net/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum step { STEP_QUERY, STEP_ANSWER, STEP_ANSWER_RIGHT, STEP_STREAM, STEP_TIME, STEP_SERVERS, STEP_MAX };
enum { STEPS_MAX = 64 };

struct fuzz {
	struct dns *dns;
	struct policy policy;
	int guest_fd;
	uint64_t now_us;
};

/* Nothing may leave: a namespace of our own with nobody in it. Return: false when the host forbids it. */
static bool go_away(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	int fd, r;

	signal(SIGPIPE, SIG_IGN);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	r = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return r == 0;
}

static int on_answer(void *data, const struct flow_key *key, const void *payload, size_t len)
{
	const uint8_t *msg = payload;

	if (len < DNS_HEADER_LEN || len > DNS_UDP_MAX || !(msg[2] & 0x80) || key->guest_port != 40000)
		abort();
	return 0;
}

/* Servers that may be asked and never answer: the steps do. */
static void set_servers(struct fuzz *f, uint8_t byte)
{
	struct netctl_resolvers resolvers = {.n_servers = byte % 3, .n_domains = byte >> 4 & 1};

	for (unsigned int i = 0; i < resolvers.n_servers; i++)
		resolvers.servers[i] = (struct netctl_server){net_addr4(0x7fffff01 + i), 53};
	memcpy(resolvers.domains[0].name, "split.example", 14);
	resolvers.domains[0].n_servers = 1;
	resolvers.domains[0].servers[0] = (struct netctl_server){net_addr4(0x7fffff11), 53};
	dns_set_resolvers(f->dns, &resolvers);
}

static void start(struct fuzz *f)
{
	struct dns_config config = {.watch_fd = -1, .policy = &f->policy, .answer = on_answer};
	struct net_addr addr[4] = {net_addr4(0xc0a84101), net_addr4(0xc0a841fe), {{0xfd, [15] = 1}}, {{0xfd, [15] = 0xfe}}};
	int fds[2];

	memset(f, 0, sizeof(*f));
	config.watch_fd = watch_new();
	f->policy.configured = true;
	f->policy.rules.egress = true;
	f->dns = dns_init(&config);
	if (!f->dns || sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds) < 0)
		abort();
	dns_set_addresses(f->dns, &addr[0], &addr[1], &addr[2], &addr[3], NETCTL_DNS_ALL, true, 1500);
	f->guest_fd = fds[0];
	if (dns_accept_consume(f->dns, fds[1]) < 0)
		abort();
	set_servers(f, 0x11);
}

/* MSG comes for the first query that waits, with its id and question when RIGHT. */
static void answer(struct fuzz *f, const uint8_t *src, size_t len, bool right)
{
	static uint8_t msg[DNS_MESSAGE_MAX];

	for (uint32_t i = 0; i < f->dns->pending_table.fresh; i++) {
		struct dns_pending *p = &f->dns->pending[i];
		size_t head = DNS_HEADER_LEN + p->asked.name.len + 4u;

		if (!table_handle(&f->dns->pending_table, i) || p->leader)
			continue;
		memcpy(msg, src, len);
		if (right && len >= head) {
			be16_store(msg, p->id);
			be16_store(msg + 2, (uint16_t)((be16_load(msg + 2) & ~DNS_OPCODE_MASK) | DNS_QR));
			be16_store(msg + 4, 1);
			memcpy(msg + DNS_HEADER_LEN, p->asked.name.wire, p->asked.name.len);
			be16_store(msg + head - 4, p->asked.type);
			be16_store(msg + head - 2, p->asked.class);
		}
		(void)dns_forward_message(f->dns, p, msg, len);
		return;
	}
}

static void step(struct fuzz *f, enum step what, const uint8_t *data, size_t len)
{
	const struct flow_key key = {net_addr4(0xc0a84101), net_addr4(0xc0a84103), 53, 40000};
	static uint8_t sink[DNS_MESSAGE_MAX];

	switch (what) {
	case STEP_QUERY:
		dns_query(f->dns, &key, data, len);
		break;
	case STEP_ANSWER:
	case STEP_ANSWER_RIGHT:
		answer(f, data, len, what == STEP_ANSWER_RIGHT);
		break;
	case STEP_STREAM:
		(void)!write(f->guest_fd, data, len);
		if (table_handle(&f->dns->conn_table, 0))
			dns_conn_event(f->dns, table_handle(&f->dns->conn_table, 0));
		(void)!read(f->guest_fd, sink, sizeof(sink));
		break;
	case STEP_TIME:
		f->now_us += 500000u * (len + 1);
		dns_now(f->dns, f->now_us);
		dns_timers(f->dns);
		break;
	default:
		set_servers(f, len ? data[0] : 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int away = -1;
	static struct fuzz f;

	if (away < 0)
		away = go_away();
	if (!away)
		return 0;
	start(&f);
	for (unsigned int i = 0; i < STEPS_MAX && size >= 3; i++) {
		size_t len = be16_load(data + 1);
		enum step what = data[0] % STEP_MAX;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		step(&f, what, data, len);
		data += len;
		size -= len;
	}
	for (uint32_t i = 0; i < DNS_PENDING_MAX; i++)
		if (table_handle(&f.dns->pending_table, i))
			dns_upstream_close(f.dns, &f.dns->pending[i]);
	if (table_handle(&f.dns->conn_table, 0))
		close(f.dns->conn[0].fd);
	close(f.guest_fd);
	close(f.dns->config.watch_fd);
	return 0;
}
