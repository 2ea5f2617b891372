/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accel-probe where there is no probe guest for the processor: KVM counts as not working, in words.
 */
#include <stdio.h>

#include "machine/accel-probe.h"

const char *accel_step_name(enum accel_step step)
{
	return "an unknown step";
}

void accel_probe(const char *device, unsigned int budget_ms, struct accel_probe *ret)
{
	*ret = (struct accel_probe){0};
	snprintf(ret->reason, sizeof(ret->reason), "KVM is not used on this kind of processor or system");
}
