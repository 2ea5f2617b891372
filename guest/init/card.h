/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: finds the control card by its hardware address and moves it into the agent's network namespace.
 * Source: rtnetlink(7), RTM_NEWLINK with IFLA_NET_NS_PID. Used by guest/init only.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Return: interface index (> 0); -ENODEV; -errno. */
int card_find(const char *mac);
/* Moves interface INDEX into the network namespace of process PID. Return: 0 or -errno. */
int card_move(int index, pid_t pid);
