/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnl: requests to the kernel's route socket, built from constants and integers, one acknowledgement each.
 *
 * The kernel is the peer and is trusted; lengths are still checked. Message formats: rtnetlink(7), netlink(7).
 * Who may call it: guest/init.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A route socket of the caller's network namespace that waits at most some seconds. Return: descriptor or -errno. */
int rtnl_open(void);
/* As rtnl_open, and in the multicast groups GROUPS (RTMGRP_*), non-blocking. Return: descriptor or -errno. */
int rtnl_open_watch(uint32_t groups);
/* Return of the following: 0 or -errno of the kernel. The card must be down to be renamed. */
int rtnl_rename(int fd, int index, const char *name);
int rtnl_set_mtu(int fd, int index, uint32_t mtu);
int rtnl_set_up(int fd, int index);
/* ADDRESS in host byte order; replaces nothing. */
int rtnl_add_address4(int fd, int index, uint32_t address, uint8_t prefix_len);
int rtnl_set_default4(int fd, int index, uint32_t gateway);
