/* SPDX-License-Identifier: Apache-2.0 */
/* stats: the process's counters in the form the machine asks for. Who may call it: the roles. */
#pragma once

#include "devices/net/card.h"
#include "devices/net/tcp.h"
#include "devices/net/udp.h"
#include "devices/net/tcp.h"
#include "proto/device.h"

/* UDP is NULL on the control card. */
void stats_collect(struct device_stats *ret, const struct card *card, const struct tcp *tcp, const struct udp_stats *udp);
