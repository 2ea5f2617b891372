/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accel-probe: does KVM on this host run a kernel's ring-0 code, or does it only open?
 *
 * A child process builds a tiny virtual machine through the KVM interface, runs accel-guest and is killed
 * when the time is over, so that neither a hang nor a crash of the kernel's emulator reaches the caller.
 * Who may call it: accel.c and check.c. It never decides which accelerator is used.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/machine.h"

enum { ACCEL_PROBE_BUDGET_MS = 900 };

/* The guest's steps; the number is what it writes to its progress port. */
enum accel_step {
	ACCEL_STEP_NONE,
	ACCEL_STEP_PAGING,
	ACCEL_STEP_SEGMENTS,
	ACCEL_STEP_EXCEPTIONS,
	ACCEL_STEP_MSR,
	ACCEL_STEP_CPUID,
	ACCEL_STEP_TLB,
	ACCEL_STEP_STRINGS,
	ACCEL_STEP_ATOMICS,
	ACCEL_STEP_FPU,
	ACCEL_STEP_VEX,
	ACCEL_STEP_AVX,
	ACCEL_STEP_USER,
	ACCEL_STEP_MMIO,
	ACCEL_STEP_TIMER,
	ACCEL_STEP_COMPUTE,
	ACCEL_STEP_END,
	ACCEL_STEP_MAX,
};

struct accel_probe {
	bool works;
	enum accel_step step; /* the step that did not end, END when all did */
	bool transient;	      /* it could not be made now (rights, memory, another user of KVM): not worth remembering */
	uint32_t us;	      /* time the probe took */
	char reason[MACHINE_REASON_MAX];
};

/* Runs the probe on DEVICE (a path such as /dev/kvm; tests give others), at most BUDGET_MS long. Always
 * fills *RET: a probe that cannot be made is "does not work" with the reason in words. */
void accel_probe(const char *device, unsigned int budget_ms, struct accel_probe *ret);
/* "paging and long mode", for messages. */
const char *accel_step_name(enum accel_step step);
