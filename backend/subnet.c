/* SPDX-License-Identifier: Apache-2.0 */
/* subnet: near the standard one first, then ranges that offices and VPNs rarely use; never 172.17 (docker0 in the VM). */
#include "backend/subnet.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "proto/data-card.h"

#define NET(a, b, c) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8)

static const uint32_t others[] = {
	DATA_SUBNET_DEFAULT, NET(192, 168, 66), NET(192, 168, 67), NET(192, 168, 68), NET(192, 168, 69), NET(192, 168, 70),
	NET(192, 168, 71), NET(192, 168, 72), NET(192, 168, 73), NET(192, 168, 74), NET(192, 168, 75), NET(192, 168, 76),
	NET(192, 168, 77), NET(192, 168, 78), NET(192, 168, 79),
	NET(10, 65, 65), NET(10, 165, 65), NET(10, 201, 65), NET(10, 241, 65),
	NET(172, 31, 65), NET(172, 30, 65), NET(172, 29, 65), NET(172, 28, 65),
};

bool subnet_overlaps(uint32_t subnet, const struct subnet_route *route)
{
	unsigned int len = route->prefix_len < DATA_PREFIX_LEN ? route->prefix_len : DATA_PREFIX_LEN;

	if (len < SUBNET_ROUTE_MIN)
		return false;
	return (subnet ^ route->addr) >> (32 - len) == 0;
}

const struct subnet_route *subnet_conflict(uint32_t subnet, const struct subnet_route *routes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (subnet_overlaps(subnet, &routes[i]))
			return &routes[i];
	return NULL;
}

uint32_t subnet_choose(uint32_t wanted, const struct subnet_route *routes, size_t n)
{
	if (!subnet_conflict(wanted, routes, n))
		return wanted;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!subnet_conflict(others[i], routes, n))
			return others[i];
	return wanted;
}

char *subnet_text(char dst[static SUBNET_TEXT_MAX], uint32_t addr, unsigned int prefix_len)
{
	snprintf(dst, SUBNET_TEXT_MAX, "%u.%u.%u.%u/%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255,
		 prefix_len > 32 ? 32 : prefix_len);
	return dst;
}
