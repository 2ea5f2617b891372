/* SPDX-License-Identifier: Apache-2.0 */
/* port-bind: see the header. SO_REUSEADDR only for TCP, where it lets nobody share a port that is listened on. */
#include "backend/port-bind.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"

static const struct net_addr any6, loopback6 = {{[15] = 1}};

static bool in4(const struct net_addr *addr, uint8_t first, uint8_t mask)
{
	return (addr->byte[12] & mask) == first;
}

enum port_address port_address_kind(const struct net_addr *addr)
{
	if (net_addr_is_v4(addr)) {
		if (!memcmp(addr->byte + 12, "\0\0\0\0", 4))
			return PORT_ADDRESS_ANY;
		if (in4(addr, 127, 255))
			return PORT_ADDRESS_LOOPBACK;
		if (in4(addr, 0, 255) || in4(addr, 224, 224) || (in4(addr, 169, 255) && addr->byte[13] == 254))
			return PORT_ADDRESS_BAD;
		return PORT_ADDRESS_OTHER;
	}
	if (net_addr_equal(addr, &any6))
		return PORT_ADDRESS_ANY;
	if (net_addr_equal(addr, &loopback6))
		return PORT_ADDRESS_LOOPBACK;
	/* Only 2000::/3 and fc00::/7 are addresses that a host has and that need no interface beside them. */
	if ((addr->byte[0] & 0xe0) == 0x20 || (addr->byte[0] & 0xfe) == 0xfc)
		return PORT_ADDRESS_OTHER;
	return PORT_ADDRESS_BAD;
}

static int bind_to(int fd, const struct net_addr *addr, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (net_addr_is_v4(addr)) {
		memcpy(&v4.sin_addr, addr->byte + 12, 4);
		return bind(fd, (const struct sockaddr *)&v4, sizeof(v4));
	}
	memcpy(&v6.sin6_addr, addr->byte, 16);
	return bind(fd, (const struct sockaddr *)&v6, sizeof(v6));
}

int port_bind(bool udp, const struct net_addr *addr, uint16_t port)
{
	bool v4 = net_addr_is_v4(addr);
	_cleanup_close_ int fd = -EBADF;
	const int on = 1;

	fd = socket(v4 ? AF_INET : AF_INET6, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno();
	if (!v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return trace(error_errno());
	if (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return trace(error_errno());
	if (bind_to(fd, addr, port) < 0)
		return error_errno();
	if (!udp && listen(fd, PORT_BACKLOG) < 0)
		return error_errno();
	return take_fd(fd);
}

int port_bind_privileged(bool udp, const struct net_addr *addr, uint16_t port)
{
	return -ENOSYS;
}

enum agent_port_status port_bind_status(int r)
{
	switch (r) {
	case -EADDRINUSE:
		return AGENT_PORT_IN_USE;
	case -EACCES:
	case -EPERM:
	case -ENOSYS:
		return AGENT_PORT_NO_PRIVILEGE;
	case -EADDRNOTAVAIL:
		return AGENT_PORT_ADDRESS;
	case -EAFNOSUPPORT:
		return AGENT_PORT_UNSUPPORTED;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOBUFS:
		return AGENT_PORT_LIMIT;
	default:
		return AGENT_PORT_UNAVAILABLE;
	}
}
