/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: the data card in the VM's main network namespace: name, address, route, resolver.
 *
 * States: ABSENT (no card: the VM lives without), ASKING (DISCOVER sent), REQUESTING (REQUEST sent), UP (lease taken, for ever;
 * AGENT_STAGE_NETWORK is told, the socket closed). Nothing waits for it: questions are repeated for as long as it takes.
 * IPv6 is the kernel's own business, by the router's word. Never: a socket that stays open, an answer acted on but by its integers.
 * Used by guest/init only.
 */
#pragma once

#include "base/loop.h"

struct network;

/* Names the card, sets it up, before the engine looks for it. Needs virtio_net. Never fails: what is missing is logged. */
void network_prepare(void);
/* Asks for the lease from LOOP. Return: 0 or -errno. */
int network_start(struct loop *loop);
