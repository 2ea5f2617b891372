/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subnet: which /24 the VM's network gets: the one of the setting unless a route of the host overlaps it, then the next free one.
 *
 * Pure. The order of the others is part of the documentation (caisson-settings(1)). Who may call it: backend/network.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct subnet_route {
	uint32_t addr; /* host order */
	uint8_t prefix_len;
};

/* Shorter prefixes are ways to say "everything" (a VPN's 0.0.0.0/1 and 128.0.0.0/1), as the default route is. */
enum { SUBNET_ROUTE_MIN = 8 };

/* Does ROUTE lie in the /24 at SUBNET, or the other way round? */
bool subnet_overlaps(uint32_t subnet, const struct subnet_route *route);
/* The first route that overlaps SUBNET, NULL when none does. */
const struct subnet_route *subnet_conflict(uint32_t subnet, const struct subnet_route *routes, size_t n);
/* Return: WANTED when it is free, or when nothing else is; the first free one of the list otherwise. */
uint32_t subnet_choose(uint32_t wanted, const struct subnet_route *routes, size_t n);
/* "192.168.65.0/24" into DST. Return: DST. */
enum { SUBNET_TEXT_MAX = 20 };
char *subnet_text(char dst[static SUBNET_TEXT_MAX], uint32_t addr, unsigned int prefix_len);
