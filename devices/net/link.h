/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link: the socket to the backend: its settings go to the parts of the data card, its questions get answers.
 *
 * States: CONNECTED; ENDED (the backend is gone or broke a rule: published ports and a capture ended; role-data ends a process
 * that was configured, so that the machine starts one that is told the rules of now). Never waits: an answer that the backend
 * does not read is dropped. Who may call it: role-data.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/capture.h"
#include "devices/net/card.h"
#include "devices/net/data-card.h"
#include "devices/net/host-inet.h"
#include "devices/net/publish.h"
#include "devices/net/report.h"

struct loop;
struct loop_source;

enum { LINK_BATCH = 32 }; /* frames of one event */

struct link_config {
	int fd; /* owned from link_start on, also when that fails */
	struct loop *loop;
	struct card *rings;
	struct data_card *card; /* and with it tcp, udp, dns, echo, policy */
	struct host_inet *host;
	struct publish *publish;
	struct capture *capture;
};

struct link {
	struct link_config config;
	struct loop_source *source;
	bool ended, have_config, have_rules;
	const char *reason; /* why it ended */
	struct netctl_config last;
	struct report report;
};

/* Return: 0 or -errno. */
int link_start(struct link *link, const struct link_config *config, uint64_t now_us);
/* Once a round: tells the backend of a capture that has ended. */
void link_run(struct link *link);
/* Closes the socket and what hangs on it. */
void link_stop(struct link *link);
/* The link of a configured process has ended: nobody can tell it new rules. One that was never configured serves nothing and
 * waits for the machine to end it. */
bool link_is_over(const struct link *link);
