/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card: configures the control card in the agent's network namespace through rtnetlink.
 *
 * Address, MTU, static neighbour, up. Touches no other interface, no route (the /30 gives the only one), no
 * offload flag. Needs CAP_NET_ADMIN. Who may call it: main.c, once.
 */
#pragma once

/* IFINDEX as init named it; refused unless its hardware address is the control card's. Return: 0;
 * -ENODEV: no such card or another one; -errno. */
int card_setup(int ifindex);
