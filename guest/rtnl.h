/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnl: requests to the kernel's route socket, built from constants and integers, one acknowledgement each.
 *
 * The kernel is the peer and is trusted; lengths are still checked. Message formats: rtnetlink(7), netlink(7).
 * Who may call it: guest/init, guest/agent/card.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

enum { RTNL_REQUEST_MAX = 256 };

struct rtnl_request {
	size_t len; /* beyond RTNL_REQUEST_MAX: it did not fit, and rtnl_ask refuses it */
	union {
		struct nlmsghdr header;
		uint8_t bytes[RTNL_REQUEST_MAX];
	};
};

/* A route socket of the caller's network namespace that waits at most some seconds. Return: descriptor or -errno. */
int rtnl_open(void);
/* As rtnl_open, and in the multicast groups GROUPS (RTMGRP_*), non-blocking. Return: descriptor or -errno. */
int rtnl_open_watch(uint32_t groups);
/* A request of one's own: TYPE is RTM_*, FLAGS beside those that every request has, BODY what follows the header. */
void rtnl_begin(struct rtnl_request *q, uint16_t type, uint16_t flags, const void *body, size_t len);
void rtnl_attr(struct rtnl_request *q, uint16_t type, const void *value, size_t len);
/* Sends Q and waits for its acknowledgement; each answer before that goes to FN (may be NULL). Return: 0 or -errno. */
typedef void (*rtnl_fn)(void *data, const struct nlmsghdr *header);
int rtnl_ask(int fd, struct rtnl_request *q, rtnl_fn fn, void *data);
/* Return of the following: 0 or -errno of the kernel. The card must be down to be renamed. */
int rtnl_rename(int fd, int index, const char *name);
int rtnl_set_mtu(int fd, int index, uint32_t mtu);
int rtnl_set_up(int fd, int index);
/* ADDRESS in host byte order; replaces nothing. */
int rtnl_add_address4(int fd, int index, uint32_t address, uint8_t prefix_len);
int rtnl_set_default4(int fd, int index, uint32_t gateway);
