/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role: what caisson-net can be: the card of the control link or the data card. One process is one role for life.
 *
 * main.c has the options and what both share; role-control.c and role-data.c set up and serve. Who may call it: main, roles.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/jail.h"
#include "devices/net/card.h"
#include "devices/net/listen.h"

enum { ROLE_FD_VHOST = 3, ROLE_FD_CONTROL = 4, ROLE_FD_OWN = 5 };

struct role_options {
	size_t n_ports; /* control: one inherited listener each */
	uint16_t ports[LISTEN_MAX];
};

/* Sets up, shuts the jail, serves until QEMU or the machine is gone. Return: 0; negative: the log says why. */
int role_control(const struct role_options *options);
int role_data(void);

/* ---- what both share */

/* Keeps 0 to 2 and the N descriptors from ROLE_FD_VHOST on, closes all others, and drops privileges. */
int role_drop(size_t n);
/* Raises the limit of open files to N and OTHER. Return: how many of N the limit allows, 0: too few. */
uint32_t role_files(uint32_t n, uint32_t other);
/* Files and system calls are locked; DIALS: the process may connect TCP sockets. Logs. */
int role_lock(const struct jail_rule *rules, size_t n_rules, bool dials);
/* Milliseconds until DEADLINE_US, rounded up; -1: for ever. */
int role_wait(uint64_t deadline_us, uint64_t now_us);
/* Says why serving ended. Return: R, or the card's own error. */
int role_ended(int r, const struct card *card);
