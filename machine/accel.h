/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accel: which accelerator the VM gets, why, and the memory of that verdict.
 *
 * A verdict is kept in accel.json of the cache directory and believed only on the same boot of the host, with the
 * same QEMU program and the same /dev/kvm. It is a cache: a file that is broken or foreign counts as absent.
 * See docs/decisions/0004-accelerator-probe.md. Who may call it: machine.c, check.c.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "machine/qemu.h"
#include "proto/machine.h"

#define ACCEL_DEVICE "/dev/kvm"
enum { ACCEL_FIRST_BYTE_US = 8000000, ACCEL_KEY_MAX = 256 };

struct accel_choice {
	enum machine_accel accel; /* KVM or TCG */
	bool trial;		  /* KVM, and TCG may follow when it does not boot */
	char reason[MACHINE_REASON_MAX];
};

/* What is remembered. */
struct accel_memory {
	char key[ACCEL_KEY_MAX]; /* boot, QEMU's program, device */
	char qemu_version[QEMU_VERSION_MAX];
	bool known; /* a verdict is in it */
	bool works;
	char reason[MACHINE_REASON_MAX];
};

/* Key of now for DEVICE and QEMU. */
void accel_key(char dst[static ACCEL_KEY_MAX], const struct qemu *qemu, const char *device);
/* Reads accel.json beneath DIR_FD into *RET when it has KEY. Return: true when it was believed. */
bool accel_load(struct accel_memory *ret, int dir_fd, const char *key);
/* Return: 0 or -errno (a failure costs only time). */
int accel_save(const struct accel_memory *memory, int dir_fd);

/* Decides for REQUEST; probes DEVICE unless MEMORY knows, and puts the result there. Return: 0; -ENOTSUP with
 * FAULT: KVM alone was asked for and does not work. */
int accel_choose(struct accel_choice *ret, enum machine_accel request, const char *device,
		 struct accel_memory *memory, struct fault *fault);
