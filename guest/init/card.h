/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: finds the control card by its hardware address and moves it into the agent's network namespace.
 * Source: rtnetlink(7), RTM_NEWLINK with IFLA_NET_NS_FD. Used by guest/init only.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Return: interface index (> 0); -ENODEV; -errno. */
int card_find(const char *mac);
/* Moves interface INDEX of the network namespace FROM_FD (-EBADF: the caller's) into TO_FD. Return: 0 or -errno. */
int card_move(int from_fd, int index, int to_fd);
