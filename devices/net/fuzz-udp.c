/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-udp: a hostile guest, hostile servers and hostile clients of a published port against UDP.
 *
 * Input: records of an operation byte and its arguments. The host's side is real sockets on loopback. After each record the
 * engine's invariants must hold, and no frame to the guest may be malformed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "devices/net/udp-memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 100, KEYS = 8, CLIENTS = 4 };
enum { OP_SAY, OP_SUPER, OP_RAW, OP_ANSWER, OP_CLIENT, OP_TIME, OP_BUFFERS, OP_PORT, OP_WIRE, OP_WORLD, OP_RUN, OP_MAX };

static struct udp_memory *const m = &udp_memory;
static uint8_t bytes[70000];
static int server, client[CLIENTS];
static struct udp_port *port;
static uint16_t bound, served;

static int bound_socket(uint16_t *ret_port)
{
	struct net_addr loopback = net_addr4(INADDR_LOOPBACK);
	struct sockaddr_in6 name;
	socklen_t len = udp_sockaddr(&name, false, &loopback, 0, 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, len) < 0 || getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		abort();
	*ret_port = ntohs(name.sin6_port);
	return fd;
}

static struct flow_key key_of(unsigned int n)
{
	return (struct flow_key){.host = net_addr4(0x08080808 + (n >> 2)), .guest = m->udp->config.guest4,
				 .host_port = served, .guest_port = (uint16_t)(5000 + (n & 3))};
}

/* The server answers whom it heard last, if anybody. */
static void answer(size_t len)
{
	static uint8_t heard[70000];
	struct sockaddr_in6 name;
	socklen_t name_len = sizeof(name);

	if (recvfrom(server, heard, sizeof(heard), 0, (struct sockaddr *)&name, &name_len) >= 0)
		for (int i = 0; i < 3; i++)
			(void)!sendto(server, bytes, len, 0, (struct sockaddr *)&name, name_len);
}

static void client_says(unsigned int n, size_t len)
{
	struct net_addr loopback = net_addr4(INADDR_LOOPBACK);
	struct sockaddr_in6 name;
	socklen_t name_len = udp_sockaddr(&name, false, &loopback, bound, 0);

	if (port)
		(void)!sendto(client[n % CLIENTS], bytes, len, 0, (struct sockaddr *)&name, name_len);
}

static void toggle_port(void)
{
	struct net_addr target = net_addr4(0xac110002);

	if (port) {
		udp_port_remove(m->udp, port);
		port = NULL;
	} else if (udp_port_add_consume(m->udp, bound_socket(&bound), &target, 53, 1, &port) < 0) {
		abort();
	}
}

static void toggle_wire(uint8_t what)
{
	udp_wire_down(m->udp);
	m->caps.csum = what & 1;
	m->caps.uso = what & 2;
	m->caps.mergeable = what & 4;
	m->caps.mtu = what & 8 ? 1280 : 1500;
	m->buffer_size = what & 16 ? 256 : m->caps.mergeable ? 1536 : 68000;
	if (!m->caps.mergeable && m->buffer_size < 68000)
		m->buffer_size = 1600;
	udp_wire_up(m->udp, &m->caps);
}

static void step(struct bytes_reader *r)
{
	static const struct net_vnet no_offload;
	uint8_t op = bytes_get8(r) % OP_MAX, a = bytes_get8(r);
	uint16_t len = bytes_get16(r);
	struct flow_key key = key_of(a % (KEYS * 4));

	switch (op) {
	case OP_SAY:
		udp_memory_say(&key, bytes, len % 65508, 0);
		break;
	case OP_SUPER:
		udp_memory_say(&key, bytes, len % 65508, (uint16_t)(a + 1));
		break;
	case OP_RAW:
		udp_memory_frame(bytes + a, len % 200, &no_offload);
		break;
	case OP_ANSWER:
		answer(len % 65508);
		break;
	case OP_CLIENT:
		client_says(a, len % 9000);
		break;
	case OP_TIME:
		m->now_us += len * 10000ull;
		break;
	case OP_BUFFERS:
		m->buffers = a;
		break;
	case OP_PORT:
		toggle_port();
		break;
	case OP_WIRE:
		toggle_wire(a);
		break;
	case OP_WORLD:
		m->refuse = a & 1;
		m->disguise = a & 2;
		m->policy.rules.egress = a & 4;
		if (a & 8)
			udp_rules_changed(m->udp);
		break;
	default:
		udp_memory_run();
	}
}

static void check(void)
{
	const struct udp *udp = m->udp;
	uint32_t n = 0;

	for (int list = 0; list < UDP_LISTS; list++)
		for (uint32_t i = udp->lists[list].head; i; i = udp->flows[i - 1].list_next, n++)
			if (udp->flows[i - 1].list != list || n > UDP_FLOWS_MAX)
				abort();
	if (n != udp->slots.n_used || m->n_malformed || m->n_rooms)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes_reader r = bytes_reader(data, size);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	udp_memory_init(NULL);
	port = NULL;
	server = bound_socket(&served);
	for (int i = 0; i < CLIENTS; i++)
		client[i] = bound_socket(&bound);
	toggle_port();
	for (int i = 0; i < RECORDS_MAX && r.ok; i++) {
		step(&r);
		check();
		if (m->n_sent > UDP_MEMORY_FRAMES_MAX / 2)
			udp_memory_clear();
	}
	m->buffers = 1000;
	udp_memory_run();
	check();
	udp_memory_done();
	close(server);
	for (int i = 0; i < CLIENTS; i++)
		close(client[i]);
	return 0;
}
