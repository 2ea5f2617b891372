/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu: which QEMU is on this host.
 *
 * Who may call it: main.c, machine.c, check.c. The program is a compiled-in list of absolute paths, never PATH.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { QEMU_VERSION_MAX = 32, QEMU_IDENTITY_MAX = 96, QEMU_MAJOR_MIN = 8, QEMU_MAJOR_TCG_GOOD = 10 };

struct qemu {
	const char *path;	       /* borrowed or static */
	char identity[QEMU_IDENTITY_MAX]; /* device, inode, size and time of the program file */
	char version[QEMU_VERSION_MAX];   /* "10.0.2"; "" until qemu_version ran */
	uint32_t major;
};

/* PATH: absolute, or NULL for the usual places. Return: 0; -ENOENT with FAULT: none installed. */
int qemu_find(struct qemu *qemu, const char *path, struct fault *fault);
/* Asks the program itself (bounded in time and text). Return: 0; -errno with FAULT. */
int qemu_ask_version(struct qemu *qemu, struct fault *fault);
/* Takes a remembered version such as "10.0.2". Return: 0; -EINVAL. */
int qemu_set_version(struct qemu *qemu, const char *version);
