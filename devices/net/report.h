/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report: what the process tells the backend about itself: counters, flows, rules, ports, the DNS cache; in pieces.
 *
 * A cursor is a place in a table, so a table that changes meanwhile may show a row twice or not at all. Only looks, never
 * changes. Who may call it: link, role-data.
 */
#pragma once

#include <stdint.h>

#include "devices/net/capture.h"
#include "devices/net/card.h"
#include "devices/net/data-card.h"
#include "devices/net/publish.h"
#include "proto/netctl.h"

struct report {
	struct card *rings;
	const struct data_card *card; /* and with it tcp, udp, dns, echo, policy */
	const struct publish *publish;
	const struct capture *capture;
	uint64_t start_us;
	uint64_t captured, capture_drops; /* by captures that are over */
};

/* Answers GET into RET, all but what a peer could have sent: names are escaped. */
void report_answer(const struct report *report, const struct netctl_get *get, uint64_t now_us, struct netctl_message *ret);
