/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold: a port of a swarm service, published until it is told otherwise. Such a port has no docker-proxy, only rules of the
 * packet filter, so the iptables wrapper starts and ends a holder with them.
 *
 * One holder per protocol and port, in the background; the lock of its file in /run/caisson says that it lives and which process
 * it is, so no number of a dead process is ever believed. Who may call it: main.c.
 */
#pragma once

#include "guest/port-proxy/args.h"

/* Goes to the background (the caller's process ends with 0) and takes the lock. Return, in the background: the lock's descriptor;
 * -EEXIST: another one holds it; -errno. */
int hold_begin(const struct args *args);
/* Ends the holder of ARGS, or all of them (ARGS_UNHOLD_ALL), and waits a moment for it. Return: 0 or -errno. */
int hold_end(const struct args *args);
/* The VM's own address on the data card. Return: 0; -errno. */
int hold_own_address(struct net_addr *ret);
