/* SPDX-License-Identifier: Apache-2.0 */
/* stats: the process's counters in the form the machine asks for. Who may call it: control, main. */
#pragma once

#include "devices/net/card.h"
#include "proto/device.h"

void stats_collect(struct device_stats *ret, const struct card *card, const struct tcp *tcp);
