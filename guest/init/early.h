/* SPDX-License-Identifier: Apache-2.0 */
/* early: the initramfs stage of init; ends by executing init from the sealed root, or in vm_fail. */
#pragma once

#include "base/cleanup.h"

#define EARLY_INIT "/usr/lib/caisson/init"

_noreturn_ void early_stage(void);
