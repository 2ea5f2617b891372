/* SPDX-License-Identifier: Apache-2.0 */
/* jail-rules: the system calls of caisson-net once it is set up, each with its reason, one list for each role. */
#pragma once

#include "base/jail.h"

/* The rules of the role and of devices/vhost. Return: number of rules in *RET (static storage). */
size_t jail_rules_control(const struct jail_rule **ret);
size_t jail_rules_data(const struct jail_rule **ret);
