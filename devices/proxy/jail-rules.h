/* SPDX-License-Identifier: Apache-2.0 */
/* jail-rules: the system calls that caisson-proxy may make, each with its reason. Who may call it: devices/proxy/main, tests. */
#pragma once

#include "base/jail.h"

/* *RET points to a static table. Return: number of rules. */
size_t jail_rules_proxy(const struct jail_rule **ret);
